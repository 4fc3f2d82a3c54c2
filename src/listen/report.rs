//! What is told of a run: its report and its status, put together from its trigger and its record.

use std::io::Read;
use std::time::Duration;

use super::config::{Config, Repository};
use super::notify::{CommitStatus, FailedJob, OUTPUT_LINES, Report, State};
use super::outbox;
use super::shop::Shop;
use super::webhook::{fork_name, repository_name};
use crate::event::{RunId, Status};
use crate::store::StateDir;
use crate::store::history::{History, Job, Phase, Run, RunName, short_commit};
use crate::store::logs::{Log, LogId};
use crate::store::queue::{Lease, Letter, Outcome, Part, Trust};
use crate::trigger::Trigger;

/// How much of a log's end is looked at for its last lines, in bytes.
const TAIL: u64 = 32 * 1024;

/// What is told of a run that begins.
pub(super) fn begun(config: &Config, repository: &Repository, run: &RunId, commit: &str) -> Vec<Letter> {
    if repository.status.is_none() {
        return Vec::new();
    }
    let status = CommitStatus {
        commit: commit.to_owned(),
        state: State::Pending,
        description: "It runs".to_owned(),
        url: link(config, run),
    };
    vec![outbox::status(repository, Part::Begun, status)]
}

/// What is told of a run that ended.
pub(super) async fn ended(shop: &Shop, lease: &Lease, trigger: Option<Trigger>, outcome: &Outcome) -> Vec<Letter> {
    let Some(repository) = shop.config.repository(&lease.repository) else { return Vec::new() };
    if repository.status.is_none() && shop.config.notify.is_empty() {
        return Vec::new();
    }
    // What cannot be asked is taken for announced: a status too many is better than one that stays pending.
    let run = lease.run.clone();
    let is_announced = shop.keeper.with(move |queue| queue.is_announced(&run)).await.unwrap_or(true);
    let (config, repository, lease) = (shop.config.clone(), repository.clone(), lease.clone());
    let outcome = outcome.clone();
    let telling = tokio::task::spawn_blocking(move || {
        let report = report(&config, &lease, trigger.as_ref(), &outcome);
        let state = State::of(report.status).or_else(|| is_announced.then(|| State::of_announced(report.status)));
        letters(&config, &repository, &report, state)
    });
    telling.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

fn letters(config: &Config, repository: &Repository, report: &Report, state: Option<State>) -> Vec<Letter> {
    let wanted = config.notify.iter().filter(|rule| rule.wants(report));
    let mut letters: Vec<Letter> = wanted.map(|rule| outbox::report(rule.channel(), report)).collect();
    let told = state.filter(|_| repository.status.is_some()).zip(report.commit.clone());
    if let Some((state, commit)) = told {
        let status = CommitStatus { commit, state, description: sentence(report), url: report.url.clone() };
        letters.push(outbox::status(repository, Part::Ended, status));
    }
    letters
}

fn sentence(report: &Report) -> String {
    let took = crate::sinks::style::human(report.duration);
    match (report.status, report.failed.first(), &report.reason) {
        (Status::Success, ..) => format!("All green in {took}"),
        (_, Some(failed), _) => format!("{}: {}", failed.job, failed.cause),
        (_, None, Some(reason)) => reason.clone(),
        (status, None, None) => format!("It ended with {status} after {took}"),
    }
}

/// What the branch of a run is called where it stands beside others: a fork may call one `main`, which is not the repository's. A `:` is in
/// no name of a branch, so none of ours can be meant.
pub(super) fn branch(lease: &Lease, trigger: &Trigger) -> Option<String> {
    let branch = trigger.branch.clone()?;
    Some(match lease.trust {
        Trust::Own => branch,
        Trust::Fork => format!("{}:{branch}", fork_name(&trigger.payload).as_deref().unwrap_or("fork")),
    })
}

fn link(config: &Config, run: &RunId) -> Option<String> {
    config.url.as_ref().map(|url| format!("{url}/runs/{run}"))
}

/// The report. What the history cannot tell, as its disk is full, is left out: the end itself is told.
fn report(config: &Config, lease: &Lease, trigger: Option<&Trigger>, outcome: &Outcome) -> Report {
    let history = History::look(&config.state).ok().flatten();
    let run = history.as_ref().and_then(|history| history.run(&RunName::Id(lease.run.to_string())).ok().flatten());
    let jobs = history.as_ref().zip(run.as_ref()).and_then(|(history, run)| history.jobs(run).ok());
    let previous = history.as_ref().zip(run.as_ref()).and_then(|(history, run)| history.previous(run).ok().flatten());
    let commit =
        run.as_ref().and_then(|run| run.commit.clone()).or_else(|| trigger.and_then(|trigger| trigger.commit.clone()));
    Report {
        run: lease.run.clone(),
        number: run.as_ref().and_then(|run| u64::try_from(run.number).ok()).unwrap_or_default(),
        repository: repository_name(&lease.repository).to_owned(),
        event: trigger.map_or(crate::trigger::EventKind::Manual, |trigger| trigger.kind),
        branch: run.as_ref().and_then(|run| run.branch.clone()).or_else(|| branch(lease, trigger?)),
        tag: run.as_ref().and_then(|run| run.tag.clone()).or_else(|| trigger?.tag.clone()),
        short_commit: commit.as_deref().map(short_commit),
        commit,
        message: trigger.and_then(|trigger| trigger.commit_message.clone()),
        pusher_name: trigger.and_then(|trigger| trigger.pusher_name.clone()),
        pusher_email: trigger.and_then(|trigger| trigger.pusher_email.clone()),
        status: outcome.status(),
        previous,
        duration: run.as_ref().and_then(|run| run.duration).unwrap_or(Duration::ZERO),
        url: link(config, &lease.run),
        failed: run.as_ref().zip(jobs).map(|(run, jobs)| failed(&config.state, run, &jobs)).unwrap_or_default(),
        reason: outcome.reason.clone(),
    }
}

fn failed(state: &StateDir, run: &Run, jobs: &[Job]) -> Vec<FailedJob> {
    let is_failed = |phase: Phase| matches!(phase, Phase::Ended(Status::Failure | Status::Error));
    let failed = jobs.iter().filter(|job| is_failed(job.phase) && !job.forgiven);
    let told = failed.map(|job| {
        let step = job.steps.iter().find(|step| is_failed(step.phase) && !step.forgiven);
        let message = job.message.clone().or_else(|| step?.message.clone()).unwrap_or_else(|| job.phase.to_string());
        // Behind its first line, a message has what was printed outside of steps.
        let mut message = message.lines().map(str::to_owned);
        FailedJob {
            job: job.name.clone(),
            step: step.map(|step| step.name.clone()),
            exit_code: step.and_then(|step| step.exit_code).or(job.exit_code),
            cause: message.next().unwrap_or_default(),
            output: step
                .map(|step| last_lines(state, &LogId { run: run.id.clone(), job: job.position, step: step.position }))
                .unwrap_or_else(|| message.collect()),
        }
    });
    told.collect()
}

/// The last lines of a step's output; what cannot be read is left out.
fn last_lines(state: &StateDir, id: &LogId) -> Vec<String> {
    let mut bytes = Vec::new();
    let read = Log::open_end(state, id, TAIL).and_then(|log| log.take(TAIL).read_to_end(&mut bytes));
    if read.is_err() {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(OUTPUT_LINES)..].iter().map(|line| (*line).to_owned()).collect()
}
