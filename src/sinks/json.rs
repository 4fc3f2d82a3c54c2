//! `--output json`: one event a line (docs/events.md). If it cannot be written, this sink ends and the run is told.

use std::io::{ErrorKind, Write};

use super::out::Out;
use super::{Sink, SinkError};
use crate::event::Envelope;
use crate::event::wire::Encoder;

const WHAT: &str = "standard output";

/// Writes events as JSON lines.
#[derive(Debug)]
pub struct Json<W> {
    out: Out<W>,
    encoder: Encoder,
    line: Vec<u8>,
}

impl<W: Write + Send> Json<W> {
    /// Writes to `writer`.
    pub fn new(writer: W) -> Self {
        Self { out: Out::new(writer, WHAT), encoder: Encoder::default(), line: Vec::new() }
    }
}

impl<W: Write + Send> Sink for Json<W> {
    fn take(&mut self, envelope: &Envelope) -> Result<(), SinkError> {
        self.line.clear();
        self.encoder
            .encode(envelope, &mut self.line)
            .map_err(|error| SinkError::from_io(WHAT, std::io::Error::new(ErrorKind::InvalidData, error)))?;
        self.out.push(&self.line)
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.out.flush()
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        self.out.flush()
    }
}
