//! An archive that is read to its mark of an end, or not believed.

use std::io::{self, Read};

/// Sees whether what is read came to an end of its own: an archive ends with a mark, behind which nobody reads on.
pub(super) struct Whole<R> {
    inner: R,
    broke_off: bool,
}

impl<R> Whole<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, broke_off: false }
    }

    /// To be asked when all entries were read.
    pub(super) fn seen_to_its_end(&self) -> io::Result<()> {
        match self.broke_off {
            true => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it breaks off")),
            false => Ok(()),
        }
    }
}

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.broke_off |= read == 0 && !into.is_empty();
        Ok(read)
    }
}
