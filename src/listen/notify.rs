//! Telling people how a run ended: what is told ([`Report`]), who wants it ([`Rule`]), and one attempt to send it ([`send`]); and
//! telling the forge ([`StatusApi`]).
//!
//! | module | owns |
//! |---|---|
//! | `report` | what is told, as JSON for an outbox, and what of it is fit to be shown |
//! | `rule` | what a configuration says: channels, and when they are used |
//! | `source` | where a secret is: an environment variable or a file |
//! | `words` | the sentences that every channel says, cut to what it takes |
//! | `email`, `slack`, `discord`, `webhook`, `desktop` | one channel each |
//! | `status` | statuses of commits at the forge |
//! | `http` | one POST, and what its answer means |
//! | `failure` | why a report was not sent, and whether to try again |
//!
//! Nothing is kept here and nothing is tried twice: who calls has the outbox.

mod desktop;
mod discord;
mod email;
mod failure;
mod http;
mod report;
mod rule;
mod slack;
mod source;
mod status;
mod webhook;
mod words;

use std::time::Duration;

use sha2::{Digest, Sha256};

pub use email::{Email, Tls};
pub use failure::{Cause, SendError};
pub use http::{Client, client};
pub use report::{FailedJob, OUTPUT_LINES, Report};
pub use rule::{Channel, Rule, When};
pub use source::{Address, SecretError, Source};
pub use status::{CommitStatus, State, StatusApi, StatusError, StatusTable};

/// What one attempt may take, from the first look-up of a name to the last byte of the answer.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// Sends a report through a channel, once. What it takes at most is [`TIMEOUT`].
///
/// # Errors
/// Where it was not sent, or where nobody can tell: it may have been when the time is up. No error has a secret in it.
pub async fn send(channel: &Channel, report: &Report, client: &Client) -> Result<(), SendError> {
    send_within(channel, report, client, TIMEOUT).await
}

/// As [`send`], with a time of its own.
///
/// # Errors
/// As [`send`].
pub async fn send_within(
    channel: &Channel,
    report: &Report,
    client: &Client,
    limit: Duration,
) -> Result<(), SendError> {
    let report = report.shown();
    let id = Delivery::new(&report, channel);
    let sending = async {
        match channel {
            Channel::Email(email) => email.send(&report, &id).await,
            Channel::Slack { url } => http::post(client, url, http::json(&slack::body(&report))).await,
            Channel::Discord { url } => http::post(client, url, http::json(&discord::body(&report))).await,
            Channel::Webhook { url, secret } => {
                http::post(client, url, webhook::request(&report, &id, secret.as_ref()).await?).await
            }
            Channel::Desktop => desktop::show(&report).await,
        }
    };
    match tokio::time::timeout(limit, sending).await {
        Ok(sent) => sent,
        Err(_) => Err(SendError::again(Cause::TimedOut { channel: channel.to_string(), limit })),
    }
}

/// The name of one report through one channel. It is the same at each attempt, so that who gets it twice can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Delivery(String);

impl Delivery {
    fn new(report: &Report, channel: &Channel) -> Self {
        // A run's id comes from an outbox, and this goes into headers.
        let run =
            report.run.as_str().chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '-').take(64);
        Self(format!("{}.{}", run.collect::<String>(), channel.key()))
    }
}

impl std::fmt::Display for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Some digits that stand for what went in, and do not tell it.
fn digits(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    hex::encode(&hash.finalize()[..8])
}
