//! Why a report was not sent, in words for people, and whether to try again.

use std::time::Duration;

use super::source::SecretError;

/// A report was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// It may be sent later.
    #[error("{cause}")]
    Retry {
        /// Not before this has passed, where the other side said so. A day at most.
        after: Option<Duration>,
        /// Why.
        cause: Cause,
    },
    /// It will not be sent, however often it is tried: somebody has to change something.
    #[error("{cause}")]
    Permanent {
        /// Why.
        cause: Cause,
    },
}

/// Why a report was not sent. None of these has a secret in it: not the address of a webhook, not a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// It took too long. It may have arrived all the same.
    #[error("{channel}: not done within {}", crate::sinks::style::human(*limit))]
    TimedOut {
        /// The channel.
        channel: String,
        /// How long it might have taken.
        limit: Duration,
    },
    /// There was no conversation.
    #[error("cannot talk with {host}: {why}")]
    Unreachable {
        /// The server.
        host: String,
        /// What went wrong.
        why: String,
    },
    /// The server did not take it.
    #[error("{host} answered {code}{}", said(.text))]
    Answered {
        /// The server.
        host: String,
        /// The status of HTTP, or the reply's code of SMTP.
        code: u16,
        /// What else it said.
        text: String,
    },
    /// What it takes to send is not there.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// No message could be made of it.
    #[error("no message can be made of it: {why}")]
    Message {
        /// What is wrong.
        why: String,
    },
    /// The program that shows it is not there.
    #[error("`{program}` is not installed: {hint}")]
    NoProgram {
        /// The program.
        program: String,
        /// Where to get it.
        hint: &'static str,
    },
    /// The program that shows it failed.
    #[error("`{program}` failed{}", said(.text))]
    Program {
        /// The program.
        program: String,
        /// What it said.
        text: String,
    },
    /// There is no client for HTTP.
    #[error("no connection with TLS can be made: {why}")]
    Client {
        /// What is wrong.
        why: String,
    },
}

fn said(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

impl SendError {
    pub(super) fn again(cause: Cause) -> Self {
        Self::Retry { after: None, cause }
    }

    pub(super) fn never(cause: Cause) -> Self {
        Self::Permanent { cause }
    }
}

impl From<SecretError> for SendError {
    fn from(error: SecretError) -> Self {
        // A file may be there again in a moment; a value that is wrong stays wrong until somebody has changed it.
        match error {
            SecretError::Unreadable { .. } => Self::again(error.into()),
            _ => Self::never(error.into()),
        }
    }
}

/// An error and all that caused it, on one line.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    super::words::line(&crate::causes::with_causes(error), 300)
}
