//! The validated model of a pipeline: what `plan` works from. Wrong states are not representable here.

mod matrix;
mod surroundings;
mod trigger;

use std::num::NonZeroU32;
use std::ops::Range;
use std::time::Duration;

pub use matrix::{Combination, Matrix, MatrixValue};
pub use surroundings::{
    Artifact, ArtifactWhen, Build, Cache, CacheMode, CacheSave, JobImage, Probe, Ready, Retry, RetryWhen, Security,
    Service, host_name,
};
pub use trigger::{Concurrency, InProgress, On, PullRequestFilter, PushFilter, Schedule};

pub use super::expr::{Condition, Template};

/// Where something stands in its file: byte offsets.
pub type Span = Range<usize>;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

/// Environment variables, decided. Names are valid in every shell: `[A-Za-z_][A-Za-z0-9_]*`.
pub type Env = Vec<(String, String)>;

/// Environment variables as a file has them, in its order; names as those of [`Env`].
pub type EnvTemplates = Vec<(Spanned<String>, Template)>;

/// A whole pipeline file.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// `name`.
    pub name: Option<String>,
    /// `on`; `None` where it does not stand.
    pub on: Option<On>,
    /// `concurrency`.
    pub concurrency: Option<Concurrency>,
    /// `env`: for all jobs, those of included files too.
    pub env: EnvTemplates,
    /// `secrets`: the declared names. Empty where no file declares any.
    pub secrets: Vec<String>,
    /// `jobs`: of this file in its order, then of the included ones in theirs. At least one; `needs` name jobs that
    /// exist, and no cycle. What a file's `defaults` say is in its jobs.
    pub jobs: Vec<Job>,
}

/// One job.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its key in the file: `[A-Za-z_][A-Za-z0-9_-]*`.
    pub key: Spanned<String>,
    /// `name`, for people; the key where not said.
    pub name: Option<Template>,
    /// `image`, its own or the default.
    pub image: JobImage,
    /// `needs`: keys of other jobs.
    pub needs: Vec<Spanned<String>>,
    /// `if`.
    pub condition: Option<Condition>,
    /// `matrix`.
    pub matrix: Option<Matrix>,
    /// `env`; for a job of an included file, that file's `env` below it.
    pub env: EnvTemplates,
    /// `shell`, its own or the default.
    pub shell: Option<Shell>,
    /// `working-directory`, its own or the default: relative to the workspace, or absolute in the container.
    pub working_directory: Option<Template>,
    /// `timeout`, its own or the default.
    pub timeout: Option<Duration>,
    /// `continue-on-error`.
    pub on_error: OnError,
    /// `resources`.
    pub resources: Resources,
    /// `network`.
    pub network: NetworkAccess,
    /// `user`, in place of the image's.
    pub user: Option<String>,
    /// `output`.
    pub output: OutputMode,
    /// `outputs`.
    pub outputs: EnvTemplates,
    /// `services`.
    pub services: Vec<Service>,
    /// `retry`.
    pub retry: Option<Retry>,
    /// `cache`.
    pub cache: Vec<Cache>,
    /// `artifacts`.
    pub artifacts: Vec<Artifact>,
    /// `inputs`: patterns. Empty where the job always runs.
    pub inputs: Vec<Spanned<String>>,
    /// `security`.
    pub security: Option<Security>,
    /// `steps`. At least one.
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// `name`; the first line of the script where not said.
    pub name: Option<Template>,
    /// `id`.
    pub id: Option<Spanned<String>>,
    /// `if`.
    pub condition: Option<Condition>,
    /// `run`: the script.
    pub run: Spanned<Template>,
    /// `env`.
    pub env: EnvTemplates,
    /// `secrets`: the names it asks for; each becomes an environment variable of this step alone.
    pub secrets: Vec<Spanned<String>>,
    /// `shell`.
    pub shell: Option<Shell>,
    /// `working-directory`.
    pub working_directory: Option<Template>,
    /// `timeout`.
    pub timeout: Option<Duration>,
    /// `retry`.
    pub retry: Option<Retry>,
    /// `continue-on-error`.
    pub on_error: OnError,
}

/// What a failure of a job or a step does to what comes after it (`continue-on-error`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnError {
    /// It fails what it belongs to.
    #[default]
    Fail,
    /// It is shown, and forgiven.
    Continue,
}

/// The program that runs a script.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Shell {
    /// `sh`: `sh -e SCRIPT`. The default.
    #[default]
    Sh,
    /// `bash`: `bash -eo pipefail SCRIPT`.
    Bash,
    /// `python`: `python SCRIPT`.
    Python,
    /// A command of one's own; `{0}` stands for the script's path (appended where it does not stand).
    Custom(Vec<String>),
}

/// `resources`: bounds of a job's container.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Resources {
    /// `cpus`: in thousandths of a CPU (`1.5` is 1500).
    pub milli_cpus: Option<NonZeroU32>,
    /// `memory`, in bytes.
    pub memory: Option<u64>,
    /// `pids`: processes and threads.
    pub pids: Option<NonZeroU32>,
}

/// `network`: what a job may reach.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NetworkAccess {
    /// `default`: what the engine's bridge reaches.
    #[default]
    Default,
    /// `none`: nothing but itself.
    None,
}

/// `output`: what becomes of a step's standard error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OutputMode {
    /// `merged`: it joins standard output, in the order the program wrote.
    #[default]
    Merged,
    /// `split`: it stays a stream of its own.
    Split,
}
