//! Why a step did not succeed: each reason is told as itself, and nothing else is told as it.

use serde_json::{Value, json};

use crate::support::{BUSYBOX, NOSETSID, NOSHELL, PYTHON, Repo};

/// Runs each as a job of its own; compares each first step's status, exit code and cause.
#[track_caller]
fn causes(cases: &[(&str, Value, Value)]) {
    let mut jobs = serde_json::Map::new();
    for (name, job, _) in cases {
        jobs.insert((*name).to_owned(), job.clone());
    }
    let ended = Repo::jobs(jobs.into()).json(&["--keep-going", "-j", "3"]).run();
    ended.exits(1);
    for (name, _, expected) in cases {
        let step = ended.step(name, 1);
        let seen = json!([step["status"], step["exit_code"], step["cause"]]);
        assert_eq!(&seen, expected, "{name}: {}", String::from_utf8_lossy(&ended.log(name, 1, "stdout")));
    }
}

fn job(image: &str, script: &str) -> Value {
    json!({"image": image, "steps": [{"run": script}]})
}

#[allow(clippy::needless_pass_by_value, reason = "a `json!` at the call reads best")]
fn step(image: &str, step: Value) -> Value {
    json!({"image": image, "steps": [step]})
}

#[test]
fn every_way_to_fail_is_told_as_what_it_is() {
    let exit = |code: i32| json!(["failure", code, {"kind": "exit", "code": code}]);
    let missing = |command: &str| json!(["failure", 127, {"kind": "command-not-found", "command": command}]);
    let signal = |signal: i32| json!(["failure", 128 + signal, {"kind": "signal", "signal": signal}]);
    causes(&[
        ("one", job(BUSYBOX, "false"), exit(1)),
        ("three", job(BUSYBOX, "exit 3"), exit(3)),
        ("most", job(BUSYBOX, "exit 255"), exit(255)),
        ("syntax", job(BUSYBOX, "if"), exit(2)),
        ("missing", job(BUSYBOX, "echo before; pyhton main.py"), missing("pyhton")),
        ("missing-dash", job(NOSETSID, "pyhton main.py"), missing("pyhton")),
        ("missing-bash", step(PYTHON, json!({"shell": "bash", "run": "pyhton main.py"})), missing("pyhton")),
        ("killed", job(BUSYBOX, "kill -9 $$"), signal(9)),
        ("crashed", job(BUSYBOX, "kill -SEGV $$"), signal(11)),
        ("own-137", job(BUSYBOX, "exit 137"), signal(9)),
        (
            "shell",
            step(BUSYBOX, json!({"shell": "bash", "run": "true"})),
            json!(["failure", null, {"kind": "shell-not-found", "shell": "bash"}]),
        ),
        (
            "folder",
            step(BUSYBOX, json!({"working-directory": "no/such", "run": "true"})),
            json!(["failure", null, {"kind": "working-directory", "directory": "/workspace/no/such"}]),
        ),
    ]);
}

#[test]
fn out_of_memory_is_told_from_other_kills() {
    const LIMIT: u64 = 32 << 20;
    let limited = |script: &str| json!({"image": BUSYBOX, "resources": {"memory": "32MiB"}, "steps": [{"run": script}, {"run": "true"}]});
    let oom = json!(["failure", 137, {"kind": "out-of-memory", "limit_bytes": LIMIT}]);
    let hog_in_the_shell = "x=0123456789abcdef; while :; do x=$x$x; done";
    causes(&[
        ("child", limited("tail /dev/zero"), oom.clone()),
        ("shell", limited(hog_in_the_shell), oom.clone()),
        ("exec", limited("exec tail /dev/zero"), oom),
        (
            "grandchild",
            limited("sh -c 'sh -c \"tail /dev/zero; true\"; exit 3'"),
            json!(["failure", 3, {"kind": "out-of-memory", "limit_bytes": LIMIT}]),
        ),
        ("not-memory", limited("sh -c 'kill -9 $$'"), json!(["failure", 137, {"kind": "signal", "signal": 9}])),
        // The control: the same hog, small enough.
        (
            "small",
            limited("head -c 1000000 /dev/zero | tail >/dev/null; exit 137"),
            json!(["failure", 137, {"kind": "signal", "signal": 9}]),
        ),
    ]);
}

#[test]
fn a_step_that_outlives_an_out_of_memory_kill_is_told_of_it() {
    let job = json!({"image": BUSYBOX, "resources": {"memory": "32MiB"}, "steps": [{"run": "tail /dev/zero || echo went on"}]});
    let ended = Repo::jobs(json!({"job": job})).plain(&[]).run();
    ended.exits(0).says("went on").says("warning: the kernel killed a process of step 1 for want of memory");
}

#[test]
fn what_went_wrong_is_said_in_words_with_what_to_do() {
    for (job, words) in [
        (job(BUSYBOX, "pyhton main.py"), &["`pyhton`: command not found in image argon-dev/busybox", "Install it"][..]),
        (
            step(BUSYBOX, json!({"shell": "bash", "run": "true"})),
            &["the shell `bash` is not in image argon-dev/busybox", "Set `shell:`"],
        ),
        (
            step(BUSYBOX, json!({"working-directory": "dist", "run": "true"})),
            &["the working directory /workspace/dist does not exist", "Make it in an earlier step"],
        ),
        (
            json!({"image": BUSYBOX, "resources": {"memory": "32MiB"}, "steps": [{"run": "tail /dev/zero"}]}),
            &["out of memory: the job may use 32 MiB", "memory: 64MiB"],
        ),
    ] {
        let ended = Repo::jobs(json!({"job": job})).plain(&[]).run();
        ended.exits(1).says("rerun: argon run job");
        for words in words {
            ended.says(words);
        }
    }
}

#[test]
fn an_image_without_a_shell_and_a_missing_image_are_no_fault_of_the_job() {
    let ended = Repo::script(NOSHELL, "true").plain(&[]).run();
    ended.exits(3).says("the image argon-dev/noshell has no `sh`").says("use an image with a shell");
    let ended = Repo::script("argon-dev/never-made:1", "true").plain(&["--pull", "never"]).run();
    ended.exits(3).says("argon-dev/never-made:1").never_says("✓");
    let ended = Repo::script("argon-dev/never-made:1", "true").json(&["--pull", "never"]).run();
    ended.exits(3);
    assert_eq!((&ended.job("job")["status"], &ended.run()["status"]), (&json!("error"), &json!("error")));
}
