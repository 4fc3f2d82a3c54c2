//! The steps of a job, one after the other: which of them run, what each gets, what each leaves to those after it.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::{Broken, JobRun, Outcome, no_value};
use crate::engine::Engine;
use crate::event::{Cause, Event, Status, StepIndex, StepResult, TimeoutScope};
use crate::execute::StepColor;
use crate::execute::conversation::Conversation;
use crate::execute::handover::HandedOn;
use crate::execute::retry::Tries;
use crate::execute::step::{Limit, Lost, StepRun};
use crate::execute::stop::Stop;
use crate::execute::supervisor::Counters;
use crate::pipeline::expr::{Contexts, Scope, Standing};
use crate::pipeline::{Env, Retry};
use crate::plan::{self, PlannedStep, ReadyStep, WORKSPACE};
use crate::trigger;

/// How far a job is.
#[derive(Default)]
struct Progress {
    standing: Standing,
    /// What decides the job's end: the first step that did not go well.
    outcome: Option<Outcome>,
    /// The context `steps`.
    steps: Map<String, Value>,
    /// The variables of the job, and those that its steps set.
    env: Env,
    /// Folders that its steps put in front of `PATH`, the foremost first.
    path: Vec<String>,
    /// Since when it is being ended from outside, and why: what still runs then has a grace in all.
    clean_up: Option<(Instant, Cause)>,
}

/// Whether a step runs.
enum Decision {
    Run(ReadyStep),
    Skip(Cause),
}

impl<E: Engine> JobRun<'_, E> {
    /// Runs the steps in their order. After a failure, or a stop, those run alone whose `if` asks for it.
    pub(super) async fn steps(
        &self,
        talk: &mut Conversation,
        mut counters: Counters,
    ) -> (Outcome, Vec<(String, String)>) {
        let env = match self.base_env().await {
            Ok(env) => env,
            Err(cause) => {
                self.skip_from(0, &cause).await;
                return (failure(cause), Vec::new());
            }
        };
        let mut progress = Progress { env, ..Progress::default() };
        for step in &self.job.steps {
            if let Some(outcome) = self.heed_stop(&mut progress) {
                self.skip_from(step.index.0, outcome.cause.as_ref().unwrap_or(&Cause::Interrupted)).await;
                return (outcome, Vec::new());
            }
            let ready = match self.decide(step, &progress).await {
                Ok(Decision::Run(ready)) => ready,
                Ok(Decision::Skip(cause)) => {
                    self.finish_step(step.index, StepResult::skipped(cause)).await;
                    progress.note(step, Status::Skipped);
                    continue;
                }
                Err(cause) => {
                    self.context.emit(Event::StepStarted { job: self.job.id.clone(), step: step.index }).await;
                    let result = StepResult { status: Status::Failure, ..StepResult::skipped(cause) };
                    self.finish_step(step.index, result.clone()).await;
                    progress.book(step, &result, self.context.settings.grace);
                    continue;
                }
            };
            self.context.emit(Event::StepStarted { job: self.job.id.clone(), step: step.index }).await;
            match self.tried(talk, &ready, step.retry.as_ref(), &progress, &mut counters).await {
                Ok((result, handed)) => {
                    self.finish_step(step.index, result.clone()).await;
                    self.show_summary(step.index, &handed.summary).await;
                    progress.book(step, &result, self.context.settings.grace);
                    progress.take_over(step, handed);
                }
                Err(Lost { error, duration }) => {
                    let broken = match error {
                        Some(error) => error.into(),
                        None => self.ended_early(talk.id()).await,
                    };
                    return (self.broken(broken, step.index.0, Some(duration)).await, Vec::new());
                }
            }
        }
        self.conclude(progress).await
    }

    /// Runs a step, as often as its `retry` says. Its time is that of all tries.
    async fn tried(
        &self,
        talk: &mut Conversation,
        step: &ReadyStep,
        retry: Option<&Retry>,
        progress: &Progress,
        counters: &mut Counters,
    ) -> Result<(StepResult, HandedOn), Lost> {
        let began = Instant::now();
        let env = self.environment(step);
        let mut tries = Tries::new(retry);
        loop {
            let run = StepRun {
                context: self.context,
                job: self.job,
                step,
                call: StepIndex(step.index.0 + (tries.attempt as usize - 1) * self.job.steps.len()),
                noting: self.noting.as_deref(),
                env: &env,
                path: &progress.path,
                limit: self.limit(progress),
                counters,
            };
            let (result, handed) = run.run(talk).await?;
            let is_over = matches!(result.cause, Some(Cause::TimedOut { scope: TimeoutScope::Job, .. }));
            let wait = tries.wait_after(result.status, result.cause.as_ref()).filter(|_| !is_over && self.goes_on());
            let (Some(wait), Some(cause)) = (wait, result.cause.clone()) else {
                return Ok((StepResult { duration: began.elapsed(), ..result }, handed));
            };
            self.context
                .emit(Event::Retrying {
                    job: self.job.id.clone(),
                    step: Some(step.index),
                    attempt: tries.attempt,
                    of: tries.of(),
                    wait,
                    cause,
                })
                .await;
            if let Err(cause) = self.waited(wait).await {
                // Not the failure that is behind it: it was to be tried again, and it is this that keeps it from that.
                let status = Broken::Stopped(cause.clone()).status();
                let ended = StepResult { status, duration: began.elapsed(), ..StepResult::skipped(cause) };
                return Ok((ended, HandedOn::default()));
            }
            tries.attempt += 1;
        }
    }

    /// Waits before another try; the cause of there being none where a stop of the run came, or the job's time was up.
    pub(super) async fn waited(&self, wait: Duration) -> Result<(), Cause> {
        let waiting = async {
            tokio::time::sleep(wait).await;
            Ok(())
        };
        match self.until_stopped(waiting).await {
            Err(broken) => Err(broken.into_cause()),
            Ok(()) => match self.stop.now().reason() {
                Some(reason) => Err(reason.cause()),
                None => Ok(()),
            },
        }
    }

    async fn show_summary(&self, step: StepIndex, markdown: &str) {
        if !markdown.trim().is_empty() {
            let markdown = self.context.mask.text(markdown);
            if let Some(noting) = &self.noting {
                noting.summary(step, &markdown);
            }
            self.context.emit(Event::Summary { job: self.job.id.clone(), step, markdown }).await;
        }
    }

    /// Takes note of a stop of the run. One at once ends the job here.
    fn heed_stop(&self, progress: &mut Progress) -> Option<Outcome> {
        let stop = self.stop.now();
        let cause = stop.reason()?.cause();
        let cancelled = || Outcome { status: Status::Cancelled, cause: Some(cause.clone()), exit_code: None };
        if matches!(stop, Stop::AtOnce(_)) {
            return Some(progress.outcome.take().unwrap_or_else(cancelled));
        }
        progress.outcome.get_or_insert_with(cancelled);
        progress.end_from_outside(Standing::Cancelled, &cause, self.context.settings.grace);
        None
    }

    fn limit(&self, progress: &Progress) -> Limit {
        match &progress.clean_up {
            Some((until, why)) => Limit::CleanUp { until: *until, why: why.clone() },
            None => Limit::Job { stop: self.stop.clone(), deadline: self.deadline },
        }
    }

    /// The variables of file and job.
    async fn base_env(&self) -> Result<Env, Cause> {
        let (job, contexts) = (self.job.clone(), self.contexts.clone());
        self.context
            .evaluate(job.env_uses_files(), move |files| {
                job.base_env(&Scope { contexts: &contexts, standing: Standing::Success, files })
            })
            .await
            .map_err(|error| no_value(self.context, "env", &error))
    }

    /// Whether a step runs, and with what.
    async fn decide(&self, step: &PlannedStep, progress: &Progress) -> Result<Decision, Cause> {
        let standing = progress.standing;
        let asks_for_trouble = step.condition.as_ref().is_some_and(|condition| condition.uses_status());
        if standing != Standing::Success && !asks_for_trouble {
            let cause = match &progress.clean_up {
                Some((_, why)) => why.clone(),
                None => Cause::EarlierStepFailed,
            };
            return Ok(Decision::Skip(cause));
        }
        let contexts = self.seen_by(progress);
        if let Some(condition) = step.condition.clone() {
            let (uses_files, contexts) = (condition.uses_files(), contexts.clone());
            let shown = condition.to_string();
            let holds = self
                .context
                .evaluate(uses_files, move |files| condition.holds(&Scope { contexts: &contexts, standing, files }))
                .await
                .map_err(|error| no_value(self.context, "if", &error))?;
            if !holds {
                return Ok(Decision::Skip(Cause::Condition { condition: shown }));
            }
        }
        let (planned, env, overrides) = (step.clone(), progress.env.clone(), self.job.overrides.clone());
        let ready = self
            .context
            .evaluate(step.uses_files(), move |files| {
                planned.ready(&Scope { contexts: &contexts, standing, files }, &env, &overrides)
            })
            .await
            .map_err(|error| no_value(self.context, "run", &error))
            .and_then(fits)?;
        self.with_secrets(ready).await.map(Decision::Run)
    }

    /// What the expressions of a step see.
    fn seen_by(&self, progress: &Progress) -> Contexts {
        Contexts {
            env: plan::env_context(&progress.env, &self.job.overrides),
            steps: Value::Object(progress.steps.clone()),
            ..self.contexts.clone()
        }
    }

    /// The job's end, and its outputs.
    async fn conclude(&self, progress: Progress) -> (Outcome, Vec<(String, String)>) {
        let contexts = self.seen_by(&progress);
        let standing = progress.standing;
        let mut outcome = progress.outcome.unwrap_or(Outcome { status: Status::Success, cause: None, exit_code: None });
        let mut outputs = Vec::new();
        for (name, value) in &self.job.outputs {
            let (template, contexts) = (value.clone(), contexts.clone());
            let text = self
                .context
                .evaluate(value.uses_files(), move |files| {
                    template.render(&Scope { contexts: &contexts, standing, files })
                })
                .await;
            match text {
                Ok(text) => outputs.push((name.clone(), text)),
                Err(error) if outcome.status == Status::Success => {
                    outcome = failure(no_value(self.context, "outputs", &error));
                }
                // What a failed job was to hand on may well not be there.
                Err(_) => {}
            }
        }
        (outcome, outputs)
    }

    /// What a step's shell sees, but for its secrets.
    fn environment(&self, step: &ReadyStep) -> Vec<(String, String)> {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut env = vec![
            pair("CI", "true"),
            pair("ARGON", "true"),
            pair("ARGON_RUN_ID", self.context.settings.run.as_str()),
            pair("ARGON_JOB", self.job.id.as_str()),
            pair("ARGON_STEP", &step.name),
            pair("ARGON_WORKSPACE", WORKSPACE),
        ];
        env.extend(trigger::variables(&self.job.contexts).into_iter().map(|(name, value)| (name.to_owned(), value)));
        if self.context.settings.color == StepColor::Forced {
            env.extend([pair("FORCE_COLOR", "1"), pair("CLICOLOR_FORCE", "1"), pair("TERM", "xterm-256color")]);
        }
        env.retain(|(name, _)| !step.env.iter().any(|(own, _)| own == name));
        env.extend(step.env.iter().cloned());
        env
    }
}

impl Progress {
    /// Takes a step's end in: for the steps after it, and for the job.
    fn book(&mut self, step: &PlannedStep, result: &StepResult, grace: Duration) {
        self.note(step, if result.forgiven { Status::Success } else { result.status });
        let Some(outcome) = after_step(step.index, result) else {
            return;
        };
        let cause = outcome.cause.clone();
        let is_from_outside = outcome.status == Status::Cancelled
            || matches!(cause, Some(Cause::TimedOut { scope: TimeoutScope::Job, .. }));
        let standing = if outcome.status == Status::Cancelled { Standing::Cancelled } else { Standing::Failure };
        self.outcome.get_or_insert(outcome);
        match cause {
            Some(cause) if is_from_outside => self.end_from_outside(standing, &cause, grace),
            _ if self.standing == Standing::Success => self.standing = standing,
            _ => {}
        }
    }

    /// Takes what a step hands on.
    fn take_over(&mut self, step: &PlannedStep, handed: HandedOn) {
        plan::overlay(&mut self.env, &handed.env);
        self.path.splice(..0, handed.path);
        let outputs: Map<String, Value> =
            handed.outputs.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
        if let Some(noted) = step.id.as_ref().and_then(|id| self.steps.get_mut(id)) {
            noted["outputs"] = Value::Object(outputs);
        }
    }

    fn end_from_outside(&mut self, standing: Standing, why: &Cause, grace: Duration) {
        self.standing = standing;
        self.clean_up.get_or_insert_with(|| (Instant::now() + grace, why.clone()));
    }

    /// Makes a step's end known to expressions.
    fn note(&mut self, step: &PlannedStep, status: Status) {
        if let Some(id) = &step.id {
            self.steps.insert(id.clone(), json!({ "status": status.word(), "outputs": {} }));
        }
    }
}

/// Linux takes no longer variable (MAX_ARG_STRLEN of execve(2)), its name, `=` and the end counted.
const LONGEST_VARIABLE: usize = 128 * 1024;

/// Refuses what the kernel would, in words that say which variable it is.
fn fits(step: ReadyStep) -> Result<ReadyStep, Cause> {
    match step.env.iter().find(|(name, value)| name.len() + value.len() + 2 > LONGEST_VARIABLE) {
        None => Ok(step),
        Some((name, value)) => {
            let message = format!(
                "`{name}` comes to {} bytes, and Linux takes {LONGEST_VARIABLE}: hand it on in a file",
                value.len()
            );
            Err(Cause::Expression { key: "env", message })
        }
    }
}

fn failure(cause: Cause) -> Outcome {
    Outcome { status: Status::Failure, cause: Some(cause), exit_code: None }
}

/// What a step's end means for its job: `None` where the job goes on.
fn after_step(step: StepIndex, result: &StepResult) -> Option<Outcome> {
    match result.status {
        Status::Success => None,
        Status::Failure if result.forgiven => None,
        Status::Cancelled => Some(Outcome { status: Status::Cancelled, cause: result.cause.clone(), exit_code: None }),
        Status::Failure if matches!(result.cause, Some(Cause::TimedOut { scope: TimeoutScope::Job, .. })) => {
            Some(Outcome { status: Status::Failure, cause: result.cause.clone(), exit_code: result.exit_code })
        }
        status => Some(Outcome { status, cause: Some(Cause::StepFailed { step }), exit_code: result.exit_code }),
    }
}
