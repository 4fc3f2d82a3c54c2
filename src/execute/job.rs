//! One job's life: image, slot, container, workspace, steps, end. Whatever happens in it, its container is gone after it.

mod begin;
pub(super) mod container;
mod steps;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::conversation::Conversation;
use super::images::Images;
use super::memo::{Found, SharedNoting};
use super::needs::{Ended, Needs};
use super::retry::Tries;
use super::services::Services;
use super::stop::{Stop, StopReason, StopWatch};
use super::supervisor::Nonce;
use super::upload::UploadError;
use super::{Context, forgiven};
use crate::engine::{ContainerId, Engine, EngineError, Image};
use crate::event::{Cause, Event, JobResult, Level, Status, StepIndex, StepResult, TimeoutScope};
use crate::pipeline::expr::{Condition, Contexts, EvalError, Scope, Standing};
use crate::plan::PlannedJob;

/// A container that was told to end does so in milliseconds; after this it is removed by force.
const END_LIMIT: Duration = Duration::from_secs(10);

/// How often a container is made again, as its engine was found to lack something.
const MOST_TRIES: u32 = 3;

/// Why a job could not go on, other than by its own work.
#[derive(Debug, Clone)]
pub(super) enum Broken {
    /// The machinery failed.
    Infrastructure { message: String, hint: Option<String> },
    /// It was stopped, or its time was up.
    Stopped(Cause),
    /// Its image cannot be built, by the repository's own fault.
    ImageBuild { message: String, output: String },
    /// A service did not become ready.
    Service { service: String, message: String },
    /// An artifact of it is not fit to be kept.
    Artifact { name: String, message: String },
    /// An expression has no value.
    NoValue(Cause),
    /// The engine cannot lay volumes over one another.
    NoOverlay { message: String },
    /// The engine has no init for containers.
    NoInit,
}

impl Broken {
    fn status(&self) -> Status {
        match self {
            Self::Infrastructure { .. } | Self::NoOverlay { .. } | Self::NoInit => Status::Error,
            Self::Service { .. } | Self::ImageBuild { .. } | Self::Artifact { .. } | Self::NoValue(_) => {
                Status::Failure
            }
            Self::Stopped(Cause::TimedOut { scope: TimeoutScope::Job, .. }) => Status::Failure,
            Self::Stopped(_) => Status::Cancelled,
        }
    }

    /// What happened, for people.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Infrastructure { message, .. }
            | Self::NoOverlay { message }
            | Self::ImageBuild { message, .. }
            | Self::Service { message, .. } => message.clone(),
            Self::Artifact { name, message } => format!("the artifact {name} cannot be kept: {message}"),
            Self::Stopped(_) | Self::NoValue(_) => "it was stopped".to_owned(),
            Self::NoInit => EngineError::InitMissing.to_string(),
        }
    }

    fn into_cause(self) -> Cause {
        match self {
            Self::Infrastructure { message, hint } => Cause::Infrastructure { message, hint },
            Self::NoOverlay { message } => Cause::Infrastructure { message, hint: None },
            Self::Stopped(cause) | Self::NoValue(cause) => cause,
            Self::Service { service, message } => Cause::Service { service, message },
            Self::ImageBuild { message, output } => Cause::ImageBuild { message, output },
            Self::Artifact { name, message } => Cause::Artifact { name, message },
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
            UploadError::Source(error) => error.into(),
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

/// Runs a job to its end, or finds that it is not wanted.
pub(super) async fn run<E: Engine>(
    context: &Context<E>,
    job: &PlannedJob,
    needs: Needs,
    images: &Images,
    slots: &Arc<Semaphore>,
) -> Ended {
    let stop = match context.stopper.watch() {
        watch if matches!(watch.now().reason(), Some(StopReason::FailFast { .. })) => watch.beyond_fail_fast(),
        watch => watch,
    };
    let contexts = Contexts { needs: needs.context.clone(), ..(*job.contexts).clone() };
    match wanted(context, job, &needs, &contexts).await {
        Ok(Wanted::Yes) => {}
        Ok(Wanted::No(cause)) => {
            // An `if` that heard of the trouble and still says no does not end it: who needs this job sees through it.
            let heard = job.condition.as_ref().is_some_and(Condition::uses_status);
            let standing =
                if heard && needs.standing != Standing::Success { needs.standing } else { Standing::Skipped };
            return Ended::skipped(cause, standing);
        }
        Err(cause) => {
            let outcome = Outcome { status: Status::Failure, cause: Some(cause), exit_code: None };
            return Ended::ran(result(job, outcome, Duration::ZERO, Vec::new()), Vec::new());
        }
    }
    let mut waiting = stop.clone();
    let mut tries = Tries::new(job.retry.as_ref());
    let ready = tokio::select! {
        ready = prepared(context, job, images, slots, &mut tries) => ready,
        reason = waiting.stopped() => Err(Broken::Stopped(reason.cause())),
    };
    let began = Instant::now();
    let (outcome, outputs) = match ready {
        Err(broken) => (never_started(broken), Vec::new()),
        Ok((mut images, _slot)) => {
            let service_images = images.split_off(1);
            let image = images.swap_remove(0);
            let noting = None;
            let run = JobRun { context, job, image, service_images, deadline: None, stop, contexts, noting };
            unless_remembered(run, tries).await
        }
    };
    if outcome.status == Status::Skipped {
        let cause = outcome.cause.unwrap_or(Cause::Interrupted);
        return Ended::skipped(cause, Standing::Cancelled);
    }
    let shown = outputs.iter().map(|(name, value)| (name.clone(), context.mask.text(value))).collect();
    Ended::ran(result(job, outcome, began.elapsed(), shown), outputs)
}

/// Lives a job, where what it came to before does not do.
async fn unless_remembered<E: Engine>(mut run: JobRun<'_, E>, tries: Tries<'_>) -> (Outcome, Vec<(String, String)>) {
    let images = [std::slice::from_ref(&run.image), &run.service_images].concat();
    let mut stop = run.stop.clone();
    let remembered = tokio::select! {
        remembered = run.remembered(&images) => remembered,
        reason = stop.stopped() => return (never_started(Broken::Stopped(reason.cause())), Vec::new()),
    };
    match remembered {
        Found::Nothing => {}
        Found::Runs(noting) => run.noting = Some(Arc::new(noting)),
        Found::Spared(spared) => {
            for event in spared.events {
                run.context.emit(event).await;
            }
            for artifact in spared.artifacts {
                run.put_on_shelf(artifact).await;
            }
            return (Outcome { status: Status::Success, cause: None, exit_code: None }, spared.outputs);
        }
    }
    let started = Event::JobStarted { job: run.job.id.clone(), image_id: run.image.id.clone() };
    run.context.emit(started).await;
    let (outcome, outputs) = tried(&run, tries).await;
    if let Some(noting) = run.noting.take().and_then(Arc::into_inner)
        && outcome.status == Status::Success
    {
        run.remember(noting, &outputs).await;
    }
    (outcome, outputs)
}

/// Lives a job, as often as its `retry` says; each try has the job's whole time.
async fn tried<E: Engine>(job: &JobRun<'_, E>, mut tries: Tries<'_>) -> (Outcome, Vec<(String, String)>) {
    loop {
        let deadline = job.job.timeout.map(|limit| (Instant::now() + limit, limit));
        let (outcome, outputs) = JobRun { deadline, ..job.clone() }.live().await;
        let is_green = outcome.status == Status::Success;
        let wait = tries.wait_after(outcome.status, outcome.cause.as_ref()).filter(|_| !is_green && job.goes_on());
        let (Some(wait), Some(cause)) = (wait, outcome.cause.clone()) else {
            return (outcome, outputs);
        };
        let (attempt, of) = (tries.attempt, tries.of());
        job.context.emit(Event::Retrying { job: job.job.id.clone(), step: None, attempt, of, wait, cause }).await;
        if let Err(cause) = job.waited(wait).await {
            return (job.broken(Broken::Stopped(cause), 0, None).await, Vec::new());
        }
        if let Some(noting) = &job.noting {
            noting.again();
        }
        job.forget_artifacts().await;
        tries.attempt += 1;
    }
}

fn result(job: &PlannedJob, outcome: Outcome, duration: Duration, outputs: Vec<(String, String)>) -> JobResult {
    JobResult {
        status: outcome.status,
        cause: outcome.cause,
        exit_code: outcome.exit_code,
        duration,
        forgiven: forgiven(outcome.status, job.on_error),
        outputs,
    }
}

enum Wanted {
    Yes,
    No(Cause),
}

/// Whether the job's `if` holds.
async fn wanted<E: Engine>(
    context: &Context<E>,
    job: &PlannedJob,
    needs: &Needs,
    contexts: &Contexts,
) -> Result<Wanted, Cause> {
    let Some(condition) = &job.condition else {
        return Ok(Wanted::Yes);
    };
    let standing = needs.standing;
    let base = job.clone();
    let (asked, mut contexts) = (condition.clone(), contexts.clone());
    let holds = context
        .evaluate(job.condition_uses_files(), move |files| {
            let scope = Scope { contexts: &contexts, standing, files };
            let env = base.base_env(&scope)?;
            contexts.env = crate::plan::env_context(&env, &base.overrides);
            asked.holds(&Scope { contexts: &contexts, standing, files })
        })
        .await;
    match holds {
        Ok(true) => Ok(Wanted::Yes),
        Ok(false) => Ok(Wanted::No(Cause::Condition { condition: condition.to_string() })),
        Err(error) => Err(no_value(context, "if", &error)),
    }
}

/// The cause of an expression that has no value. Its words may come from outputs, which may hold secrets.
pub(super) fn no_value<E>(context: &Context<E>, key: &'static str, error: &EvalError) -> Cause {
    Cause::Expression { key, message: context.mask.text(&error.message) }
}

fn never_started(broken: Broken) -> Outcome {
    let status = match broken {
        Broken::Stopped(_) => Status::Skipped,
        _ => broken.status(),
    };
    Outcome { status, cause: Some(broken.into_cause()), exit_code: None }
}

/// Has the images and a slot, as often as the job's `retry` says: a registry that is away for a moment is what that is for.
async fn prepared<E: Engine>(
    context: &Context<E>,
    job: &PlannedJob,
    images: &Images,
    slots: &Arc<Semaphore>,
    tries: &mut Tries<'_>,
) -> Result<(Vec<Image>, tokio::sync::OwnedSemaphorePermit), Broken> {
    loop {
        let broken = match prepare(job, images, slots).await {
            Ok(ready) => return Ok(ready),
            Err(broken) => broken,
        };
        let (status, cause) = (broken.status(), broken.clone().into_cause());
        let Some(wait) = tries.wait_after(status, Some(&cause)) else {
            return Err(broken);
        };
        let (attempt, of) = (tries.attempt, tries.of());
        context.emit(Event::Retrying { job: job.id.clone(), step: None, attempt, of, wait, cause }).await;
        tokio::time::sleep(wait).await;
        job.images().for_each(|image| images.again(&image));
        tries.attempt += 1;
    }
}

/// Waits for the image and those of the services, then for a slot: a slow pull holds no slot.
async fn prepare(
    job: &PlannedJob,
    images: &Images,
    slots: &Arc<Semaphore>,
) -> Result<(Vec<Image>, tokio::sync::OwnedSemaphorePermit), Broken> {
    let mut found = Vec::new();
    for image in job.images() {
        let pending = images.get(&image).ok_or_else(|| EngineError::ImageMissing { image: image.to_string() })?;
        found.push(pending.await?);
    }
    match slots.clone().acquire_owned().await {
        Ok(slot) => Ok((found, slot)),
        Err(_) => Err(Broken::Infrastructure { message: "the scheduler is gone".to_owned(), hint: None }),
    }
}

/// A job that runs: one try of it.
pub(super) struct JobRun<'a, E> {
    pub(super) context: &'a Context<E>,
    pub(super) job: &'a PlannedJob,
    pub(super) image: Image,
    /// Those of its services, in their order.
    pub(super) service_images: Vec<Image>,
    deadline: Option<(Instant, Duration)>,
    /// The stops that it heeds.
    pub(super) stop: StopWatch,
    /// What expressions see of what was known before its first step.
    pub(super) contexts: Contexts,
    /// What notes how it goes, where its result is to be kept.
    pub(super) noting: SharedNoting,
}

// Not derived: the engine need not be one that can be cloned.
impl<E> Clone for JobRun<'_, E> {
    fn clone(&self) -> Self {
        Self {
            context: self.context,
            job: self.job,
            image: self.image.clone(),
            service_images: self.service_images.clone(),
            deadline: self.deadline,
            stop: self.stop.clone(),
            contexts: self.contexts.clone(),
            noting: self.noting.clone(),
        }
    }
}

impl<E: Engine> JobRun<'_, E> {
    /// Lives the job: how it ended, and its outputs.
    async fn live(&self) -> (Outcome, Vec<(String, String)>) {
        let services = Services::new(self);
        let ended = match self.until_stopped(services.open()).await {
            Ok(()) => self.live_beside(&services).await,
            Err(broken) => (self.broken(broken, 0, None).await, Vec::new()),
        };
        services.end().await;
        ended
    }

    async fn live_beside(&self, services: &Services<'_, E>) -> (Outcome, Vec<(String, String)>) {
        let mut tries = 0;
        loop {
            tries += 1;
            let place = match self.until_stopped(self.place()).await {
                Ok(place) => place,
                Err(broken) => return (self.broken(broken, 0, None).await, Vec::new()),
            };
            let owner = self.context.kept.known_owner(&self.image, self.user());
            let caches = match self.until_stopped(self.caches(owner)).await {
                Ok(caches) => caches,
                Err(broken) => return (self.broken(broken, 0, None).await, Vec::new()),
            };
            // Not raced against a stop: a container whose making was cut short could not be removed.
            let session = match self.context.engine.create(&self.spec(services, &place, &caches)).await {
                Ok(session) => session,
                Err(error) => return (self.broken(error.into(), 0, None).await, Vec::new()),
            };
            let id = session.id.clone();
            let mut talk = Conversation::new(session, Nonce::generate(), &self.context.mask);
            let began = async { tokio::try_join!(self.begin(&mut talk, &place, &caches.hidden), services.ready()) };
            let (outcome, outputs) = match self.until_stopped(began).await {
                Ok((counters, ())) => {
                    let (outcome, outputs) = self.steps(&mut talk, counters).await;
                    (self.with_artifacts(&id, outcome).await, outputs)
                }
                Err(broken) => {
                    // Removed before anything is drained: it may be in the middle of an upload.
                    // Where that fails, `end` tries again, and tells.
                    let removed = self.context.engine.remove(&id).await.is_ok();
                    if removed && self.may_begin_again(&broken, tries) {
                        // Two databases by one name would be worse than none.
                        services.stop().await;
                        continue;
                    }
                    (self.broken(broken, 0, None).await, Vec::new())
                }
            };
            self.end(talk, &id, &outcome).await;
            caches.settle(self, outcome.status).await;
            return (outcome, outputs);
        }
    }

    /// Whether the container may be made once more: an engine that lacks something is found out at the start.
    fn may_begin_again(&self, broken: &Broken, tries: u32) -> bool {
        match broken {
            // The engine remembers that it has no init, so the next container does without.
            Broken::NoInit => tries == 1,
            // It remembers, too, that it refuses the best way to lay volumes; where it refuses all, the workspace is streamed.
            Broken::NoOverlay { .. } => {
                if tries > 1 {
                    self.context.kept.give_up();
                }
                tries <= MOST_TRIES
            }
            _ => false,
        }
    }

    /// Keeps the artifacts of a job that ended so. A failure elsewhere does not keep this job from it; where its own time is over,
    /// it has a grace for it.
    async fn with_artifacts(&self, container: &ContainerId, outcome: Outcome) -> Outcome {
        let deadline = match &outcome.cause {
            Some(Cause::TimedOut { scope: TimeoutScope::Job, limit }) => {
                Some((Instant::now() + self.context.settings.grace, *limit))
            }
            _ => self.deadline,
        };
        let stop = self.stop.clone().beyond_fail_fast();
        match (JobRun { deadline, stop, ..self.clone() }).keep_artifacts(container, outcome.status).await {
            Err(broken) if outcome.status == Status::Success => {
                Outcome { status: broken.status(), cause: Some(broken.into_cause()), exit_code: None }
            }
            // What went wrong first is what the job says of itself.
            Err(broken) if !matches!(broken, Broken::Stopped(_)) => {
                let (job, message) = (Some(self.job.id.clone()), broken.words());
                self.context.emit(Event::Notice { level: Level::Warn, job, message }).await;
                outcome
            }
            Ok(()) | Err(_) => outcome,
        }
    }

    /// Whether it may be tried again: the run is not being stopped.
    fn goes_on(&self) -> bool {
        self.stop.now() == Stop::No
    }

    async fn finish_step(&self, step: StepIndex, result: StepResult) {
        if let Some(noting) = &self.noting {
            noting.ended(step, &result);
        }
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

    /// Races what comes before the steps, and behind them, against stops and the job's timeout.
    pub(super) async fn until_stopped<T>(&self, work: impl Future<Output = Result<T, Broken>>) -> Result<T, Broken> {
        let mut stop = self.stop.clone();
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
    /// else somebody is likely to look, so it is seen gone; and where it is on a network of its own, which goes next.
    async fn end(&self, talk: Conversation, id: &ContainerId, outcome: &Outcome) {
        let engine = &*self.context.engine;
        let gently = async {
            talk.hang_up().await;
            match outcome.status {
                Status::Success if self.job.services.is_empty() => Ok(()),
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
