//! Whether a pipeline's `on` wants an event.

use std::fmt;

use super::{EventKind, Trigger};
use crate::glob::{GlobError, Globs};
use crate::pipeline::{On, PullRequestFilter, PushFilter, Spanned};

/// What `on` says of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The pipeline runs.
    Triggered,
    /// It does not.
    Not(Reason),
}

/// Why a pipeline does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// There is no `on`, which stands for `push` and `manual`.
    NoOn {
        /// The event.
        kind: EventKind,
    },
    /// `on` does not name this kind of event.
    NotNamed {
        /// The event.
        kind: EventKind,
        /// What it names.
        named: Vec<EventKind>,
    },
    /// The branch or tag is none of those that are asked for.
    Name {
        /// `branch` or `tag`.
        what: &'static str,
        /// Its name.
        name: String,
        /// The list that was asked.
        list: List,
    },
    /// Only the other of branches and tags is asked for.
    OtherKind {
        /// `branch` or `tag`.
        what: &'static str,
        /// Its name.
        name: String,
        /// The only list that is there.
        list: List,
    },
    /// Branches are asked for, and the event is on none that is known.
    NoBranch {
        /// The list that would be asked.
        list: List,
    },
    /// No changed file is one of those that are asked for.
    Paths {
        /// How many were changed.
        changed: usize,
        /// The list that was asked.
        list: List,
    },
    /// A pattern cannot be understood.
    Pattern {
        /// The key whose list has it.
        key: &'static str,
        /// Which one, and why.
        error: GlobError,
    },
}

/// A list of patterns in `on`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// Its key: `on.push.branches`.
    pub key: &'static str,
    /// What stands there.
    pub patterns: Vec<String>,
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.patterns.join(", "))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoOn { kind } => {
                write!(f, "there is no `on`, so only push and manual start it, and this is {kind}")
            }
            Self::NotNamed { kind, named } if named.is_empty() => {
                write!(f, "`on` names no event, and this is {kind}")
            }
            Self::NotNamed { kind, named } => {
                let named: Vec<&str> = named.iter().map(|kind| kind.name()).collect();
                write!(f, "`on` names {}, and this is {kind}", named.join(", "))
            }
            Self::Name { what, name, list } => write!(f, "the {what} `{name}` matches none of {list}"),
            Self::OtherKind { what, name, list } => {
                let all = if *what == "tag" { "on.push.tags" } else { "on.push.branches" };
                write!(f, "`{name}` is a {what}, and there is {} but no {all}", list.key)
            }
            Self::NoBranch { list } if list.key.starts_with("on.pull-request") => {
                write!(f, "the branch that it is to be merged into is not known, so it matches none of {list}")
            }
            Self::NoBranch { list } => write!(f, "it is on no branch, so it matches none of {list}"),
            Self::Paths { changed: 0, list } => write!(f, "no file was changed, so none matches {list}"),
            Self::Paths { changed: 1, list } => write!(f, "the one changed file matches none of {list}"),
            Self::Paths { changed, list } => write!(f, "none of the {changed} changed files matches {list}"),
            Self::Pattern { key, error } => write!(f, "{key}: {error}"),
        }
    }
}

/// Asks `on` whether it wants an event. `changed` gives the changed files, and is called only where they count; `None`, as
/// where there is nothing to compare with, is all of them.
///
/// # Errors
/// That of `changed`.
pub fn decide<E>(
    on: Option<&On>,
    trigger: &Trigger,
    changed: impl FnOnce() -> Result<Option<Vec<String>>, E>,
) -> Result<Decision, E> {
    let mut failed = None;
    let changed = || match changed() {
        Ok(paths) => paths,
        Err(error) => {
            failed = Some(error);
            None
        }
    };
    let decision = match wants(on, trigger, changed) {
        Ok(()) => Decision::Triggered,
        Err(reason) => Decision::Not(reason),
    };
    failed.map_or(Ok(decision), Err)
}

fn wants(on: Option<&On>, trigger: &Trigger, changed: impl FnOnce() -> Option<Vec<String>>) -> Result<(), Reason> {
    let kind = trigger.kind;
    let Some(on) = on else {
        return match kind {
            EventKind::Push | EventKind::Manual => Ok(()),
            EventKind::PullRequest | EventKind::Schedule => Err(Reason::NoOn { kind }),
        };
    };
    match kind {
        EventKind::Push => match &on.push {
            Some(filter) => push(filter, trigger, changed),
            None => Err(not_named(on, kind)),
        },
        EventKind::PullRequest => match &on.pull_request {
            Some(filter) => pull_request(filter, trigger, changed),
            None => Err(not_named(on, kind)),
        },
        EventKind::Schedule if !on.schedule.is_empty() => Ok(()),
        EventKind::Manual if on.manual => Ok(()),
        EventKind::Schedule | EventKind::Manual => Err(not_named(on, kind)),
    }
}

fn not_named(on: &On, kind: EventKind) -> Reason {
    let is_named = |kind: &EventKind| match kind {
        EventKind::Push => on.push.is_some(),
        EventKind::PullRequest => on.pull_request.is_some(),
        EventKind::Schedule => !on.schedule.is_empty(),
        EventKind::Manual => on.manual,
    };
    Reason::NotNamed { kind, named: EventKind::ALL.iter().copied().filter(is_named).collect() }
}

/// A list that was written, with what it means.
struct Asked<'a> {
    key: &'static str,
    patterns: &'a [Spanned<String>],
}

impl Asked<'_> {
    fn is_there(&self) -> bool {
        !self.patterns.is_empty()
    }

    fn list(&self) -> List {
        List { key: self.key, patterns: self.patterns.iter().map(|pattern| pattern.value.clone()).collect() }
    }

    fn globs(&self) -> Result<Globs, Reason> {
        Globs::parse(&self.list().patterns).map_err(|error| Reason::Pattern { key: self.key, error })
    }

    fn take_name(&self, what: &'static str, name: &str) -> Result<(), Reason> {
        if !self.is_there() || self.globs()?.matches(name) {
            return Ok(());
        }
        Err(Reason::Name { what, name: name.to_owned(), list: self.list() })
    }

    fn take_paths(&self, changed: impl FnOnce() -> Option<Vec<String>>) -> Result<(), Reason> {
        if !self.is_there() {
            return Ok(());
        }
        let globs = self.globs()?;
        match changed() {
            None => Ok(()),
            Some(paths) if paths.iter().any(|path| globs.matches(path)) => Ok(()),
            Some(paths) => Err(Reason::Paths { changed: paths.len(), list: self.list() }),
        }
    }
}

fn push(filter: &PushFilter, trigger: &Trigger, changed: impl FnOnce() -> Option<Vec<String>>) -> Result<(), Reason> {
    let branches = Asked { key: "on.push.branches", patterns: &filter.branches };
    let tags = Asked { key: "on.push.tags", patterns: &filter.tags };
    let other =
        |what, name: &str, list: &Asked<'_>| Err(Reason::OtherKind { what, name: name.to_owned(), list: list.list() });
    match (&trigger.tag, &trigger.branch) {
        (Some(tag), _) if branches.is_there() && !tags.is_there() => return other("tag", tag, &branches),
        // Every file of a tag is as new as the tag.
        (Some(tag), _) => return tags.take_name("tag", tag),
        (None, Some(branch)) if tags.is_there() && !branches.is_there() => return other("branch", branch, &tags),
        (None, Some(branch)) => branches.take_name("branch", branch)?,
        (None, None) if branches.is_there() => return Err(Reason::NoBranch { list: branches.list() }),
        (None, None) if tags.is_there() => return Err(Reason::NoBranch { list: tags.list() }),
        (None, None) => {}
    }
    Asked { key: "on.push.paths", patterns: &filter.paths }.take_paths(changed)
}

fn pull_request(
    filter: &PullRequestFilter,
    trigger: &Trigger,
    changed: impl FnOnce() -> Option<Vec<String>>,
) -> Result<(), Reason> {
    let branches = Asked { key: "on.pull-request.branches", patterns: &filter.branches };
    match &trigger.base_branch {
        Some(base) => branches.take_name("branch", base)?,
        None if branches.is_there() => return Err(Reason::NoBranch { list: branches.list() }),
        None => {}
    }
    Asked { key: "on.pull-request.paths", patterns: &filter.paths }.take_paths(changed)
}

#[cfg(test)]
mod tests;
