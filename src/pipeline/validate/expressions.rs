//! Expressions against the names that exist where they stand.

use std::collections::{BTreeMap, HashMap};

use super::head::Head;
use super::job::ReadJob;
use crate::pipeline::expr::{Names, Position, Template, check_condition, check_template};
use crate::pipeline::{Code, Diagnostic, EnvTemplates, Job, JobImage, Probe, Spanned, Step};

/// Checks every expression of the pipeline.
pub(super) fn check(
    heads: &[Head],
    jobs: &[ReadJob],
    declared: Option<&[Spanned<String>]>,
    findings: &mut Vec<Diagnostic>,
) {
    let secrets: Option<Vec<&str>> =
        declared.map(|secrets| secrets.iter().map(|secret| secret.value.as_str()).collect());
    let nothing = Names { secrets: secrets.clone(), ..Names::default() };
    for head in heads {
        for (_, value) in &head.env {
            check_template(value, Position::FileEnv, &nothing, findings);
        }
        if let Some(concurrency) = &head.concurrency {
            check_template(&concurrency.group, Position::FileEnv, &nothing, findings);
        }
    }
    let file_env: Vec<&str> = heads.first().map(|head| names(&head.env)).unwrap_or_default();
    let keys: Vec<&str> = jobs.iter().map(|read| read.job.key.value.as_str()).collect();
    let outputs: HashMap<&str, Vec<&str>> =
        jobs.iter().map(|read| (read.job.key.value.as_str(), names(&read.job.outputs))).collect();
    for ReadJob { job, .. } in jobs {
        let needs = job.needs.iter().filter_map(|need| outputs.get_key_value(need.value.as_str()));
        let around = Names {
            matrix: job.matrix.as_ref().map(|matrix| matrix.keys.iter().map(|key| key.value.as_str()).collect()),
            env: file_env.iter().copied().chain(names(&job.env)).collect(),
            needs: needs.map(|(key, outputs)| (*key, outputs.clone())).collect::<BTreeMap<_, _>>(),
            jobs: &keys,
            secrets: secrets.clone(),
            ..Names::default()
        };
        check_job(job, around, findings);
    }
}

fn names(env: &EnvTemplates) -> Vec<&str> {
    env.iter().map(|(name, _)| name.value.as_str()).collect()
}

fn check_job<'a>(job: &'a Job, mut names: Names<'a>, findings: &mut Vec<Diagnostic>) {
    if let Some(condition) = &job.condition {
        check_condition(condition, Position::JobIf, &names, findings);
    }
    for (_, value) in &job.env {
        check_template(value, Position::JobEnv, &names, findings);
    }
    let image = match &job.image {
        JobImage::Reference(image) => Some(&image.value),
        JobImage::Build(build) => {
            build.args.iter().for_each(|(_, value)| check_template(value, Position::Static, &names, findings));
            None
        }
    };
    for text in job.name.iter().chain(image) {
        check_early(text, &names, findings);
    }
    for cache in &job.cache {
        for text in std::iter::once(&cache.key.value).chain(&cache.restore_keys) {
            check_template(text, Position::Static, &names, findings);
        }
    }
    for name in job.artifacts.iter().filter_map(|artifact| artifact.name.as_ref()) {
        check_template(&name.value, Position::Static, &names, findings);
    }
    for service in &job.services {
        let values = service.env.iter().map(|(_, value)| value);
        let words = service.command.iter().chain(&service.entrypoint).flatten();
        let probe = match &service.ready.probe {
            Some(Probe::Command(command)) => Some(command),
            _ => None,
        };
        for text in values.chain(words).chain(probe).chain([&service.image.value]) {
            check_template(text, Position::Static, &names, findings);
        }
    }
    let ids: Vec<&str> = job.steps.iter().filter_map(|step| Some(step.id.as_ref()?.value.as_str())).collect();
    names.later = ids;
    for step in &job.steps {
        if let Some(id) = &step.id {
            names.later.retain(|later| *later != id.value);
        }
        check_step(step, job, &mut names, findings);
        names.env_grows |= step.run.value.to_string().contains("ARGON_ENV");
        names.steps.extend(step.id.as_ref().map(|id| id.value.as_str()));
    }
    for (_, value) in &job.outputs {
        check_template(value, Position::Output, &names, findings);
    }
}

fn check_step<'a>(step: &'a Step, job: &'a Job, names: &mut Names<'a>, findings: &mut Vec<Diagnostic>) {
    if let Some(name) = &step.name {
        check_early(name, names, findings);
    }
    if let Some(condition) = &step.condition {
        check_condition(condition, Position::StepIf, names, findings);
    }
    for (_, value) in &step.env {
        check_template(value, Position::Step, names, findings);
    }
    if let Some(directory) = step.working_directory.as_ref().or(job.working_directory.as_ref()) {
        check_template(directory, Position::Step, names, findings);
    }
    check_template(&step.run.value, Position::Run, names, findings);
}

/// What is shown or pulled before the first job runs.
fn check_early(text: &Template, names: &Names<'_>, findings: &mut Vec<Diagnostic>) {
    check_template(text, Position::Static, names, findings);
    if let Some(expr) = text.expressions().find(|expr| expr.uses_files()) {
        findings.push(
            Diagnostic::new(Code::NotHere, expr.span.clone(), "a name or an image cannot call `hash()`")
                .help("it is known before the first file is read; `hash()` belongs in a key or a variable"),
        );
    }
}
