//! `on`: which events start the pipeline; and `concurrency`.

use std::rc::Rc;

use super::patterns::{self, Of};
use super::schedule;
use crate::pipeline::language::Mapping;
use crate::pipeline::reader::Reader;
use crate::pipeline::tree::{Entry, Kind, Node};
use crate::pipeline::{Code, Concurrency, Diagnostic, InProgress, On, PullRequestFilter, PushFilter, Spanned};

/// An event that needs nothing but its name.
#[derive(Debug, Clone, Copy)]
enum Event {
    Push,
    PullRequest,
    Manual,
}

const EVENTS: [(&str, Event); 3] =
    [("push", Event::Push), ("pull-request", Event::PullRequest), ("manual", Event::Manual)];

pub(super) fn on(reader: &mut Reader<'_>, entry: &Entry) -> On {
    let node = &entry.value;
    let is_empty = match &node.kind {
        Kind::Map(entries) => entries.is_empty(),
        Kind::Seq(items) => items.is_empty(),
        _ => node.is_null(),
    };
    if is_empty {
        reader.report(
            Diagnostic::new(Code::NoEvent, entry.key.span.clone(), "`on` names no event")
                .help("name one, such as `push`, or remove `on`: without it, `push` and `manual` start the pipeline"),
        );
        return On::default();
    }
    if matches!(node.kind, Kind::Map(_)) { filtered(reader, node) } else { named(reader, node) }
}

/// A word, or a list of words.
fn named(reader: &mut Reader<'_>, node: &Rc<Node>) -> On {
    let mut on = On::default();
    let mut seen: Vec<Spanned<String>> = Vec::new();
    for item in reader.one_or_many("on", node) {
        let Some(word) = reader.text("on", item).map(str::to_owned) else {
            continue;
        };
        if word == "schedule" {
            reader.report(
                Diagnostic::new(Code::Choice, item.span.clone(), "`schedule` does not say when")
                    .help("write `on` as a mapping, with `schedule:` and `cron: 0 3 * * *` below it"),
            );
            continue;
        }
        let Some(event) = reader.choice("on", item, &EVENTS) else {
            continue;
        };
        let word = Spanned { value: word, span: item.span.clone() };
        if let Some(first) = seen.iter().find(|other| other.value == word.value) {
            let message = format!("`on` names `{}` twice", word.value);
            reader.report(
                Diagnostic::new(Code::DuplicateEvent, word.span.clone(), message)
                    .label(first.span.clone(), "it stands here first")
                    .help("keep one of them"),
            );
            continue;
        }
        seen.push(word);
        match event {
            Event::Push => on.push = Some(PushFilter::default()),
            Event::PullRequest => on.pull_request = Some(PullRequestFilter::default()),
            Event::Manual => on.manual = true,
        }
    }
    on
}

/// A mapping: each event with what it is filtered by.
fn filtered(reader: &mut Reader<'_>, node: &Node) -> On {
    let mut on = On::default();
    for entry in reader.mapping("on", Mapping::On, node).unwrap_or_default() {
        let value = &entry.value;
        match entry.key.value.as_str() {
            "push" => on.push = Some(push(reader, value)),
            "pull-request" => on.pull_request = Some(pull_request(reader, value)),
            "schedule" => {
                on.schedule = schedule::all(reader, value);
            }
            "manual" => on.manual = value.is_null() || reader.boolean("manual", value) == Some(true),
            _ => {}
        }
    }
    on
}

/// Reports branches that stand where a mapping with them belongs.
fn is_bare(reader: &mut Reader<'_>, key: &str, node: &Node) -> bool {
    let names = reader.source(&node.span).lines().next().unwrap_or_default().trim().to_owned();
    let help = match node.kind {
        Kind::Plain(_) | Kind::Text(_) => format!("write `branches: [{names}]` below it, or nothing for all of them"),
        Kind::Seq(_) => "write `branches:` below it, and the list behind that".to_owned(),
        _ => return false,
    };
    if let Some(finding) = reader.wrong_type(key, node, "a mapping") {
        finding.help = Some(help);
    }
    true
}

fn push(reader: &mut Reader<'_>, node: &Node) -> PushFilter {
    let mut filter = PushFilter::default();
    let mut paths_at = None;
    if node.is_null() || is_bare(reader, "push", node) {
        return filter;
    }
    for entry in reader.mapping("push", Mapping::Push, node).unwrap_or_default() {
        match entry.key.value.as_str() {
            "branches" => filter.branches = patterns::read(reader, "branches", Of::Branches, &entry.value),
            "tags" => filter.tags = patterns::read(reader, "tags", Of::Tags, &entry.value),
            "paths" => {
                filter.paths = patterns::read(reader, "paths", Of::ChangedFiles, &entry.value);
                paths_at = Some(entry.key.span.clone());
            }
            _ => {}
        }
    }
    if let Some(at) = paths_at
        && !filter.tags.is_empty()
        && filter.branches.is_empty()
    {
        reader.report(
            Diagnostic::new(Code::PathsOfTags, at, "`paths` counts for nothing here: only tags start the pipeline")
                .help("a tag changes no file: add `branches`, or remove `paths`"),
        );
    }
    filter
}

fn pull_request(reader: &mut Reader<'_>, node: &Node) -> PullRequestFilter {
    let mut filter = PullRequestFilter::default();
    if node.is_null() || is_bare(reader, "pull-request", node) {
        return filter;
    }
    for entry in reader.mapping("pull-request", Mapping::PullRequest, node).unwrap_or_default() {
        match entry.key.value.as_str() {
            "branches" => filter.branches = patterns::read(reader, "branches", Of::Branches, &entry.value),
            "paths" => filter.paths = patterns::read(reader, "paths", Of::ChangedFiles, &entry.value),
            _ => {}
        }
    }
    filter
}

pub(super) fn concurrency(reader: &mut Reader<'_>, entry: &Entry) -> Option<Concurrency> {
    let node = &entry.value;
    if !matches!(node.kind, Kind::Map(_)) {
        let group = reader.template("concurrency", node)?;
        return Some(Concurrency { group, in_progress: InProgress::default() });
    }
    let (mut group, mut has_group, mut in_progress) = (None, false, InProgress::default());
    for entry in reader.mapping("concurrency", Mapping::Concurrency, node)? {
        match entry.key.value.as_str() {
            "group" => {
                group = reader.template("group", &entry.value);
                has_group = true;
            }
            "cancel-in-progress" => {
                let cancels = reader.boolean("cancel-in-progress", &entry.value) == Some(true);
                in_progress = if cancels { InProgress::Cancel } else { InProgress::Keep };
            }
            _ => {}
        }
    }
    if !has_group {
        reader.missing("`concurrency`", node, Mapping::Concurrency, "group", &entry.key.span, GROUP_HELP);
    }
    Some(Concurrency { group: group?, in_progress })
}

const GROUP_HELP: &str = "add `group:` with a name that runs share, such as `deploy-${{ branch }}`";
