//! What a run says: events, the ids they carry, and statuses.
//!
//! [`Event`] is what `execute` emits and every sink takes. [`wire`] is its versioned JSON form (docs/events.md).

pub mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

/// One run of a pipeline. A UUID v7 in text, so ids sort by the time their run began.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(Arc<str>);

impl RunId {
    /// A new id, unlike any other.
    pub fn generate() -> Self {
        Self(uuid::Uuid::now_v7().to_string().into())
    }

    /// An id that is known already: from a label, a store or a test.
    pub fn from_text(text: &str) -> Self {
        Self(text.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One job of a plan, by the name that people see: its key in the file, and for a matrix its combination.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(Arc<str>);

impl JobId {
    /// The id of the job with this name.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One step of a job: its position in the file, from 0. People see it from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StepIndex(pub usize);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for StepIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0 + 1)
    }
}

/// Which of a step's streams a piece of log came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output; and standard error too, unless the job says `output: split`.
    Stdout,
    /// Standard error of a job that says `output: split`.
    Stderr,
}

/// How a run, a job or a step ended. One word each, the same in every output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// It did what it should.
    Success,
    /// Its own work failed: an exit code, a timeout, too much memory.
    Failure,
    /// A person (or the run's timeout, or fail-fast) stopped it while it ran.
    Cancelled,
    /// It never ran.
    Skipped,
    /// The machinery failed under it: the engine, a pull, the disk. Says nothing of the work itself.
    Error,
}

impl Status {
    /// The word for it, in text and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Which limit a timeout was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimeoutScope {
    /// The step's own `timeout`.
    Step,
    /// The job's `timeout`.
    Job,
    /// `argon run --timeout`.
    Run,
}

impl TimeoutScope {
    /// The word for it, in text and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Job => "job",
            Self::Run => "run",
        }
    }
}

/// Why something did not end in success. Carries what the explanation needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The step's process ended with this exit code, which is not 0.
    Exit {
        /// 1–255.
        code: i32,
    },
    /// Exit code 127: the shell found no such command.
    CommandNotFound {
        /// The command, where the shell's message named it.
        command: Option<String>,
    },
    /// The step's shell (or the program in `shell:`) is not in the image.
    ShellNotFound {
        /// The program that was looked for.
        shell: String,
    },
    /// The step's `working-directory` is not in the container.
    WorkingDirectory {
        /// The directory as the step would have seen it.
        directory: String,
    },
    /// A signal ended the step's process, and Argon did not send it.
    Signal {
        /// Its number: 9 is KILL, 11 is SEGV.
        signal: i32,
    },
    /// The kernel killed a process of the step for want of memory.
    OutOfMemory {
        /// The job's memory limit in bytes, where it has one.
        limit: Option<u64>,
    },
    /// A timeout passed.
    TimedOut {
        /// Whose timeout.
        scope: TimeoutScope,
        /// How long it allowed.
        limit: Duration,
    },
    /// A step failed, and so its job; or a job failed, and so its run.
    StepFailed {
        /// The first step that failed.
        step: StepIndex,
    },
    /// A job that this one needs did not succeed.
    NeedFailed {
        /// That job.
        need: JobId,
        /// How it ended.
        status: Status,
    },
    /// Another job failed, and the run stops at the first failure (no `--keep-going`).
    FailFast {
        /// The job that failed.
        job: JobId,
    },
    /// An earlier step of the job did not succeed.
    EarlierStepFailed,
    /// Its `if` does not hold.
    Condition {
        /// The expression, as it was written.
        condition: String,
    },
    /// What the step left for others cannot be read.
    Handover {
        /// The variable that names the file.
        file: &'static str,
        /// What is wrong with it, in a clause, for people; masked.
        message: String,
    },
    /// An expression of it has no value.
    Expression {
        /// The key that has it.
        key: &'static str,
        /// Why, in a sentence, for people; masked.
        message: String,
    },
    /// A secret that the step asks for is not to be had.
    Secret {
        /// Its name.
        name: String,
        /// Why, in a clause, for people; masked.
        message: String,
    },
    /// A service of the job did not become ready.
    Service {
        /// Its name.
        service: String,
        /// What happened, in a clause, for people; masked.
        message: String,
    },
    /// An artifact of the job cannot be kept.
    Artifact {
        /// Its name; masked.
        name: String,
        /// Why, in a clause, for people; masked.
        message: String,
    },
    /// The image that the job is to run in cannot be built: its own work failed, such as a `RUN` of its Dockerfile.
    ImageBuild {
        /// What is wrong, in a clause, for people; masked.
        message: String,
        /// The last lines that the build printed, masked. Empty where it printed none.
        output: String,
    },
    /// A person stopped it: Ctrl-C, SIGTERM, SIGHUP.
    Interrupted,
    /// The machinery failed.
    Infrastructure {
        /// What happened, in a sentence, for people.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
}

impl Cause {
    /// The same, with each text that comes from elsewhere as `change` makes it.
    #[must_use]
    pub fn map_texts(self, change: &dyn Fn(&str) -> String) -> Self {
        let text = |text: String| change(&text);
        match self {
            Self::CommandNotFound { command } => Self::CommandNotFound { command: command.map(text) },
            Self::ShellNotFound { shell } => Self::ShellNotFound { shell: text(shell) },
            Self::WorkingDirectory { directory } => Self::WorkingDirectory { directory: text(directory) },
            Self::Condition { condition } => Self::Condition { condition: text(condition) },
            Self::Handover { file, message } => Self::Handover { file, message: text(message) },
            Self::Expression { key, message } => Self::Expression { key, message: text(message) },
            Self::Secret { name, message } => Self::Secret { name, message: text(message) },
            Self::Service { service, message } => Self::Service { service, message: text(message) },
            Self::Artifact { name, message } => Self::Artifact { name: text(name), message: text(message) },
            Self::ImageBuild { message, output } => Self::ImageBuild { message: text(message), output: text(output) },
            Self::Infrastructure { message, hint } => {
                Self::Infrastructure { message: text(message), hint: hint.map(text) }
            }
            plain @ (Self::Exit { .. }
            | Self::Signal { .. }
            | Self::OutOfMemory { .. }
            | Self::TimedOut { .. }
            | Self::StepFailed { .. }
            | Self::NeedFailed { .. }
            | Self::FailFast { .. }
            | Self::EarlierStepFailed
            | Self::Interrupted) => plain,
        }
    }
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepResult {
    /// How it ended, before `continue-on-error` forgives it.
    pub status: Status,
    /// Why, when not in success.
    pub cause: Option<Cause>,
    /// The exit code of its shell, where it ran to one.
    pub exit_code: Option<i32>,
    /// Wall time.
    pub duration: Duration,
    /// CPU time (user + system) of the container during the step, where the engine tells.
    pub cpu: Option<Duration>,
    /// The container's highest memory use up to the step's end, in bytes, where the engine tells.
    pub peak_memory: Option<u64>,
    /// It failed, and `continue-on-error` lets the job go on.
    pub forgiven: bool,
    /// What it left in `$ARGON_OUTPUT`; masked.
    pub outputs: Vec<(String, String)>,
}

impl StepResult {
    /// The result of a step that never ran.
    pub fn skipped(cause: Cause) -> Self {
        Self {
            status: Status::Skipped,
            cause: Some(cause),
            exit_code: None,
            duration: Duration::ZERO,
            cpu: None,
            peak_memory: None,
            forgiven: false,
            outputs: Vec::new(),
        }
    }
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobResult {
    /// How it ended, before `continue-on-error` forgives it.
    pub status: Status,
    /// Why, when not in success.
    pub cause: Option<Cause>,
    /// The exit code of the step that decided it.
    pub exit_code: Option<i32>,
    /// Wall time from its start (its container being made) to its end.
    pub duration: Duration,
    /// It failed, and `continue-on-error` lets the run go on.
    pub forgiven: bool,
    /// Its `outputs`; masked.
    pub outputs: Vec<(String, String)>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunResult {
    /// `Success`, `Failure`, `Cancelled` or `Error`; never `Skipped`.
    pub status: Status,
    /// Why, when no job tells it (a timeout of the run, an engine that went away).
    pub cause: Option<Cause>,
    /// Wall time.
    pub duration: Duration,
}

/// What is known of a step before it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepInfo {
    /// `name`, else the first line of its script.
    pub name: String,
}

/// What is known of a job before it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobInfo {
    /// The job.
    pub id: JobId,
    /// `name`, where it has one.
    pub name: Option<String>,
    /// The image it will run in.
    pub image: String,
    /// The jobs that must succeed first.
    pub needs: Vec<JobId>,
    /// Its steps, in order.
    pub steps: Vec<StepInfo>,
}

/// What is built: which tree, at which commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceInfo {
    /// The folder or URL.
    pub location: String,
    /// The commit checked out, in full, where there is one.
    pub commit: Option<String>,
    /// The branch, where there is one.
    pub branch: Option<String>,
    /// The tree differs from the commit.
    pub dirty: bool,
}

/// How far one layer of an image is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerProgress {
    /// The layer's short id, as the engine names it.
    pub id: String,
    /// What is being done to it.
    pub phase: LayerPhase,
    /// Bytes done of this phase.
    pub current: u64,
    /// Bytes in all, where known.
    pub total: Option<u64>,
}

/// What is being done to a layer of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LayerPhase {
    /// Nothing yet.
    Waiting,
    /// It comes in from the registry.
    Downloading,
    /// It is unpacked on the engine.
    Extracting,
    /// It is there.
    Done,
}

/// One moment in the pull of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PullEvent {
    /// The image is wanted and not there (or `--pull always`): the pull begins.
    Started,
    /// A layer moved. Comes at most some ten times a second for a layer.
    Layer(LayerProgress),
    /// A try failed in a way that another may mend.
    Retrying {
        /// The number of the try that failed, from 1.
        attempt: u32,
        /// Until the next one.
        wait: Duration,
        /// What the registry or the network said.
        reason: String,
    },
    /// The image is there.
    Finished {
        /// How long it took.
        duration: Duration,
    },
    /// It will not come.
    Failed {
        /// What happened, for people.
        message: String,
    },
}

/// One moment in the building of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildEvent {
    /// There is no image of these files yet: the build begins.
    Started,
    /// An instruction of the Dockerfile begins.
    Step {
        /// Its place and its words, as the builder has them: `[2/3] RUN make`; masked.
        name: String,
        /// The builder has its result from before.
        cached: bool,
    },
    /// A piece of what an instruction prints, masked.
    Log {
        /// The bytes.
        bytes: Bytes,
    },
    /// The image is there.
    Finished {
        /// How long it took.
        duration: Duration,
    },
    /// It will not come.
    Failed {
        /// What happened, for people; masked.
        message: String,
    },
}

/// A step of a job that was spared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedStep {
    /// The step.
    pub step: StepIndex,
    /// How it ended, when it ran.
    pub result: StepResult,
    /// What it printed, masked.
    pub log: Vec<(Stream, Bytes)>,
}

/// Where a service of a job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceState {
    /// Its container runs.
    Started {
        /// Its image.
        image: String,
    },
    /// It does what the job needs it for.
    Ready {
        /// Since its container runs.
        after: Duration,
    },
    /// It ended by itself, under the job.
    Ended {
        /// The exit code of its first process, where the engine still knew it.
        exit_code: Option<i64>,
    },
}

/// What was found of a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheFound {
    /// Its key.
    Hit,
    /// One whose key begins as `restore-keys` says.
    Partial {
        /// Its key; masked.
        key: String,
    },
    /// Nothing.
    Miss {
        /// Why, for people.
        why: String,
    },
}

/// How much a notice weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// What Argon does, for `-v`.
    Debug,
    /// Worth a line.
    Info,
    /// Wants attention; the run goes on.
    Warn,
    /// Something is wrong.
    Error,
}

/// One thing that happened in a run, in the order it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// First of all events.
    RunStarted {
        /// The pipeline's `name`.
        pipeline: Option<String>,
        /// What is built.
        source: SourceInfo,
        /// All jobs of the plan, in the order of the file.
        jobs: Vec<JobInfo>,
    },
    /// A job waits for its needs, its image or a free slot. Once a job, right after `RunStarted`.
    JobQueued {
        /// The job.
        job: JobId,
    },
    /// An image moves. Belongs to no single job: each image is pulled once.
    ImagePull {
        /// The image, as the jobs name it.
        image: String,
        /// What happened.
        pull: PullEvent,
    },
    /// An image is built from the source. Belongs to no single job: each image is built once.
    ImageBuild {
        /// The image, as the jobs name it: `build ci (test)`.
        image: Arc<str>,
        /// What happened.
        build: BuildEvent,
    },
    /// A job's container is being made.
    JobStarted {
        /// The job.
        job: JobId,
        /// The content of its image, as the engine names it (`sha256:…`).
        image_id: String,
    },
    /// A step's script begins.
    StepStarted {
        /// The job.
        job: JobId,
        /// The step.
        step: StepIndex,
    },
    /// A piece of a step's output: whole lines where the program wrote whole lines, never more than 64 KiB, masked.
    /// All pieces of a step, joined, are its output, byte for byte.
    Log {
        /// The job.
        job: JobId,
        /// The step; what a background process writes between steps belongs to the step before.
        step: StepIndex,
        /// The stream.
        stream: Stream,
        /// The bytes.
        bytes: Bytes,
    },
    /// A step ended, or was skipped.
    StepFinished {
        /// The job.
        job: JobId,
        /// The step.
        step: StepIndex,
        /// How.
        result: StepResult,
    },
    /// What a step left in `$ARGON_SUMMARY`. Right behind its end.
    Summary {
        /// The job.
        job: JobId,
        /// The step.
        step: StepIndex,
        /// Markdown, masked, 1 MiB at most.
        markdown: String,
    },
    /// A step, or all of a job, did not go well and is tried again. Behind it come the events of the new try.
    Retrying {
        /// The job.
        job: JobId,
        /// The step; `None` where the job begins anew.
        step: Option<StepIndex>,
        /// The number of the try that did not go well, from 1.
        attempt: u32,
        /// How many tries there are at most.
        of: u32,
        /// Until the next one.
        wait: Duration,
        /// Why it did not go well.
        cause: Cause,
    },
    /// Something became of a service of a job.
    Service {
        /// The job.
        job: JobId,
        /// Its name.
        service: Arc<str>,
        /// What.
        state: ServiceState,
    },
    /// A piece of what a service writes, masked.
    ServiceLog {
        /// The job.
        job: JobId,
        /// The service's name.
        service: Arc<str>,
        /// The bytes.
        bytes: Bytes,
    },
    /// A cache was looked for, before the job's first step.
    Cache {
        /// The job.
        job: JobId,
        /// The key that was asked for; masked.
        key: String,
        /// What was found.
        found: CacheFound,
    },
    /// An artifact was kept.
    Artifact {
        /// The job.
        job: JobId,
        /// Its name.
        name: String,
        /// Files and symlinks in it.
        files: u64,
        /// Bytes in them.
        bytes: u64,
    },
    /// Nothing that the job rests on has changed, and it is spared: this is what it came to then. Its end follows.
    JobCached {
        /// The job.
        job: JobId,
        /// The run in which it ran.
        from: RunId,
        /// Its steps.
        steps: Vec<CachedStep>,
    },
    /// A job ended, or was skipped. Once a job.
    JobFinished {
        /// The job.
        job: JobId,
        /// How.
        result: JobResult,
    },
    /// Last of all events.
    RunFinished {
        /// How.
        result: RunResult,
    },
    /// A word from Argon itself.
    Notice {
        /// How much it weighs.
        level: Level,
        /// The job it is about.
        job: Option<JobId>,
        /// The sentence.
        message: String,
    },
}

impl Event {
    /// The same, with the texts of Argon's own words (causes and notices) as `change` makes them.
    #[must_use]
    pub fn map_words(mut self, change: &dyn Fn(&str) -> String) -> Self {
        let cause = match &mut self {
            Self::StepFinished { result, .. } => result.cause.as_mut(),
            Self::JobFinished { result, .. } => result.cause.as_mut(),
            Self::RunFinished { result } => result.cause.as_mut(),
            Self::Retrying { cause, .. } => Some(cause),
            Self::Notice { message, .. } => {
                *message = change(message);
                None
            }
            _ => None,
        };
        if let Some(cause) = cause {
            *cause = std::mem::replace(cause, Cause::Interrupted).map_texts(change);
        }
        self
    }
}

/// An event in its place: what a sink gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Position in the run, from 1, without gaps.
    pub seq: u64,
    /// Wall-clock time at which the pump took it.
    pub time: jiff::Timestamp,
    /// The run.
    pub run: RunId,
    /// What happened.
    pub event: Event,
}
