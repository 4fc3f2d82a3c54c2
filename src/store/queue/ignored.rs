//! Deliveries that led to no run, and why.

use jiff::Timestamp;

use super::Queue;
use crate::store::StoreError;

/// A delivery that led to no run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// The forge's word.
    pub forge: String,
    /// The repository, as the configuration names it; empty where it is none of those.
    pub repository: String,
    /// The kind of event, as the forge calls it.
    pub event: String,
    /// When it came.
    pub received: Timestamp,
    /// Why it led to none.
    pub why: String,
}

impl Queue {
    /// The latest deliveries that led to no run, the latest first.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn ignored(&self, limit: u32) -> Result<Vec<Ignored>, StoreError> {
        let work = || -> rusqlite::Result<Vec<Ignored>> {
            let mut ignored = self.db.prepare_cached(
                "SELECT forge, repository, event, received, note FROM deliveries WHERE note IS NOT NULL \
                 ORDER BY received DESC, id DESC LIMIT ?1",
            )?;
            let rows = ignored.query_map([limit], |row| {
                Ok(Ignored {
                    forge: row.get(0)?,
                    repository: row.get(1)?,
                    event: row.get(2)?,
                    received: Timestamp::from_millisecond(row.get(3)?).unwrap_or_default(),
                    why: row.get(4)?,
                })
            })?;
            rows.collect()
        };
        self.done(work())
    }
}
