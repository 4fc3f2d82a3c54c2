//! What a job has beside its steps: images that are built, services, caches, artifacts, retries, privileges.

use std::fmt;
use std::num::NonZeroU16;
use std::time::Duration;

use super::{EnvTemplates, Resources, Span, Spanned, Template};

/// `image` of a job.
#[derive(Debug, Clone, PartialEq)]
pub enum JobImage {
    /// A reference.
    Reference(Spanned<Template>),
    /// `{build, …}`: built from the repository.
    Build(Build),
}

impl fmt::Display for JobImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reference(image) => image.value.fmt(f),
            Self::Build(build) => write!(f, "build {}", build.context),
        }
    }
}

/// `image` as a mapping.
#[derive(Debug, Clone, PartialEq)]
pub struct Build {
    /// Where `image` stands.
    pub span: Span,
    /// `build`: the folder, a path in the repository.
    pub context: String,
    /// `dockerfile`: a path in the repository.
    pub dockerfile: Option<String>,
    /// `target`.
    pub target: Option<String>,
    /// `args`.
    pub args: EnvTemplates,
}

/// A service.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Its name: a label of DNS.
    pub name: Spanned<String>,
    /// `image`.
    pub image: Spanned<Template>,
    /// `env`.
    pub env: EnvTemplates,
    /// `command`.
    pub command: Option<Vec<Template>>,
    /// `entrypoint`.
    pub entrypoint: Option<Vec<Template>>,
    /// `user`.
    pub user: Option<String>,
    /// `tmpfs`: absolute paths.
    pub tmpfs: Vec<String>,
    /// `resources`.
    pub resources: Resources,
    /// `ready`.
    pub ready: Ready,
}

/// `ready`: when a service is ready.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ready {
    /// What is asked.
    pub probe: Option<Probe>,
    /// `timeout`.
    pub timeout: Option<Duration>,
}

/// How a service is asked whether it is ready.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    /// `command`.
    Command(Template),
    /// `port`.
    Port(NonZeroU16),
}

/// `retry`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// `max`: tries after the first.
    pub max: u32,
    /// `when`.
    pub when: Vec<RetryWhen>,
    /// `backoff`.
    pub backoff: Option<Duration>,
}

/// An end after which `retry` tries again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryWhen {
    /// `failure`
    Failure,
    /// `timeout`
    Timeout,
    /// `error`
    Error,
}

/// An item of `cache`.
#[derive(Debug, Clone, PartialEq)]
pub struct Cache {
    /// `key`.
    pub key: Spanned<Template>,
    /// `restore-keys`.
    pub restore_keys: Vec<Template>,
    /// `paths`: in the workspace, or absolute in the container. At least one.
    pub paths: Vec<Spanned<String>>,
    /// `mode`.
    pub mode: CacheMode,
    /// `save`.
    pub save: CacheSave,
}

/// `mode` of a cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CacheMode {
    /// `shared`
    Shared,
    /// `locked`
    Locked,
    /// `private`
    #[default]
    Private,
}

/// `save` of a cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CacheSave {
    /// `success`
    #[default]
    Success,
    /// `always`
    Always,
}

/// An item of `artifacts`.
#[derive(Debug, Clone, PartialEq)]
pub struct Artifact {
    /// `name`; the job's key where not said.
    pub name: Option<Spanned<Template>>,
    /// `paths`: patterns. At least one.
    pub paths: Vec<Spanned<String>>,
    /// `when`.
    pub when: ArtifactWhen,
    /// `expire`.
    pub expire: Option<Duration>,
}

/// `when` of an artifact.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ArtifactWhen {
    /// `success`
    #[default]
    Success,
    /// `failure`
    Failure,
    /// `always`
    Always,
}

/// `security`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Security {
    /// `privileged`.
    pub privileged: bool,
    /// `capabilities`, without `CAP_`.
    pub capabilities: Vec<String>,
}

/// The host name of a job's container, from the job's name (RFC 1123: 63 letters, digits and hyphens).
#[must_use]
pub fn host_name(job: &str) -> String {
    let name: String = job.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(63).collect();
    match name.trim_matches('-') {
        "" => "job".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_valid() {
        assert_eq!(host_name("test (python 3.11, linux)"), "test--python-3-11--linux");
        assert_eq!(host_name("my_job"), "my-job");
        assert_eq!(host_name("_"), "job");
    }
}
