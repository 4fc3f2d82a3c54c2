//! One run of the listener: its source, its pipeline, whether `on` wants it, its plan, its execution, its record.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::config::Repository;
use super::egress;
use super::late;
use super::report;
use super::shop::Shop;
use crate::causes::with_causes;
use crate::engine::Network;
use crate::engine::docker::{self, EngineEnv};
use crate::event::{RunResult, Status};
use crate::execute::{
    self, CacheIndex, DEFAULT_GRACE, EVENT_BUFFER, OnFailure, Owner, Reuse, Settings, StepColor, Stopper,
};
use crate::pipeline::{Pipeline, Severity};
use crate::plan::{self, Plan, RunOptions, Selection};
use crate::repository::includes::Reach;
use crate::repository::{self, FILE_NAME};
use crate::sinks::Sink;
use crate::sinks::explain::{About, explain};
use crate::sinks::pump;
use crate::source::{self, Bases, SourceError, SourceRequest, Workspace};
use crate::store::StoreError;
use crate::store::history::{History, Phase, RunName, short_commit};
use crate::store::queue::{Entry, InProgress, Lease, MAX_TRIES, Newcomer, Outcome, Task, Trust, Try};
use crate::store::record::{Ending, Recorder, Subject};
use crate::trigger::{Decision, EventKind, Trigger, decide};

/// How long a run waits for what is not there (a server, an engine), the first time; twice as long each time.
const BACK_OFF: Duration = Duration::from_secs(5);

/// What is to be told the queue.
#[derive(Debug, Clone)]
pub(super) enum End {
    /// It is over.
    Over(Outcome, Record),
    /// It is to be begun again.
    Back {
        wait: Duration,
        counts: Try,
        /// For people.
        why: String,
    },
    /// It waits for another run of its `concurrency` group, and the queue knows.
    Waits,
    /// There is no engine: no run can go on now.
    NoEngine {
        /// For people.
        why: String,
    },
}

/// What the history has of a run that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Record {
    Written,
    /// Its end at least is to be written as soon as it can be.
    Missing,
}

impl End {
    /// Of what the history does not have yet.
    fn over(word: &str, reason: impl Into<String>) -> Self {
        Self::Over(Outcome::new(word, reason), Record::Missing)
    }

    /// For what another try may mend.
    fn later(task: &Task, counts: Try, why: impl Into<String>) -> Self {
        Self::Back { wait: BACK_OFF * 2u32.saturating_pow(task.tries.min(6)), counts, why: why.into() }
    }

    /// For what another try may mend, until there were enough of them.
    fn later_or_error(task: &Task, why: impl Into<String>) -> Self {
        let why = why.into();
        if task.tries + 1 >= MAX_TRIES {
            return Self::over(Status::Error.word(), why);
        }
        Self::later(task, Try::Counts, why)
    }
}

/// Sees a run to its end.
pub(super) async fn run(shop: &Shop, lease: &Lease, stopper: Stopper) -> End {
    let trigger = trigger(lease);
    let subject = subject(lease, trigger.as_ref().ok());
    let commit = trigger.as_ref().ok().and_then(|trigger| trigger.commit.clone());
    let settled = match trigger {
        Ok(trigger) => settled(shop, lease, trigger, stopper).await,
        Err(end) => Err(end),
    };
    match settled {
        Ok(end) => end,
        Err(End::Over(outcome, _)) => {
            let record = note(shop, lease, subject, commit, outcome.clone()).await;
            End::Over(outcome, record)
        }
        Err(end) => end,
    }
}

/// Records what ended before a job of it was planned.
async fn note(shop: &Shop, lease: &Lease, subject: Subject, commit: Option<String>, outcome: Outcome) -> Record {
    let (state, run) = (shop.config.state.clone(), lease.run.clone());
    let noting = tokio::task::spawn_blocking(move || {
        let ending = Ending { status: outcome.status(), message: outcome.reason, time: Timestamp::now() };
        History::open(&state)?.0.note(&run, &subject, commit.as_deref(), &ending)
    });
    match noting.await {
        Ok(Ok(())) => Record::Written,
        Ok(Err(error)) => {
            tracing::error!(run = %lease.run, error = with_causes(&error), "cannot be recorded; it is tried again");
            Record::Missing
        }
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// How the reason begins of a run that was given up.
const GIVEN_UP: &str = "the argon that ran it died";

fn subject(lease: &Lease, trigger: Option<&Trigger>) -> Subject {
    Subject {
        event: lease.event.clone(),
        repository: lease.repository.clone(),
        branch: trigger.and_then(|trigger| report::branch(lease, trigger)),
        tag: trigger.and_then(|trigger| trigger.tag.clone()),
        dirty_hash: Arc::default(),
        owner: Owner::current().to_label(),
    }
}

async fn settled(shop: &Shop, lease: &Lease, trigger: Trigger, stopper: Stopper) -> Result<End, End> {
    // Whatever the number of tries: a run that ended while its listener did may have been handed back without one.
    if let Some(outcome) = recorded(shop, lease) {
        return Ok(End::Over(outcome, Record::Written));
    }
    if lease.tries >= MAX_TRIES {
        let why = format!("{GIVEN_UP} {} times while it ran", lease.tries);
        return Err(End::over("given-up", why));
    }
    let repository = shop.config.repository(&lease.repository);
    let repository = repository
        .ok_or_else(|| End::over("error", "the listener's configuration does not have its repository any more"))?;
    let engine =
        docker::connect(&EngineEnv::from_process()).await.map_err(|error| End::NoEngine { why: error.to_string() })?;
    let prepared = prepared(shop, lease, trigger, &stopper).await?;
    let Prepared { trigger, pipeline, workspace } = prepared;
    let plan = planned(repository, lease.trust, &pipeline, &trigger)?;
    join_group(shop, lease, &pipeline, &trigger).await?;
    // Their numbers are lower, as they came before: the latest run of a branch is not one that it took the place of.
    if let Err(error) = late::catch_up(shop).await {
        tracing::warn!(%error, "ends of earlier runs cannot be recorded yet");
    }
    let recorder = recorder(shop, lease, &trigger).await?;
    let trouble = recorder.trouble();
    tell_that_it_runs(shop, repository, lease, &trigger).await;
    let network = shop.egress.network(shop.config.egress, &engine).await;
    let settings = Settings {
        run: lease.run.clone(),
        parallel: shop.config.jobs,
        on_failure: OnFailure::FailFast,
        pull: shop.config.pull,
        timeout: repository.timeout,
        grace: DEFAULT_GRACE,
        color: StepColor::Forced,
        // Beside the queue: what a listener keeps is its own.
        bases: Some(Bases::new(shop.config.state.path().join("bases"))),
        caches: Some(CacheIndex::new(shop.config.state.path().join("caches"))),
        memo: Some(shop.config.state.path().join("jobs")),
        reuse: Reuse::Unchanged,
        artifacts: Some(shop.config.state.artifacts_of(&lease.run)),
        // What a fork's run saves must never come into one of the repository's own.
        trust: lease.trust.word(),
        bridges: network.as_ref().map(|_| egress::BRIDGES.to_owned()),
        network: network.map_or(Network::Bridge, Network::Named),
    };
    let (events, feed) = mpsc::channel(EVENT_BUFFER);
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(recorder)];
    let pump = tokio::spawn(pump::pump(feed, lease.run.clone(), sinks, || {}));
    let result = execute::run(Arc::new(engine), plan, Arc::new(workspace), settings, stopper, events).await;
    let pumped = pump.await;
    let outcome = match result {
        Ok(result) => outcome(&result),
        Err(error) => Outcome::new(Status::Error.word(), error.to_string()),
    };
    let why = match (trouble.get(), pumped) {
        (None, Ok(_)) => return Ok(End::Over(outcome, Record::Written)),
        (Some(error), _) => with_causes(error),
        (None, Err(panic)) => panic.to_string(),
    };
    tracing::error!(run = %lease.run, error = why, "its record is not whole");
    let reason = outcome.reason.or_else(|| Some(format!("its record is not whole: {why}")));
    Ok(End::Over(Outcome { reason, ..outcome }, Record::Missing))
}

/// What a run is of: a workspace, and the pipeline that wants its event.
struct Prepared {
    trigger: Trigger,
    pipeline: Pipeline,
    workspace: Workspace,
}

async fn prepared(shop: &Shop, task: &Task, trigger: Trigger, stopper: &Stopper) -> Result<Prepared, End> {
    let mut workspace = checkout(task, &trigger, stopper).await?;
    let trigger = trigger.on(&workspace.info);
    not_a_forks(shop, task, &trigger).await?;
    if let Some(since) = trigger.since() {
        workspace.compare_with(since);
    }
    let file = match task.trust {
        Trust::Own => None,
        Trust::Fork => Some(base(task, &trigger, stopper).await?),
    };
    let (pipeline, workspace) = wanted(task, workspace, file, &trigger, stopper).await?;
    Ok(Prepared { trigger, pipeline, workspace })
}

fn outcome(result: &RunResult) -> Outcome {
    let reason = result.cause.as_ref().map(|cause| explain(cause, About::default()).what);
    Outcome { word: result.status.word().to_owned(), reason }
}

/// How the run ended, where it did before the queue heard of it.
fn recorded(shop: &Shop, lease: &Lease) -> Option<Outcome> {
    let history = History::look(&shop.config.state).ok()??;
    let run = history.run(&RunName::Id(lease.run.to_string())).ok()??;
    match run.phase {
        Phase::Ended(status @ (Status::Success | Status::Failure | Status::Error)) => {
            // What was given up stands in the history as an error: the queue has a word of its own for it.
            let is_given_up = run.message.as_ref().is_some_and(|message| message.starts_with(GIVEN_UP));
            let word = if is_given_up { "given-up" } else { status.word() };
            Some(Outcome { word: word.to_owned(), reason: run.message })
        }
        // One that was cancelled may have been handed back by a listener that ended; why one was skipped is found out again.
        Phase::Ended(Status::Cancelled | Status::Skipped) | Phase::Queued | Phase::Running | Phase::Interrupted => None,
    }
}

/// What started it.
pub(super) fn trigger(task: &Task) -> Result<Trigger, End> {
    let kind = EventKind::ALL.iter().copied().find(|kind| kind.name() == task.event);
    let kind = kind.ok_or_else(|| End::over("error", format!("`{}` is no kind of event", task.event)))?;
    Trigger::from_json(kind, &task.payload).map_err(|error| End::over("error", error.to_string()))
}

/// Who names a revision by hand has it run with the repository's secrets. A commit that only a fork's pull request brought is not
/// what they mean, or they do not know it: forges serve it by its id as if it were the repository's own.
async fn not_a_forks(shop: &Shop, task: &Task, trigger: &Trigger) -> Result<(), End> {
    let by_hand = task.trust == Trust::Own && trigger.kind == EventKind::Manual;
    let Some(commit) = trigger.commit.clone().filter(|_| by_hand) else { return Ok(()) };
    let (repository, asked) = (task.repository.clone(), commit.clone());
    match shop.keeper.with(move |queue| queue.is_of_forks_alone(&repository, &asked)).await {
        Ok(false) => Ok(()),
        Ok(true) => Err(End::over(
            "error",
            format!(
                "the commit {} is a fork's, and is not run with the repository's secrets: \
                 approve its pull request's run, or run that again",
                short_commit(&commit)
            ),
        )),
        Err(error) => Err(End::later(task, Try::DoesNotCount, error.to_string())),
    }
}

/// The exact commit, clean.
async fn checkout(task: &Task, trigger: &Trigger, stopper: &Stopper) -> Result<Workspace, End> {
    // Whoever starts it by hand may name a branch alone.
    let revision = trigger.commit.clone().or_else(|| Some(trigger.payload.get("revision")?.as_str()?.to_owned()));
    checkout_of(task, revision, stopper).await
}

/// The branch that a fork's commits are to be merged into: its pipeline file is the one that counts, as theirs may be anybody's.
async fn base(task: &Task, trigger: &Trigger, stopper: &Stopper) -> Result<Workspace, End> {
    let nowhere = || End::over("error", "the pull request does not say which branch it is to be merged into");
    let branch = trigger.base_branch.clone().ok_or_else(nowhere)?;
    checkout_of(task, Some(branch), stopper).await
}

async fn checkout_of(task: &Task, revision: Option<String>, stopper: &Stopper) -> Result<Workspace, End> {
    let request = SourceRequest::Checkout { repository: task.repository.clone(), revision };
    match beside(stopper, move |told| source::open_with(&request, told, &mut |_| {})).await? {
        Ok(workspace) => Ok(workspace),
        Err(error @ SourceError::RefGone { .. }) => Err(End::over("ref-gone", error.to_string())),
        Err(error) => Err(End::later_or_error(task, with_causes(&error))),
    }
}

/// Does what blocks. Where the run is stopped it is told so, and not waited for.
async fn beside<T: Send + 'static>(
    stopper: &Stopper,
    work: impl FnOnce(&AtomicBool) -> T + Send + 'static,
) -> Result<T, End> {
    let told = Arc::new(AtomicBool::new(false));
    let hears = told.clone();
    let working = tokio::task::spawn_blocking(move || work(&hears));
    let mut stop = stopper.watch();
    tokio::select! {
        done = working => done.map_err(|error| std::panic::resume_unwind(error.into_panic())),
        _ = stop.stopped() => {
            told.store(true, Ordering::Relaxed);
            Err(End::over(Status::Cancelled.word(), "it was stopped before it began"))
        }
    }
}

/// The pipeline, where its `on` wants the event. What a person asks for is wanted. `file`: where it is read from, where that is
/// not the workspace.
async fn wanted(
    task: &Task,
    workspace: Workspace,
    file: Option<Workspace>,
    trigger: &Trigger,
    stopper: &Stopper,
) -> Result<(Pipeline, Workspace), End> {
    let (trigger, task) = (trigger.clone(), task.clone());
    beside(stopper, move |told| {
        let pipeline = pipeline(file.as_ref().unwrap_or(&workspace), told)
            .map_err(|outcome| End::Over(outcome, Record::Missing))?;
        if trigger.kind == EventKind::Manual {
            return Ok((pipeline, workspace));
        }
        let changed = || workspace.changed_paths(trigger.changed_paths.as_deref());
        match decide(pipeline.on.as_ref(), &trigger, changed) {
            Ok(Decision::Triggered) => Ok((pipeline, workspace)),
            Ok(Decision::Not(reason)) => Err(End::over("not-triggered", reason.to_string())),
            Err(error) => Err(End::later_or_error(&task, with_causes(&error))),
        }
    })
    .await?
}

/// Reads the pipeline file. Blocks.
pub(super) fn pipeline(workspace: &Workspace, stop: &AtomicBool) -> Result<Pipeline, Outcome> {
    let path = workspace.root.join(FILE_NAME);
    if path.symlink_metadata().is_err() {
        return Err(Outcome::new("not-triggered", format!("the commit has no `{FILE_NAME}`")));
    }
    let failed = |message: String| Outcome::new(Status::Failure.word(), message);
    let bytes = repository::read(&path, &workspace.root).map_err(|error| failed(error.to_string()))?;
    let parsed = repository::includes::parse(&bytes, &path, &workspace.root, Reach::Network, stop);
    parsed.pipeline.ok_or_else(|| {
        let errors: Vec<_> = parsed.findings.iter().filter(|finding| finding.severity() == Severity::Error).collect();
        let first = errors.first().map(|finding| finding.message.as_str()).unwrap_or_default();
        let count = if errors.len() == 1 { "1 error".to_owned() } else { format!("{} errors", errors.len()) };
        failed(format!("`{FILE_NAME}` is not valid, {count}: {first}"))
    })
}

fn planned(repository: &Repository, trust: Trust, pipeline: &Pipeline, trigger: &Trigger) -> Result<Plan, End> {
    let options = RunOptions {
        selection: Selection::All,
        matrix: Vec::new(),
        env: repository.env.clone(),
        secrets: match trust {
            Trust::Own => repository.given.clone(),
            Trust::Fork => Vec::new(),
        },
        asked: Vec::new(),
        images: std::collections::BTreeMap::default(),
        // Whoever pushes must not be able to widen the sandbox.
        allowed: plan::Privileges::default(),
        origin: trigger.contexts(),
    };
    plan::plan(pipeline, &options).map_err(|error| End::over(Status::Failure.word(), error.to_string()))
}

/// The `concurrency` group that a pipeline puts its run into, and what that does to one that goes on.
fn group(pipeline: &Pipeline, trigger: &Trigger) -> Result<Option<(String, InProgress)>, End> {
    use crate::pipeline::expr::{NoFiles, Scope, Standing};
    let Some(concurrency) = &pipeline.concurrency else { return Ok(None) };
    let contexts = trigger.contexts();
    let scope = Scope { contexts: &contexts, standing: Standing::Success, files: &NoFiles };
    let group = concurrency.group.render(&scope);
    let group =
        group.map_err(|error| End::over(Status::Failure.word(), format!("`concurrency`: {}", error.message)))?;
    let others = match concurrency.in_progress {
        crate::pipeline::InProgress::Keep => InProgress::Wait,
        crate::pipeline::InProgress::Cancel => InProgress::Cancel,
    };
    Ok(Some((group, others)))
}

async fn join_group(shop: &Shop, lease: &Lease, pipeline: &Pipeline, trigger: &Trigger) -> Result<(), End> {
    let Some((group, others)) = group(pipeline, trigger)? else { return Ok(()) };
    let lease = lease.clone();
    match shop.keeper.with(move |queue| queue.join(&lease, &group, others, Timestamp::now())).await {
        Ok(Entry::Open) => Ok(()),
        Ok(Entry::Busy) => Err(End::Waits),
        Err(error) => Err(End::Back { wait: BACK_OFF, counts: Try::DoesNotCount, why: error.to_string() }),
    }
}

/// Looks at a run that waits while another one goes on: it may be of a group whose newcomers have that cancelled, and would wait for
/// its end else. What keeps it from being looked at is told when its turn comes.
pub(super) async fn look_ahead(shop: &Shop, newcomer: Newcomer, stopper: Stopper) {
    let Ok(trigger) = trigger(&newcomer) else { return };
    let Ok(prepared) = prepared(shop, &newcomer, trigger, &stopper).await else { return };
    let Ok(Some((group, others))) = group(&prepared.pipeline, &prepared.trigger) else { return };
    let run = newcomer.run.clone();
    match shop.keeper.with(move |queue| queue.foresee(&newcomer, &group, others, Timestamp::now())).await {
        Ok(Entry::Open) => {}
        Ok(Entry::Busy) => tracing::info!(%run, "is of the concurrency group of a run that goes on"),
        Err(error) => tracing::warn!(%run, %error, "its concurrency group could not be stored"),
    }
}

/// Has the forge told. Where that cannot be stored, the run goes on all the same: its end will be told.
async fn tell_that_it_runs(shop: &Shop, repository: &Repository, lease: &Lease, trigger: &Trigger) {
    let Some(commit) = &trigger.commit else { return };
    let letters = report::begun(&shop.config, repository, &lease.run, commit);
    if letters.is_empty() {
        return;
    }
    let run = lease.run.clone();
    match shop.keeper.with(move |queue| queue.post(&run, &letters, Timestamp::now())).await {
        Ok(()) => shop.posted.notify_one(),
        Err(error) => tracing::warn!(%error, "that a run begins cannot be told"),
    }
}

/// The recorder. A run of the listener that leaves no record is not begun: its logs are all that there is of it.
async fn recorder(shop: &Shop, lease: &Lease, trigger: &Trigger) -> Result<Recorder, End> {
    let state = shop.config.state.clone();
    let subject = subject(lease, Some(trigger));
    let opened = tokio::task::spawn_blocking(move || -> Result<Recorder, StoreError> {
        let (history, moved) = History::open(&state)?;
        if let Some(moved) = moved {
            tracing::error!("{moved}");
        }
        Ok(Recorder::new(history, subject))
    });
    match opened.await {
        Ok(Ok(recorder)) => Ok(recorder),
        Ok(Err(error)) => Err(End::later(lease, Try::DoesNotCount, with_causes(&error))),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
