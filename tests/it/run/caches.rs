//! Caches: hit, partial and miss, what is saved and what is not, and that nobody harms anybody's.

mod many;
mod upkeep;

use std::path::PathBuf;

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

/// The files in which the repository's caches are noted.
fn record_files(repo: &Repo) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(repo.home().join("cache/argon/caches")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect()
}

/// What is noted in them.
fn records(repo: &Repo) -> Vec<Value> {
    record_files(repo).iter().map(|path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()).collect()
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
fn no_volume_outlives_a_run_but_those_that_doctor_counts() {
    let cache = json!({"key": "v-${{ hash('lock') }}", "paths": ["a", "b"]});
    let repo = repo(cache, "echo > a/x");
    repo.plain(&[]).run().exits(0);
    repo.plain(&[]).run().exits(0);
    let records = records(&repo);
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
    for record in records(&repo) {
        Engine::shared().docker(&["volume", "rm", record["layers"][0]["volume"].as_str().unwrap()]);
    }
    let again = repo.json(&[]).run();
    again.exits(0).never_says("without its caches");
    assert_eq!(found(&again), ["miss"]);
    assert_eq!(again.all("cache")[0]["why"], "its volumes are gone from the engine");
    repo.argon(&["clean", "--cache"]).run().exits(0);
}

/// A file of no bytes is what a power loss leaves of one that was just written.
#[test]
fn a_cache_whose_record_is_broken_is_a_miss_and_is_saved_anew() {
    let cache = json!({"key": "b-${{ hash('lock') }}", "restore-keys": "b-", "paths": "deps"});
    let repo = repo(cache, "cat deps/x 2>/dev/null || true; echo x > deps/x");
    repo.plain(&[]).run().exits(0);
    let [record] = &record_files(&repo)[..] else { panic!() };
    std::fs::write(record, "").unwrap();
    let again = repo.json(&[]).run();
    again.exits(0).never_says("without its caches");
    assert_eq!(found(&again), ["miss"]);
    assert!(again.all("cache")[0]["why"].as_str().unwrap().contains("cannot be read"), "{:?}", again.all("cache"));
    let hit = repo.json(&[]).run();
    assert_eq!((found(&hit), hit.said("job", 1)), (vec!["hit".to_owned()], "x\n".to_owned()));
    std::fs::write(record, "{").unwrap();
    repo.argon(&["doctor"]).run().exits(0).says("cannot be read");
    repo.argon(&["clean", "--cache"]).run().exits(0).says("1 cache").says("1 volume");
    assert!(record_files(&repo).is_empty());
}

#[test]
fn restore_keys_take_what_was_saved_last_not_what_was_used_last() {
    let cache = json!({"key": "n-${{ hash('lock') }}", "restore-keys": "n-", "paths": "deps"});
    let repo = repo(cache, "cat deps/from 2>/dev/null || true; cat lock > deps/from");
    let repo = ["one\n", "two\n", "one\n"].into_iter().fold(repo, |repo, lock| {
        let repo = repo.file("lock", lock);
        repo.plain(&[]).run().exits(0);
        repo
    });
    let repo = repo.file("lock", "three\n");
    let partly = repo.json(&[]).run();
    assert_eq!((found(&partly), partly.said("job", 1)), (vec!["partial".to_owned()], "two\n".to_owned()));
    repo.argon(&["clean", "--cache"]).run().exits(0);
}

/// In a tree that is streamed and in one that is kept.
#[test]
fn files_of_the_source_where_a_cache_is_are_hidden_told_and_not_saved() {
    for many in [0, 420] {
        let cache = json!({"key": "h-${{ hash('lock') }}", "paths": ["deps", "deps2/in"]});
        let script = "ls deps deps2/in; echo mine > deps/mine; ls deps2/beside";
        let repo = repo(cache, script).file("deps/a/tracked", "x").file("deps2/beside", "x").file("deps3", "x");
        let repo = (0..many).fold(repo, |repo, number| repo.file(&format!("src/{number}"), "x"));
        for seen in ["deps:\n\ndeps2/in:\ndeps2/beside\n", "deps:\nmine\n\ndeps2/in:\ndeps2/beside\n"] {
            let ran = repo.json(&["-v"]).run();
            ran.exits(0).says("the cache hides 1 file of the source in `deps`").never_says("in `deps2/in`");
            assert_eq!(ran.said("job", 1), seen, "{many} files");
        }
        repo.argon(&["clean", "--cache", "--workspaces"]).run().exits(0);
    }
}

#[test]
fn where_the_source_has_a_file_in_place_of_the_folder_there_is_no_cache() {
    for many in [0, 420] {
        let cache = json!({"key": "f-${{ hash('lock') }}", "paths": ["deps/in"]});
        let repo = repo(cache, "cat deps").file("deps", "a file\n");
        let repo = (0..many).fold(repo, |repo, number| repo.file(&format!("src/{number}"), "x"));
        let ran = repo.json(&[]).run();
        ran.exits(0).says("without its caches: `deps` is a file of the source");
        assert_eq!(ran.said("job", 1), "a file\n");
        repo.argon(&["clean", "--workspaces"]).run().exits(0);
    }
}
