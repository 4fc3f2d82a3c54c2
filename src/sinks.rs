//! Sinks: what shows, stores or forwards the events of a run; and the pump that feeds them.

use crate::event::Envelope;

/// What takes events. Synchronous on purpose: a slow sink slows the run (its channel is bounded) instead of losing lines.
pub trait Sink: Send {
    /// Takes one event. An error ends this sink, and no other: the pump drops it and tells the run through its return value.
    fn take(&mut self, envelope: &Envelope) -> Result<(), SinkError>;

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
