//! A pipeline as a project has it: lint from an included file, a matrix of tests, a build whose outputs a deployment takes.

use std::path::Path;

use serde_json::Value;

use crate::support::{Ended, Repo};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/repos/realistic");

/// The fixture as a repository of its own.
fn project() -> Repo {
    let read = |path: &str| std::fs::read(Path::new(FOLDER).join(path)).unwrap();
    let pipeline = String::from_utf8(read(".runnerci.yml")).unwrap();
    let files = ["ci/lint.yml", "app/__init__.py", "tests/test_greet.py"];
    files.into_iter().fold(Repo::new(&pipeline), |repo, path| repo.file(path, read(path))).commit()
}

/// Each job with its status, in the order of the plan.
fn statuses(ended: &Ended) -> Vec<String> {
    let jobs = ended.all("run.started")[0]["jobs"].as_array().unwrap().clone();
    let status = |job: &Value| {
        let name = job["job"].as_str().unwrap();
        format!("{name}: {}", ended.job(name)["status"].as_str().unwrap())
    };
    jobs.iter().map(status).collect()
}

#[test]
fn a_realistic_pipeline_is_green() {
    let ended = project().json(&["-e", "TARGET=staging"]).run();
    ended.exits(0);
    assert_eq!(
        statuses(&ended),
        [
            "test (C, optimise 0): success",
            "test (C, optimise 2): success",
            "test (C.UTF-8, optimise 0): success",
            "test (C.UTF-8, optimise 2): success",
            "build: success",
            "deploy: success",
            "report: skipped",
            "lint: success",
        ]
    );
    assert_eq!(ended.all("run.started")[0]["jobs"][0]["name"], "Test in C");
    assert_eq!(ended.said("deploy", 1), "deploying greeter-1.4.2.tar to staging\n");
    assert_eq!(ended.job("build")["outputs"]["version"], "1.4.2");
    assert_eq!(ended.all("step.summary")[0]["markdown"], "## Built 1.4.2\n\n- `greeter-1.4.2.tar`\n");
    assert_eq!(ended.step("test (C, optimise 0)", 2)["cause"]["condition"], "failure()");

    // Without a target there is nothing to deploy, and that is no failure.
    let ended = project().json(&["deploy"]).run();
    ended.exits(0);
    assert_eq!(ended.job("deploy")["status"], "skipped");
    assert_eq!(ended.job("deploy")["cause"]["kind"], "condition");
}

#[test]
fn a_realistic_pipeline_with_a_failing_job_runs_what_is_to_run_then() {
    let ended = project().json(&["-k", "-e", "BREAK=C", "-e", "TARGET=staging"]).run();
    ended.exits(1);
    assert_eq!(
        statuses(&ended),
        [
            "test (C, optimise 0): failure",
            "test (C, optimise 2): failure",
            "test (C.UTF-8, optimise 0): success",
            "test (C.UTF-8, optimise 2): success",
            "build: skipped",
            "deploy: skipped",
            "report: success",
            "lint: success",
        ]
    );
    assert_eq!(ended.said("test (C, optimise 2)", 2), "the tests fail with C and -O 2\n");
    for (job, step, status) in [
        ("test (C, optimise 0)", 1, "failure"),
        ("test (C, optimise 0)", 2, "success"),
        ("test (C, optimise 0)", 3, "success"),
        ("test (C.UTF-8, optimise 0)", 2, "skipped"),
        ("test (C.UTF-8, optimise 0)", 3, "success"),
    ] {
        assert_eq!(ended.step(job, step)["status"], status, "{job}, step {step}");
    }
    assert_eq!(ended.said("report", 1), "tests failure, build skipped\n");
}

#[test]
fn one_combination_runs_with_what_it_needs() {
    let ended = project().json(&["test", "--matrix", "locale=C", "--matrix", "optimise=2"]).run();
    ended.exits(0);
    assert_eq!(statuses(&ended), ["test (C, optimise 2): success", "lint: success"]);
    let ended = project().json(&["--only", "test (C.UTF-8, optimise 0)"]).run();
    ended.exits(0);
    assert_eq!(statuses(&ended), ["test (C.UTF-8, optimise 0): success"]);
    project().plain(&["test", "--matrix", "lokale=C"]).run().exits(2).says("did you mean `locale`?");
    project().plain(&["test", "--matrix", "locale=D"]).run().exits(2).says("its combinations are: C, optimise 0; ");
}
