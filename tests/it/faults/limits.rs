//! Timeouts and limits: each ends what it should, once, in time, with all that it started.

use serde_json::{Value, json};

use crate::support::{BUSYBOX, Ended, NOSETSID, Repo};

#[track_caller]
fn timed_out(end: &Value, scope: &str) {
    assert_eq!(end["cause"]["kind"], "timed-out", "{end}");
    assert_eq!(end["cause"]["scope"], scope, "{end}");
}

/// Within a second of its limit, by the event's own clock.
#[track_caller]
fn lasted(ended: &Ended, end: &Value, seconds: f64) {
    let took = end["duration_ms"].as_f64().unwrap() / 1000.0;
    assert!((seconds - 0.1..seconds + 1.0).contains(&took), "{took} s: {end}\n{}", ended.text());
}

#[test]
fn a_step_s_timeout_ends_the_step_once() {
    let job = |image: &str| json!({"image": image, "steps": [{"name": "step", "timeout": "1s", "run": "echo begun; sleep 600"}, {"name": "next", "run": "true"}]});
    let repo = Repo::jobs(json!({"setsid": job(BUSYBOX), "nosetsid": job(NOSETSID)}));
    let ended = repo.json(&["--keep-going", "-j", "2"]).run();
    ended.exits(1);
    for name in ["setsid", "nosetsid"] {
        let end = ended.step(name, 1);
        timed_out(&end, "step");
        lasted(&ended, &end, 1.0);
        assert_eq!(end["status"], "failure");
        assert_eq!(ended.job(name)["status"], "failure");
        assert_eq!(ended.step(name, 2)["status"], "skipped");
        // A shell may say that it was terminated.
        assert!(ended.said(name, 1).starts_with("begun\n"));
    }
    assert_eq!(ended.run()["status"], "failure");
}

#[test]
fn a_job_s_timeout_spans_its_steps() {
    let repo = Repo::jobs(json!({"job": {"image": BUSYBOX, "timeout": "2s", "steps": [{"run": "sleep 0.5"}, {"run": "sleep 600"}, {"run": "true"}]}}));
    let ended = repo.json(&[]).run();
    ended.exits(1);
    assert_eq!(ended.step("job", 1)["status"], "success");
    timed_out(&ended.step("job", 2), "job");
    assert_eq!(ended.step("job", 3)["status"], "skipped");
    let end = ended.job("job");
    timed_out(&end, "job");
    lasted(&ended, &end, 2.0);
}

#[test]
fn a_run_s_timeout_ends_all_jobs() {
    let job = |needs: &[&str]| json!({"image": BUSYBOX, "needs": needs, "steps": [{"run": "sleep 600"}]});
    let repo = Repo::jobs(json!({"a": job(&[]), "b": job(&[]), "c": job(&["a"])}));
    let ended = repo.json(&["--timeout", "2s", "-j", "2"]).run();
    ended.exits(1);
    timed_out(&ended.run(), "run");
    lasted(&ended, &ended.run(), 2.0);
    for name in ["a", "b"] {
        assert_eq!(ended.job(name)["status"], "cancelled");
        timed_out(&ended.step(name, 1), "run");
    }
    assert_eq!(ended.job("c")["status"], "skipped");
    repo.plain(&["--timeout", "1s", "-j", "2"]).run().exits(1).says("timed out: the run may take 1").says("Raise `--timeout`");
}

/// The step after the timeout looks at all processes of the container for those of the one before.
fn survivors(image: &str, script: &str) -> Ended {
    let look = "for f in /proc/[0-9]*; do tr '\\0' ' ' <$f/cmdline 2>/dev/null | grep -q 'sleep 77[0-9]' && echo alive; done; true";
    let steps = json!([{"run": script, "timeout": "1s", "continue-on-error": true}, {"run": format!("sleep 0.1; {look}")}]);
    let ended = Repo::jobs(json!({"job": {"image": image, "steps": steps}})).json(&["--grace", "1s"]).run();
    ended.exits(0);
    ended
}

#[test]
fn all_of_a_step_is_gone_after_its_timeout_whatever_ignores_term() {
    for image in [BUSYBOX, NOSETSID] {
        // The shell dies of TERM, a child of it does not.
        let ended = survivors(image, "sh -c 'trap \"\" TERM; sleep 771; sleep 772' & sleep 773");
        timed_out(&ended.step("job", 1), "step");
        assert_eq!(ended.said("job", 2), "", "{image}");
        // The shell itself ignores it, and all its children with it.
        let ended = survivors(image, "trap '' TERM INT HUP; while :; do sleep 774; done");
        lasted(&ended, &ended.step("job", 1), 2.0);
        assert_eq!(ended.said("job", 2), "", "{image}");
    }
    // The control: without a timeout the look finds them.
    let ended = survivors(BUSYBOX, "sh -c 'trap \"\" TERM; sleep 775' & true");
    assert_eq!(ended.said("job", 2), "alive\n");
}

/// A shell whose command is killed first would go on with what comes after it.
#[test]
fn a_step_that_is_stopped_runs_nothing_more() {
    let script = "sleep 600 || true; echo went on; touch went-on";
    let job = |image: &str| json!({"image": image, "steps": [{"run": script, "timeout": "1s", "continue-on-error": true}, {"run": "[ ! -e went-on ]"}]});
    let ended = Repo::jobs(json!({"setsid": job(BUSYBOX), "nosetsid": job(NOSETSID)})).json(&["--keep-going", "-j", "2"]).run();
    ended.exits(0).never_says("went on\\n");
}

#[test]
fn a_fork_bomb_is_held_by_the_limit_and_torn_down() {
    // Its shell must not need to fork, or it ends by itself.
    let bomb = "mkfifo never; b() { b | b & }; b & read -r x <>never";
    let repo = Repo::jobs(json!({"job": {"image": BUSYBOX, "resources": {"pids": 64}, "timeout": "2s", "steps": [{"run": bomb}]}}));
    let ended = repo.json(&["--grace", "1s"]).run();
    ended.exits(1);
    let end = ended.job("job");
    timed_out(&end, "job");
    let took = end["duration_ms"].as_f64().unwrap();
    assert!(took < 4000.0, "2 s of timeout and {took} ms in all");
}
