//! The configuration as it is written: a `listen.toml`, or what the command line says in its place.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::{Config, Forks, Repository};
use crate::execute::PullPolicy;
use crate::listen::dashboard::{Provider, ProviderError};
use crate::listen::egress::Egress;
use crate::listen::notify::{Rule, SecretError, Source, StatusError, StatusTable};
use crate::listen::webhook::Secret;
use crate::pipeline::parse_duration;
use crate::store::StateDir;
use crate::store::retention::Keep;

/// Where a listener listens when nobody says.
const BIND: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8321);

/// How many runs may wait when nobody says.
const CAPACITY: u64 = 10_000;

/// How long runs may go on at the end when nobody says.
const DRAIN: Duration = Duration::from_secs(10);

/// A configuration as it is written. What is not said has its default.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ConfigFile {
    /// Where it listens.
    pub bind: Option<SocketAddr>,
    /// Where people reach it.
    pub url: Option<String>,
    /// The state folder.
    pub state: Option<PathBuf>,
    /// How many runs go on at once.
    pub runs: Option<u32>,
    /// How many of one repository.
    pub runs_per_repository: Option<u32>,
    /// How many jobs of a run.
    pub jobs: Option<u16>,
    /// How many runs may wait.
    pub capacity: Option<u64>,
    /// How long runs may go on at the end.
    #[serde(deserialize_with = "duration")]
    pub drain: Option<Duration>,
    /// When images are pulled.
    pub pull: Option<PullPolicy>,
    /// What containers of runs reach.
    pub egress: Option<Egress>,
    /// Whether there is a dashboard.
    pub dashboard: Option<bool>,
    /// How much of the history is kept.
    pub keep: KeepTable,
    /// Whether badges are shown to everybody.
    pub public_badges: bool,
    /// With which accounts elsewhere one signs in to it.
    pub sign_in: Vec<Provider>,
    /// The secret of all webhooks that have none of their own.
    pub webhook_secret: Option<Source>,
    /// How often refs are looked at.
    #[serde(deserialize_with = "duration")]
    pub poll: Option<Duration>,
    /// Time for each run.
    #[serde(deserialize_with = "duration")]
    pub timeout: Option<Duration>,
    /// The repositories.
    pub repository: Vec<RepositoryTable>,
    /// Who is told how runs end.
    pub notify: Vec<Rule>,
}

/// `[keep]`.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeepTable {
    /// Runs.
    pub runs: Option<u64>,
    /// Their age.
    pub days: Option<u64>,
    /// Their logs.
    pub megabytes: Option<u64>,
    /// Their artifacts, in megabytes.
    pub artifacts: Option<u64>,
}

impl From<KeepTable> for Keep {
    fn from(table: KeepTable) -> Self {
        let usual = Self::default();
        Self {
            runs: table.runs.unwrap_or(usual.runs),
            age: table.days.map_or(usual.age, |days| Duration::from_secs(days.saturating_mul(24 * 60 * 60))),
            bytes: table.megabytes.map_or(usual.bytes, |megabytes| megabytes.saturating_mul(1 << 20)),
            artifacts: table.artifacts.map_or(usual.artifacts, |megabytes| megabytes.saturating_mul(1 << 20)),
        }
    }
}

/// `[[repository]]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct RepositoryTable {
    /// A URL or a path.
    pub url: String,
    /// `owner/name` at its forge.
    pub name: Option<String>,
    /// The secret of its webhook.
    pub webhook_secret: Option<Source>,
    /// How often its refs are looked at.
    #[serde(deserialize_with = "duration")]
    pub poll: Option<Duration>,
    /// Time for each run.
    #[serde(deserialize_with = "duration")]
    pub timeout: Option<Duration>,
    /// Variables of all steps.
    pub env: BTreeMap<String, String>,
    /// Secrets of steps that ask for them.
    pub secrets: BTreeMap<String, Source>,
    /// How its forge is told of runs.
    pub status: Option<StatusTable>,
    /// What becomes of pull requests from forks.
    pub forks: Forks,
    /// Secrets that are known already.
    #[serde(skip)]
    pub given: Vec<crate::plan::Secret>,
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).map(Some).map_err(serde::de::Error::custom)
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// It is not what it should be.
    #[error("`{}`: {source}", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// The cause, with the place.
        source: Box<toml::de::Error>,
    },
    /// It names no repository, or one without a URL.
    #[error("there is no repository to listen for")]
    NoRepository,
    /// It names one twice.
    #[error("the repository `{url}` stands there twice")]
    Twice {
        /// Which.
        url: String,
    },
    /// A secret is not there.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A webhook's secret is no secret.
    #[error("{of}: a webhook's secret has at least 16 bytes")]
    Short {
        /// Where it came from.
        of: String,
    },
    /// The name of a variable is none.
    #[error("`{name}` is not a name for an environment variable")]
    Name {
        /// The name.
        name: String,
    },
    /// A number that must be at least 1 is 0.
    #[error("`{key}` is at least 1")]
    Zero {
        /// Which.
        key: &'static str,
    },
    /// Statuses cannot be told.
    #[error(transparent)]
    Status(#[from] StatusError),
    /// A provider of accounts cannot be used.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// Others could read along who signs in, and what runs print.
    #[error("the dashboard at {bind} would be open to other machines without TLS")]
    InTheClear {
        /// The address.
        bind: SocketAddr,
    },
    /// Links are needed, and there is no address for them.
    #[error("`status` of Bitbucket needs the listener's `url`: it takes no status without a link")]
    StatusUrl,
    /// The address for links is none.
    #[error("`url`: `{url}` is no address of the web")]
    Url {
        /// What was written.
        url: String,
    },
}

impl ConfigFile {
    /// Reads a file.
    ///
    /// # Errors
    /// Where it cannot be read or is not what it should be.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        toml::from_str(&text).map_err(|source| ConfigError::Toml { path: path.to_owned(), source: source.into() })
    }

    /// What it comes to. `secret` is that of webhooks that have none of their own, asked for only where there is one.
    ///
    /// # Errors
    /// Where something is not as it should be, or a secret is not there.
    pub async fn resolve<E: From<ConfigError>>(
        self,
        state: StateDir,
        cores: usize,
        secret: impl FnOnce() -> Result<Secret, E>,
    ) -> Result<Config, E> {
        self.check()?;
        let mut secrets = Vec::new();
        let shared = match &self.webhook_secret {
            Some(source) => Some(webhook_secret(source).await?),
            None if self.repository.iter().any(|repository| repository.webhook_secret.is_none()) => Some(secret()?),
            None => None,
        };
        let mut repositories = Vec::new();
        for table in self.repository {
            let own = match (&table.webhook_secret, &shared) {
                (Some(source), _) => webhook_secret(source).await?,
                (None, Some(shared)) => shared.clone(),
                (None, None) => return Err(ConfigError::NoRepository.into()),
            };
            let at = index_of(own, &mut secrets);
            repositories.push(table.resolve(at, self.poll, self.timeout).await?);
        }
        for rule in &self.notify {
            rule.channel().check().await.map_err(ConfigError::from)?;
        }
        for provider in &self.sign_in {
            provider.check().await.map_err(ConfigError::from)?;
        }
        let runs = self.runs.unwrap_or(1);
        let config = Config {
            bind: self.bind.unwrap_or(BIND),
            url: self.url.map(|url| url.trim_end_matches('/').to_owned()),
            state,
            runs,
            runs_per_repository: self.runs_per_repository.unwrap_or(runs),
            jobs: self.jobs.map_or(cores, usize::from),
            capacity: self.capacity.unwrap_or(CAPACITY),
            drain: self.drain.unwrap_or(DRAIN),
            pull: self.pull.unwrap_or_default(),
            egress: self.egress.unwrap_or_default(),
            dashboard: self.dashboard.unwrap_or(true),
            keep: self.keep.into(),
            public_badges: self.public_badges,
            sign_in: self.sign_in,
            repositories,
            secrets,
            notify: self.notify,
        };
        let is_secure = config.url.as_ref().is_some_and(|url| url.starts_with("https://"));
        if config.dashboard && !config.bind.ip().is_loopback() && !is_secure {
            return Err(ConfigError::InTheClear { bind: config.bind }.into());
        }
        let needs_url = |repository: &Repository| repository.status.as_ref().is_some_and(|status| status.needs_url());
        if config.url.is_none() && config.repositories.iter().any(needs_url) {
            return Err(ConfigError::StatusUrl.into());
        }
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        if self.repository.is_empty() || self.repository.iter().any(|repository| repository.url.trim().is_empty()) {
            return Err(ConfigError::NoRepository);
        }
        for (at, repository) in self.repository.iter().enumerate() {
            if self.repository[..at].iter().any(|other| other.url == repository.url) {
                return Err(ConfigError::Twice { url: repository.url.clone() });
            }
        }
        let counts = [
            ("runs", self.runs.map(u64::from)),
            ("runs-per-repository", self.runs_per_repository.map(u64::from)),
            ("jobs", self.jobs.map(u64::from)),
            ("capacity", self.capacity),
        ];
        if let Some((key, _)) = counts.into_iter().find(|(_, count)| *count == Some(0)) {
            return Err(ConfigError::Zero { key });
        }
        match &self.url {
            Some(url) if crate::listen::notify::Address::new(url).is_err() => {
                Err(ConfigError::Url { url: url.clone() })
            }
            _ => Ok(()),
        }
    }
}

impl RepositoryTable {
    async fn resolve(
        self,
        secret: usize,
        poll: Option<Duration>,
        timeout: Option<Duration>,
    ) -> Result<Repository, ConfigError> {
        let names = self.env.keys().chain(self.secrets.keys());
        if let Some(name) = names.into_iter().find(|name| !is_name(name)) {
            return Err(ConfigError::Name { name: name.clone() });
        }
        let mut given = self.given;
        for (name, source) in &self.secrets {
            given.push(crate::plan::Secret::new(name, source.read().await?.to_string()));
        }
        let status = self.status.map(|status| status.of(&self.url)).transpose()?;
        if let Some(status) = &status {
            status.check().await?;
        }
        Ok(Repository {
            // A folder is the same from wherever it is named.
            url: Path::new(&self.url).canonicalize().map_or(self.url, |folder| folder.display().to_string()),
            name: self.name,
            secret,
            poll: self.poll.or(poll),
            timeout: self.timeout.or(timeout),
            env: self.env.into_iter().collect(),
            given,
            status,
            forks: self.forks,
        })
    }
}

async fn webhook_secret(source: &Source) -> Result<Secret, ConfigError> {
    Secret::new(&source.read().await?).ok_or_else(|| ConfigError::Short { of: source.to_string() })
}

fn index_of(secret: Secret, secrets: &mut Vec<Secret>) -> usize {
    secrets.iter().position(|known| *known == secret).unwrap_or_else(|| {
        secrets.push(secret);
        secrets.len() - 1
    })
}

/// Letters, digits and underscores, and no digit first.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
