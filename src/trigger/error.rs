//! What can be wrong with the payload of an event, with what to do about it.

use super::{EventKind, MAX_BYTES};

/// Why a payload is no event.
#[derive(Debug, thiserror::Error)]
pub enum TriggerError {
    /// It is larger than is read.
    #[error("the event has {bytes} bytes, more than the {MAX_BYTES} that are read")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// It is not JSON, or nested too deep.
    #[error("the event is not JSON: {source}")]
    NotJson {
        /// Where, and why.
        #[source]
        source: serde_json::Error,
    },
    /// It is JSON, and not an object.
    #[error("the event is JSON, but not an object")]
    NotAnObject,
    /// It is of no shape that is known.
    #[error("the event is none that a known forge sends{}", seen(.keys))]
    Unknown {
        /// The keys that it has at its top, the first few of them.
        keys: Vec<String>,
    },
    /// It tells of another kind of event.
    #[error("the event is a {found} of {forge}, not a {wanted}")]
    OtherKind {
        /// Who sends such events.
        forge: &'static str,
        /// What was asked for.
        wanted: EventKind,
        /// What it is.
        found: EventKind,
    },
    /// It tells that a branch or a tag is gone.
    #[error("the event tells that {what} was deleted, so there is nothing to run")]
    Deleted {
        /// The branch or tag.
        what: String,
    },
    /// It lacks a field that such events have, or has something else there.
    #[error("the event looks like a {kind} of {forge}, but its `{field}` is {is}")]
    Field {
        /// Who sends such events.
        forge: &'static str,
        /// The kind of event.
        kind: EventKind,
        /// The field, as `head_commit.id`.
        field: &'static str,
        /// What is wrong with it: `missing`, `not a commit id`.
        is: &'static str,
    },
}

fn seen(keys: &[String]) -> String {
    if keys.is_empty() { ": it is empty".to_owned() } else { format!(": it has {}", keys.join(", ")) }
}

impl TriggerError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::TooLarge { .. } | Self::NotJson { .. } | Self::NotAnObject => {
                "give the body of the webhook, as the forge sent it".to_owned()
            }
            Self::Unknown { .. } => "wanted is a push or pull request of GitHub, GitLab, Gitea, Forgejo or Bitbucket, \
                 or an object with `branch` and `commitId`"
                .to_owned(),
            Self::OtherKind { found, .. } => format!("say `--event {found}`"),
            Self::Deleted { .. } => "give the event of a push that left something".to_owned(),
            Self::Field { forge, .. } => format!("the fields are those that {forge} documents for its webhooks"),
        }
    }
}
