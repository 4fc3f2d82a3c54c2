//! Jobs that declare their inputs: spared when nothing changed, with all that they left; run again when something did, and why.

use std::fs;

use serde_json::{Value, json};

use crate::support::{BUSYBOX, Ended, NONROOT, PYTHON, Repo};

fn cached(ended: &Ended) -> Vec<String> {
    ended.all("job.cached").iter().map(|event| event["job"].as_str().unwrap().to_owned()).collect()
}

/// Why a job was not spared.
fn why(ended: &Ended, job: &str) -> String {
    let said = ended.all("notice").into_iter().find(|notice| {
        notice["job"] == job && notice["message"].as_str().is_some_and(|message| message.starts_with("not cached: "))
    });
    said.map(|notice| notice["message"].as_str().unwrap()["not cached: ".len()..].to_owned()).unwrap_or_default()
}

fn pipeline(image: &str, script: &str) -> Value {
    json!({"version": 1, "jobs": {
        "lint": {"image": BUSYBOX, "inputs": ["src/**"], "steps": [{"run": "echo linting; cat src/a"}]},
        "build": {"image": image, "needs": "lint", "inputs": ["src/**", "Makefile"], "artifacts": {"name": "out", "paths": "out/**"},
            "outputs": {"version": "${{ steps.make.outputs.version }}"},
            "steps": [{"id": "make", "run": script}, {"if": "env.MODE == 'x'", "run": "true"}]},
        "use": {"image": BUSYBOX, "needs": "build", "env": {"VERSION": "${{ needs.build.outputs.version }}"},
            "steps": [{"run": "cat out/file; echo $VERSION"}]},
    }})
}

fn repository() -> Repo {
    Repo::new(&pipeline(BUSYBOX, MAKE).to_string()).file("src/a", "a\n").file("Makefile", "all:\n").file("README", "x")
}

const MAKE: &str = "echo making; mkdir out; cat src/a > out/file; echo version=7 >> \"$ARGON_OUTPUT\"";

/// A restored artifact once had the time of the run that made it: later runs gave their jobs what was over, and kept nothing.
#[test]
fn the_time_of_an_artifact_is_counted_anew_when_a_job_is_spared() {
    let repo = Repo::jobs(json!({"job": {"image": BUSYBOX, "inputs": ["src/**"], "steps": [{"run": "echo x > x"}],
        "artifacts": {"name": "out", "paths": "x", "expire": "2s"}}}));
    let repo = repo.file("src/a", "a");
    repo.plain(&[]).run().exits(0);
    std::thread::sleep(std::time::Duration::from_millis(2100));
    repo.argon(&["artifacts"]).without_engine().exits(0).says("kept no artifacts");
    let second = repo.json(&[]).run();
    assert_eq!(cached(&second), ["job"]);
    assert_eq!(second.all("artifact")[0]["name"], "out", "told of a spared job, too");
    repo.argon(&["artifacts"]).without_engine().exits(0).says("out");
}

#[test]
fn a_job_is_spared_with_its_log_outputs_and_artifacts_and_runs_again_with_the_reason() {
    let repo = repository();
    let first = repo.json(&[]).run();
    first.exits(0);
    assert_eq!((cached(&first).len(), why(&first, "build").as_str()), (0, "nothing is kept of it yet"));
    // What is not among its inputs does not count.
    let repo = repo.file("README", "y");
    let second = repo.json(&[]).run();
    second.exits(0);
    assert_eq!(cached(&second), ["lint", "build"]);
    assert_eq!(second.said("use", 1), "a\n7\n");
    assert_eq!(second.job("build")["outputs"]["version"], "7");
    repo.argon(&["logs", "--job", "build"]).without_engine().exits(0).says("making");
    repo.argon(&["artifacts", "--get", "out", "-o", "got"]).without_engine().exits(0);
    assert_eq!(fs::read_to_string(repo.path().join("got/out/file")).unwrap(), "a\n");
    repo.plain(&[]).run().exits(0).says("cached: nothing that it rests on has changed since run");

    let ask = |repo: &Repo, args: &[&str], job: &str| {
        let ran = repo.json(args).run();
        ran.exits(0);
        (cached(&ran), why(&ran, job))
    };
    let repo = repo.file("Makefile", "all: x\n");
    assert_eq!(ask(&repo, &[], "build"), (vec!["lint".to_owned()], "Makefile changed".to_owned()));
    let repo = repo.file("src/b", "b\n");
    assert_eq!(ask(&repo, &[], "build").1, "src/b is new");
    fs::remove_file(repo.path().join("src/b")).unwrap();
    assert_eq!(ask(&repo, &[], "lint").1, "src/b is gone");
    assert_eq!(ask(&repo, &["-e", "MODE=y"], "lint").1, "variable MODE is new");
    assert_eq!(ask(&repo, &["-e", "MODE=y", "--no-cache"], "lint"), (vec![], "--no-cache".to_owned()));
    let script = format!("{MAKE}; true");
    let repo = repo.file(".runnerci.yml", pipeline(BUSYBOX, &script).to_string());
    assert!(ask(&repo, &["-e", "MODE=y"], "build").1.starts_with("step 1 (echo making"));
    let repo = repo.file(".runnerci.yml", pipeline(PYTHON, &script).to_string());
    assert!(ask(&repo, &["-e", "MODE=y"], "build").1.starts_with(&format!("image {PYTHON} is new")));
    let again = repo.json(&["-e", "MODE=y", "--image", &format!("{BUSYBOX}={NONROOT}")]).run();
    assert!(why(&again, "lint").contains(&format!("image {NONROOT} is new")), "{}", why(&again, "lint"));
    repo.argon(&["clean", "--cache"]).run().exits(0).says("2 results");
    assert_eq!(ask(&repo, &[], "lint").1, "nothing is kept of it yet");
}

#[test]
fn what_did_not_end_well_is_not_kept_nor_what_holds_a_secret_nor_secrets_anywhere() {
    let repo = Repo::jobs(json!({
        "bad": {"image": BUSYBOX, "inputs": "a", "steps": [{"run": "exit 3"}]},
        "told": {"image": BUSYBOX, "inputs": "a", "outputs": {"it": "${{ steps.s.outputs.it }}"},
            "steps": [{"id": "s", "secrets": ["TOKEN"], "run": "echo \"it=$TOKEN\" >> \"$ARGON_OUTPUT\""}]},
        "fine": {"image": BUSYBOX, "inputs": "a", "steps": [{"secrets": ["TOKEN"], "run": "echo $TOKEN"}]},
    }))
    .file("a", "x");
    for _ in 0..2 {
        let ran = repo.json(&["-k", "-s", "TOKEN=hunter2hunter2"]).run();
        ran.exits(1);
        assert!(cached(&ran).iter().all(|job| job == "fine"), "{:?}", cached(&ran));
    }
    let kept = repo.home().join("cache/argon/jobs");
    let mut files = 0;
    for entry in fs::read_dir(kept).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        files += 1;
        assert!(memchr::memmem::find(&bytes, b"hunter2").is_none());
    }
    assert_eq!(files, 1);
}

#[test]
fn an_artifact_of_a_needed_job_is_part_of_what_a_job_rests_on() {
    let jobs = |word: &str| {
        json!({"version": 1, "jobs": {
            "make": {"image": BUSYBOX, "artifacts": {"paths": "out"}, "steps": [{"run": format!("echo {word} > out; touch -d @1000000000 out")}]},
            "use": {"image": BUSYBOX, "needs": "make", "inputs": "none", "steps": [{"run": "cat out"}]},
        }})
        .to_string()
    };
    let repo = Repo::new(&jobs("one"));
    repo.plain(&[]).run().exits(0);
    let same = repo.json(&[]).run();
    assert_eq!(cached(&same), ["use"]);
    let repo = repo.file(".runnerci.yml", jobs("two"));
    let other = repo.json(&[]).run();
    assert_eq!(why(&other, "use"), "artifact make of make changed");
    assert_eq!(other.said("use", 1), "two\n");
}
