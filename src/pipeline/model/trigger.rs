//! When a pipeline runs by itself: `on`, and `concurrency`.

use super::{Spanned, Template};

/// `on`: the events that start the pipeline.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct On {
    /// `push`.
    pub push: Option<PushFilter>,
    /// `pull-request`.
    pub pull_request: Option<PullRequestFilter>,
    /// `schedule`.
    pub schedule: Vec<Schedule>,
    /// `manual`.
    pub manual: bool,
}

/// `on.push`. A list that is empty was not written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PushFilter {
    /// `branches`: patterns. Where it is not written and `tags` is, no branch counts.
    pub branches: Vec<Spanned<String>>,
    /// `tags`: patterns. Where it is not written and `branches` is, no tag counts.
    pub tags: Vec<Spanned<String>>,
    /// `paths`: patterns of changed files. Tags are not asked for it.
    pub paths: Vec<Spanned<String>>,
}

/// `on.pull-request`. A list that is empty was not written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PullRequestFilter {
    /// `branches`: patterns of the branch to be merged into.
    pub branches: Vec<Spanned<String>>,
    /// `paths`: patterns of changed files.
    pub paths: Vec<Spanned<String>>,
}

/// An item of `on.schedule`.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// `cron`: five fields, checked.
    pub cron: Spanned<String>,
    /// `time-zone`: a name of the IANA database; UTC where not said.
    pub time_zone: Option<String>,
}

/// `concurrency`.
#[derive(Debug, Clone, PartialEq)]
pub struct Concurrency {
    /// `group`.
    pub group: Template,
    /// `cancel-in-progress`.
    pub in_progress: InProgress,
}

/// What a new run does to one of its group that runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum InProgress {
    /// Waits for its end.
    #[default]
    Keep,
    /// Stops it.
    Cancel,
}
