//! The versioned JSON form of events: one object a line (docs/events.md).
//!
//! Names, once given, stay; new ones may come. What breaks a reader raises [`VERSION`].

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::{
    BuildEvent, CacheFound, CachedStep, Cause, Envelope, Event, JobId, JobInfo, LayerPhase, Level, PullEvent, RunId,
    ServiceState, SourceInfo, Status, StepIndex, Stream,
};

/// The `v` of every line.
pub const VERSION: u32 = 1;

/// Turns the events of one run into lines.
///
/// It remembers the names in the plan, and the start of a character that a piece of log ended in: text stays text.
#[derive(Debug, Default)]
pub struct Encoder {
    jobs: HashMap<JobId, JobInfo>,
    /// Bytes held back, with the place they came from.
    held: HashMap<(JobId, Stream), Held>,
}

#[derive(Debug)]
struct Held {
    bytes: Vec<u8>,
    step: StepIndex,
    seq: u64,
    time: jiff::Timestamp,
}

/// The place of a line in its run.
#[derive(Clone, Copy)]
struct Place<'a> {
    seq: u64,
    time: jiff::Timestamp,
    run: &'a RunId,
}

impl Encoder {
    /// Appends the event to `out` as lines of JSON: one, or more where a step ended in the middle of a character.
    pub fn encode(&mut self, envelope: &Envelope, out: &mut Vec<u8>) -> serde_json::Result<()> {
        let place = Place { seq: envelope.seq, time: envelope.time, run: &envelope.run };
        match &envelope.event {
            Event::RunStarted { jobs, .. } => {
                self.jobs = jobs.iter().map(|job| (job.id.clone(), job.clone())).collect();
            }
            Event::Log { job, step, stream, bytes } => return self.log(place, (job, *step, *stream), bytes, out),
            Event::StepStarted { job, .. } | Event::StepFinished { job, .. } | Event::JobFinished { job, .. } => {
                self.release(job, place.run, out)?;
            }
            _ => {}
        }
        let body = Body::of(&envelope.event);
        let line = self.line(place, &envelope.event, body);
        write(&line, out)
    }

    fn line<'a>(&'a self, place: Place<'a>, event: &'a Event, body: Body<'a>) -> Line<'a> {
        Line {
            v: VERSION,
            seq: place.seq,
            time: format!("{:.6}", place.time),
            run: place.run.as_str(),
            kind: kind(event),
            level: level(event),
            message: self.message(event),
            context: self.context(event),
            body,
        }
    }

    fn log(
        &mut self,
        place: Place<'_>,
        (job, step, stream): (&JobId, StepIndex, Stream),
        piece: &[u8],
        out: &mut Vec<u8>,
    ) -> serde_json::Result<()> {
        let held = self.held.remove(&(job.clone(), stream));
        let joined;
        let bytes = match held {
            Some(held) => {
                joined = [&held.bytes, piece].concat();
                &joined[..]
            }
            None => piece,
        };
        let (now, later) = bytes.split_at(bytes.len() - incomplete(bytes));
        if !later.is_empty() {
            let held = Held { bytes: later.to_vec(), step, seq: place.seq, time: place.time };
            self.held.insert((job.clone(), stream), held);
        }
        self.log_line(place, (job, step, stream), now, out)
    }

    /// Writes what was held back for a job: no more comes that could make it whole.
    fn release(&mut self, job: &JobId, run: &RunId, out: &mut Vec<u8>) -> serde_json::Result<()> {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let Some(held) = self.held.remove(&(job.clone(), stream)) else {
                continue;
            };
            let place = Place { seq: held.seq, time: held.time, run };
            self.log_line(place, (job, held.step, stream), &held.bytes, out)?;
        }
        Ok(())
    }

    fn log_line(
        &self,
        place: Place<'_>,
        (job, step, stream): (&JobId, StepIndex, Stream),
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> serde_json::Result<()> {
        let (text, base64) = match std::str::from_utf8(bytes) {
            Ok(text) => (Some(text), None),
            Err(_) => (None, Some(STANDARD.encode(bytes))),
        };
        let line = Line {
            v: VERSION,
            seq: place.seq,
            time: format!("{:.6}", place.time),
            run: place.run.as_str(),
            kind: "log",
            level: "INFO",
            message: String::new(),
            context: self.step_context(job, step),
            body: Body::Log {
                job: job.as_str(),
                step: step.0 + 1,
                stream: match stream {
                    Stream::Stdout => "stdout",
                    Stream::Stderr => "stderr",
                },
                text,
                base64,
            },
        };
        write(&line, out)
    }

    fn step_name(&self, job: &JobId, step: StepIndex) -> &str {
        let info = self.jobs.get(job).and_then(|job| job.steps.get(step.0));
        info.map_or("", |step| step.name.as_str())
    }

    fn job_context(&self, job: &JobId) -> Context {
        Context { image: self.jobs.get(job).map(|job| job.image.clone()), step: Some(job.as_str().to_owned()) }
    }

    fn step_context(&self, job: &JobId, step: StepIndex) -> Context {
        Context { step: Some(format!("{job}/{}", self.step_name(job, step))), ..self.job_context(job) }
    }

    fn context(&self, event: &Event) -> Context {
        match event {
            Event::ImagePull { image, .. } => Context { image: Some(image.clone()), step: Some("pull".to_owned()) },
            Event::ImageBuild { image, .. } => {
                Context { image: Some((**image).to_owned()), step: Some("build".to_owned()) }
            }
            Event::StepStarted { job, step }
            | Event::StepFinished { job, step, .. }
            | Event::Summary { job, step, .. }
            | Event::Log { job, step, .. } => self.step_context(job, *step),
            Event::Retrying { job, step: Some(step), .. } => self.step_context(job, *step),
            Event::JobQueued { job }
            | Event::JobStarted { job, .. }
            | Event::JobFinished { job, .. }
            | Event::Retrying { job, step: None, .. }
            | Event::JobCached { job, .. }
            | Event::Service { job, .. }
            | Event::ServiceLog { job, .. }
            | Event::Cache { job, .. }
            | Event::Artifact { job, .. } => self.job_context(job),
            Event::Notice { job: Some(job), .. } => self.job_context(job),
            Event::RunStarted { .. } | Event::RunFinished { .. } | Event::Notice { job: None, .. } => {
                Context::default()
            }
        }
    }

    fn message(&self, event: &Event) -> String {
        match event {
            Event::RunStarted { .. } => "Run started".to_owned(),
            Event::JobQueued { job } => format!("Job {job} queued"),
            Event::JobStarted { job, .. } => format!("Job {job} started"),
            Event::ImagePull { pull, .. } => pull_message(pull),
            Event::ImageBuild { build, .. } => build_message(build),
            Event::StepStarted { job, step } => {
                format!("Step started: {}", self.step_name(job, *step))
            }
            Event::Log { .. } => String::new(),
            Event::StepFinished { job, step, result } => {
                format!("Step finished: {}: {}", self.step_name(job, *step), ending(result.status, result.exit_code))
            }
            Event::JobFinished { job, result } => {
                format!("Job {job} finished: {}", ending(result.status, result.exit_code))
            }
            Event::Summary { job, step, .. } => format!("Summary of step: {}", self.step_name(job, *step)),
            Event::Retrying { job, step, attempt, of, .. } => match step {
                Some(step) => format!("Step failed at try {attempt} of {of}: {}", self.step_name(job, *step)),
                None => format!("Job {job} failed at try {attempt} of {of}"),
            },
            Event::Service { service, state, .. } => match state {
                ServiceState::Started { .. } => format!("Service {service} started"),
                ServiceState::Ready { .. } => format!("Service {service} is ready"),
                ServiceState::Ended { .. } => format!("Service {service} ended"),
            },
            Event::JobCached { job, .. } => format!("Job {job} is cached"),
            Event::ServiceLog { .. } => String::new(),
            Event::Cache { key, found, .. } => match found {
                CacheFound::Hit => format!("Cache hit: {key}"),
                CacheFound::Partial { key: of } => format!("Cache partly hit: {key}, from {of}"),
                CacheFound::Miss { why } => format!("Cache miss: {key}: {why}"),
            },
            Event::Artifact { name, .. } => format!("Artifact kept: {name}"),
            Event::RunFinished { result } => format!("Run finished: {}", result.status),
            Event::Notice { message, .. } => message.clone(),
        }
    }
}

fn write(line: &Line<'_>, out: &mut Vec<u8>) -> serde_json::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.push(b'\n');
    Ok(())
}

/// How many bytes at the end are the start of a UTF-8 character that is not whole. 0 where the rest is not UTF-8 either.
fn incomplete(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => bytes.len() - error.valid_up_to(),
        _ => 0,
    }
}

fn ending(status: Status, exit_code: Option<i32>) -> String {
    match exit_code {
        Some(code) if status == Status::Failure => format!("{status} (exit code {code})"),
        _ => status.word().to_owned(),
    }
}

fn pull_message(pull: &PullEvent) -> String {
    match pull {
        PullEvent::Started => "Pulling Docker image".to_owned(),
        PullEvent::Layer(layer) => format!("Layer {}: {}", layer.id, phase(layer.phase)),
        PullEvent::Retrying { attempt, reason, .. } => format!("Pull failed at try {attempt}, trying again: {reason}"),
        PullEvent::Finished { .. } => "Docker image pulled".to_owned(),
        PullEvent::Failed { message } => format!("Pull failed: {message}"),
    }
}

fn build_message(build: &BuildEvent) -> String {
    match build {
        BuildEvent::Started => "Building Docker image".to_owned(),
        BuildEvent::Step { name, cached: false } => name.clone(),
        BuildEvent::Step { name, cached: true } => format!("{name} (from before)"),
        BuildEvent::Log { .. } => String::new(),
        BuildEvent::Finished { .. } => "Docker image built".to_owned(),
        BuildEvent::Failed { message } => format!("Build failed: {message}"),
    }
}

fn phase(phase: LayerPhase) -> &'static str {
    match phase {
        LayerPhase::Waiting => "waiting",
        LayerPhase::Downloading => "downloading",
        LayerPhase::Extracting => "extracting",
        LayerPhase::Done => "done",
    }
}

fn kind(event: &Event) -> &'static str {
    match event {
        Event::RunStarted { .. } => "run.started",
        Event::JobQueued { .. } => "job.queued",
        Event::ImagePull { .. } => "image.pull",
        Event::ImageBuild { .. } => "image.build",
        Event::JobStarted { .. } => "job.started",
        Event::StepStarted { .. } => "step.started",
        Event::Log { .. } => "log",
        Event::StepFinished { .. } => "step.finished",
        Event::Summary { .. } => "step.summary",
        Event::JobCached { .. } => "job.cached",
        Event::Retrying { .. } => "retry",
        Event::Service { .. } => "service",
        Event::ServiceLog { .. } => "service.log",
        Event::Cache { .. } => "cache",
        Event::Artifact { .. } => "artifact",
        Event::JobFinished { .. } => "job.finished",
        Event::RunFinished { .. } => "run.finished",
        Event::Notice { .. } => "notice",
    }
}

fn level(event: &Event) -> &'static str {
    let of_end = |status: Status, forgiven: bool| match status {
        Status::Success | Status::Skipped => "INFO",
        Status::Cancelled => "WARN",
        Status::Failure | Status::Error if forgiven => "WARN",
        Status::Failure | Status::Error => "ERROR",
    };
    match event {
        Event::ImagePull { pull: PullEvent::Layer(_), .. } => "DEBUG",
        Event::ImagePull { pull: PullEvent::Retrying { .. }, .. } | Event::Retrying { .. } => "WARN",
        Event::Service { state: ServiceState::Ended { .. }, .. } => "WARN",
        Event::ImagePull { pull: PullEvent::Failed { .. }, .. }
        | Event::ImageBuild { build: BuildEvent::Failed { .. }, .. } => "ERROR",
        Event::StepFinished { result, .. } => of_end(result.status, result.forgiven),
        Event::JobFinished { result, .. } => of_end(result.status, result.forgiven),
        Event::RunFinished { result } => of_end(result.status, false),
        Event::Notice { level, .. } => match level {
            Level::Debug => "DEBUG",
            Level::Info => "INFO",
            Level::Warn => "WARN",
            Level::Error => "ERROR",
        },
        _ => "INFO",
    }
}

/// Milliseconds, to the microsecond.
#[expect(clippy::cast_precision_loss, reason = "2^53 µs are 285 years")]
fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

#[derive(Serialize)]
struct Line<'a> {
    v: u32,
    seq: u64,
    time: String,
    run: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    level: &'static str,
    message: String,
    context: Context,
    #[serde(flatten)]
    body: Body<'a>,
}

#[derive(Default, Serialize)]
struct Context {
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<String>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Body<'a> {
    RunStarted {
        pipeline: Option<&'a str>,
        source: Source<'a>,
        jobs: Vec<Job<'a>>,
    },
    Job {
        job: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        image_id: Option<&'a str>,
    },
    Pull {
        image: &'a str,
        pull: Pull<'a>,
    },
    Build {
        image: &'a str,
        build: Build<'a>,
    },
    Step {
        job: &'a str,
        step: usize,
    },
    Log {
        job: &'a str,
        step: usize,
        stream: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        base64: Option<String>,
    },
    Finished {
        #[serde(skip_serializing_if = "Option::is_none")]
        job: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        step: Option<usize>,
        status: &'static str,
        exit_code: Option<i32>,
        duration_ms: f64,
        cause: Option<CauseWire<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        forgiven: Option<bool>,
        #[serde(flatten)]
        usage: Option<Usage>,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        outputs: BTreeMap<&'a str, &'a str>,
    },
    Summary {
        job: &'a str,
        step: usize,
        markdown: &'a str,
    },
    Cached {
        job: &'a str,
        from_run: &'a str,
        steps: Vec<CachedStepWire<'a>>,
    },
    Retry {
        job: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        step: Option<usize>,
        attempt: u32,
        of: u32,
        wait_ms: f64,
        cause: CauseWire<'a>,
    },
    Service {
        job: &'a str,
        service: &'a str,
        #[serde(flatten)]
        state: ServiceWire<'a>,
    },
    ServiceLog {
        job: &'a str,
        service: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        base64: Option<String>,
    },
    Cache {
        job: &'a str,
        key: &'a str,
        #[serde(flatten)]
        found: CacheWire<'a>,
    },
    Artifact {
        job: &'a str,
        name: &'a str,
        files: u64,
        bytes: u64,
    },
    Notice {
        #[serde(skip_serializing_if = "Option::is_none")]
        job: Option<&'a str>,
    },
}

fn named(outputs: &[(String, String)]) -> BTreeMap<&str, &str> {
    outputs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[derive(Serialize)]
struct Usage {
    cpu_ms: Option<f64>,
    peak_memory_bytes: Option<u64>,
}

#[derive(Serialize)]
struct Source<'a> {
    location: &'a str,
    commit: Option<&'a str>,
    branch: Option<&'a str>,
    dirty: bool,
}

impl<'a> From<&'a SourceInfo> for Source<'a> {
    fn from(info: &'a SourceInfo) -> Self {
        Self {
            location: &info.location,
            commit: info.commit.as_deref(),
            branch: info.branch.as_deref(),
            dirty: info.dirty,
        }
    }
}

#[derive(Serialize)]
struct Job<'a> {
    job: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    image: &'a str,
    needs: Vec<&'a str>,
    steps: Vec<StepName<'a>>,
}

#[derive(Serialize)]
struct StepName<'a> {
    name: &'a str,
}

impl<'a> From<&'a JobInfo> for Job<'a> {
    fn from(info: &'a JobInfo) -> Self {
        Self {
            job: info.id.as_str(),
            name: info.name.as_deref(),
            image: &info.image,
            needs: info.needs.iter().map(JobId::as_str).collect(),
            steps: info.steps.iter().map(|step| StepName { name: &step.name }).collect(),
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
enum Pull<'a> {
    Started,
    Layer { layer: &'a str, phase: &'static str, current_bytes: u64, total_bytes: Option<u64> },
    Retrying { attempt: u32, wait_ms: f64, reason: &'a str },
    Finished { duration_ms: f64 },
    Failed { reason: &'a str },
}

impl<'a> From<&'a PullEvent> for Pull<'a> {
    fn from(pull: &'a PullEvent) -> Self {
        match pull {
            PullEvent::Started => Self::Started,
            PullEvent::Layer(layer) => Self::Layer {
                layer: &layer.id,
                phase: phase(layer.phase),
                current_bytes: layer.current,
                total_bytes: layer.total,
            },
            PullEvent::Retrying { attempt, wait, reason } => {
                Self::Retrying { attempt: *attempt, wait_ms: millis(*wait), reason }
            }
            PullEvent::Finished { duration } => Self::Finished { duration_ms: millis(*duration) },
            PullEvent::Failed { message } => Self::Failed { reason: message },
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
enum Build<'a> {
    Started,
    Step {
        name: &'a str,
        cached: bool,
    },
    Log {
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        base64: Option<String>,
    },
    Finished {
        duration_ms: f64,
    },
    Failed {
        reason: &'a str,
    },
}

impl<'a> From<&'a BuildEvent> for Build<'a> {
    fn from(build: &'a BuildEvent) -> Self {
        match build {
            BuildEvent::Started => Self::Started,
            BuildEvent::Step { name, cached } => Self::Step { name, cached: *cached },
            BuildEvent::Log { bytes } => {
                let text = std::str::from_utf8(bytes).ok();
                Self::Log { text, base64: text.is_none().then(|| STANDARD.encode(bytes)) }
            }
            BuildEvent::Finished { duration } => Self::Finished { duration_ms: millis(*duration) },
            BuildEvent::Failed { message } => Self::Failed { reason: message },
        }
    }
}

#[derive(Serialize)]
struct CachedStepWire<'a> {
    step: usize,
    status: &'static str,
    exit_code: Option<i32>,
    duration_ms: f64,
    cause: Option<CauseWire<'a>>,
    forgiven: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    outputs: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

impl<'a> From<&'a CachedStep> for CachedStepWire<'a> {
    fn from(step: &'a CachedStep) -> Self {
        let log: Vec<u8> = step.log.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
        let (text, base64) = match String::from_utf8(log) {
            Ok(text) => (Some(text), None),
            Err(other) => (None, Some(STANDARD.encode(other.as_bytes()))),
        };
        let result = &step.result;
        Self {
            step: step.step.0 + 1,
            status: result.status.word(),
            exit_code: result.exit_code,
            duration_ms: millis(result.duration),
            cause: result.cause.as_ref().map(CauseWire::from),
            forgiven: result.forgiven,
            outputs: named(&result.outputs),
            text,
            base64,
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
enum ServiceWire<'a> {
    Started { image: &'a str },
    Ready { after_ms: f64 },
    Ended { exit_code: Option<i64> },
}

impl<'a> From<&'a ServiceState> for ServiceWire<'a> {
    fn from(state: &'a ServiceState) -> Self {
        match state {
            ServiceState::Started { image } => Self::Started { image },
            ServiceState::Ready { after } => Self::Ready { after_ms: millis(*after) },
            ServiceState::Ended { exit_code } => Self::Ended { exit_code: *exit_code },
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "found", rename_all = "kebab-case")]
enum CacheWire<'a> {
    Hit,
    Partial { from: &'a str },
    Miss { why: &'a str },
}

impl<'a> From<&'a CacheFound> for CacheWire<'a> {
    fn from(found: &'a CacheFound) -> Self {
        match found {
            CacheFound::Hit => Self::Hit,
            CacheFound::Partial { key } => Self::Partial { from: key },
            CacheFound::Miss { why } => Self::Miss { why },
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum CauseWire<'a> {
    Exit { code: i32 },
    CommandNotFound { command: Option<&'a str> },
    ShellNotFound { shell: &'a str },
    WorkingDirectory { directory: &'a str },
    Signal { signal: i32 },
    OutOfMemory { limit_bytes: Option<u64> },
    TimedOut { scope: &'static str, limit_ms: f64 },
    StepFailed { step: usize },
    NeedFailed { need: &'a str, status: &'static str },
    FailFast { job: &'a str },
    EarlierStepFailed,
    Condition { condition: &'a str },
    Handover { file: &'a str, message: &'a str },
    Expression { key: &'a str, message: &'a str },
    Secret { name: &'a str, message: &'a str },
    Service { service: &'a str, message: &'a str },
    Artifact { name: &'a str, message: &'a str },
    ImageBuild { message: &'a str, output: &'a str },
    Interrupted,
    Infrastructure { message: &'a str, hint: Option<&'a str> },
}

impl<'a> From<&'a Cause> for CauseWire<'a> {
    fn from(cause: &'a Cause) -> Self {
        match cause {
            Cause::Exit { code } => Self::Exit { code: *code },
            Cause::CommandNotFound { command } => Self::CommandNotFound { command: command.as_deref() },
            Cause::ShellNotFound { shell } => Self::ShellNotFound { shell },
            Cause::WorkingDirectory { directory } => Self::WorkingDirectory { directory },
            Cause::Signal { signal } => Self::Signal { signal: *signal },
            Cause::OutOfMemory { limit } => Self::OutOfMemory { limit_bytes: *limit },
            Cause::TimedOut { scope, limit } => Self::TimedOut { scope: scope.word(), limit_ms: millis(*limit) },
            Cause::StepFailed { step } => Self::StepFailed { step: step.0 + 1 },
            Cause::NeedFailed { need, status } => Self::NeedFailed { need: need.as_str(), status: status.word() },
            Cause::FailFast { job } => Self::FailFast { job: job.as_str() },
            Cause::EarlierStepFailed => Self::EarlierStepFailed,
            Cause::Condition { condition } => Self::Condition { condition },
            Cause::Handover { file, message } => Self::Handover { file, message },
            Cause::Expression { key, message } => Self::Expression { key, message },
            Cause::Service { service, message } => Self::Service { service, message },
            Cause::Secret { name, message } => Self::Secret { name, message },
            Cause::Artifact { name, message } => Self::Artifact { name, message },
            Cause::ImageBuild { message, output } => Self::ImageBuild { message, output },
            Cause::Interrupted => Self::Interrupted,
            Cause::Infrastructure { message, hint } => Self::Infrastructure { message, hint: hint.as_deref() },
        }
    }
}

impl<'a> Body<'a> {
    fn of(event: &'a Event) -> Self {
        match event {
            Event::RunStarted { pipeline, source, jobs } => Self::RunStarted {
                pipeline: pipeline.as_deref(),
                source: source.into(),
                jobs: jobs.iter().map(Job::from).collect(),
            },
            Event::JobQueued { job } => Self::Job { job: job.as_str(), image_id: None },
            Event::JobStarted { job, image_id } => Self::Job { job: job.as_str(), image_id: Some(image_id) },
            Event::ImagePull { image, pull } => Self::Pull { image, pull: pull.into() },
            Event::ImageBuild { image, build } => Self::Build { image, build: build.into() },
            Event::StepStarted { job, step } => Self::Step { job: job.as_str(), step: step.0 + 1 },
            Event::Log { job, step, .. } => Self::Step { job: job.as_str(), step: step.0 + 1 },
            Event::StepFinished { job, step, result } => Self::Finished {
                job: Some(job.as_str()),
                step: Some(step.0 + 1),
                status: result.status.word(),
                exit_code: result.exit_code,
                duration_ms: millis(result.duration),
                cause: result.cause.as_ref().map(CauseWire::from),
                forgiven: Some(result.forgiven),
                usage: Some(Usage { cpu_ms: result.cpu.map(millis), peak_memory_bytes: result.peak_memory }),
                outputs: named(&result.outputs),
            },
            Event::Summary { job, step, markdown } => Self::Summary { job: job.as_str(), step: step.0 + 1, markdown },
            Event::JobCached { job, from, steps } => Self::Cached {
                job: job.as_str(),
                from_run: from.as_str(),
                steps: steps.iter().map(CachedStepWire::from).collect(),
            },
            Event::Retrying { job, step, attempt, of, wait, cause } => Self::Retry {
                job: job.as_str(),
                step: step.map(|step| step.0 + 1),
                attempt: *attempt,
                of: *of,
                wait_ms: millis(*wait),
                cause: cause.into(),
            },
            Event::Service { job, service, state } => Self::Service { job: job.as_str(), service, state: state.into() },
            Event::ServiceLog { job, service, bytes } => {
                let text = std::str::from_utf8(bytes).ok();
                let base64 = text.is_none().then(|| STANDARD.encode(bytes));
                Self::ServiceLog { job: job.as_str(), service, text, base64 }
            }
            Event::Cache { job, key, found } => Self::Cache { job: job.as_str(), key, found: found.into() },
            Event::Artifact { job, name, files, bytes } => {
                Self::Artifact { job: job.as_str(), name, files: *files, bytes: *bytes }
            }
            Event::JobFinished { job, result } => Self::Finished {
                job: Some(job.as_str()),
                step: None,
                status: result.status.word(),
                exit_code: result.exit_code,
                duration_ms: millis(result.duration),
                cause: result.cause.as_ref().map(CauseWire::from),
                forgiven: Some(result.forgiven),
                usage: None,
                outputs: named(&result.outputs),
            },
            Event::RunFinished { result } => Self::Finished {
                job: None,
                step: None,
                status: result.status.word(),
                exit_code: None,
                duration_ms: millis(result.duration),
                cause: result.cause.as_ref().map(CauseWire::from),
                forgiven: None,
                usage: None,
                outputs: BTreeMap::new(),
            },
            Event::Notice { job, .. } => Self::Notice { job: job.as_ref().map(JobId::as_str) },
        }
    }
}
