//! `concurrency` groups: of each, one run goes on at once. What a newcomer does to the others is said here.

use std::ops::Deref;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::{LONGEST_WAIT, Lease, Queue, Task, task};
use crate::store::StoreError;

/// Whether a run may begin beside those of its `concurrency` group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// It may.
    Open,
    /// Another one of the group goes on. The run was handed back, and waits for its end.
    Busy,
}

/// What a newcomer does to a run of its group that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InProgress {
    /// It waits for its end.
    Wait,
    /// It has it cancelled.
    Cancel,
}

/// A run that waits, and may be of the group of one that goes on. It is looked at, and not worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newcomer {
    id: i64,
    task: Task,
}

impl Deref for Newcomer {
    type Target = Task;

    fn deref(&self) -> &Task {
        &self.task
    }
}

/// The name of a group in the queue. A fork's runs have groups of their own: they neither wait for the repository's runs nor stop them.
fn crowd(task: &Task, group: &str) -> String {
    format!("{}\n{}\n{group}", task.repository, task.trust.word())
}

impl Queue {
    /// Joins a `concurrency` group. Where another run of it goes on, this one is handed back, to be leased when there is none
    /// any more; runs that waited for the same are dropped, and `others` says what becomes of the one that goes on.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn join(&self, lease: &Lease, group: &str, others: InProgress, now: Timestamp) -> Result<Entry, StoreError> {
        let crowd = crowd(lease, group);
        let work = || -> rusqlite::Result<Entry> {
            let work = self.db.unchecked_transaction()?;
            let entry = if is_busy(&work, lease.id, &crowd)? { Entry::Busy } else { Entry::Open };
            let sql = match entry {
                Entry::Open => "UPDATE queue SET crowd = ?3 WHERE id = ?1 AND fence = ?2 AND state = 'leased'",
                Entry::Busy => {
                    "UPDATE queue SET state = 'queued', holder = NULL, crowd = ?3 \
                     WHERE id = ?1 AND fence = ?2 AND state = 'leased'"
                }
            };
            // A lease that was lost meanwhile has no word in this.
            if work.execute(sql, params![lease.id, lease.fence, crowd])? == 1 && entry == Entry::Busy {
                crowd_out(&work, (lease.id, lease), &crowd, others, now)?;
            }
            work.commit()?;
            Ok(entry)
        };
        self.done(work())
    }

    /// The first run after the place `looked` that may be of the group of one that goes on, and waits all the same: for a place, or
    /// for a turn of its repository.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn newcomer(&self, looked: Place, now: Timestamp) -> Result<Option<Newcomer>, StoreError> {
        let mut waits = self.done(self.db.prepare_cached(
            "SELECT id, run, repository, event, payload, tries, trust FROM queue AS mine \
             WHERE EXISTS (SELECT 1 FROM queue WHERE state = 'leased') AND state = 'queued' AND id > ?1 AND (not_before <= ?2 OR not_before > ?2 + ?3) \
             AND EXISTS (SELECT 1 FROM queue AS others WHERE others.state = 'leased' AND others.id < mine.id \
                 AND others.repository = mine.repository AND others.trust = mine.trust \
                 AND CASE WHEN mine.crowd IS NULL THEN others.crowd IS NOT NULL ELSE others.crowd = mine.crowd END) \
             ORDER BY id LIMIT 1",
        ))?;
        let newcomer = waits.query_row(params![looked.0, now.as_millisecond(), LONGEST_WAIT], |row| {
            Ok(Newcomer { id: row.get(0)?, task: task(row, 1)? })
        });
        self.done(newcomer.optional())
    }

    /// Says which group a run that waits is of. Where another run of it goes on, the same becomes of that and of those that wait as
    /// when this one joins.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn foresee(
        &self,
        newcomer: &Newcomer,
        group: &str,
        others: InProgress,
        now: Timestamp,
    ) -> Result<Entry, StoreError> {
        let crowd = crowd(newcomer, group);
        let work = || -> rusqlite::Result<Entry> {
            let work = self.db.unchecked_transaction()?;
            let sql = "UPDATE queue SET crowd = ?2 WHERE id = ?1 AND state = 'queued'";
            let waits = work.execute(sql, params![newcomer.id, crowd])? == 1;
            let entry = if waits && is_busy(&work, newcomer.id, &crowd)? { Entry::Busy } else { Entry::Open };
            if entry == Entry::Busy {
                crowd_out(&work, (newcomer.id, newcomer), &crowd, others, now)?;
            }
            work.commit()?;
            Ok(entry)
        };
        self.done(work())
    }
}

/// How far the queue was looked through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place(i64);

impl Newcomer {
    /// Its place.
    #[must_use]
    pub fn place(&self) -> Place {
        Place(self.id)
    }
}

fn is_busy(db: &Connection, id: i64, crowd: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM queue WHERE state = 'leased' AND crowd = ?1 AND id <> ?2)";
    db.query_row(sql, params![crowd, id], |row| row.get(0))
}

/// What a newcomer does to the runs of its group that came before it.
fn crowd_out(
    db: &Connection,
    (id, newcomer): (i64, &Task),
    crowd: &str,
    others: InProgress,
    now: Timestamp,
) -> rusqlite::Result<()> {
    if others == InProgress::Cancel {
        db.execute(
            "UPDATE queue SET cancel = 'a newer run of its concurrency group came: run ' || ?3 \
             WHERE state = 'leased' AND crowd = ?1 AND id < ?2 AND cancel IS NULL",
            params![crowd, id, newcomer.run.as_str()],
        )?;
    }
    db.execute(
        "UPDATE queue SET state = 'done', outcome = 'superseded', finished = ?4, payload = NULL, untold = 1, \
         reason = 'superseded by run ' || ?3 || ': a newer run of its concurrency group' \
         WHERE state = 'queued' AND crowd = ?1 AND id < ?2",
        params![crowd, id, newcomer.run.as_str(), now.as_millisecond()],
    )
    .map(|_| ())
}
