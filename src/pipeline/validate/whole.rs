//! What only shows when all jobs are known: doubled keys, limits, jobs that never run, secrets that nobody asks for.

use std::collections::{HashMap, HashSet};

use super::job::ReadJob;
use crate::pipeline::expr::Referred;
use crate::pipeline::{Code, Diagnostic, Job, MAX_JOBS, Spanned};

/// Reports a job's key that two files have. In one file, the tree has told.
pub(super) fn doubled(jobs: &[ReadJob], findings: &mut Vec<Diagnostic>) {
    let mut seen: HashMap<&str, &Spanned<String>> = HashMap::new();
    for read in jobs {
        let key = &read.job.key;
        if let Some(first) = seen.insert(&key.value, key) {
            findings.push(
                Diagnostic::new(Code::DuplicateJob, key.span.clone(), format!("there are two jobs `{}`", key.value))
                    .label(first.span.clone(), "the other stands here")
                    .help("give one of them another key: jobs of included files join those of the pipeline file"),
            );
        }
    }
}

/// Reports too many jobs, and those that can never run.
pub(super) fn check(jobs: &[ReadJob], findings: &mut Vec<Diagnostic>) {
    let mut count = 0;
    for read in jobs {
        let before = count;
        count += read.count;
        if before <= MAX_JOBS && count > MAX_JOBS {
            let total: usize = jobs.iter().map(|read| read.count).sum();
            let message = format!("the pipeline has {total} jobs, more than {MAX_JOBS}");
            findings.push(
                Diagnostic::new(Code::TooManyJobs, read.job.key.span.clone(), message)
                    .help("split the pipeline, or take values out of a matrix: each combination is a job"),
            );
        }
    }
}

/// Warns of jobs that can never run: their `if` never holds, or they need one that never runs.
pub(super) fn never_runs(jobs: &[ReadJob], findings: &mut Vec<Diagnostic>) {
    let by_key: HashMap<&str, &ReadJob> = jobs.iter().map(|read| (read.job.key.value.as_str(), read)).collect();
    let mut never: HashSet<&str> = HashSet::new();
    for read in jobs {
        if let Some(condition) = &read.job.condition
            && condition.constant() == Some(false)
        {
            never.insert(&read.job.key.value);
            let message = format!("the job `{}` never runs: `{condition}` is always false", read.job.key.value);
            findings.push(
                Diagnostic::new(Code::NeverRuns, condition.expr.span.clone(), message)
                    .help("take the job out, or compare something: `branch == 'main'`"),
            );
        }
    }
    let mut open: Vec<&str> = never.iter().copied().collect();
    let mut needed_by: HashMap<&str, Vec<&ReadJob>> = HashMap::new();
    for read in jobs {
        for need in &read.job.needs {
            needed_by.entry(need.value.as_str()).or_default().push(read);
        }
    }
    while let Some(key) = open.pop() {
        for read in needed_by.get(key).into_iter().flatten() {
            let runs_all_the_same = read.job.condition.as_ref().is_some_and(|condition| condition.uses_status());
            if runs_all_the_same || !by_key.contains_key(key) || !never.insert(&read.job.key.value) {
                continue;
            }
            open.push(&read.job.key.value);
            if let Some(need) = read.job.needs.iter().find(|need| need.value == key) {
                let message = format!("the job `{}` never runs, as `{key}` never does", read.job.key.value);
                findings.push(
                    Diagnostic::new(Code::NeverRuns, need.span.clone(), message)
                        .help("take it out of `needs`, or let `if: always()` run the job all the same"),
                );
            }
        }
    }
}

/// Warns of declared secrets that no step asks for.
pub(super) fn unused_secrets(declared: Option<&[Spanned<String>]>, jobs: &[ReadJob], findings: &mut Vec<Diagnostic>) {
    let used: HashSet<&str> = jobs
        .iter()
        .flat_map(|read| &read.job.steps)
        .flat_map(|step| &step.secrets)
        .map(|secret| secret.value.as_str())
        .chain(jobs.iter().flat_map(|read| asked_in_conditions(&read.job)))
        .collect();
    for secret in declared.unwrap_or_default() {
        if !used.contains(secret.value.as_str()) {
            findings.push(
                Diagnostic::new(
                    Code::UnusedSecret,
                    secret.span.clone(),
                    format!("no step asks for the secret `{}`", secret.value),
                )
                .help("add it to the `secrets` of the step that needs it, or remove it here"),
            );
        }
    }
}

/// The secrets that conditions ask for: whether they are given is a use, too.
fn asked_in_conditions(job: &Job) -> impl Iterator<Item = &str> {
    let conditions = job.condition.iter().chain(job.steps.iter().filter_map(|step| step.condition.as_ref()));
    conditions.flat_map(|condition| condition.references()).filter_map(|reference| match reference.to {
        Referred::Secret(name) => Some(name),
        _ => None,
    })
}
