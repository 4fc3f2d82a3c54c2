//! The engine fails, or what is on it is taken away: infrastructure, never success, never a failed step.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::support::{BUSYBOX, Ended, Engine, NOSETSID, PrivateEngine, Repo};

/// It ended as a failure of the machinery, and said so in every event.
#[track_caller]
fn infrastructure(ended: &Ended) {
    ended.exits(3);
    for end in [ended.step("job", 1), ended.job("job")] {
        assert_eq!((&end["status"], &end["cause"]["kind"]), (&json!("error"), &json!("infrastructure")), "{end}");
        assert_eq!(end["exit_code"], json!(null), "{end}");
    }
    assert_eq!(ended.run()["status"], "error");
}

#[test]
fn a_container_removed_from_outside_is_no_failure_of_the_step() {
    let repo = Repo::script(BUSYBOX, "echo running; sleep 600");
    let mut running = repo.json(&[]).spawn();
    running.wait_for("running\\n");
    let containers = running.containers();
    Engine::shared().docker(&["rm", "-f", &containers[0]]);
    let ended = running.end();
    infrastructure(&ended);
    assert!(ended.after_last_look < Duration::from_secs(5), "{:?}", ended.after_last_look);
    ended.says("removed from outside");
}

#[test]
fn a_step_that_kills_all_processes_is_never_a_success() {
    for image in [BUSYBOX, NOSETSID] {
        let ended = Repo::script(image, "kill -9 -1; sleep 5").json(&[]).run();
        infrastructure(&ended);
        ended.says("a step killed every process");
    }
}

#[test]
fn a_paused_container_does_not_hold_a_run_that_is_stopped() {
    let repo = Repo::script(BUSYBOX, "echo running; sleep 600");
    let mut running = repo.json(&["--grace", "1s"]).spawn();
    running.wait_for("running\\n");
    Engine::shared().docker(&["pause", &running.containers()[0]]);
    running.signal(Signal::INT).wait_for("interrupted");
    running.end().exits(130);
}

#[test]
fn without_an_engine_it_says_so_soon_and_what_to_do() {
    let repo = Repo::script(BUSYBOX, "true");
    let ended = repo.plain(&[]).without_engine();
    ended
        .exits(3)
        .says("no container engine answers")
        .says("start Docker or Podman")
        .says("/nonexistent/docker.sock: no such socket")
        .never_says("✓");
    assert!(ended.took < Duration::from_secs(2), "{:?}", ended.took);
}

#[test]
fn a_dockerd_that_dies_is_an_infrastructure_error() {
    let mut private = PrivateEngine::start(&[]);
    let repo = Repo::jobs(
        json!({"job": {"image": BUSYBOX, "network": "none", "steps": [{"run": "echo running; sleep 600"}]}}),
    );
    // The control: a whole daemon runs it.
    let quick = Repo::jobs(json!({"job": {"image": BUSYBOX, "network": "none", "steps": [{"run": "echo fine"}]}}));
    quick.json(&[]).engine(&private.engine).run().exits(0);
    for signal in ["KILL", "TERM"] {
        let mut running = repo.json(&["--grace", "1s"]).engine(&private.engine).spawn();
        running.wait_for("running\\n");
        private.signal(signal);
        let ended = running.wait();
        infrastructure(&ended);
        // A daemon that is asked to end stops its containers first, so either may be seen first.
        if signal == "KILL" {
            ended.says("the engine went away in the middle of the job");
        }
        assert!(ended.after_last_look < Duration::from_secs(20), "{signal}: {:?}", ended.after_last_look);
        private.restart();
        // What the daemon could not remove is gone after the next start.
        quick.json(&[]).engine(&private.engine).run().exits(0);
        private.engine.nothing_left(ended.pid, Duration::from_secs(2));
    }
    // A daemon that answers nothing more cannot hold a person who wants to go.
    let mut running = repo.json(&[]).engine(&private.engine).spawn();
    running.wait_for("running\\n");
    private.signal("STOP");
    running.signal(Signal::INT).wait_for("once more kills").signal(Signal::INT);
    let ended = running.wait();
    private.resume();
    ended.exits(130);
    assert!(ended.after_last_look < Duration::from_secs(5), "{:?}", ended.after_last_look);
    private.engine.nothing_left(ended.pid, Duration::from_secs(5));
}

#[test]
fn a_full_disk_of_the_engine_is_named_and_recovered_from() {
    let private = PrivateEngine::start(&["--disk", "60M"]);
    let pipeline =
        |script: &str| Repo::jobs(json!({"job": {"image": BUSYBOX, "network": "none", "steps": [{"run": script}]}}));
    let large = pipeline("true").file("large", vec![7; 100 << 20]);
    let ended = large.plain(&[]).engine(&private.engine).run();
    ended.exits(3).says("the engine's disk is full").says("`argon clean --workspaces --cache --images`");
    // A step that fills it fails by itself: it is the step's own doing.
    let ended = pipeline("dd if=/dev/zero of=large bs=1M count=200").plain(&[]).engine(&private.engine).run();
    ended.exits(1).says("No space left on device");
    pipeline("true").plain(&[]).engine(&private.engine).run().exits(0);
}
