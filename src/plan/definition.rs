//! What a job is, as text: two jobs of one definition do the same, where what their expressions read is the same too.

use super::{PlannedCache, PlannedJob, PlannedService, PlannedStep};
use crate::pipeline::Probe;
use crate::pipeline::expr::{Condition, Expr, Template};

/// What a job is.
#[derive(Debug, Default)]
pub struct Definition<'j> {
    /// All but its steps.
    pub job: String,
    /// Its steps, in their order.
    pub steps: Vec<String>,
    /// Every expression that has a part in what the job does.
    pub expressions: Vec<&'j Expr>,
}

impl PlannedJob {
    /// What it is. Its image, variables, matrix and needs are not in it: those are known by their values. Nor is what has no
    /// part in a result that is green: names for people, timeouts, retries.
    #[must_use]
    pub fn definition(&self) -> Definition<'_> {
        // Each field is named, so that a new one is decided on here.
        let Self {
            id: _,
            key: _,
            title: _,
            image: _,
            needs: _,
            // It held, or nobody would ask.
            condition: _,
            max_parallel: _,
            contexts: _,
            env,
            overrides: _,
            outputs,
            timeout: _,
            on_error: _,
            resources,
            network,
            user,
            output,
            retry: _,
            privileges,
            caches,
            inputs,
            artifacts,
            services,
            steps,
        } = self;
        let mut seen = Seen::default();
        let env = seen.named(env);
        let outputs = seen.named(outputs);
        let caches: Vec<String> = caches.iter().map(|cache| seen.cache(cache)).collect();
        let services: Vec<String> = services.iter().map(|service| seen.service(service)).collect();
        let job = format!(
            "{env:?} {outputs:?} {resources:?} {network:?} {user:?} {output:?} {privileges:?} {caches:?} {inputs:?} \
             {artifacts:?} {services:?}"
        );
        let steps = steps.iter().map(|step| seen.step(step)).collect();
        Definition { job, steps, expressions: seen.expressions }
    }
}

/// Makes texts of what has expressions in it, and notes those.
#[derive(Default)]
struct Seen<'j> {
    expressions: Vec<&'j Expr>,
}

impl<'j> Seen<'j> {
    fn text(&mut self, template: &'j Template) -> String {
        self.expressions.extend(template.expressions());
        template.to_string()
    }

    fn texts(&mut self, templates: &'j [Template]) -> Vec<String> {
        templates.iter().map(|template| self.text(template)).collect()
    }

    fn named(&mut self, templates: &'j [(String, Template)]) -> Vec<(String, String)> {
        templates.iter().map(|(name, template)| (name.clone(), self.text(template))).collect()
    }

    fn condition(&mut self, condition: &'j Condition) -> String {
        self.expressions.push(&condition.expr);
        condition.to_string()
    }

    fn cache(&mut self, cache: &'j PlannedCache) -> String {
        let PlannedCache { key, restore_keys, paths, mode, save } = cache;
        let (key, restore_keys) = (self.text(key), self.texts(restore_keys));
        format!("{key:?} {restore_keys:?} {paths:?} {mode:?} {save:?}")
    }

    fn service(&mut self, service: &'j PlannedService) -> String {
        let PlannedService { name, image: _, env, command, entrypoint, user, tmpfs, resources, ready } = service;
        let env = self.named(env);
        let command = command.as_ref().map(|words| self.texts(words));
        let entrypoint = entrypoint.as_ref().map(|words| self.texts(words));
        let probe = match &ready.probe {
            Some(Probe::Command(line)) => Some(self.text(line)),
            Some(Probe::Port(port)) => Some(port.to_string()),
            None => None,
        };
        format!("{name:?} {env:?} {command:?} {entrypoint:?} {user:?} {tmpfs:?} {resources:?} {probe:?}")
    }

    fn step(&mut self, step: &'j PlannedStep) -> String {
        let PlannedStep {
            index: _,
            id,
            name,
            condition,
            script,
            shell,
            working_directory,
            env,
            secrets,
            asked,
            timeout: _,
            on_error,
            retry: _,
        } = step;
        let condition = condition.as_ref().map(|condition| self.condition(condition));
        let (script, env) = (self.text(script), self.named(env));
        let working_directory = working_directory.as_ref().map(|path| self.text(path));
        // Of secrets the names alone: no digest of a value may lie on a disk. Who has one is the same to the step.
        let mut secrets: Vec<&str> = secrets.iter().map(|secret| secret.name.as_str()).collect();
        secrets.extend(asked.iter().map(|secret| secret.name.as_str()));
        secrets.sort_unstable();
        format!(
            "{id:?} {name:?} {condition:?} {script:?} {shell:?} {working_directory:?} {env:?} {secrets:?} {on_error:?}"
        )
    }
}
