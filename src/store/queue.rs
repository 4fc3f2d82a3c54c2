//! The durable queue of `argon listen`: deliveries that were accepted, and the runs that they lead to.
//!
//! A run stays in the queue until it has an outcome. Whoever works on it holds a [`Lease`], which ends by itself when it is not
//! renewed; its fence is a number that rises with every lease, so that a holder that was thought dead cannot end what another
//! one is at. Every change is on the disk (`synchronous = FULL`) when the call returns.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::database::{self, Look, MovedAside};
use super::{StateDir, StoreError};
use crate::event::RunId;

const MIGRATIONS: &[&str] = &[include_str!("schema/queue-1.sql")];

/// How many leases of a run may end without an outcome before it is given up.
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
}

/// A branch or a tag that points to another commit than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Its full name: `refs/heads/main`.
    pub reference: String,
    /// The commit.
    pub commit: String,
}

/// What came of an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// It waits.
    Queued(RunId),
    /// It led to this run before.
    Again(RunId),
    /// It was noted, and leads to no run.
    Noted,
}

/// A run that somebody works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    id: i64,
    fence: i64,
    /// The run.
    pub run: RunId,
    /// Its repository, as the configuration names it.
    pub repository: String,
    /// The kind of its event, as it stands under `on`.
    pub event: String,
    /// What started it, as JSON.
    pub trigger: String,
    /// The payload as it came.
    pub payload: Vec<u8>,
    /// How many leases of it ended without an outcome before.
    pub tries: u32,
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

/// Whether a run may begin beside those of its `concurrency` group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// It may.
    Open,
    /// Another one of the group goes on.
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

/// How much waits and goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Runs that wait.
    pub queued: u64,
    /// Runs that somebody works on.
    pub leased: u64,
}

/// A run of the queue, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entered {
    /// The run.
    pub run: RunId,
    /// `queued`, `leased`, `done`.
    pub state: String,
    /// How it ended.
    pub outcome: Option<String>,
    /// Why.
    pub reason: Option<String>,
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
            let accepted = offers.iter().map(|offer| accept(&work, offer)).collect::<rusqlite::Result<_>>()?;
            work.commit()?;
            Ok(accepted)
        };
        work().map_err(|source| StoreError::Database { path, source })
    }

    /// Leases the run that waits longest, until `now + lasts`; `None` where none may begin. A repository has at most
    /// `per_repository` runs at once.
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
                 SELECT id FROM queue AS mine WHERE state = 'queued' AND not_before <= ?2
                 AND (SELECT COUNT(*) FROM queue AS others
                      WHERE others.state = 'leased' AND others.repository = mine.repository) < ?4
                 ORDER BY id LIMIT 1
             ) RETURNING id, fence, run, repository, event, trigger, payload, tries",
        ))?;
        let till = after(now, lasts);
        self.done(claim.query_row(params![holder, now.as_millisecond(), till, per_repository], lease).optional())
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

    /// Ends a run. `Lost` where the lease does not count any more: then nothing changes.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn finish(&self, lease: &Lease, outcome: &Outcome, now: Timestamp) -> Result<Held, StoreError> {
        let sql = "UPDATE queue SET state = 'done', outcome = ?3, reason = ?4, finished = ?5, payload = NULL, holder = NULL \
                   WHERE id = ?1 AND fence = ?2 AND state = 'leased'";
        let values = params![lease.id, lease.fence, outcome.word, outcome.reason, now.as_millisecond()];
        Ok(if self.done(self.db.execute(sql, values))? == 1 { Held::Yes } else { Held::Lost })
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
        Ok(if self.done(self.db.execute(sql, values))? == 1 { Held::Yes } else { Held::Lost })
    }

    /// Takes back the leases that ran out, and those of holders that are dead. A run that was lost too often is given up.
    /// Gives how many runs wait again.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn take_back(&self, now: Timestamp, is_dead: impl Fn(&str) -> bool) -> Result<usize, StoreError> {
        let work = || -> rusqlite::Result<usize> {
            let mut held =
                self.db.prepare_cached("SELECT id, holder, leased_till FROM queue WHERE state = 'leased'")?;
            let rows = held.query_map([], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, Option<String>>(1)?, row.get::<_, i64>(2)?))
            })?;
            let mut back = 0;
            for row in rows.collect::<rusqlite::Result<Vec<_>>>()? {
                let (id, holder, till) = row;
                if till <= now.as_millisecond() || holder.as_deref().is_some_and(&is_dead) {
                    back += self.one_back(id, till, now)?;
                }
            }
            Ok(back)
        };
        self.done(work())
    }

    fn one_back(&self, id: i64, till: i64, now: Timestamp) -> rusqlite::Result<usize> {
        // `leased_till` again: its holder may have renewed it since it was read.
        let given_up = self.db.execute(
            "UPDATE queue SET state = 'done', outcome = 'given-up', finished = ?3, payload = NULL, holder = NULL, \
             reason = 'the argon that ran it died ' || (tries + 1) || ' times while it ran' \
             WHERE id = ?1 AND leased_till = ?2 AND state = 'leased' AND tries + 1 >= ?4",
            params![id, till, now.as_millisecond(), MAX_TRIES],
        )?;
        if given_up == 1 {
            return Ok(0);
        }
        self.db.execute(
            "UPDATE queue SET state = 'queued', holder = NULL, crowd = NULL, tries = tries + 1 \
             WHERE id = ?1 AND leased_till = ?2 AND state = 'leased'",
            params![id, till],
        )
    }

    /// Joins a `concurrency` group. Where another run of it goes on, `others` says what becomes of that.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn join(&self, lease: &Lease, group: &str, others: InProgress) -> Result<Entry, StoreError> {
        let crowd = format!("{}\n{group}", lease.repository);
        let work = || -> rusqlite::Result<Entry> {
            let busy: bool = self.db.query_row(
                "SELECT EXISTS (SELECT 1 FROM queue WHERE state = 'leased' AND crowd = ?1 AND id <> ?2)",
                params![crowd, lease.id],
                |row| row.get(0),
            )?;
            if busy {
                if others == InProgress::Cancel {
                    self.db.execute(
                        "UPDATE queue SET cancel = 'a newer run of its concurrency group came' \
                         WHERE state = 'leased' AND crowd = ?1 AND id < ?2",
                        params![crowd, lease.id],
                    )?;
                }
                return Ok(Entry::Busy);
            }
            self.db.execute(
                "UPDATE queue SET crowd = ?3 WHERE id = ?1 AND fence = ?2 AND state = 'leased'",
                params![lease.id, lease.fence, crowd],
            )?;
            Ok(Entry::Open)
        };
        self.done(work())
    }

    /// Cancels a run: at once where it waits, else as soon as its holder hears of it. False where it is over or not known.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn cancel(&self, run: &RunId, why: &str, now: Timestamp) -> Result<bool, StoreError> {
        let waiting = self.done(self.db.execute(
            "UPDATE queue SET state = 'done', outcome = 'cancelled', reason = ?2, finished = ?3, payload = NULL \
             WHERE run = ?1 AND state = 'queued'",
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
        let runs = self.done(self.db.execute("DELETE FROM queue WHERE state = 'done' AND finished < ?1", [before]))?;
        Ok(runs + self.done(self.db.execute("DELETE FROM deliveries WHERE received < ?1", [before]))?)
    }

    /// Where each branch and tag was when it was last heard of.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn seen(&self, repository: &str) -> Result<BTreeMap<String, String>, StoreError> {
        let work = || -> rusqlite::Result<BTreeMap<String, String>> {
            let mut seen = self.db.prepare_cached("SELECT reference, commit_id FROM seen WHERE repository = ?1")?;
            seen.query_map([repository], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        };
        self.done(work())
    }

    /// Takes note of where branches and tags are, and runs nothing for it.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn take_note(&mut self, repository: &str, refs: &BTreeMap<String, String>) -> Result<(), StoreError> {
        let path = self.path.clone();
        let mut work = || -> rusqlite::Result<()> {
            let work = Transaction::new(&mut self.db, TransactionBehavior::Immediate)?;
            for (reference, commit) in refs {
                see(&work, repository, reference, commit, None)?;
            }
            work.commit()
        };
        work().map_err(|source| StoreError::Database { path, source })
    }

    /// Forgets branches and tags that are gone.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn forget(&self, repository: &str, references: &[String]) -> Result<(), StoreError> {
        for reference in references {
            let sql = "DELETE FROM seen WHERE repository = ?1 AND reference = ?2";
            self.done(self.db.execute(sql, params![repository, reference]))?;
        }
        Ok(())
    }

    /// How much waits and goes on.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn depth(&self) -> Result<Depth, StoreError> {
        let sql = "SELECT COUNT(*) FILTER (WHERE state = 'queued'), COUNT(*) FILTER (WHERE state = 'leased') \
                   FROM queue WHERE state IN ('queued', 'leased')";
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
            let rows = rows.query_map([limit], |row| {
                Ok(Entered {
                    run: RunId::from_text(&row.get::<_, String>(0)?),
                    state: row.get(1)?,
                    outcome: row.get(2)?,
                    reason: row.get(3)?,
                })
            })?;
            rows.collect()
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

fn accept(db: &Connection, offer: &Offer) -> rusqlite::Result<Accepted> {
    if let Some(run) = known(db, offer)? {
        return Ok(Accepted::Again(run));
    }
    let (run, note) = match &offer.wanted {
        Wanted::Nothing(why) => (None, Some(why)),
        Wanted::Run(order) => (Some(enqueue(db, offer, order)?), None),
    };
    db.prepare_cached(
        "INSERT INTO deliveries (forge, repository, event, delivery, body_hash, received, run, note) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        offer.forge,
        offer.repository,
        offer.event,
        offer.delivery,
        offer.body_hash,
        offer.received.as_millisecond(),
        run.as_ref().map(RunId::as_str),
        note,
    ])?;
    Ok(run.map_or(Accepted::Noted, Accepted::Queued))
}

/// The run that this led to before: by the forge's id of the delivery, or, where that was changed, by its body; or the run that
/// the same move of a branch led to, which polling may have seen first.
fn known(db: &Connection, offer: &Offer) -> rusqlite::Result<Option<RunId>> {
    if let Wanted::Run(Order { moved: Some(moved), .. }) = &offer.wanted {
        let seen = db
            .prepare_cached("SELECT run FROM seen WHERE repository = ?1 AND reference = ?2 AND commit_id = ?3")?
            .query_row(params![offer.repository, moved.reference, moved.commit], |row| row.get::<_, Option<String>>(0))
            .optional()?;
        if let Some(run) = seen.flatten() {
            return Ok(Some(RunId::from_text(&run)));
        }
    }
    // Two questions, as an `OR` of both would be answered by reading every delivery.
    let by = |column: &str, value: Option<&String>| -> rusqlite::Result<Option<RunId>> {
        let Some(value) = value else { return Ok(None) };
        let sql = format!(
            "SELECT run FROM deliveries WHERE forge = ?1 AND repository = ?2 AND event = ?3 AND {column} = ?4 \
             AND run IS NOT NULL"
        );
        db.prepare_cached(&sql)?
            .query_row(params![offer.forge, offer.repository, offer.event, value], |row| {
                Ok(RunId::from_text(&row.get::<_, String>(0)?))
            })
            .optional()
    };
    match by("delivery", offer.delivery.as_ref())? {
        Some(run) => Ok(Some(run)),
        None => by("body_hash", Some(&offer.body_hash)),
    }
}

fn enqueue(db: &Connection, offer: &Offer, order: &Order) -> rusqlite::Result<RunId> {
    let run = RunId::generate();
    let now = offer.received.as_millisecond();
    if let Some(latest) = &order.latest {
        db.prepare_cached(
            "UPDATE queue SET state = 'done', outcome = 'superseded', reason = 'a newer push came: run ' || ?3, \
             finished = ?4, payload = NULL WHERE repository = ?1 AND latest = ?2 AND state = 'queued'",
        )?
        .execute(params![offer.repository, latest, run.as_str(), now])?;
    }
    db.prepare_cached(
        "INSERT INTO queue (run, repository, event, latest, trigger, payload, queued) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![run.as_str(), offer.repository, order.event, order.latest, order.trigger, order.payload, now])?;
    if let Some(moved) = &order.moved {
        see(db, &offer.repository, &moved.reference, &moved.commit, Some(&run))?;
    }
    Ok(run)
}

fn see(db: &Connection, repository: &str, reference: &str, commit: &str, run: Option<&RunId>) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO seen (repository, reference, commit_id, run) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT DO UPDATE SET commit_id = excluded.commit_id, run = excluded.run",
    )?
    .execute(params![repository, reference, commit, run.map(RunId::as_str)])
    .map(|_| ())
}

fn lease(row: &rusqlite::Row<'_>) -> rusqlite::Result<Lease> {
    Ok(Lease {
        id: row.get(0)?,
        fence: row.get(1)?,
        run: RunId::from_text(&row.get::<_, String>(2)?),
        repository: row.get(3)?,
        event: row.get(4)?,
        trigger: row.get(5)?,
        payload: row.get::<_, Option<Vec<u8>>>(6)?.unwrap_or_default(),
        tries: row.get(7)?,
    })
}

fn after(now: Timestamp, wait: Duration) -> i64 {
    now.as_millisecond().saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const LASTS: Duration = Duration::from_secs(30);

    fn queue() -> (tempfile::TempDir, Queue) {
        let folder = tempfile::tempdir().unwrap();
        let queue = Queue::open(&StateDir::new(folder.path())).unwrap().0;
        (folder, queue)
    }

    fn offer(delivery: &str, body: &str) -> Offer {
        Offer {
            forge: "github".into(),
            repository: "repo".into(),
            event: "push".into(),
            delivery: Some(delivery.into()),
            body_hash: body.into(),
            received: at(0),
            wanted: Wanted::Run(Order {
                event: "push".into(),
                latest: None,
                trigger: "{}".into(),
                payload: body.as_bytes().to_vec(),
                moved: None,
            }),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn run_of(accepted: &Accepted) -> RunId {
        match accepted {
            Accepted::Queued(run) | Accepted::Again(run) => run.clone(),
            Accepted::Noted => panic!("noted"),
        }
    }

    fn ended(word: &str) -> Outcome {
        Outcome { word: word.into(), reason: None }
    }

    #[test]
    fn a_delivery_that_comes_again_is_the_same_run_also_under_another_id() {
        let (_folder, mut queue) = queue();
        let accepted = queue.accept(&[offer("1", "a"), offer("1", "b"), offer("2", "a"), offer("3", "c")]).unwrap();
        assert!(matches!(accepted[0], Accepted::Queued(_)) && matches!(accepted[3], Accepted::Queued(_)));
        let first = run_of(&accepted[0]);
        assert_eq!(accepted[1..3], [Accepted::Again(first.clone()), Accepted::Again(first)]);
        assert_eq!(queue.depth().unwrap(), Depth { queued: 2, leased: 0 });
    }

    #[test]
    fn what_leads_to_no_run_is_noted_and_keeps_nothing_else_out() {
        let (_folder, mut queue) = queue();
        let ping = Offer { wanted: Wanted::Nothing("a ping".into()), ..offer("1", "a") };
        assert_eq!(queue.accept(&[ping.clone(), ping]).unwrap(), [Accepted::Noted, Accepted::Noted]);
        assert!(matches!(queue.accept(&[offer("1", "a")]).unwrap()[0], Accepted::Queued(_)));
    }

    #[test]
    fn runs_are_leased_in_their_order_and_no_more_than_a_repository_may_have() {
        let (_folder, mut queue) = queue();
        let runs: Vec<RunId> = queue.accept(&[offer("1", "a"), offer("2", "b")]).unwrap().iter().map(run_of).collect();
        let first = queue.lease("me", at(0), LASTS, 1).unwrap().unwrap();
        assert_eq!((&first.run, first.payload.as_slice()), (&runs[0], b"a".as_slice()));
        assert_eq!(queue.lease("me", at(0), LASTS, 1).unwrap(), None);
        assert_eq!(queue.finish(&first, &ended("success"), at(1)).unwrap(), Held::Yes);
        assert_eq!(queue.lease("me", at(1), LASTS, 1).unwrap().unwrap().run, runs[1]);
    }

    /// FAULTS 6: a holder that was stopped past its lease comes back.
    #[test]
    fn a_lease_that_ran_out_ends_nothing_any_more() {
        let (_folder, mut queue) = queue();
        queue.accept(&[offer("1", "a")]).unwrap();
        let stale = queue.lease("old", at(0), LASTS, 9).unwrap().unwrap();
        assert_eq!(queue.take_back(at(29), |_| false).unwrap(), 0);
        assert_eq!(queue.renew(&stale, at(29), LASTS).unwrap(), Held::Yes);
        assert_eq!(queue.take_back(at(30), |_| false).unwrap(), 0, "it was renewed");
        assert_eq!(queue.take_back(at(59), |_| false).unwrap(), 1);
        let fresh = queue.lease("new", at(59), LASTS, 9).unwrap().unwrap();
        assert_eq!((&fresh.run, fresh.tries), (&stale.run, 1));
        assert_eq!(queue.renew(&stale, at(60), LASTS).unwrap(), Held::Lost);
        assert_eq!(queue.finish(&stale, &ended("failure"), at(60)).unwrap(), Held::Lost);
        assert_eq!(queue.hand_back(&stale, LASTS, Try::Counts, at(60)).unwrap(), Held::Lost);
        assert_eq!(queue.finish(&fresh, &ended("success"), at(61)).unwrap(), Held::Yes);
        assert_eq!(queue.finish(&fresh, &ended("success"), at(61)).unwrap(), Held::Lost, "once");
        assert_eq!(queue.entries(1).unwrap()[0].outcome.as_deref(), Some("success"));
    }

    /// FAULTS 27.
    #[test]
    fn a_run_whose_holder_dies_each_time_is_given_up_and_the_rest_go_on() {
        let (_folder, mut queue) = queue();
        queue.accept(&[offer("1", "poison"), offer("2", "good")]).unwrap();
        for time in 0..i64::from(MAX_TRIES) {
            assert_eq!(queue.lease("dead", at(time), LASTS, 1).unwrap().unwrap().payload, b"poison");
            queue.take_back(at(time), |holder| holder == "dead").unwrap();
        }
        assert_eq!(queue.lease("me", at(9), LASTS, 1).unwrap().unwrap().payload, b"good");
        let poison = &queue.entries(2).unwrap()[1];
        assert_eq!(poison.outcome.as_deref(), Some("given-up"));
        assert!(poison.reason.as_deref().unwrap().contains("3 times"), "{poison:?}");
    }

    /// FAULTS 33.
    #[test]
    fn of_many_pushes_to_a_branch_the_latest_is_run_and_the_others_say_so() {
        let (_folder, mut queue) = queue();
        let push = |number: usize| {
            let mut offer = offer(&number.to_string(), &format!("body {number}"));
            if let Wanted::Run(order) = &mut offer.wanted {
                order.latest = Some("push main".into());
            }
            offer
        };
        queue.accept(&[push(0)]).unwrap();
        let running = queue.lease("me", at(0), LASTS, 9).unwrap().unwrap();
        let offers: Vec<Offer> = (1..=50).map(push).collect();
        let last = run_of(queue.accept(&offers).unwrap().last().unwrap());
        assert_eq!(queue.depth().unwrap(), Depth { queued: 1, leased: 1 }, "one that goes on is left alone");
        assert_eq!(queue.lease("me", at(1), LASTS, 9).unwrap().unwrap().run, last);
        let superseded =
            queue.entries(100).unwrap().into_iter().filter(|entry| entry.state == "done").collect::<Vec<_>>();
        assert_eq!(superseded.len(), 49);
        assert!(superseded.iter().all(|entry| entry.reason.as_deref().unwrap().starts_with("a newer push came: run ")));
        assert_eq!(queue.finish(&running, &ended("success"), at(2)).unwrap(), Held::Yes);
    }

    #[test]
    fn a_concurrency_group_has_one_run_at_once_and_a_newcomer_may_have_it_cancelled() {
        let (_folder, mut queue) = queue();
        queue.accept(&[offer("1", "a"), offer("2", "b")]).unwrap();
        let first = queue.lease("me", at(0), LASTS, 9).unwrap().unwrap();
        let second = queue.lease("me", at(0), LASTS, 9).unwrap().unwrap();
        assert_eq!(queue.join(&first, "deploy", InProgress::Wait).unwrap(), Entry::Open);
        assert_eq!(queue.join(&second, "deploy", InProgress::Wait).unwrap(), Entry::Busy);
        assert_eq!(queue.renew(&first, at(1), LASTS).unwrap(), Held::Yes);
        assert_eq!(queue.join(&second, "deploy", InProgress::Cancel).unwrap(), Entry::Busy);
        assert!(matches!(queue.renew(&first, at(1), LASTS).unwrap(), Held::Cancel(_)));
        assert_eq!(queue.hand_back(&second, LASTS, Try::DoesNotCount, at(1)).unwrap(), Held::Yes);
        assert_eq!(queue.lease("me", at(2), LASTS, 9).unwrap(), None, "it waits");
        queue.finish(&first, &ended("cancelled"), at(2)).unwrap();
        let second = queue.lease("me", at(31), LASTS, 9).unwrap().unwrap();
        assert_eq!(second.tries, 0);
        assert_eq!(queue.join(&second, "deploy", InProgress::Wait).unwrap(), Entry::Open);
    }

    #[test]
    fn what_is_long_over_is_forgotten_and_what_waits_is_not() {
        let (_folder, mut queue) = queue();
        queue.accept(&[offer("1", "a"), offer("2", "b")]).unwrap();
        let lease = queue.lease("me", at(0), LASTS, 9).unwrap().unwrap();
        queue.finish(&lease, &ended("success"), at(1)).unwrap();
        let age = Duration::from_secs(60);
        assert_eq!(queue.prune(age, at(59)).unwrap(), 0);
        assert_eq!(queue.prune(age, at(62)).unwrap(), 3, "a run, and both deliveries");
        assert_eq!(queue.depth().unwrap(), Depth { queued: 1, leased: 0 });
    }

    /// A lease must not look at all runs that ever were, nor a delivery at all that ever came.
    #[test]
    fn what_is_asked_for_each_delivery_is_looked_up_in_an_index() {
        let (_folder, queue) = queue();
        for (sql, index) in [
            ("SELECT id FROM queue WHERE state = 'queued' ORDER BY id LIMIT 1", "queue_by_state"),
            ("SELECT id FROM queue WHERE repository = 'r' AND latest = 'l' AND state = 'queued'", "queue_latest"),
            (
                "SELECT run FROM deliveries WHERE forge = 'f' AND repository = 'r' AND event = 'e' AND delivery = 'd' \
                 AND run IS NOT NULL",
                "deliveries_by_id (forge=? AND repository=? AND event=? AND delivery=?)",
            ),
            (
                "SELECT run FROM deliveries WHERE forge = 'f' AND repository = 'r' AND event = 'e' AND body_hash = 'h' \
                 AND run IS NOT NULL",
                "deliveries_by_body (forge=? AND repository=? AND event=? AND body_hash=?)",
            ),
        ] {
            let plan: String = queue.db.query_row(&format!("EXPLAIN QUERY PLAN {sql}"), [], |row| row.get(3)).unwrap();
            assert!(plan.contains(index), "{sql}: {plan}");
        }
    }

    #[test]
    fn a_run_is_cancelled_where_it_waits_and_where_it_goes_on() {
        let (_folder, mut queue) = queue();
        let runs: Vec<RunId> = queue.accept(&[offer("1", "a"), offer("2", "b")]).unwrap().iter().map(run_of).collect();
        let lease = queue.lease("me", at(0), LASTS, 9).unwrap().unwrap();
        for run in &runs {
            assert!(queue.cancel(run, "by hand", at(1)).unwrap());
        }
        assert_eq!(queue.renew(&lease, at(1), LASTS).unwrap(), Held::Cancel("by hand".into()));
        assert_eq!(queue.lease("me", at(1), LASTS, 9).unwrap(), None);
        assert!(!queue.cancel(&RunId::from_text("unknown"), "by hand", at(1)).unwrap());
    }
}
