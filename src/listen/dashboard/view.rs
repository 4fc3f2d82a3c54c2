//! Runs, jobs and steps as the pages show them.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::event::Status;
use crate::listen::webhook::repository_name;
use crate::sinks::style::{ago, human};
use crate::store::StoreError;
use crate::store::history::{FoundLine, History, Job, Phase, Run, Step};
use crate::store::overview::Took;
use crate::store::queue::{Ignored, Waiting};
use crate::store::tries::Try;

/// The height of a bar for what took longest.
const BAR: u128 = 28;

/// A run in a list, or at the head of its page.
#[derive(Debug, Clone)]
pub(super) struct RunView {
    pub(super) id: String,
    pub(super) number: i64,
    pub(super) status: &'static str,
    /// The whole address of the repository.
    pub(super) repository: String,
    pub(super) name: String,
    pub(super) pipeline: Option<String>,
    pub(super) event: String,
    /// Branch or tag.
    pub(super) on: String,
    pub(super) commit: String,
    pub(super) message: Option<String>,
    pub(super) started: String,
    pub(super) ago: String,
    pub(super) took: String,
    /// Where its logs have what was searched for.
    pub(super) found: Option<String>,
}

impl RunView {
    pub(super) fn of(run: &Run, now: Timestamp) -> Self {
        Self {
            id: run.id.to_string(),
            number: run.number,
            status: run.phase.word(),
            repository: run.repository.clone(),
            name: repository_name(&run.repository).to_owned(),
            pipeline: run.pipeline.clone(),
            event: run.event.clone(),
            on: run.tag.clone().or_else(|| run.branch.clone()).unwrap_or_else(|| "–".to_owned()),
            commit: run.shown_commit().unwrap_or_else(|| "–".to_owned()),
            message: run.message.clone(),
            started: run.started.to_string(),
            ago: ago(run.started, now),
            took: run.duration.map(human).unwrap_or_default(),
            found: None,
        }
    }

    /// With what went wrong in it, or where its logs have what was searched for.
    pub(super) fn listed(
        history: &History,
        run: &Run,
        line: Option<&FoundLine>,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let mut view = Self::of(run, now);
        view.found = line.map(|line| format!("{}: {}", line.by.shown("›"), line.line));
        if view.message.is_none() {
            view.message = history.first_bad(run)?.map(|bad| {
                let step = bad.step.map(|step| format!(" › {step}")).unwrap_or_default();
                format!("{}{step}: {}", bad.job, bad.message.unwrap_or_default())
            });
        }
        Ok(view)
    }
}

/// A job.
#[derive(Debug, Clone)]
pub(super) struct JobView {
    pub(super) position: usize,
    pub(super) name: String,
    pub(super) image: String,
    pub(super) needs: Vec<String>,
    pub(super) status: &'static str,
    pub(super) forgiven: bool,
    pub(super) message: Option<String>,
    pub(super) took: String,
    /// Tries of it and its steps that others followed.
    pub(super) tries: Vec<String>,
    pub(super) steps: Vec<StepView>,
}

/// A step.
#[derive(Debug, Clone)]
pub(super) struct StepView {
    pub(super) position: usize,
    pub(super) name: String,
    pub(super) status: &'static str,
    pub(super) forgiven: bool,
    pub(super) has_begun: bool,
    pub(super) message: Option<String>,
    pub(super) took: String,
}

impl JobView {
    pub(super) fn of(job: &Job, tries: &[Try]) -> Self {
        let tries = tries.iter().filter(|tried| tried.job == job.position).map(|tried| {
            let step = tried.step.and_then(|step| job.steps.get(step)).map(|step| format!("{}: ", step.name));
            format!("{}{}", step.unwrap_or_default(), tried.words())
        });
        Self {
            tries: tries.collect(),
            position: job.position,
            name: job.name.clone(),
            image: job.image.clone(),
            needs: job.needs.clone(),
            status: job.phase.word(),
            forgiven: job.forgiven,
            message: job.message.clone(),
            took: job.duration.map(human).unwrap_or_default(),
            steps: job
                .steps
                .iter()
                .map(|step| StepView { status: step_status(job, step), ..StepView::of(step) })
                .collect(),
        }
    }
}

/// Where a step is. One that waits in a job that is over will not run any more.
fn step_status(job: &Job, step: &Step) -> &'static str {
    match (job.phase, step.phase) {
        (Phase::Ended(_), Phase::Queued) => Status::Skipped.word(),
        (_, phase) => phase.word(),
    }
}

impl StepView {
    pub(super) fn of(step: &Step) -> Self {
        Self {
            position: step.position,
            name: step.name.clone(),
            status: step.phase.word(),
            forgiven: step.forgiven,
            has_begun: step.started.is_some(),
            message: step.message.clone(),
            took: step.duration.map(human).unwrap_or_default(),
        }
    }
}

/// What changes as a run goes on, for the script of its page.
pub(super) fn state(run: &Run, jobs: &[Job]) -> Value {
    json!({
        "status": run.phase.word(),
        "took": run.duration.map(human),
        "jobs": jobs.iter().map(|job| json!({
            "status": job.phase.word(),
            "took": job.duration.map(human),
            "message": job.message,
            "steps": job.steps.iter().map(|step| json!({
                "status": step_status(job, step),
                "took": step.duration.map(human),
                "message": step.message,
                "begun": step.started.is_some(),
            })).collect::<Value>(),
        })).collect::<Value>(),
    })
}

/// A run that waits.
#[derive(Debug, Clone)]
pub(super) struct WaitingView {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) event: String,
    pub(super) on: String,
    pub(super) ago: String,
    pub(super) status: &'static str,
}

impl WaitingView {
    pub(super) fn of(waiting: &Waiting, now: Timestamp) -> Self {
        let on = waiting.reference.as_deref().unwrap_or("–");
        Self {
            id: waiting.run.to_string(),
            name: repository_name(&waiting.repository).to_owned(),
            event: waiting.event.clone(),
            on: on.trim_start_matches("refs/heads/").trim_start_matches("refs/tags/").to_owned(),
            ago: ago(waiting.queued, now),
            status: if waiting.is_held { "held" } else { "queued" },
        }
    }
}

/// A delivery that led to no run.
#[derive(Debug, Clone)]
pub(super) struct IgnoredView {
    pub(super) name: String,
    pub(super) forge: String,
    pub(super) event: String,
    pub(super) why: String,
    pub(super) ago: String,
}

impl IgnoredView {
    pub(super) fn of(ignored: Ignored, now: Timestamp) -> Self {
        Self {
            name: repository_name(&ignored.repository).to_owned(),
            forge: ignored.forge,
            event: ignored.event,
            why: ignored.why,
            ago: ago(ignored.received, now),
        }
    }
}

/// How long something took, over several runs, as bars.
#[derive(Debug, Clone)]
pub(super) struct Bars {
    pub(super) bars: Vec<Bar>,
    pub(super) width: usize,
    pub(super) median: String,
    pub(super) last: String,
}

/// One of them.
#[derive(Debug, Clone)]
pub(super) struct Bar {
    pub(super) x: usize,
    pub(super) y: u128,
    pub(super) height: u128,
    pub(super) status: &'static str,
    pub(super) number: i64,
    pub(super) title: String,
}

impl Bars {
    pub(super) fn of(times: &[Took]) -> Self {
        let most = times.iter().map(|took| took.duration.as_millis()).max().unwrap_or(0).max(1);
        let bar = |(at, took): (usize, &Took)| {
            let height = (took.duration.as_millis() * BAR / most).max(2);
            let title = format!("Run {}: {} in {}", took.number, took.phase.word(), human(took.duration));
            Bar { x: at * 7, y: BAR - height, height, status: took.phase.word(), number: took.number, title }
        };
        let mut good: Vec<Duration> =
            times.iter().filter(|took| is_good(took.phase)).map(|took| took.duration).collect();
        good.sort();
        Self {
            width: times.len() * 7,
            bars: times.iter().enumerate().map(bar).collect(),
            median: good.get(good.len() / 2).copied().map(human).unwrap_or_default(),
            last: times.last().map(|took| human(took.duration)).unwrap_or_default(),
        }
    }
}

fn is_good(phase: Phase) -> bool {
    phase == Phase::Ended(Status::Success)
}
