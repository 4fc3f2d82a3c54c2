//! `--format sarif`: findings as SARIF 2.1.0 (<https://docs.oasis-open.org/sarif/sarif/v2.1.0/>), for code scanning.

use std::collections::BTreeSet;
use std::path::Path;

use argon::pipeline::{Code, Diagnostic, LineIndex, Severity, Span};
use serde_json::{Map, Value, json};

use super::explain;

/// One file's findings.
pub(crate) struct FileFindings<'a> {
    /// The file, as it was named.
    pub(crate) name: &'a str,
    /// Its text; empty where it could not be read.
    pub(crate) text: &'a str,
    /// Its findings.
    pub(crate) findings: &'a [Diagnostic],
}

/// The log of one run over some files. Rules are the codes that occur, in their order.
#[must_use]
pub(crate) fn log(files: &[FileFindings<'_>]) -> Value {
    let codes: BTreeSet<Code> = files.iter().flat_map(|file| file.findings).map(|finding| finding.code).collect();
    let codes: Vec<Code> = codes.into_iter().collect();
    let results: Vec<Value> = files.iter().flat_map(|file| results(file, &codes)).collect();
    let mut driver = json!({
        "name": "argon",
        "version": env!("CARGO_PKG_VERSION"),
        "rules": codes.iter().map(|code| rule(*code)).collect::<Vec<_>>(),
    });
    if let Some(home) = home() {
        driver["informationUri"] = json!(home);
    }
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": driver },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

/// Where the package says that its source is.
fn home() -> Option<&'static str> {
    let home = env!("CARGO_PKG_REPOSITORY");
    (!home.is_empty()).then_some(home)
}

fn rule(code: Code) -> Value {
    let section = explain::section(code);
    let title = section.map_or("", |section| section.title);
    let text = section.map_or("", |section| section.body);
    let mut rule = json!({
        "id": code.as_str(),
        "shortDescription": { "text": title },
        "help": { "text": text, "markdown": text },
        "defaultConfiguration": { "level": level(code.severity()) },
    });
    if let Some(home) = home() {
        rule["helpUri"] = json!(format!("{home}/blob/main/docs/diagnostics.md"));
    }
    rule
}

fn results<'a>(file: &'a FileFindings<'a>, codes: &'a [Code]) -> impl Iterator<Item = Value> + 'a {
    let lines = LineIndex::new(file.text);
    let artifact = json!({ "uri": uri(file.name) });
    file.findings.iter().map(move |finding| {
        let help = finding.help.as_ref().map(|help| format!("\n{help}")).unwrap_or_default();
        let mut result = json!({
            "ruleId": finding.code.as_str(),
            "level": level(finding.severity()),
            "message": { "text": format!("{}{help}", finding.message) },
            "locations": [{ "physicalLocation": physical(&artifact, &lines, file.text, &finding.span) }],
        });
        if let Some(index) = codes.iter().position(|code| *code == finding.code) {
            result["ruleIndex"] = json!(index);
        }
        if !finding.labels.is_empty() {
            let related = finding.labels.iter().map(|label| {
                json!({
                    "physicalLocation": physical(&artifact, &lines, file.text, &label.span),
                    "message": { "text": label.text },
                })
            });
            result["relatedLocations"] = related.collect();
        }
        result
    })
}

/// A file that could not be read has no region.
fn physical(artifact: &Value, lines: &LineIndex<'_>, text: &str, span: &Span) -> Value {
    let mut location = Map::from_iter([("artifactLocation".to_owned(), artifact.clone())]);
    if !text.is_empty() {
        let place = lines.place(span);
        let region = json!({
            "startLine": place.line,
            "startColumn": place.column,
            "endLine": place.end_line,
            "endColumn": place.end_column,
        });
        location.insert("region".to_owned(), region);
    }
    Value::Object(location)
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// A path as a relative reference (RFC 3986), or as a `file:` URI where it is absolute.
fn uri(path: &str) -> String {
    let is_absolute = Path::new(path).is_absolute();
    let mut uri = if is_absolute { "file://".to_owned() } else { String::new() };
    for byte in path.strip_prefix("./").unwrap_or(path).bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => uri.push(char::from(byte)),
            // A colon too: in the first piece of a path it would make a scheme of it.
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_reference() {
        for (path, expected) in [
            (".runnerci.yml", ".runnerci.yml"),
            ("./a b/ü.yml", "a%20b/%C3%BC.yml"),
            ("c:x%#?.yml", "c%3Ax%25%23%3F.yml"),
            ("/a b.yml", "file:///a%20b.yml"),
            ("<stdin>", "%3Cstdin%3E"),
        ] {
            assert_eq!(uri(path), expected);
        }
    }
}
