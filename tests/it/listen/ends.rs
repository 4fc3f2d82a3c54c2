//! How runs of a listener end, and who hears of it: also those that nobody worked on, and while the disk is full.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{Disk, Forge, end, wait};
use crate::dashboard::{Session, printed};
use crate::notify::web::{Web, answer};
use crate::support::{Argon, BUSYBOX, Running};
use crate::webhook::SECRET;

/// A listener whose forge is told statuses.
struct Announced {
    forge: Forge,
    api: Web,
}

impl Announced {
    fn new() -> Self {
        Self { forge: Forge::script("sleep ${NAP:-0}"), api: Web::start(answer(201, "", "{}")) }
    }

    fn listener(&self, args: &[&str]) -> Argon {
        let forge = &self.forge;
        let config = format!(
            "bind = \"{}\"\n[[repository]]\nurl = {:?}\nname = \"team/app\"\n\
             status = {{ forge = \"github\", api = \"{}\", token = {{ env = \"FORGE_TOKEN\" }}, project = \"team/app\" }}\n",
            forge.address,
            forge.bare(),
            self.api.url("/api"),
        );
        let file = forge.repo.beside().join("listen.toml");
        std::fs::write(&file, config).unwrap();
        let args = [&["listen", "--config", file.to_str().unwrap()], args].concat();
        forge.repo.argon(&args).env("ARGON_WEBHOOK_SECRET", SECRET).env("FORGE_TOKEN", "a token")
    }

    /// A run that the forge knows as pending, and that waits again.
    fn handed_back(&self) -> String {
        let mut running = self.listener(&["--drain", "1s", "-e", "NAP=30"]).spawn();
        running.wait_for("Argon listens for");
        let pushed = self.forge.push("main", &self.forge.commit(), "1");
        running.wait_for_container();
        wait(|| self.states().len() == 1);
        end(running).exits(0);
        assert_eq!(self.forge.entries()[0].state, "queued");
        pushed.body["run"].as_str().unwrap().to_owned()
    }

    /// One that takes deliveries, and begins nothing.
    fn idle(&self) -> Running {
        let mut running = self.listener(&[]).env("DOCKER_HOST", "unix:///nonexistent/docker.sock").spawn();
        running.wait_for("Argon listens for");
        running
    }

    /// What the forge was told: commit, state and words.
    fn states(&self) -> Vec<[String; 3]> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let told = self.api.all().into_iter().map(|posted| {
            let body = posted.json();
            let commit = posted.line.split(' ').nth(1).unwrap().rsplit('/').next().unwrap().to_owned();
            [commit, text(&body["state"]), text(&body["description"])]
        });
        told.collect()
    }
}

/// It stayed pending at the forge for ever, and nowhere in the history.
#[test]
fn a_run_that_was_told_pending_and_is_superseded_while_it_waits_is_told_so() {
    let announced = Announced::new();
    let (forge, first) = (&announced.forge, announced.forge.commit());
    let old = announced.handed_back();
    let running = announced.idle();
    forge.repo.git(&["commit", "-q", "--allow-empty", "-m", "newer"]);
    forge.repo.git(&["push", "-q", "../app.git", "main"]);
    let new = forge.push("main", &forge.commit(), "2").body["run"].as_str().unwrap().to_owned();
    let words = format!("superseded by run {new}: a newer push");
    wait(|| announced.states().len() == 2);
    assert_eq!(announced.states()[1], [first, "error".to_owned(), words.clone()]);
    wait(|| forge.runs()[0]["message"] == json!(words));
    assert_eq!((&forge.runs()[0]["id"], &forge.runs()[0]["status"]), (&json!(old), &json!("skipped")));
    end(running).exits(0);
    let running = announced.idle();
    // One that the forge was never told of is in the history alone.
    let newest = forge.push("main", &"1".repeat(40), "3").body["run"].as_str().unwrap().to_owned();
    wait(|| forge.runs().len() == 2);
    let words = format!("superseded by run {newest}: a newer push");
    let runs = forge.runs();
    let superseded = runs.iter().find(|run| run["id"] == json!(new)).unwrap();
    assert_eq!((&superseded["message"], &superseded["branch"]), (&json!(words), &json!("main")));
    assert_eq!(superseded["commit"], json!(forge.commit()));
    end(running).exits(0);
    assert_eq!(announced.states().len(), 2);
}

#[test]
fn a_run_that_was_told_pending_and_is_cancelled_while_it_waits_is_told_so() {
    let announced = Announced::new();
    let run = announced.handed_back();
    let mut running = announced.idle();
    let session = Session::of(&printed(&mut running, &format!("http://{}/login/", announced.forge.address)));
    // The worker has it in its hands now and then, to see that there is no engine.
    wait(|| session.press(&format!("/runs/{run}/cancel"), "").0 == 303 || announced.forge.outcomes().len() == 1);
    wait(|| announced.states().len() == 2);
    let words = "it was cancelled on the dashboard".to_owned();
    assert_eq!(announced.states()[1], [announced.forge.commit(), "error".to_owned(), words.clone()]);
    wait(|| announced.forge.runs()[0]["message"] == json!(words));
    assert_eq!(announced.forge.runs()[0]["status"], json!("cancelled"));
    end(running).exits(0);
}

/// A run of which the commit went away between its tries.
#[test]
fn a_run_that_was_told_pending_and_turns_out_to_be_gone_is_told_so() {
    let announced = Announced::new();
    announced.handed_back();
    let forge = &announced.forge;
    std::fs::remove_dir_all(forge.bare()).unwrap();
    forge.repo.git(&["checkout", "-q", "--orphan", "other"]);
    forge.repo.git(&["commit", "-q", "--allow-empty", "-m", "rewritten"]);
    forge.repo.git(&["clone", "-q", "--bare", "--no-local", "--single-branch", ".", "../app.git"]);
    let mut running = announced.listener(&[]).spawn();
    running.wait_for("Argon listens for");
    assert_eq!(forge.outcomes(), ["ref-gone"]);
    wait(|| announced.states().len() == 2);
    assert_eq!(announced.states()[1][1], "error");
    end(running).exits(0);
}

/// FAULTS 12, with a run going on. Its record stopped at what could be written, and said `running` for as long as the listener lived.
#[test]
fn a_disk_that_is_full_while_a_run_goes_on_leaves_no_run_running_in_the_history() {
    let forge = Forge::script("sleep 2; yes 'a line of output' | head -c 400000; sleep 1");
    let disk = Disk::of("3M", forge.repo.home().join("state"));
    let mut running = forge.listen(&[]);
    forge.push("main", &forge.commit(), "1");
    running.wait_for_container();
    wait(|| forge.runs().len() == 1);
    let filler = disk.fill();
    wait(|| running.told().contains("its record is not whole"));
    std::fs::remove_file(&filler).unwrap();
    assert_eq!(forge.outcomes(), ["success"]);
    wait(|| forge.runs()[0]["status"] == json!("success"));
    let run = &forge.runs()[0];
    assert!(run["message"].as_str().unwrap().contains("its record is not whole"), "{run:#}");
    assert!(run["duration_ms"].as_f64().unwrap() > 1000.0, "{run:#}");
    // The next one is recorded as ever.
    forge.push("topic/x", &forge.commit(), "2");
    assert_eq!(forge.outcomes(), ["success", "success"]);
    assert_eq!(forge.runs()[0]["message"], Value::Null);
    end(running).exits(0).never_says("damaged");
}

/// FAULTS 5 and 12 at once: it ends in time, and what it could not store is not lost.
#[test]
fn a_listener_that_is_told_to_end_while_the_disk_is_full_ends_in_time_and_the_run_goes_on_later() {
    let forge = Forge::script("sleep ${NAP:-0}");
    let disk = Disk::of("3M", forge.repo.home().join("state"));
    let mut running = forge.listen(&["--drain", "1s", "-e", "NAP=30"]);
    forge.push("main", &forge.commit(), "1");
    running.wait_for_container();
    let filler = disk.fill();
    let began = Instant::now();
    running.signal(Signal::TERM);
    running.end().exits(0);
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    std::fs::remove_file(&filler).unwrap();
    let running = forge.listen(&[]);
    assert_eq!(forge.outcomes(), ["success"]);
    assert_eq!((forge.runs().len(), &forge.runs()[0]["status"]), (1, &json!("success")));
    end(running).exits(0).never_says("damaged");
}

/// With one run at once the newcomer only waited, and the old run ended by itself.
#[test]
fn a_newcomer_has_the_run_of_its_group_cancelled_that_holds_the_only_place() {
    for limits in ["runs = 1", "runs = 2\nruns-per-repository = 1"] {
        let forge = Forge::new(
            &json!({"version": 1, "on": {"push": {"branches": ["main", "topic/*"]}},
                "concurrency": {"group": "deploy-${{ startsWith(branch, 'topic/b') }}", "cancel-in-progress": true},
                "jobs": {"job": {"image": BUSYBOX, "steps": [{"run": "[ \"$ARGON_BRANCH\" != main ] || sleep 25"}]}}})
            .to_string(),
        );
        let file = forge.repo.beside().join("listen.toml");
        let config = format!("bind = \"{}\"\n{limits}\n[[repository]]\nurl = {:?}\n", forge.address, forge.bare());
        std::fs::write(&file, config).unwrap();
        let listener = forge.repo.argon(&["listen", "--config", file.to_str().unwrap()]);
        let mut running = listener.env("ARGON_WEBHOOK_SECRET", SECRET).spawn();
        running.wait_for("Argon listens for");
        forge.push("main", &forge.commit(), "1");
        running.wait_for_container();
        // Not wanted by `on`; of another group: neither touches the run.
        forge.push("other", &forge.commit(), "2");
        forge.push("topic/b", &forge.commit(), "3");
        std::thread::sleep(Duration::from_secs(4));
        assert_eq!(forge.entries()[0].state, "leased");
        let began = Instant::now();
        let newcomer = forge.push("topic/a", &forge.commit(), "4").body["run"].as_str().unwrap().to_owned();
        wait(|| forge.entries()[0].state == "done");
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        assert_eq!(forge.outcomes(), ["cancelled", "not-triggered", "success", "success"]);
        let runs = forge.runs();
        let why = runs.last().unwrap()["message"].as_str().unwrap();
        assert!(why.contains("concurrency group") && why.contains(&newcomer), "{why}");
        end(running).exits(0);
    }
}

/// What a run had come to while it was being stopped was thrown away, and it ran twice to an end.
#[test]
fn a_run_that_ends_while_the_listener_ends_is_over() {
    let forge = Forge::script("sleep 2; exit ${CODE:-1}");
    let mut running = forge.listen(&["--drain", "1s", "-e", "CODE=0"]);
    forge.push("main", &forge.commit(), "1");
    running.wait_for_container();
    wait(|| forge.runs().len() == 1);
    // The end of its step cannot be recorded for a while, so that its own end falls between the stop and the listener's.
    let lock = rusqlite::Connection::open(forge.state().path().join("history.db")).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    std::thread::sleep(Duration::from_millis(2500));
    running.signal(Signal::TERM);
    std::thread::sleep(Duration::from_millis(1800));
    lock.execute_batch("ROLLBACK").unwrap();
    running.end().exits(0);
    let entry = &forge.entries()[0];
    assert_eq!((entry.state.as_str(), entry.outcome.as_deref()), ("done", Some("success")));
}

/// FAULTS 3: its record is ended, and its listener was gone before the queue heard of it, without a try being counted.
#[test]
fn a_run_whose_record_has_its_end_is_not_run_again_whatever_the_number_of_tries() {
    let forge = Forge::script("exit ${CODE:-0}");
    let running = forge.listen(&[]);
    forge.push("main", &forge.commit(), "1");
    assert_eq!(forge.outcomes(), ["success"]);
    end(running).exits(0);
    let queue = rusqlite::Connection::open(forge.state().path().join("queue.db")).unwrap();
    let back = "UPDATE queue SET state = 'queued', outcome = NULL, finished = NULL, payload = ?1";
    assert_eq!(queue.execute(back, [super::body("main", &forge.commit())]).unwrap(), 1);
    drop(queue);
    let running = forge.listen(&["-e", "CODE=1"]);
    assert_eq!(forge.outcomes(), ["success"]);
    end(running).exits(0);
}

/// What the test of random kills met once in some hundreds: a run was given up, and its listener died before the queue heard of it.
#[test]
fn a_run_that_was_given_up_is_so_also_where_its_record_alone_tells() {
    let forge = Forge::script("true");
    let running = forge.listen(&[]);
    forge.push("main", &forge.commit(), "1");
    assert_eq!(forge.outcomes(), ["success"]);
    end(running).exits(0);
    let state = forge.state();
    for file in ["history.db", "history.db-wal", "history.db-shm"] {
        let _ = std::fs::remove_file(state.path().join(file));
    }
    for tries in [3, 4] {
        let queue = rusqlite::Connection::open(state.path().join("queue.db")).unwrap();
        let back = "UPDATE queue SET state = 'queued', outcome = NULL, finished = NULL, payload = ?1, tries = ?2";
        assert_eq!(queue.execute(back, (super::body("main", &forge.commit()), tries)).unwrap(), 1);
        drop(queue);
        let running = forge.listen(&[]);
        assert_eq!(forge.outcomes(), ["given-up"], "{tries}");
        assert_eq!(forge.runs()[0]["status"], "error");
        end(running).exits(0);
    }
}

/// FAULTS 6: a worker is stopped past its lease, another one has its run by then, and it goes on.
#[test]
fn a_worker_that_was_stopped_past_its_lease_changes_nothing_any_more() {
    let forge = Forge::script("sleep 2; echo \"from $CODE\"; exit $CODE");
    let mut stale = forge.listen(&["-e", "CODE=1"]);
    forge.push("main", &forge.commit(), "1");
    stale.wait_for_container();
    wait(|| forge.runs().len() == 1);
    stale.signal(Signal::STOP);
    let bare = forge.bare();
    let args = ["listen", "--repo", bare.to_str().unwrap(), "--bind", "127.0.0.1:0", "-e", "CODE=0"];
    let mut fresh = forge.repo.argon(&args).env("ARGON_WEBHOOK_SECRET", SECRET).spawn();
    fresh.wait_for("Argon listens for");
    std::thread::sleep(Duration::from_secs(20));
    assert_eq!(forge.entries()[0].state, "leased", "for as long as the lease lasts it is the other's");
    assert_eq!(forge.outcomes(), ["success"]);
    stale.signal(Signal::CONT);
    wait(|| stale.told().contains("lease was lost"));
    end(stale).exits(0);
    assert_eq!(forge.outcomes(), ["success"]);
    let run = forge.repo.argon(&["runs", "1", "--json"]).without_engine();
    let run: Value = serde_json::from_slice(&run.stdout).unwrap();
    let statuses = [&run["status"], &run["jobs"][0]["status"], &run["jobs"][0]["steps"][0]["status"]];
    assert_eq!(statuses, [&json!("success"); 3], "{run:#}");
    forge.repo.argon(&["logs", "1"]).without_engine().says("from 0").never_says("from 1");
    end(fresh).exits(0);
}

/// FAULTS 3: killed in the moment between the end in the record and the end in the queue, again and again.
#[test]
fn none_is_run_twice_to_an_end_when_its_listener_is_killed_at_that_moment() {
    let forge = Forge::script("echo \"by $LISTENER\"");
    let history = forge.state().path().join("history.db");
    let mut caught = 0;
    for round in 0..10 {
        let mut running = forge.listen(&["-e", &format!("LISTENER=first-{round}")]);
        let pushed = forge.push(&format!("topic/{round}"), &forge.commit(), &round.to_string());
        let run = pushed.body["run"].as_str().unwrap().to_owned();
        wait(|| forge.runs().first().is_some_and(|latest| latest["id"] == json!(run)));
        let looks = rusqlite::Connection::open(&history).unwrap();
        let mut status = looks.prepare("SELECT status FROM runs WHERE id = ?1").unwrap();
        while status.query_row([&run], |row| row.get::<_, String>(0)).unwrap() == "running" {}
        running.signal(Signal::KILL);
        running.wait();
        caught += usize::from(forge.entries().last().unwrap().state == "leased");
        let running = forge.listen(&["-e", &format!("LISTENER=second-{round}")]);
        assert!(forge.outcomes().iter().all(|outcome| outcome == "success"));
        forge.logs().says(&format!("by first-{round}")).never_says("by second");
        end(running).exits(0);
    }
    assert!(caught > 0, "no kill came between the two");
}
