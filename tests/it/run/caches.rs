//! Caches: hit, partial and miss, what is saved and what is not, and that nobody harms anybody's.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{BUSYBOX, Ended, Engine, Repo};

/// A job with this cache that runs this script.
fn job(cache: Value, script: &str) -> Value {
    json!({"image": BUSYBOX, "cache": cache, "steps": [{"name": "step", "run": script}]})
}

fn repo(cache: Value, script: &str) -> Repo {
    Repo::jobs(json!({"job": job(cache, script)})).file("lock", "one\n")
}

/// What was found of each cache, in their order.
fn found(ended: &Ended) -> Vec<String> {
    ended.all("cache").iter().map(|event| event["found"].as_str().unwrap().to_owned()).collect()
}

/// Runs it again with another script.
fn again(repo: Repo, cache: &Value, script: &str) -> Repo {
    repo.file(".runnerci.yml", json!({"version": 1, "jobs": {"job": job(cache.clone(), script)}}).to_string())
}

#[test]
fn a_cache_is_a_miss_then_a_hit_and_partly_hit_under_another_key() {
    let cache = json!({"key": "deps-${{ hash('lock') }}", "restore-keys": "deps-", "paths": ["deps", "/opt/tool"]});
    let repo = repo(cache.clone(), "ls deps /opt/tool; mkdir -p deps/a; echo one > deps/a/b; echo tool > /opt/tool/t");
    let first = repo.json(&[]).run();
    first.exits(0);
    assert_eq!(found(&first), ["miss"]);
    assert_eq!(first.all("cache")[0]["why"], "nothing is saved yet");
    let repo = again(repo, &cache, "cat deps/a/b /opt/tool/t; rm -r deps/a; echo more > deps/more");
    for _ in 0..2 {
        // What a hit's job writes is its own.
        let hit = repo.json(&[]).run();
        hit.exits(0);
        assert_eq!((found(&hit), hit.said("job", 1)), (vec!["hit".to_owned()], "one\ntool\n".to_owned()));
    }
    let repo = again(repo, &cache, "cat deps/a/b; rm -r deps/a; echo two > deps/two").file("lock", "two\n");
    let partly = repo.json(&[]).run();
    partly.exits(0);
    assert_eq!(found(&partly), ["partial"]);
    let repo = again(repo, &cache, "ls deps; cat /opt/tool/t");
    let of_two = repo.json(&[]).run();
    assert_eq!((found(&of_two), of_two.said("job", 1)), (vec!["hit".to_owned()], "two\ntool\n".to_owned()));
    let of_one = repo.file("lock", "one\n");
    assert_eq!(of_one.json(&[]).run().said("job", 1), "a\ntool\n", "the first is as it was");
    of_one.argon(&["clean", "--cache"]).run().exits(0).says("2 caches");
    assert_eq!(found(&of_one.json(&[]).run()), ["miss"]);
    of_one.argon(&["clean", "--cache"]).run().exits(0);
}

#[test]
fn only_a_job_that_ended_well_saves_its_cache_unless_it_asks_and_a_stop_never_does() {
    for (save, later) in [("success", "miss"), ("always", "hit")] {
        let cache = json!({"key": "k-${{ hash('lock') }}", "paths": "deps", "save": save});
        let repo = repo(cache, "echo up; sleep ${WAIT:-0}; echo x > deps/x; exit 3");
        let mut running = repo.plain(&["-e", "WAIT=60"]).spawn();
        running.wait_for("up\n");
        running.signal(Signal::INT);
        running.end().exits(130);
        let first = repo.json(&[]).run();
        first.exits(1);
        assert_eq!(found(&first), ["miss"], "{save}");
        assert_eq!(found(&repo.json(&[]).run()), [later], "{save}");
        repo.argon(&["clean", "--cache"]).run().exits(0);
    }
}

#[test]
fn a_killed_run_leaves_its_cache_whole_and_its_new_layer_is_swept() {
    let cache = json!({"key": "k-${{ hash('lock') }}", "restore-keys": "k-", "paths": "deps"});
    let repo = repo(cache.clone(), "echo good > deps/x");
    repo.plain(&[]).run().exits(0);
    let repo = again(repo, &cache, "echo bad > deps/x; echo up; sleep 60").file("lock", "two\n");
    let mut running = repo.plain(&[]).spawn();
    running.wait_for("up\n");
    running.signal(Signal::KILL);
    running.end();
    repo.argon(&["clean"]).run().exits(0).says("volume");
    let repo = again(repo, &cache, "cat deps/x");
    let partly = repo.json(&[]).run();
    assert_eq!((found(&partly), partly.said("job", 1)), (vec!["partial".to_owned()], "good\n".to_owned()));
    repo.argon(&["clean", "--cache"]).run().exits(0);
}

#[test]
fn a_locked_cache_has_one_job_at_a_time_and_each_sees_what_the_last_one_left() {
    let cache = json!({"key": "log-${{ hash('lock') }}", "paths": "log", "mode": "locked"});
    let script = "cat log/all 2>/dev/null | wc -l; echo $ARGON_JOB >> log/all; sleep 0.5";
    let one = job(cache, script);
    // More than the layers that a cache has at most.
    let jobs: serde_json::Map<String, Value> =
        (0..11).map(|number| (format!("job-{number:02}"), one.clone())).collect();
    let repo = Repo::jobs(Value::Object(jobs)).file("lock", "one\n");
    let ran = repo.json(&["-j", "3"]).run();
    ran.exits(0);
    let mut seen: Vec<u32> = (0..11).map(|n| ran.said(&format!("job-{n:02}"), 1).trim().parse().unwrap()).collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..11).collect::<Vec<u32>>());
    repo.argon(&["clean", "--cache"]).run().exits(0);
}

#[test]
fn a_shared_cache_is_written_to_by_all_at_once() {
    let cache = json!({"key": "s-${{ hash('lock') }}", "paths": "/var/cache/s", "mode": "shared"});
    let one = |other: &str| {
        let wait = format!(
            "touch /var/cache/s/$ARGON_JOB; for i in $(seq 50); do test -e /var/cache/s/{other} && exit 0; sleep 0.1; done; exit 1"
        );
        job(cache.clone(), &wait)
    };
    let repo = Repo::jobs(json!({"warm": job(cache.clone(), "true"), "a": {"needs": "warm"}, "b": {"needs": "warm"}}));
    let mut jobs = json!({"warm": job(cache.clone(), "true"), "a": one("b"), "b": one("a")});
    jobs["a"]["needs"] = json!("warm");
    jobs["b"]["needs"] = json!("warm");
    let repo = repo.file(".runnerci.yml", json!({"version": 1, "jobs": jobs}).to_string()).file("lock", "x");
    repo.plain(&["-j", "2"]).run().exits(0);
    repo.argon(&["clean", "--cache"]).run().exits(0);
}

#[test]
fn no_volume_outlives_a_run_but_those_that_doctor_counts() {
    let cache = json!({"key": "v-${{ hash('lock') }}", "paths": ["a", "b"]});
    let repo = repo(cache, "echo > a/x");
    repo.plain(&[]).run().exits(0);
    repo.plain(&[]).run().exits(0);
    let scope = repo.home().join("cache/argon/caches");
    let records: Vec<Value> = std::fs::read_dir(scope)
        .unwrap()
        .map(|entry| serde_json::from_slice(&std::fs::read(entry.unwrap().path()).unwrap()).unwrap())
        .collect();
    let [record] = &records[..] else { panic!("{records:?}") };
    let volume = record["layers"][0]["volume"].as_str().unwrap();
    let engine = Engine::shared();
    let owner = engine.docker(&["volume", "inspect", volume, "--format", "{{index .Labels \"dev.argon.volume\"}}"]);
    let of_scope = format!("label=dev.argon.volume={owner}");
    assert_eq!(engine.docker(&["volume", "ls", "-q", "--filter", &of_scope]), volume);
    repo.argon(&["doctor"]).run().exits(0).says("of caches");
    repo.argon(&["clean", "--cache"]).run().exits(0);
    assert_eq!(engine.docker(&["volume", "ls", "-q", "--filter", &of_scope]), "");
}

#[test]
fn a_cache_whose_volume_somebody_removed_is_a_miss() {
    let cache = json!({"key": "r-${{ hash('lock') }}", "restore-keys": "r-", "paths": "deps"});
    let repo = repo(cache, "echo x > deps/x");
    repo.plain(&[]).run().exits(0);
    let records = std::fs::read_dir(repo.home().join("cache/argon/caches")).unwrap();
    for record in records.map(Result::unwrap) {
        let record: Value = serde_json::from_slice(&std::fs::read(record.path()).unwrap()).unwrap();
        Engine::shared().docker(&["volume", "rm", record["layers"][0]["volume"].as_str().unwrap()]);
    }
    let again = repo.json(&[]).run();
    again.exits(0).never_says("without its caches");
    assert_eq!(found(&again), ["miss"]);
    repo.argon(&["clean", "--cache"]).run().exits(0);
}
