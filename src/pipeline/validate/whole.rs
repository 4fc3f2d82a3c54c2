//! What only shows when all jobs are known: doubled keys, limits, jobs that never run, secrets that nobody asks for.

use std::collections::{HashMap, HashSet};

use super::job::ReadJob;
use crate::pipeline::{Code, Diagnostic, MAX_JOBS, Spanned};

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

/// Warns of declared secrets that no step asks for.
pub(super) fn unused_secrets(declared: Option<&[Spanned<String>]>, jobs: &[ReadJob], findings: &mut Vec<Diagnostic>) {
    let used: HashSet<&str> = jobs
        .iter()
        .flat_map(|read| &read.job.steps)
        .flat_map(|step| &step.secrets)
        .map(|secret| secret.value.as_str())
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
