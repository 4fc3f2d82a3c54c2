//! What started a run: a push, a pull request, a schedule, or a person. Pure: no IO.
//!
//! [`Trigger::from_json`] reads the payloads of forges (`forges`), [`decide`] asks the pipeline's `on` whether it wants the
//! event (`filter`). What expressions and steps see of it is one thing: [`Trigger::contexts`], and [`variables`] of that.

mod error;
mod filter;
mod forges;

use std::sync::Arc;

use serde_json::{Map, Value, json};

pub use error::TriggerError;
pub use filter::{Decision, Reason, decide};

use crate::event::SourceInfo;
use crate::pipeline::expr::Contexts;
use crate::source::Since;

/// The largest payload that is read: 25 MiB, what GitHub sends at most.
pub const MAX_BYTES: usize = 25 * 1024 * 1024;

/// How much of a commit's message is kept, in bytes: a program takes 128 KiB in one variable.
const MESSAGE_BYTES: usize = 32 * 1024;

/// How much of a person's name or address is kept, in bytes.
const NAME_BYTES: usize = 1024;

/// The kind of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventKind {
    /// A branch or a tag was pushed.
    Push,
    /// A pull request was opened or went on.
    PullRequest,
    /// A moment of `on.schedule` came.
    Schedule,
    /// A person asked for it.
    Manual,
}

impl EventKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[Self::Push, Self::PullRequest, Self::Schedule, Self::Manual];

    /// As it stands under `on`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::PullRequest => "pull-request",
            Self::Schedule => "schedule",
            Self::Manual => "manual",
        }
    }
}

impl std::fmt::Display for EventKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What started a run. What is not known is `None`; no text in it is empty or has a NUL in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Trigger {
    /// Its kind.
    pub kind: EventKind,
    /// The branch that was pushed; of a pull request the one to be merged.
    pub branch: Option<String>,
    /// The tag that was pushed.
    pub tag: Option<String>,
    /// The branch that a pull request is to be merged into.
    pub base_branch: Option<String>,
    /// The commit to run: an id in full, or, from some forges, its first digits.
    pub commit: Option<String>,
    /// What the branch pointed to before the push; of a pull request the tip of `base_branch`.
    pub base_commit: Option<String>,
    /// The message of `commit`; of a pull request its title. At most 32 KiB of it.
    pub commit_message: Option<String>,
    /// Who pushed, or acted on the pull request.
    pub pusher_name: Option<String>,
    /// Their address.
    pub pusher_email: Option<String>,
    /// The files that the pushed commits changed, where the payload lists all of them.
    pub changed_paths: Option<Vec<String>>,
    /// The payload as it came; an empty object where there was none.
    pub payload: Value,
}

impl Trigger {
    /// An event of which nothing else is known.
    #[must_use]
    pub fn new(kind: EventKind) -> Self {
        Self {
            kind,
            branch: None,
            tag: None,
            base_branch: None,
            commit: None,
            base_commit: None,
            commit_message: None,
            pusher_name: None,
            pusher_email: None,
            changed_paths: None,
            payload: Value::Object(Map::new()),
        }
    }

    /// What a run has that no payload came with: the branch and the commit of its source.
    #[must_use]
    pub fn local(kind: EventKind, source: &SourceInfo) -> Self {
        Self::new(kind).on(source)
    }

    /// Reads a payload: that of a forge's webhook, or Argon's own form.
    ///
    /// # Errors
    /// Where it is no JSON, too large, of no known shape, of another kind of event, or tells of something deleted.
    pub fn from_json(kind: EventKind, bytes: &[u8]) -> Result<Self, TriggerError> {
        if bytes.len() > MAX_BYTES {
            return Err(TriggerError::TooLarge { bytes: bytes.len() });
        }
        // The parser refuses more than 128 levels.
        let payload: Value = serde_json::from_slice(bytes).map_err(|source| TriggerError::NotJson { source })?;
        if !payload.is_object() {
            return Err(TriggerError::NotAnObject);
        }
        forges::read(kind, payload)
    }

    /// The same event, as the source that runs has it: its commit is the one that runs, and where the event names neither
    /// branch nor tag, its branch is the event's.
    #[must_use]
    pub fn on(mut self, source: &SourceInfo) -> Self {
        if source.commit.is_some() {
            self.commit.clone_from(&source.commit);
        }
        if self.branch.is_none() && self.tag.is_none() {
            self.branch.clone_from(&source.branch);
        }
        self
    }

    /// What the run's source is to be compared with, where the event says.
    #[must_use]
    pub fn since(&self) -> Option<Since> {
        match (self.kind, &self.base_commit, &self.base_branch) {
            (EventKind::PullRequest, Some(commit), _) => Some(Since::Fork(commit.clone())),
            (EventKind::PullRequest, None, Some(branch)) => Some(Since::ForkOfBranch(branch.clone())),
            (EventKind::Push, Some(commit), _) => Some(Since::Commit(commit.clone())),
            _ => None,
        }
    }

    /// What expressions see: `event`, `branch`, `tag` and `commit`. Texts that are not known are empty.
    #[must_use]
    pub fn contexts(&self) -> Contexts {
        let text = |text: &Option<String>| Value::from(text.as_deref().unwrap_or_default());
        let event = json!({
            "name": self.kind.name(),
            "branch": text(&self.branch),
            "tag": text(&self.tag),
            "base_branch": text(&self.base_branch),
            "commit": text(&self.commit),
            "base_commit": text(&self.base_commit),
            "commit_message": text(&self.commit_message),
            "pusher_name": text(&self.pusher_name),
            "pusher_email": text(&self.pusher_email),
            "payload": self.payload,
        });
        Contexts {
            event: Arc::new(event),
            branch: text(&self.branch),
            tag: text(&self.tag),
            commit: text(&self.commit),
            ..Contexts::default()
        }
    }
}

/// The variables that steps see of what started the run, by the contexts of [`Trigger::contexts`]: those that are known.
#[must_use]
pub fn variables(contexts: &Contexts) -> Vec<(&'static str, String)> {
    let of_event = |name: &str| contexts.event.get(name).unwrap_or(&Value::Null);
    [
        ("ARGON_EVENT", of_event("name")),
        ("ARGON_BRANCH", &contexts.branch),
        ("ARGON_TAG", &contexts.tag),
        ("ARGON_COMMIT", &contexts.commit),
        ("ARGON_COMMIT_MESSAGE", of_event("commit_message")),
        ("ARGON_PUSHER_NAME", of_event("pusher_name")),
        ("ARGON_PUSHER_EMAIL", of_event("pusher_email")),
        ("ARGON_BASE_BRANCH", of_event("base_branch")),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value.as_str().filter(|text| !text.is_empty())?.to_owned())))
    .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn info(commit: &str, branch: Option<&str>) -> SourceInfo {
        SourceInfo { commit: Some(commit.to_owned()), branch: branch.map(str::to_owned), ..SourceInfo::default() }
    }

    #[test]
    fn without_a_payload_the_source_tells_branch_and_commit() {
        let trigger = Trigger::local(EventKind::Manual, &info("c0", Some("main")));
        assert_eq!(
            variables(&trigger.contexts()),
            [("ARGON_EVENT", "manual".into()), ("ARGON_BRANCH", "main".into()), ("ARGON_COMMIT", "c0".into())]
        );
        let nothing = Trigger::local(EventKind::PullRequest, &SourceInfo::default());
        assert_eq!(variables(&nothing.contexts()), [("ARGON_EVENT", "pull-request".into())]);
    }

    #[test]
    fn the_commit_that_runs_is_told_and_a_tag_is_on_no_branch() {
        let tagged = Trigger { tag: Some("v1".into()), commit: Some("e0".into()), ..Trigger::new(EventKind::Push) };
        let on = tagged.clone().on(&info("c0", Some("main")));
        assert_eq!((on.branch.as_deref(), on.tag.as_deref(), on.commit.as_deref()), (None, Some("v1"), Some("c0")));
        assert_eq!(tagged.clone().on(&SourceInfo::default()), tagged);
    }

    #[test]
    fn contexts_have_every_field_and_texts_that_are_not_known_are_empty() {
        let contexts = Trigger::new(EventKind::Schedule).contexts();
        assert_eq!(
            *contexts.event,
            json!({
                "name": "schedule", "branch": "", "tag": "", "base_branch": "", "commit": "", "base_commit": "",
                "commit_message": "", "pusher_name": "", "pusher_email": "", "payload": {},
            })
        );
        assert_eq!((contexts.branch, contexts.tag, contexts.commit), (json!(""), json!(""), json!("")));
        assert_eq!(variables(&Contexts::default()), []);
    }
}
