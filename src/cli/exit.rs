//! Exit codes, and how a command fails: the one place that maps what happened to what the shell sees.

use std::fmt::Display;
use std::process::ExitCode;

use argon::causes::with_causes;
use argon::event::{RunResult, Status};
use argon::source::SourceError;

/// What the shell sees. The numbers are a contract (docs/exit-codes.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All green.
    Success,
    /// A job failed.
    Failure,
    /// Bad usage, or an invalid pipeline.
    Usage,
    /// Infrastructure: the engine, a pull, the disk.
    Infrastructure,
    /// Cancelled: Ctrl-C, SIGTERM, SIGHUP, or a reader that went away.
    Cancelled,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::Failure => 1,
            Exit::Usage => 2,
            Exit::Infrastructure => 3,
            Exit::Cancelled => 130,
        })
    }
}

impl From<&RunResult> for Exit {
    fn from(result: &RunResult) -> Self {
        match result.status {
            Status::Success | Status::Skipped => Self::Success,
            Status::Failure => Self::Failure,
            Status::Error => Self::Infrastructure,
            Status::Cancelled => Self::Cancelled,
        }
    }
}

/// Why a command could not do its work: for a person, with what to do next.
#[derive(Debug)]
pub(crate) struct CommandError {
    /// What the shell sees.
    pub(crate) exit: Exit,
    /// What happened, and where.
    pub(crate) message: String,
    /// What to do.
    pub(crate) hint: Option<String>,
}

impl CommandError {
    /// The user asked for what cannot be.
    pub(crate) fn usage(message: impl Display, hint: impl Display) -> Self {
        Self { exit: Exit::Usage, message: message.to_string(), hint: Some(hint.to_string()) }
    }

    /// The machinery failed.
    pub(crate) fn infrastructure(message: impl Display, hint: Option<String>) -> Self {
        Self { exit: Exit::Infrastructure, message: message.to_string(), hint }
    }
}

impl From<argon::engine::EngineError> for CommandError {
    fn from(error: argon::engine::EngineError) -> Self {
        let hint = error.hint();
        Self::infrastructure(error, hint)
    }
}

impl From<argon::plan::PlanError> for CommandError {
    fn from(error: argon::plan::PlanError) -> Self {
        let hint = error.hint();
        Self::usage(error, hint)
    }
}

impl From<SourceError> for CommandError {
    fn from(error: SourceError) -> Self {
        let exit = match error {
            SourceError::NoFolder { .. }
            | SourceError::NoRepository { .. }
            | SourceError::Bare { .. }
            | SourceError::IgnoreFile { .. }
            | SourceError::Address { .. }
            | SourceError::Revision { .. }
            | SourceError::RefGone { .. }
            | SourceError::Ambiguous { .. }
            | SourceError::Empty { .. } => Exit::Usage,
            SourceError::Interrupted => Exit::Cancelled,
            _ => Exit::Infrastructure,
        };
        Self { exit, message: with_causes(&error), hint: error.hint() }
    }
}
