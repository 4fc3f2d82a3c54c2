//! One job's life: image, slot, container, workspace, steps, end. Whatever happens in it, its container is gone after it.

mod begin;
mod container;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::conversation::Conversation;
use super::images::Images;
use super::step::{self, StepRun};
use super::stop::Stop;
use super::supervisor::{Counters, Nonce};
use super::upload::UploadError;
use super::{Context, StepColor, forgiven};
use crate::engine::{ContainerId, Engine, EngineError, Image};
use crate::event::{Cause, Event, JobResult, Level, Status, StepIndex, StepResult, TimeoutScope};
use crate::pipeline::expr::{Scope, Standing};
use crate::plan::{NoFiles, PlannedJob, PlannedStep, ReadyStep, WORKSPACE};

/// A container that was told to end does so in milliseconds; after this it is removed by force.
const END_LIMIT: Duration = Duration::from_secs(10);

/// Why a job could not go on, other than by its own work.
#[derive(Debug)]
enum Broken {
    /// The machinery failed.
    Infrastructure { message: String, hint: Option<String> },
    /// It was stopped, or its time was up.
    Stopped(Cause),
    /// The engine has no init for containers.
    NoInit,
}

impl Broken {
    fn status(&self) -> Status {
        match self {
            Self::Infrastructure { .. } | Self::NoInit => Status::Error,
            Self::Stopped(Cause::TimedOut { scope: TimeoutScope::Job, .. }) => Status::Failure,
            Self::Stopped(_) => Status::Cancelled,
        }
    }

    fn into_cause(self) -> Cause {
        match self {
            Self::Infrastructure { message, hint } => Cause::Infrastructure { message, hint },
            Self::Stopped(cause) => cause,
            Self::NoInit => {
                let error = EngineError::InitMissing;
                Cause::Infrastructure { message: error.to_string(), hint: error.hint() }
            }
        }
    }
}

impl From<EngineError> for Broken {
    fn from(error: EngineError) -> Self {
        Self::Infrastructure { message: error.to_string(), hint: error.hint() }
    }
}

impl From<UploadError> for Broken {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::Engine(error) => error.into(),
            UploadError::Source(error) => Self::Infrastructure { message: error.to_string(), hint: error.hint() },
            UploadError::Pipe(_) => {
                Self::Infrastructure { message: format!("the workspace could not be brought in: {error}"), hint: None }
            }
        }
    }
}

/// How a job's steps went.
struct Outcome {
    status: Status,
    cause: Option<Cause>,
    exit_code: Option<i32>,
}

/// Runs a job to its end.
pub(super) async fn run<E: Engine>(
    context: &Context<E>,
    job: &PlannedJob,
    images: &Images,
    slots: &Arc<Semaphore>,
) -> JobResult {
    let mut stop = context.stopper.watch();
    let ready = tokio::select! {
        ready = prepare(job, images, slots) => ready,
        reason = stop.stopped() => Err(Broken::Stopped(reason.cause())),
    };
    let began = Instant::now();
    let outcome = match ready {
        Err(broken) => never_started(broken),
        Ok((image, _slot)) => {
            context.emit(Event::JobStarted { job: job.id.clone() }).await;
            JobRun { context, job, image, deadline: job.timeout.map(|limit| (began + limit, limit)) }.live().await
        }
    };
    JobResult {
        status: outcome.status,
        cause: outcome.cause,
        exit_code: outcome.exit_code,
        duration: began.elapsed(),
        forgiven: forgiven(outcome.status, job.on_error),
    }
}

fn never_started(broken: Broken) -> Outcome {
    let status = match broken.status() {
        Status::Error => Status::Error,
        _ => Status::Skipped,
    };
    Outcome { status, cause: Some(broken.into_cause()), exit_code: None }
}

/// Waits for the image, then for a slot: a slow pull holds no slot.
async fn prepare(
    job: &PlannedJob,
    images: &Images,
    slots: &Arc<Semaphore>,
) -> Result<(Image, tokio::sync::OwnedSemaphorePermit), Broken> {
    let pending = images.get(&job.image).ok_or_else(|| EngineError::ImageMissing { image: job.image.clone() })?;
    let image = pending.await?;
    match slots.clone().acquire_owned().await {
        Ok(slot) => Ok((image, slot)),
        Err(_) => Err(Broken::Infrastructure { message: "the scheduler is gone".to_owned(), hint: None }),
    }
}

/// A job that runs.
struct JobRun<'a, E> {
    context: &'a Context<E>,
    job: &'a PlannedJob,
    image: Image,
    deadline: Option<(Instant, Duration)>,
}

impl<E: Engine> JobRun<'_, E> {
    async fn live(&self) -> Outcome {
        let mut tries = 0;
        loop {
            tries += 1;
            // Not raced against a stop: a container whose making was cut short could not be removed.
            let session = match self.context.engine.create(&self.spec()).await {
                Ok(session) => session,
                Err(error) => return self.broken(error.into(), 0, None).await,
            };
            let id = session.id.clone();
            let mut talk = Conversation::new(session, Nonce::generate(), &self.context.mask);
            let outcome = match self.until_stopped(self.begin(&mut talk)).await {
                Ok(counters) => self.steps(&mut talk, counters).await,
                Err(broken) => {
                    // Removed before anything is drained: it may be in the middle of an upload.
                    // Where that fails, `end` tries again, and tells.
                    let removed = self.context.engine.remove(&id).await.is_ok();
                    // The engine remembers that it has no init, so the next container does without.
                    if matches!(broken, Broken::NoInit) && tries == 1 && removed {
                        continue;
                    }
                    self.broken(broken, 0, None).await
                }
            };
            self.end(talk, &id, &outcome).await;
            return outcome;
        }
    }

    /// Runs the steps in their order; what comes after a failure is skipped, and said to be.
    async fn steps(&self, talk: &mut Conversation, mut counters: Counters) -> Outcome {
        for step in &self.job.steps {
            let stopped = self.context.stopper.watch().now();
            if let Some(reason) = stopped.reason() {
                let cause = reason.cause();
                self.skip_from(step.index.0, &cause).await;
                return Outcome { status: Status::Cancelled, cause: Some(cause), exit_code: None };
            }
            self.context.emit(Event::StepStarted { job: self.job.id.clone(), step: step.index }).await;
            let ready = match self.decide(step) {
                Ok(ready) => ready,
                Err(broken) => return self.broken(broken, step.index.0, None).await,
            };
            let env = self.environment(&ready);
            let run = StepRun {
                context: self.context,
                job: self.job,
                step: &ready,
                env: &env,
                job_deadline: self.deadline,
                counters: &mut counters,
            };
            match run.run(talk).await {
                Ok(result) => {
                    self.finish_step(step.index, result.clone()).await;
                    if let Some(outcome) = after_step(step.index, &result) {
                        self.skip_from(step.index.0 + 1, &Cause::EarlierStepFailed).await;
                        return outcome;
                    }
                }
                Err(step::Lost { error, duration }) => {
                    let broken = match error {
                        Some(error) => error.into(),
                        None => self.ended_early(talk.id()).await,
                    };
                    return self.broken(broken, step.index.0, Some(duration)).await;
                }
            }
        }
        Outcome { status: Status::Success, cause: None, exit_code: None }
    }

    /// What a step's script, variables and folder come to.
    fn decide(&self, step: &PlannedStep) -> Result<ReadyStep, Broken> {
        let scope = Scope { contexts: &self.job.contexts, standing: Standing::Success, files: &NoFiles };
        self.job
            .base_env(&scope)
            .and_then(|env| step.ready(&scope, &env, &self.job.overrides))
            .map_err(|error| Broken::Infrastructure { message: error.message, hint: None })
    }

    /// What a step's shell sees, but for its secrets.
    fn environment(&self, step: &ReadyStep) -> Vec<(String, String)> {
        let info = &self.context.workspace.info;
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut env = vec![
            pair("CI", "true"),
            pair("ARGON", "true"),
            pair("ARGON_RUN_ID", self.context.settings.run.as_str()),
            pair("ARGON_JOB", self.job.id.as_str()),
            pair("ARGON_STEP", &step.name),
            pair("ARGON_WORKSPACE", WORKSPACE),
        ];
        env.extend(info.branch.iter().map(|branch| pair("ARGON_BRANCH", branch)));
        env.extend(info.commit.iter().map(|commit| pair("ARGON_COMMIT", commit)));
        if self.context.settings.color == StepColor::Forced {
            env.extend([pair("FORCE_COLOR", "1"), pair("CLICOLOR_FORCE", "1"), pair("TERM", "xterm-256color")]);
        }
        env.retain(|(name, _)| !step.env.iter().any(|(own, _)| own == name));
        env.extend(step.env.iter().cloned());
        env
    }

    async fn finish_step(&self, step: StepIndex, result: StepResult) {
        self.context.emit(Event::StepFinished { job: self.job.id.clone(), step, result }).await;
    }

    async fn skip_from(&self, first: usize, cause: &Cause) {
        for step in self.job.steps.iter().skip(first) {
            self.finish_step(step.index, StepResult::skipped(cause.clone())).await;
        }
    }

    /// The job cannot go on: ends the step it was in, skips the others.
    async fn broken(&self, broken: Broken, at: usize, in_step: Option<Duration>) -> Outcome {
        let status = broken.status();
        let cause = broken.into_cause();
        if let Some(duration) = in_step {
            let result = StepResult { status, duration, ..StepResult::skipped(cause.clone()) };
            self.finish_step(StepIndex(at), result).await;
        }
        self.skip_from(at + usize::from(in_step.is_some()), &Cause::EarlierStepFailed).await;
        Outcome { status, cause: Some(cause), exit_code: None }
    }

    /// The container ended before its work did. Says what is known of why.
    async fn ended_early(&self, id: &ContainerId) -> Broken {
        let end = tokio::time::timeout(Duration::from_secs(3), self.context.engine.removed(id)).await;
        let how = match end {
            Ok(Err(error)) => {
                return Broken::Infrastructure {
                    message: format!("the engine went away in the middle of the job: {error}"),
                    hint: Some(
                        "it stopped, restarted or crashed; see that it runs (`argon doctor`), and run the job again"
                            .to_owned(),
                    ),
                };
            }
            Ok(Ok(end)) => end.exit_code.map(|code| format!(" (exit code {code})")).unwrap_or_default(),
            Err(_) => String::new(),
        };
        Broken::Infrastructure {
            message: format!("the container ended in the middle of the job{how}"),
            hint: Some(
                "it was removed from outside, the engine stopped or restarted, or a step killed every process; run the job again".to_owned(),
            ),
        }
    }

    /// Races what comes before the steps against stops and the job's timeout.
    async fn until_stopped<T>(&self, work: impl Future<Output = Result<T, Broken>>) -> Result<T, Broken> {
        let mut stop = self.context.stopper.watch();
        let timeout = async {
            match self.deadline {
                Some((at, limit)) => {
                    tokio::time::sleep_until(at.into()).await;
                    Cause::TimedOut { scope: TimeoutScope::Job, limit }
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            done = work => done,
            reason = stop.stopped() => Err(Broken::Stopped(reason.cause())),
            cause = timeout => Err(Broken::Stopped(cause)),
        }
    }

    /// Ends the container.
    ///
    /// After a success it is enough that the container has ended: the engine removes it by itself (AutoRemove) within
    /// some 60 ms, a quarter of a short run, and what an engine fails to remove the next sweep takes. After anything
    /// else somebody is likely to look, so it is seen gone.
    async fn end(&self, talk: Conversation, id: &ContainerId, outcome: &Outcome) {
        let engine = &*self.context.engine;
        let gently = async {
            talk.hang_up().await;
            match outcome.status {
                Status::Success => Ok(()),
                _ => engine.removed(id).await.map(|_| ()),
            }
        };
        let gone = match self.context.stopper.watch().now() {
            Stop::AtOnce(_) => engine.remove(id).await,
            Stop::No | Stop::Gracefully(_) => match tokio::time::timeout(END_LIMIT, gently).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) | Err(_) => engine.remove(id).await,
            },
        };
        if let Err(error) = gone {
            let message = format!(
                "the container {id} may be left on the engine: {error}; the next run, or `argon clean`, removes it"
            );
            let job = Some(self.job.id.clone());
            self.context.emit(Event::Notice { level: Level::Warn, job, message }).await;
        }
    }
}

/// What a step's end means for its job: `None` where the job goes on.
fn after_step(step: StepIndex, result: &StepResult) -> Option<Outcome> {
    match result.status {
        Status::Success => None,
        Status::Failure if result.forgiven => None,
        Status::Cancelled => Some(Outcome { status: Status::Cancelled, cause: result.cause.clone(), exit_code: None }),
        Status::Failure if matches!(result.cause, Some(Cause::TimedOut { scope: TimeoutScope::Job, .. })) => {
            Some(Outcome { status: Status::Failure, cause: result.cause.clone(), exit_code: result.exit_code })
        }
        status => Some(Outcome { status, cause: Some(Cause::StepFailed { step }), exit_code: result.exit_code }),
    }
}
