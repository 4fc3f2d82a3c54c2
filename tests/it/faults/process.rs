//! Argon itself is stopped, killed, or not listened to.

use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::support::{BUSYBOX, Engine, NOSETSID, Repo};

#[test]
fn every_polite_signal_cancels_the_run() {
    let repo = Repo::script(BUSYBOX, "trap 'echo tidied; exit 1' TERM; echo running; sleep 600 & wait");
    let all = [Signal::INT, Signal::TERM, Signal::HUP].map(|signal| (signal, repo.json(&[]).spawn()));
    for (signal, mut running) in all {
        running.wait_for("running\\n").signal(signal);
        let ended = running.end();
        ended.exits(130);
        assert!(ended.after_last_look < Duration::from_secs(3), "{:?}", ended.after_last_look);
        let end = ended.step("job", 1);
        assert_eq!((&end["status"], &end["cause"]["kind"]), (&json!("cancelled"), &json!("interrupted")));
        assert_eq!(ended.run()["status"], "cancelled");
        assert!(ended.said("job", 1).contains("tidied"), "the step had its TERM");
    }
}

#[test]
fn a_step_that_ignores_term_dies_at_the_grace() {
    let repo = Repo::script(BUSYBOX, "trap '' TERM INT; echo running; while :; do sleep 0.1; done");
    let mut running = repo.json(&["--grace", "1s"]).spawn();
    running.wait_for("running\\n").signal(Signal::INT);
    let ended = running.end();
    ended.exits(130);
    let took = ended.after_last_look;
    assert!(took > Duration::from_millis(900) && took < Duration::from_secs(3), "{took:?}");
}

/// The control is the test above: one signal takes as long as the grace.
#[test]
fn a_second_signal_ends_everything_at_once() {
    let repo = Repo::script(BUSYBOX, "trap '' TERM INT; echo running; while :; do sleep 0.1; done");
    let mut running = repo.plain(&["--grace", "30s"]).spawn();
    running.wait_for("\nrunning\n").signal(Signal::INT).wait_for("once more kills them at once");
    running.signal(Signal::INT);
    let ended = running.end();
    ended.exits(130);
    assert!(ended.after_last_look < Duration::from_secs(2), "{:?}", ended.after_last_look);
}

#[test]
fn kill_9_of_argon_leaves_nothing() {
    let stubborn = "trap '' TERM INT HUP; (setsid sh -c 'trap \"\" TERM HUP; sleep 600' &); echo running; while :; do sleep 1; done";
    let (with, without) = (Repo::script(BUSYBOX, stubborn), Repo::script(NOSETSID, &stubborn.replace("setsid ", "")));
    let all = [&with, &without, &with, &without, &with].map(|repo| repo.plain(&[]).spawn());
    for mut running in all {
        running.wait_for("\nrunning\n");
        assert_eq!(running.containers().len(), 1, "the look at the engine sees the container");
        running.signal(Signal::KILL);
        // `end` looks for what is left after 1.5 s.
        assert!(!running.end().status.success());
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_run_without_a_word() {
    for script in ["i=0; while :; do echo line $i; i=$((i + 1)); done", "sleep 0.5; echo late; sleep 600"] {
        let ended = Repo::script(BUSYBOX, script).plain(&["-v"]).read_little().run();
        ended.exits(130);
        let words = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!words.contains("roken pipe") && !words.contains("error"), "{words}");
        assert!(ended.took < Duration::from_secs(4), "{:?}", ended.took);
    }
}

#[test]
fn a_signal_at_any_moment_of_the_start_leaves_nothing() {
    let repo = Repo::script(BUSYBOX, "sleep 600");
    let moments = [0, 40, 80, 120, 160, 200, 250, 300, 400].map(Duration::from_millis);
    let stopped = |signal, moment| {
        let mut running = repo.plain(&[]).spawn();
        std::thread::sleep(moment);
        running.signal(signal);
        running.wait()
    };
    std::thread::scope(|scope| {
        let polite = scope.spawn(|| {
            for moment in moments.into_iter().skip(1) {
                let ended = stopped(Signal::INT, moment);
                Engine::shared().nothing_left(ended.pid, Duration::from_millis(1500));
                ended.exits(130);
            }
        });
        let killed: Vec<_> = moments.into_iter().map(|moment| stopped(Signal::KILL, moment)).collect();
        // One that was made and not started yet has nobody who would notice; the next run does.
        Repo::script(BUSYBOX, "true").plain(&[]).run().exits(0);
        for ended in killed {
            Engine::shared().nothing_left(ended.pid, Duration::from_millis(1500));
        }
        polite.join().unwrap();
    });
}

/// The run waits for its reader, so what a step wrote is not lost; but a person can always end it.
#[test]
fn a_reader_that_stalls_cannot_hold_a_run_that_is_stopped() {
    let repo = Repo::script(BUSYBOX, "yes");
    let all = [repo.plain(&[]), repo.json(&[])].map(|argon| argon.read_nothing().spawn());
    for mut running in all {
        running.wait_for_container();
        std::thread::sleep(Duration::from_millis(700));
        running.signal(Signal::INT);
        std::thread::sleep(Duration::from_millis(100));
        running.signal(Signal::INT);
        let ended = running.end();
        ended.exits(130);
        assert!(ended.after_last_look < Duration::from_secs(3), "{:?}", ended.after_last_look);
    }
}

#[test]
fn what_a_dead_owner_left_is_swept_and_a_living_one_s_stays() {
    let engine = Engine::shared();
    engine.ready();
    let mut child = Command::new("sleep").arg("600").spawn().unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let start = stat.rsplit_once(") ").unwrap().1.split(' ').nth(19).unwrap().to_owned();
    let mine = argon::execute::Owner::current().to_label();
    let place: Vec<&str> = mine.split('/').take(3).collect();
    let label = |pid: u32, start: &str| format!("dev.argon.owner={}/{pid}/{start}", place.join("/"));
    let leave = |owner: &str| {
        let labels = ["--label", owner, "--label", "dev.argon.run=swept", "--label", "dev.argon.job=swept"];
        engine.docker(
            &[&["run", "-d", "--rm", "--init", "--network", "none"][..], &labels, &[BUSYBOX, "sleep", "600"]].concat(),
        )
    };
    // The same pid at another time is another process.
    let dead = leave(&label(child.id(), "1"));
    let alive = leave(&label(child.id(), &start));
    Repo::script(BUSYBOX, "sleep 0.5").plain(&[]).run().exits(0);
    let there = engine.docker(&["ps", "-aq", "--no-trunc"]);
    engine.docker(&["rm", "-f", &alive]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!there.contains(&dead), "the dead one's container is swept");
    assert!(there.contains(&alive), "the living one's container stays");
}
