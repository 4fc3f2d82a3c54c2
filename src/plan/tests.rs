//! Plans from pipeline texts.
#![allow(clippy::unwrap_used)]

use super::job::name_of_script;
use super::*;
use crate::pipeline::expr::{NoFiles, Scope, Standing};
use crate::pipeline::parse;

const PIPELINE: &str = "
version: 1.0
env: {A: top, B: top, C: top, D: top}
defaults: {working-directory: sub, timeout: 5m}
jobs:
  lint:
    image: a:1
    steps: [{run: 'true'}]
  build:
    image: a:1
    needs: lint
    env: {B: job, C: job, D: job}
    steps:
      - run: |
          # a comment
          make all
        env: {C: step, D: step}
  deploy:
    image: b:1
    needs: [build]
    timeout: 1h
    working-directory: /srv
    steps: [{name: Ship, run: ship, secrets: [TOKEN]}]
";

fn planned(options: &RunOptions) -> Result<Plan, PlanError> {
    let (pipeline, findings) = parse(PIPELINE);
    plan(&pipeline.unwrap_or_else(|| panic!("{findings:?}")), options)
}

fn with(selection: Selection) -> RunOptions {
    RunOptions { selection, secrets: vec![Secret::new("TOKEN", "x".into())], ..RunOptions::default() }
}

/// The first step of a job, decided.
fn ready(plan: &Plan, job: usize) -> ReadyStep {
    let job = &plan.jobs[job];
    let scope = Scope { contexts: &job.contexts, standing: Standing::Success, files: &NoFiles };
    job.steps[0].ready(&scope, &job.base_env(&scope).unwrap(), &job.overrides).unwrap()
}

fn ids(plan: &Plan) -> Vec<&str> {
    plan.jobs.iter().map(|job| job.id.as_str()).collect()
}

#[test]
fn a_selection_takes_its_needs_along_unless_told_not_to() {
    assert_eq!(ids(&planned(&with(Selection::All)).unwrap()), ["lint", "build", "deploy"]);
    assert_eq!(ids(&planned(&with(Selection::WithNeeds(vec!["build".into()]))).unwrap()), ["lint", "build"]);
    let only = planned(&with(Selection::Only(vec!["build".into()]))).unwrap();
    assert_eq!(ids(&only), ["build"]);
    assert_eq!(only.jobs[0].needed().count(), 0);
}

#[test]
fn the_nearest_env_wins_and_the_command_line_over_all() {
    let mut options = with(Selection::WithNeeds(vec!["build".into()]));
    options.env = vec![("D".into(), "cli".into()), ("E".into(), "cli".into())];
    let plan = planned(&options).unwrap();
    let env: Vec<String> = ready(&plan, 1).env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(env, ["A=top", "B=job", "C=step", "D=cli", "E=cli"]);
}

#[test]
fn steps_are_named_by_the_first_line_that_does_something() {
    let plan = planned(&with(Selection::All)).unwrap();
    assert_eq!(plan.jobs[1].steps[0].name, "make all");
    assert_eq!(plan.jobs[2].steps[0].name, "Ship");
    assert_eq!(name_of_script(&"é".repeat(80)), format!("{}…", "é".repeat(60)));
}

#[test]
fn directories_are_absolute_and_defaults_apply() {
    let plan = planned(&with(Selection::All)).unwrap();
    assert_eq!(ready(&plan, 0).working_directory, "/workspace/sub");
    assert_eq!(ready(&plan, 2).working_directory, "/srv");
    assert_eq!(plan.jobs[0].timeout, Some(Duration::from_secs(300)));
    assert_eq!(plan.jobs[2].timeout, Some(Duration::from_secs(3600)));
}

#[test]
fn images_are_mapped_and_a_map_that_fits_nothing_is_refused() {
    let mut options = with(Selection::All);
    options.images.insert("b:1".into(), "c:2".into());
    assert_eq!(planned(&options).unwrap().jobs[2].image.to_string(), "c:2");
    options.images.insert("zzz".into(), "c:2".into());
    let error = planned(&options).unwrap_err();
    assert_eq!(error.hint(), "the images are: a:1, b:1");
}

#[test]
fn mistakes_are_named_with_the_near_miss() {
    let error = planned(&with(Selection::WithNeeds(vec!["biuld".into()]))).unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), error.hint().as_str()),
        ("there is no job `biuld`", "did you mean `build`?")
    );
    let error = planned(&RunOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "step Ship of job `deploy` needs the secret `TOKEN`");
    let plan = planned(&RunOptions { selection: Selection::WithNeeds(vec!["build".into()]), ..RunOptions::default() });
    assert!(plan.is_ok(), "a secret that no chosen job needs may be missing");
}

#[test]
fn a_step_that_is_known_not_to_run_needs_no_secret() {
    let with_condition = |at: &str, condition: &str| {
        let (job, step) = if at == "job" { (condition, "true") } else { ("true", condition) };
        let text = format!(
            "secrets: [TOKEN]\njobs:\n  a:\n    image: b:1\n    if: {job}\n    steps:\n      - run: ./ship\n        \
             if: {step}\n        secrets: [TOKEN]\n"
        );
        plan(&parse(&text).0.unwrap(), &RunOptions::default()).map(|_| ())
    };
    for at in ["job", "step"] {
        assert!(with_condition(at, "secrets.TOKEN").is_ok(), "{at}");
        assert!(with_condition(at, "branch == 'main' && secrets.TOKEN").is_ok(), "{at}");
        assert!(with_condition(at, "'!secrets.TOKEN'").is_err(), "{at}");
    }
    assert!(with_condition("step", "failure() && secrets.TOKEN").is_err(), "nobody knows yet");
}
