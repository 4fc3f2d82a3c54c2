//! Caches that several jobs have at once: `shared` and `locked`, in one run and in several.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{again, found, job, repo};
use crate::support::Repo;

/// Waits for a file of the cache.
fn wait_for(file: &str) -> String {
    format!("for i in $(seq 100); do test -e {file} && break; sleep 0.1; done; test -e {file}")
}

/// A repository with these jobs, and `lock`.
fn jobs(jobs: Value) -> Repo {
    Repo::jobs(jobs).file("lock", "one\n")
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
fn a_shared_cache_is_there_after_its_first_run_and_for_who_uses_it_when_that_ends() {
    let cache = json!({"key": "s-${{ hash('lock') }}", "paths": "/c", "mode": "shared"});
    let script = "touch /c/$NAME; echo $NAME is up; ".to_owned()
        + &wait_for("/c/$UNTIL")
        + "; touch /c/late-$NAME; sleep $LAST; ls /c";
    let repo = repo(cache, &script);
    let named = |name: &str, until: &str, last: &str| {
        let pairs = [("NAME", name), ("UNTIL", until), ("LAST", last)].map(|(name, value)| format!("{name}={value}"));
        repo.json(&["-e", &pairs[0], "-e", &pairs[1], "-e", &pairs[2]])
    };
    let mut first = named("first", "second", "0").spawn();
    first.wait_for("first is up");
    let second = named("second", "late-first", "2").spawn();
    first.end().exits(0);
    let second = second.end();
    second.exits(0);
    assert_eq!(second.said("job", 1), "second is up\nfirst\nlate-first\nlate-second\nsecond\n");
    let third = named("third", "first", "0").run();
    third.exits(0);
    assert_eq!((found(&second), found(&third)), (vec!["hit".to_owned()], vec!["hit".to_owned()]));
    repo.argon(&["clean", "--cache"]).run().exits(0).says("1 cache");
}

#[test]
fn shared_jobs_that_begin_together_write_to_one_cache_also_after_a_partial_hit() {
    let cache = json!({"key": "t-${{ hash('lock') }}", "restore-keys": "t-", "paths": "/c", "mode": "shared"});
    let one =
        |other: &str| job(cache.clone(), &format!("ls /c; touch /c/$ARGON_JOB; {}", wait_for(&format!("/c/{other}"))));
    let repo = jobs(json!({"a": one("b"), "b": one("a")}));
    let first = repo.json(&["-j", "2"]).run();
    first.exits(0);
    // Another key, filled from the first one, which stays as it is.
    let repo = repo.file("lock", "two\n");
    let script =
        |other: &str| format!("ls /c; touch /c/two-$ARGON_JOB; {}; ls /c", wait_for(&format!("/c/two-{other}")));
    let both = json!({"a": job(cache.clone(), &script("b")), "b": job(cache.clone(), &script("a"))});
    let repo = repo.file(".runnerci.yml", json!({"version": 1, "jobs": both}).to_string());
    let second = repo.json(&["-j", "2"]).run();
    second.exits(0);
    assert!(found(&second).contains(&"partial".to_owned()), "{:?}", found(&second));
    assert!(second.said("a", 1).ends_with("a\nb\ntwo-a\ntwo-b\n"), "{}", second.said("a", 1));
    let repo = again(repo, &cache, "ls /c").file("lock", "one\n");
    assert_eq!(repo.json(&[]).run().said("job", 1), "a\nb\n");
    repo.argon(&["clean", "--cache"]).run().exits(0).says("2 caches");
}

#[test]
fn a_shared_cache_is_kept_when_one_of_its_jobs_ended_well_and_not_when_none_did() {
    let cache = json!({"key": "u-${{ hash('lock') }}", "paths": "/c", "mode": "shared"});
    let repo = repo(cache, "ls /c; touch /c/x; exit $CODE");
    for (code, what) in [("1", "miss"), ("0", "miss"), ("1", "hit"), ("0", "hit")] {
        let ran = repo.json(&["-e", &format!("CODE={code}")]).run();
        assert_eq!(found(&ran), [what], "{code}");
    }
    repo.argon(&["clean", "--cache"]).run().exits(0).says("1 cache");
}

#[test]
fn caches_of_different_modes_do_not_meet() {
    let private = json!({"key": "m-${{ hash('lock') }}", "restore-keys": "m-", "paths": "/c"});
    let mut repo = repo(private.clone(), "echo good > /c/x");
    repo.plain(&[]).run().exits(0);
    for mode in ["shared", "locked"] {
        let mut other = private.clone();
        other["mode"] = json!(mode);
        repo = again(repo, &other, "test ! -e /c/x; echo bad > /c/x");
        let ran = repo.json(&[]).run();
        ran.exits(0);
        assert_eq!(found(&ran), ["miss"], "{mode}");
        repo = again(repo, &private, "cat /c/x");
        let hit = repo.json(&[]).run();
        assert_eq!((found(&hit), hit.said("job", 1)), (vec!["hit".to_owned()], "good\n".to_owned()), "{mode}");
    }
    repo.argon(&["clean", "--cache"]).run().exits(0).says("3 caches");
}

#[test]
fn jobs_that_lock_the_same_caches_in_another_order_both_end() {
    let one = |name: &str| json!({"key": format!("{name}-${{{{ hash('lock') }}}}"), "paths": name, "mode": "locked"});
    let both = |first: &str, second: &str| job(json!([one(first), one(second)]), "sleep 0.2");
    let repo = jobs(json!({"a": both("x", "y"), "b": both("y", "x")}));
    for _ in 0..3 {
        repo.plain(&["-j", "2", "--timeout", "30s"]).run().exits(0);
    }
    repo.argon(&["clean", "--cache"]).run().exits(0).says("2 caches");
}

#[test]
fn a_stop_and_the_jobs_time_end_the_wait_for_a_locked_cache() {
    let cache = json!({"key": "w-${{ hash('lock') }}", "paths": "x", "mode": "locked"});
    let repo = repo(cache.clone(), "echo up; sleep 60");
    let mut holder = repo.plain(&[]).spawn();
    holder.wait_for("up\n");
    let mut stopped = repo.plain(&[]).spawn();
    stopped.wait_for("waits for another job");
    stopped.signal(Signal::INT);
    stopped.end().exits(130);
    let mut timed = job(cache, "true");
    timed["timeout"] = json!("1s");
    let repo = repo.file(".runnerci.yml", json!({"version": 1, "jobs": {"job": timed}}).to_string());
    repo.plain(&[]).run().exits(1).says("waits for another job");
    holder.signal(Signal::INT);
    holder.end().exits(130);
}
