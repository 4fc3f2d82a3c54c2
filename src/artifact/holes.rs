//! Writing a file in which runs of zeros take no room.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

/// What is looked at together: zeros alone in it are left out.
const PIECE: usize = 32 * 1024;

/// Writes an empty file. A container makes terabytes of zeros with one call; here they cost as little. Flushed, it is whole.
#[allow(missing_debug_implementations, reason = "nobody looks at it")]
pub struct Holes {
    file: File,
    piece: Vec<u8>,
}

impl Holes {
    pub(super) fn new(file: File) -> Self {
        Self { file, piece: Vec::with_capacity(PIECE) }
    }

    fn put(&mut self) -> io::Result<()> {
        if self.piece.iter().all(|byte| *byte == 0) {
            self.file.seek(SeekFrom::Current(i64::try_from(self.piece.len()).map_err(io::Error::other)?))?;
        } else {
            self.file.write_all(&self.piece)?;
        }
        self.piece.clear();
        Ok(())
    }
}

impl Write for Holes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.piece.len() == PIECE {
            self.put()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.put()?;
        // A hole at the end is in no write.
        let end = self.file.stream_position()?;
        self.file.set_len(end)?;
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn runs_of_zeros_take_no_room_and_read_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let zeros = vec![0; 4 * 1024 * 1024];
        let written = [b"begin".as_slice(), &zeros, b"middle", &zeros].concat();
        let mut holes = Holes::new(File::create_new(&path).unwrap());
        written.chunks(1000).for_each(|chunk| holes.write_all(chunk).unwrap());
        holes.flush().unwrap();
        assert!(std::fs::read(&path).unwrap() == written);
        let on_disk = std::fs::metadata(&path).unwrap().blocks() * 512;
        assert!(on_disk <= 4 * PIECE as u64, "{on_disk}");
    }
}
