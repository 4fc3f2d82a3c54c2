//! The runs, jobs and steps that were: reading them.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params, types::Value};

use super::database::{self, Look, MovedAside};
pub use super::search::{Found, FoundIn, FoundLine, Searched};
use super::{StateDir, StoreError};
use crate::event::{RunId, Status};

/// The word of a run that goes on.
const RUNNING: &str = "running";

/// The word of a run whose process died.
const INTERRUPTED: &str = "interrupted";

/// How what ended may have ended.
const STATUSES: [Status; 5] = [Status::Success, Status::Failure, Status::Cancelled, Status::Skipped, Status::Error];

pub(super) const MIGRATIONS: &[&str] = &[include_str!("schema/history-1.sql")];

/// The history of a state folder.
#[derive(Debug)]
pub struct History {
    db: Connection,
    dir: StateDir,
}

/// Where a run, a job or a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It waits.
    Queued,
    /// It goes on.
    Running,
    /// It ended.
    Ended(Status),
    /// The process that ran it died.
    Interrupted,
}

impl Phase {
    /// The word for it, in text, in JSON and in the store.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => RUNNING,
            Self::Ended(status) => status.word(),
            Self::Interrupted => INTERRUPTED,
        }
    }

    /// The phase of this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "queued" => Some(Self::Queued),
            RUNNING => Some(Self::Running),
            INTERRUPTED => Some(Self::Interrupted),
            word => STATUSES.iter().copied().find(|status| status.word() == word).map(Self::Ended),
        }
    }

    /// Whether it did not end well: what people look for first.
    #[must_use]
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Ended(Status::Failure | Status::Error) | Self::Interrupted)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A run that was, or goes on.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Its number in this history, from 1: what people call it.
    pub number: i64,
    /// Its id.
    pub id: RunId,
    /// The repository, by folder or URL.
    pub repository: String,
    /// The pipeline's name.
    pub pipeline: Option<String>,
    /// The kind of its event.
    pub event: String,
    /// The branch.
    pub branch: Option<String>,
    /// The tag.
    pub tag: Option<String>,
    /// The commit, in full.
    pub commit: Option<String>,
    /// The tree differed from the commit.
    pub dirty: bool,
    /// A digest of what differed.
    pub dirty_hash: Option<String>,
    /// Where it is.
    pub phase: Phase,
    /// Why, where it is known.
    pub message: Option<String>,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// How long it took.
    pub duration: Option<Duration>,
    /// Bytes of its logs; 0 as long as it goes on.
    pub log_bytes: u64,
}

/// The first digits of a commit, as people see it.
#[must_use]
pub fn short_commit(commit: &str) -> String {
    commit.chars().take(8).collect()
}

impl Run {
    /// Its commit as people see it, with a `+` where the tree differed from it.
    #[must_use]
    pub fn shown_commit(&self) -> Option<String> {
        let plus = if self.dirty { "+" } else { "" };
        self.commit.as_deref().map(|commit| short_commit(commit) + plus)
    }

    /// Whether its branch is one of a fork, which is written with the fork before it: `mallory/app:main`. No branch has a `:` in its
    /// own name.
    #[must_use]
    pub fn is_of_fork(&self) -> bool {
        self.branch.as_deref().is_some_and(|branch| branch.contains(':'))
    }
}

/// A job of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its position in the plan, from 0.
    pub position: usize,
    /// Its id.
    pub name: String,
    /// Its `name`, where it has one.
    pub title: Option<String>,
    /// Its image.
    pub image: String,
    /// The image's content on the engine, where it came to that: `sha256:…`.
    pub image_id: Option<String>,
    /// The jobs that it needs.
    pub needs: Vec<String>,
    /// Where it is.
    pub phase: Phase,
    /// Why.
    pub message: Option<String>,
    /// The exit code of the step that decided it.
    pub exit_code: Option<i32>,
    /// When it began.
    pub started: Option<Timestamp>,
    /// How long it took.
    pub duration: Option<Duration>,
    /// It failed, and was forgiven.
    pub forgiven: bool,
    /// Its steps, in order.
    pub steps: Vec<Step>,
}

/// A step of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Its position in the job, from 0.
    pub position: usize,
    /// Its name.
    pub name: String,
    /// Where it is.
    pub phase: Phase,
    /// Why.
    pub message: Option<String>,
    /// Its exit code.
    pub exit_code: Option<i32>,
    /// When it began.
    pub started: Option<Timestamp>,
    /// How long it took.
    pub duration: Option<Duration>,
    /// CPU time.
    pub cpu: Option<Duration>,
    /// The container's highest memory use, in bytes.
    pub peak_memory: Option<u64>,
    /// It failed, and was forgiven.
    pub forgiven: bool,
}

/// What went wrong first in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstBad {
    /// The job.
    pub job: String,
    /// The step, where it was one.
    pub step: Option<String>,
    /// Why.
    pub message: Option<String>,
}

/// Which runs are asked for. All that is said must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this repository.
    pub repository: Option<String>,
    /// Of this branch.
    pub branch: Option<String>,
    /// In one of these phases; empty: in any.
    pub phases: Vec<Phase>,
    /// Older than the run of this number.
    pub before: Option<i64>,
    /// With this text in what its steps and services wrote, or in what Argon said of it.
    pub text: Option<String>,
}

/// How a person names a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunName {
    /// By its number.
    Number(i64),
    /// By its id, or the end of it: ids begin with the time.
    Id(String),
}

impl RunName {
    /// Reads `12`, `#12`, an id, or some of its last digits (at least four).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('#').unwrap_or(text);
        let hex = |text: &str| text.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
        match text.parse() {
            Ok(number) if number > 0 => Some(Self::Number(number)),
            _ if text.len() >= 4 && hex(text) => Some(Self::Id(text.to_ascii_lowercase())),
            _ => None,
        }
    }
}

impl History {
    /// Opens the history to write to it, and makes it where there is none. One that is damaged is moved aside.
    ///
    /// # Errors
    /// Where it cannot be made or used, or a newer argon wrote it.
    pub fn open(dir: &StateDir) -> Result<(Self, Option<MovedAside>), StoreError> {
        let (db, moved) = database::open(&dir.history(), MIGRATIONS, Look::Through)?;
        Ok((Self { db, dir: dir.clone() }, moved))
    }

    /// Opens the history to read it; `None` where there is none yet.
    ///
    /// # Errors
    /// As [`History::open`].
    pub fn look(dir: &StateDir) -> Result<Option<Self>, StoreError> {
        if !dir.history().exists() {
            return Ok(None);
        }
        let (db, _) = database::open(&dir.history(), MIGRATIONS, Look::Head)?;
        Ok(Some(Self { db, dir: dir.clone() }))
    }

    pub(super) fn into_parts(self) -> (Connection, StateDir) {
        (self.db, self.dir)
    }

    pub(super) fn db(&self) -> &Connection {
        &self.db
    }

    pub(super) fn dir(&self) -> &StateDir {
        &self.dir
    }

    pub(super) fn database(&self, source: rusqlite::Error) -> StoreError {
        StoreError::Database { path: self.dir.history(), source }
    }

    /// Tells the runs whose process is dead as what they are: interrupted. Gives how many there were.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn interrupt_dead(&self, is_dead: impl Fn(&str) -> bool) -> Result<usize, StoreError> {
        let work = || -> rusqlite::Result<usize> {
            let mut running = self.db.prepare("SELECT number, owner FROM runs WHERE status = 'running'")?;
            let running = running.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
            let dead = running.filter(|row| row.as_ref().map_or(true, |(_, owner)| is_dead(owner)));
            let dead = dead.map(|row| row.map(|(number, _)| number)).collect::<rusqlite::Result<Vec<i64>>>()?;
            for number in &dead {
                self.interrupt(*number)?;
            }
            Ok(dead.len())
        };
        work().map_err(|source| self.database(source))
    }

    fn interrupt(&self, number: i64) -> rusqlite::Result<()> {
        let why = "the argon that ran it was killed, or the machine went down";
        self.db.execute(
            "UPDATE runs SET status = 'interrupted', message = ?2 WHERE number = ?1 AND status = 'running'",
            params![number, why],
        )?;
        for table in ["jobs", "steps"] {
            let sql = format!("UPDATE {table} SET status = 'interrupted' WHERE run = ?1 AND status = 'running'");
            self.db.execute(&sql, [number])?;
        }
        Ok(())
    }

    /// The latest runs that the filter lets through, the latest first.
    ///
    /// # Errors
    /// Where the database refuses or a log cannot be read.
    pub fn runs(&self, filter: &Filter, limit: usize) -> Result<Vec<Found>, StoreError> {
        Ok(self.search(filter, limit, u64::MAX)?.found)
    }

    /// The run of this name.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn run(&self, name: &RunName) -> Result<Option<Run>, StoreError> {
        let (condition, value) = match name {
            RunName::Number(number) => ("number = ?1", Value::from(*number)),
            RunName::Id(id) => ("id LIKE '%' || ?1", Value::from(id.clone())),
        };
        let sql = format!("{COLUMNS} WHERE {condition} ORDER BY number DESC LIMIT 1");
        self.db.query_row(&sql, [value], run).optional().map_err(|source| self.database(source))
    }

    /// How the run before it of the same repository and branch ended, of those that succeeded, failed or met an error.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn previous(&self, run: &Run) -> Result<Option<Status>, StoreError> {
        let word = self.db.query_row(
            "SELECT status FROM runs WHERE repository = ?1 AND branch IS ?2 AND number < ?3 \
             AND status IN ('success', 'failure', 'error') ORDER BY number DESC LIMIT 1",
            params![run.repository, run.branch, run.number],
            |row| row.get::<_, String>(0),
        );
        let word = word.optional().map_err(|source| self.database(source))?;
        Ok(word.and_then(|word| STATUSES.into_iter().find(|status| status.word() == word)))
    }

    /// What went wrong first in a run that did not end well.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn first_bad(&self, run: &Run) -> Result<Option<FirstBad>, StoreError> {
        if !run.phase.is_bad() {
            return Ok(None);
        }
        let bad = self.jobs(run)?.into_iter().find(|job| job.phase.is_bad() && !job.forgiven);
        Ok(bad.map(|job| {
            let step = job.steps.into_iter().find(|step| step.phase.is_bad() && !step.forgiven);
            let message = step.as_ref().and_then(|step| step.message.clone()).or(job.message);
            let message = message.and_then(|message| message.lines().next().map(str::to_owned));
            FirstBad { job: job.name, step: step.map(|step| step.name), message }
        }))
    }

    /// Its jobs with their steps, in the order of the plan.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn jobs(&self, run: &Run) -> Result<Vec<Job>, StoreError> {
        let work = || -> rusqlite::Result<Vec<Job>> {
            let mut jobs = self.db.prepare_cached(
                "SELECT position, name, title, image, needs, status, message, exit_code, started, duration, forgiven, \
                 image_id FROM jobs WHERE run = ?1 ORDER BY position",
            )?;
            let mut jobs = jobs.query_map([run.number], job)?.collect::<rusqlite::Result<Vec<Job>>>()?;
            let mut steps = self.db.prepare_cached(
                "SELECT job, position, name, status, message, exit_code, started, duration, cpu, peak_memory, forgiven \
                 FROM steps WHERE run = ?1 ORDER BY job, position",
            )?;
            for row in steps.query_map([run.number], |row| Ok((row.get::<_, usize>(0)?, step(row)?)))? {
                let (at, step) = row?;
                if let Some(job) = jobs.get_mut(at) {
                    job.steps.push(step);
                }
            }
            Ok(jobs)
        };
        work().map_err(|source| self.database(source))
    }
}

pub(super) const COLUMNS: &str = "SELECT number, id, repository, pipeline, event, branch, tag, commit_id, dirty, dirty_hash, status, \
                       message, started, finished, duration, log_bytes FROM runs";

pub(super) fn query(filter: &Filter) -> (String, Vec<Value>) {
    let mut conditions: Vec<String> = vec!["1".to_owned()];
    let mut values: Vec<Value> = Vec::new();
    let texts = [("repository", &filter.repository), ("branch", &filter.branch)];
    for (column, value) in texts.into_iter().filter_map(|(column, value)| Some((column, value.clone()?))) {
        values.push(Value::from(value));
        conditions.push(format!("{column} = ?{}", values.len()));
    }
    if let Some(before) = filter.before {
        values.push(Value::from(before));
        conditions.push(format!("number < ?{}", values.len()));
    }
    if !filter.phases.is_empty() {
        let words: Vec<String> = filter.phases.iter().map(|phase| format!("'{}'", phase.word())).collect();
        conditions.push(format!("status IN ({})", words.join(", ")));
    }
    (format!("{COLUMNS} WHERE {} ORDER BY number DESC", conditions.join(" AND ")), values)
}

pub(super) fn run(row: &Row<'_>) -> rusqlite::Result<Run> {
    Ok(Run {
        number: row.get(0)?,
        id: RunId::from_text(&row.get::<_, String>(1)?),
        repository: row.get(2)?,
        pipeline: row.get(3)?,
        event: row.get(4)?,
        branch: row.get(5)?,
        tag: row.get(6)?,
        commit: row.get(7)?,
        dirty: row.get(8)?,
        dirty_hash: row.get(9)?,
        phase: phase(row, 10)?,
        message: row.get(11)?,
        started: time(row.get(12)?),
        finished: row.get::<_, Option<i64>>(13)?.map(time),
        duration: duration(row, 14)?,
        log_bytes: row.get(15)?,
    })
}

fn job(row: &Row<'_>) -> rusqlite::Result<Job> {
    let needs: String = row.get(4)?;
    Ok(Job {
        position: row.get(0)?,
        name: row.get(1)?,
        title: row.get(2)?,
        image: row.get(3)?,
        needs: serde_json::from_str(&needs).unwrap_or_default(),
        phase: phase(row, 5)?,
        message: row.get(6)?,
        exit_code: row.get(7)?,
        started: row.get::<_, Option<i64>>(8)?.map(time),
        duration: duration(row, 9)?,
        forgiven: row.get(10)?,
        image_id: row.get(11)?,
        steps: Vec::new(),
    })
}

fn step(row: &Row<'_>) -> rusqlite::Result<Step> {
    Ok(Step {
        position: row.get(1)?,
        name: row.get(2)?,
        phase: phase(row, 3)?,
        message: row.get(4)?,
        exit_code: row.get(5)?,
        started: row.get::<_, Option<i64>>(6)?.map(time),
        duration: duration(row, 7)?,
        cpu: duration(row, 8)?,
        peak_memory: row.get(9)?,
        forgiven: row.get(10)?,
    })
}

pub(super) fn phase(row: &Row<'_>, column: usize) -> rusqlite::Result<Phase> {
    let word: String = row.get(column)?;
    Phase::from_word(&word).ok_or_else(|| {
        let why = format!("`{word}` is no status");
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, why.into())
    })
}

fn time(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

pub(super) fn duration(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Duration>> {
    Ok(row.get::<_, Option<u64>>(column)?.map(Duration::from_millis))
}
