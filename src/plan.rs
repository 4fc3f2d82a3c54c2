//! What one run will do: a [`Pipeline`] and the options of one run to a [`Plan`]. Pure: no IO.
//!
//! `select` picks the jobs, each combination of a matrix as one; `job` decides what is known of each before it runs. What
//! rests on other jobs or on files (conditions, variables, scripts with expressions) goes along as it was written, and
//! `ready` decides it when its time has come.

mod definition;
mod error;
mod image;
mod job;
mod ready;
mod secret;
mod select;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

pub use definition::Definition;
pub use error::PlanError;
pub use image::{PlannedBuild, PlannedImage};
pub use ready::{ReadyStep, env_context, overlay};
pub use secret::{AskedSecret, Keeper, LARGEST_SECRET, Secret, SecretValue, StoredIn, VaultPlace};

use crate::event::{JobId, JobInfo, StepIndex, StepInfo};
use crate::pipeline::expr::{Condition, Contexts, Template};
use crate::pipeline::{
    ArtifactWhen, CacheMode, CacheSave, Env, NetworkAccess, OnError, OutputMode, Pipeline, Ready, Resources, Retry,
    Shell,
};

/// Where the workspace is, in every container.
pub const WORKSPACE: &str = "/workspace";

/// Which of the jobs the user asked for run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Selection {
    /// All of them.
    #[default]
    All,
    /// These, and all that they need. A name is a job's key, or the id of one combination of its matrix.
    WithNeeds(Vec<String>),
    /// These alone: their needs are taken as done (`--only`).
    Only(Vec<String>),
}

/// What the user says of one run, beyond the file.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// Which jobs.
    pub selection: Selection,
    /// `--matrix K=V`: combinations with another value of K are left out.
    pub matrix: Vec<(String, String)>,
    /// `-e`, `--env-file`: wins over every `env` of the file.
    pub env: Env,
    /// `-s`, `--secret-file`.
    pub secrets: Vec<Secret>,
    /// What else steps may ask for. Those above win.
    pub asked: Vec<AskedSecret>,
    /// `--image FROM=TO`.
    pub images: BTreeMap<String, String>,
    /// `--allow`: what jobs may have beyond the sandbox where their `security` asks for it.
    pub allowed: Privileges,
    /// What started the run, for expressions: `event`, `branch`, `tag`, `commit`.
    pub origin: Contexts,
}

/// All that a run does, decided as far as it can be.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The pipeline's `name`.
    pub name: Option<String>,
    /// The jobs, in the order of the file, those of a matrix in its order.
    pub jobs: Vec<PlannedJob>,
    /// Every secret of the run, to be masked wherever it shows.
    pub secrets: Vec<Secret>,
}

/// One job, as far as it is decided.
#[derive(Debug, Clone)]
pub struct PlannedJob {
    /// The job.
    pub id: JobId,
    /// Its key in the file: jobs of one matrix share it.
    pub key: String,
    /// `name`, where it has one.
    pub title: Option<String>,
    /// What its container is made of, after `--image`.
    pub image: PlannedImage,
    /// The jobs that must be done first.
    pub needs: Vec<Need>,
    /// `if`.
    pub condition: Option<Condition>,
    /// `max-parallel` of its matrix.
    pub max_parallel: Option<NonZeroU32>,
    /// What expressions see of what is known before the run: `event`, `branch`, `tag`, `commit`, `matrix`, `secrets`.
    pub contexts: Arc<Contexts>,
    /// `env` of the file and of the job, in this order; later ones win.
    pub env: Vec<(String, Template)>,
    /// `-e`: wins over all.
    pub overrides: Env,
    /// `outputs`.
    pub outputs: Vec<(String, Template)>,
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
    /// How often it is tried again.
    pub retry: Option<Retry>,
    /// What it may beyond the sandbox, as the user allowed.
    pub privileges: Privileges,
    /// What it keeps for the next run.
    pub caches: Vec<PlannedCache>,
    /// Patterns of the files that it rests on. Empty where it always runs.
    pub inputs: Vec<String>,
    /// What is kept of it.
    pub artifacts: Vec<PlannedArtifact>,
    /// What runs beside it.
    pub services: Vec<PlannedService>,
    /// Its steps.
    pub steps: Vec<PlannedStep>,
}

/// An artifact of a job.
#[derive(Debug, Clone)]
pub struct PlannedArtifact {
    /// What it is asked for by.
    pub name: String,
    /// Patterns of the workspace's files.
    pub paths: Vec<String>,
    /// When it is kept.
    pub when: ArtifactWhen,
    /// How long; as its run where not said.
    pub expire: Option<Duration>,
}

/// A cache of a job, as far as it is decided.
#[derive(Debug, Clone)]
pub struct PlannedCache {
    /// `key`.
    pub key: Template,
    /// `restore-keys`.
    pub restore_keys: Vec<Template>,
    /// Folders: in the workspace, or absolute in the container.
    pub paths: Vec<String>,
    /// `mode`.
    pub mode: CacheMode,
    /// `save`.
    pub save: CacheSave,
}

/// A service of a job, as far as it is decided.
#[derive(Debug, Clone)]
pub struct PlannedService {
    /// The name by which the job reaches it.
    pub name: String,
    /// Its image, after `--image`.
    pub image: String,
    /// `env`.
    pub env: Vec<(String, Template)>,
    /// `command`, in place of the image's.
    pub command: Option<Vec<Template>>,
    /// `entrypoint`, in place of the image's and its command.
    pub entrypoint: Option<Vec<Template>>,
    /// User, where not the image's.
    pub user: Option<String>,
    /// Folders in memory.
    pub tmpfs: Vec<String>,
    /// Bounds.
    pub resources: Resources,
    /// When it is ready.
    pub ready: Ready,
}

/// What a job may beyond the sandbox.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Privileges {
    /// All that the engine's host may.
    pub privileged: bool,
    /// Capabilities beside those of the sandbox, without `CAP_`.
    pub capabilities: Vec<String>,
}

/// A job of the file that another one needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// Its key, by which expressions name it.
    pub key: String,
    /// The jobs of this plan that it comes to: one, or those of its matrix. None where it is not part of the plan
    /// (`--only`): then it counts as green.
    pub jobs: Vec<JobId>,
}

/// One step, as far as it is decided.
#[derive(Debug, Clone)]
pub struct PlannedStep {
    /// Its position.
    pub index: StepIndex,
    /// `id`.
    pub id: Option<String>,
    /// `name`, else the first line of its script.
    pub name: String,
    /// `if`.
    pub condition: Option<Condition>,
    /// The script.
    pub script: Template,
    /// What runs it.
    pub shell: Shell,
    /// `working-directory`, its own or the job's.
    pub working_directory: Option<Template>,
    /// `env`, its own.
    pub env: Vec<(String, Template)>,
    /// The secrets it asked for.
    pub secrets: Vec<Secret>,
    /// Those of them that are kept elsewhere.
    pub asked: Vec<AskedSecret>,
    /// Time for it.
    pub timeout: Option<Duration>,
    /// What its failure does to the job.
    pub on_error: OnError,
    /// How often it is tried again.
    pub retry: Option<Retry>,
}

impl PlannedJob {
    /// What people see of it before it runs.
    pub fn info(&self) -> JobInfo {
        JobInfo {
            id: self.id.clone(),
            name: self.title.clone(),
            image: self.image.to_string(),
            needs: self.needed().cloned().collect(),
            steps: self.steps.iter().map(|step| StepInfo { name: step.name.clone() }).collect(),
        }
    }

    /// Whether its `if`, with the variables that it may name, asks for files.
    pub fn condition_uses_files(&self) -> bool {
        self.env_uses_files() || self.condition.as_ref().is_some_and(Condition::uses_files)
    }

    /// Whether its variables ask for files.
    pub fn env_uses_files(&self) -> bool {
        self.env.iter().any(|(_, value)| value.uses_files())
    }

    /// Whether its `if`, as far as that is known before the run, lets it run once its needs are green.
    pub fn is_sure_to_run(&self) -> bool {
        self.condition.as_ref().is_none_or(|condition| job::known_condition(condition, &self.contexts) == Some(true))
    }

    /// Its image, and those of its services.
    pub fn images(&self) -> impl Iterator<Item = PlannedImage> {
        let services = self.services.iter().map(|service| PlannedImage::Named(service.image.clone()));
        std::iter::once(self.image.clone()).chain(services)
    }

    /// All jobs of the plan that it waits for.
    pub fn needed(&self) -> impl Iterator<Item = &JobId> {
        self.needs.iter().flat_map(|need| &need.jobs)
    }
}

impl PlannedStep {
    /// Whether what it is made of, its `if` aside, asks for files.
    pub fn uses_files(&self) -> bool {
        let values = self.env.iter().map(|(_, value)| value);
        values.chain(&self.working_directory).chain([&self.script]).any(Template::uses_files)
    }
}

/// Decides what a run does.
///
/// # Errors
/// Where the options do not fit the pipeline, or it asks for what cannot be done.
pub fn plan(pipeline: &Pipeline, options: &RunOptions) -> Result<Plan, PlanError> {
    let chosen = select::select(pipeline, options)?;
    let jobs = chosen.iter().map(|one| job::plan(pipeline, one, &chosen, options)).collect::<Result<Vec<_>, _>>()?;
    let jobs = job::map_images(jobs, &options.images)?;
    Ok(Plan { name: pipeline.name.clone(), jobs, secrets: options.secrets.clone() })
}

#[cfg(test)]
mod tests;
