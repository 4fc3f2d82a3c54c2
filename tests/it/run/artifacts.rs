//! Artifacts: out of a job, into those that need it, to the user.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{BUSYBOX, NONROOT, NOSETSID, Repo};

#[test]
fn an_artifact_goes_to_the_jobs_that_need_it_and_to_the_user() {
    for image in [BUSYBOX, NONROOT, NOSETSID] {
        let make = "mkdir -p dist/sub; echo one > dist/one.txt; echo two > dist/sub/two.txt; printf '#!/bin/sh\\necho ran\\n' > dist/tool; \
            chmod 755 dist/tool; ln -s one.txt dist/link; echo no > dist/no.log; echo top > top.txt";
        let repo = Repo::jobs(json!({
            "build": {"image": image, "artifacts": [{"name": "packages", "paths": ["dist/**", "!**/*.log"]}, {"paths": "*.txt"}],
                "steps": [{"run": make}]},
            "use": {"image": image, "needs": "build", "steps": [
                {"run": "cat dist/one.txt dist/sub/two.txt dist/link top.txt; dist/tool; test ! -e dist/no.log; echo more >> dist/one.txt"}]},
            "other": {"image": image, "steps": [{"run": "test ! -e dist"}]},
        }));
        let ran = repo.json(&[]).run();
        ran.exits(0);
        assert_eq!(ran.said("use", 1), "one\ntwo\none\ntop\nran\n", "{image}");
        let kept = ran.all("artifact");
        assert_eq!((&kept[0]["name"], &kept[0]["files"]), (&json!("packages"), &json!(4)), "{kept:?}");
        assert_eq!((&kept[1]["name"], &kept[1]["files"]), (&json!("build"), &json!(1)));
        repo.argon(&["artifacts"]).without_engine().exits(0).says("packages").says("4 files");
        repo.argon(&["artifacts", "--get", "packages", "-o", "out"]).without_engine().exits(0);
        let out = repo.path().join("out/dist");
        assert_eq!(fs::read_to_string(out.join("sub/two.txt")).unwrap(), "two\n");
        assert_eq!(fs::read_link(out.join("link")).unwrap(), Path::new("one.txt"));
        let tool = fs::metadata(out.join("tool")).unwrap();
        assert_eq!((tool.permissions().mode() & 0o777, tool.uid()), (0o755, rustix::process::getuid().as_raw()));
        // Again, over what is there.
        repo.argon(&["artifacts", "--all", "-o", "out"]).without_engine().exits(0);
        assert!(repo.path().join("out/packages/dist/one.txt").exists());
        repo.argon(&["artifacts", "--get", "package"]).without_engine().exits(2).says("did you mean `packages`?");
        let list = repo.argon(&["artifacts", "--json"]).without_engine();
        let list: Vec<Value> = serde_json::from_slice(&list.stdout).unwrap();
        assert_eq!(list.len(), 2);
    }
}

#[test]
fn artifacts_are_kept_when_they_say_so_and_nothing_to_keep_is_told() {
    let repo = Repo::jobs(json!({"job": {"image": BUSYBOX, "steps": [{"run": "echo x > x; exit 3"}], "artifacts": [
        {"name": "on-success", "paths": "x"}, {"name": "on-failure", "paths": "x", "when": "failure"},
        {"name": "always", "paths": "x", "when": "always", "expire": "1s"}, {"name": "none", "paths": "y/**", "when": "always"}]}}));
    let ran = repo.json(&[]).run();
    ran.exits(1).says("artifact none: no file matches y/**");
    let names: Vec<Value> = ran.all("artifact").iter().map(|artifact| artifact["name"].clone()).collect();
    assert_eq!(names, ["on-failure", "always"]);
    std::thread::sleep(Duration::from_millis(1100));
    repo.argon(&["artifacts"]).without_engine().exits(0).says("on-failure").never_says("always");
}

/// A root that was not there once began the whole artifact anew, and told that by the digits `404` in a message.
#[test]
fn a_root_that_is_missing_keeps_nothing_from_the_others() {
    let repo = Repo::jobs(json!({"job": {"image": BUSYBOX, "steps": [{"run": "mkdir dist; echo x > dist/404"}],
        "artifacts": {"paths": ["absent/**", "dist/**", "reports/**", "z/404.txt"]}}}));
    let ran = repo.json(&[]).run();
    ran.exits(0).never_says("no file matches");
    assert_eq!(ran.all("artifact")[0]["files"], 1);
    repo.argon(&["artifacts", "--get", "job", "-o", "out"]).without_engine().exits(0);
    assert_eq!(fs::read_to_string(repo.path().join("out/dist/404")).unwrap(), "x\n");
}

/// Those of a matrix were once put into one folder, where the last wrote over the others.
#[test]
fn artifacts_of_one_name_are_kept_apart_by_their_jobs() {
    let repo = Repo::jobs(json!({
        "test": {"image": BUSYBOX, "matrix": {"n": [1, 2]}, "steps": [{"run": "echo ${{ matrix.n }} > report"}],
            "artifacts": {"name": "b", "paths": "report"}},
        "other": {"image": BUSYBOX, "steps": [{"run": "echo 3 > report"}], "artifacts": {"name": "c", "paths": "report"}},
    }));
    repo.plain(&[]).run().exits(0);
    let get = |args: &[&str]| repo.argon(&[&["artifacts"], args].concat()).without_engine();
    let read =
        |path: &str| fs::read_to_string(repo.path().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    get(&["--get", "b", "-o", "out"]).exits(0);
    assert_eq!((read("out/test (n 1)/report"), read("out/test (n 2)/report")), ("1\n".to_owned(), "2\n".to_owned()));
    get(&["--all", "-o", "all"]).exits(0);
    assert_eq!(
        (read("all/b/test (n 1)/report"), read("all/b/test (n 2)/report")),
        ("1\n".to_owned(), "2\n".to_owned())
    );
    assert_eq!(read("all/c/report"), "3\n");
    get(&["--get", "b", "--job", "test (n 2)", "-o", "one"]).exits(0);
    assert_eq!(read("one/report"), "2\n");
    get(&["--job", "test"]).exits(0).says("of test (n 1)").says("of test (n 2)").never_says("of other");
    get(&["--job", "tset"]).exits(2).says("did you mean `test (");
}

#[test]
fn who_asks_by_sudo_has_the_files_where_the_folder_is_theirs() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let make = "mkdir -p d/e; echo x > d/e/x; ln d/e/x d/y; ln -s e d/link";
    let repo = Repo::jobs(json!({"job": {"image": BUSYBOX, "steps": [{"run": make}], "artifacts": {"paths": "d/**"}}}));
    repo.plain(&[]).run().exits(0);
    std::os::unix::fs::chown(repo.path(), Some(4711), Some(4712)).unwrap();
    let get = |out: &str| {
        let got =
            repo.argon(&["artifacts", "1", "--get", "job", "-o", out]).env("SUDO_UID", "4711").env("SUDO_GID", "4712");
        got.without_engine().exits(0);
    };
    let owner = |path: &Path| fs::symlink_metadata(path).map(|found| (found.uid(), found.gid())).unwrap();
    get("new/out");
    for path in ["new", "new/out", "new/out/d", "new/out/d/e", "new/out/d/e/x", "new/out/d/y", "new/out/d/link"] {
        assert_eq!(owner(&repo.path().join(path)), (4711, 4712), "{path}");
    }
    // What is not that user's stays root's.
    let elsewhere = repo.beside().join("roots");
    fs::create_dir(&elsewhere).unwrap();
    get(elsewhere.to_str().unwrap());
    assert_eq!(owner(&elsewhere.join("d/e/x")), (0, 0));
}

#[test]
fn an_artifact_that_leads_out_fails_its_job_and_is_not_kept() {
    for (script, why) in [
        ("mkdir d; ln -s /etc/passwd d/x", "is a symlink that leads out of the artifact"),
        ("mkdir d; ln -s ../../x d/x", "is a symlink that leads out of the artifact"),
        ("mkdir d; mkfifo d/x", "is a device, a pipe or something else"),
    ] {
        let repo =
            Repo::jobs(json!({"job": {"image": BUSYBOX, "artifacts": {"paths": "d/**"}, "steps": [{"run": script}]}}));
        let ran = repo.plain(&[]).run();
        ran.exits(1).says("the artifact job cannot be kept").says(why);
        repo.argon(&["artifacts"]).without_engine().exits(0).says("kept no artifacts");
    }
}

/// Links were once resolved by how their targets end, in no order: some had another file's content.
#[test]
fn each_hard_link_has_the_content_of_its_own_file() {
    let make = "mkdir 0; for n in $(seq 9); do echo $n > a$n; ln a$n b$n; echo zero$n > 0/a$n; ln 0/a$n 0/b$n; done";
    let repo = Repo::jobs(
        json!({"job": {"image": BUSYBOX, "steps": [{"run": make}], "artifacts": {"paths": ["?[0-9]", "0/*"]}}}),
    );
    repo.plain(&[]).run().exits(0);
    repo.argon(&["artifacts", "--get", "job", "-o", "out"]).without_engine().exits(0);
    let out = repo.path().join("out");
    for n in 1..=9 {
        let read = |name: String| fs::read_to_string(out.join(name)).unwrap();
        assert_eq!(read(format!("b{n}")), format!("{n}\n"));
        assert_eq!(read(format!("0/b{n}")), format!("zero{n}\n"));
    }
}

/// The engine sends the content of a file with the first of its names, and here nobody wants that: so lies cargo's `target`.
#[test]
fn a_hard_link_to_a_file_that_is_not_wanted_carries_the_content_itself() {
    let make = "mkdir -p target/debug/deps; cd target/debug; echo tool > deps/tool-1f; chmod 755 deps/tool-1f; \
        ln deps/tool-1f tool; ln deps/tool-1f tool-again; ln -s tool deps/link; ln deps/link link; echo own > own";
    let repo = Repo::jobs(json!({
        "build": {"image": BUSYBOX, "steps": [{"run": make}], "artifacts": {"paths": "target/debug/*"}},
        "use": {"image": BUSYBOX, "needs": "build", "steps": [{"run": "cd target/debug; cat tool tool-again link own; test ! -e deps/tool-1f"}]},
    }));
    let ran = repo.json(&[]).run();
    ran.exits(0);
    assert_eq!(ran.said("use", 1), "tool\ntool\ntool\nown\n");
    repo.argon(&["artifacts", "--get", "build", "-o", "out"]).without_engine().exits(0);
    let out = repo.path().join("out/target/debug");
    assert_eq!(fs::read_to_string(out.join("tool")).unwrap(), "tool\n");
    assert_eq!(fs::metadata(out.join("tool")).unwrap().ino(), fs::metadata(out.join("tool-again")).unwrap().ino());
    assert_eq!(fs::read_link(out.join("link")).unwrap(), Path::new("tool"));
}

/// What two fields of a header say of one name is compared: the engine's own way to say a long name must pass.
#[test]
fn names_that_a_header_has_no_room_for_come_through() {
    let long = "n".repeat(120);
    let names =
        [format!("d/{long}"), format!("d/é{long}"), "d/ünï/ß".to_owned(), format!("d/{}/{long}", "e".repeat(97))];
    let mut make = String::new();
    for (n, name) in names.iter().enumerate() {
        make += &format!("mkdir -p '{}'; echo {n} > '{name}'; ", Path::new(name).parent().unwrap().display());
    }
    make +=
        &format!("ln -s '{long}' d/link; ln -s 'é{long}' d/other; ln 'd/é{long}' d/second; ln d/second d/{long}-third");
    let repo = Repo::jobs(json!({"job": {"image": BUSYBOX, "steps": [{"run": make}], "artifacts": {"paths": "d/**"}}}));
    repo.plain(&[]).run().exits(0);
    repo.argon(&["artifacts", "--get", "job", "-o", "out"]).without_engine().exits(0);
    let read = |name: &str| fs::read_to_string(repo.path().join("out").join(name)).unwrap();
    for (n, name) in names.iter().enumerate() {
        assert_eq!(read(name), format!("{n}\n"), "{name}");
    }
    assert_eq!((read("d/link"), read("d/other")), ("0\n".to_owned(), "1\n".to_owned()));
    assert_eq!(read(&format!("d/{long}-third")), "1\n");
}

/// A file of gigabytes of zeros, which a container makes with one call, takes long to be read, and no room.
#[test]
fn a_stop_while_artifacts_are_taken_ends_the_run_at_once_and_keeps_none() {
    let repo = Repo::jobs(json!({"job": {"image": BUSYBOX, "steps": [{"run": "truncate -s 7G big; echo made"}],
        "artifacts": {"paths": "big"}}}));
    let mut run = repo.json(&[]).spawn();
    run.wait_for("step.finished");
    std::thread::sleep(Duration::from_millis(300));
    let stopped = std::time::Instant::now();
    run.signal(Signal::INT);
    let ended = run.end();
    ended.exits(130);
    assert!(stopped.elapsed() < Duration::from_secs(4), "{:?}", stopped.elapsed());
    assert_eq!((ended.job("job")["status"].clone(), ended.all("artifact").len()), (json!("cancelled"), 0));
    repo.argon(&["artifacts"]).without_engine().exits(0).says("kept no artifacts");
    let artifacts = repo.home().join("state/argon/artifacts");
    let left: Vec<_> =
        fs::read_dir(artifacts).unwrap().flat_map(|run| fs::read_dir(run.unwrap().path()).unwrap()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_time_of_a_job_holds_while_its_artifacts_are_taken() {
    let repo = Repo::jobs(json!({"job": {"image": BUSYBOX, "timeout": "2s", "steps": [{"run": "truncate -s 7G big"}],
        "artifacts": {"paths": "big"}}}));
    let ended = repo.json(&[]).run();
    ended.exits(1);
    assert_eq!(ended.job("job")["cause"]["kind"], "timed-out", "{}", ended.job("job"));
    assert!(ended.took < Duration::from_secs(6), "{:?}", ended.took);
}

/// A job that ran out of time has a grace to hand out what says why.
#[test]
fn a_job_whose_time_is_over_keeps_what_it_keeps_of_failures() {
    let repo =
        Repo::jobs(json!({"job": {"image": BUSYBOX, "timeout": "1s", "steps": [{"run": "echo why > log; sleep 60"}],
        "artifacts": {"paths": "log", "when": "failure"}}}));
    let ended = repo.json(&[]).run();
    ended.exits(1);
    assert_eq!(ended.all("artifact").len(), 1);
}

/// What a try keeps of its failure was once given to the jobs behind the one that succeeded.
#[test]
fn a_try_that_goes_well_takes_back_what_the_one_before_it_kept() {
    let repo = Repo::jobs(json!({
        "job": {"image": BUSYBOX, "retry": 1, "cache": {"key": "k", "paths": "seen", "mode": "locked", "save": "always"},
            "steps": [{"run": "echo $((1 + $(cat seen/n || echo 0))) > seen/n; cp seen/n n; [ $(cat n) = 2 ]"}],
            "artifacts": [{"name": "bad", "paths": "n", "when": "failure"}, {"name": "good", "paths": "n"}]},
        "use": {"image": BUSYBOX, "needs": "job", "steps": [{"run": "cat n"}]},
    }));
    let ran = repo.json(&[]).run();
    ran.exits(0);
    assert_eq!(ran.all("retry").len(), 1);
    assert_eq!(ran.said("use", 1), "2\n");
    repo.argon(&["artifacts"]).without_engine().exits(0).says("good").never_says("bad");
}
