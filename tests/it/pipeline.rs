//! The pipeline language: fixtures and their findings, the documentation's examples, hostile texts and hostile files.

#![allow(clippy::unwrap_used)]

#[path = "../../src/cli/explain.rs"]
#[allow(dead_code)]
mod explain;
#[path = "../../src/cli/includes.rs"]
#[allow(dead_code)]
mod includes;
#[path = "../../src/cli/print.rs"]
#[allow(dead_code)]
mod print;
#[path = "../../src/cli/report.rs"]
#[allow(dead_code)]
mod report;
#[path = "../../src/cli/sarif.rs"]
#[allow(dead_code)]
mod sarif;
#[path = "../../src/cli/targets.rs"]
#[allow(dead_code)]
mod targets;
#[path = "../../src/cli/validate.rs"]
#[allow(dead_code)]
mod validate;

mod docs;
mod files;
mod robustness;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use argon::pipeline::language::{Kind, Mapping};
use argon::pipeline::{self, Diagnostic, OnError, Severity};
use report::{Colour, ReportStyle};

const PLAIN: ReportStyle = ReportStyle { colour: Colour::Plain, width: 80 };

fn fixtures(kind: &str) -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/pipelines").join(kind);
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

fn show(findings: &[Diagnostic], text: &str) -> String {
    report::render(findings, ".runnerci.yml", text, PLAIN)
}

#[test]
fn valid_fixtures_have_a_pipeline() {
    for (name, text) in fixtures("valid") {
        let (pipeline, findings) = pipeline::parse(&text);
        assert!(pipeline.is_some(), "{name}: {}", show(&findings, &text));
        assert_eq!(findings.is_empty(), name != "warnings", "{name}: {}", show(&findings, &text));
    }
}

#[test]
fn every_key_reaches_the_model() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/pipelines/valid/every-key.yml"))
        .unwrap();
    insta::assert_debug_snapshot!(pipeline::parse(&text).0.unwrap());
}

/// Every key of the table stands in the fixture, where the table has it.
#[test]
fn every_key_stands_in_its_fixture() {
    let text = include_str!("../../fixtures/pipelines/valid/every-key.yml");
    let file: serde_yaml::Value = serde_yaml::from_str(text).unwrap();
    let mut seen = HashSet::new();
    walk(&Kind::Of(Mapping::Top), &file, &mut seen);
    // What brings another file in needs one: fixtures of `include` are in tests/it/pipeline/docs.rs.
    let elsewhere =
        |mapping: Mapping, name: &str| mapping == Mapping::Include || name == "include" && mapping == Mapping::Top;
    let missing: Vec<String> = Mapping::ALL
        .iter()
        .flat_map(|mapping| mapping.names().map(move |name| (*mapping, name)))
        .filter(|(mapping, name)| !elsewhere(*mapping, name) && !seen.contains(&format!("{mapping:?}.{name}")))
        .map(|(mapping, name)| format!("{mapping:?}.{name}"))
        .collect();
    assert!(missing.is_empty(), "every-key.yml has none of {missing:?}");
}

/// Collects `Mapping.key` of a value that is of this kind.
fn walk(kind: &Kind, value: &serde_yaml::Value, seen: &mut HashSet<String>) {
    match (kind, value) {
        (Kind::Of(mapping), serde_yaml::Value::Mapping(entries)) => {
            for (name, value) in entries {
                if let Some(key) = mapping.key(name.as_str().unwrap()) {
                    seen.insert(format!("{mapping:?}.{}", key.name));
                    walk(&key.kind, value, seen);
                }
            }
        }
        (Kind::Named(mapping), serde_yaml::Value::Mapping(entries)) => {
            entries.iter().for_each(|(_, value)| walk(&Kind::Of(*mapping), value, seen));
        }
        (Kind::List(item) | Kind::OneOrMany(item), serde_yaml::Value::Sequence(items)) => {
            items.iter().for_each(|value| walk(item, value, seen));
        }
        (Kind::OneOrMany(kind) | Kind::Optional(kind), value) => walk(kind, value, seen),
        (Kind::Either(kinds), value) => kinds.iter().for_each(|kind| walk(kind, value, seen)),
        _ => {}
    }
}

#[test]
fn merges_and_aliases_reach_the_model() {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/pipelines/valid/anchors.yml")).unwrap();
    let pipeline = pipeline::parse(&text).0.unwrap();
    let other = &pipeline.jobs[1];
    assert_eq!(other.image.to_string(), "busybox:1.36");
    let env: Vec<String> = other.env.iter().map(|(name, value)| format!("{}={value}", name.value)).collect();
    assert_eq!(env, ["B=two", "A=1"]);
    assert_eq!(pipeline.jobs[2].steps.len(), 1);
    assert_eq!(pipeline.jobs[2].on_error, OnError::Fail);
}

#[test]
fn invalid_fixtures_are_told_to_the_column() {
    let mut told: HashMap<String, String> = HashMap::new();
    for (name, text) in fixtures("invalid") {
        let (pipeline, findings) = pipeline::parse(&text);
        assert!(pipeline.is_none(), "{name} is valid");
        assert!(findings.iter().any(|finding| finding.severity() == Severity::Error), "{name}");
        assert!(findings.iter().all(|finding| finding.help.is_some()), "{name}: a finding without help");
        insta::assert_snapshot!(format!("invalid-{name}"), show(&findings, &text));
        if !name.starts_with("several") {
            let all: Vec<String> = findings.iter().map(|f| format!("{} {:?}", f.message, f.help)).collect();
            if let Some(other) = told.insert(all.join("\n"), name.clone()) {
                panic!("{name} and {other} are told the same");
            }
        }
    }
    assert!(told.len() >= 150);
}

#[test]
fn what_is_printed_is_the_same_pipeline() {
    for (name, text) in fixtures("valid") {
        let Some(pipeline) = pipeline::parse(&text).0 else { panic!("{name}") };
        let printed = print::yaml(&pipeline).unwrap();
        let (again, findings) = pipeline::parse(&printed);
        let again = again.unwrap_or_else(|| panic!("{name}: {}\n{printed}", show(&findings, &printed)));
        assert_eq!(print::yaml(&again).unwrap(), printed, "{name}");
        // Conditions, templates and units came through, too.
        assert_eq!(without_spans(&again), without_spans(&pipeline), "{name}");
    }
}

/// The model as text, without where things stand.
fn without_spans(pipeline: &pipeline::Pipeline) -> String {
    let text = format!("{pipeline:#?}");
    let is_span = |line: &&str| {
        let (start, end) =
            line.trim().trim_start_matches("span: ").trim_end_matches(',').split_once("..").unwrap_or(("x", ""));
        start.parse::<usize>().is_ok() && end.parse::<usize>().is_ok()
    };
    text.lines().filter(|line| !is_span(line)).collect::<Vec<_>>().join("\n")
}

#[test]
fn formats_for_tools() {
    let text = "jobs:\n  ü:\n    image: Box:1\n    steps: [{run: a}]\n";
    let (_, findings) = pipeline::parse(text);
    insta::assert_snapshot!("format-short", report::short(&findings, "a,b.yml", text));
    insta::assert_snapshot!("format-github", report::github(&findings, "a,b.yml", text));
    insta::assert_snapshot!(
        "format-json",
        serde_json::to_string_pretty(&report::json(&findings, "a,b.yml", text)).unwrap()
    );
}

#[test]
fn a_file_cannot_drive_the_terminal() {
    let text = "jobs:\n  \"\u{1b}[2J\u{202e}x\":\n    image: busybox:1\n    \u{9b}31m: 1\n    steps: [{run: a}]\n";
    let (_, findings) = pipeline::parse(text);
    let shown = show(&findings, text) + &report::short(&findings, "\u{1b}c.yml", text);
    assert!(!findings.is_empty());
    assert!(!shown.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{shown:?}");
}
