//! What a configuration says: through which channel, when, for which branches. As a table of TOML:
//!
//! ```toml
//! [[notify]]
//! type = "slack"
//! url = { env = "SLACK_URL" }
//! when = "change"
//! branches = ["main"]
//! ```

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

use super::digits;
use super::email::{Email, EmailError, Login, Tls};
use super::report::{Report, Verdict};
use super::source::{Address, SecretError, Source};
use crate::glob::{GlobError, Globs};

/// A way to tell people.
#[derive(Debug, Clone)]
pub enum Channel {
    /// A mail server.
    Email(Box<Email>),
    /// An incoming webhook of Slack.
    Slack {
        /// Its address, which is a secret.
        url: Address,
    },
    /// A webhook of Discord.
    Discord {
        /// Its address, which is a secret.
        url: Address,
    },
    /// Any server: it gets the report as JSON.
    Webhook {
        /// Its address.
        url: Address,
        /// What the body is signed with, where it is.
        secret: Option<Source>,
    },
    /// The desktop of whoever runs the listener.
    Desktop,
}

/// When a channel is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// A run failed, or met an error.
    #[default]
    Failure,
    /// A branch that was good is bad, or the other way about. A branch that nothing is known of counts as good.
    Change,
    /// A run ended, whichever way.
    Always,
}

/// A channel, and when it is used.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Table")]
pub struct Rule {
    channel: Channel,
    when: When,
    /// `None`: every run, also those of no branch.
    branches: Option<Globs>,
}

impl Rule {
    /// A rule. An empty list of branches stands for every run, also those of no branch.
    ///
    /// # Errors
    /// The first pattern that cannot be understood.
    pub fn new<T: AsRef<str>>(channel: Channel, when: When, branches: &[T]) -> Result<Self, GlobError> {
        let branches = if branches.is_empty() { None } else { Some(Globs::parse(branches)?) };
        Ok(Self { channel, when, branches })
    }

    /// The channel.
    #[must_use]
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Whether a report is sent through the channel.
    #[must_use]
    pub fn wants(&self, report: &Report) -> bool {
        let meant = match (&self.branches, &report.branch) {
            (None, _) => true,
            (Some(branches), Some(branch)) => branches.matches(branch),
            (Some(_), None) => false,
        };
        meant && self.when.holds(report)
    }
}

impl When {
    fn holds(self, report: &Report) -> bool {
        let now = Verdict::of(report.status);
        match self {
            Self::Always => true,
            Self::Failure => now == Some(Verdict::Bad),
            Self::Change => {
                let before = report.previous.and_then(Verdict::of).unwrap_or(Verdict::Good);
                now.is_some_and(|now| now != before)
            }
        }
    }
}

impl Channel {
    /// Some digits that stand for the channel, the same after a restart, for an outbox to know it by. They tell no secret.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Email(email) => email.key(),
            Self::Slack { url } => digits(&["slack", &url.key()]),
            Self::Discord { url } => digits(&["discord", &url.key()]),
            Self::Webhook { url, .. } => digits(&["webhook", &url.key()]),
            Self::Desktop => digits(&["desktop"]),
        }
    }

    /// Whether its secrets are there, so that who starts a listener hears of it then. Asks no server.
    ///
    /// # Errors
    /// The first one that is not there, or not usable.
    pub async fn check(&self) -> Result<(), SecretError> {
        match self {
            Self::Email(email) => email.check().await,
            Self::Slack { url } | Self::Discord { url } => url.read().await.map(drop),
            Self::Webhook { url, secret } => {
                url.read().await?;
                match secret {
                    Some(secret) => super::webhook::secret(secret).await.map(drop),
                    None => Ok(()),
                }
            }
            Self::Desktop => Ok(()),
        }
    }
}

/// For people; tells no secret.
impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Email(email) => write!(f, "email by {email}"),
            Self::Slack { url } => write!(f, "slack by {url}"),
            Self::Discord { url } => write!(f, "discord by {url}"),
            Self::Webhook { url, .. } => write!(f, "webhook {url}"),
            Self::Desktop => f.write_str("desktop"),
        }
    }
}

/// A table as it stands in the file. Each kind has all of its keys, so that a wrong one is told beside the right ones.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
enum Table {
    Email {
        #[serde(default)]
        when: When,
        #[serde(default)]
        branches: Vec<String>,
        host: String,
        port: Option<u16>,
        #[serde(default)]
        tls: Tls,
        ca: Option<PathBuf>,
        user: Option<String>,
        password: Option<Source>,
        from: String,
        to: Vec<String>,
    },
    Slack {
        #[serde(default)]
        when: When,
        #[serde(default)]
        branches: Vec<String>,
        url: Address,
    },
    Discord {
        #[serde(default)]
        when: When,
        #[serde(default)]
        branches: Vec<String>,
        url: Address,
    },
    Webhook {
        #[serde(default)]
        when: When,
        #[serde(default)]
        branches: Vec<String>,
        url: Address,
        secret: Option<Source>,
    },
    Desktop {
        #[serde(default)]
        when: When,
        #[serde(default)]
        branches: Vec<String>,
    },
}

#[derive(Debug, thiserror::Error)]
enum TableError {
    #[error(transparent)]
    Email(#[from] EmailError),
    #[error("`branches`: {0}")]
    Branches(#[from] GlobError),
    #[error("`user` and `password` go together")]
    HalfALogin,
}

impl TryFrom<Table> for Rule {
    type Error = TableError;

    fn try_from(table: Table) -> Result<Self, TableError> {
        let (channel, when, branches) = match table {
            Table::Email { when, branches, host, port, tls, ca, user, password, from, to } => {
                let login = match (user, password) {
                    (Some(user), Some(password)) => Some(Login { user, password }),
                    (None, None) => None,
                    _ => return Err(TableError::HalfALogin),
                };
                (Channel::Email(Box::new(Email::new(host, port, tls, ca, login, &from, &to)?)), when, branches)
            }
            Table::Slack { when, branches, url } => (Channel::Slack { url }, when, branches),
            Table::Discord { when, branches, url } => (Channel::Discord { url }, when, branches),
            Table::Webhook { when, branches, url, secret } => (Channel::Webhook { url, secret }, when, branches),
            Table::Desktop { when, branches } => (Channel::Desktop, when, branches),
        };
        Ok(Self::new(channel, when, &branches)?)
    }
}
