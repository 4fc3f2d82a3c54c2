//! The documentation's examples do what it says.

use std::collections::HashMap;
use std::fmt::Write as _;

use argon::pipeline::language::{Kind, Mapping};
use argon::pipeline::{self, Code, FileId, IncludeError, Includes, MAX_BYTES, MAX_FILES, MAX_JOBS, MAX_STEPS};

const DIAGNOSTICS: &str = include_str!("../../../docs/diagnostics.md");
const REFERENCE: &str = include_str!("../../../docs/pipeline.md");

fn examples(text: &str) -> Vec<&str> {
    text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// What is too long for a page.
fn generated(code: Code) -> Option<Vec<u8>> {
    let job = "    image: busybox:1\n    steps:\n      - run: a\n";
    Some(match code {
        Code::NotUtf8 => b"name: \xff".to_vec(),
        Code::TooLarge => vec![b' '; MAX_BYTES + 1],
        Code::TooDeep => format!("{}{}", "[".repeat(65), "]".repeat(65)).into_bytes(),
        Code::TooManyNodes => {
            let level = |n: usize| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(", "));
            format!("a0: &a0 x\n{}", (1..9).map(level).collect::<String>()).into_bytes()
        }
        Code::TooManyJobs => {
            format!("jobs:\n{}", (0..=MAX_JOBS).map(|n| format!("  j{n}:\n{job}")).collect::<String>()).into_bytes()
        }
        Code::TooManySteps => format!("jobs:\n  a:\n{job}{}", "      - run: a\n".repeat(MAX_STEPS)).into_bytes(),
        _ => return None,
    })
}

/// The files of an example: what stands behind a line `# file: PATH` is another one, which it may include.
struct Files<'a>(HashMap<&'a str, &'a str>);

impl Includes for Files<'_> {
    fn load(&mut self, file: &FileId) -> Result<Vec<u8>, IncludeError> {
        self.0.get(file.path.as_str()).map(|text| text.as_bytes().to_vec()).ok_or_else(|| IncludeError {
            message: "there is no such file".to_owned(),
            help: "look at its path".to_owned(),
        })
    }
}

fn codes(text: &[u8]) -> Vec<Code> {
    let Ok(text) = std::str::from_utf8(text) else {
        return pipeline::parse_bytes(text).1.iter().map(|finding| finding.code).collect();
    };
    let mut parts = text.split("# file: ");
    let main = parts.next().unwrap();
    let mut others = Files(parts.map(|part| part.split_once('\n').unwrap()).collect());
    pipeline::parse_with(main.as_bytes(), &mut others).findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn every_code_has_its_section_and_its_examples_hold() {
    for code in Code::ALL.iter().copied() {
        let heading = format!("\n## {code}: ");
        let section = DIAGNOSTICS
            .split(&heading)
            .nth(1)
            .unwrap_or_else(|| panic!("docs/diagnostics.md has no section for {code}"));
        let section = section.split("\n## ").next().unwrap();
        if matches!(code, Code::Unreadable | Code::IgnoredFile) {
            continue; // No text brings it about: tests/it/pipeline/files.rs does.
        }
        if code == Code::TooManyFiles {
            let names: Vec<String> = (0..MAX_FILES).map(|n| format!("f{n}.yml")).collect();
            let all: String = names.iter().map(|name| format!("# file: {name}\nenv: {{A: b}}\n")).collect();
            let main = format!("include: [{}]\njobs: {{a: {{image: 'b:1', steps: [{{run: c}}]}}}}\n", names.join(", "));
            assert_eq!(codes(format!("{main}{all}").as_bytes()), [code]);
            continue;
        }
        if let Some(text) = generated(code) {
            assert_eq!(codes(&text), [code], "{code}");
            continue;
        }
        let [wrong, right] = examples(section)[..] else { panic!("{code} needs a wrong and a right example") };
        assert!(codes(wrong.as_bytes()).contains(&code), "{code}: {:?}", codes(wrong.as_bytes()));
        assert_eq!(codes(right.as_bytes()), [], "{code}: {right}");
    }
    let sections = DIAGNOSTICS.matches("\n## ").count();
    assert_eq!(sections, Code::ALL.len(), "a section without a code");
}

#[test]
fn the_reference_has_valid_examples() {
    for example in examples(REFERENCE) {
        let (pipeline, findings) = pipeline::parse(example);
        assert!(pipeline.is_some() && findings.is_empty(), "{example}\n{findings:?}");
    }
    let sample = include_str!("../../../fixtures/pipelines/valid/sample.yml");
    assert!(REFERENCE.contains(sample));
}

/// The table of a mapping's keys, as the page has it.
fn table(mapping: Mapping) -> String {
    let mut text = String::from("| key | what | type | default |\n|---|---|---|---|\n");
    for key in mapping.keys() {
        let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
        let kind = in_short(key.kind);
        writeln!(text, "| `{}` | {} | {} | {} |", key.name, cell(key.doc), cell(&kind), cell(key.default)).unwrap();
    }
    text
}

/// What a key takes; another mapping by the name of its section.
fn in_short(kind: Kind) -> String {
    match kind {
        Kind::Of(mapping) => format!("[{}](#{})", mapping.title().replace('`', ""), section(mapping)),
        Kind::Named(mapping) => format!("names, each [{}](#{})", mapping.title().replace('`', ""), section(mapping)),
        Kind::List(kind) => format!("list, each {}", in_short(*kind)),
        Kind::OneOrMany(kind) => format!("{}; or a list of such", in_short(*kind)),
        Kind::Either(kinds) => kinds.iter().map(|kind| in_short(*kind)).collect::<Vec<_>>().join("; or "),
        Kind::Optional(kind) => format!("nothing; or {}", in_short(*kind)),
        Kind::Image => "[image](#images)".to_owned(),
        Kind::Shell => "[shell](#shells)".to_owned(),
        Kind::Duration => "[duration](#durations-and-sizes)".to_owned(),
        Kind::Size => "[size](#durations-and-sizes)".to_owned(),
        Kind::Env => "[variables](#variables)".to_owned(),
        Kind::Condition => "[expression](#conditions)".to_owned(),
        Kind::Template => "text, with [expressions](#expressions)".to_owned(),
        Kind::Glob => "[pattern](#patterns)".to_owned(),
        kind => kind.words(),
    }
}

/// The section of the page that has a mapping's table.
fn section(mapping: Mapping) -> &'static str {
    match mapping {
        Mapping::Top => "the-file",
        Mapping::Defaults => "defaults",
        Mapping::On | Mapping::Push | Mapping::PullRequest | Mapping::Schedule => "on",
        Mapping::Include => "include",
        Mapping::Concurrency => "concurrency",
        Mapping::Job => "jobs",
        Mapping::Build => "images-that-are-built",
        Mapping::Matrix => "matrix",
        Mapping::Service | Mapping::Ready => "services",
        Mapping::Resources => "resources",
        Mapping::Retry => "retries",
        Mapping::Cache => "caches",
        Mapping::Artifacts => "artifacts-and-inputs",
        Mapping::Security => "security",
        Mapping::Step => "steps",
    }
}

/// The tables of docs/pipeline.md are those of the language. `ARGON_UPDATE_DOCS=1`, which `make generate` sets, writes them.
#[test]
fn the_reference_has_the_tables_of_the_language() {
    let mut page = REFERENCE.to_owned();
    for mapping in Mapping::ALL.iter().copied() {
        let name = match mapping {
            Mapping::PullRequest => "pull-request".to_owned(),
            mapping => format!("{mapping:?}").to_lowercase(),
        };
        let begin = format!("<!-- keys: {name} -->\n");
        let (before, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("no table of {name}"));
        let (_, after) = rest.split_once("<!-- end -->").unwrap();
        page = format!("{before}{begin}\n{}\n<!-- end -->{after}", table(mapping));
        let heading = section(mapping).replace('-', " ");
        let is_there = REFERENCE.lines().any(|line| line.trim_start_matches('#').trim().to_lowercase() == heading);
        assert!(is_there, "no section `{heading}`");
    }
    if std::env::var_os("ARGON_UPDATE_DOCS").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/pipeline.md"), &page).unwrap();
    } else {
        assert!(page == REFERENCE, "docs/pipeline.md is not up to date: `make generate` writes its tables");
    }
}

/// Every key of the language stands in an example of the page.
#[test]
fn the_reference_shows_every_key() {
    let shown: String = examples(REFERENCE).concat();
    for mapping in Mapping::ALL {
        for key in mapping.names() {
            // What needs another file, or another repository, is shown and not run.
            let text = if matches!(key, "include" | "git" | "commit" | "file") { REFERENCE } else { &shown };
            assert!(text.contains(&format!("{key}:")), "no example has `{key}`");
        }
    }
}
