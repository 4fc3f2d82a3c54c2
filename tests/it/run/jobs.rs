//! Several jobs: their order, what runs at once, what a failure does to the others, and which ones are asked for.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{BUSYBOX, Ended, Repo};

fn job(needs: &[&str], script: &str) -> Value {
    json!({"image": BUSYBOX, "needs": needs, "steps": [{"name": "step", "run": script}]})
}

/// Job and status, in the order in which the jobs ended.
fn ends(ended: &Ended) -> Vec<String> {
    let told = |event: &Value| format!("{} {}", event["job"].as_str().unwrap(), event["status"].as_str().unwrap());
    ended.all("job.finished").iter().map(told).collect()
}

#[test]
fn jobs_wait_for_what_they_need() {
    let repo = Repo::jobs(json!({
        "last": job(&["left", "right"], "true"),
        "left": job(&["first"], "true"),
        "right": job(&["first"], "sleep 0.5"),
        "first": job(&[], "true"),
    }));
    let ended = repo.json(&["-j", "4"]).run();
    ended.exits(0);
    assert_eq!(ends(&ended), ["first success", "left success", "right success", "last success"]);
    let ended = repo.json(&["right"]).run();
    ended.exits(0);
    assert_eq!(ends(&ended), ["first success", "right success"]);
    let ended = repo.json(&["--only", "right"]).run();
    ended.exits(0);
    assert_eq!(ends(&ended), ["right success"]);
    repo.plain(&["rihgt"]).run().exits(2).says("no job `rihgt`").says("`right`");
}

/// The steps of both overlap; the control is `-j 1`, where they do not.
#[test]
fn as_many_jobs_run_at_once_as_asked() {
    let repo = Repo::jobs(json!({"a": job(&[], "sleep 0.7"), "b": job(&[], "sleep 0.7")}));
    for (jobs, overlap) in [("2", true), ("1", false)] {
        let ended = repo.json(&["-j", jobs]).run();
        ended.exits(0);
        let at = |kind: &str, which: fn(u64, u64) -> u64| {
            ended.all(kind).iter().map(|event| event["seq"].as_u64().unwrap()).reduce(which).unwrap()
        };
        assert_eq!(at("step.started", u64::max) < at("step.finished", u64::min), overlap, "-j {jobs}");
    }
}

#[test]
fn a_failure_stops_the_others_and_keep_going_does_not() {
    let repo = Repo::jobs(json!({
        "bad": job(&[], "sleep 0.3; exit 5"),
        "long": job(&[], "sleep 2; echo whole"),
        "after": job(&["bad"], "true"),
        "later": job(&["after"], "true"),
        "free": job(&["long"], "true"),
    }));
    let ended = repo.json(&["-j", "2"]).run();
    ended.exits(1);
    let expect = |ended: &Ended, job: &str, status: &str, cause: Value| {
        let end = ended.job(job);
        assert_eq!((&end["status"], &end["cause"]), (&json!(status), &cause), "{job}");
    };
    let fail_fast = json!({"kind": "fail-fast", "job": "bad"});
    expect(&ended, "bad", "failure", json!({"kind": "step-failed", "step": 1}));
    expect(&ended, "long", "cancelled", fail_fast);
    expect(&ended, "after", "skipped", json!({"kind": "need-failed", "need": "bad", "status": "failure"}));
    assert_eq!(ended.job("later")["status"], "skipped");
    assert_eq!(ended.job("free")["status"], "skipped");
    assert!(ended.took < Duration::from_secs(2), "{:?}", ended.took);

    let ended = repo.json(&["-j", "2", "--keep-going"]).run();
    ended.exits(1);
    expect(&ended, "long", "success", Value::Null);
    expect(&ended, "free", "success", Value::Null);
    expect(&ended, "after", "skipped", json!({"kind": "need-failed", "need": "bad", "status": "failure"}));
    expect(&ended, "later", "skipped", json!({"kind": "need-failed", "need": "after", "status": "skipped"}));
    assert_eq!(ended.said("long", 1), "whole\n");
}

#[test]
fn skipped_jobs_say_why() {
    let repo = Repo::jobs(json!({"bad": job(&[], "exit 5"), "after": job(&["bad"], "true")}));
    repo.plain(&[]).run().exits(1).says("needs bad, which failed").says("exit code 5");
}

#[test]
fn continue_on_error_forgives_a_step_or_a_job() {
    let repo = Repo::new(&format!(
        "
        version: 1
        jobs:
          step:
            image: {BUSYBOX}
            steps:
              - {{run: exit 4, continue-on-error: true}}
              - run: echo went on
          job:
            image: {BUSYBOX}
            continue-on-error: true
            steps:
              - run: exit 6
              - run: echo not reached
          after:
            image: {BUSYBOX}
            needs: [step, job]
            steps:
              - run: echo after
        "
    ));
    let ended = repo.json(&[]).run();
    ended.exits(0);
    let end = ended.step("step", 1);
    assert_eq!((&end["status"], &end["exit_code"], &end["forgiven"]), (&json!("failure"), &json!(4), &json!(true)));
    assert_eq!(ended.said("step", 2), "went on\n");
    let end = ended.job("job");
    assert_eq!((&end["status"], &end["exit_code"], &end["forgiven"]), (&json!("failure"), &json!(6), &json!(true)));
    assert_eq!(ended.step("job", 2)["status"], "skipped");
    assert_eq!(ended.job("after")["status"], "success");
    assert_eq!(ended.run()["status"], "success");
}

/// Found by reading: images saw variables of other layers alone, and neither they nor steps what the command line said of one.
#[test]
fn a_variable_sees_those_before_it_and_what_the_command_line_says_of_them() {
    let repo = Repo::jobs(json!({"job": {
        "image": "${{ env.B }}/busybox:latest",
        "env": {"A": "argon", "B": "${{ env.A }}-dev", "C": "c"},
        "steps": [{"name": "step", "run": "echo \"[$B] [$D] [$E]\"", "env": {"D": "${{ env.B }}!", "E": "${{ env.D }} ${{ env.C }}"}}],
    }}));
    repo.plain(&[]).run().exits(0).says("[argon-dev] [argon-dev!] [argon-dev! c]");
    repo.plain(&["-e", "C=over"]).run().exits(0).says("[argon-dev!] [argon-dev! over]");
    repo.plain(&["-e", "A=other", "--dry-run"]).without_engine().exits(0).says("other-dev/busybox:latest");
}

/// Found by reading: a job whose `if` heard of a failure and said no was taken for one that nothing had gone wrong before.
#[test]
fn a_failure_is_seen_through_a_job_whose_if_heard_of_it_and_said_no() {
    let jobs = |code: u8| {
        Repo::jobs(json!({
            "a": {"image": BUSYBOX, "steps": [{"run": format!("exit {code}")}]},
            "b": {"image": BUSYBOX, "needs": "a", "if": "failure() && branch == 'nope'", "steps": [{"run": "true"}]},
            "c": {"image": BUSYBOX, "needs": "b", "if": "failure()", "steps": [{"run": "echo cleaned up"}]},
        }))
    };
    let ended = jobs(1).json(&[]).run();
    assert_eq!(ended.job("b")["status"], "skipped");
    assert_eq!(ended.job("c")["status"], "success");
    let ended = jobs(0).json(&[]).run();
    assert_eq!((&ended.job("b")["status"], &ended.job("c")["status"]), (&json!("skipped"), &json!("skipped")));
}

/// Found by reading: the steps of a job whose variables have no value were told that an earlier step had failed.
#[test]
fn steps_of_a_job_whose_variables_have_no_value_say_that() {
    let repo = Repo::jobs(json!({"job": {
        "image": BUSYBOX,
        "env": {"A": "${{ fromJSON(hash('no-such-file')) }}"},
        "steps": [{"name": "step", "run": "true"}],
    }}));
    let ended = repo.json(&[]).run();
    ended.exits(1);
    assert_eq!(ended.step("job", 1)["cause"], ended.job("job")["cause"]);
}
