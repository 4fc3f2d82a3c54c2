//! Runs a plan on an engine: emits events, and knows nothing of who sees them.
//!
//! [`run`] schedules the jobs; `job` is one job's life, `step` one step's; `supervisor` is the protocol with the
//! program inside the container, `conversation` one talk in it. Secrets are masked before an event leaves.

mod artifacts;
mod build;
mod caches;
mod conversation;
mod files;
mod handover;
mod images;
mod job;
mod kept;
mod making;
mod memo;
mod missing_command;
mod needs;
mod owner;
mod redact;
mod retry;
mod schedule;
mod secrets;
mod services;
mod step;
mod stop;
mod supervisor;
mod sweep;
mod trial;
mod upload;
mod user;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

pub use build::forget_images;
pub use caches::{Account as CacheAccount, CacheIndex, tidy as tidy_caches};
pub use images::PullPolicy;
pub use kept::{NotKept, Unread, forget_snapshots};
pub use memo::forget_results;
pub use owner::Owner;
pub use redact::{Mask, MaskError, Redactor};
pub use stop::{Stop, StopReason, StopWatch, Stopper};
pub use sweep::{Left, Notes, Swept, Whose, sweep};
pub use trial::{Trial, try_layers};

use crate::artifact::Depot;
use crate::engine::Engine;
use crate::engine::Network;
use crate::event::{Event, JobResult, Level, RunId, RunResult, Status};
use crate::pipeline::OnError;
use crate::pipeline::expr::{EvalError, Files, NoFiles};
use crate::plan::Plan;
use crate::source::{Bases, Workspace};
use artifacts::Shelf;
use caches::Upkeep;
use files::SourceFiles;
use kept::Kept;
use making::Making;
use memo::Inputs;
use secrets::Asked;

/// How many events may wait for the sinks before the run waits for them.
pub const EVENT_BUFFER: usize = 128;

/// From TERM to KILL, where not said otherwise.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// What a run does after a job failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// Stops the other jobs.
    #[default]
    FailFast,
    /// Runs all that does not need the failed job.
    KeepGoing,
}

/// Whether what an earlier run came to is used: results of jobs, images that were built and their layers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reuse {
    /// Where nothing changed.
    #[default]
    Unchanged,
    /// Never (`--no-cache`).
    Never,
}

/// Whether steps are told that their output is seen in colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StepColor {
    /// They see FORCE_COLOR, CLICOLOR_FORCE and TERM.
    Forced,
    /// They see none of them.
    #[default]
    Unsaid,
}

/// How a plan is run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The run's id.
    pub run: RunId,
    /// How many jobs run at once. At least 1.
    pub parallel: usize,
    /// What a failure does.
    pub on_failure: OnFailure,
    /// When images are pulled.
    pub pull: PullPolicy,
    /// Time for all of it.
    pub timeout: Option<Duration>,
    /// From TERM to KILL.
    pub grace: Duration,
    /// Colour in steps.
    pub color: StepColor,
    /// The network of jobs that do not say `none`.
    pub network: Network,
    /// Where it is kept what snapshots on the engine hold; without it, none is made.
    pub bases: Option<Bases>,
    /// Where it is noted what caches there are; without it, there are none.
    pub caches: Option<CacheIndex>,
    /// Where the results of jobs are kept that declare their inputs; without it, none is.
    pub memo: Option<PathBuf>,
    /// Whether what an earlier run came to is used. It is kept either way.
    pub reuse: Reuse,
    /// Where artifacts are kept; without it, none can be.
    pub artifacts: Option<Depot>,
    /// Keeps caches apart of runs that do not trust one another: those of one word share them.
    pub trust: &'static str,
    /// How the names of the bridges begin that jobs with services have; the engine's choice where not said.
    pub bridges: Option<String>,
}

impl Settings {
    /// A name for the folder in which it is noted what is kept: what another folder notes is another's.
    fn keeper(&self) -> String {
        self.bases.as_ref().map(Bases::keeper).unwrap_or_default()
    }
}

/// What every job of a run shares.
struct Context<E> {
    engine: Arc<E>,
    workspace: Arc<Workspace>,
    kept: Kept<E>,
    making: Making,
    shelf: Shelf,
    /// The caches that were saved.
    upkeep: Upkeep,
    inputs: Arc<Inputs>,
    settings: Settings,
    mask: Mask,
    /// The secrets that were asked for.
    asked: Asked,
    owner: Owner,
    stopper: Stopper,
    events: mpsc::Sender<Event>,
    /// What expressions ask of the source.
    files: Arc<dyn Files>,
}

impl<E> Context<E> {
    /// Emits an event, its words masked: what a cause or a notice repeats may be a secret, whoever wrote it. Waits while the
    /// sinks are behind. Nobody listening is not the run's business.
    async fn emit(&self, event: Event) {
        let event = event.map_words(&|text| self.mask.text(text));
        let _ = self.events.send(event).await;
    }

    /// Evaluates expressions; those that ask for files, where that holds nobody up.
    async fn evaluate<T: Send + 'static>(
        &self,
        uses_files: bool,
        work: impl FnOnce(&dyn Files) -> Result<T, EvalError> + Send + 'static,
    ) -> Result<T, EvalError> {
        if !uses_files {
            return work(&NoFiles);
        }
        let files = self.files.clone();
        match tokio::task::spawn_blocking(move || work(&*files)).await {
            Ok(done) => done,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

/// Whether what its owner says of errors forgives a result.
fn forgiven(status: Status, on_error: OnError) -> bool {
    status == Status::Failure && on_error == OnError::Continue
}

/// Whether a job is green, or its failure is forgiven.
fn counts_as_success(result: &JobResult) -> bool {
    result.status == Status::Success || result.forgiven
}

/// Runs the plan to its end, whatever that is. The last event is [`Event::RunFinished`].
pub async fn run<E: Engine>(
    engine: Arc<E>,
    plan: Plan,
    workspace: Arc<Workspace>,
    settings: Settings,
    stopper: Stopper,
    events: mpsc::Sender<Event>,
) -> Result<RunResult, MaskError> {
    let began = Instant::now();
    let secrets = plan.secrets.clone();
    // Large secrets take a moment.
    let masking = tokio::task::spawn_blocking(move || Mask::new(&secrets));
    let mask = masking.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
    let (owner, files) = (Owner::current(), Arc::new(SourceFiles::new(workspace.clone(), events.clone())));
    let making = Making::default();
    // Before anything takes files to a container.
    let inputs = Arc::new(begun(&workspace, &plan).await);
    let kept = Kept::new(&making, &engine, &workspace, &settings, &owner, &plan);
    let context = Arc::new(Context {
        engine,
        workspace,
        kept,
        making,
        shelf: Shelf::default(),
        upkeep: Upkeep::default(),
        inputs,
        settings,
        mask,
        asked: Asked::default(),
        owner,
        stopper,
        events,
        files,
    });
    let started = Event::RunStarted {
        pipeline: plan.name.clone(),
        source: context.workspace.info.clone(),
        jobs: plan.jobs.iter().map(|job| job.info()).collect(),
    };
    context.emit(started).await;
    for message in context.workspace.warnings.clone() {
        context.emit(Event::Notice { level: Level::Warn, job: None, message }).await;
    }
    let fixing = tokio::spawn(kept::fix(context.clone()));
    let (status, cause) = schedule::run_jobs(&context, plan.jobs).await;
    context.kept.stop_fixing();
    if let Err(error) = fixing.await {
        std::panic::resume_unwind(error.into_panic());
    }
    caches::keep_up(&context).await;
    context.making.end().await;
    if let Some(message) = context.kept.end().await {
        context.emit(Event::Notice { level: Level::Warn, job: None, message }).await;
    }
    let result = RunResult { status, cause, duration: began.elapsed() };
    context.emit(Event::RunFinished { result: result.clone() }).await;
    Ok(result)
}

/// The files that the jobs rest on which declare any.
async fn begun(workspace: &Arc<Workspace>, plan: &Plan) -> Inputs {
    let (workspace, jobs) = (workspace.clone(), plan.jobs.clone());
    let looking = tokio::task::spawn_blocking(move || Inputs::begin(&workspace, &jobs));
    looking.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

#[cfg(test)]
mod tests;
