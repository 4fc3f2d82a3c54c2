//! Where a run came from, for whoever repeats it or asks for one of its commits.

use rusqlite::{OptionalExtension, params};

use super::{Queue, Trust};
use crate::event::RunId;
use crate::store::StoreError;

/// Where a run came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Whose commits it is of.
    pub trust: Trust,
    /// What started it, as JSON.
    pub trigger: String,
    /// Whether it was begun. Of a fork's run: somebody has approved its commit.
    pub was_begun: bool,
}

impl Queue {
    /// Where a run came from; `None` where the queue has forgotten it, or never had it.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn origin(&self, run: &RunId) -> Result<Option<Origin>, StoreError> {
        // What is held is never leased, and each lease raises the fence.
        let sql = "SELECT trust, trigger, fence > 0 FROM queue WHERE run = ?1";
        let origin = self.db.query_row(sql, [run.as_str()], |row| {
            Ok(Origin {
                trust: Trust::from_word(&row.get::<_, String>(0)?),
                trigger: row.get(1)?,
                was_begun: row.get(2)?,
            })
        });
        self.done(origin.optional())
    }

    /// Whether a commit is known from forks alone: runs of forks had it, and neither a branch, a tag nor another run.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn is_of_forks_alone(&self, repository: &str, commit: &str) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM queue WHERE repository = ?1 AND trust = 'fork' \
                       AND json_extract(trigger, '$.commitId') = ?2) \
                   AND NOT EXISTS (SELECT 1 FROM queue WHERE repository = ?1 AND trust = 'own' \
                       AND event IN ('push', 'pull-request') AND json_extract(trigger, '$.commitId') = ?2) \
                   AND NOT EXISTS (SELECT 1 FROM seen WHERE repository = ?1 AND commit_id = ?2)";
        self.done(self.db.query_row(sql, params![repository, commit], |row| row.get(0)))
    }
}
