//! Writing the history: a sink of a run's events.
//!
//! What becomes of the history never changes what becomes of the run. When it cannot be written, the recorder stops, keeps the
//! reason for whoever asks ([`Trouble`]), and the run goes on.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::logs::{LogId, events_of, service_log};
use super::tries::{self, Try};
use super::{StateDir, StoreError, history::History};
use crate::event::wire::Encoder;
use crate::event::{
    CachedStep, Cause, Envelope, Event, JobId, JobInfo, Level, PullEvent, RunId, SourceInfo, Status, StepIndex,
};
use crate::sinks::explain::{About, aside, explain};
use crate::sinks::{Sink, SinkError};

/// How many bytes of a step's output wait in memory.
const BUFFER: usize = 64 * 1024;

/// How much of what a service writes is kept, in bytes: one that talks all day must not fill the disk.
const SERVICE_LOG: u64 = 64 * 1024 * 1024;

/// What the events of a run do not say of it.
#[derive(Debug, Clone, Default)]
pub struct Subject {
    /// The kind of its event, as it stands under `on`.
    pub event: String,
    /// The repository, by folder or URL.
    pub repository: String,
    /// The branch, where the event names another than the source does.
    pub branch: Option<String>,
    /// The tag.
    pub tag: Option<String>,
    /// A digest of what differs from the commit; may become known while the run goes on.
    pub dirty_hash: Arc<OnceLock<String>>,
    /// A name for the process, that tells it from all others that ever were.
    pub owner: String,
}

/// How a run ended that no recorder saw to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// How.
    pub status: Status,
    /// Why, for people.
    pub message: Option<String>,
    /// When.
    pub time: jiff::Timestamp,
}

/// Why the history of a run is not whole; empty where it is.
#[derive(Debug, Clone, Default)]
pub struct Trouble(Arc<OnceLock<StoreError>>);

impl Trouble {
    /// The first thing that went wrong.
    #[must_use]
    pub fn get(&self) -> Option<&StoreError> {
        self.0.get()
    }
}

/// Records one run.
#[derive(Debug)]
pub struct Recorder {
    dir: StateDir,
    subject: Subject,
    state: State,
    trouble: Trouble,
}

#[derive(Debug)]
enum State {
    /// Nothing came yet.
    Before(Connection),
    Records(Box<Recording>),
    /// It ended, or nothing more can be written.
    Over,
}

#[derive(Debug)]
struct Recording {
    db: Connection,
    run: RunId,
    number: i64,
    jobs: HashMap<JobId, Job>,
    dirty_hash: Arc<OnceLock<String>>,
    owner: String,
    log_bytes: u64,
    events: EventLog,
}

/// The run's events, one a line, as `--output json` has them; without output, which is in the logs, and what moves in a pull.
#[derive(Debug)]
struct EventLog {
    file: File,
    encoder: Encoder,
    line: Vec<u8>,
}

impl EventLog {
    fn begin(dir: &StateDir, run: &RunId) -> Result<Self, StoreError> {
        let path = events_of(dir, run);
        let file = File::create(&path).map_err(|source| StoreError::File { what: "make", path, source })?;
        Ok(Self { file, encoder: Encoder::default(), line: Vec::new() })
    }

    fn add(&mut self, dir: &StateDir, envelope: &Envelope) -> Result<(), StoreError> {
        if matches!(
            &envelope.event,
            Event::Log { .. } | Event::ServiceLog { .. } | Event::ImagePull { pull: PullEvent::Layer(_), .. }
        ) {
            return Ok(());
        }
        self.line.clear();
        let encoded = self.encoder.encode(envelope, &mut self.line).map_err(std::io::Error::other);
        let written = encoded.and_then(|()| self.file.write_all(&self.line));
        let path = || events_of(dir, &envelope.run);
        written.map_err(|source| StoreError::File { what: "write", path: path(), source })
    }
}

#[derive(Debug)]
struct Job {
    position: usize,
    info: JobInfo,
    log: Option<StepLog>,
}

#[derive(Debug)]
struct StepLog {
    step: StepIndex,
    file: File,
    buffer: Vec<u8>,
}

impl Recorder {
    /// Records into this history.
    #[must_use]
    pub fn new(history: History, subject: Subject) -> Self {
        let (db, dir) = history.into_parts();
        Self { dir, subject, state: State::Before(db), trouble: Trouble::default() }
    }

    /// Where it tells why it stopped.
    #[must_use]
    pub fn trouble(&self) -> Trouble {
        self.trouble.clone()
    }

    fn record(&mut self, envelope: &Envelope) -> Result<(), StoreError> {
        match (&mut self.state, &envelope.event) {
            (State::Before(_), Event::RunStarted { pipeline, source, jobs }) => {
                let State::Before(db) = std::mem::replace(&mut self.state, State::Over) else { return Ok(()) };
                let run = Begun { envelope, pipeline: pipeline.as_deref(), source, jobs };
                self.state = State::Records(Box::new(Recording::begin(db, &self.dir, &self.subject, &run)?));
            }
            (State::Records(recording), event) => {
                let is_output = matches!(event, Event::Log { .. } | Event::ServiceLog { .. });
                if !is_output && !recording.is_ours().map_err(|source| database(&self.dir, source))? {
                    self.state = State::Over;
                    return Ok(());
                }
                recording.events.add(&self.dir, envelope)?;
                recording.take(&self.dir, envelope.time.as_millisecond(), event)?;
                if matches!(event, Event::RunFinished { .. }) {
                    self.state = State::Over;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn heed(&mut self, result: Result<(), StoreError>) {
        if let Err(error) = result {
            let _ = self.trouble.0.set(error);
            self.state = State::Over;
        }
    }
}

impl Sink for Recorder {
    fn take(&mut self, envelope: &Envelope) -> Result<(), SinkError> {
        let result = self.record(envelope);
        self.heed(result);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        if let State::Records(recording) = &mut self.state {
            let result = recording.flush(&self.dir);
            self.heed(result);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        self.flush()
    }
}

/// The first event of a run.
struct Begun<'a> {
    envelope: &'a Envelope,
    pipeline: Option<&'a str>,
    source: &'a SourceInfo,
    jobs: &'a [JobInfo],
}

impl Recording {
    fn begin(mut db: Connection, dir: &StateDir, subject: &Subject, begun: &Begun<'_>) -> Result<Self, StoreError> {
        let run = begun.envelope.run.clone();
        let number = insert_run(&mut db, subject, begun).map_err(|source| database(dir, source))?;
        let folder = dir.logs_of(&run);
        // What an earlier try of the run left: a log is added to, never begun anew.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).map_err(|source| StoreError::File {
            what: "make the folder",
            path: folder,
            source,
        })?;
        let mut events = EventLog::begin(dir, &run)?;
        events.add(dir, begun.envelope)?;
        let jobs = begun.jobs.iter().cloned().enumerate();
        let jobs = jobs.map(|(position, info)| (info.id.clone(), Job { position, info, log: None })).collect();
        let (dirty_hash, owner) = (subject.dirty_hash.clone(), subject.owner.clone());
        Ok(Self { db, run, number, jobs, dirty_hash, owner, log_bytes: 0, events })
    }

    /// Whether the run is this process's still. One that was stopped for longer than its lease lasts comes back to a run, its number and
    /// its folder that are another's by then.
    fn is_ours(&self) -> rusqlite::Result<bool> {
        let mut ours = self.db.prepare_cached("SELECT 1 FROM runs WHERE number = ?1 AND owner = ?2")?;
        ours.exists(params![self.number, self.owner])
    }

    fn take(&mut self, dir: &StateDir, time: i64, event: &Event) -> Result<(), StoreError> {
        match event {
            Event::Log { job, step, bytes, .. } => return self.log(dir, job, *step, bytes),
            Event::ServiceLog { job, service, bytes } => return self.service_log(dir, job, service, bytes),
            Event::JobCached { job, steps, .. } => {
                for step in steps {
                    for (_, bytes) in &step.log {
                        self.log(dir, job, step.step, bytes)?;
                    }
                }
                self.close_log(dir, job)?;
            }
            // What follows the end of a step reads its whole log.
            Event::StepFinished { job, .. } | Event::JobFinished { job, .. } => self.close_log(dir, job)?,
            Event::Retrying { job, step, attempt, of, cause, .. } => {
                self.close_log(dir, job)?;
                self.note_try(dir, job, *step, (*attempt, *of), cause)?;
            }
            Event::RunFinished { .. } => self.flush(dir)?,
            _ => {}
        }
        self.write(time, event).map_err(|source| database(dir, source))
    }

    fn write(&self, time: i64, event: &Event) -> rusqlite::Result<()> {
        match event {
            Event::JobStarted { job, image_id } => self.update(
                "UPDATE jobs SET status = 'running', started = ?3, image_id = ?4 WHERE run = ?1 AND position = ?2",
                params![self.number, self.position(job), time, image_id],
            ),
            Event::StepStarted { job, step } => self.update(
                "UPDATE steps SET status = 'running', started = ?4 WHERE run = ?1 AND job = ?2 AND position = ?3",
                params![self.number, self.position(job), index(step.0), time],
            ),
            Event::JobCached { job, steps, .. } => {
                self.update(
                    "UPDATE jobs SET started = ?3 WHERE run = ?1 AND position = ?2",
                    params![self.number, self.position(job), time],
                )?;
                for CachedStep { step, result, .. } in steps {
                    self.write(time, &Event::StepStarted { job: job.clone(), step: *step })?;
                    let result = result.clone();
                    self.write(time, &Event::StepFinished { job: job.clone(), step: *step, result })?;
                }
                self.aside(time, job, event)
            }
            Event::StepFinished { job, step, result } => self.update(
                "UPDATE steps SET status = ?4, message = ?5, exit_code = ?6, duration = ?7, cpu = ?8, peak_memory = ?9, \
                 forgiven = ?10 WHERE run = ?1 AND job = ?2 AND position = ?3",
                params![
                    self.number,
                    self.position(job),
                    index(step.0),
                    result.status.word(),
                    self.message(job, result.cause.as_ref()),
                    result.exit_code,
                    millis(result.duration),
                    result.cpu.map(millis),
                    result.peak_memory.map(count),
                    result.forgiven,
                ],
            ),
            Event::JobFinished { job, result } => self.update(
                "UPDATE jobs SET status = ?3, message = ?4, exit_code = ?5, duration = ?6, forgiven = ?7 \
                 WHERE run = ?1 AND position = ?2",
                params![
                    self.number,
                    self.position(job),
                    result.status.word(),
                    self.message(job, result.cause.as_ref()),
                    result.exit_code,
                    millis(result.duration),
                    result.forgiven,
                ],
            ),
            Event::RunFinished { result } => self.update(
                "UPDATE runs SET status = ?2, message = ?3, finished = ?4, duration = ?5, log_bytes = ?6, \
                 dirty_hash = ?7 WHERE number = ?1 AND owner = ?8",
                params![
                    self.number,
                    result.status.word(),
                    result.cause.as_ref().map(|cause| explain(cause, About::default()).what),
                    time,
                    millis(result.duration),
                    count(self.log_bytes),
                    self.dirty_hash.get(),
                    // A run that another process was given since is that one's to end.
                    self.owner,
                ],
            ),
            Event::Notice { level, job, message } => self.notice(time, *level, job.as_ref(), message),
            Event::Retrying { job, step, .. } => {
                if step.is_none() {
                    self.update(
                        "UPDATE steps SET status = 'queued', message = NULL, exit_code = NULL, duration = NULL, cpu = NULL, \
                         peak_memory = NULL, forgiven = 0 WHERE run = ?1 AND job = ?2",
                        params![self.number, self.position(job)],
                    )?;
                }
                self.aside(time, job, event)
            }
            Event::Service { job, .. } | Event::Cache { job, .. } | Event::Artifact { job, .. } => {
                self.aside(time, job, event)
            }
            _ => Ok(()),
        }
    }

    /// What became of a job beside its steps: a word of Argon's.
    fn aside(&self, time: i64, job: &JobId, event: &Event) -> rusqlite::Result<()> {
        let Some(info) = self.jobs.get(job).map(|job| &job.info) else { return Ok(()) };
        match aside(event, About { image: Some(&info.image), steps: &info.steps }) {
            Some((level, message)) => self.notice(time, level, Some(job), &message),
            None => Ok(()),
        }
    }

    fn notice(&self, time: i64, level: Level, job: Option<&JobId>, message: &str) -> rusqlite::Result<()> {
        if level == Level::Debug {
            return Ok(());
        }
        self.update(
            "INSERT INTO notices (run, time, level, job, message) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![self.number, time, level_word(level), job.map(JobId::as_str), message],
        )
    }

    fn update(&self, sql: &str, values: impl rusqlite::Params) -> rusqlite::Result<()> {
        self.db.prepare_cached(sql)?.execute(values).map(|_| ())
    }

    fn position(&self, job: &JobId) -> Option<i64> {
        self.jobs.get(job).map(|job| index(job.position))
    }

    fn message(&self, job: &JobId, cause: Option<&Cause>) -> Option<String> {
        let info = &self.jobs.get(job)?.info;
        let cause = cause?;
        let what = explain(cause, About { image: Some(&info.image), steps: &info.steps }).what;
        Some(match cause {
            // What a build printed is in no log of a step.
            Cause::ImageBuild { output, .. } if !output.is_empty() => format!("{what}\n{output}"),
            _ => what,
        })
    }

    fn log(&mut self, dir: &StateDir, job: &JobId, step: StepIndex, bytes: &[u8]) -> Result<(), StoreError> {
        if self.jobs.get(job).and_then(|job| job.log.as_ref()).is_some_and(|log| log.step != step) {
            self.close_log(dir, job)?;
        }
        // Asked when a file is opened, not for each piece: what is open already was removed with the other's begin.
        let is_open = self.jobs.get(job).is_some_and(|job| job.log.is_some());
        if !is_open && !self.is_ours().map_err(|source| database(dir, source))? {
            return Ok(());
        }
        let Some(job) = self.jobs.get_mut(job) else { return Ok(()) };
        let id = LogId { run: self.run.clone(), job: job.position, step: step.0 };
        let log = match &mut job.log {
            Some(log) => log,
            none => none.insert(StepLog::open(dir, &id, step)?),
        };
        self.log_bytes += bytes.len() as u64;
        log.buffer.extend_from_slice(bytes);
        if log.buffer.len() >= BUFFER { log.flush(dir, &id) } else { Ok(()) }
    }

    /// A service's words go to a file of their own beside the steps' logs.
    fn service_log(&mut self, dir: &StateDir, job: &JobId, service: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let Some(position) = self.jobs.get(job).map(|job| job.position) else { return Ok(()) };
        if !self.is_ours().map_err(|source| database(dir, source))? {
            return Ok(());
        }
        let path = service_log(dir, &self.run, position, service);
        let opened = File::options().create(true).append(true).open(&path);
        let written = opened.and_then(|mut file| {
            let bytes = within(bytes, file.metadata()?.len(), SERVICE_LOG);
            self.log_bytes += bytes.len() as u64;
            file.write_all(&bytes)
        });
        written.map_err(|source| StoreError::File { what: "write the log", path, source })
    }

    /// Notes where in the logs a try ended.
    fn note_try(
        &self,
        dir: &StateDir,
        job: &JobId,
        step: Option<StepIndex>,
        (attempt, of): (u32, u32),
        cause: &Cause,
    ) -> Result<(), StoreError> {
        let (Some(job_at), Some(message)) =
            (self.jobs.get(job).map(|job| job.position), self.message(job, Some(cause)))
        else {
            return Ok(());
        };
        let steps = self.jobs.get(job).map_or(0, |job| job.info.steps.len());
        let length =
            |step| fs::metadata(LogId { run: self.run.clone(), job: job_at, step }.path(dir)).map(|log| log.len());
        let ends = match step {
            Some(step) => vec![(step.0, length(step.0).unwrap_or(0))],
            // Steps that it did not come to have no log.
            None => (0..steps).filter_map(|step| Some((step, length(step).ok()?))).collect(),
        };
        let message = message.lines().next().unwrap_or_default().to_owned();
        let tried = Try { job: job_at, step: step.map(|step| step.0), attempt, of, message, ends };
        tries::note(dir, &self.run, &tried).map_err(|source| StoreError::File {
            what: "write",
            path: dir.logs_of(&self.run),
            source,
        })
    }

    fn close_log(&mut self, dir: &StateDir, job: &JobId) -> Result<(), StoreError> {
        let Some(job) = self.jobs.get_mut(job) else { return Ok(()) };
        match job.log.take() {
            Some(mut log) => {
                let id = LogId { run: self.run.clone(), job: job.position, step: log.step.0 };
                log.flush(dir, &id)
            }
            None => Ok(()),
        }
    }

    fn flush(&mut self, dir: &StateDir) -> Result<(), StoreError> {
        for job in self.jobs.values_mut() {
            if let Some(log) = &mut job.log {
                let id = LogId { run: self.run.clone(), job: job.position, step: log.step.0 };
                log.flush(dir, &id)?;
            }
        }
        Ok(())
    }
}

/// What of these bytes is still written to a log of this length. A log that is full ends in a line that says so, and is longer than
/// `most` from then on.
fn within(bytes: &[u8], length: u64, most: u64) -> Cow<'_, [u8]> {
    if length > most {
        return Cow::Borrowed(&[]);
    }
    let room = usize::try_from(most - length).unwrap_or(usize::MAX);
    if bytes.len() <= room {
        return Cow::Borrowed(bytes);
    }
    let full = format!("\n… the service wrote more than {} MiB: the rest is not kept\n", most / 1024 / 1024);
    Cow::Owned([&bytes[..room], full.as_bytes()].concat())
}

impl StepLog {
    fn open(dir: &StateDir, id: &LogId, step: StepIndex) -> Result<Self, StoreError> {
        let path = id.path(dir);
        let file = File::options().create(true).append(true).open(&path);
        let file = file.map_err(|source| StoreError::File { what: "write the log", path, source })?;
        Ok(Self { step, file, buffer: Vec::new() })
    }

    fn flush(&mut self, dir: &StateDir, id: &LogId) -> Result<(), StoreError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let written = self.file.write_all(&self.buffer);
        self.buffer.clear();
        written.map_err(|source| StoreError::File { what: "write the log", path: id.path(dir), source })
    }
}

fn insert_run(db: &mut Connection, subject: &Subject, begun: &Begun<'_>) -> rusqlite::Result<i64> {
    let work = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    // A run that is tried again keeps its number, and what the earlier try left is written over.
    let id = begun.envelope.run.as_str();
    let known: Option<i64> =
        work.query_row("SELECT number FROM runs WHERE id = ?1", [id], |row| row.get(0)).optional()?;
    if let Some(number) = known {
        work.execute("DELETE FROM runs WHERE number = ?1", [number])?;
    }
    work.execute(
        "INSERT INTO runs (number, id, repository, pipeline, event, branch, tag, commit_id, dirty, dirty_hash, status, \
         started, owner) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 'running', ?11, ?12)",
        params![
            known,
            id,
            subject.repository,
            begun.pipeline,
            subject.event,
            subject.branch.as_ref().or(begun.source.branch.as_ref()),
            subject.tag,
            begun.source.commit,
            begun.source.dirty,
            subject.dirty_hash.get(),
            begun.envelope.time.as_millisecond(),
            subject.owner,
        ],
    )?;
    let number = work.last_insert_rowid();
    for (position, job) in begun.jobs.iter().enumerate() {
        insert_job(&work, number, position, job)?;
    }
    work.commit()?;
    Ok(number)
}

impl History {
    /// Says why a run ended as it did, where the one who stopped it knows better than the run.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn explain(&self, run: &RunId, why: &str) -> Result<(), StoreError> {
        let told = self.db().execute("UPDATE runs SET message = ?2 WHERE id = ?1", params![run.as_str(), why]);
        told.map(|_| ()).map_err(|source| self.database(source))
    }

    /// Records how a run ended, where no recorder did: it ended before any job of it was planned, nobody worked on it, or what its
    /// recorder wrote is not whole. What of its jobs was not seen to its end is interrupted.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn note(
        &self,
        run: &RunId,
        subject: &Subject,
        commit: Option<&str>,
        ending: &Ending,
    ) -> Result<(), StoreError> {
        let values = params![
            run.as_str(),
            subject.repository,
            subject.event,
            subject.branch,
            subject.tag,
            commit,
            ending.status.word(),
            ending.message,
            ending.time.as_millisecond(),
            subject.owner,
        ];
        let work = || -> rusqlite::Result<()> {
            let work = self.db().unchecked_transaction()?;
            work.execute(
                "INSERT INTO runs (id, repository, event, branch, tag, commit_id, dirty, status, message, started, \
                 finished, duration, owner) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, ?8, ?9, ?9, 0, ?10) \
                 ON CONFLICT (id) DO UPDATE SET status = excluded.status, message = excluded.message, \
                 finished = excluded.finished, \
                 duration = CASE status WHEN 'running' THEN MAX(0, excluded.finished - started) ELSE 0 END",
                values,
            )?;
            for table in ["jobs", "steps"] {
                let sql = format!(
                    "UPDATE {table} SET status = CASE status WHEN 'running' THEN 'interrupted' ELSE 'skipped' END \
                     WHERE status IN ('running', 'queued') AND run = (SELECT number FROM runs WHERE id = ?1)"
                );
                work.execute(&sql, [run.as_str()])?;
            }
            work.commit()
        };
        work().map_err(|source| self.database(source))
    }
}

fn insert_job(db: &Connection, run: i64, position: usize, job: &JobInfo) -> rusqlite::Result<()> {
    let needs: Vec<&str> = job.needs.iter().map(JobId::as_str).collect();
    db.prepare_cached(
        "INSERT INTO jobs (run, position, name, title, image, needs, status) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'queued')",
    )?
    .execute(params![
        run,
        index(position),
        job.id.as_str(),
        job.name,
        job.image,
        serde_json::Value::from(needs).to_string()
    ])?;
    let mut insert =
        db.prepare_cached("INSERT INTO steps (run, job, position, name, status) VALUES (?1, ?2, ?3, ?4, 'queued')")?;
    for (at, step) in job.steps.iter().enumerate() {
        insert.execute(params![run, index(position), index(at), step.name])?;
    }
    Ok(())
}

fn database(dir: &StateDir, source: rusqlite::Error) -> StoreError {
    StoreError::Database { path: dir.history(), source }
}

fn level_word(level: Level) -> &'static str {
    match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}

fn index(position: usize) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

fn count(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_s_log_is_full_at_some_point_and_says_so_once() {
        let most = 2 * 1024 * 1024;
        let mut log = Vec::new();
        for _ in 0..5 {
            let piece = within(&[b'x'; 1_000_000], log.len() as u64, most).into_owned();
            log.extend(piece);
        }
        let text = String::from_utf8(log).unwrap_or_default();
        assert_eq!(text.matches('x').count() as u64, most);
        assert!(text.ends_with("x\n… the service wrote more than 2 MiB: the rest is not kept\n"));
        assert_eq!(text.matches('…').count(), 1);
    }
}
