//! Events: what forges send, and `argon run --event`.

#![allow(clippy::unwrap_used)]

mod run;

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use argon::trigger::{EventKind, Trigger, TriggerError, variables};
use serde_json::json;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/events").join(format!("{name}.json"))
}

fn kind_of(name: &str) -> EventKind {
    if name.contains("pull-request") || name.contains("merge-request") {
        EventKind::PullRequest
    } else {
        EventKind::Push
    }
}

/// What a step sees of an event, and what it is compared with.
fn shown(name: &str) -> String {
    let bytes = fs::read(fixture(name)).unwrap();
    match Trigger::from_json(kind_of(name), &bytes) {
        Err(error) => format!("{error}\n  {}\n", error.hint()),
        Ok(trigger) => {
            let mut text = String::new();
            for (name, value) in variables(&trigger.contexts()) {
                writeln!(text, "{name}={value:?}").unwrap();
            }
            writeln!(text, "since {:?}", trigger.since()).unwrap();
            writeln!(text, "paths {:?}", trigger.changed_paths).unwrap();
            assert_eq!(
                trigger.contexts().event["payload"],
                serde_json::from_slice::<serde_json::Value>(&bytes).unwrap()
            );
            text
        }
    }
}

#[test]
fn what_forges_send_is_read() {
    let mut names: Vec<String> = fs::read_dir(fixture("x").parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert!(names.len() >= 19, "{names:?}");
    let all: String = names.iter().map(|name| format!("## {name}\n{}\n", shown(name))).collect();
    insta::assert_snapshot!(all);
}

#[test]
fn what_is_no_event_is_refused_with_what_is_wanted() {
    let push = json!({"ref": "refs/heads/main", "before": "0", "after": "a".repeat(40), "commits": []});
    let with = |field: &str, value: serde_json::Value| {
        let mut changed = push.clone();
        changed[field] = value;
        changed.to_string()
    };
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let cases = [
        (String::new(), "the event is not JSON: EOF while parsing a value at line 1 column 0"),
        ("{\"a\": }".into(), "the event is not JSON: expected value at line 1 column 7"),
        (deep, "the event is not JSON: recursion limit exceeded at line 1 column 128"),
        ("[]".into(), "the event is JSON, but not an object"),
        ("{}".into(), "the event is none that a known forge sends: it is empty"),
        (
            json!({"zen": "Keep it simple.", "hook_id": 1}).to_string(),
            "the event is none that a known forge sends: it has `hook_id`, `zen`",
        ),
        (with("ref", json!(null)), "the event looks like a push of GitHub or Gitea, but its `ref` is missing"),
        (with("ref", json!(7)), "the event looks like a push of GitHub or Gitea, but its `ref` is not text"),
        (
            with("ref", json!("refs/notes/x")),
            "the event looks like a push of GitHub or Gitea, but its `ref` is neither refs/heads/… nor refs/tags/…",
        ),
        (
            with("ref", json!("refs/heads/a\nb")),
            "the event looks like a push of GitHub or Gitea, but its `ref` is not the name of a branch or tag",
        ),
        (
            with("after", json!("--upload-pack=x")),
            "the event looks like a push of GitHub or Gitea, but its `after` is not a commit id",
        ),
        (
            json!({"commitId": "main"}).to_string(),
            "the event looks like a push of Argon, but its `commitId` is not a commit id",
        ),
    ];
    for (text, expected) in cases {
        let error = Trigger::from_json(EventKind::Push, text.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert!(!error.hint().is_empty());
    }
    let large = format!("{{\"a\": \"{}\"}}", "x".repeat(argon::trigger::MAX_BYTES));
    let error = Trigger::from_json(EventKind::Push, large.as_bytes()).unwrap_err();
    assert!(matches!(error, TriggerError::TooLarge { .. }), "{error}");
    let pull = fs::read(fixture("github-pull-request")).unwrap();
    let error = Trigger::from_json(EventKind::Push, &pull).unwrap_err();
    assert_eq!(error.to_string(), "the event is a pull-request of GitHub or Gitea, not a push");
    assert_eq!(error.hint(), "say `--event pull-request`");
}

#[test]
fn texts_are_made_fit_for_a_variable() {
    let payload = json!({
        "commitId": "a".repeat(40), "branch": "refs/heads/x",
        "commitMessage": format!("a\u{0}b{}", "é".repeat(40_000)), "pusherName": "", "pusherEmail": 7,
    });
    let trigger = Trigger::from_json(EventKind::Push, payload.to_string().as_bytes()).unwrap();
    let message = trigger.commit_message.unwrap();
    assert!(message.starts_with("a\u{fffd}bé") && message.len() <= 32 * 1024 && message.len() > 32 * 1024 - 4);
    assert_eq!((trigger.branch.as_deref(), trigger.pusher_name, trigger.pusher_email), (Some("x"), None, None));
}

#[test]
fn a_person_or_a_schedule_may_bring_any_object() {
    for kind in [EventKind::Manual, EventKind::Schedule] {
        let trigger = Trigger::from_json(kind, br#"{"environment": "staging"}"#).unwrap();
        assert_eq!(trigger.contexts().event["payload"]["environment"], "staging");
        assert_eq!(variables(&trigger.contexts()), [("ARGON_EVENT", kind.name().to_owned())]);
    }
}
