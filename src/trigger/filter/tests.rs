#![allow(clippy::unwrap_used)]

use std::convert::Infallible;

use super::*;
use crate::pipeline::Schedule;

fn list(patterns: &[&str]) -> Vec<Spanned<String>> {
    patterns.iter().map(|pattern| Spanned { value: (*pattern).to_owned(), span: 0..0 }).collect()
}

fn on_push(branches: &[&str], tags: &[&str], paths: &[&str]) -> On {
    let filter = PushFilter { branches: list(branches), tags: list(tags), paths: list(paths) };
    On { push: Some(filter), ..On::default() }
}

fn on_pull(branches: &[&str], paths: &[&str]) -> On {
    let filter = PullRequestFilter { branches: list(branches), paths: list(paths) };
    On { pull_request: Some(filter), ..On::default() }
}

fn pushed(branch: &str) -> Trigger {
    Trigger { branch: Some(branch.to_owned()), ..Trigger::new(EventKind::Push) }
}

fn tagged(tag: &str) -> Trigger {
    Trigger { tag: Some(tag.to_owned()), ..Trigger::new(EventKind::Push) }
}

fn pull(base: &str) -> Trigger {
    Trigger {
        branch: Some("topic".to_owned()),
        base_branch: Some(base.to_owned()),
        ..Trigger::new(EventKind::PullRequest)
    }
}

/// What is decided, in words.
fn said(on: Option<&On>, trigger: &Trigger, changed: Option<&[&str]>) -> String {
    let changed = changed.map(|paths| paths.iter().map(|&path| path.to_owned()).collect());
    match decide(on, trigger, || Ok::<_, Infallible>(changed)).unwrap() {
        Decision::Triggered => "triggered".to_owned(),
        Decision::Not(reason) => reason.to_string(),
    }
}

#[test]
fn kinds_of_events() {
    let all = On {
        push: Some(PushFilter::default()),
        pull_request: Some(PullRequestFilter::default()),
        schedule: vec![Schedule { cron: Spanned { value: "0 4 * * *".into(), span: 0..0 }, time_zone: None }],
        manual: true,
    };
    let push = on_push(&[], &[], &[]);
    let nothing = On::default();
    for (kind, without, only_push, none) in [
        (EventKind::Push, "triggered", "triggered", "`on` names no event, and this is push"),
        (
            EventKind::PullRequest,
            "there is no `on`, so only push and manual start it, and this is pull-request",
            "`on` names push, and this is pull-request",
            "`on` names no event, and this is pull-request",
        ),
        (
            EventKind::Schedule,
            "there is no `on`, so only push and manual start it, and this is schedule",
            "`on` names push, and this is schedule",
            "`on` names no event, and this is schedule",
        ),
        (
            EventKind::Manual,
            "triggered",
            "`on` names push, and this is manual",
            "`on` names no event, and this is manual",
        ),
    ] {
        let trigger = Trigger::new(kind);
        assert_eq!(said(None, &trigger, None), without);
        assert_eq!(said(Some(&all), &trigger, None), "triggered", "{kind}");
        assert_eq!(said(Some(&push), &trigger, None), only_push);
        assert_eq!(said(Some(&nothing), &trigger, None), none);
    }
    let rest = On { push: None, ..all };
    let words = "`on` names pull-request, schedule, manual, and this is push";
    assert_eq!(said(Some(&rest), &pushed("main"), None), words);
}

#[test]
fn branches_tags_and_paths_of_a_push() {
    let released = ["main", "release/*"];
    let cases: &[(On, Trigger, Option<&[&str]>, &str)] = &[
        (on_push(&[], &[], &[]), pushed("x"), None, "triggered"),
        (on_push(&[], &[], &[]), tagged("x"), None, "triggered"),
        (on_push(&released, &[], &[]), pushed("main"), None, "triggered"),
        (on_push(&released, &[], &[]), pushed("release/1"), None, "triggered"),
        (
            on_push(&released, &[], &[]),
            pushed("feature/x"),
            None,
            "the branch `feature/x` matches none of on.push.branches: main, release/*",
        ),
        (on_push(&["**", "!wip/**"], &[], &[]), pushed("a/b"), None, "triggered"),
        (
            on_push(&["**", "!wip/**"], &[], &[]),
            pushed("wip/a"),
            None,
            "the branch `wip/a` matches none of on.push.branches: **, !wip/**",
        ),
        (
            on_push(&released, &[], &[]),
            tagged("v1"),
            None,
            "`v1` is a tag, and there is on.push.branches but no on.push.tags",
        ),
        (
            on_push(&[], &["v*"], &[]),
            pushed("main"),
            None,
            "`main` is a branch, and there is on.push.tags but no on.push.branches",
        ),
        (on_push(&[], &["v*"], &[]), tagged("v1"), None, "triggered"),
        (on_push(&[], &["v*"], &[]), tagged("x1"), None, "the tag `x1` matches none of on.push.tags: v*"),
        (on_push(&["main"], &["v*"], &[]), tagged("v1"), None, "triggered"),
        (on_push(&["main"], &["v*"], &[]), pushed("main"), None, "triggered"),
        (on_push(&[], &[], &["src/**"]), pushed("main"), Some(&["src/a", "b"]), "triggered"),
        (
            on_push(&[], &[], &["src/**"]),
            pushed("main"),
            Some(&["a", "b"]),
            "none of the 2 changed files matches on.push.paths: src/**",
        ),
        (
            on_push(&[], &[], &["src/**"]),
            pushed("main"),
            Some(&["a"]),
            "the one changed file matches none of on.push.paths: src/**",
        ),
        (
            on_push(&[], &[], &["src/**"]),
            pushed("main"),
            Some(&[]),
            "no file was changed, so none matches on.push.paths: src/**",
        ),
        (on_push(&[], &[], &["src/**"]), pushed("main"), None, "triggered"),
        (on_push(&[], &[], &["!docs/**"]), pushed("main"), Some(&["docs/a", "b"]), "triggered"),
        (
            on_push(&[], &[], &["!docs/**"]),
            pushed("main"),
            Some(&["docs/a"]),
            "the one changed file matches none of on.push.paths: !docs/**",
        ),
        (on_push(&[], &[], &["src/**"]), tagged("v1"), Some(&[]), "triggered"),
        (
            on_push(&["main"], &[], &["src/**"]),
            pushed("x"),
            Some(&["src/a"]),
            "the branch `x` matches none of on.push.branches: main",
        ),
        (
            on_push(&["main"], &[], &[]),
            Trigger::new(EventKind::Push),
            None,
            "it is on no branch, so it matches none of on.push.branches: main",
        ),
        (
            on_push(&["[a"], &[], &[]),
            pushed("a"),
            None,
            "on.push.branches: `[a` is not a pattern: unclosed character class; missing ']'",
        ),
    ];
    for (on, trigger, changed, expected) in cases {
        assert_eq!(said(Some(on), trigger, *changed), *expected, "{on:?} with {trigger:?}");
    }
}

#[test]
fn a_pull_request_is_asked_for_the_branch_it_is_to_be_merged_into() {
    let cases: &[(On, Trigger, Option<&[&str]>, &str)] = &[
        (on_pull(&[], &[]), pull("main"), None, "triggered"),
        (on_pull(&["main"], &[]), pull("main"), None, "triggered"),
        (
            on_pull(&["topic"], &[]),
            pull("main"),
            None,
            "the branch `main` matches none of on.pull-request.branches: topic",
        ),
        (on_pull(&["main"], &["src/**"]), pull("main"), Some(&["src/a"]), "triggered"),
        (
            on_pull(&["main"], &["src/**"]),
            pull("main"),
            Some(&["a"]),
            "the one changed file matches none of on.pull-request.paths: src/**",
        ),
        (
            on_pull(&["main"], &[]),
            Trigger::new(EventKind::PullRequest),
            None,
            "the branch that it is to be merged into is not known, so it matches none of on.pull-request.branches: main",
        ),
        (on_pull(&[], &[]), Trigger::new(EventKind::PullRequest), None, "triggered"),
    ];
    for (on, trigger, changed, expected) in cases {
        assert_eq!(said(Some(on), trigger, *changed), *expected, "{on:?} with {trigger:?}");
    }
}

#[test]
fn changed_files_are_asked_for_only_where_they_count() {
    let never = || -> Result<_, Infallible> { panic!("nobody needs to know") };
    for (on, trigger) in [
        (on_push(&["main"], &[], &[]), pushed("main")),
        (on_push(&["main"], &[], &["src/**"]), pushed("x")),
        (on_push(&[], &[], &["src/**"]), tagged("v1")),
        (on_pull(&["main"], &["src/**"]), pull("x")),
    ] {
        decide(Some(&on), &trigger, never).unwrap();
    }
}
