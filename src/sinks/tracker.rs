//! What the events so far add up to: each job's state, each step's end, the last bytes of what failed.

use std::collections::HashMap;

use jiff::Timestamp;

use super::explain::About;
use super::sanitize::one_line;
use crate::event::{
    Cause, Envelope, Event, JobId, JobInfo, JobResult, RunResult, ServiceState, SourceInfo, Status, StepIndex,
    StepInfo, StepResult,
};

/// The most that is kept of a step's output, in bytes.
pub const TAIL: usize = 32 * 1024;

/// The end of an output.
#[derive(Debug, Clone, Default)]
pub struct Tail {
    bytes: Vec<u8>,
    dropped: bool,
}

impl Tail {
    /// Takes a piece. Amortised: what is too old is dropped in one go when twice the bound is reached.
    pub fn push(&mut self, piece: &[u8]) {
        if piece.len() >= TAIL {
            self.dropped |= piece.len() > TAIL || !self.bytes.is_empty();
            self.bytes.clear();
            self.bytes.extend_from_slice(&piece[piece.len() - TAIL..]);
            return;
        }
        self.bytes.extend_from_slice(piece);
        if self.bytes.len() >= 2 * TAIL {
            self.bytes.drain(..self.bytes.len() - TAIL);
            self.dropped = true;
        }
    }

    /// The last bytes: up to 64 KiB.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether the output had more than this.
    pub fn is_cut(&self) -> bool {
        self.dropped
    }
}

/// An image that is built, in short: its folder, as its lines have it before them.
pub(super) fn short_build(image: &str) -> &str {
    image.split_once(" (").map_or(image, |(short, _)| short)
}

/// Which tails stay after their step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Those of steps that did not succeed.
    Failures,
    /// All.
    Everything,
}

/// Where a job is.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    /// It waits.
    Waiting,
    /// It runs.
    Running {
        /// Since when.
        since: Timestamp,
        /// The step that runs, and since when.
        step: Option<(StepIndex, Timestamp)>,
    },
    /// It ended.
    Ended(JobResult),
}

/// A step, so far.
#[derive(Debug, Clone, Default)]
pub struct StepTrack {
    /// How it ended, when it has.
    pub result: Option<StepResult>,
    /// The end of its output.
    pub tail: Tail,
    /// Which try of it goes on, or was the last; `None` where there was one.
    pub nth: Option<Nth>,
    /// Tries of it that did not go well, and were followed by others; those of earlier tries of its job among them.
    pub tries: Vec<FailedTry>,
}

/// Which try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nth {
    /// From 1.
    pub attempt: u32,
    /// How many there are at most.
    pub of: u32,
}

/// A try that did not go well.
#[derive(Debug, Clone)]
pub struct FailedTry {
    /// How it ended.
    pub status: Status,
    /// Why.
    pub cause: Option<Cause>,
    /// The end of its output, where all output is kept.
    pub tail: Tail,
}

/// A job, so far.
#[derive(Debug, Clone)]
pub struct JobTrack {
    /// What the plan says of it, with names made fit to be shown; `needs` are as in the plan.
    pub info: JobInfo,
    /// Where it is.
    pub phase: Phase,
    /// Its steps, in order.
    pub steps: Vec<StepTrack>,
    /// Its services, in the order of their first words.
    pub services: Vec<ServiceTrack>,
    /// It was spared: nothing that it rests on has changed.
    pub is_cached: bool,
    /// Which try of it goes on, or was the last; `None` where there was one.
    pub nth: Option<Nth>,
    /// Tries of it that no step of it failed: its image was not to be had, its container went away.
    pub tries: Vec<FailedTry>,
}

/// A service of a job, so far.
#[derive(Debug, Clone)]
pub struct ServiceTrack {
    /// Its name, fit to be shown.
    pub name: String,
    /// The end of what it wrote.
    pub tail: Tail,
    /// It ended by itself.
    pub has_ended: bool,
}

impl JobTrack {
    /// What a cause of it does not say by itself.
    pub fn about(&self) -> About<'_> {
        About { image: Some(&self.info.image), steps: &self.info.steps }
    }

    fn service(&mut self, name: &str) -> &mut ServiceTrack {
        let name = one_line(name);
        let at = self.services.iter().position(|service| service.name == name).unwrap_or_else(|| {
            self.services.push(ServiceTrack { name, tail: Tail::default(), has_ended: false });
            self.services.len() - 1
        });
        &mut self.services[at]
    }

    /// Its id, and its name behind it where it has one.
    pub fn called(&self) -> String {
        match &self.info.name {
            Some(name) => format!("{} ({name})", self.info.id),
            None => self.info.id.as_str().to_owned(),
        }
    }

    /// The name of a step.
    pub fn step_name(&self, step: StepIndex) -> &str {
        self.info.steps.get(step.0).map_or("", |step| step.name.as_str())
    }

    /// How it ended, when it has.
    pub fn result(&self) -> Option<&JobResult> {
        match &self.phase {
            Phase::Ended(result) => Some(result),
            Phase::Waiting | Phase::Running { .. } => None,
        }
    }

    /// The first step that ran, did not succeed, and was not forgiven.
    pub fn failed_step(&self) -> Option<(StepIndex, &StepTrack, &StepResult)> {
        self.steps.iter().enumerate().find_map(|(index, step)| {
            let result = step.result.as_ref()?;
            let failed = !matches!(result.status, Status::Success | Status::Skipped) && !result.forgiven;
            failed.then_some((StepIndex(index), step, result))
        })
    }

    /// Which tries it and its steps came to, for people; `None` where each had one.
    pub fn tries_note(&self) -> Option<String> {
        let of_job = self.nth.map(|nth| format!("try {} of {}", nth.attempt, nth.of));
        let of_steps = self.steps.iter().enumerate().filter_map(|(index, step)| {
            let nth = step.nth?;
            Some(format!("step {} at try {} of {}", index + 1, nth.attempt, nth.of))
        });
        let notes: Vec<String> = of_job.into_iter().chain(of_steps).collect();
        (!notes.is_empty()).then(|| notes.join(", "))
    }

    /// Begins anew; what failed is kept.
    fn again(&mut self, nth: Nth, cause: &Cause, keep: Keep) {
        let no_step_failed = self.failed_step().is_none();
        for step in &mut self.steps {
            let mut before = std::mem::take(step);
            if let Some(result) =
                before.result.filter(|result| !matches!(result.status, Status::Success | Status::Skipped))
            {
                before.tries.push(FailedTry {
                    status: result.status,
                    cause: result.cause,
                    tail: kept(before.tail, keep),
                });
            }
            step.tries = before.tries;
        }
        if no_step_failed {
            self.tries.push(FailedTry { status: Status::Error, cause: Some(cause.clone()), tail: Tail::default() });
        }
        self.nth = Some(nth);
        self.services.clear();
        if let Phase::Running { step, .. } = &mut self.phase {
            *step = None;
        }
    }

    /// How many steps failed and were forgiven.
    pub fn forgiven_steps(&self) -> usize {
        self.steps.iter().filter(|step| step.result.as_ref().is_some_and(|result| result.forgiven)).count()
    }
}

/// The most that is kept of all summaries, in bytes, but for the last of them.
const MOST_SUMMARY: usize = 8 * 1024 * 1024;

/// What a step left for the end of the run.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The job, fit to be shown.
    pub job: JobId,
    /// The step's name, fit to be shown.
    pub step: String,
    /// Markdown, as it came.
    pub markdown: String,
}

/// A run, so far.
#[derive(Debug)]
pub struct Tracker {
    /// The pipeline's name.
    pub pipeline: Option<String>,
    /// What is built.
    pub source: SourceInfo,
    /// The jobs, in the order of the plan.
    pub jobs: Vec<JobTrack>,
    /// How the run ended, when it has.
    pub result: Option<RunResult>,
    /// What steps left in `$ARGON_SUMMARY`, in the order of their ends.
    pub summaries: Vec<Summary>,
    positions: HashMap<JobId, usize>,
    keep: Keep,
}

impl Tracker {
    /// A run of which nothing is known.
    pub fn new(keep: Keep) -> Self {
        Self {
            pipeline: None,
            source: SourceInfo::default(),
            jobs: Vec::new(),
            result: None,
            summaries: Vec::new(),
            positions: HashMap::new(),
            keep,
        }
    }

    /// The position of a job in the plan.
    pub fn position(&self, job: &JobId) -> Option<usize> {
        self.positions.get(job).copied()
    }

    /// A job.
    pub fn job(&self, job: &JobId) -> Option<&JobTrack> {
        self.jobs.get(self.position(job)?)
    }

    /// Takes in an event. What is about a job that the plan does not have is passed over.
    pub fn take(&mut self, envelope: &Envelope) {
        match &envelope.event {
            Event::RunStarted { pipeline, source, jobs } => self.begin(pipeline.as_deref(), source.clone(), jobs),
            Event::JobStarted { job, .. } => self.update(job, |track| {
                track.phase = Phase::Running { since: envelope.time, step: None };
            }),
            Event::StepStarted { job, step } => self.update(job, |track| {
                if let Phase::Running { step: current, .. } = &mut track.phase {
                    *current = Some((*step, envelope.time));
                }
            }),
            Event::Log { job, step, bytes, .. } => self.log(job, *step, bytes),
            Event::StepFinished { job, step, result } => self.step_finished(job, *step, result),
            Event::Summary { job, step, markdown } => self.summary(job, *step, markdown),
            Event::JobFinished { job, result } => {
                self.update(job, |track| track.phase = Phase::Ended(result.clone()));
            }
            Event::RunFinished { result } => self.result = Some(result.clone()),
            Event::JobCached { job, steps, .. } => self.update(job, |track| {
                track.is_cached = true;
                for step in steps {
                    if let Some(track) = track.steps.get_mut(step.step.0) {
                        track.result = Some(step.result.clone());
                    }
                }
            }),
            Event::Retrying { job, step, attempt, of, cause, .. } => {
                let (keep, nth) = (self.keep, Nth { attempt: attempt + 1, of: *of });
                self.update(job, |track| match step {
                    None => track.again(nth, cause, keep),
                    Some(step) => {
                        if let Some(step) = track.steps.get_mut(step.0) {
                            let tail = kept(std::mem::take(&mut step.tail), keep);
                            step.tries.push(FailedTry { status: Status::Failure, cause: Some(cause.clone()), tail });
                            step.nth = Some(nth);
                        }
                    }
                });
            }
            Event::ServiceLog { job, service, bytes } => {
                self.update(job, |track| track.service(service).tail.push(bytes));
            }
            Event::Service { job, service, state } => self.update(job, |track| {
                track.service(service).has_ended |= matches!(state, ServiceState::Ended { .. });
            }),
            Event::JobQueued { .. }
            | Event::ImagePull { .. }
            | Event::ImageBuild { .. }
            | Event::Notice { .. }
            | Event::Cache { .. }
            | Event::Artifact { .. } => {}
        }
    }

    fn begin(&mut self, pipeline: Option<&str>, source: SourceInfo, jobs: &[JobInfo]) {
        self.pipeline = pipeline.map(one_line);
        self.source = source;
        self.positions = jobs.iter().enumerate().map(|(position, job)| (job.id.clone(), position)).collect();
        self.jobs = jobs
            .iter()
            .map(|info| JobTrack {
                info: shown(info),
                phase: Phase::Waiting,
                steps: vec![StepTrack::default(); info.steps.len()],
                services: Vec::new(),
                is_cached: false,
                nth: None,
                tries: Vec::new(),
            })
            .collect();
    }

    fn update(&mut self, job: &JobId, change: impl FnOnce(&mut JobTrack)) {
        if let Some(position) = self.position(job) {
            change(&mut self.jobs[position]);
        }
    }

    fn log(&mut self, job: &JobId, step: StepIndex, bytes: &[u8]) {
        let keep = self.keep;
        self.update(job, |track| {
            if let Some(step) = track.steps.get_mut(step.0)
                && keeps(keep, step.result.as_ref())
            {
                step.tail.push(bytes);
            }
        });
    }

    fn summary(&mut self, job: &JobId, step: StepIndex, markdown: &str) {
        let kept: usize = self.summaries.iter().map(|summary| summary.markdown.len()).sum();
        if let Some(track) = self.job(job)
            && kept < MOST_SUMMARY
        {
            let (job, step) = (track.info.id.clone(), track.step_name(step).to_owned());
            self.summaries.push(Summary { job, step, markdown: markdown.to_owned() });
        }
    }

    fn step_finished(&mut self, job: &JobId, index: StepIndex, result: &StepResult) {
        let keep = self.keep;
        self.update(job, |track| {
            if let Some(step) = track.steps.get_mut(index.0) {
                if !keeps(keep, Some(result)) {
                    step.tail = Tail::default();
                }
                step.result = Some(result.clone());
            }
            if let Phase::Running { step, .. } = &mut track.phase {
                *step = None;
            }
        });
    }
}

/// Names come from a file, and must not move anybody's cursor.
fn shown(info: &JobInfo) -> JobInfo {
    JobInfo {
        id: JobId::new(&one_line(info.id.as_str())),
        name: info.name.as_deref().map(one_line),
        image: one_line(&info.image),
        needs: info.needs.clone(),
        steps: info.steps.iter().map(|step| StepInfo { name: one_line(&step.name) }).collect(),
    }
}

/// A tail of a try that another followed.
fn kept(tail: Tail, keep: Keep) -> Tail {
    if keep == Keep::Everything { tail } else { Tail::default() }
}

fn keeps(keep: Keep, result: Option<&StepResult>) -> bool {
    keep == Keep::Everything || result.is_none_or(|result| result.status != Status::Success)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_is_the_end_and_bounded() {
        for size in [1, 7, 1000, TAIL - 1, TAIL, 3 * TAIL] {
            let mut tail = Tail::default();
            let mut all = Vec::new();
            for byte in 0..200u8 {
                let piece = vec![byte; size];
                tail.push(&piece);
                all.extend_from_slice(&piece);
            }
            assert!(tail.bytes().len() < 2 * TAIL);
            assert!(tail.bytes().len() >= all.len().min(TAIL));
            assert!(all.ends_with(tail.bytes()));
            assert_eq!(tail.is_cut(), tail.bytes().len() < all.len());
        }
    }
}
