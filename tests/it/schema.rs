//! The JSON Schema of the language, held against the validator on every fixture and every example.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use argon::pipeline::{self, Code, Severity};
use serde_json::Value;

/// What a schema can tell, too: where the validator finds one of these, the schema must refuse the file.
const TOLD_BY_BOTH: &[Code] = &[
    Code::UnknownKey,
    Code::MisplacedKey,
    Code::MissingKey,
    Code::WrongType,
    Code::Version,
    Code::NoJobs,
    Code::JobKey,
    Code::Duration,
    Code::Size,
    Code::Boolean,
    Code::Choice,
    Code::Number,
    Code::User,
    Code::EmptyText,
    Code::EnvName,
    Code::ReservedEnv,
    Code::EnvValue,
    Code::SecretName,
    Code::StepId,
    Code::OutputName,
    Code::MatrixValue,
    Code::MatrixKey,
    Code::IncludeCommit,
];

fn validator() -> jsonschema::Validator {
    jsonschema::draft7::new(&pipeline::schema()).unwrap()
}

/// A file as an editor hands it to a schema: aliases and merges applied. `None` where it is no YAML to it.
fn as_json(text: &str) -> Option<Value> {
    let mut value: serde_yaml::Value = serde_yaml::from_str(text).ok()?;
    value.apply_merge().ok()?;
    serde_json::to_value(value).ok()
}

fn fixtures(kind: &str) -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/pipelines").join(kind);
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "yml"))
        .map(|path| (path.display().to_string(), std::fs::read_to_string(&path).unwrap()))
        .collect();
    all.sort();
    all
}

fn examples(page: &str) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs").join(page)).unwrap();
    let blocks = text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    // What stands behind a line `# file:` is another file.
    let files = blocks.flat_map(|block| {
        block.split("# file: ").enumerate().map(|(at, part)| match at {
            0 => part.to_owned(),
            _ => part.split_once('\n').unwrap().1.to_owned(),
        })
    });
    files.map(|file| (format!("{page}:\n{file}"), file)).collect()
}

#[test]
fn the_schema_is_one() {
    let schema = pipeline::schema();
    assert!(jsonschema::draft7::meta::is_valid(&schema));
    let all = schema.to_string();
    assert!(all.contains("markdownDescription") && all.contains("#/definitions/step"));
}

#[test]
fn what_the_validator_takes_the_schema_takes() {
    let validator = validator();
    let mut count = 0;
    for (name, text) in fixtures("valid").into_iter().chain(examples("pipeline.md")).chain(examples("diagnostics.md")) {
        let (_, findings) = pipeline::parse(&text);
        let is_valid = findings.iter().all(|f| f.severity() == Severity::Warning || f.code == Code::Include);
        if !is_valid {
            continue;
        }
        let value = as_json(&text).unwrap_or_else(|| panic!("{name}"));
        let errors: Vec<String> =
            validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
        count += 1;
    }
    assert!(count > 60, "{count}");
}

#[test]
fn what_a_schema_can_tell_it_tells() {
    let validator = validator();
    let mut count = 0;
    let mut missed = Vec::new();
    for (name, text) in fixtures("invalid").into_iter().chain(examples("diagnostics.md")) {
        let (_, findings) = pipeline::parse(&text);
        // How large a size is, a pattern cannot tell.
        let findings = findings.iter().filter(|f| f.help.as_deref() != Some("at least `6MiB`"));
        let told: Vec<Code> = findings.map(|f| f.code).filter(|code| TOLD_BY_BOTH.contains(code)).collect();
        let Some(value) = as_json(&text) else { continue };
        if told.is_empty() {
            continue;
        }
        count += 1;
        if validator.is_valid(&value) {
            missed.push(format!("{name}: {told:?}"));
        }
    }
    assert!(missed.is_empty(), "the schema takes what the validator refuses:\n{}", missed.join("\n"));
    assert!(count > 40, "{count}");
}
