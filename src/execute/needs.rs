//! What came of the jobs that another one needs: what its `if` rests on, and what its expressions see.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::counts_as_success;
use crate::event::{Cause, JobId, JobResult, Status};
use crate::pipeline::expr::Standing;
use crate::plan::{Need, PlannedJob};

/// A job that ended, with what it hands on.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) result: JobResult,
    /// Its `outputs`, as they are: what events show of them is masked.
    pub(super) outputs: Vec<(String, String)>,
    /// What it is to the jobs that need it.
    pub(super) standing: Standing,
}

impl Ended {
    /// A job that ran.
    pub(super) fn ran(result: JobResult, outputs: Vec<(String, String)>) -> Self {
        let standing = match result.status {
            _ if counts_as_success(&result) => Standing::Success,
            Status::Success | Status::Failure | Status::Error => Standing::Failure,
            Status::Cancelled => Standing::Cancelled,
            Status::Skipped => Standing::Skipped,
        };
        Self { result, outputs, standing }
    }

    /// A job that did not run. To those that need it, it is what kept it from running.
    pub(super) fn skipped(cause: Cause, standing: Standing) -> Self {
        let result = JobResult {
            status: Status::Skipped,
            cause: Some(cause),
            exit_code: None,
            duration: Duration::ZERO,
            forgiven: false,
            outputs: Vec::new(),
        };
        Self { result, outputs: Vec::new(), standing }
    }
}

/// What the needs of a job came to.
#[derive(Debug, Clone)]
pub(super) struct Needs {
    pub(super) standing: Standing,
    /// The first need that is not green, and how it ended.
    pub(super) trouble: Option<Cause>,
    /// The context `needs`.
    pub(super) context: Value,
}

impl Needs {
    /// Looks at what ended. All that the job needs has.
    pub(super) fn of(job: &PlannedJob, ended: &BTreeMap<JobId, Ended>) -> Self {
        let mut context = Map::new();
        let mut worst = Standing::Success;
        let mut trouble = None;
        for need in &job.needs {
            let (standing, status) = sum_up(need, ended);
            if rank(standing) > rank(worst) {
                worst = standing;
                trouble = first_bad(need, ended).or(trouble);
            }
            context.insert(need.key.clone(), json!({ "status": status.word(), "outputs": outputs(need, ended) }));
        }
        Self { standing: worst, trouble, context: Value::Object(context) }
    }
}

/// Which of two standings weighs more for the job that needs both.
fn rank(standing: Standing) -> u8 {
    match standing {
        Standing::Success => 0,
        Standing::Skipped => 1,
        Standing::Cancelled => 2,
        Standing::Failure => 3,
    }
}

/// What all jobs of a need come to: the worst of them. One that was skipped for want of another counts as that one does.
fn sum_up(need: &Need, ended: &BTreeMap<JobId, Ended>) -> (Standing, Status) {
    let ended: Vec<&Ended> = need.jobs.iter().filter_map(|job| ended.get(job)).collect();
    let standing = ended.iter().map(|job| job.standing).max_by_key(|standing| rank(*standing));
    let standing = match standing {
        // A matrix of which some combinations were not wanted is done when the others are.
        Some(Standing::Skipped) if ended.iter().any(|job| job.standing == Standing::Success) => Standing::Success,
        Some(standing) => standing,
        // Not part of the plan: taken as done.
        None => Standing::Success,
    };
    let has = |status: Status| ended.iter().any(|job| !job.result.forgiven && job.result.status == status);
    let status = [Status::Failure, Status::Error, Status::Cancelled]
        .into_iter()
        .find(|status| has(*status))
        .unwrap_or(if standing == Standing::Success { Status::Success } else { Status::Skipped });
    (standing, status)
}

/// The need that keeps a job from running.
fn first_bad(need: &Need, ended: &BTreeMap<JobId, Ended>) -> Option<Cause> {
    let bad = need.jobs.iter().find_map(|job| {
        let ended = ended.get(job)?;
        (ended.standing != Standing::Success).then_some((job, ended.result.status))
    });
    bad.map(|(job, status)| Cause::NeedFailed { need: job.clone(), status })
}

/// The outputs of a need; of several combinations, the last that says something.
fn outputs(need: &Need, ended: &BTreeMap<JobId, Ended>) -> Value {
    let mut all = Map::new();
    for (name, value) in need.jobs.iter().filter_map(|job| ended.get(job)).flat_map(|ended| &ended.outputs) {
        if !value.is_empty() || !all.contains_key(name) {
            all.insert(name.clone(), Value::from(value.as_str()));
        }
    }
    Value::Object(all)
}
