//! Writing to standard output (or anything else): large writes, no panics, a reader that left is told from an error.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::time::Duration;

use super::SinkError;

/// Past this much, what is buffered goes out.
const CAPACITY: usize = 64 * 1024;

/// A buffered writer for sinks.
#[derive(Debug)]
pub struct Out<W> {
    writer: W,
    buffer: Vec<u8>,
    what: &'static str,
}

impl<W: Write> Out<W> {
    /// Writes to `writer`, which people know as `what`.
    pub fn new(writer: W, what: &'static str) -> Self {
        Self { writer, buffer: Vec::with_capacity(CAPACITY), what }
    }

    /// Writes the bytes, now or with the next flush. Large ones are not copied.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        if self.buffer.len() + bytes.len() > CAPACITY {
            self.drain()?;
        }
        if bytes.len() >= CAPACITY / 4 {
            self.drain()?;
            return self.write(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes out all that is buffered.
    pub fn flush(&mut self) -> Result<(), SinkError> {
        self.drain()?;
        self.writer.flush().map_err(|error| SinkError::from_io(self.what, error))
    }

    fn drain(&mut self) -> Result<(), SinkError> {
        let buffer = std::mem::take(&mut self.buffer);
        let written = self.write(&buffer);
        self.buffer = buffer;
        self.buffer.clear();
        written
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<(), SinkError> {
        while !bytes.is_empty() {
            match self.writer.write(bytes) {
                Ok(0) => return Err(SinkError::from_io(self.what, ErrorKind::WriteZero.into())),
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // A parent may have left the pipe non-blocking; waiting is what a blocking one would do.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(error) => return Err(SinkError::from_io(self.what, error)),
            }
        }
        Ok(())
    }
}

/// Standard output without the line buffer of [`io::stdout`], which would flush at every newline.
pub fn stdout() -> io::Result<File> {
    #[cfg(unix)]
    let handle = std::os::fd::AsFd::as_fd(&io::stdout()).try_clone_to_owned()?;
    #[cfg(windows)]
    let handle = std::os::windows::io::AsHandle::as_handle(&io::stdout()).try_clone_to_owned()?;
    Ok(File::from(handle))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_broken_pipe_is_a_reader_that_left() {
        let mut out = Out::new(Gone, "standard output");
        out.push(b"x").unwrap();
        assert!(matches!(out.flush(), Err(SinkError::ReaderGone)));
        assert!(matches!(out.push(&[0; CAPACITY]), Err(SinkError::ReaderGone)));
    }

    #[test]
    fn bytes_keep_their_order() {
        let mut written = Vec::new();
        let mut out = Out::new(&mut written, "memory");
        let mut expected = Vec::new();
        for (value, size) in [(1u8, 10), (2, CAPACITY), (3, CAPACITY / 4 - 1), (4, CAPACITY - 1), (5, 1)] {
            out.push(&vec![value; size]).unwrap();
            expected.extend(vec![value; size]);
        }
        out.flush().unwrap();
        assert!(written == expected);
    }
}
