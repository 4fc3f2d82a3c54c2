//! The documentation's examples do what it says.

use argon::pipeline::{self, Code, MAX_BYTES, MAX_JOBS, MAX_STEPS};

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

fn codes(text: &[u8]) -> Vec<Code> {
    pipeline::parse_bytes(text).1.iter().map(|finding| finding.code).collect()
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
        if code == Code::Unreadable {
            continue; // No text brings it about: tests/it/pipeline/files.rs does.
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
