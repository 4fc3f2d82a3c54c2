//! Ends of runs that are still to be told: of those that nobody worked on when they ended, and of those whose record could not be
//! written. The mark is in the transaction of the end itself, so whoever tells it may be killed at any time.

use jiff::Timestamp;
use rusqlite::params;

use super::{Lease, Letter, Outcome, Part, Queue};
use crate::event::RunId;
use crate::store::StoreError;

/// A run whose end is still to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untold {
    /// The run.
    pub run: RunId,
    /// Its repository, as the configuration names it.
    pub repository: String,
    /// The kind of its event, as it stands under `on`.
    pub event: String,
    /// What started it, as JSON.
    pub trigger: String,
    /// How it ended.
    pub outcome: Outcome,
    /// When.
    pub finished: Timestamp,
    /// What others were told of its beginning: they wait for its end.
    pub announced: Vec<Letter>,
}

impl Queue {
    /// Marks the end of a run as one to be told later, before it ends.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn tell_later(&self, lease: &Lease) -> Result<(), StoreError> {
        let sql = "UPDATE queue SET untold = 1 WHERE id = ?1 AND fence = ?2 AND state = 'leased'";
        self.done(self.db.execute(sql, params![lease.id, lease.fence]).map(|_| ()))
    }

    /// Runs whose ends are still to be told, the first one first.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn untold(&self, limit: u32) -> Result<Vec<Untold>, StoreError> {
        let work = || -> rusqlite::Result<Vec<Untold>> {
            let mut untold = self.db.prepare_cached(
                "SELECT run, repository, event, trigger, outcome, reason, finished FROM queue \
                 INDEXED BY queue_untold WHERE untold = 1 AND state = 'done' ORDER BY id LIMIT ?1",
            )?;
            let rows = untold.query_map([limit], |row| {
                let run = row.get::<_, String>(0)?;
                Ok(Untold {
                    announced: self.announced(&run)?,
                    run: RunId::from_text(&run),
                    repository: row.get(1)?,
                    event: row.get(2)?,
                    trigger: row.get(3)?,
                    outcome: Outcome { word: row.get(4)?, reason: row.get(5)? },
                    finished: Timestamp::from_millisecond(row.get(6)?).unwrap_or_default(),
                })
            })?;
            rows.collect()
        };
        self.done(work())
    }

    fn announced(&self, run: &str) -> rusqlite::Result<Vec<Letter>> {
        let mut begun = self.db.prepare_cached("SELECT address, body FROM outbox WHERE run = ?1 AND part = 'begun'")?;
        let letters =
            begun.query_map([run], |row| Ok(Letter { address: row.get(0)?, part: Part::Begun, body: row.get(1)? }))?;
        letters.collect()
    }

    /// Takes note that the ends of runs are told.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn told(&self, runs: &[RunId]) -> Result<(), StoreError> {
        let work = || -> rusqlite::Result<()> {
            let work = self.db.unchecked_transaction()?;
            for run in runs {
                work.prepare_cached("UPDATE queue SET untold = 0 WHERE run = ?1")?.execute([run.as_str()])?;
            }
            work.commit()
        };
        self.done(work())
    }

    /// Whether others were told that a run goes on, and wait for its end.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn is_announced(&self, run: &RunId) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM outbox WHERE run = ?1 AND part = 'begun')";
        self.done(self.db.query_row(sql, [run.as_str()], |row| row.get(0)))
    }
}
