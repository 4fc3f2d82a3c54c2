//! The durable queue of `argon listen`: deliveries that were accepted, and the runs that they lead to.
//!
//! A run stays in the queue until it has an outcome. Whoever works on it holds a [`Lease`], which ends by itself when it is not
//! renewed; its fence is a number that rises with every lease, so that a holder that was thought dead cannot end what another
//! one is at. Every change is on the disk (`synchronous = FULL`) when the call returns.

mod crowd;
mod ignored;
mod intake;
mod origin;
pub mod outbox;
mod refs;
mod untold;

use std::ops::Deref;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

pub use crowd::{Entry, InProgress, Newcomer, Place};
pub use ignored::Ignored;
pub use origin::Origin;
pub use outbox::{Due, Letter, Part, Tried};
pub use untold::Untold;

use super::database::{self, Look, MovedAside, after};
use super::{StateDir, StoreError};
use crate::event::{RunId, Status};

pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("schema/queue-1.sql"),
    include_str!("schema/queue-2.sql"),
    include_str!("schema/queue-3.sql"),
    include_str!("schema/queue-4.sql"),
    include_str!("schema/queue-5.sql"),
];

/// Nothing is ever told to wait for so long, in milliseconds: what seems to was told before the clock was set back.
const LONGEST_WAIT: i64 = 6 * 60 * 60 * 1000;

/// How many leases of a run may end without an outcome before whoever leases it next gives it up.
pub const MAX_TRIES: u32 = 3;

/// The queue of a state folder.
#[derive(Debug)]
pub struct Queue {
    db: Connection,
    path: PathBuf,
}

/// A delivery, to be remembered before it is acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The forge's word, or `poll`, `schedule`, `manual`.
    pub forge: String,
    /// The repository, as the configuration names it.
    pub repository: String,
    /// The kind of event, as the forge or `on` calls it.
    pub event: String,
    /// The forge's id of the delivery.
    pub delivery: Option<String>,
    /// SHA-256 of the body, in hex.
    pub body_hash: String,
    /// When it came.
    pub received: Timestamp,
    /// What is to be done about it.
    pub wanted: Wanted,
}

/// What a delivery asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// A run.
    Run(Order),
    /// Nothing, for this reason.
    Nothing(String),
    /// Nothing, as a branch or a tag is gone. One of that name that comes later is a new one.
    Gone {
        /// Its full name.
        reference: String,
        /// Where it was, where that is said. One that is elsewhere by now was made anew, and is left alone.
        commit: Option<String>,
        /// Why nothing is to be run, for people.
        why: String,
    },
}

/// A run to be queued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The kind of its event, as it stands under `on`.
    pub event: String,
    /// Of the waiting runs with one such key the latest alone is run: `push main`.
    pub latest: Option<String>,
    /// What started it, as JSON.
    pub trigger: String,
    /// The payload as it came.
    pub payload: Vec<u8>,
    /// What it says of a branch or a tag.
    pub moved: Option<Moved>,
    /// Whose commits it is about.
    pub trust: Trust,
}

/// Whose commits a run is of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Trust {
    /// The repository's own.
    #[default]
    Own,
    /// Those of a fork, whose owner may be anybody. Such a run is held until somebody approves it.
    Fork,
}

impl Trust {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Fork => "fork",
        }
    }

    fn from_word(word: &str) -> Self {
        // What is not known is not trusted.
        if word == "own" { Self::Own } else { Self::Fork }
    }
}

/// A branch or a tag that points to another commit than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Its full name: `refs/heads/main`.
    pub reference: String,
    /// The commit.
    pub commit: String,
    /// Where it was before, where that is said.
    pub before: Option<String>,
}

/// What came of an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// It waits.
    Queued(RunId),
    /// It led to this run before.
    Again(RunId),
    /// It came late: what was pushed after it is known, and this run of it was superseded at once.
    Superseded(RunId),
    /// It was noted, and leads to no run.
    Noted,
}

/// What a run of the queue is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// The run.
    pub run: RunId,
    /// Its repository, as the configuration names it.
    pub repository: String,
    /// The kind of its event, as it stands under `on`.
    pub event: String,
    /// The payload as it came.
    pub payload: Vec<u8>,
    /// How many leases of it ended without an outcome before.
    pub tries: u32,
    /// Whose commits it is of.
    pub trust: Trust,
}

/// A run that somebody works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    id: i64,
    fence: i64,
    task: Task,
}

impl Deref for Lease {
    type Target = Task;

    fn deref(&self) -> &Task {
        &self.task
    }
}

/// Whether the wall clock can tell that a lease ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// It goes on as time does.
    Steady,
    /// It was set, or the machine slept: holders that live shall renew their leases first.
    Jumped,
}

/// Whether a lease still counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// It does.
    Yes,
    /// It does, and the run is to be stopped, for this reason.
    Cancel(String),
    /// Another has the run by now, or it is over.
    Lost,
}

/// How a run ended, for the queue: a status, or why it never came to one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// `success`, `failure`, `cancelled`, `error`, `not-triggered`, `ref-gone`, `superseded`, `given-up`.
    pub word: String,
    /// Why, for people.
    pub reason: Option<String>,
}

/// How much waits and goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Runs that wait, also for an approval.
    pub queued: u64,
    /// Runs that somebody works on.
    pub leased: u64,
}

/// A run that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The run.
    pub run: RunId,
    /// Its repository, as the configuration names it.
    pub repository: String,
    /// The kind of its event.
    pub event: String,
    /// The branch or tag, by its full name.
    pub reference: Option<String>,
    /// Since when.
    pub queued: Timestamp,
    /// It is a fork's, and waits for somebody to approve it.
    pub is_held: bool,
}

/// A run of the queue, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entered {
    /// The run.
    pub run: RunId,
    /// `queued`, `held`, `leased`, `done`.
    pub state: String,
    /// How it ended.
    pub outcome: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

impl Outcome {
    /// With a reason.
    #[must_use]
    pub fn new(word: &str, reason: impl Into<String>) -> Self {
        Self { word: word.to_owned(), reason: Some(reason.into()) }
    }

    /// The status that it comes to.
    #[must_use]
    pub fn status(&self) -> Status {
        match self.word.as_str() {
            "success" => Status::Success,
            "failure" => Status::Failure,
            "error" | "given-up" => Status::Error,
            "cancelled" => Status::Cancelled,
            _ => Status::Skipped,
        }
    }
}

impl Queue {
    /// Opens the queue, and makes it where there is none. One that is damaged is moved aside.
    ///
    /// # Errors
    /// Where it cannot be made or used, or a newer argon wrote it.
    pub fn open(dir: &StateDir) -> Result<(Self, Option<MovedAside>), StoreError> {
        let path = dir.queue();
        let (db, moved) = database::open(&path, MIGRATIONS, Look::Through)?;
        let queue = Self { db, path };
        // What was acknowledged must outlive the machine's power.
        queue.done(queue.db.execute_batch("PRAGMA synchronous = FULL"))?;
        Ok((queue, moved))
    }

    fn done<T>(&self, result: rusqlite::Result<T>) -> Result<T, StoreError> {
        result.map_err(|source| StoreError::Database { path: self.path.clone(), source })
    }

    /// Remembers deliveries, all in one transaction, and queues the runs that they lead to.
    ///
    /// # Errors
    /// Where the database refuses: then none of them is remembered.
    pub fn accept(&mut self, offers: &[Offer]) -> Result<Vec<Accepted>, StoreError> {
        let path = self.path.clone();
        let mut work = || -> rusqlite::Result<Vec<Accepted>> {
            let work = Transaction::new(&mut self.db, TransactionBehavior::Immediate)?;
            let accepted = offers.iter().map(|offer| intake::accept(&work, offer)).collect::<rusqlite::Result<_>>()?;
            work.commit()?;
            Ok(accepted)
        };
        work().map_err(|source| StoreError::Database { path, source })
    }

    /// Leases the run that waits longest, until `now + lasts`; `None` where none may begin. A repository has at most
    /// `per_repository` runs at once; one that waits for its `concurrency` group begins when no run of that goes on.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn lease(
        &self,
        holder: &str,
        now: Timestamp,
        lasts: Duration,
        per_repository: u32,
    ) -> Result<Option<Lease>, StoreError> {
        let mut claim = self.done(self.db.prepare_cached(
            "UPDATE queue SET state = 'leased', fence = fence + 1, holder = ?1, leased_till = ?3 WHERE id = (
                 SELECT id FROM queue AS mine WHERE state = 'queued'
                 AND (not_before <= ?2 OR not_before > ?2 + ?5)
                 AND (SELECT COUNT(*) FROM queue AS others
                      WHERE others.state = 'leased' AND others.repository = mine.repository) < ?4
                 AND NOT EXISTS (SELECT 1 FROM queue AS others
                      WHERE others.state = 'leased' AND others.crowd = mine.crowd)
                 ORDER BY id LIMIT 1
             ) RETURNING id, fence, run, repository, event, payload, tries, trust",
        ))?;
        let till = after(now, lasts);
        let values = params![holder, now.as_millisecond(), till, per_repository, LONGEST_WAIT];
        self.done(claim.query_row(values, lease).optional())
    }

    /// Keeps a lease until `now + lasts`.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn renew(&self, lease: &Lease, now: Timestamp, lasts: Duration) -> Result<Held, StoreError> {
        let sql =
            "UPDATE queue SET leased_till = ?3 WHERE id = ?1 AND fence = ?2 AND state = 'leased' RETURNING cancel";
        let till = after(now, lasts);
        let cancel =
            self.db.query_row(sql, params![lease.id, lease.fence, till], |row| row.get::<_, Option<String>>(0));
        Ok(match self.done(cancel.optional())? {
            None => Held::Lost,
            Some(None) => Held::Yes,
            Some(Some(why)) => Held::Cancel(why),
        })
    }

    /// Ends a run, and puts what is to be told of it into the outbox. `Lost` where the lease does not count any more: then
    /// nothing changes.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn finish(
        &self,
        lease: &Lease,
        outcome: &Outcome,
        letters: &[Letter],
        now: Timestamp,
    ) -> Result<Held, StoreError> {
        let sql = "UPDATE queue SET state = 'done', outcome = ?3, reason = ?4, finished = ?5, payload = NULL, holder = NULL \
                   WHERE id = ?1 AND fence = ?2 AND state = 'leased'";
        let values = params![lease.id, lease.fence, outcome.word, outcome.reason, now.as_millisecond()];
        let work = || -> rusqlite::Result<Held> {
            let work = self.db.unchecked_transaction()?;
            if work.execute(sql, values)? != 1 {
                return Ok(Held::Lost);
            }
            outbox::post(&work, &lease.run, letters, now)?;
            work.commit()?;
            Ok(Held::Yes)
        };
        self.done(work())
    }

    /// Gives a run back, to be begun again after `wait`. Only `counts` makes it one of its tries.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn hand_back(&self, lease: &Lease, wait: Duration, counts: Try, now: Timestamp) -> Result<Held, StoreError> {
        let sql = "UPDATE queue SET state = 'queued', holder = NULL, crowd = NULL, not_before = ?3, tries = tries + ?4 \
                   WHERE id = ?1 AND fence = ?2 AND state = 'leased'";
        let counted = match counts {
            Try::Counts => 1,
            Try::DoesNotCount => 0,
        };
        let values = params![lease.id, lease.fence, after(now, wait), counted];
        let work = || -> rusqlite::Result<Held> {
            let work = self.db.unchecked_transaction()?;
            if work.execute(sql, values)? != 1 {
                return Ok(Held::Lost);
            }
            intake::give_way(&work, lease.id, now)?;
            work.commit()?;
            Ok(Held::Yes)
        };
        self.done(work())
    }

    /// Takes back the leases that ran out, where the `clock` can tell, and those of holders that are dead; each counts as a
    /// try. Gives how many runs wait again.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn take_back(&self, now: Timestamp, clock: Clock, is_dead: impl Fn(&str) -> bool) -> Result<usize, StoreError> {
        let work = || -> rusqlite::Result<usize> {
            let mut held =
                self.db.prepare_cached("SELECT id, holder, leased_till FROM queue WHERE state = 'leased'")?;
            let rows = held.query_map([], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, Option<String>>(1)?, row.get::<_, i64>(2)?))
            })?;
            let mut back = 0;
            for row in rows.collect::<rusqlite::Result<Vec<_>>>()? {
                let (id, holder, till) = row;
                let ran_out = clock == Clock::Steady && till <= now.as_millisecond();
                if ran_out || holder.as_deref().is_some_and(&is_dead) {
                    back += self.one_back(id, till, now)?;
                }
            }
            Ok(back)
        };
        self.done(work())
    }

    fn one_back(&self, id: i64, till: i64, now: Timestamp) -> rusqlite::Result<usize> {
        let work = self.db.unchecked_transaction()?;
        // `leased_till` again: its holder may have renewed it since it was read.
        let back = work.execute(
            "UPDATE queue SET state = 'queued', holder = NULL, crowd = NULL, tries = tries + 1 \
             WHERE id = ?1 AND leased_till = ?2 AND state = 'leased'",
            params![id, till],
        )?;
        if back == 1 {
            intake::give_way(&work, id, now)?;
        }
        work.commit()?;
        Ok(back)
    }

    /// Whether no run is to begin.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn is_paused(&self) -> Result<bool, StoreError> {
        let mut paused = self.done(self.db.prepare_cached("SELECT 1 FROM settings WHERE name = 'paused'"))?;
        self.done(paused.exists([]))
    }

    /// Has no run begin any more, until it is resumed; also by a listener that is started anew.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn pause(&self) -> Result<(), StoreError> {
        let set = self.db.execute("INSERT OR REPLACE INTO settings (name, value) VALUES ('paused', '1')", []);
        self.done(set.map(|_| ()))
    }

    /// Has runs begin again.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn resume(&self) -> Result<(), StoreError> {
        self.done(self.db.execute("DELETE FROM settings WHERE name = 'paused'", []).map(|_| ()))
    }

    /// Writes something of no meaning, to see whether the queue can be written.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn try_out(&self, now: Timestamp) -> Result<(), StoreError> {
        let sql = "INSERT OR REPLACE INTO settings (name, value) VALUES ('tried-out', ?1)";
        self.done(self.db.execute(sql, [now.to_string()]).map(|_| ()))
    }

    /// The runs that wait, the one that is next first.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn waiting(&self, limit: u32) -> Result<Vec<Waiting>, StoreError> {
        let work = || -> rusqlite::Result<Vec<Waiting>> {
            let mut waiting = self.db.prepare_cached(
                "SELECT run, repository, event, latest, queued, state FROM queue WHERE state IN ('queued', 'held') \
                 ORDER BY id LIMIT ?1",
            )?;
            let rows = waiting.query_map([limit], |row| {
                Ok(Waiting {
                    run: RunId::from_text(&row.get::<_, String>(0)?),
                    repository: row.get(1)?,
                    event: row.get(2)?,
                    reference: row
                        .get::<_, Option<String>>(3)?
                        .and_then(|latest| Some(latest.rsplit_once(' ')?.1.to_owned())),
                    queued: Timestamp::from_millisecond(row.get(4)?).unwrap_or_default(),
                    is_held: row.get::<_, String>(5)? == "held",
                })
            })?;
            rows.collect()
        };
        self.done(work())
    }

    /// Where a run of the queue is; `None` where it is not known.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn entry(&self, run: &RunId) -> Result<Option<Entered>, StoreError> {
        let sql = "SELECT run, state, outcome, reason FROM queue WHERE run = ?1";
        self.done(self.db.query_row(sql, [run.as_str()], entered).optional())
    }

    /// Lets a run that is held begin: this one alone, of this commit. False where it is not held.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn approve(&self, run: &RunId) -> Result<bool, StoreError> {
        let sql = "UPDATE queue SET state = 'queued' WHERE run = ?1 AND state = 'held'";
        Ok(self.done(self.db.execute(sql, [run.as_str()]))? == 1)
    }

    /// Cancels a run: at once where it waits, else as soon as its holder hears of it. False where it is over or not known.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn cancel(&self, run: &RunId, why: &str, now: Timestamp) -> Result<bool, StoreError> {
        let waiting = self.done(self.db.execute(
            "UPDATE queue SET state = 'done', outcome = 'cancelled', reason = ?2, finished = ?3, payload = NULL, untold = 1 \
             WHERE run = ?1 AND state IN ('queued', 'held')",
            params![run.as_str(), why, now.as_millisecond()],
        ))?;
        let running =
            self.done(self.db.execute(
                "UPDATE queue SET cancel = ?2 WHERE run = ?1 AND state = 'leased'",
                params![run.as_str(), why],
            ))?;
        Ok(waiting + running > 0)
    }

    /// Forgets deliveries, and runs that are over, from before `age` ago. One of those that came again would run again.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn prune(&self, age: Duration, now: Timestamp) -> Result<usize, StoreError> {
        let before = now.as_millisecond().saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        let outdated = [
            "DELETE FROM queue WHERE state = 'done' AND finished < ?1",
            "DELETE FROM deliveries WHERE received < ?1",
            "DELETE FROM outbox WHERE state <> 'waiting' AND created < ?1",
        ];
        outdated.iter().map(|sql| self.done(self.db.execute(sql, [before]))).sum()
    }

    /// How much waits and goes on.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn depth(&self) -> Result<Depth, StoreError> {
        let sql = "SELECT COUNT(*) FILTER (WHERE state <> 'leased'), COUNT(*) FILTER (WHERE state = 'leased') \
                   FROM queue WHERE state IN ('queued', 'held', 'leased')";
        self.done(self.db.query_row(sql, [], |row| Ok(Depth { queued: row.get(0)?, leased: row.get(1)? })))
    }

    /// The latest runs of the queue, the latest first.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn entries(&self, limit: u32) -> Result<Vec<Entered>, StoreError> {
        let work = || -> rusqlite::Result<Vec<Entered>> {
            let mut rows =
                self.db.prepare_cached("SELECT run, state, outcome, reason FROM queue ORDER BY id DESC LIMIT ?1")?;
            rows.query_map([limit], entered)?.collect()
        };
        self.done(work())
    }
}

/// Whether giving a run back counts as one of its tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Try {
    /// It does: the run may be what fails.
    Counts,
    /// It does not: what it needs is not there (no engine, a group that is busy, a stop).
    DoesNotCount,
}

fn entered(row: &rusqlite::Row<'_>) -> rusqlite::Result<Entered> {
    Ok(Entered {
        run: RunId::from_text(&row.get::<_, String>(0)?),
        state: row.get(1)?,
        outcome: row.get(2)?,
        reason: row.get(3)?,
    })
}

fn lease(row: &rusqlite::Row<'_>) -> rusqlite::Result<Lease> {
    Ok(Lease { id: row.get(0)?, fence: row.get(1)?, task: task(row, 2)? })
}

/// A task whose columns begin at this one.
fn task(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<Task> {
    Ok(Task {
        run: RunId::from_text(&row.get::<_, String>(first)?),
        repository: row.get(first + 1)?,
        event: row.get(first + 2)?,
        payload: row.get::<_, Option<Vec<u8>>>(first + 3)?.unwrap_or_default(),
        tries: row.get(first + 4)?,
        trust: Trust::from_word(&row.get::<_, String>(first + 5)?),
    })
}

#[cfg(test)]
mod tests;
