//! The live view for people at a terminal: the log streams above, the jobs and pulls that move stand below.
//!
//! If the terminal cannot be written, this sink ends and the run is told; history is kept elsewhere.

mod build;
mod view;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use self::view::{Builds, Pulls, View};
use super::explain::{About, aside, explain};
use super::plain::described;
use super::sanitize::Sanitizer;
use super::style::{Style, Tone, human};
use super::summary::{Width, job_note, summary};
use super::tracker::{JobTrack, Keep, Tracker};
use super::{Sink, SinkError, Verbosity};
use crate::event::{
    Cause, Envelope, Event, JobId, JobResult, Level, PullEvent, RunResult, SourceInfo, Status, StepIndex, StepResult,
    Stream,
};

/// Log text goes to the screen at most this often (it redraws the lines below) …
const PRINT_EVERY: Duration = Duration::from_millis(40);
/// … or when there is this much of it, in bytes.
const PRINT_AT: usize = 128 * 1024;

/// How the live view looks.
#[derive(Debug, Clone)]
pub struct TerminalOptions {
    /// Colour and symbols.
    pub style: Style,
    /// How much.
    pub verbosity: Verbosity,
    /// The command that a job's name is put behind to run it again: `argon run`.
    pub rerun: String,
}

/// Where the live view is drawn.
pub struct Screen {
    /// What indicatif draws on.
    pub target: ProgressDrawTarget,
    /// Rows and columns, asked again at every drawing.
    pub size: Box<dyn Fn() -> (u16, u16) + Send>,
}

impl Screen {
    /// Standard output.
    pub fn stdout() -> Self {
        let term = console::Term::stdout();
        Self { target: ProgressDrawTarget::term(term.clone(), 20), size: Box::new(move || term.size()) }
    }
}

/// Shows a run as it goes.
pub struct Terminal {
    options: TerminalOptions,
    tracker: Tracker,
    pulls: Pulls,
    builds: Builds,
    sanitizers: HashMap<(usize, Stream), Sanitizer>,
    /// Of what images print that are built.
    built: HashMap<Arc<str>, Sanitizer>,
    size: Box<dyn Fn() -> (u16, u16) + Send>,
    bars: MultiProgress,
    /// The lines below the log, top first.
    slots: Vec<ProgressBar>,
    /// Lines for above that are not on the screen yet.
    pending: String,
    printed: Instant,
    frame: usize,
}

impl Terminal {
    /// Draws on a screen.
    pub fn new(options: TerminalOptions, screen: Screen) -> Self {
        Self {
            options,
            tracker: Tracker::new(Keep::Failures),
            pulls: Pulls::default(),
            builds: Builds::default(),
            sanitizers: HashMap::new(),
            built: HashMap::new(),
            size: screen.size,
            bars: MultiProgress::with_draw_target(screen.target),
            slots: Vec::new(),
            pending: String::new(),
            printed: Instant::now(),
            frame: 0,
        }
    }

    fn show(&mut self, envelope: &Envelope) {
        match &envelope.event {
            Event::RunStarted { source, .. } => self.run_started(source),
            Event::JobQueued { .. } | Event::JobStarted { .. } | Event::Summary { .. } => {}
            Event::ImagePull { image, pull } => self.pull(image, pull),
            Event::ImageBuild { image, build } => self.build(image, build, envelope.time),
            Event::StepStarted { job, step } => self.step_started(job, *step),
            Event::Log { job, stream, bytes, .. } => self.log(job, *stream, bytes),
            Event::StepFinished { job, step, result } => self.step_finished(job, *step, result),
            Event::JobFinished { job, result } => self.job_finished(job, result),
            Event::RunFinished { result } => self.run_finished(result),
            Event::Notice { level, job, message } => self.notice(*level, job.as_ref(), message),
            Event::ServiceLog { .. } => {}
            Event::Retrying { job, .. }
            | Event::JobCached { job, .. }
            | Event::Service { job, .. }
            | Event::Cache { job, .. }
            | Event::Artifact { job, .. } => self.aside(job, &envelope.event),
        }
    }

    fn aside(&mut self, job: &JobId, event: &Event) {
        self.end_lines(job);
        let about = self.tracker.job(job).map(JobTrack::about).unwrap_or_default();
        if let Some((level, message)) = aside(event, about) {
            self.notice(level, Some(job), &message);
        }
    }

    fn run_started(&mut self, source: &SourceInfo) {
        let style = self.options.style;
        let name = self.tracker.pipeline.clone().unwrap_or_else(|| "argon".to_owned());
        let what = match &self.tracker.jobs[..] {
            [only] => format!("{} in {}", only.called(), only.info.image),
            jobs => format!("{} jobs", jobs.len()),
        };
        let built = style.paint(Tone::Dim, &described(source));
        self.line(None, format!("{}: {what}  {built}", style.paint(Tone::Bold, &name)).trim_end());
    }

    /// Takes a line of Argon's own. Names come from files, so they are cleaned like output is.
    fn line(&mut self, job: Option<&JobId>, text: &str) {
        let position = job.and_then(|job| self.tracker.position(job));
        let prefix = self.prefix(position, Stream::Stdout);
        let mut sanitizer = Sanitizer::new(self.options.style.color);
        let pending = &mut self.pending;
        let mut take = |line: &str| add(pending, &prefix, line);
        sanitizer.push(text.as_bytes(), &mut take);
        sanitizer.finish(&mut take);
    }

    fn prefix(&self, position: Option<usize>, stream: Stream) -> String {
        let style = self.options.style;
        match position {
            Some(position) if self.tracker.jobs.len() > 1 => {
                let bar = match stream {
                    Stream::Stdout => style.symbols.bar(),
                    Stream::Stderr => "!",
                };
                let name = view::padded_name(&self.tracker, position);
                style.paint(Tone::Job(position), &format!("{name} {bar} "))
            }
            _ => String::new(),
        }
    }

    fn log(&mut self, job: &JobId, stream: Stream, bytes: &[u8]) {
        let Some(position) = self.tracker.position(job) else {
            return;
        };
        let prefix = self.prefix(Some(position), stream);
        let color = self.options.style.color;
        let pending = &mut self.pending;
        let sanitizer = self.sanitizers.entry((position, stream)).or_insert_with(|| Sanitizer::new(color));
        sanitizer.push(bytes, |line| add(pending, &prefix, line));
    }

    /// A step or job ended: a line without a newline is whole now.
    fn end_lines(&mut self, job: &JobId) {
        let Some(position) = self.tracker.position(job) else {
            return;
        };
        for stream in [Stream::Stdout, Stream::Stderr] {
            let prefix = self.prefix(Some(position), stream);
            if let Some(mut sanitizer) = self.sanitizers.remove(&(position, stream)) {
                let pending = &mut self.pending;
                sanitizer.finish(|line| add(pending, &prefix, line));
            }
        }
    }

    fn step_started(&mut self, job: &JobId, step: StepIndex) {
        let style = self.options.style;
        let name = self.tracker.job(job).map(|track| track.step_name(step).to_owned()).unwrap_or_default();
        let text = format!("{} {}", style.symbols.begin(), style.paint(Tone::Bold, &name));
        self.line(Some(job), &text);
    }

    fn step_finished(&mut self, job: &JobId, step: StepIndex, result: &StepResult) {
        self.end_lines(job);
        if result.cause == Some(Cause::EarlierStepFailed) && self.options.verbosity < Verbosity::Verbose {
            return;
        }
        let style = self.options.style;
        let Some(track) = self.tracker.job(job) else {
            return;
        };
        let about = About { image: Some(&track.info.image), steps: &track.info.steps };
        let why = result.cause.as_ref().map(|cause| format!(": {}", explain(cause, about).what)).unwrap_or_default();
        let forgiven = if result.forgiven { " (forgiven)" } else { "" };
        let time = time(&style, result.status, result.duration);
        let text = format!("{} {}{why}{forgiven}{time}", style.status(result.status), track.step_name(step));
        self.line(Some(job), &text);
    }

    fn job_finished(&mut self, job: &JobId, result: &JobResult) {
        self.end_lines(job);
        if self.tracker.jobs.len() < 2 {
            return;
        }
        let style = self.options.style;
        let note = self.tracker.job(job).map(|track: &JobTrack| job_note(track, result)).unwrap_or_default();
        let why = if note.is_empty() { note } else { format!(": {note}") };
        let word = style.paint(Tone::of(result.status), result.status.word());
        let time = time(&style, result.status, result.duration);
        self.line(Some(job), &format!("{} {word}{why}{time}", style.status(result.status)));
    }

    fn pull(&mut self, image: &str, pull: &PullEvent) {
        let style = self.options.style;
        self.pulls.take(image, pull);
        match pull {
            PullEvent::Started | PullEvent::Layer(_) => {}
            PullEvent::Retrying { attempt, wait, reason } => {
                let warning = style.paint(Tone::Warn, "warning:");
                let wait = human(*wait);
                self.line(None, &format!("{warning} try {attempt} to pull {image} failed: {reason}; again in {wait}"));
            }
            PullEvent::Finished { duration } => {
                let time = style.paint(Tone::Dim, &human(*duration));
                self.line(None, &format!("{} pulled {image}  {time}", style.status(Status::Success)));
            }
            PullEvent::Failed { message } => {
                self.line(None, &format!("{} cannot pull {image}: {message}", style.status(Status::Error)));
            }
        }
    }

    fn notice(&mut self, level: Level, job: Option<&JobId>, message: &str) {
        let style = self.options.style;
        let head = match level {
            Level::Debug if self.options.verbosity < Verbosity::Verbose => return,
            Level::Debug => style.paint(Tone::Dim, "debug:"),
            Level::Info => "note:".to_owned(),
            Level::Warn => style.paint(Tone::Warn, "warning:"),
            Level::Error => style.paint(Tone::Bad, "error:"),
        };
        self.line(job, &format!("{head} {message}"));
    }

    fn run_finished(&mut self, result: &RunResult) {
        let room = Width::Columns((self.size)().1.into());
        let text =
            summary(&self.tracker, result, &self.options.style, self.options.verbosity, &self.options.rerun, room);
        self.pending.push('\n');
        self.pending.push_str(&text);
    }

    /// Puts what is pending above the moving lines, in one go.
    fn print(&mut self) -> Result<(), SinkError> {
        self.printed = Instant::now();
        if self.pending.is_empty() {
            return Ok(());
        }
        let text = std::mem::take(&mut self.pending);
        self.bars.println(text).map_err(|error| SinkError::from_io("standard output", error))
    }

    /// Makes the moving lines what they should be now.
    fn draw(&mut self) {
        let (rows, columns) = (self.size)();
        let view = View {
            tracker: &self.tracker,
            pulls: &self.pulls,
            builds: &self.builds,
            style: self.options.style,
            now: jiff::Timestamp::now(),
            frame: self.frame,
        };
        let mut lines = view.lines(rows.saturating_sub(1), columns);
        if !lines.is_empty() {
            // Sets the view apart from the log. And what a terminal echoes for Ctrl-C moves the cursor down a line, so
            // that indicatif leaves the top line behind: let that be an empty one.
            lines.insert(0, " ".to_owned());
        }
        while self.slots.len() > lines.len() {
            if let Some(slot) = self.slots.pop() {
                slot.finish_and_clear();
                self.bars.remove(&slot);
            }
        }
        while self.slots.len() < lines.len() {
            let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
            self.slots.push(self.bars.add(ProgressBar::no_length().with_style(style)));
        }
        for (slot, line) in self.slots.iter().zip(lines) {
            slot.set_message(line);
        }
    }

    fn clear(&mut self) {
        for slot in self.slots.drain(..) {
            slot.finish_and_clear();
            self.bars.remove(&slot);
        }
    }
}

/// How long it took, behind two blanks; nothing where it never ran.
fn time(style: &Style, status: Status, duration: Duration) -> String {
    match status {
        Status::Skipped => String::new(),
        _ => format!("  {}", style.paint(Tone::Dim, &human(duration))),
    }
}

fn add(pending: &mut String, prefix: &str, line: &str) {
    pending.push_str(prefix);
    pending.push_str(line);
    pending.push('\n');
}

impl Sink for Terminal {
    fn take(&mut self, envelope: &Envelope) -> Result<(), SinkError> {
        self.tracker.take(envelope);
        self.show(envelope);
        match envelope.event {
            Event::RunFinished { .. } => {
                self.clear();
                self.print()
            }
            _ if self.pending.len() >= PRINT_AT => self.print(),
            _ => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        if self.printed.elapsed() >= PRINT_EVERY { self.print() } else { Ok(()) }
    }

    fn tick(&mut self) {
        self.frame += 1;
        self.draw();
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        self.clear();
        self.print()
    }
}
