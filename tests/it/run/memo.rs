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
    let mut notes = 0;
    for entry in fs::read_dir(kept).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        notes += usize::from(path.extension().is_some_and(|extension| extension == "job"));
        assert!(memchr::memmem::find(&bytes, b"hunter2").is_none());
    }
    assert_eq!(notes, 1);
}

#[test]
fn an_artifact_of_a_needed_job_is_part_of_what_a_job_rests_on() {
    let jobs = |word: &str, mode: &str| {
        json!({"version": 1, "jobs": {
            "make": {"image": BUSYBOX, "artifacts": {"paths": "out"}, "steps": [{"run": format!("echo {word} > out; chmod {mode} out")}]},
            "use": {"image": BUSYBOX, "needs": "make", "inputs": "n", "steps": [{"run": "cat out"}]},
        }})
        .to_string()
    };
    let repo = Repo::new(&jobs("one", "644")).file("n", "");
    repo.plain(&[]).run().exits(0);
    // The file is written anew, at another time.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let same = repo.json(&[]).run();
    assert_eq!(cached(&same), ["use"]);
    let repo = repo.file(".runnerci.yml", jobs("two", "644"));
    let other = repo.json(&[]).run();
    assert_eq!(why(&other, "use"), "artifact make of make changed");
    assert_eq!(other.said("use", 1), "two\n");
    let repo = repo.file(".runnerci.yml", jobs("two", "600"));
    assert_eq!(why(&repo.json(&[]).run(), "use"), "artifact make of make changed");
}

/// Runs, and gives which of the jobs were not spared, each with the reason.
fn missed(repo: &Repo, args: &[&str]) -> Vec<(String, String)> {
    let ran = repo.json(args).run();
    ran.exits(0);
    let spared = cached(&ran);
    let ended = ran.all("job.finished");
    let jobs = ended.iter().map(|event| event["job"].as_str().unwrap().to_owned()).filter(|job| !spared.contains(job));
    let mut missed: Vec<_> = jobs.map(|job| (job.clone(), why(&ran, &job))).collect();
    missed.sort();
    missed
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(job, why)| ((*job).to_owned(), (*why).to_owned())).collect()
}

#[test]
fn a_deploy_that_a_branch_skipped_runs_on_main() {
    let repo = Repo::jobs(json!({"ship": {"image": BUSYBOX, "inputs": "a", "steps": [
        {"run": "echo built"}, {"if": "branch == 'main'", "run": "echo DEPLOY"}]}}))
    .file("a", "x")
    .commit();
    repo.git(&["checkout", "-q", "-b", "feature"]);
    repo.json(&[]).run().exits(0).never_says("DEPLOY\\n");
    repo.git(&["checkout", "-q", "main"]);
    let on_main = repo.json(&[]).run();
    on_main.exits(0);
    assert_eq!((cached(&on_main).len(), on_main.said("ship", 2).as_str()), (0, "DEPLOY\n"));
    assert_eq!(why(&on_main, "ship"), "branch is main, was feature");
}

#[test]
fn all_that_an_expression_reads_before_the_job_counts_and_nothing_else_does() {
    let job = |step: Value| json!({"image": BUSYBOX, "inputs": ["a", "script.sh"], "steps": [step]});
    let repo = Repo::jobs(json!({
        "by_branch": job(json!({"if": "startsWith(branch, 'm')", "run": "true"})),
        "by_changed": job(json!({"if": "changed('g')", "run": "true"})),
        "by_commit": job(json!({"run": "echo ${{ commit }}"})),
        "by_event": job(json!({"run": "echo $EVENT", "env": {"EVENT": "${{ event.name }}"}})),
        "by_folder": job(json!({"run": "pwd", "working-directory": "${{ branch != '' && '.' || '/' }}"})),
        "by_hash": job(json!({"run": "echo ${{ hash('g') }}"})),
        "by_secret": job(json!({"if": "secrets.TOKEN", "run": "true"})),
        "names_branch": job(json!({"run": "echo \"$ARGON_BRANCH\""})),
        "plain": job(json!({"run": "echo plain"})),
    }))
    .file("a", "x")
    .file("script.sh", "true\n")
    .file("g", "one")
    .file(".gitignore", "out\n")
    .commit();
    // `changed()` compares with the commit before the last, and with the last where something is not committed.
    repo.git(&["commit", "-q", "--allow-empty", "-m", "second"]);
    repo.git(&["checkout", "-q", "-b", "work"]);
    assert_eq!(missed(&repo, &[]).len(), 9);
    assert_eq!(missed(&repo, &[]), [], "the control: nothing has changed");
    repo.git(&["checkout", "-q", "-b", "more"]);
    let by_branch = "branch is more, was work";
    assert_eq!(
        missed(&repo, &[]),
        pairs(&[
            ("by_branch", by_branch),
            ("by_folder", by_branch),
            ("names_branch", "$ARGON_BRANCH is more, was work")
        ])
    );
    let repo = repo.file("g", "two");
    assert_eq!(
        missed(&repo, &[]),
        pairs(&[("by_changed", "changed('g') is true, was false"), ("by_hash", "hash('g') changed")])
    );
    assert_eq!(
        missed(&repo, &["-s", "TOKEN=hunter2hunter2"]),
        pairs(&[("by_secret", "secrets.TOKEN is true, was false")])
    );
    let asked = missed(&repo, &["--event", "push"]);
    let asked: Vec<_> = asked.into_iter().filter(|(job, _)| job != "by_changed" && job != "by_secret").collect();
    assert_eq!(asked, pairs(&[("by_event", "event.name is push, was manual")]));
    missed(&repo, &[]);
    // A commit is another with each commit: that alone defeats no job that does not name it.
    let was = repo.git(&["rev-parse", "HEAD"]);
    repo.git(&["commit", "-q", "--allow-empty", "-m", "more"]);
    let is = repo.git(&["rev-parse", "HEAD"]);
    let by_commit = missed(&repo, &[]);
    let [(job, why)] = &by_commit[..] else { panic!("{by_commit:?}") };
    assert!(job == "by_commit" && why.starts_with(&format!("commit is {is}, was {was}, step 1 (echo {is}")), "{why}");
    // What an input names counts as what a script does.
    let repo = repo.file("script.sh", "echo $ARGON_COMMIT\n");
    assert_eq!(missed(&repo, &[]).len(), 9);
    repo.git(&["commit", "-q", "--allow-empty", "-m", "more"]);
    assert_eq!(missed(&repo, &[]).len(), 9);
}

#[test]
fn each_part_of_a_job_counts() {
    use std::os::unix::fs::PermissionsExt;
    let mut job = json!({"image": BUSYBOX, "inputs": "a", "steps": [{"run": "true"}]});
    let mut repo = Repo::jobs(json!({"job": job})).file("a", "x").file("dir/b", "");
    let mut ask = |change: &mut dyn FnMut(&mut Value), args: &[&str]| {
        change(&mut job);
        fs::write(repo.path().join(".runnerci.yml"), json!({"version": 1, "jobs": {"job": job}}).to_string()).unwrap();
        let missed = missed(&repo, args);
        missed.first().map(|(_, why)| why.clone()).unwrap_or_default()
    };
    let definition = "the job's definition changed";
    assert_eq!(ask(&mut |_| {}, &[]), "nothing is kept of it yet");
    assert_eq!(ask(&mut |_| {}, &[]), "", "the control");
    assert_eq!(ask(&mut |job| job["user"] = json!("1000:1000"), &[]), definition);
    assert!(ask(&mut |job| job["steps"][0]["shell"] = json!("sh -eu {0}"), &[]).starts_with("step 1 (true) changed"));
    assert!(
        ask(&mut |job| job["steps"][0]["working-directory"] = json!("dir"), &[]).starts_with("step 1 (true) changed")
    );
    assert_eq!(ask(&mut |job| job["env"] = json!({"A": "1"}), &[]), format!("{definition}, variable A is new"));
    assert_eq!(ask(&mut |job| job["cache"] = json!({"key": "k1", "paths": "/c"}), &[]), definition);
    assert_eq!(ask(&mut |job| job["cache"]["key"] = json!("k2"), &[]), definition);
    assert_eq!(ask(&mut |job| job["cache"]["paths"] = json!("/d"), &[]), definition);
    let secret = ["-s", "TOKEN=hunter2hunter2"];
    assert!(
        ask(&mut |job| job["steps"][0]["secrets"] = json!(["TOKEN"]), &secret).starts_with("step 1 (true) changed")
    );
    assert_eq!(ask(&mut |_| {}, &["-s", "TOKEN=hunter3hunter3"]), "", "the value does not count");
    let service = json!({"s": {"image": BUSYBOX, "command": ["sleep", "99"], "ready": {"command": "true"}}});
    assert!(ask(&mut |job| job["services"] = service.clone(), &secret).contains(definition));
    assert_eq!(
        ask(&mut |job| job["services"]["s"]["env"] = json!({"B": "${{ branch }}"}), &secret),
        format!("branch is new, {definition}")
    );
    assert_eq!(ask(&mut |job| job["services"]["s"]["command"][1] = json!("98"), &secret), definition);
    assert_eq!(ask(&mut |_| {}, &secret), "", "the control");
    fs::set_permissions(repo.path().join("a"), fs::Permissions::from_mode(0o640)).unwrap();
    let by_mode = missed(&repo, &secret);
    assert_eq!(by_mode, pairs(&[("job", "a changed")]));
    repo = repo.file("a", "y");
    assert_eq!(missed(&repo, &secret), pairs(&[("job", "a changed")]));
}

#[test]
fn inputs_that_match_nothing_are_told_and_the_job_runs() {
    let repo = Repo::jobs(json!({"job": {"image": BUSYBOX, "inputs": "scr/**", "steps": [{"run": "echo ran"}]}}))
        .file("src/a", "x");
    for _ in 0..2 {
        let ran = repo.json(&[]).run();
        ran.exits(0);
        assert_eq!((cached(&ran).len(), ran.said("job", 1).as_str()), (0, "ran\n"));
        assert_eq!(why(&ran, "job"), "no file matches its inputs (scr/**), so it would never run again");
    }
}

#[test]
fn an_edit_while_a_run_with_a_snapshot_goes_on_is_no_part_of_what_is_kept() {
    let job = |extra: Value| {
        let mut job = json!({"image": BUSYBOX, "steps": [{"run": "cat a"}]});
        job.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        job
    };
    let mut repo = Repo::jobs(json!({
        "first": {"image": BUSYBOX, "steps": [{"run": "echo running; sleep 3"}]},
        "second": job(json!({"needs": "first", "inputs": "a"})),
    }))
    .file("a", "old\n");
    for number in 0..410 {
        repo = repo.file(&format!("files/{number}"), "x");
    }
    let mut run = repo.json(&[]).spawn();
    run.wait_for("\"text\":\"running");
    let repo = repo.file("a", "new\n");
    let run = run.end();
    run.exits(0);
    assert_eq!(run.said("second", 1), "old\n");
    run.says("its result is not kept: a was written to while the run went on");
    let after = repo.json(&[]).run();
    after.exits(0);
    assert_eq!((cached(&after).len(), after.said("second", 1).as_str()), (0, "new\n"));
    assert_eq!(cached(&repo.json(&[]).run()), ["second"], "the control: without an edit it is kept");
}

#[test]
fn a_job_that_is_spared_gives_all_that_it_gave() {
    let script = "mkdir out; echo x > out/file; echo version=7 >> \"$ARGON_OUTPUT\"; echo '# It went well' >> \"$ARGON_SUMMARY\"";
    let repo =
        Repo::jobs(json!({"job": {"image": BUSYBOX, "inputs": "a", "artifacts": {"name": "it", "paths": "out/**"},
        "steps": [{"id": "s", "run": script}]}}))
        .file("a", "x");
    let told = |ended: &Ended| {
        let summary: Vec<Value> = ended.all("step.summary").iter().map(|event| event["markdown"].clone()).collect();
        let artifacts: Vec<Value> =
            ended.all("artifact").iter().map(|event| json!([event["name"], event["files"], event["bytes"]])).collect();
        (summary, artifacts)
    };
    let first = repo.json(&[]).run();
    first.exits(0);
    let second = repo.json(&[]).run();
    assert_eq!(cached(&second), ["job"]);
    assert_eq!(told(&second), told(&first));
    assert_eq!(told(&first), (vec![json!("# It went well\n")], vec![json!(["it", 1, 2])]));
    assert_eq!(second.all("job.cached")[0]["steps"][0]["outputs"], json!({"version": "7"}));
    repo.argon(&["artifacts", "--get", "it", "-o", "got"]).without_engine().exits(0);
}
