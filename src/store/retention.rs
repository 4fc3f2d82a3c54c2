//! What is kept of the history, and for how long. The latest run is always kept, and so is one that goes on.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use rusqlite::OptionalExtension;

use super::StoreError;
use super::history::History;
use crate::event::RunId;

/// A folder of logs without a run is left alone for so long: its run may just begin.
const ORPHAN: Duration = Duration::from_secs(24 * 60 * 60);

/// How much is kept. What goes beyond any of these goes, the oldest first: of artifacts alone, where it is they that are too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Runs.
    pub runs: u64,
    /// Their age.
    pub age: Duration,
    /// Bytes of their logs, all together.
    pub bytes: u64,
    /// Bytes of their artifacts on the disk, all together.
    pub artifacts: u64,
}

impl Default for Keep {
    fn default() -> Self {
        Self { runs: 10_000, age: Duration::from_secs(180 * 24 * 60 * 60), bytes: 2 << 30, artifacts: 10 << 30 }
    }
}

impl History {
    /// Removes what is beyond `keep`; gives how many runs went. Safe beside runs that go on, and when it is cut short.
    ///
    /// # Errors
    /// Where the database refuses, or a log cannot be removed.
    pub fn prune(&self, keep: &Keep, now: Timestamp) -> Result<usize, StoreError> {
        let doomed = self.beyond(keep, now).map_err(|source| self.database(source))?;
        for (number, id) in &doomed {
            // The logs first: cut short here, the run is still there to be removed next time.
            self.remove_logs(id)?;
            self.db()
                .execute("DELETE FROM runs WHERE number = ?1", [number])
                .map_err(|source| self.database(source))?;
        }
        self.remove_orphans()?;
        self.remove_expired();
        self.remove_surplus(keep.artifacts)?;
        Ok(doomed.len())
    }

    fn beyond(&self, keep: &Keep, now: Timestamp) -> rusqlite::Result<Vec<(i64, RunId)>> {
        let age = i64::try_from(keep.age.as_millis()).unwrap_or(i64::MAX);
        let oldest = now.as_millisecond().saturating_sub(age);
        let mut doomed = self.db().prepare(
            "SELECT number, id FROM (
                 SELECT number, id, status, started, ROW_NUMBER() OVER latest AS nth, SUM(log_bytes) OVER latest AS bytes
                 FROM runs WINDOW latest AS (ORDER BY number DESC)
             ) WHERE nth > 1 AND status <> 'running' AND (nth > ?1 OR bytes > ?2 OR started < ?3)",
        )?;
        let limit = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let rows = doomed.query_map([limit(keep.runs), limit(keep.bytes), oldest], |row| {
            Ok((row.get(0)?, RunId::from_text(&row.get::<_, String>(1)?)))
        })?;
        rows.collect()
    }

    fn remove_logs(&self, run: &RunId) -> Result<(), StoreError> {
        remove("remove the artifacts", self.dir().artifacts_of(run).as_ref())?;
        remove("remove the logs", &self.dir().logs_of(run))
    }

    /// Artifacts whose own time is over, and what a run that is over left besides.
    fn remove_expired(&self) {
        for run in folders(&self.dir().all_artifacts()) {
            let depot = self.dir().artifacts_of(&run);
            // What cannot be removed now is tried again the next time; it is not shown any more.
            let is_over = matches!(self.standing(&run), Ok(Some((_, Standing::Over))));
            let _ = depot.prune().and_then(|_| if is_over { depot.tidy() } else { Ok(()) });
        }
    }

    /// Artifacts beyond so many bytes, those of the oldest runs first. What the latest run has stays.
    fn remove_surplus(&self, limit: u64) -> Result<(), StoreError> {
        let mut found = Vec::new();
        for run in folders(&self.dir().all_artifacts()) {
            if let Some((number, standing)) = self.standing(&run).map_err(|source| self.database(source))? {
                // One that cannot be read is removed with its run.
                let bytes = self.dir().artifacts_of(&run).bytes_on_disk().unwrap_or(0);
                found.push((number, standing, bytes, run));
            }
        }
        let latest: Option<i64> = self
            .db()
            .query_row("SELECT MAX(number) FROM runs", [], |row| row.get(0))
            .map_err(|source| self.database(source))?;
        found.sort_by_key(|(number, ..)| std::cmp::Reverse(*number));
        let mut sum = 0u64;
        for (number, standing, bytes, run) in found {
            sum = sum.saturating_add(bytes);
            if sum > limit && Some(number) != latest && standing == Standing::Over {
                remove("remove the artifacts", self.dir().artifacts_of(&run).as_ref())?;
            }
        }
        Ok(())
    }

    /// The number of a run and whether it goes on; `None` where it is not known.
    fn standing(&self, run: &RunId) -> rusqlite::Result<Option<(i64, Standing)>> {
        self.db()
            .prepare_cached("SELECT number, status = 'running' FROM runs WHERE id = ?1")?
            .query_row([run.as_str()], |row| {
                Ok((row.get(0)?, if row.get(1)? { Standing::GoesOn } else { Standing::Over }))
            })
            .optional()
    }

    /// Logs and artifacts whose run is not known: of a history that was moved aside.
    fn remove_orphans(&self) -> Result<(), StoreError> {
        let old = SystemTime::now().checked_sub(ORPHAN).unwrap_or(SystemTime::UNIX_EPOCH);
        for above in [self.dir().all_logs(), self.dir().all_artifacts()] {
            for run in folders(&above) {
                let modified = fs::metadata(above.join(run.as_str())).and_then(|found| found.modified());
                let is_old = modified.is_ok_and(|time| time < old);
                if is_old && self.standing(&run).map_err(|source| self.database(source))?.is_none() {
                    self.remove_logs(&run)?;
                }
            }
        }
        Ok(())
    }
}

/// Whether a run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    GoesOn,
    Over,
}

/// The runs that have a folder here.
fn folders(above: &Path) -> Vec<RunId> {
    let Ok(entries) = fs::read_dir(above) else { return Vec::new() };
    entries.flatten().filter_map(|entry| Some(RunId::from_text(entry.file_name().to_str()?))).collect()
}

fn remove(what: &'static str, path: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(path) {
        Err(source) if source.kind() != ErrorKind::NotFound => {
            Err(StoreError::File { what, path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}
