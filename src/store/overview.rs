//! What of the history is looked at together: the branches with their latest runs, and how long runs, jobs and steps took.

use std::time::Duration;

use rusqlite::params;

use super::StoreError;
use super::history::{self, COLUMNS, History, Phase, Run};

/// How long a run, a job or a step took, one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Took {
    /// The run's number.
    pub number: i64,
    /// How it ended.
    pub phase: Phase,
    /// How long it took.
    pub duration: Duration,
}

/// A job or a step over several runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trend {
    /// The job.
    pub job: String,
    /// The step; `None`: the job itself.
    pub step: Option<String>,
    /// The times, the oldest first.
    pub times: Vec<Took>,
}

impl History {
    /// The latest run of each branch and tag of each repository, the latest first; one that was skipped, as nothing of it was wanted, only
    /// where there is no other: it says nothing of the branch.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn heads(&self, limit: u32) -> Result<Vec<Run>, StoreError> {
        let sql = format!(
            "{COLUMNS} WHERE number IN (SELECT COALESCE(MAX(number) FILTER (WHERE status <> 'skipped'), MAX(number)) \
             FROM runs GROUP BY repository, branch, tag) ORDER BY number DESC LIMIT ?1"
        );
        let work = || -> rusqlite::Result<Vec<Run>> {
            self.db().prepare_cached(&sql)?.query_map([limit], history::run)?.collect()
        };
        work().map_err(|source| self.database(source))
    }

    /// How long the latest runs of a repository took, on a branch where one is named; the oldest first.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn times(&self, repository: &str, branch: Option<&str>, limit: u32) -> Result<Vec<Took>, StoreError> {
        let work = || -> rusqlite::Result<Vec<Took>> {
            let mut times = self.db().prepare_cached(
                "SELECT number, status, duration FROM runs WHERE repository = ?1 AND (?2 IS NULL OR branch = ?2) \
                 AND duration IS NOT NULL AND status <> 'skipped' ORDER BY number DESC LIMIT ?3",
            )?;
            let rows = times.query_map(params![repository, branch, limit], |row| {
                let duration = history::duration(row, 2)?.unwrap_or_default();
                Ok(Took { number: row.get(0)?, phase: history::phase(row, 1)?, duration })
            })?;
            let mut times = rows.collect::<rusqlite::Result<Vec<Took>>>()?;
            times.reverse();
            Ok(times)
        };
        work().map_err(|source| self.database(source))
    }

    /// How long each job and step took in the latest runs of a repository, in the order in which they stand in the latest.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn trends(&self, repository: &str, branch: Option<&str>, runs: u32) -> Result<Vec<Trend>, StoreError> {
        const RUNS: &str = "WITH latest AS (SELECT number FROM runs WHERE repository = ?1 AND (?2 IS NULL OR branch = ?2) \
                            AND status <> 'skipped' ORDER BY number DESC LIMIT ?3) ";
        let work = || -> rusqlite::Result<Vec<Trend>> {
            let mut trends: Vec<Trend> = Vec::new();
            for sql in [
                "SELECT run, jobs.status, jobs.duration, jobs.name, NULL FROM jobs JOIN latest ON run = latest.number \
                 WHERE jobs.duration IS NOT NULL ORDER BY run DESC, position",
                "SELECT steps.run, steps.status, steps.duration, jobs.name, steps.name FROM steps \
                 JOIN latest ON steps.run = latest.number JOIN jobs ON jobs.run = steps.run AND jobs.position = steps.job \
                 WHERE steps.duration IS NOT NULL ORDER BY steps.run DESC, steps.job, steps.position",
            ] {
                let mut rows = self.db().prepare_cached(&format!("{RUNS}{sql}"))?;
                let mut rows = rows.query(params![repository, branch, runs])?;
                while let Some(row) = rows.next()? {
                    let (job, step): (String, Option<String>) = (row.get(3)?, row.get(4)?);
                    let duration = history::duration(row, 2)?.unwrap_or_default();
                    let took = Took { number: row.get(0)?, phase: history::phase(row, 1)?, duration };
                    match trends.iter_mut().find(|trend| trend.job == job && trend.step == step) {
                        Some(trend) => trend.times.insert(0, took),
                        None => trends.push(Trend { job, step, times: vec![took] }),
                    }
                }
            }
            // Each job before its steps; the sort keeps the order of what is alike.
            let jobs: Vec<String> =
                trends.iter().filter(|trend| trend.step.is_none()).map(|trend| trend.job.clone()).collect();
            trends.sort_by_key(|trend| (jobs.iter().position(|job| *job == trend.job), trend.step.is_some()));
            Ok(trends)
        };
        work().map_err(|source| self.database(source))
    }

    /// How many runs ended in each way, or go on.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn counts(&self) -> Result<Vec<(Phase, u64)>, StoreError> {
        let work = || -> rusqlite::Result<Vec<(Phase, u64)>> {
            let mut counts = self.db().prepare_cached("SELECT status, COUNT(*) FROM runs GROUP BY status")?;
            counts.query_map([], |row| Ok((history::phase(row, 0)?, row.get(1)?)))?.collect()
        };
        work().map_err(|source| self.database(source))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::event::{RunId, Status};
    use crate::store::StateDir;
    use crate::store::record::{Ending, Subject};

    fn ended(history: &History, branch: &str, status: Status) {
        let subject = Subject { repository: "repo".into(), branch: Some(branch.into()), ..Subject::default() };
        let ending = Ending { status, message: Some("it ended".into()), time: jiff::Timestamp::now() };
        history.note(&RunId::generate(), &subject, None, &ending).unwrap();
    }

    #[test]
    fn a_push_that_nobody_wanted_says_nothing_of_its_branch() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::open(&StateDir::new(folder.path())).unwrap().0;
        for (branch, status) in [
            ("main", Status::Success),
            ("other", Status::Skipped),
            ("main", Status::Failure),
            ("main", Status::Skipped),
        ] {
            ended(&history, branch, status);
        }
        let heads = history.heads(9).unwrap();
        let heads: Vec<_> = heads.iter().map(|run| (run.branch.as_deref().unwrap(), run.phase.word())).collect();
        assert_eq!(heads, [("main", "failure"), ("other", "skipped")]);
    }
}
