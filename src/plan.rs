//! What one run will do: a [`Pipeline`] and the options of one run to a [`Plan`]. Pure: no IO.

mod secret;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use secret::{Secret, SecretValue};

use crate::event::{JobId, JobInfo, StepIndex, StepInfo};
use crate::pipeline::{Env, Job, NetworkAccess, OnError, OutputMode, Pipeline, Resources, Shell, Step, near};

/// Where the workspace is, in every container.
pub const WORKSPACE: &str = "/workspace";

/// How many bytes of a script's first line stand for a step without a name.
const NAME_WIDTH: usize = 60;

/// Which of the jobs the user asked for run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Selection {
    /// All of them.
    #[default]
    All,
    /// These, and all that they need.
    WithNeeds(Vec<String>),
    /// These alone: their needs are taken as done (`--only`).
    Only(Vec<String>),
}

/// What the user says of one run, beyond the file.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// Which jobs.
    pub selection: Selection,
    /// `-e`, `--env-file`: wins over every `env` of the file.
    pub env: Env,
    /// `-s`, `--secret-file`.
    pub secrets: Vec<Secret>,
    /// `--image FROM=TO`.
    pub images: BTreeMap<String, String>,
}

/// All that a run does, decided.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The pipeline's `name`.
    pub name: Option<String>,
    /// The jobs, in the order of the file. Needs that are not part of the plan are dropped from them.
    pub jobs: Vec<PlannedJob>,
    /// Every secret of the run, to be masked wherever it shows.
    pub secrets: Vec<Secret>,
}

/// One job, decided.
#[derive(Debug, Clone)]
pub struct PlannedJob {
    /// The job.
    pub id: JobId,
    /// Its image, after `--image`.
    pub image: String,
    /// The jobs of this plan that must succeed first.
    pub needs: Vec<JobId>,
    /// Time for all of it.
    pub timeout: Option<Duration>,
    /// What its failure does to the run.
    pub on_error: OnError,
    /// Bounds.
    pub resources: Resources,
    /// Network.
    pub network: NetworkAccess,
    /// User, where not the image's.
    pub user: Option<String>,
    /// What becomes of standard error.
    pub output: OutputMode,
    /// Its steps.
    pub steps: Vec<PlannedStep>,
}

/// One step, decided.
#[derive(Debug, Clone)]
pub struct PlannedStep {
    /// Its position.
    pub index: StepIndex,
    /// `name`, else the first line of its script.
    pub name: String,
    /// The script.
    pub script: String,
    /// What runs it.
    pub shell: Shell,
    /// Absolute, in the container.
    pub working_directory: String,
    /// Pipeline's, job's, step's and command line's, in this order, each name once.
    pub env: Env,
    /// The secrets it asked for.
    pub secrets: Vec<Secret>,
    /// Time for it.
    pub timeout: Option<Duration>,
    /// What its failure does to the job.
    pub on_error: OnError,
}

impl PlannedJob {
    /// What people see of it before it runs.
    pub fn info(&self) -> JobInfo {
        JobInfo {
            id: self.id.clone(),
            image: self.image.clone(),
            needs: self.needs.clone(),
            steps: self.steps.iter().map(|step| StepInfo { name: step.name.clone() }).collect(),
        }
    }
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A job was asked for that the file does not have.
    #[error("there is no job `{name}`")]
    UnknownJob {
        /// What was asked for.
        name: String,
        /// The job that it may have meant.
        near: Option<String>,
        /// All jobs.
        known: Vec<String>,
    },
    /// A step asks for a secret that the run was not given.
    #[error("step {step} of job `{job}` needs the secret `{name}`")]
    MissingSecret {
        /// The secret.
        name: String,
        /// The job.
        job: String,
        /// The step's name.
        step: String,
    },
    /// `--image FROM=TO` names an image that no job uses.
    #[error("no job of this run uses the image `{from}`")]
    UnusedImage {
        /// The image.
        from: String,
        /// The images that are used.
        used: Vec<String>,
    },
}

impl PlanError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::UnknownJob { near: Some(near), .. } => format!("did you mean `{near}`?"),
            Self::UnknownJob { known, .. } => format!("the jobs are: {}", known.join(", ")),
            Self::MissingSecret { name, .. } => {
                format!(
                    "give it: `-s {name}` takes it from the environment, `--secret-file FILE` from a file of NAME=VALUE lines"
                )
            }
            Self::UnusedImage { used, .. } => format!("the images are: {}", used.join(", ")),
        }
    }
}

/// Decides what a run does.
pub fn plan(pipeline: &Pipeline, options: &RunOptions) -> Result<Plan, PlanError> {
    let selected = select(pipeline, &options.selection)?;
    let chosen: Vec<&Job> = pipeline.jobs.iter().filter(|job| selected.contains(job.key.value.as_str())).collect();
    check_image_map(&chosen, &options.images)?;
    let jobs = chosen.iter().map(|job| plan_job(pipeline, job, &selected, options)).collect::<Result<_, _>>()?;
    Ok(Plan { name: pipeline.name.clone(), jobs, secrets: options.secrets.clone() })
}

/// The keys of the jobs that run.
fn select<'a>(pipeline: &'a Pipeline, selection: &Selection) -> Result<BTreeSet<&'a str>, PlanError> {
    let by_key: BTreeMap<&str, &Job> = pipeline.jobs.iter().map(|job| (job.key.value.as_str(), job)).collect();
    let find = |name: &String| {
        by_key.get_key_value(name.as_str()).map(|(key, _)| *key).ok_or_else(|| PlanError::UnknownJob {
            name: name.clone(),
            near: near(name, by_key.keys().copied()).map(str::to_owned),
            known: pipeline.jobs.iter().map(|job| job.key.value.clone()).collect(),
        })
    };
    match selection {
        Selection::All => Ok(by_key.keys().copied().collect()),
        Selection::Only(names) => names.iter().map(find).collect(),
        Selection::WithNeeds(names) => {
            let mut open = names.iter().map(find).collect::<Result<Vec<_>, _>>()?;
            let mut taken = BTreeSet::new();
            while let Some(key) = open.pop() {
                if taken.insert(key) {
                    let needs = by_key.get(key).map(|job| job.needs.as_slice()).unwrap_or_default();
                    open.extend(
                        needs.iter().filter_map(|need| by_key.get_key_value(need.value.as_str())).map(|(key, _)| *key),
                    );
                }
            }
            Ok(taken)
        }
    }
}

fn check_image_map(jobs: &[&Job], images: &BTreeMap<String, String>) -> Result<(), PlanError> {
    let used: BTreeSet<&str> = jobs.iter().map(|job| job.image.value.as_str()).collect();
    match images.keys().find(|from| !used.contains(from.as_str())) {
        None => Ok(()),
        Some(from) => {
            Err(PlanError::UnusedImage { from: from.clone(), used: used.into_iter().map(str::to_owned).collect() })
        }
    }
}

fn plan_job(
    pipeline: &Pipeline,
    job: &Job,
    selected: &BTreeSet<&str>,
    options: &RunOptions,
) -> Result<PlannedJob, PlanError> {
    let image = options.images.get(&job.image.value).unwrap_or(&job.image.value).clone();
    let steps = job
        .steps
        .iter()
        .enumerate()
        .map(|(index, step)| plan_step(pipeline, job, step, StepIndex(index), options))
        .collect::<Result<_, _>>()?;
    Ok(PlannedJob {
        id: JobId::new(&job.key.value),
        image,
        needs: job
            .needs
            .iter()
            .filter(|need| selected.contains(need.value.as_str()))
            .map(|need| JobId::new(&need.value))
            .collect(),
        timeout: job.timeout.or(pipeline.defaults.timeout),
        on_error: job.on_error,
        resources: job.resources,
        network: job.network,
        user: job.user.clone(),
        output: job.output,
        steps,
    })
}

fn plan_step(
    pipeline: &Pipeline,
    job: &Job,
    step: &Step,
    index: StepIndex,
    options: &RunOptions,
) -> Result<PlannedStep, PlanError> {
    let name = step.name.clone().unwrap_or_else(|| name_of_script(&step.run.value));
    let secrets = step
        .secrets
        .iter()
        .map(|wanted| {
            options.secrets.iter().find(|secret| secret.name == wanted.value).cloned().ok_or_else(|| {
                PlanError::MissingSecret { name: wanted.value.clone(), job: job.key.value.clone(), step: name.clone() }
            })
        })
        .collect::<Result<_, _>>()?;
    let shell =
        step.shell.as_ref().or(job.shell.as_ref()).or(pipeline.defaults.shell.as_ref()).cloned().unwrap_or_default();
    let directory = step
        .working_directory
        .as_deref()
        .or(job.working_directory.as_deref())
        .or(pipeline.defaults.working_directory.as_deref());
    Ok(PlannedStep {
        index,
        name,
        script: step.run.value.clone(),
        shell,
        working_directory: absolute(directory),
        env: layered([&pipeline.env, &job.env, &step.env, &options.env]),
        secrets,
        timeout: step.timeout,
        on_error: step.on_error,
    })
}

/// The first line that says something, cut to a readable width.
fn name_of_script(script: &str) -> String {
    let line =
        script.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or("(empty)");
    match line.char_indices().nth(NAME_WIDTH) {
        None => line.to_owned(),
        Some((end, _)) => format!("{}…", &line[..end]),
    }
}

fn absolute(directory: Option<&str>) -> String {
    match directory {
        None | Some("" | "." | "./") => WORKSPACE.to_owned(),
        Some(path) if path.starts_with('/') => path.to_owned(),
        Some(path) => format!("{WORKSPACE}/{}", path.trim_start_matches("./")),
    }
}

/// Later layers win; a name keeps the place where it first stood.
fn layered(layers: [&Env; 4]) -> Env {
    let mut env: Env = Vec::new();
    for (name, value) in layers.into_iter().flatten() {
        match env.iter_mut().find(|(known, _)| known == name) {
            Some(entry) => entry.1.clone_from(value),
            None => env.push((name.clone(), value.clone())),
        }
    }
    env
}

#[cfg(test)]
mod tests;
