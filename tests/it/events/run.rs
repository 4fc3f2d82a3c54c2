//! `argon run --event`: `on` decides, and steps and expressions see what the event says.

use serde_json::json;

use super::fixture;
use crate::support::{BUSYBOX, Ended, Repo};

const SHOW: &str = "env | grep -E '^ARGON_(EVENT|BRANCH|TAG|COMMIT_MESSAGE|PUSHER|BASE)' | sort";

/// A pipeline with this `on`, of one job that shows what it sees; committed.
fn repo(on: serde_json::Value) -> Repo {
    let steps = json!([{"run": SHOW}]);
    let pipeline = json!({"version": 1, "on": on, "jobs": {"job": {"image": BUSYBOX, "steps": steps}}});
    Repo::new(&pipeline.to_string()).commit()
}

fn out(ended: &Ended) -> String {
    String::from_utf8(ended.stdout.clone()).unwrap()
}

fn file(name: &str) -> String {
    fixture(name).display().to_string()
}

#[test]
fn without_an_event_nobody_asks_on() {
    let repo = repo(json!({"push": {"branches": ["release/*"]}}));
    let ended = repo.json(&[]).run();
    ended.exits(0);
    assert_eq!(ended.said("job", 1), "ARGON_BRANCH=main\nARGON_EVENT=manual\n");
}

#[test]
fn an_event_that_is_not_wanted_runs_nothing_and_says_why() {
    let repo = repo(json!({"push": {"branches": ["main", "release/*"]}}));
    let pushed = file("github-push");
    let args = ["--event", "push", "--event-file", pushed.as_str()];
    let why = "Not started: the branch `feature/login` matches none of on.push.branches: main, release/*";
    let ended = repo.plain(&args).run();
    ended.exits(0);
    assert_eq!(out(&ended), format!("{why}\n"));
    let ended = repo.json(&args).run();
    ended.exits(0);
    let line: serde_json::Value = serde_json::from_str(&out(&ended)).unwrap();
    assert_eq!((&line["type"], &line["level"], &line["message"]), (&json!("notice"), &json!("INFO"), &json!(why)));
    let ended = repo.plain(&["--dry-run", "--event", "schedule"]).run();
    ended.exits(0);
    assert_eq!(out(&ended), "Not started: `on` names push, and this is schedule\n");
}

#[test]
fn steps_see_what_the_event_says() {
    let repo = repo(json!({"push": {"branches": ["feature/**"]}}));
    let pushed = file("github-push");
    let ended = repo.json(&["--event", "push", "--event-file", pushed.as_str()]).run();
    ended.exits(0);
    assert_eq!(
        ended.said("job", 1),
        "ARGON_BRANCH=feature/login\nARGON_COMMIT_MESSAGE=Fix the login\nARGON_EVENT=push\n\
         ARGON_PUSHER_EMAIL=ada@example.com\nARGON_PUSHER_NAME=ada\n"
    );
    // What runs is the working tree, which is at another commit than the event.
    assert!(out(&ended).contains("the event is about the commit 1481a2de"), "{}", out(&ended));
}

#[test]
fn conditions_ask_for_the_event_and_for_what_changed() {
    let when = |condition: &str| json!({"if": condition, "run": "true"});
    let steps = json!([
        when("event.name == 'push' && branch == 'main' && event.commit_message == ''"),
        when("changed('docs/**')"),
        when("changed('src/**', '!src/*.md')"),
        when("hash('gone') == '' && hash('src/**') != ''"),
        when("hash('src/**') == hash('src/a.md')"),
        {"run": "echo ${{ hash('src/**') }}"},
    ]);
    let pipeline = json!({"version": 1, "jobs": {"job": {"image": BUSYBOX, "steps": steps}}});
    let repo = Repo::new(&pipeline.to_string()).commit().file("docs/a", "x").file("src/a.md", "x");
    let ended = repo.json(&["-v", "--event", "push"]).run();
    ended.exits(0);
    let ran: Vec<String> =
        ended.all("step.finished").iter().map(|step| step["status"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ran, ["success", "success", "skipped", "success", "success", "success"]);
    assert_eq!(ended.said("job", 6).len(), 65);
    assert_eq!(out(&ended).matches("changed() compares with ").count(), 1);
    assert!(out(&ended).contains(", the last commit"), "{}", out(&ended));
}

#[test]
fn paths_are_asked_of_the_source() {
    let repo = repo(json!({"push": {"paths": ["src/**"]}})).file("docs/a", "x");
    let args = ["--dry-run", "--event", "push"];
    let ended = repo.plain(&args).run();
    ended.exits(0);
    assert_eq!(out(&ended), "Not started: the one changed file matches none of on.push.paths: src/**\n");
    let repo = repo.file("src/a", "x");
    let ended = repo.plain(&args).run();
    ended.exits(0);
    assert!(!out(&ended).contains("Not started"), "{}", out(&ended));
}

#[test]
fn an_event_that_cannot_be_read_is_bad_usage() {
    let repo = repo(json!({"push": {}})).file("bad.json", "{}");
    for (file, says) in [
        ("gone.json", "cannot read the event gone.json"),
        ("bad.json", "bad.json: the event is none that a known forge sends: it is empty"),
    ] {
        let ended = repo.plain(&["--event", "push", "--event-file", file]).run();
        ended.exits(2);
        assert!(ended.text().contains(says), "{}", ended.text());
    }
    repo.plain(&["--event-file", "bad.json"]).run().exits(2);
    repo.plain(&["--event", "pull_request"]).run().exits(2);
}
