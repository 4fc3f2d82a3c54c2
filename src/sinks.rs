//! Sinks: what shows, stores or forwards the events of a run; and the pump that feeds them.
//!
//! | module | owns |
//! |---|---|
//! | [`pump`] | numbers and times events, feeds every sink in order |
//! | [`choose`] | which output, whether colour, which symbols: pure decisions from facts |
//! | [`terminal`] | the live view for people at a terminal |
//! | [`plain`] | lines for pipes and CI, and `-q` |
//! | [`json`] | one event a line (docs/events.md) |
//! | [`junit`] | a JUnit XML report |
//! | [`tracker`] | what the events so far add up to; the views read it |
//! | [`summary`], [`explain`] | the last words of a run, for people |
//! | [`sanitize`] | makes a step's output harmless to a terminal |
//! | [`style`], [`out`] | colour, symbols and durations; writing bytes without panics |

pub mod choose;
pub mod explain;
pub mod json;
pub mod junit;
pub mod out;
pub mod plain;
pub mod pump;
pub mod sanitize;
pub mod style;
pub mod summary;
pub mod terminal;
pub mod tracker;

use crate::event::Envelope;

/// What takes events. Synchronous on purpose: a slow sink slows the run (its channel is bounded) instead of losing lines.
pub trait Sink: Send {
    /// Takes one event. An error ends this sink, and no other: the pump drops it and tells the run through its return value.
    fn take(&mut self, envelope: &Envelope) -> Result<(), SinkError>;

    /// Called when no event waits: the moment to hand on what is buffered, so that live output is immediate.
    fn flush(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    /// Called some ten times a second between events, for what moves by itself (spinners, elapsed times).
    fn tick(&mut self) {}

    /// Called once after the last event, also when the run was cut short.
    fn finish(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

/// Why a sink can take no more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// Its reader went away (`argon run | head`). Not a failure of the run; nothing to tell.
    #[error("the reader of the output is gone")]
    ReaderGone,
    /// It cannot be written.
    #[error("cannot write {what}: {source}")]
    Write {
        /// What was written: a path, or `standard output`.
        what: String,
        /// The cause.
        source: std::io::Error,
    },
}

impl SinkError {
    /// The error of a write to `what`. A broken pipe is a reader that went away.
    pub fn from_io(what: &str, source: std::io::Error) -> Self {
        match source.kind() {
            std::io::ErrorKind::BrokenPipe => Self::ReaderGone,
            _ => Self::Write { what: what.to_owned(), source },
        }
    }
}

/// How much people want to see.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// `-q`: failures only; nothing where all is well.
    Quiet,
    /// Steps, their output, the summary.
    #[default]
    Normal,
    /// `-v`: also what Argon does.
    Verbose,
}
