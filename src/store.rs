//! What outlives a process: the history of runs and their logs. The one room that holds SQL.
//!
//! | module | owns |
//! |---|---|
//! | [`history`] | the runs, jobs and steps that were: reading them |
//! | [`record`] | writing them, as a sink of the run's events |
//! | [`logs`] | where a step's output lies, and finding text in it |
//! | `access` | who may look at the dashboard (feature `listen`) |
//! | `overview` | branches with their latest runs, and how long things took (feature `listen`) |
//! | `queue` | what `argon listen` accepted, and the runs that wait (feature `listen`) |
//! | [`tries`] | tries that others followed |
//! | [`retention`] | what is kept, and for how long |
//! | `private` | that it is its owner's alone |
//! | `search` | finding runs by text |
//! | `inspect` | whether a state folder can be used, without changing it (feature `listen`) |
//! | `database` | opening a SQLite file: settings, migrations, damage |
//!
//! One folder, [`StateDir`], holds all of it: `history.db`, `queue.db` and `access.db` (SQLite, WAL), `logs/RUN/JOB-STEP.log`, and
//! `logs/RUN/events.jsonl`.

#[cfg(feature = "listen")]
pub mod access;
mod database;
pub mod history;
#[cfg(feature = "listen")]
pub mod inspect;
pub mod logs;
#[cfg(feature = "listen")]
pub mod overview;
mod private;
#[cfg(feature = "listen")]
pub mod queue;
pub mod record;
pub mod retention;
mod search;
pub mod tries;

use std::path::{Path, PathBuf};

pub use database::MovedAside;

use crate::artifact::Depot;
use crate::event::RunId;

/// The folder that holds what outlives a process, by default `$XDG_STATE_HOME/argon`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDir(PathBuf);

impl StateDir {
    /// This folder. It is made when something is written.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    fn history(&self) -> PathBuf {
        self.0.join("history.db")
    }

    #[cfg(feature = "listen")]
    fn queue(&self) -> PathBuf {
        self.0.join("queue.db")
    }

    #[cfg(feature = "listen")]
    fn access(&self) -> PathBuf {
        self.0.join("access.db")
    }

    fn all_logs(&self) -> PathBuf {
        self.0.join("logs")
    }

    /// The artifacts of a run.
    #[must_use]
    pub fn artifacts_of(&self, run: &RunId) -> Depot {
        Depot::new(self.all_artifacts().join(run.as_str()))
    }

    fn all_artifacts(&self) -> PathBuf {
        self.0.join("artifacts")
    }

    fn logs_of(&self, run: &RunId) -> PathBuf {
        self.all_logs().join(run.as_str())
    }
}

/// Why the store cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A file or folder of the store.
    #[error("cannot {what} `{}`", path.display())]
    File {
        /// What was tried: `make`, `read`, …
        what: &'static str,
        /// What with.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// SQLite refused.
    #[error("the database `{}` cannot be used", path.display())]
    Database {
        /// The database.
        path: PathBuf,
        /// The cause.
        source: rusqlite::Error,
    },
    /// A later version of argon made it.
    #[error("`{}` was written by a newer argon (format {found}, this one knows {known})", path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The latest that this program knows.
        known: i64,
    },
}

impl StoreError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                Some("make room on that disk, or set XDG_STATE_HOME to a folder on another".to_owned())
            }
            Self::File { .. } => Some("set XDG_STATE_HOME to a folder that you can write to".to_owned()),
            Self::Database { path, .. } => Some(format!(
                "where another argon holds it, try again; where it is damaged, move `{}` away",
                path.display()
            )),
            Self::Newer { .. } => Some("use that version, or set XDG_STATE_HOME to another folder".to_owned()),
        }
    }

    /// Whether the database's file itself is damaged.
    fn is_damage(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        matches!(
            self,
            Self::Database { source, .. } if matches!(source.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
        )
    }
}
