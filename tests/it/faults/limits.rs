//! Timeouts and limits: each ends what it should, once, in time, with all that it started.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{BUSYBOX, Ended, Engine, NOSETSID, PYTHON, Repo};

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
fn a_step_that_ends_well_on_term_has_timed_out_all_the_same() {
    let script = "trap 'echo tidied; exit 0' TERM; sleep 600 & wait";
    let ended =
        Repo::jobs(json!({"job": {"image": BUSYBOX, "steps": [{"run": script, "timeout": "1s"}]}})).json(&[]).run();
    ended.exits(1);
    let end = ended.step("job", 1);
    timed_out(&end, "step");
    assert_eq!((&end["status"], &end["exit_code"]), (&json!("failure"), &json!(0)));
    assert!(ended.said("job", 1).contains("tidied"));
}

#[test]
fn a_job_s_timeout_spans_its_steps() {
    let repo = Repo::jobs(
        json!({"job": {"image": BUSYBOX, "timeout": "2s", "steps": [{"run": "sleep 0.5"}, {"run": "sleep 600"}, {"run": "true"}]}}),
    );
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
    repo.plain(&["--timeout", "1s", "-j", "2"])
        .run()
        .exits(1)
        .says("timed out: the run may take 1")
        .says("Raise `--timeout`");
}

/// The step after the timeout looks at all processes of the container for those of the one before.
#[test]
fn all_of_a_step_is_gone_after_its_timeout_whatever_ignores_term() {
    let look = "sleep 0.1; for f in /proc/[0-9]*; do tr '\\0' ' ' <$f/cmdline 2>/dev/null | grep -q 'sleep 77[0-9]' && echo alive; done; true";
    let job = |image: &str, script: &str| json!({"image": image, "steps": [{"run": script, "timeout": "1s", "continue-on-error": true}, {"run": look}]});
    // In the one the shell dies of TERM and a child of it does not; in the other nobody does.
    let child = "sh -c 'trap \"\" TERM; sleep 771; sleep 772' & sleep 773";
    let all = "trap '' TERM INT HUP; while :; do sleep 774; done";
    let jobs = json!({
        "child": job(BUSYBOX, child), "all": job(BUSYBOX, all),
        "child-nosetsid": job(NOSETSID, child), "all-nosetsid": job(NOSETSID, all),
        // The control: of a step without a timeout the look finds what it left.
        "control": job(BUSYBOX, "sh -c 'trap \"\" TERM; sleep 775' & true"),
    });
    let ended = Repo::jobs(jobs).json(&["--grace", "1s", "-j", "5"]).run();
    ended.exits(0);
    for (name, seconds) in [("child", 1.0), ("all", 2.0), ("child-nosetsid", 1.0), ("all-nosetsid", 2.0)] {
        timed_out(&ended.step(name, 1), "step");
        lasted(&ended, &ended.step(name, 1), seconds);
        assert_eq!(ended.said(name, 2), "", "{name}");
    }
    assert_eq!(ended.said("control", 2), "alive\n");
}

/// The supervisor as it is sent, in a container of its own, with the commands in the order of a very slow start.
#[test]
fn a_signal_that_comes_before_its_step_began_is_not_lost() {
    let supervisor = include_str!("../../../src/execute/supervisor.sh");
    let nonce = "0123456789abcdef0123456789abcdef";
    for image in [BUSYBOX, NOSETSID, PYTHON] {
        let talk = |kill: &str| {
            let mut command = Command::new("docker");
            command.args([
                "run",
                "-i",
                "--rm",
                "--init",
                "--network",
                "none",
                "--tmpfs",
                "/run/argon",
                "--entrypoint",
                "sh",
                image,
            ]);
            command.args(["-c", supervisor, "argon", "/run/argon"]);
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
            let mut stdin = child.stdin.take().unwrap();
            write!(stdin, "{nonce}\nput 0\nsleep 0.2; echo went on\n{nonce}\n{kill}run 0\n").unwrap();
            let mut said = String::new();
            let mut lines = BufReader::new(child.stdout.take().unwrap());
            while !said.contains(" end 0 ") && lines.read_line(&mut said).unwrap() > 0 {}
            drop(stdin);
            child.wait().unwrap();
            said
        };
        Engine::shared().ready();
        let said = talk("kill TERM 0\n");
        assert!(said.contains("end 0 143 ") && !said.contains("went on"), "{image}: {said}");
        // The control: without the signal the step runs.
        let said = talk("");
        assert!(said.contains("went on\n") && said.contains("end 0 0 "), "{image}: {said}");
    }
}

/// A shell whose command is killed first would go on with what comes after it.
#[test]
fn a_step_that_is_stopped_runs_nothing_more() {
    // The many others make a walk from process to process slow enough to be seen.
    let script =
        "sleep 600 || { echo went on; touch went-on; } & i=0; while [ $i -lt 40 ]; do sleep 500 & i=$((i + 1)); done
        wait";
    let job = |image: &str| json!({"image": image, "steps": [{"run": script, "timeout": "1s", "continue-on-error": true}, {"run": "[ ! -e went-on ]"}]});
    let ended =
        Repo::jobs(json!({"setsid": job(BUSYBOX), "nosetsid": job(NOSETSID)})).json(&["--keep-going", "-j", "2"]).run();
    ended.exits(0).never_says("went on\\n");
}

#[test]
fn a_fork_bomb_is_held_by_the_limit_and_torn_down() {
    // Its shell must not need to fork, or it ends by itself.
    let bomb = "mkfifo never; b() { b | b & }; b & read -r x <>never";
    let repo = Repo::jobs(
        json!({"job": {"image": BUSYBOX, "resources": {"pids": 64}, "timeout": "2s", "steps": [{"run": bomb}]}}),
    );
    let ended = repo.json(&["--grace", "1s"]).run();
    ended.exits(1);
    let end = ended.job("job");
    timed_out(&end, "job");
    let took = end["duration_ms"].as_f64().unwrap();
    assert!(took < 4000.0, "2 s of timeout and {took} ms in all");
}
