//! The scheduler: each job starts the instant its last need is done, an image is there and a slot is free.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::images::Images;
use super::stop::{Stop, StopReason};
use super::{Context, OnFailure, job, sweep};
use crate::engine::Engine;
use crate::event::{Cause, Event, JobId, JobResult, Level, Status};
use crate::plan::PlannedJob;

/// What is done beside the jobs (the sweep, the platform check) may hold up the end of a run for no longer.
const ASIDE_LIMIT: Duration = Duration::from_secs(2);

/// Runs all jobs; gives the run's status, and its cause where no job tells it.
pub(super) async fn run_jobs<E: Engine>(context: &Arc<Context<E>>, jobs: Vec<PlannedJob>) -> (Status, Option<Cause>) {
    for job in &jobs {
        context.emit(Event::JobQueued { job: job.id.clone() }).await;
    }
    let pull = context.settings.pull;
    let images =
        Arc::new(Images::begin(&context.engine, jobs.iter().map(|job| job.image.clone()), pull, &context.events));
    let mut aside = aside(context, &images);
    let limit = spawn_run_timeout(context);

    let mut board = Board::new(context.clone(), images, jobs);
    board.start_ready();
    while let Some((job, result)) = board.next_finished().await {
        board.finish(&job, result).await;
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

/// What needs doing once a run, and no job waits for.
fn aside<E: Engine>(context: &Arc<Context<E>>, images: &Arc<Images>) -> JoinSet<()> {
    let mut aside = JoinSet::new();
    let (for_sweep, for_check, images) = (context.clone(), context.clone(), images.clone());
    aside.spawn(async move {
        let message = match sweep(&*for_sweep.engine).await {
            Ok(removed) if removed.is_empty() => return,
            Ok(removed) => format!("removed {} container(s) that a crash had left", removed.len()),
            Err(error) => format!("could not look for containers that a crash had left: {error}"),
        };
        for_sweep.emit(Event::Notice { level: Level::Debug, job: None, message }).await;
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
    running: JoinSet<(PlannedJob, JobResult)>,
    ended: BTreeMap<JobId, JobResult>,
}

impl<E: Engine> Board<E> {
    fn new(context: Arc<Context<E>>, images: Arc<Images>, jobs: Vec<PlannedJob>) -> Self {
        let slots = Arc::new(Semaphore::new(context.settings.parallel.max(1)));
        Self { context, images, slots, waiting: jobs, running: JoinSet::new(), ended: BTreeMap::new() }
    }

    /// Starts every waiting job whose needs are done.
    fn start_ready(&mut self) {
        let (ready, waiting) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|job| job.needed().all(|need| self.ended.get(need).is_some_and(counts_as_success)));
        self.waiting = waiting;
        for job in Vec::from_iter::<Vec<PlannedJob>>(ready) {
            let (context, images, slots) = (self.context.clone(), self.images.clone(), self.slots.clone());
            self.running.spawn(async move {
                let result = job::run(&context, &job, &images, &slots).await;
                (job, result)
            });
        }
    }

    async fn next_finished(&mut self) -> Option<(PlannedJob, JobResult)> {
        match self.running.join_next().await? {
            Ok(ended) => Some(ended),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Books a job's end, and what follows from it for others.
    async fn finish(&mut self, job: &PlannedJob, result: JobResult) {
        let ok = counts_as_success(&result);
        self.book(job, result).await;
        if !ok && self.context.settings.on_failure == OnFailure::FailFast {
            self.context.stopper.stop(StopReason::FailFast { job: job.id.clone() });
        }
        let stopped = self.context.stopper.watch().now();
        match stopped.reason() {
            Some(reason) => self.skip_where(|_, _| Some(reason.cause())).await,
            None => self.skip_where(need_failed).await,
        }
        self.start_ready();
    }

    /// Skips waiting jobs, and those that need them, until none is left to skip.
    async fn skip_where(&mut self, cause: impl Fn(&PlannedJob, &BTreeMap<JobId, JobResult>) -> Option<Cause>) {
        loop {
            // A job that waits for a failed need says so, whatever else stopped the run.
            let found = self
                .waiting
                .iter()
                .position(|job| need_failed(job, &self.ended).or_else(|| cause(job, &self.ended)).is_some());
            let Some(at) = found else { return };
            let job = self.waiting.remove(at);
            let cause = need_failed(&job, &self.ended).or_else(|| cause(&job, &self.ended));
            let result = JobResult {
                status: Status::Skipped,
                cause,
                exit_code: None,
                duration: Duration::ZERO,
                forgiven: false,
            };
            self.book(&job, result).await;
        }
    }

    async fn book(&mut self, job: &PlannedJob, result: JobResult) {
        self.context.emit(Event::JobFinished { job: job.id.clone(), result: result.clone() }).await;
        self.ended.insert(job.id.clone(), result);
    }

    /// The run's status: what a person did comes first, then what the jobs did, then what the machinery did.
    fn verdict(&self) -> (Status, Option<Cause>) {
        let stopped = self.context.stopper.watch().now();
        let statuses: BTreeSet<&str> = self
            .ended
            .values()
            .filter(|result| !counts_as_success(result))
            .map(|result| result.status.word())
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

fn counts_as_success(result: &JobResult) -> bool {
    result.status == Status::Success || result.forgiven
}

fn need_failed(job: &PlannedJob, ended: &BTreeMap<JobId, JobResult>) -> Option<Cause> {
    job.needed().find_map(|need| {
        let result = ended.get(need).filter(|result| !counts_as_success(result))?;
        Some(Cause::NeedFailed { need: need.clone(), status: result.status })
    })
}
