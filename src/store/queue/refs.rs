//! Where the branches and tags of a repository are, as far as it was heard of: by a look at it, or by a delivery.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::{Moved, Queue};
use crate::event::RunId;
use crate::store::StoreError;

/// A branch or tag that is known.
pub(super) struct Known {
    /// Where it is.
    pub(super) commit: String,
    /// The run that this led to.
    pub(super) run: Option<RunId>,
}

/// Where a branch or tag is.
pub(super) fn known(db: &Connection, repository: &str, reference: &str) -> rusqlite::Result<Option<Known>> {
    db.prepare_cached("SELECT commit_id, run FROM seen WHERE repository = ?1 AND reference = ?2")?
        .query_row(params![repository, reference], |row| {
            let run = row.get::<_, Option<String>>(1)?.map(|run| RunId::from_text(&run));
            Ok(Known { commit: row.get(0)?, run })
        })
        .optional()
}

/// Remembers where a branch or tag is, and the run that this led to.
pub(super) fn see(db: &Connection, repository: &str, moved: &Moved, run: &RunId) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO seen (repository, reference, commit_id, run) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT DO UPDATE SET commit_id = excluded.commit_id, run = excluded.run",
    )?
    .execute(params![repository, moved.reference, moved.commit, run.as_str()])
    .map(|_| ())
}

/// Forgets a branch or tag that is gone; where `commit` is said, only while it is there.
pub(super) fn forget(db: &Connection, repository: &str, reference: &str, commit: Option<&str>) -> rusqlite::Result<()> {
    db.prepare_cached(
        "DELETE FROM seen WHERE repository = ?1 AND reference = ?2 AND commit_id = COALESCE(?3, commit_id)",
    )?
    .execute(params![repository, reference, commit])
    .map(|_| ())
}

impl Queue {
    /// Where each branch and tag was when it was last heard of; `None` where nobody looked at the repository yet, whatever
    /// deliveries told of it.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn seen(&self, repository: &str) -> Result<Option<BTreeMap<String, String>>, StoreError> {
        let work = || -> rusqlite::Result<Option<BTreeMap<String, String>>> {
            if !self.db.prepare_cached("SELECT 1 FROM looked WHERE repository = ?1")?.exists([repository])? {
                return Ok(None);
            }
            // Pull requests are no refs that a look finds.
            let mut seen = self.db.prepare_cached(
                "SELECT reference, commit_id FROM seen WHERE repository = ?1 \
                 AND (reference GLOB 'refs/heads/*' OR reference GLOB 'refs/tags/*')",
            )?;
            seen.query_map([repository], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>().map(Some)
        };
        self.done(work())
    }

    /// Takes note of a first look: of where branches and tags are, and that they were looked at. Runs nothing for it.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn take_note(&mut self, repository: &str, refs: &BTreeMap<String, String>) -> Result<(), StoreError> {
        let path = self.path.clone();
        let mut work = || -> rusqlite::Result<()> {
            let work = Transaction::new(&mut self.db, TransactionBehavior::Immediate)?;
            work.execute("INSERT INTO looked (repository) VALUES (?1) ON CONFLICT DO NOTHING", [repository])?;
            for (reference, commit) in refs {
                // What a delivery told already keeps its run: the same delivery may come again.
                work.prepare_cached(
                    "INSERT INTO seen (repository, reference, commit_id) VALUES (?1, ?2, ?3) \
                     ON CONFLICT DO UPDATE SET commit_id = excluded.commit_id, run = NULL \
                     WHERE commit_id <> excluded.commit_id",
                )?
                .execute(params![repository, reference, commit])?;
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
        references.iter().try_for_each(|reference| self.done(forget(&self.db, repository, reference, None)))
    }
}
