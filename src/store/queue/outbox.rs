//! What is to be told others about runs: kept until they heard it, or it is given up.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{LONGEST_WAIT, Queue};
use crate::event::RunId;
use crate::store::StoreError;
use crate::store::database::after;

/// Something to be told, about one run to one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Whom: what the listener knows a channel or a forge by.
    pub address: String,
    /// What about the run. Each is told an address once.
    pub part: Part,
    /// JSON.
    pub body: String,
}

/// What of a run is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// That it has begun.
    Begun,
    /// How it ended. What waited to be told of its beginning is dropped.
    Ended,
}

impl Part {
    fn word(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Ended => "ended",
        }
    }
}

/// A letter that is to be sent now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Its number in the outbox.
    pub id: i64,
    /// The run.
    pub run: RunId,
    /// Whom.
    pub address: String,
    /// JSON.
    pub body: String,
    /// How often it was tried.
    pub tries: u32,
    /// When it was put there.
    pub created: Timestamp,
}

/// What came of a try to send a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried {
    /// It arrived.
    Sent,
    /// It did not, and is tried again after this time.
    Again(Duration, String),
    /// It did not, and never will.
    GivenUp(String),
}

/// Puts letters into the outbox, within the caller's transaction.
pub(super) fn post(db: &Connection, run: &RunId, letters: &[Letter], now: Timestamp) -> rusqlite::Result<()> {
    for letter in letters {
        if letter.part == Part::Ended {
            db.prepare_cached(
                "DELETE FROM outbox WHERE run = ?1 AND address = ?2 AND part = 'begun' AND state = 'waiting'",
            )?
            .execute(params![run.as_str(), letter.address])?;
        }
        db.prepare_cached(
            "INSERT INTO outbox (run, address, part, body, created) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            run.as_str(),
            letter.address,
            letter.part.word(),
            letter.body,
            now.as_millisecond()
        ])?;
    }
    Ok(())
}

impl Queue {
    /// Puts letters about a run into the outbox. One that is there already is left as it is.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn post(&self, run: &RunId, letters: &[Letter], now: Timestamp) -> Result<(), StoreError> {
        self.done(post(&self.db, run, letters, now))
    }

    /// The letters that are to be sent now: of each address the oldest, as the next is sent when that was heard or put off.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn due(&self, now: Timestamp) -> Result<Vec<Due>, StoreError> {
        let work = || -> rusqlite::Result<Vec<Due>> {
            let mut due = self.db.prepare_cached(
                "SELECT id, run, address, body, tries, created FROM outbox WHERE id IN \
                 (SELECT MIN(id) FROM outbox WHERE state = 'waiting' AND (not_before <= ?1 OR not_before > ?1 + ?2) \
                 GROUP BY address)",
            )?;
            let rows = due.query_map([now.as_millisecond(), LONGEST_WAIT], |row| {
                Ok(Due {
                    id: row.get(0)?,
                    run: RunId::from_text(&row.get::<_, String>(1)?),
                    address: row.get(2)?,
                    body: row.get(3)?,
                    tries: row.get(4)?,
                    created: Timestamp::from_millisecond(row.get(5)?).unwrap_or_default(),
                })
            })?;
            rows.collect()
        };
        self.done(work())
    }

    /// How many letters wait.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn unheard(&self) -> Result<u64, StoreError> {
        let sql = "SELECT COUNT(*) FROM outbox WHERE state = 'waiting'";
        self.done(self.db.query_row(sql, [], |row| row.get(0)))
    }

    /// Takes note of what came of a try.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn tried(&self, letter: i64, tried: &Tried, now: Timestamp) -> Result<(), StoreError> {
        let (state, not_before, error) = match tried {
            Tried::Sent => ("sent", 0, None),
            Tried::Again(wait, why) => ("waiting", after(now, *wait), Some(why)),
            Tried::GivenUp(why) => ("given-up", 0, Some(why)),
        };
        let noted = self.db.execute(
            "UPDATE outbox SET state = ?2, not_before = ?3, error = ?4, tries = tries + 1 WHERE id = ?1",
            params![letter, state, not_before, error],
        );
        self.done(noted.map(|_| ()))
    }
}
