//! The last decisions: what a step's script, variables and folder come to when it is about to run.

use std::time::Duration;

use serde_json::{Map, Value};

use super::job::known;
use super::{AskedSecret, PlannedJob, PlannedStep, Secret, WORKSPACE};
use crate::event::StepIndex;
use crate::pipeline::expr::{Contexts, EvalError, Scope, Template};
use crate::pipeline::{Env, OnError, Shell};

/// A step, decided.
#[derive(Debug, Clone)]
pub struct ReadyStep {
    /// Its position.
    pub index: StepIndex,
    /// Its name.
    pub name: String,
    /// The script.
    pub script: String,
    /// What runs it.
    pub shell: Shell,
    /// Absolute, in the container.
    pub working_directory: String,
    /// The variables of file, job, earlier steps, step and command line, each name once; later ones won.
    pub env: Env,
    /// The secrets it asked for.
    pub secrets: Vec<Secret>,
    /// Those of them that are kept elsewhere, and still to be asked for.
    pub asked: Vec<AskedSecret>,
    /// Time for it.
    pub timeout: Option<Duration>,
    /// What its failure does to the job.
    pub on_error: OnError,
}

impl PlannedJob {
    /// The variables of the file and the job, with what the command line says of them. `scope` has no `env` yet.
    ///
    /// # Errors
    /// Where an expression has no value.
    pub fn base_env(&self, scope: &Scope<'_>) -> Result<Env, EvalError> {
        let mut contexts = scope.contexts.clone();
        contexts.env = context(&self.overrides);
        let mut env = Env::new();
        render_env(&self.env, &self.overrides, &mut contexts, scope, &mut env)?;
        Ok(env)
    }

    /// A step's script and variables, before the run: what is not known yet stands as it was written.
    #[must_use]
    pub fn preview(&self, step: &PlannedStep) -> (String, Env) {
        let text = |template: &Template| known(template, &self.contexts).unwrap_or_else(|_| template.to_string());
        let mut env = Env::new();
        for (name, value) in self.env.iter().chain(&step.env) {
            put(&mut env, name, text(value));
        }
        overlay(&mut env, &self.overrides);
        (text(&step.script), env)
    }
}

/// Renders variables into `env`, one after the other: each sees those before it, in `contexts.env`. What the command line
/// sets is taken as it is.
fn render_env(
    templates: &[(String, Template)],
    overrides: &Env,
    contexts: &mut Contexts,
    scope: &Scope<'_>,
    env: &mut Env,
) -> Result<(), EvalError> {
    for (name, template) in templates {
        let value = match overrides.iter().rfind(|(known, _)| known == name) {
            Some((_, value)) => value.clone(),
            None => template.render(&Scope { contexts, ..*scope })?,
        };
        if let Value::Object(seen) = &mut contexts.env {
            seen.insert(name.clone(), Value::from(value.as_str()));
        }
        put(env, name, value);
    }
    Ok(())
}

impl PlannedStep {
    /// Decides the rest. `env` is what the job and its earlier steps set; the command line's `overrides` win over all.
    ///
    /// # Errors
    /// Where an expression has no value.
    pub fn ready(&self, scope: &Scope<'_>, env: &Env, overrides: &Env) -> Result<ReadyStep, EvalError> {
        let mut contexts: Contexts = scope.contexts.clone();
        let mut all = env.clone();
        overlay(&mut all, overrides);
        contexts.env = context(&all);
        // The script and the folder see `env` as the job and its earlier steps left it; the step's own are in its environment.
        let seen = Scope { contexts: &contexts, ..*scope };
        let script = self.script.render(&seen)?;
        let directory = self.working_directory.as_ref().map(|path| path.render(&seen)).transpose()?;
        render_env(&self.env, overrides, &mut contexts, scope, &mut all)?;
        Ok(ReadyStep {
            index: self.index,
            name: self.name.clone(),
            script,
            shell: self.shell.clone(),
            working_directory: absolute(directory.as_deref()),
            env: all,
            secrets: self.secrets.clone(),
            asked: self.asked.clone(),
            timeout: self.timeout,
            on_error: self.on_error,
        })
    }
}

/// Variables as the context `env`; those of the command line win.
pub fn env_context(env: &Env, overrides: &Env) -> Value {
    let mut all = env.clone();
    overlay(&mut all, overrides);
    context(&all)
}

fn context(env: &Env) -> Value {
    Value::Object(env.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect::<Map<_, _>>())
}

/// Lays variables over others: they win, and a name keeps the place where it first stood.
pub fn overlay(env: &mut Env, over: &Env) {
    for (name, value) in over {
        put(env, name, value.clone());
    }
}

fn put(env: &mut Env, name: &str, value: String) {
    match env.iter_mut().find(|(known, _)| known == name) {
        Some(entry) => entry.1 = value,
        None => env.push((name.to_owned(), value)),
    }
}

fn absolute(directory: Option<&str>) -> String {
    match directory {
        None | Some("" | "." | "./") => WORKSPACE.to_owned(),
        Some(path) if path.starts_with('/') => path.to_owned(),
        Some(path) => format!("{WORKSPACE}/{}", path.trim_start_matches("./")),
    }
}
