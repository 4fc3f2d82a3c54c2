//! The scheduler: each job starts the instant its last need is done, an image is there and a slot is free.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::images::{Images, When};
use super::needs::{Ended, Needs};
use super::stop::{Stop, StopReason};
use super::sweep::{Notes, Whose, sweep};
use super::{Context, OnFailure, counts_as_success, job};
use crate::engine::Engine;
use crate::event::{Cause, Event, JobId, JobResult, Level, Status};
use crate::pipeline::expr::{Condition, Standing};
use crate::plan::{PlannedImage, PlannedJob};

/// What is done beside the jobs (the sweep, the platform check) may hold up the end of a run for no longer.
const ASIDE_LIMIT: Duration = Duration::from_secs(2);

/// Runs all jobs; gives the run's status, and its cause where no job tells it.
pub(super) async fn run_jobs<E: Engine>(context: &Arc<Context<E>>, jobs: Vec<PlannedJob>) -> (Status, Option<Cause>) {
    for job in &jobs {
        context.emit(Event::JobQueued { job: job.id.clone() }).await;
    }
    let images = Arc::new(Images::begin(context, jobs.iter().flat_map(wanted_images)));
    let mut aside = aside(context, &images);
    let limit = spawn_run_timeout(context);

    let mut board = Board::new(context.clone(), images, jobs);
    board.advance().await;
    while let Some((job, ended)) = board.next_finished().await {
        board.finish(&job, ended).await;
    }
    if let Some(limit) = limit {
        limit.abort();
    }
    // A run that was stopped waits for nothing more: an image that was still being pulled would be waited for, too.
    if context.stopper.watch().now() == Stop::No {
        let _ = tokio::time::timeout(ASIDE_LIMIT, async { while aside.join_next().await.is_some() {} }).await;
    }
    board.verdict()
}

/// The images of a job and its services, and when they are wanted.
fn wanted_images(job: &PlannedJob) -> impl Iterator<Item = (PlannedImage, When)> {
    let when = if job.is_sure_to_run() { When::Now } else { When::Wanted };
    job.images().map(move |image| (image, when))
}

/// What needs doing once a run, and no job waits for.
fn aside<E: Engine>(context: &Arc<Context<E>>, images: &Arc<Images>) -> JoinSet<()> {
    let mut aside = JoinSet::new();
    let (for_sweep, for_check, images) = (context.clone(), context.clone(), images.clone());
    aside.spawn(async move {
        let settings = &for_sweep.settings;
        let kept = settings.bases.as_ref().zip(settings.caches.as_ref()).map(|(bases, caches)| Notes { bases, caches });
        let messages = match sweep(&*for_sweep.engine, Whose::Dead, kept).await {
            Ok(swept) => {
                let removed = swept.words().map(|words| format!("removed {words} that a crash had left"));
                let left =
                    swept.left.0.into_iter().map(|left| format!("a crash had left what cannot be removed: {left}"));
                removed.into_iter().chain(left).collect()
            }
            Err(error) => vec![format!("could not look for what a crash had left: {error}")],
        };
        for message in messages {
            for_sweep.emit(Event::Notice { level: Level::Debug, job: None, message }).await;
        }
    });
    aside.spawn(async move {
        images.check_platforms(&*for_check.engine, &for_check.events).await;
    });
    aside
}

fn spawn_run_timeout<E: Engine>(context: &Context<E>) -> Option<tokio::task::JoinHandle<()>> {
    let limit = context.settings.timeout?;
    let stopper = context.stopper.clone();
    Some(tokio::spawn(async move {
        tokio::time::sleep(limit).await;
        stopper.stop(StopReason::RunTimeout { limit });
    }))
}

/// Who waits for whom, who runs, and how it went.
struct Board<E> {
    context: Arc<Context<E>>,
    images: Arc<Images>,
    slots: Arc<Semaphore>,
    waiting: Vec<PlannedJob>,
    running: JoinSet<(PlannedJob, Ended)>,
    /// How many jobs of a matrix run or wait for a slot, by the key of their job.
    of_matrix: BTreeMap<String, u32>,
    ended: BTreeMap<JobId, Ended>,
}

/// What is to be done with a job that waits.
enum Turn {
    /// A need of it has not ended, or enough of its matrix run.
    Wait,
    Start(Needs),
    Skip(Cause, Standing),
}

impl<E: Engine> Board<E> {
    fn new(context: Arc<Context<E>>, images: Arc<Images>, jobs: Vec<PlannedJob>) -> Self {
        let slots = Arc::new(Semaphore::new(context.settings.parallel.max(1)));
        let (running, of_matrix, ended) = (JoinSet::new(), BTreeMap::new(), BTreeMap::new());
        Self { context, images, slots, waiting: jobs, running, of_matrix, ended }
    }

    /// Starts every waiting job whose turn it is, and skips those that will not have one, until nothing moves.
    async fn advance(&mut self) {
        let mut at = 0;
        while let Some(job) = self.waiting.get(at) {
            match self.turn(job) {
                Turn::Wait => at += 1,
                Turn::Start(needs) => {
                    let job = self.waiting.remove(at);
                    self.start(job, needs);
                }
                Turn::Skip(cause, standing) => {
                    let job = self.waiting.remove(at);
                    self.book(&job, Ended::skipped(cause, standing)).await;
                    // Jobs before it may have waited for this one.
                    at = 0;
                }
            }
        }
    }

    fn turn(&self, job: &PlannedJob) -> Turn {
        let stopped = self.context.stopper.watch().now();
        let is_done = job.needed().all(|need| self.ended.contains_key(need));
        let needs = is_done.then(|| Needs::of(job, &self.ended));
        // A job that waits for a failed need says so, whatever else stopped the run.
        let trouble = needs.as_ref().and_then(|needs| Some((needs.trouble.clone()?, needs.standing)));
        let runs_after_trouble = job.condition.as_ref().is_some_and(Condition::uses_status);
        let stop = match stopped.reason() {
            // What is to run after a failure runs after this one, too.
            Some(StopReason::FailFast { .. }) if runs_after_trouble => None,
            reason => reason.map(|reason| (reason.cause(), Standing::Cancelled)),
        };
        let kept = match (trouble, stop) {
            (Some(trouble), stop) if !runs_after_trouble || stop.is_some() => Some(trouble),
            (_, stop) => stop,
        };
        match (kept, needs) {
            (Some((cause, standing)), _) => Turn::Skip(cause, standing),
            (None, Some(needs)) if self.may_start(job) => Turn::Start(needs),
            (None, _) => Turn::Wait,
        }
    }

    /// Whether `max-parallel` of its matrix leaves room.
    fn may_start(&self, job: &PlannedJob) -> bool {
        let running = self.of_matrix.get(&job.key).copied().unwrap_or(0);
        job.max_parallel.is_none_or(|most| running < most.get())
    }

    fn start(&mut self, job: PlannedJob, needs: Needs) {
        *self.of_matrix.entry(job.key.clone()).or_default() += 1;
        let (context, images, slots) = (self.context.clone(), self.images.clone(), self.slots.clone());
        self.running.spawn(async move {
            let ended = job::run(&context, &job, needs, &images, &slots).await;
            (job, ended)
        });
    }

    async fn next_finished(&mut self) -> Option<(PlannedJob, Ended)> {
        match self.running.join_next().await? {
            Ok(ended) => Some(ended),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Books a job's end, and what follows from it for others.
    async fn finish(&mut self, job: &PlannedJob, ended: Ended) {
        if let Some(running) = self.of_matrix.get_mut(&job.key) {
            *running -= 1;
        }
        let failed = !is_fine(&ended.result);
        self.book(job, ended).await;
        if failed && self.context.settings.on_failure == OnFailure::FailFast {
            self.context.stopper.stop(StopReason::FailFast { job: job.id.clone() });
        }
        self.advance().await;
    }

    async fn book(&mut self, job: &PlannedJob, ended: Ended) {
        self.context.emit(Event::JobFinished { job: job.id.clone(), result: ended.result.clone() }).await;
        self.ended.insert(job.id.clone(), ended);
    }

    /// The run's status: what a person did comes first, then what the jobs did, then what the machinery did.
    fn verdict(&self) -> (Status, Option<Cause>) {
        let stopped = self.context.stopper.watch().now();
        let statuses: BTreeSet<&str> = self
            .ended
            .values()
            .filter(|ended| !is_fine(&ended.result) && ended.standing != Standing::Skipped)
            .map(|ended| ended.result.status.word())
            .collect();
        let has = |status: Status| statuses.contains(status.word());
        match stopped.reason() {
            _ if statuses.is_empty() => (Status::Success, None),
            Some(reason @ StopReason::Interrupted) => (Status::Cancelled, Some(reason.cause())),
            Some(reason @ StopReason::RunTimeout { .. }) => (Status::Failure, Some(reason.cause())),
            _ if has(Status::Failure) => (Status::Failure, None),
            _ if has(Status::Error) => (Status::Error, None),
            _ => (Status::Cancelled, None),
        }
    }
}

/// Whether a job's end keeps nothing from running: it is green, forgiven, or was not wanted.
fn is_fine(result: &JobResult) -> bool {
    counts_as_success(result)
        || matches!((result.status, &result.cause), (Status::Skipped, Some(Cause::Condition { .. })))
}
