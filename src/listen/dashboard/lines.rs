//! A log by its lines, however long it is: where each thousandth begins is known, and what is asked for is read.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::{Mutex, PoisonError};

use memchr::{memchr, memchr_iter};

use super::ansi::{Piece, pieces};
use crate::store::StateDir;
use crate::store::logs::{Log, LogFile, LogId};

/// How many lines lie between two known places.
const EVERY: u64 = 1000;

/// How many lines are given at once.
pub(super) const MOST: u64 = 2000;

/// How much of a line is shown, in bytes.
const LINE: usize = 16 * 1024;

/// How much is read at once.
const PIECE: usize = 256 * 1024;

/// How many logs are known at once.
const LOGS: usize = 256;

/// Some lines of a log.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(super) struct Window {
    /// How many lines the log has by now.
    pub(super) total: u64,
    /// The first one here, from 0.
    pub(super) from: u64,
    /// The lines.
    pub(super) lines: Vec<Vec<Piece>>,
}

impl Window {
    /// The lines with the numbers that people count them by, from 1.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (u64, &Vec<Piece>)> {
        (self.from + 1..).zip(&self.lines)
    }
}

/// Where lines begin, of the logs that were looked at.
#[derive(Debug, Default)]
pub(super) struct Lines(Mutex<HashMap<String, Index>>);

/// Where lines of one log begin.
#[derive(Debug, Clone, Default)]
struct Index {
    /// Of which file. A run that is tried again makes its logs anew.
    file: Option<LogFile>,
    /// Where each [`EVERY`]th line begins, but the first.
    places: Vec<u64>,
    /// How much was looked through, in bytes.
    seen: u64,
    /// How many line ends were in it.
    ends: u64,
    /// Something came behind the last one.
    is_open: bool,
}

impl Index {
    fn total(&self) -> u64 {
        self.ends + u64::from(self.is_open)
    }

    /// Goes on to where the log ends by now.
    fn extend(&mut self, mut log: impl Read) -> io::Result<()> {
        let mut piece = vec![0; PIECE];
        loop {
            let read = log.read(&mut piece)?;
            let Some(last) = piece[..read].last() else { return Ok(()) };
            for end in memchr_iter(b'\n', &piece[..read]) {
                self.ends += 1;
                if self.ends.is_multiple_of(EVERY) {
                    self.places.push(self.seen + end as u64 + 1);
                }
            }
            self.is_open = *last != b'\n';
            self.seen += read as u64;
        }
    }
}

impl Lines {
    /// So many lines from this one on; [`MOST`] at most. Blocks.
    pub(super) fn window(&self, state: &StateDir, id: &LogId, from: u64, count: u64) -> io::Result<Window> {
        let index = self.index(state, id)?;
        let from = from.min(index.total());
        let near = usize::try_from(from / EVERY).unwrap_or(usize::MAX);
        let place = near.checked_sub(1).and_then(|at| index.places.get(at)).copied().unwrap_or(0);
        let skip = if place == 0 { from } else { from % EVERY };
        let mut log = BufReader::with_capacity(PIECE, Log::open(state, id, place)?.take(index.seen - place));
        for _ in 0..skip {
            line(&mut log, 0)?;
        }
        let mut lines = Vec::new();
        while (lines.len() as u64) < count.min(MOST) {
            match line(&mut log, LINE)? {
                Some(bytes) => lines.push(pieces(&bytes)),
                None => break,
            }
        }
        Ok(Window { total: index.total(), from, lines })
    }

    /// How many lines and bytes there are by now. Blocks.
    pub(super) fn extent(&self, state: &StateDir, id: &LogId) -> io::Result<(u64, u64)> {
        let index = self.index(state, id)?;
        Ok((index.total(), index.seen))
    }

    fn index(&self, state: &StateDir, id: &LogId) -> io::Result<Index> {
        let key = format!("{} {} {}", id.run, id.job, id.step);
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut index = known().get(&key).cloned().unwrap_or_default();
        let mut log = Log::open(state, id, 0)?;
        let (file, length) = log.file()?.unzip();
        if file != index.file || length.unwrap_or(0) < index.seen {
            index = Index { file, ..Index::default() };
        }
        log.go_to(index.seen)?;
        index.extend(log)?;
        let mut known = known();
        if known.len() >= LOGS {
            known.clear();
        }
        known.insert(key, index.clone());
        Ok(index)
    }
}

/// The next line, as far as `keep` goes; `None` at the end.
fn line(log: &mut impl BufRead, keep: usize) -> io::Result<Option<Vec<u8>>> {
    let (mut bytes, mut any) = (Vec::new(), false);
    loop {
        let piece = log.fill_buf()?;
        if piece.is_empty() {
            return Ok(any.then_some(bytes));
        }
        any = true;
        let end = memchr(b'\n', piece);
        let part = &piece[..end.unwrap_or(piece.len())];
        bytes.extend_from_slice(&part[..part.len().min(keep.saturating_sub(bytes.len()))]);
        let used = end.map_or(piece.len(), |end| end + 1);
        log.consume(used);
        if end.is_some() {
            return Ok(Some(bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Write;

    use super::*;
    use crate::event::RunId;

    #[test]
    fn any_window_of_a_log_is_what_its_lines_are_also_while_it_grows() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::new(folder.path());
        let id = LogId { run: RunId::from_text("r"), job: 0, step: 0 };
        let path = folder.path().join("logs/r/0-0.log");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut log = std::fs::File::create(&path).unwrap();
        let all = Lines::default();
        assert_eq!(all.window(&state, &id, 0, 10).unwrap(), Window { total: 0, from: 0, lines: Vec::new() });
        let mut written = 0u64;
        for upto in [1, 999, 1000, 1001, 2500, 10_000] {
            while written < upto {
                writeln!(log, "line {written}").unwrap();
                written += 1;
            }
            for from in [0, 1, 998, 999, 1000, 1001, 1999, 2000, upto.saturating_sub(3), upto, upto + 9] {
                let window = all.window(&state, &id, from, 5).unwrap();
                assert_eq!((window.total, window.from), (upto, from.min(upto)));
                let expected: Vec<String> =
                    (window.from..(window.from + 5).min(upto)).map(|n| format!("line {n}")).collect();
                let got: Vec<String> = window.lines.iter().map(|line| line[0].text.clone()).collect();
                assert_eq!(got, expected, "{upto} {from}");
            }
        }
        write!(log, "open").unwrap();
        let window = all.window(&state, &id, 10_000, 5).unwrap();
        assert_eq!((window.total, window.lines[0][0].text.as_str()), (10_001, "open"));
        write!(log, "ed\n{}\nafter\n", "x".repeat(3 * LINE)).unwrap();
        let window = all.window(&state, &id, 10_000, 5).unwrap();
        assert_eq!(window.total, 10_003);
        let lengths: Vec<usize> =
            window.lines.iter().map(|line| line.iter().map(|piece| piece.text.len()).sum()).collect();
        assert_eq!(lengths, [6, LINE, 5]);
    }

    #[test]
    fn a_log_that_is_made_anew_is_read_anew_however_long_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::new(folder.path());
        let id = LogId { run: RunId::from_text("r"), job: 0, step: 0 };
        let path = folder.path().join("logs/r/0-0.log");
        let all = Lines::default();
        let write = |line: &str, count: usize| {
            // As a recorder does: the folder goes with all that is in it.
            let _ = std::fs::remove_dir_all(path.parent().unwrap());
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, format!("{line}\n").repeat(count)).unwrap();
        };
        let last = || {
            let (total, _) = all.extent(&state, &id).unwrap();
            let window = all.window(&state, &id, total - 1, 1).unwrap();
            (total, window.lines[0][0].text.clone())
        };
        for (line, count) in
            [("the first try", 3000), ("2", 2500), ("the third try, longer", 9000), ("4th, the same size..", 9000)]
        {
            write(line, count);
            assert_eq!(last(), (count as u64, line.to_owned()));
        }
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
        assert_eq!(all.extent(&state, &id).unwrap(), (0, 0));
    }
}
