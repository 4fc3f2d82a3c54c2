//! What is kept of the history, and for how long. The latest run is always kept, and so is one that goes on.

use std::fs;
use std::io::ErrorKind;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use super::StoreError;
use super::history::History;
use crate::artifact::Depot;
use crate::event::RunId;

/// A folder of logs without a run is left alone for so long: its run may just begin.
const ORPHAN: Duration = Duration::from_secs(24 * 60 * 60);

/// How much is kept. What goes beyond any of the three goes, the oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Runs.
    pub runs: u64,
    /// Their age.
    pub age: Duration,
    /// Bytes of their logs, all together.
    pub bytes: u64,
}

impl Default for Keep {
    fn default() -> Self {
        Self { runs: 10_000, age: Duration::from_secs(180 * 24 * 60 * 60), bytes: 2 << 30 }
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
        let artifacts = self.dir().artifacts_of(run);
        for (what, path) in
            [("remove the artifacts", artifacts.as_ref()), ("remove the logs", &self.dir().logs_of(run))]
        {
            match fs::remove_dir_all(path) {
                Err(source) if source.kind() != ErrorKind::NotFound => {
                    return Err(StoreError::File { what, path: path.to_owned(), source });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Artifacts whose own time is over.
    fn remove_expired(&self) {
        let Ok(folders) = fs::read_dir(self.dir().all_artifacts()) else { return };
        for folder in folders.flatten() {
            // What cannot be removed now is tried again the next time; it is not shown any more.
            let _ = Depot::new(folder.path()).prune();
        }
    }

    /// Logs whose run is not known: of a history that was moved aside.
    fn remove_orphans(&self) -> Result<(), StoreError> {
        let Ok(folders) = fs::read_dir(self.dir().all_logs()) else { return Ok(()) };
        let old = SystemTime::now().checked_sub(ORPHAN).unwrap_or(SystemTime::UNIX_EPOCH);
        for folder in folders.flatten() {
            let is_old = folder.metadata().and_then(|meta| meta.modified()).is_ok_and(|time| time < old);
            let name = folder.file_name();
            let Some(id) = name.to_str().filter(|_| is_old) else { continue };
            let known =
                self.db().prepare_cached("SELECT 1 FROM runs WHERE id = ?1").and_then(|mut run| run.exists([id]));
            if !known.map_err(|source| self.database(source))? {
                self.remove_logs(&RunId::from_text(id))?;
            }
        }
        Ok(())
    }
}
