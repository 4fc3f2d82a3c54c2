//! What a step sees: its environment, its streams, its signals, and what earlier steps left.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{BUSYBOX, Engine, NONROOT, NOSETSID, PYTHON, Repo};

#[test]
fn three_steps_run_in_their_order_in_one_container() {
    let repo = Repo::new(&format!(
        "
        version: 1.0
        jobs:
          build:
            image: {BUSYBOX}
            steps:
              - name: First
                run: echo one | tee file; hostname >host
              - name: Second
                run: cat file && echo two && [ $(hostname) = $(cat host) ]
              - run: echo three
        "
    ));
    let ended = repo.plain(&[]).run();
    ended
        .exits(0)
        .says("▸ First\none\n✓ First")
        .says("▸ Second\none\ntwo\n✓ Second")
        .says("▸ echo three\nthree\n✓ echo three");
    let ended = repo.json(&[]).run();
    ended.exits(0);
    let events = ended.events();
    let kinds: Vec<&str> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .filter(|kind| !["notice", "log"].contains(kind))
        .collect();
    let step = ["step.started", "step.finished"];
    let expected =
        [&["run.started", "job.queued", "job.started"][..], &step, &step, &step, &["job.finished", "run.finished"]]
            .concat();
    assert_eq!(kinds, expected);
    let seqs: Vec<u64> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=events.len() as u64).collect::<Vec<_>>());
}

#[test]
fn the_environment_of_the_command_line_wins_over_step_over_job_over_top() {
    let repo = Repo::new(&format!(
        "
        version: 1
        env: {{A: top, B: top, C: top, D: top}}
        jobs:
          job:
            image: {BUSYBOX}
            env: {{B: job, C: job, D: job}}
            steps:
              - run: echo $A $B $C $D $E
                env: {{C: step, D: step}}
              - run: echo $A $B $C $D $E; echo \"$CI $ARGON $ARGON_JOB $ARGON_WORKSPACE $PWD [$FORCE_COLOR] [$HIDDEN]\"
        "
    ));
    let file = repo.beside().join("vars");
    std::fs::write(&file, "D=file\nE=file\n").unwrap();
    let ended = repo.json(&["-e", "D=line", "--env-file", file.to_str().unwrap()]).env("HIDDEN", "of the user").run();
    ended.exits(0);
    assert_eq!(ended.said("job", 1), "top job step line file\n");
    assert_eq!(ended.said("job", 2), "top job job line file\ntrue true job /workspace /workspace [] []\n");
}

#[test]
fn values_arrive_as_they_are_whatever_is_in_them() {
    let hard = [
        "it's \"quoted\" `cmd` $(cmd) $HOME ${X}",
        "two\nlines\n\nand an empty one\n",
        "back\\slash \\n \\\\ \\",
        "ünïcödé \u{1f680} \u{2028}",
        " leading and trailing ",
        "* ? [a] ~ ! # & | ; < > ( ) {a,b}",
        "-n",
        "tab\tcr\rbell\u{7}",
        "",
        "'",
    ];
    let env: serde_json::Map<_, _> =
        hard.iter().enumerate().map(|(i, value)| (format!("V{i}"), json!(value))).collect();
    let script = (0..hard.len()).map(|i| format!("printf '%s\\0' \"$V{i}\"\n")).collect::<String>();
    let job = |image: &str| json!({"image": image, "steps": [{"run": script, "env": env}]});
    let ended = Repo::jobs(json!({"ash": job(BUSYBOX), "dash": job(NOSETSID)})).json(&[]).run();
    ended.exits(0);
    let expected: String = hard.iter().map(|value| format!("{value}\0")).collect();
    assert_eq!(ended.said("ash", 1), expected);
    assert_eq!(ended.said("dash", 1), expected);
}

/// Without stdin at /dev/null a step would read the supervisor's commands, and without care it would ignore SIGINT, as
/// asynchronous lists of a shell do.
#[test]
fn stdin_is_empty_and_no_signal_is_ignored_or_blocked() {
    let signals = "grep -E 'Sig(Ign|Blk)' /proc/self/status | tr -d '\\t'";
    let script = format!("wc -c; readlink /proc/self/fd/0; {signals}");
    // An engine hands on what was ignored where it was started itself; Argon adds nothing to that.
    let engine = Engine::shared();
    engine.ready();
    let plain = engine.docker(&["run", "--rm", "--init", BUSYBOX, "sh", "-c", signals]);
    let job = |image: &str| json!({"image": image, "steps": [{"run": script}]});
    let ended =
        Repo::jobs(json!({"busybox": job(BUSYBOX), "nosetsid": job(NOSETSID), "python": job(PYTHON)})).json(&[]).run();
    ended.exits(0);
    for name in ["busybox", "nosetsid", "python"] {
        assert_eq!(ended.said(name, 1).trim_end(), format!("0\n/dev/null\n{}", plain.trim_end()), "{name}");
    }
}

#[test]
fn shells_are_what_the_file_asks_for() {
    let repo = Repo::new(&format!(
        "
        version: 1
        jobs:
          job:
            image: {PYTHON}
            steps:
              - {{run: 'echo $0; false; echo not reached', continue-on-error: true}}
              - {{shell: bash, run: 'false | true; echo not reached', continue-on-error: true}}
              - {{shell: bash, run: '[[ x == x ]] && echo ${{BASH_VERSION%%.*}}'}}
              - {{shell: python, run: 'print(6 * 7)'}}
        "
    ));
    let ended = repo.json(&[]).run();
    ended.exits(0);
    assert_eq!(
        (1..=2).map(|step| ended.step("job", step)["exit_code"].as_i64()).collect::<Vec<_>>(),
        [Some(1), Some(1)]
    );
    assert!(!ended.text().contains("not reached\\n"));
    assert_eq!((ended.said("job", 3), ended.said("job", 4)), ("5\n".into(), "42\n".into()));
}

#[test]
fn a_background_process_lives_on_for_later_steps_and_holds_nothing_up() {
    let repo = Repo::new(&format!(
        "
        version: 1
        jobs:
          kept:
            image: {BUSYBOX}
            steps:
              - run: mkfifo asked; (cat asked; echo served >answer; sleep 600) &
              - run: echo question >asked; until [ -e answer ]; do sleep 0.02; done; cat answer
          daemon:
            image: {BUSYBOX}
            steps:
              - run: (setsid sh -c 'echo held; sleep 600' &); sleep 0.1
          ignoring:
            image: {NOSETSID}
            steps:
              - run: (trap '' TERM INT HUP; sleep 600) & echo on
        "
    ));
    let ended = repo.json(&["-j", "3"]).run();
    ended.exits(0);
    assert!(ended.said("kept", 2).contains("served\n"));
    assert_eq!(ended.said("daemon", 1), "held\n");
    assert!(ended.took.as_secs() < 8, "{:?}", ended.took);
}

#[test]
fn users_other_than_root_work_in_their_workspace() {
    let repo = Repo::new(&format!(
        "
        version: 1
        jobs:
          image:
            image: {NONROOT}
            steps:
              - run: id -u; touch new; mkdir -p sub/deeper; echo more >>sub/file; rm gone; sh sub/tool
          asked:
            image: {BUSYBOX}
            user: '4711'
            steps:
              - run: id -u; touch new; rm gone
        "
    ));
    let repo = repo.file("sub/file", "text\n").file("gone", "").file("sub/tool", "echo tool");
    let ended = repo.json(&[]).run();
    ended.exits(0);
    assert_eq!(ended.said("image", 1), "1000\ntool\n");
    assert_eq!(ended.said("asked", 1), "4711\n");
}

/// FAULTS 40.
#[test]
fn a_job_has_what_was_allowed_and_nothing_more() {
    let bounds = |security: Value, args: &[&str]| {
        let repo = Repo::jobs(json!({"job": {"image": BUSYBOX, "security": security,
            "steps": [{"run": "grep -E 'CapBnd|NoNewPrivs' /proc/self/status"}]}}));
        let ran = repo.json(args).run();
        ran.exits(0);
        let said = ran.said("job", 1);
        let field = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
        (u64::from_str_radix(&field("CapBnd:"), 16).unwrap(), field("NoNewPrivs:"))
    };
    const SYS_PTRACE: u64 = 1 << 19;
    const SYS_ADMIN: u64 = 1 << 21;
    let (none, locked) = bounds(json!({}), &["--allow", "privileged"]);
    assert_eq!((none & (SYS_PTRACE | SYS_ADMIN), locked.as_str()), (0, "1"), "allowed, and not asked for");
    let (some, locked) = bounds(json!({"capabilities": ["SYS_PTRACE"]}), &["--allow", "SYS_PTRACE"]);
    assert_eq!((some & (SYS_PTRACE | SYS_ADMIN), locked.as_str()), (SYS_PTRACE, "1"));
}

#[test]
fn a_step_and_a_job_are_tried_again_in_a_real_container() {
    let repo = Repo::jobs(json!({
        "step": {"image": BUSYBOX, "steps": [{"run": "echo x >> tries; echo \"out=$(wc -l < tries)\" >> $ARGON_OUTPUT; [ $(wc -l < tries) = 3 ]",
            "retry": {"max": 3, "backoff": "1s"}}]},
        "late": {"image": BUSYBOX, "steps": [{"run": "test -e t || { touch t; sleep 20; }", "timeout": "1s", "retry": {"max": 1, "when": "timeout"}}]},
        "job": {"image": BUSYBOX, "retry": 1, "steps": [{"run": "test ! -e left; touch left"}, {"run": "exit 4"}]},
    }));
    let ran = repo.json(&["-k"]).run();
    ran.exits(1);
    let retries: Vec<(Value, Value)> =
        ran.all("retry").iter().map(|retry| (retry["job"].clone(), retry["attempt"].clone())).collect();
    let of = |job: &str| retries.iter().filter(|(of, _)| of == job).count();
    assert_eq!((of("step"), of("late"), of("job")), (2, 1, 1), "{retries:?}");
    assert_eq!(
        (ran.step("step", 1)["status"].clone(), ran.step("step", 1)["outputs"]["out"].clone()),
        (json!("success"), json!("3"))
    );
    assert!(ran.step("step", 1)["duration_ms"].as_f64().unwrap() > 3000.0, "the waits count: 1 s and 2 s");
    assert_eq!(ran.job("late")["status"], "success");
    assert_eq!(ran.job("job")["exit_code"], 4);
    repo.plain(&["step"]).run().exits(0).says("try 2 of 4 of step 1");
}

#[test]
fn every_output_shows_the_tries() {
    let step = "echo x >> t; echo try $(wc -l < t); [ $(wc -l < t) = 3 ]";
    let repo = Repo::jobs(json!({
        "flaky": {"image": BUSYBOX, "steps": [{"name": "unit", "run": step, "retry": 2}]},
        "bad": {"image": BUSYBOX, "retry": 1, "steps": [{"name": "fine", "run": "echo fine"}, {"name": "never", "run": "echo again; exit 4"}]},
    }));
    let report = repo.beside().join("report.xml");
    repo.plain(&["-k", "-q", "--junit", report.to_str().unwrap()]).run().exits(1).says("try 2 of 2");
    let report = std::fs::read_to_string(report).unwrap();
    let case = |name: &str| {
        report
            .split(&format!("<testcase name=\"{name}\""))
            .nth(1)
            .unwrap()
            .split("</testcase>")
            .next()
            .unwrap()
            .to_owned()
    };
    let (unit, never) = (case("unit"), case("never"));
    assert_eq!(unit.matches("<flakyFailure type=\"failure\" message=\"exit code 1\">").count(), 2, "{unit}");
    assert!(unit.contains("<system-out>try 1\n") && !unit.contains("<failure"), "{unit}");
    assert!(never.contains("<failure") && never.matches("<rerunFailure").count() == 1, "{never}");
    assert!(report.contains("tests=\"3\" failures=\"1\""), "{report}");

    repo.argon(&["runs", "1"])
        .without_engine()
        .exits(0)
        .says("    try 1 of 3 failed: exit code 1\n    try 2 of 3 failed: exit code 1\n")
        .says("  try 1 of 2 of the job failed: step 2 (never) failed\n");
    let run = repo.argon(&["runs", "1", "--json"]).without_engine();
    let run: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(run["jobs"][1]["tries"][1], json!({"step": 1, "attempt": 2, "of": 3, "message": "exit code 1"}));
    repo.argon(&["logs", "--job", "flaky"])
        .without_engine()
        .exits(0)
        .says("try 1\n… try 1 of 3 failed: exit code 1\ntry 2\n… try 2 of 3 failed: exit code 1\ntry 3\n");
    repo.argon(&["logs", "--step", "never"])
        .without_engine()
        .exits(0)
        .says("again\n… try 1 of 2 of the job failed: step 2 (never) failed\nagain\n");
    let raw = repo.argon(&["logs", "--job", "flaky", "--raw"]).without_engine();
    assert_eq!(raw.text(), "try 1\ntry 2\ntry 3\n");
    repo.plain(&["-q", "flaky"]).run().exits(0).says("flaky: step 1 at try 3 of 3");
    repo.plain(&["flaky"]).run().exits(0).says("try 2 of 3 of step 1");
}

/// The try that failed was once told as the step's end, and what runs always was killed at once.
#[test]
fn the_time_of_a_job_that_is_over_between_two_tries_is_what_ends_it() {
    let repo = Repo::jobs(json!({"job": {"image": BUSYBOX, "timeout": "3s", "steps": [
        {"run": "exit 3", "retry": {"max": 3, "backoff": "1h"}},
        {"run": "sleep 1; echo cleaned", "if": "always()"}]}}));
    let ran = repo.json(&[]).run();
    ran.exits(1);
    for end in [ran.step("job", 1), ran.job("job")] {
        assert_eq!((&end["status"], &end["cause"]["kind"]), (&json!("failure"), &json!("timed-out")), "{end}");
        assert_eq!((&end["cause"]["scope"], &end["exit_code"]), (&json!("job"), &Value::Null), "{end}");
    }
    assert_eq!((ran.said("job", 2).as_str(), &ran.step("job", 2)["status"]), ("cleaned\n", &json!("success")));
}

/// The job was once said to be tried again, and the step to have failed.
#[test]
fn an_interruption_between_two_tries_of_a_step_cancels_step_and_job() {
    let repo = Repo::jobs(json!({"job": {"image": BUSYBOX, "retry": {"max": 3, "backoff": "30s"},
        "steps": [{"run": "exit 3", "retry": {"max": 3, "backoff": "30s"}}, {"run": "echo never"}]}}));
    let mut run = repo.json(&[]).spawn();
    run.wait_for("\"retry\"");
    std::thread::sleep(Duration::from_millis(200));
    run.signal(Signal::INT);
    let ran = run.end();
    ran.exits(130);
    assert_eq!(ran.all("retry").len(), 1, "the job is not to be tried again");
    let statuses = [ran.step("job", 1), ran.step("job", 2), ran.job("job")].map(|end| end["status"].clone());
    assert_eq!(statuses, ["cancelled", "skipped", "cancelled"]);
}

#[test]
fn an_interruption_between_two_tries_of_a_job_cancels_it_and_its_steps_are_not_left_waiting() {
    let repo = Repo::jobs(
        json!({"job": {"image": BUSYBOX, "retry": {"max": 1, "backoff": "30s"}, "steps": [{"run": "exit 3"}]}}),
    );
    let mut run = repo.json(&[]).spawn();
    run.wait_for("\"retry\"");
    run.signal(Signal::INT);
    let ran = run.end();
    ran.exits(130);
    assert_eq!(ran.job("job")["status"], "cancelled");
    repo.argon(&["runs", "1"]).without_engine().exits(0).says("exit 3").never_says("queued");
    let run = repo.argon(&["runs", "1", "--json"]).without_engine();
    let run: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(run["jobs"][0]["steps"][0]["status"], "skipped");
}
