//! Plain lines, for pipes and CI, and `-q`. If they cannot be written, this sink ends and the run is told.
//!
//! With one job, the bytes of its steps go through as they are. With several, each line has its job's name before it;
//! a line that has no end yet is held back up to a bound, so lines of two jobs are never glued together.

mod build;

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use memchr::{memchr, memrchr};

use super::explain::{About, aside, explain};
use super::out::Out;
use super::sanitize::one_line;
use super::style::{Style, Tone, human};
use super::summary::{Width, job_note, summary};
use super::tracker::{JobTrack, Keep, Tracker};
use super::{Sink, SinkError, Verbosity};
use crate::event::{
    Cause, Envelope, Event, JobId, JobResult, Level, PullEvent, RunResult, SourceInfo, Status, StepIndex, StepResult,
    Stream,
};

/// The most of a line without an end that is held back, for each stream of each job.
const LONGEST_HELD: usize = 8 * 1024;
/// The widest a prefix is made for the sake of alignment.
const WIDEST_NAME: usize = 32;

/// How plain output looks.
#[derive(Debug, Clone)]
pub struct PlainOptions {
    /// Colour and symbols of Argon's own lines.
    pub style: Style,
    /// How much.
    pub verbosity: Verbosity,
    /// The command that a job's name is put behind to run it again: `argon run`.
    pub rerun: String,
}

impl Default for PlainOptions {
    fn default() -> Self {
        Self { style: Style::default(), verbosity: Verbosity::Normal, rerun: "argon run".to_owned() }
    }
}

/// Writes a run as plain lines.
#[derive(Debug)]
pub struct Plain<W> {
    out: Out<W>,
    options: PlainOptions,
    tracker: Tracker,
    prefixes: Vec<Prefix>,
    /// Lines without an end yet, in runs with several jobs.
    held: HashMap<(usize, Stream), Held>,
    /// The same of images that are built, by name.
    built: HashMap<Arc<str>, Vec<u8>>,
    /// What the end of the output is.
    cursor: Cursor,
}

#[derive(Debug, Default)]
struct Held {
    bytes: Vec<u8>,
    /// A part of this line is written already.
    begun: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cursor {
    /// At the start of a line.
    Fresh,
    /// In a line of a step, which has no newline yet.
    Inside(usize, Stream),
}

/// What stands before a job's lines.
#[derive(Debug)]
struct Prefix {
    out: Vec<u8>,
    err: Vec<u8>,
    continued: Vec<u8>,
}

impl<W: Write + Send> Plain<W> {
    /// Writes to `writer`.
    pub fn new(writer: W, options: PlainOptions) -> Self {
        Self {
            out: Out::new(writer, "standard output"),
            options,
            tracker: Tracker::new(Keep::Failures),
            prefixes: Vec::new(),
            held: HashMap::new(),
            built: HashMap::new(),
            cursor: Cursor::Fresh,
        }
    }

    fn show(&mut self, event: &Event) -> Result<(), SinkError> {
        match event {
            Event::RunStarted { source, .. } => self.run_started(source),
            Event::JobQueued { .. } | Event::Summary { .. } => Ok(()),
            Event::ImagePull { image, pull } => self.pull(image, pull),
            Event::ImageBuild { image, build } => self.build(image, build),
            Event::JobStarted { job, .. } => self.job_started(job),
            Event::StepStarted { job, step } => self.step_started(job, *step),
            Event::Log { job, stream, bytes, .. } => self.log(job, *stream, bytes),
            Event::StepFinished { job, step, result } => self.step_finished(job, *step, result),
            Event::JobFinished { job, result } => self.job_finished(job, result),
            Event::RunFinished { result } => self.run_finished(result),
            Event::Notice { level, job, message } => self.notice(*level, job.as_ref(), message),
            Event::ServiceLog { .. } => Ok(()),
            Event::Retrying { job, .. }
            | Event::JobCached { job, .. }
            | Event::Service { job, .. }
            | Event::Cache { job, .. }
            | Event::Artifact { job, .. } => self.aside(job, event),
        }
    }

    fn aside(&mut self, job: &JobId, event: &Event) -> Result<(), SinkError> {
        self.release(job)?;
        let about = self.tracker.job(job).map(JobTrack::about).unwrap_or_default();
        match aside(event, about) {
            Some((level, message)) => self.notice(level, Some(job), &message),
            None => Ok(()),
        }
    }

    /// Quiet: failures only, and these come with the summary.
    fn show_quietly(&mut self, event: &Event) -> Result<(), SinkError> {
        match event {
            Event::RunFinished { result } => {
                let text = summary(
                    &self.tracker,
                    result,
                    &self.options.style,
                    Verbosity::Quiet,
                    &self.options.rerun,
                    Width::Any,
                );
                self.out.push(text.as_bytes())
            }
            Event::Notice { level: level @ Level::Error, job, message } => self.notice(*level, job.as_ref(), message),
            _ => Ok(()),
        }
    }

    fn run_started(&mut self, source: &SourceInfo) -> Result<(), SinkError> {
        self.make_prefixes();
        let style = self.options.style;
        let jobs = self.tracker.jobs.len();
        let mut text = match &self.tracker.pipeline {
            Some(name) => style.paint(Tone::Bold, name),
            None => style.paint(Tone::Bold, "argon"),
        };
        text.push_str(&match jobs {
            1 => format!(": {} in {}", self.tracker.jobs[0].called(), self.tracker.jobs[0].info.image),
            _ => format!(": {jobs} jobs"),
        });
        let built = described(source);
        if !built.is_empty() {
            text.push_str(&style.paint(Tone::Dim, &format!(" ({built})")));
        }
        self.line(None, &text)
    }

    fn make_prefixes(&mut self) {
        let style = self.options.style;
        if self.tracker.jobs.len() < 2 {
            self.prefixes = Vec::new();
            return;
        }
        let names = self.tracker.jobs.iter().map(|job| job.info.id.as_str());
        let width = names.clone().map(console::measure_text_width).max().unwrap_or(0).min(WIDEST_NAME);
        self.prefixes = names
            .enumerate()
            .map(|(position, name)| {
                let name = console::pad_str(name, width, console::Alignment::Left, None);
                let with = |bar: &str| style.paint(Tone::Job(position), &format!("{name} {bar}")).into_bytes();
                let spaced = |bar: &str| [with(bar), b" ".to_vec()].concat();
                Prefix {
                    out: spaced(style.symbols.bar()),
                    err: spaced("!"),
                    continued: spaced(style.symbols.broken_bar()),
                }
            })
            .collect();
    }

    /// Writes a line of Argon's own.
    fn line(&mut self, job: Option<&JobId>, text: &str) -> Result<(), SinkError> {
        self.fresh_line()?;
        if let Some(prefix) = job.and_then(|job| self.tracker.position(job)).and_then(|at| self.prefixes.get(at)) {
            self.out.push(&prefix.out)?;
        }
        self.out.push(text.as_bytes())?;
        self.out.push(b"\n")
    }

    fn fresh_line(&mut self) -> Result<(), SinkError> {
        match std::mem::replace(&mut self.cursor, Cursor::Fresh) {
            Cursor::Fresh => Ok(()),
            Cursor::Inside(..) => self.out.push(b"\n"),
        }
    }

    fn pull(&mut self, image: &str, pull: &PullEvent) -> Result<(), SinkError> {
        let style = self.options.style;
        let image = one_line(image);
        let text = match pull {
            PullEvent::Started => format!("{} pulling {image}", style.symbols.begin()),
            PullEvent::Layer(_) => return Ok(()),
            PullEvent::Retrying { attempt, wait, reason } => format!(
                "{} try {attempt} to pull {image} failed: {}; again in {}",
                style.paint(Tone::Warn, "warning:"),
                one_line(reason),
                human(*wait)
            ),
            PullEvent::Finished { duration } => {
                format!("{} pulled {image}  {}", style.status(Status::Success), time(&style, *duration))
            }
            PullEvent::Failed { message } => {
                format!("{} cannot pull {image}: {}", style.status(Status::Error), one_line(message))
            }
        };
        self.line(None, &text)
    }

    fn job_started(&mut self, job: &JobId) -> Result<(), SinkError> {
        if self.prefixes.is_empty() {
            return Ok(());
        }
        let style = self.options.style;
        let Some(info) = self.tracker.job(job).map(|track| &track.info) else {
            return Ok(());
        };
        let name = info.name.as_ref().map(|name| format!("{name}, ")).unwrap_or_default();
        let words = format!("{name}in {}", info.image);
        self.line(Some(job), &style.paint(Tone::Dim, &words))
    }

    fn step_started(&mut self, job: &JobId, step: StepIndex) -> Result<(), SinkError> {
        let style = self.options.style;
        let name = self.step_name(job, step);
        self.line(Some(job), &format!("{} {}", style.symbols.begin(), style.paint(Tone::Bold, &name)))
    }

    fn step_name(&self, job: &JobId, step: StepIndex) -> String {
        self.tracker.job(job).map(|track| track.step_name(step).to_owned()).unwrap_or_default()
    }

    fn step_finished(&mut self, job: &JobId, step: StepIndex, result: &StepResult) -> Result<(), SinkError> {
        self.release(job)?;
        let after_failure = result.cause == Some(Cause::EarlierStepFailed);
        if result.status == Status::Skipped && after_failure && self.options.verbosity < Verbosity::Verbose {
            return Ok(());
        }
        let style = self.options.style;
        let name = self.step_name(job, step);
        let mut text = format!("{} {name}", style.status(result.status));
        if let Some(cause) = &result.cause {
            let track = self.tracker.job(job);
            let about = About {
                image: track.map(|track| track.info.image.as_str()),
                steps: track.map_or(&[], |track| &track.info.steps),
            };
            text.push_str(&format!(": {}", explain(cause, about).what));
        } else if result.status != Status::Success {
            text.push_str(&format!(": {}", result.status));
        }
        if result.forgiven {
            text.push_str(" (forgiven)");
        }
        if result.status != Status::Skipped {
            text.push_str(&format!("  {}", time(&style, result.duration)));
        }
        self.line(Some(job), &text)
    }

    fn job_finished(&mut self, job: &JobId, result: &JobResult) -> Result<(), SinkError> {
        self.release(job)?;
        if self.prefixes.is_empty() {
            return Ok(());
        }
        let style = self.options.style;
        let note = self.tracker.job(job).map(|track| job_note(track, result)).unwrap_or_default();
        let mut text =
            format!("{} {}", style.status(result.status), style.paint(Tone::of(result.status), result.status.word()));
        if !note.is_empty() {
            text.push_str(&format!(": {note}"));
        }
        if result.status != Status::Skipped {
            text.push_str(&format!("  {}", time(&style, result.duration)));
        }
        self.line(Some(job), &text)
    }

    fn run_finished(&mut self, result: &RunResult) -> Result<(), SinkError> {
        self.fresh_line()?;
        let text = summary(
            &self.tracker,
            result,
            &self.options.style,
            self.options.verbosity,
            &self.options.rerun,
            Width::Any,
        );
        self.out.push(b"\n")?;
        self.out.push(text.as_bytes())
    }

    fn notice(&mut self, level: Level, job: Option<&JobId>, message: &str) -> Result<(), SinkError> {
        let style = self.options.style;
        let message = one_line(message);
        let text = match level {
            Level::Debug if self.options.verbosity < Verbosity::Verbose => return Ok(()),
            Level::Debug => style.paint(Tone::Dim, &format!("debug: {message}")),
            Level::Info => format!("note: {message}"),
            Level::Warn => format!("{} {message}", style.paint(Tone::Warn, "warning:")),
            Level::Error => format!("{} {message}", style.paint(Tone::Bad, "error:")),
        };
        self.line(job, &text)
    }

    fn log(&mut self, job: &JobId, stream: Stream, bytes: &[u8]) -> Result<(), SinkError> {
        let Some(last) = bytes.last() else {
            return Ok(());
        };
        let position = self.tracker.position(job).unwrap_or(0);
        if self.prefixes.get(position).is_none() {
            self.cursor = if *last == b'\n' { Cursor::Fresh } else { Cursor::Inside(position, stream) };
            return self.out.push(bytes);
        }
        let whole = memrchr(b'\n', bytes).map_or(0, |at| at + 1);
        let (mut lines, rest) = bytes.split_at(whole);
        while let Some(at) = memchr(b'\n', lines) {
            let (line, next) = lines.split_at(at + 1);
            self.end_line(position, stream, line)?;
            lines = next;
        }
        self.hold(position, stream, rest)
    }

    /// Writes the end of a line, with its newline, after what was held back of it.
    fn end_line(&mut self, position: usize, stream: Stream, line: &[u8]) -> Result<(), SinkError> {
        let held = self.held.remove(&(position, stream)).unwrap_or_default();
        self.begin_line(position, stream, held.begun)?;
        self.out.push(&held.bytes)?;
        self.cursor = Cursor::Fresh;
        self.out.push(line)
    }

    /// Holds back the start of a line; past the bound it is written without an end.
    fn hold(&mut self, position: usize, stream: Stream, rest: &[u8]) -> Result<(), SinkError> {
        if rest.is_empty() {
            return Ok(());
        }
        let mut held = self.held.remove(&(position, stream)).unwrap_or_default();
        if held.bytes.len() + rest.len() <= LONGEST_HELD {
            held.bytes.extend_from_slice(rest);
        } else {
            self.begin_line(position, stream, held.begun)?;
            self.out.push(&held.bytes)?;
            self.out.push(rest)?;
            self.cursor = Cursor::Inside(position, stream);
            held.bytes.clear();
            held.begun = true;
        }
        self.held.insert((position, stream), held);
        Ok(())
    }

    /// Puts the cursor where this line goes on: nothing to do, or a prefix.
    fn begin_line(&mut self, position: usize, stream: Stream, begun: bool) -> Result<(), SinkError> {
        if self.cursor == Cursor::Inside(position, stream) {
            return Ok(());
        }
        self.fresh_line()?;
        let Some(prefix) = self.prefixes.get(position) else {
            return Ok(());
        };
        self.out.push(match (begun, stream) {
            (true, _) => &prefix.continued,
            (false, Stream::Stdout) => &prefix.out,
            (false, Stream::Stderr) => &prefix.err,
        })
    }

    /// Writes what is held back for a job: no more comes that could end these lines.
    fn release(&mut self, job: &JobId) -> Result<(), SinkError> {
        let Some(position) = self.tracker.position(job) else {
            return Ok(());
        };
        for stream in [Stream::Stdout, Stream::Stderr] {
            if self.held.get(&(position, stream)).is_some_and(|held| !held.bytes.is_empty()) {
                self.end_line(position, stream, b"\n")?;
            } else {
                self.held.remove(&(position, stream));
            }
        }
        Ok(())
    }
}

impl<W: Write + Send> Sink for Plain<W> {
    fn take(&mut self, envelope: &Envelope) -> Result<(), SinkError> {
        self.tracker.take(envelope);
        match self.options.verbosity {
            Verbosity::Quiet => self.show_quietly(&envelope.event),
            Verbosity::Normal | Verbosity::Verbose => self.show(&envelope.event),
        }
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.out.flush()
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        self.fresh_line()?;
        self.out.flush()
    }
}

fn time(style: &Style, duration: Duration) -> String {
    style.paint(Tone::Dim, &human(duration))
}

/// What is built, in short: `main 1a2b3c4 + changes`.
pub(super) fn described(source: &SourceInfo) -> String {
    let commit = source.commit.as_deref().map(|commit| commit.get(..7).unwrap_or(commit));
    let words: Vec<&str> =
        [source.branch.as_deref(), commit, source.dirty.then_some("+ changes")].into_iter().flatten().collect();
    one_line(&words.join(" "))
}
