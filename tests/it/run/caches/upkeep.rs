//! What becomes of caches between runs: how many and how much is kept, in which order they go, and what nobody has any more.

use std::collections::BTreeSet;

use argon::execute::{CacheIndex, Owner, tidy_caches};
use serde_json::{Value, json};

use super::{again, found, job, record_files, records, repo};
use crate::support::{Engine, Repo};

const MIB: u64 = 1024 * 1024;

/// Removes caches beyond so many and so many bytes; gives how many.
fn tidy(repo: &Repo, most: usize, bytes: u64) -> usize {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let index = CacheIndex::new(repo.home().join("cache/argon/caches"));
    runtime.block_on(async { tidy_caches(&crate::engine::engine().await, &index, most, bytes).await.unwrap() })
}

/// The words of `keyed` for the caches that there are.
fn keys(repo: &Repo) -> BTreeSet<String> {
    let key = |record: &Value| record["key"].as_str().unwrap().split('-').nth(1).unwrap().to_owned();
    records(repo).iter().map(key).collect()
}

/// The volumes on the engine that are of the caches of this repository's home.
fn volumes(repo: &Repo) -> Vec<String> {
    let docker = |args: &[&str]| Engine::shared().docker(args);
    let [record, ..] = &records(repo)[..] else { panic!("no cache is noted") };
    let volume = record["layers"][0]["volume"].as_str().unwrap();
    let label = docker(&["volume", "inspect", volume, "--format", "{{index .Labels \"dev.argon.volume\"}}"]);
    of_label(&label)
}

fn of_label(label: &str) -> Vec<String> {
    let filter = format!("label=dev.argon.volume={label}");
    Engine::shared().docker(&["volume", "ls", "-q", "--filter", &filter]).lines().map(str::to_owned).collect()
}

fn keyed(key: &str) -> Value {
    json!({"key": format!("k-{key}-${{{{ hash('lock') }}}}"), "restore-keys": "k-", "paths": "deps"})
}

/// Saves a cache of this key, which rests on the last one, with so much more in it.
fn saved(repo: Repo, key: &str, mib: u64) -> Repo {
    let repo = again(repo, &keyed(key), &format!("dd if=/dev/zero of=deps/{key} bs=1M count={mib} 2>/dev/null"));
    repo.plain(&[]).run().exits(0);
    repo
}

#[test]
fn the_caches_that_were_used_longest_ago_go_first() {
    let repo = ["one", "two", "three"].into_iter().fold(repo(keyed("one"), "true"), |repo, key| saved(repo, key, 0));
    let repo = again(repo, &keyed("one"), "true");
    assert_eq!(found(&repo.json(&[]).run()), ["hit"]);
    assert_eq!(tidy(&repo, 2, u64::MAX), 1);
    assert_eq!(keys(&repo), ["one".to_owned(), "three".to_owned()].into());
    repo.argon(&["clean", "--cache"]).run().exits(0).says("2 caches");
}

#[test]
fn what_caches_have_together_is_counted_once_and_wholly() {
    // Two caches of 4 MiB and of 1 MiB over it: 5 MiB in all.
    let repo = ["large", "little"]
        .into_iter()
        .zip([4, 1])
        .fold(repo(keyed("x"), "true"), |repo, (key, mib)| saved(repo, key, mib));
    assert_eq!(tidy(&repo, 64, 6 * MIB), 0);
    assert_eq!(volumes(&repo).len(), 2);
    // The one that is used last needs both of their volumes.
    assert_eq!(tidy(&repo, 64, 3 * MIB), 2);
    assert!(record_files(&repo).is_empty());
}

#[test]
fn a_deep_cache_is_made_one_volume_when_its_jobs_are_done() {
    let cache = json!({"key": "d-${{ hash('lock') }}", "paths": ["log", "/c"], "mode": "locked"});
    let script = "mkdir -p log/$ARGON_JOB; rm -f log/*/last; touch log/$ARGON_JOB/last; chmod 750 log/$ARGON_JOB; echo >> /c/count";
    let one = job(cache.clone(), script);
    let jobs: serde_json::Map<String, Value> = (0..10).map(|number| (format!("job-{number}"), one.clone())).collect();
    let repo = Repo::jobs(Value::Object(jobs)).file("lock", "one\n");
    repo.plain(&["-j", "1"]).run().exits(0);
    let [record] = &records(&repo)[..] else { panic!() };
    assert_eq!(record["layers"].as_array().unwrap().len(), 1, "{record}");
    assert_eq!(volumes(&repo).len(), 1);
    let repo = again(repo, &cache, "ls log | wc -l; ls log/*/last | wc -l; stat -c %a log/job-0; wc -l < /c/count");
    assert_eq!(repo.json(&[]).run().said("job", 1), "10\n1\n750\n10\n");
    repo.argon(&["clean", "--cache"]).run().exits(0);
}

/// Such as a stop in the midst of its making leaves, under an `argon listen` that lives on.
#[test]
fn a_volume_that_no_cache_has_is_removed_while_its_owner_lives() {
    let repo = repo(json!({"key": "o-${{ hash('lock') }}", "paths": "deps"}), "echo x > deps/x");
    repo.plain(&[]).run().exits(0);
    repo.argon(&["doctor"]).run().exits(0).says("1 in 1 volume").never_says("that no cache has");
    let volume = volumes(&repo).remove(0);
    let inspect = |what: &str| Engine::shared().docker(&["volume", "inspect", &volume, "--format", what]);
    let purpose = inspect("{{index .Labels \"dev.argon.volume\"}}");
    let labels = [
        format!("dev.argon.volume={purpose}"),
        format!("dev.argon.owner={}", Owner::current().to_label()),
        "dev.argon.run=x".to_owned(),
        "dev.argon.job=".to_owned(),
    ];
    let [purposes, owner, run, job] = &labels;
    Engine::shared()
        .docker(&["volume", "create", "--label", purposes, "--label", owner, "--label", run, "--label", job]);
    assert_eq!(of_label(&purpose).len(), 2);
    repo.argon(&["doctor"]).run().exits(0).says("1 volume that no cache has");
    repo.argon(&["clean"]).run().exits(0).says("1 volume");
    assert_eq!(of_label(&purpose), [volume]);
    repo.argon(&["clean", "--cache"]).run().exits(0).says("1 cache");
    repo.argon(&["clean"]).run().exits(0);
    let left = std::fs::read_dir(repo.home().join("cache/argon/caches/locks")).unwrap().count();
    assert!(left <= 1, "{left} locks of caches that are gone");
}
