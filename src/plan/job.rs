//! What is known of a job before it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::select::Chosen;
use super::{
    Need, PlanError, PlannedArtifact, PlannedCache, PlannedImage, PlannedJob, PlannedService, PlannedStep, Privileges,
    RunOptions, image,
};
use crate::event::StepIndex;
use crate::pipeline::expr::{Condition, Contexts, EvalError, Expr, NoFiles, Scope, Standing, Template};
use crate::pipeline::{self, Artifact, Cache, EnvTemplates, Job, MatrixValue, Pipeline, Service, Step};

/// How many characters of a script's first line stand for a step without a name.
const NAME_WIDTH: usize = 60;

pub(super) fn plan(
    pipeline: &Pipeline,
    chosen: &Chosen<'_>,
    all: &[Chosen<'_>],
    options: &RunOptions,
) -> Result<PlannedJob, PlanError> {
    let job = chosen.job;
    let contexts = contexts(pipeline, chosen, options);
    let text = |key: &'static str, template: &Template| {
        known(template, &contexts).map_err(|source| PlanError::NoValue { key, job: job.key.value.clone(), source })
    };
    let needs = job.needs.iter().map(|need| Need {
        key: need.value.clone(),
        jobs: all.iter().filter(|one| one.job.key.value == need.value).map(|one| one.id.clone()).collect(),
    });
    let steps = job
        .steps
        .iter()
        .enumerate()
        .map(|(index, step)| plan_step(job, step, StepIndex(index), options, &contexts, &text));
    Ok(PlannedJob {
        id: chosen.id.clone(),
        key: job.key.value.clone(),
        title: job.name.as_ref().map(|name| text("name", name)).transpose()?,
        image: image::plan(job, &text)?,
        needs: needs.collect(),
        condition: job.condition.clone(),
        max_parallel: job.matrix.as_ref().and_then(|matrix| matrix.max_parallel),
        env: named(pipeline.env.iter().chain(&job.env)),
        overrides: options.env.clone(),
        outputs: named(&job.outputs),
        timeout: job.timeout,
        on_error: job.on_error,
        resources: job.resources,
        network: job.network,
        user: job.user.clone(),
        output: job.output,
        retry: job.retry.clone(),
        privileges: privileges(job, &options.allowed)?,
        inputs: job.inputs.iter().map(|pattern| pattern.value.clone()).collect(),
        artifacts: job.artifacts.iter().map(|one| artifact(job, one, &text)).collect::<Result<_, _>>()?,
        caches: job.cache.iter().map(cache).collect(),
        services: job.services.iter().map(|one| service(job, one, &text)).collect::<Result<_, _>>()?,
        steps: steps.collect::<Result<_, _>>()?,
        contexts: Arc::new(contexts),
    })
}

fn plan_step(
    job: &Job,
    step: &Step,
    index: StepIndex,
    options: &RunOptions,
    contexts: &Contexts,
    text: &dyn Fn(&'static str, &Template) -> Result<String, PlanError>,
) -> Result<PlannedStep, PlanError> {
    let name = match &step.name {
        Some(name) => text("name", name)?,
        // Where what a script has is not known yet, it is named as it was written.
        None => name_of_script(&text("run", &step.run.value).unwrap_or_else(|_| step.run.value.to_string())),
    };
    let given = |wanted: &str| options.secrets.iter().find(|secret| secret.name == wanted).cloned();
    let is_off = |condition: &Option<Condition>| {
        condition.as_ref().is_some_and(|condition| known_condition(condition, contexts) == Some(false))
    };
    let asked = |wanted: &str| options.asked.iter().find(|secret| secret.name == wanted).cloned();
    let missing = step.secrets.iter().find(|wanted| given(&wanted.value).is_none() && asked(&wanted.value).is_none());
    // A step that will not run needs nothing: `if: secrets.TOKEN` is how one asks.
    if let Some(missing) = missing.filter(|_| !is_off(&step.condition) && !is_off(&job.condition)) {
        return Err(PlanError::MissingSecret { name: missing.value.clone(), job: job.key.value.clone(), step: name });
    }
    Ok(PlannedStep {
        index,
        id: step.id.as_ref().map(|id| id.value.clone()),
        name,
        condition: step.condition.clone(),
        script: step.run.value.clone(),
        shell: step.shell.as_ref().or(job.shell.as_ref()).cloned().unwrap_or_default(),
        working_directory: step.working_directory.as_ref().or(job.working_directory.as_ref()).cloned(),
        env: named(&step.env),
        secrets: step.secrets.iter().filter_map(|wanted| given(&wanted.value)).collect(),
        asked: step
            .secrets
            .iter()
            .filter(|wanted| given(&wanted.value).is_none())
            .filter_map(|wanted| asked(&wanted.value))
            .collect(),
        timeout: step.timeout,
        on_error: step.on_error,
        retry: step.retry.clone(),
    })
}

fn artifact(
    job: &Job,
    artifact: &Artifact,
    text: &dyn Fn(&'static str, &Template) -> Result<String, PlanError>,
) -> Result<PlannedArtifact, PlanError> {
    Ok(PlannedArtifact {
        name: match &artifact.name {
            Some(name) => text("artifacts", &name.value)?,
            None => job.key.value.clone(),
        },
        paths: artifact.paths.iter().map(|path| path.value.clone()).collect(),
        when: artifact.when,
        expire: artifact.expire,
    })
}

fn cache(cache: &Cache) -> PlannedCache {
    PlannedCache {
        key: cache.key.value.clone(),
        restore_keys: cache.restore_keys.clone(),
        paths: cache.paths.iter().map(|path| path.value.clone()).collect(),
        mode: cache.mode,
        save: cache.save,
    }
}

fn service(
    job: &Job,
    service: &Service,
    text: &dyn Fn(&'static str, &Template) -> Result<String, PlanError>,
) -> Result<PlannedService, PlanError> {
    let image = image::named(job, text("services", &service.image.value)?)?;
    Ok(PlannedService {
        name: service.name.value.clone(),
        image,
        env: named(&service.env),
        command: service.command.clone(),
        entrypoint: service.entrypoint.clone(),
        user: service.user.clone(),
        tmpfs: service.tmpfs.clone(),
        resources: service.resources,
        ready: service.ready.clone(),
    })
}

/// What the job asks for beyond the sandbox, where the user allowed all of it.
fn privileges(job: &Job, allowed: &Privileges) -> Result<Privileges, PlanError> {
    let Some(security) = &job.security else { return Ok(Privileges::default()) };
    let refused = |what: &str| PlanError::NotAllowed { job: job.key.value.clone(), what: what.to_owned() };
    if security.privileged && !allowed.privileged {
        return Err(refused("privileged"));
    }
    let is_allowed = |wanted: &&String| allowed.privileged || allowed.capabilities.contains(wanted);
    match security.capabilities.iter().find(|wanted| !is_allowed(wanted)) {
        Some(wanted) => Err(refused(wanted)),
        None => Ok(Privileges { privileged: security.privileged, capabilities: security.capabilities.clone() }),
    }
}

fn named<'a>(env: impl IntoIterator<Item = &'a (pipeline::Spanned<String>, Template)>) -> Vec<(String, Template)> {
    env.into_iter().map(|(name, value)| (name.value.clone(), value.clone())).collect()
}

/// What expressions see before the run.
fn contexts(pipeline: &Pipeline, chosen: &Chosen<'_>, options: &RunOptions) -> Contexts {
    let matrix = chosen.combination.map(|combination| {
        let pair = |(name, value): &(String, MatrixValue)| {
            let value = match value {
                MatrixValue::Text(text) => Value::from(text.as_str()),
                MatrixValue::Bool(value) => Value::from(*value),
            };
            (name.clone(), value)
        };
        Value::Object(combination.0.iter().map(pair).collect())
    });
    let names = options.secrets.iter().map(|secret| &secret.name);
    let names = names.chain(options.asked.iter().map(|secret| &secret.name));
    let secrets: Map<String, Value> = names.map(|name| (name.clone(), Value::Bool(true))).collect();
    let mut contexts = Contexts {
        matrix: matrix.unwrap_or_else(|| Value::Object(Map::new())),
        secrets: Value::Object(secrets),
        ..options.origin.clone()
    };
    contexts.env = early_env(&[&pipeline.env, &chosen.job.env], options, &contexts);
    contexts
}

/// The variables whose values are known before the run. Each sees those before it; the command line wins over all.
fn early_env(layers: &[&EnvTemplates], options: &RunOptions, contexts: &Contexts) -> Value {
    let given: Map<String, Value> =
        options.env.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
    let mut contexts = Contexts { env: Value::Object(given.clone()), ..contexts.clone() };
    for (name, value) in layers.iter().copied().flatten().filter(|(name, _)| !given.contains_key(&name.value)) {
        let value = known(value, &contexts);
        if let Value::Object(env) = &mut contexts.env {
            match value {
                Ok(text) => env.insert(name.value.clone(), Value::from(text)),
                Err(_) => env.remove(&name.value),
            };
        }
    }
    contexts.env
}

/// The value of a text, where all that it rests on is known.
pub(super) fn known(template: &Template, contexts: &Contexts) -> Result<String, EvalError> {
    template.expressions().try_for_each(|expr| is_known(expr, contexts))?;
    template.render(&early(contexts))
}

/// Whether a condition holds, where all that it rests on is known.
pub(super) fn known_condition(condition: &Condition, contexts: &Contexts) -> Option<bool> {
    is_known(&condition.expr, contexts).ok()?;
    condition.holds(&early(contexts)).ok()
}

fn early(contexts: &Contexts) -> Scope<'_> {
    Scope { contexts, standing: Standing::Success, files: &NoFiles }
}

/// Refuses what is known only in the course of the run.
fn is_known(expr: &Expr, contexts: &Contexts) -> Result<(), EvalError> {
    let unknown = |message| Err(EvalError { message, span: expr.span.clone() });
    if let Some(later) = expr.rests_on_the_run() {
        return unknown(format!("{later} is known only when the run goes on"));
    }
    match expr.env_names().find(|name| contexts.env.get(name).is_none()) {
        Some(name) => unknown(format!("`env.{name}` has no value that is known before the first job runs")),
        None => Ok(()),
    }
}

/// The first line that says something, cut to a readable width.
pub(super) fn name_of_script(script: &str) -> String {
    let line =
        script.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or("(empty)");
    match line.char_indices().nth(NAME_WIDTH) {
        None => line.to_owned(),
        Some((end, _)) => format!("{}…", &line[..end]),
    }
}

/// Puts `--image TO` in the place of FROM.
pub(super) fn map_images(
    mut jobs: Vec<PlannedJob>,
    images: &BTreeMap<String, String>,
) -> Result<Vec<PlannedJob>, PlanError> {
    let used: BTreeSet<String> = jobs.iter().flat_map(PlannedJob::images).map(|image| image.to_string()).collect();
    if let Some(from) = images.keys().find(|from| !used.contains(*from)) {
        return Err(PlanError::UnusedImage { from: from.clone(), used: used.into_iter().collect() });
    }
    for job in &mut jobs {
        if let Some(to) = images.get(&job.image.to_string()) {
            job.image = PlannedImage::Named(to.clone());
        }
        for service in &mut job.services {
            if let Some(to) = images.get(&service.image) {
                service.image.clone_from(to);
            }
        }
    }
    Ok(jobs)
}
