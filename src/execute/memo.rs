//! What a job that declares its `inputs` came to, kept for when nothing that it rests on has changed.
//!
//! `rests` says what that is, `inputs` how its files are, `kept` how it lies on disk. What is kept: its outputs, its steps' ends,
//! outputs, summaries and logs (masked), and its artifacts. Nothing of it is kept when the job did not end well, when a digest
//! of a secret would be part of it, or when its files were written to while it ran.

mod inputs;
mod kept;
mod rests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

pub(super) use inputs::Inputs;
pub use kept::forget_results;
use kept::{Kept, KeptStatus, KeptStep, KeptStream, Known, Place};
use rests::Basis;

use super::Reuse;
use super::job::JobRun;
use crate::artifact::Artifact;
use crate::engine::{Engine, Image};
use crate::event::{CachedStep, Cause, Event, Level, RunId, Status, StepIndex, StepResult, Stream};

/// The most that is kept of a job's log, in bytes. A job that prints more runs again.
const LONGEST_LOG: usize = 16 * 1024 * 1024;

/// What a job is to be spared by.
pub(super) struct Spared {
    pub(super) outputs: Vec<(String, String)>,
    /// What it came to: its steps, their summaries, its artifacts.
    pub(super) events: Vec<Event>,
    pub(super) artifacts: Vec<Artifact>,
}

/// What a step printed, piece by piece.
type Log = Vec<(Stream, Bytes)>;

/// What a job that runs is noted for.
pub(super) struct Noting {
    basis: Basis,
    place: Place,
    noted: Mutex<Noted>,
}

#[derive(Default)]
struct Noted {
    steps: BTreeMap<usize, NotedStep>,
    bytes: usize,
}

#[derive(Default)]
struct NotedStep {
    result: Option<StepResult>,
    summary: String,
    log: Log,
}

impl Noting {
    /// A piece of a step's output.
    pub(super) fn log(&self, step: StepIndex, stream: Stream, bytes: &Bytes) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.bytes += bytes.len();
        if noted.bytes <= LONGEST_LOG {
            noted.steps.entry(step.0).or_default().log.push((stream, bytes.clone()));
        }
    }

    /// A step's end.
    pub(super) fn ended(&self, step: StepIndex, result: &StepResult) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.steps.entry(step.0).or_default().result = Some(result.clone());
    }

    /// What a step left for people; masked.
    pub(super) fn summary(&self, step: StepIndex, markdown: &str) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.steps.entry(step.0).or_default().summary = markdown.to_owned();
    }

    /// The job begins anew.
    pub(super) fn again(&self) {
        *self.noted.lock().unwrap_or_else(PoisonError::into_inner) = Noted::default();
    }
}

/// What is known of a job's earlier result.
pub(super) enum Found {
    /// It is not asked for, or cannot be told: the job runs, and is not noted.
    Nothing,
    Spared(Box<Spared>),
    Runs(Noting),
}

impl<E: Engine> JobRun<'_, E> {
    /// Looks whether the job can be spared.
    pub(super) async fn remembered(&self, images: &[Image]) -> Found {
        let Some(folder) = self.context.settings.memo.clone().filter(|_| !self.job.inputs.is_empty()) else {
            return Found::Nothing;
        };
        let basis = match self.basis(images).await {
            Ok(basis) => basis,
            // A job that wants a value that there is none of says so itself.
            Err(why) => {
                self.note(Level::Warn, format!("not cached, and its result is not kept: {why}")).await;
                return Found::Nothing;
            }
        };
        if let Some(rest) = basis.secret(&self.context.mask) {
            self.note(Level::Warn, format!("not cached, and its result is not kept: {rest} holds a secret")).await;
            return Found::Nothing;
        }
        if !basis.has_files {
            let patterns = self.job.inputs.join(", ");
            let message = format!("not cached: no file matches its inputs ({patterns}), so it would never run again");
            self.note(Level::Warn, message).await;
            return Found::Nothing;
        }
        if !basis.idle.is_empty() {
            self.note(Level::Info, format!("inputs: no file matches {}", basis.idle.join(", "))).await;
        }
        let place = Place::of(&folder, &self.context.kept.scope(), self.job.id.as_str());
        let why = match self.context.settings.reuse {
            Reuse::Never => "--no-cache".to_owned(),
            Reuse::Unchanged => match self.look(&place, &basis).await {
                Known::Same(kept) => return Found::Spared(Box::new(self.restored(*kept))),
                Known::Nothing => "nothing is kept of it yet".to_owned(),
                Known::Differs(why) => why,
                Known::Broken(error) => format!("what is kept of it cannot be used: {error}"),
            },
        };
        self.note(Level::Info, format!("not cached: {why}")).await;
        Found::Runs(Noting { basis, place, noted: Mutex::default() })
    }

    async fn look(&self, place: &Place, basis: &Basis) -> Known {
        let (place, rests, depot) = (place.clone(), basis.rests.clone(), self.context.settings.artifacts.clone());
        let artifacts = self.job.artifacts.clone();
        let looking = tokio::task::spawn_blocking(move || {
            let lasts = |name: &str| artifacts.iter().find(|planned| planned.name == name)?.expire;
            place.find(&rests, depot.as_ref(), &lasts)
        });
        looking.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }

    async fn note(&self, level: Level, message: String) {
        let job = Some(self.job.id.clone());
        self.context.emit(Event::Notice { level, job, message }).await;
    }

    fn restored(&self, kept: Kept) -> Spared {
        let job = || self.job.id.clone();
        let steps = kept.steps.iter().map(|step| CachedStep {
            step: StepIndex(step.step),
            result: result_of(step),
            log: step.log.iter().map(|(stream, bytes)| (stream_of(*stream), Bytes::copy_from_slice(bytes))).collect(),
        });
        let cached = Event::JobCached { job: job(), from: RunId::from_text(&kept.run), steps: steps.collect() };
        let summaries = kept.steps.iter().filter(|step| !step.summary.is_empty()).map(|step| Event::Summary {
            job: job(),
            step: StepIndex(step.step),
            markdown: step.summary.clone(),
        });
        let events = std::iter::once(cached).chain(summaries).collect();
        let artifacts = kept.artifacts.into_iter().map(|kept| kept.artifact).collect();
        Spared { outputs: kept.outputs, events, artifacts }
    }

    /// Keeps what the job came to.
    pub(super) async fn remember(&self, noting: Noting, outputs: &[(String, String)]) {
        let noted = noting.noted.into_inner().unwrap_or_else(PoisonError::into_inner);
        let artifacts = self.context.shelf.of(&self.job.id);
        if let Some(why) = self.unfit(&noting.basis, noted.bytes, outputs, &artifacts) {
            return self.note(Level::Info, format!("its result is not kept: {why}")).await;
        }
        let steps = noted.steps.into_iter().filter_map(|(step, noted)| kept_step(step, noted)).collect();
        let kept = Kept::new(self.context.settings.run.as_str(), noting.basis.rests, outputs, steps);
        let (depot, place) = (self.context.settings.artifacts.clone(), noting.place);
        let writing = tokio::task::spawn_blocking(move || place.keep(kept, artifacts, depot.as_ref()));
        let written = writing.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        if let Err(error) = written {
            self.note(Level::Warn, format!("its result cannot be kept: {error}")).await;
        }
    }

    /// Why a result is not to be kept. Secrets that came to be known while the job ran count.
    fn unfit(&self, basis: &Basis, log: usize, outputs: &[(String, String)], artifacts: &[Artifact]) -> Option<String> {
        let mask = &self.context.mask;
        if outputs.iter().any(|(_, value)| mask.holds(value)) {
            return Some("its outputs hold a secret".to_owned());
        }
        if artifacts.iter().any(|artifact| mask.holds(&artifact.name)) {
            return Some("the name of an artifact holds a secret".to_owned());
        }
        if let Some(rest) = basis.secret(mask) {
            return Some(format!("{rest} holds a secret"));
        }
        if log > LONGEST_LOG {
            return Some("it printed too much".to_owned());
        }
        let touched = self.context.inputs.touched(self.job)?;
        Some(format!("{touched} was written to while the run went on"))
    }
}

fn kept_step(step: usize, noted: NotedStep) -> Option<KeptStep> {
    let NotedStep { result, summary, log } = noted;
    let result = result?;
    let status = match (&result.status, &result.cause) {
        (Status::Success, _) => KeptStatus::Success,
        (Status::Skipped, Some(Cause::Condition { condition })) => {
            KeptStatus::NotWanted { condition: condition.clone() }
        }
        _ if result.forgiven => KeptStatus::Forgiven,
        _ => return None,
    };
    let stream = |stream| if stream == Stream::Stdout { KeptStream::Stdout } else { KeptStream::Stderr };
    let log = log.into_iter().map(|(of, bytes)| (stream(of), bytes.to_vec())).collect();
    let StepResult { exit_code, duration, outputs, .. } = result;
    Some(KeptStep { step, status, exit_code, duration, outputs, summary, log })
}

fn result_of(step: &KeptStep) -> StepResult {
    let cause = match &step.status {
        KeptStatus::NotWanted { condition } => Some(Cause::Condition { condition: condition.clone() }),
        KeptStatus::Forgiven => step.exit_code.map(|code| Cause::Exit { code }),
        KeptStatus::Success => None,
    };
    StepResult {
        status: match step.status {
            KeptStatus::Success => Status::Success,
            KeptStatus::Forgiven => Status::Failure,
            KeptStatus::NotWanted { .. } => Status::Skipped,
        },
        cause,
        exit_code: step.exit_code,
        duration: step.duration,
        cpu: None,
        peak_memory: None,
        forgiven: matches!(step.status, KeptStatus::Forgiven),
        outputs: step.outputs.clone(),
    }
}

fn stream_of(stream: KeptStream) -> Stream {
    match stream {
        KeptStream::Stdout => Stream::Stdout,
        KeptStream::Stderr => Stream::Stderr,
    }
}

/// Shared by the steps of one try.
pub(super) type SharedNoting = Option<Arc<Noting>>;
