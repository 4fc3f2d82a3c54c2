//! Where a step's output lies, and finding text in it. A file holds the step's bytes as they came, after masking.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::SystemTime;

use memchr::memmem::Finder;

use super::StateDir;
use crate::event::RunId;

/// How much of a log is looked at at once.
const PIECE: usize = 256 * 1024;

/// How much of the line around a find is shown, in bytes on either side.
const AROUND: usize = 160;

/// A step of a run, by the positions of its job and itself, from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogId {
    /// The run.
    pub run: RunId,
    /// The job's position in the plan.
    pub job: usize,
    /// The step's position in the job.
    pub step: usize,
}

impl LogId {
    /// Its file.
    pub(super) fn path(&self, dir: &StateDir) -> PathBuf {
        dir.logs_of(&self.run).join(format!("{}-{}.log", self.job, self.step))
    }
}

/// Where a service of a job writes. Its name is a label of DNS.
pub(super) fn service_log(dir: &StateDir, run: &RunId, job: usize, service: &str) -> PathBuf {
    dir.logs_of(run).join(format!("{job}-service-{service}.log"))
}

/// Where the events of a run are, one a line.
pub(super) fn events_of(dir: &StateDir, run: &RunId) -> PathBuf {
    dir.logs_of(run).join("events.jsonl")
}

/// The events of a run, one a line, as `--output json` has them; `None` where it has none, as it never came to a job.
///
/// # Errors
/// Where they cannot be read.
pub fn events(dir: &StateDir, run: &RunId) -> io::Result<Option<File>> {
    match File::open(events_of(dir, run)) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The output of one step, from an offset on. A step that printed nothing has an empty one.
#[derive(Debug)]
pub struct Log {
    file: Option<File>,
}

impl Log {
    /// Opens it at this offset, in bytes.
    ///
    /// # Errors
    /// Where there is a file that cannot be read.
    pub fn open(dir: &StateDir, id: &LogId, offset: u64) -> io::Result<Self> {
        match File::open(id.path(dir)) {
            Ok(mut file) => {
                file.seek(SeekFrom::Start(offset))?;
                Ok(Self { file: Some(file) })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self { file: None }),
            Err(error) => Err(error),
        }
    }
}

impl Log {
    /// Opens it so many bytes before its end, or at its beginning.
    ///
    /// # Errors
    /// Where there is a file that cannot be read.
    pub fn open_end(dir: &StateDir, id: &LogId, bytes: u64) -> io::Result<Self> {
        let length = match std::fs::metadata(id.path(dir)) {
            Ok(file) => file.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        Self::open(dir, id, length.saturating_sub(bytes))
    }
}

/// Which file a log is: one that was made anew, as its run was tried again, is another, though it has the same path. Its number
/// alone does not tell: a file system gives that of a file that is gone to the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogFile {
    device: u64,
    inode: u64,
    /// When it was made, where the file system tells.
    made: Option<SystemTime>,
}

impl Log {
    /// Which file it is, and how long by now; `None` where there is none.
    ///
    /// # Errors
    /// Where the system does not tell.
    pub fn file(&self) -> io::Result<Option<(LogFile, u64)>> {
        let Some(file) = &self.file else { return Ok(None) };
        let meta = file.metadata()?;
        let file = LogFile { device: meta.dev(), inode: meta.ino(), made: meta.created().ok() };
        Ok(Some((file, meta.len())))
    }

    /// Goes to this offset.
    ///
    /// # Errors
    /// Where there is a file that cannot be read.
    pub fn go_to(&mut self, offset: u64) -> io::Result<()> {
        match &mut self.file {
            Some(file) => file.seek(SeekFrom::Start(offset)).map(|_| ()),
            None => Ok(()),
        }
    }

    /// The file, where there is one, at the offset that it was opened at.
    #[must_use]
    pub fn into_file(self) -> Option<File> {
        self.file
    }
}

impl Read for Log {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.file.as_mut().map_or(Ok(0), |file| file.read(into))
    }
}

/// What the services of a job wrote: each's name and its file, by name.
///
/// # Errors
/// Where the folder or a file cannot be read.
pub fn services(dir: &StateDir, run: &RunId, job: usize) -> io::Result<Vec<(String, File)>> {
    let entries = match std::fs::read_dir(dir.logs_of(run)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    let prefix = format!("{job}-service-");
    for entry in entries {
        let entry = entry?;
        let file = entry.file_name();
        let name = file.to_str().and_then(|name| name.strip_prefix(&prefix)?.strip_suffix(".log"));
        if let Some(name) = name {
            found.push((name.to_owned(), File::open(entry.path())?));
        }
    }
    found.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(found)
}

/// The first line of the log that has the text, cut around it where it is long.
///
/// # Errors
/// Where the log cannot be read.
pub fn find_line(mut log: impl Read, text: &Finder<'_>) -> io::Result<Option<String>> {
    let overlap = text.needle().len().saturating_sub(1).max(AROUND);
    let mut window: Vec<u8> = Vec::new();
    loop {
        let kept = window.len();
        let read = (&mut log).take(PIECE as u64).read_to_end(&mut window)?;
        // What ended with the last piece was looked for already, except where the text reaches over its end.
        let from = kept.saturating_sub(text.needle().len());
        if let Some(at) = text.find(&window[from..]) {
            // The rest of the line may not be here yet.
            (&mut log).take(AROUND as u64).read_to_end(&mut window)?;
            return Ok(Some(line_around(&window, from + at, text.needle().len())));
        }
        if read == 0 {
            return Ok(None);
        }
        window.drain(..window.len().saturating_sub(overlap));
    }
}

fn line_around(window: &[u8], at: usize, length: usize) -> String {
    let (before, after) = (&window[..at], &window[at + length..]);
    let begin = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1).max(at.saturating_sub(AROUND));
    let end = memchr::memchr(b'\n', after).unwrap_or(after.len()).min(AROUND);
    String::from_utf8_lossy(&window[begin..at + length + end]).trim().to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn find(log: &[u8], text: &str) -> Option<String> {
        find_line(log, &Finder::new(text)).unwrap()
    }

    #[test]
    fn the_line_of_a_find_is_told_wherever_the_pieces_break() {
        assert_eq!(find(b"one\ntwo three\nfour", "three"), Some("two three".into()));
        assert_eq!(find(b"one\ntwo", "four"), None);
        assert_eq!(find(b"", "x"), None);
        for shift in 0..12 {
            let mut log = vec![b'.'; PIECE - 6 + shift];
            log.extend_from_slice(b"\nneedle here\nafter");
            assert_eq!(find(&log, "needle"), Some("needle here".into()), "{shift}");
        }
    }

    #[test]
    fn of_a_very_long_line_what_is_around_the_find_is_told() {
        let log = [vec![b'a'; 3 * PIECE], b"needle".to_vec(), vec![b'b'; PIECE]].concat();
        let line = find(&log, "needle").unwrap();
        assert!(line.len() <= 2 * AROUND + 6 && line.contains("aneedleb"), "{line}");
    }
}
