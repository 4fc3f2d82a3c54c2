//! Who may look at the dashboard: logins that are good for once, and sessions. Their tokens are kept by their hashes alone.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::database::{self, Look, MovedAside};
use super::{StateDir, StoreError};

pub(super) const MIGRATIONS: &[&str] = &[include_str!("schema/access-1.sql")];

/// The hash of a token, in hex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenHash(pub String);

/// The logins and sessions of a state folder.
#[derive(Debug)]
pub struct Access {
    db: Connection,
    path: PathBuf,
}

impl Access {
    /// Opens them, and makes the file where there is none. One that is damaged is moved aside: everybody signs in again.
    ///
    /// # Errors
    /// Where it cannot be made or used, or a newer argon wrote it.
    pub fn open(dir: &StateDir) -> Result<(Self, Option<MovedAside>), StoreError> {
        let path = dir.access();
        let (db, moved) = database::open(&path, MIGRATIONS, Look::Through)?;
        Ok((Self { db, path }, moved))
    }

    fn done<T>(&self, result: rusqlite::Result<T>) -> Result<T, StoreError> {
        result.map_err(|source| StoreError::Database { path: self.path.clone(), source })
    }

    /// Lets whoever has this token sign in, once, until `now + lasts`. What has expired goes.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn add_login(&self, login: &TokenHash, now: Timestamp, lasts: Duration) -> Result<(), StoreError> {
        for table in ["logins", "sessions"] {
            let sql = format!("DELETE FROM {table} WHERE expires <= ?1");
            self.done(self.db.execute(&sql, [now.as_millisecond()]))?;
        }
        let added = self.db.execute(
            "INSERT INTO logins (hash, expires) VALUES (?1, ?2)",
            params![login.0, database::after(now, lasts)],
        );
        self.done(added.map(|_| ()))
    }

    /// Begins a session with a login, which is then used up. False where it is not good.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn sign_in(
        &mut self,
        login: &TokenHash,
        session: &TokenHash,
        now: Timestamp,
        lasts: Duration,
    ) -> Result<bool, StoreError> {
        let mut work = || -> rusqlite::Result<bool> {
            let work = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let used = work.execute(
                "DELETE FROM logins WHERE hash = ?1 AND expires > ?2",
                params![login.0, now.as_millisecond()],
            )?;
            if used == 1 {
                work.execute(
                    "INSERT INTO sessions (hash, expires) VALUES (?1, ?2)",
                    params![session.0, database::after(now, lasts)],
                )?;
            }
            work.commit()?;
            Ok(used == 1)
        };
        let signed_in = work();
        self.done(signed_in)
    }

    /// Begins a session of somebody whom another has told apart.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn begin(&self, session: &TokenHash, now: Timestamp, lasts: Duration) -> Result<(), StoreError> {
        let begun = self.db.execute(
            "INSERT INTO sessions (hash, expires) VALUES (?1, ?2)",
            params![session.0, database::after(now, lasts)],
        );
        self.done(begun.map(|_| ()))
    }

    /// Whether a session is good.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn is_session(&self, session: &TokenHash, now: Timestamp) -> Result<bool, StoreError> {
        let found = self
            .db
            .prepare_cached("SELECT 1 FROM sessions WHERE hash = ?1 AND expires > ?2")
            .and_then(|mut known| known.query_row(params![session.0, now.as_millisecond()], |_| Ok(())).optional());
        self.done(found.map(|found| found.is_some()))
    }

    /// Ends a session.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn sign_out(&self, session: &TokenHash) -> Result<(), StoreError> {
        self.done(self.db.execute("DELETE FROM sessions WHERE hash = ?1", [&session.0]).map(|_| ()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_login_is_good_once_and_a_session_until_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let mut access = Access::open(&StateDir::new(folder.path())).unwrap().0;
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        let hash = |text: &str| TokenHash(text.to_owned());
        let minute = Duration::from_secs(60);
        access.add_login(&hash("a"), at(0), minute).unwrap();
        access.add_login(&hash("b"), at(0), minute).unwrap();
        assert!(!access.sign_in(&hash("x"), &hash("1"), at(1), minute).unwrap(), "nobody's");
        assert!(access.sign_in(&hash("a"), &hash("1"), at(1), minute).unwrap());
        assert!(!access.sign_in(&hash("a"), &hash("2"), at(1), minute).unwrap(), "it is used up");
        assert!(!access.sign_in(&hash("b"), &hash("2"), at(60), minute).unwrap(), "it has expired");
        assert!(access.is_session(&hash("1"), at(60)).unwrap());
        assert!(!access.is_session(&hash("1"), at(61)).unwrap());
        assert!(!access.is_session(&hash("2"), at(1)).unwrap());
        access.sign_out(&hash("1")).unwrap();
        assert!(!access.is_session(&hash("1"), at(2)).unwrap());
    }
}
