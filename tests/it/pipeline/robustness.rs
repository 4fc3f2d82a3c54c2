//! No text makes the front end panic, or keeps it for a second.

use std::time::{Duration, Instant};

use argon::pipeline::{self, MAX_BYTES, Severity};
use proptest::prelude::*;

use super::{fixtures, report, show};

/// Reads, renders, and checks what holds for every text.
fn survive(bytes: &[u8]) {
    let started = Instant::now();
    let (pipeline, findings) = pipeline::parse_bytes(bytes);
    let took = started.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?} for {} bytes", bytes.len());
    let errors = findings.iter().filter(|finding| finding.severity() == Severity::Error).count();
    assert_eq!(pipeline.is_some(), errors == 0, "{findings:?}");
    let text = String::from_utf8_lossy(bytes);
    for finding in &findings {
        assert!(finding.span.start <= finding.span.end && finding.span.end <= text.len(), "{finding:?}");
        assert!(text.is_char_boundary(finding.span.start) && text.is_char_boundary(finding.span.end), "{finding:?}");
    }
    let place_count = report::short(&findings, "x", &text).lines().count();
    assert_eq!(place_count, findings.len());
    let _ = show(&findings, &text);
}

#[test]
fn hostile_texts() {
    let bomb = |width: usize, depth: usize| {
        let level = |n: usize| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); width].join(","));
        format!("a0: &a0 x\n{}", (1..depth).map(level).collect::<String>())
    };
    let merges: String = (1..900).map(|n| format!("m{n}: &m{n}\n  <<: *m{}\n  k{n}: 1\n", n - 1)).collect();
    let unclosed = |open: &str, count: usize| open.repeat(count);
    for text in [
        bomb(9, 9),
        bomb(2, 400),
        format!("m0: &m0 {{a: 1}}\n{merges}"),
        unclosed("[", MAX_BYTES),
        unclosed("{a: ", MAX_BYTES / 4),
        unclosed("- ", MAX_BYTES / 2),
        unclosed("? ", MAX_BYTES / 2),
        unclosed("&a ", MAX_BYTES / 3),
        unclosed("a:\n", MAX_BYTES / 3),
        format!("jobs: {{{}}}", "a, ".repeat(30_000)),
        format!("jobs:\n{}", (0..20_000).map(|n| format!("  j{n}: {{}}\n")).collect::<String>()),
        format!("jobs:\n  a:\n    steps:\n{}", "    - x\n".repeat(40_000)),
        format!("jobs:\n  a:\n    needs: [{}]\n", (0..40_000).map(|n| format!("n{n},")).collect::<String>()),
        format!("jobs: &j\n  a: &a\n    image: b:1\n    steps: &s\n{}", "    - run: x\n".repeat(1000))
            + &(0..90).map(|n| format!("  b{n}: *a\n")).collect::<String>(),
        format!("on: {{schedule: [{}]}}", "{cron: 1 1 1 1 x, time-zone: Urop/Brlin},".repeat(20_000)),
        format!("on: {{push: {{paths: [{}]}}}}", "\"[a-z]{*,**,{a,b}}?\",".repeat(40_000)),
        format!("on: {{push: {{paths: \"{}\"}}}}", "{a,".repeat(MAX_BYTES / 4)),
        format!("jobs: {{a: {{cache: {{paths: [{}]}}}}}}", (0..60_000).map(|n| format!("p{n},")).collect::<String>()),
        format!(
            "jobs: {{a: {{artifacts: [{}]}}}}",
            (0..12_000).map(|n| format!("{{name: n{n}, paths: x}},")).collect::<String>()
        ),
        format!("jobs: {{a: {{security: {{capabilities: [{}]}}}}}}", "SYS_PTRAC,".repeat(40_000)),
        format!(
            "jobs: {{a: {{services: {{b: {{image: c, command: '{}'}}}}}}}}",
            "${{ 1 }} \"x\" ".repeat(MAX_BYTES / 20)
        ),
        format!(
            "jobs: {{a: {{services: {{b: {{tmpfs: [{}]}}}}}}}}",
            (0..60_000).map(|n| format!("/p{n},")).collect::<String>()
        ),
        "\u{feff}jobs: {}".to_owned(),
        "%YAML 1.2\n---\njobs: {}".to_owned(),
        "\"".repeat(MAX_BYTES),
    ] {
        survive(text.as_bytes());
    }
}

#[test]
fn a_large_pipeline_is_read_quickly() {
    let job = |n: usize| {
        format!(
            "  job-{n}:\n    image: busybox:1.36\n    needs: [{}]\n    steps:\n      - run: make\n",
            if n == 0 { String::new() } else { format!("job-{}", n - 1) }
        )
    };
    let text = format!("jobs:\n{}", (0..256).map(job).collect::<String>());
    let started = Instant::now();
    let (pipeline, findings) = pipeline::parse(&text);
    let took = started.elapsed();
    assert_eq!(pipeline.unwrap().jobs.len(), 256, "{findings:?}");
    assert!(took < Duration::from_millis(200), "{took:?}");
}

/// One edit of a text: where, how much goes, what comes.
fn edit() -> impl Strategy<Value = (prop::sample::Index, usize, String)> {
    let piece = prop_oneof![
        Just("<<: *a\n".to_owned()),
        Just("&a ".to_owned()),
        Just("*a".to_owned()),
        Just("\t".to_owned()),
        Just("\n      ".to_owned()),
        Just("[{".to_owned()),
        Just("${{ x }}".to_owned()),
        Just("\"".to_owned()),
        Just("é\u{1F600}".to_owned()),
        Just("!!int ".to_owned()),
        "[ -~\n]{0,6}",
        "\\PC{0,3}",
    ];
    (any::<prop::sample::Index>(), 0_usize..12, piece)
}

/// miette panics where a finding stands past column 65,535.
#[test]
fn a_finding_far_out_in_a_line_is_told_without_the_line() {
    let text = format!("on: {{push: {{paths: [{}\"[a\"]}}}}", "src,".repeat(20_000));
    let (_, findings) = pipeline::parse(&text);
    let shown = show(&findings, &text);
    assert!(findings.iter().any(|finding| finding.span.start > 1000));
    assert!(shown.contains(".runnerci.yml:1:") && shown.contains("  help: "), "{}", shown.len());
    assert!(shown.len() < 2000, "{}", shown.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_fixtures(which in any::<prop::sample::Index>(), edits in prop::collection::vec(edit(), 1..8)) {
        thread_local!(static ALL: Vec<String> = fixtures("valid").into_iter().chain(fixtures("invalid")).map(|(_, text)| text).collect());
        let mut bytes = ALL.with(|all| which.get(all).clone().into_bytes());
        for (at, gone, new) in edits {
            let start = at.index(bytes.len() + 1);
            let end = (start + gone).min(bytes.len());
            bytes.splice(start..end, new.into_bytes());
        }
        survive(&bytes);
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        survive(&bytes);
    }
}
