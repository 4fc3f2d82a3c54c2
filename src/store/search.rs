//! Finding runs by text: in what their steps and services wrote, and in what Argon said of them.

use std::io::{self, Read};

use memchr::memmem::Finder;
use rusqlite::{OptionalExtension, params, params_from_iter};

use super::StoreError;
use super::history::{self, Filter, History, Job, Run};
use super::logs::{self, Log, LogId, find_line};

/// What a search came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Searched {
    /// The runs, the latest first.
    pub found: Vec<Found>,
    /// The number of the last run that was looked at, where the search ended before all were: the rest is older.
    pub ended_at: Option<i64>,
}

/// A run, and where it has the text that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The run.
    pub run: Run,
    /// The first line with the text.
    pub line: Option<FoundLine>,
}

/// A line with the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundLine {
    /// Who wrote it.
    pub by: FoundIn,
    /// The line, as it was written; cut where it is long.
    pub line: String,
}

/// Who wrote a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundIn {
    /// A step.
    Step {
        /// Its job.
        job: String,
        /// Its name.
        step: String,
    },
    /// A service.
    Service {
        /// Its job.
        job: String,
        /// Its name.
        service: String,
    },
    /// Argon, of a job or of the whole run.
    Notice {
        /// The job.
        job: Option<String>,
    },
}

impl FoundIn {
    /// For people, with what stands between a job and what is inside of it.
    #[must_use]
    pub fn shown(&self, inside: &str) -> String {
        match self {
            Self::Step { job, step: name } | Self::Service { job, service: name } => format!("{job} {inside} {name}"),
            Self::Notice { job: Some(job) } => format!("argon, of {job}"),
            Self::Notice { job: None } => "argon".to_owned(),
        }
    }
}

impl History {
    /// The latest runs that the filter lets through, the latest first. Once so many bytes of logs were read it ends with the run that
    /// it is at, and says so.
    ///
    /// # Errors
    /// Where the database refuses or a log cannot be read.
    pub fn search(&self, filter: &Filter, limit: usize, bytes: u64) -> Result<Searched, StoreError> {
        let (sql, values) = history::query(filter);
        let text = filter.text.as_deref().map(Finder::new);
        let mut statement = self.db().prepare(&sql).map_err(|source| self.database(source))?;
        let rows =
            statement.query_map(params_from_iter(values), history::run).map_err(|source| self.database(source))?;
        let (mut searched, mut left) = (Searched::default(), bytes);
        for row in rows {
            let run = row.map_err(|source| self.database(source))?;
            let number = run.number;
            match &text {
                None => searched.found.push(Found { run, line: None }),
                Some(text) => {
                    let line = self.line_of(&run, text, &mut left)?;
                    searched.found.extend(line.map(|line| Found { run, line: Some(line) }));
                }
            }
            if searched.found.len() >= limit {
                break;
            }
            if left == 0 {
                searched.ended_at = Some(number);
                break;
            }
        }
        Ok(searched)
    }

    /// The first line of a run with the text. What is read of logs is taken off `left`.
    fn line_of(&self, run: &Run, text: &Finder<'_>, left: &mut u64) -> Result<Option<FoundLine>, StoreError> {
        let jobs = self.jobs(run)?;
        for job in &jobs {
            for step in &job.steps {
                let id = LogId { run: run.id.clone(), job: job.position, step: step.position };
                let line = Log::open(self.dir(), &id, 0).and_then(|log| counted(log, text, left));
                let unread = |source| StoreError::File { what: "read the log", path: id.path(self.dir()), source };
                if let Some(line) = line.map_err(unread)? {
                    let by = FoundIn::Step { job: job.name.clone(), step: step.name.clone() };
                    return Ok(Some(FoundLine { by, line }));
                }
            }
            let folder = || self.dir().logs_of(&run.id);
            let unread = |source| StoreError::File { what: "read the logs of services in", path: folder(), source };
            for (service, file) in logs::services(self.dir(), &run.id, job.position).map_err(unread)? {
                if let Some(line) = counted(file, text, left).map_err(unread)? {
                    return Ok(Some(FoundLine { by: FoundIn::Service { job: job.name.clone(), service }, line }));
                }
            }
        }
        Ok(self.notice_of(run, text)?.or_else(|| said(run, &jobs, text)))
    }

    fn notice_of(&self, run: &Run, text: &Finder<'_>) -> Result<Option<FoundLine>, StoreError> {
        let work = || {
            self.db()
                .prepare_cached(
                    "SELECT job, message FROM notices WHERE run = ?1 AND instr(CAST(message AS BLOB), ?2) > 0 \
                     ORDER BY rowid LIMIT 1",
                )?
                .query_row(params![run.number, text.needle()], |row| {
                    Ok((FoundIn::Notice { job: row.get(0)? }, row.get::<_, String>(1)?))
                })
                .optional()
        };
        let found = work().map_err(|source| self.database(source))?;
        Ok(found.and_then(|(by, message)| line_in(by, &message, text)))
    }
}

/// Where the reasons have the text that Argon gives for how a run, its jobs and its steps ended.
fn said(run: &Run, jobs: &[Job], text: &Finder<'_>) -> Option<FoundLine> {
    let of_run = (None, run.message.as_ref());
    let of_jobs = jobs.iter().flat_map(|job| {
        let all = std::iter::once(&job.message).chain(job.steps.iter().map(|step| &step.message));
        all.map(|message| (Some(job.name.clone()), message.as_ref()))
    });
    let mut said = std::iter::once(of_run).chain(of_jobs);
    said.find_map(|(job, message)| line_in(FoundIn::Notice { job }, message?, text))
}

/// The line of a message that has the text.
fn line_in(by: FoundIn, message: &str, text: &Finder<'_>) -> Option<FoundLine> {
    // Reading from memory does not fail.
    let line = find_line(message.as_bytes(), text).ok().flatten()?;
    Some(FoundLine { by, line })
}

/// The line of a log that has the text; what was read is taken off `left`, which may be too little for it.
fn counted(log: impl Read, text: &Finder<'_>, left: &mut u64) -> io::Result<Option<String>> {
    let mut log = log.take(u64::MAX);
    let line = find_line(&mut log, text)?;
    *left = left.saturating_sub(u64::MAX - log.limit());
    Ok(line)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;
    use crate::event::*;
    use crate::sinks::Sink;
    use crate::store::StateDir;
    use crate::store::record::{Ending, Recorder, Subject};

    /// A run of a job with a service, each of which says `words` in its own way.
    fn record(dir: &StateDir, words: &str) {
        let mut recorder = Recorder::new(History::open(dir).unwrap().0, Subject::default());
        let (job, step, run) = (JobId::new("test"), StepIndex(0), RunId::generate());
        let info = JobInfo {
            id: job.clone(),
            name: None,
            image: "x".into(),
            needs: Vec::new(),
            steps: vec![StepInfo { name: "unit".into() }],
        };
        let bytes = |text: String| text.into_bytes().into();
        let result = RunResult { status: Status::Failure, cause: None, duration: Duration::ZERO };
        for event in [
            Event::RunStarted { pipeline: None, source: SourceInfo::default(), jobs: vec![info] },
            Event::Log {
                job: job.clone(),
                step,
                stream: Stream::Stdout,
                bytes: bytes(format!("a\n{words} printed\n")),
            },
            Event::ServiceLog { job: job.clone(), service: "db".into(), bytes: bytes(format!("b\n{words} served\n")) },
            Event::Notice { level: Level::Warn, job: Some(job), message: format!("{words} 50%_noticed") },
            Event::RunFinished { result },
        ] {
            recorder.take(&Envelope { seq: 1, time: Timestamp::now(), run: run.clone(), event }).unwrap();
        }
        assert!(recorder.trouble().get().is_none());
    }

    fn text(text: &str) -> Filter {
        Filter { text: Some(text.to_owned()), ..Filter::default() }
    }

    #[test]
    fn text_is_found_in_what_steps_services_and_argon_said_with_the_place() {
        let folder = tempfile::tempdir().unwrap();
        let dir = StateDir::new(folder.path());
        record(&dir, "one");
        record(&dir, "two");
        let history = History::open(&dir).unwrap().0;
        let why = "`other` matches none of on.push.branches";
        let ending = Ending { status: Status::Skipped, message: Some(why.to_owned()), time: Timestamp::now() };
        history.note(&RunId::generate(), &Subject::default(), None, &ending).unwrap();
        for (searched, shown, line) in [
            ("two pri", "test › unit", "two printed"),
            ("two ser", "test › db", "two served"),
            ("two 50%_n", "argon, of test", "two 50%_noticed"),
            ("matches none", "argon", why),
        ] {
            let found = history.runs(&text(searched), 9).unwrap();
            let told = found.iter().map(|found| found.line.clone().unwrap()).collect::<Vec<_>>();
            assert_eq!(told.len(), 1, "{searched}");
            assert_eq!((told[0].by.shown("›").as_str(), told[0].line.as_str()), (shown, line));
        }
        assert_eq!(history.runs(&text("nobody said"), 9).unwrap(), []);
    }

    #[test]
    fn a_search_ends_when_it_has_read_enough_and_goes_on_from_there() {
        let folder = tempfile::tempdir().unwrap();
        let dir = StateDir::new(folder.path());
        (0..5).for_each(|number| record(&dir, if number == 0 { "needle" } else { "hay" }));
        let history = History::open(&dir).unwrap().0;
        let (mut before, mut searches) = (None, 0);
        let found = loop {
            let searched = history.search(&Filter { before, ..text("needle") }, 9, 50).unwrap();
            searches += 1;
            match searched.ended_at {
                Some(number) if searched.found.is_empty() => before = Some(number),
                _ => break searched.found,
            }
        };
        assert_eq!((found[0].run.number, searches), (1, 3), "each run has 24 bytes");
        assert_eq!(history.search(&text("needle"), 9, u64::MAX).unwrap().ended_at, None);
    }
}
