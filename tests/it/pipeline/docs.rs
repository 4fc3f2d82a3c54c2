//! The documentation's examples do what it says.

use std::collections::HashMap;

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

#[test]
fn the_reference_names_every_key_that_is_built() {
    let mut count = 0;
    for (section, text) in [
        ("The file", "colour: 1"),
        ("Defaults", "defaults: {colour: 1}"),
        ("Jobs", "jobs: {a: {colour: 1}}"),
        ("Steps", "jobs: {a: {steps: [{colour: 1}]}}"),
    ] {
        // The help for an unknown key lists those that are built.
        let findings = pipeline::parse(text).1;
        let unknown = findings.iter().find(|finding| finding.code == Code::UnknownKey).unwrap();
        let help = unknown.help.as_deref().unwrap();
        let section = REFERENCE.split(&format!("\n## {section}\n")).nth(1).unwrap();
        let section = section.split("\n## ").next().unwrap();
        for key in help.split('`').skip(1).step_by(2) {
            assert!(section.contains(&format!("\n| `{key}` | ")), "{key}");
            count += 1;
        }
    }
    assert!(count >= 31, "{count} keys");
}
