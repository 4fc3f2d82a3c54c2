//! The protocol on its own: encoding, and reports told from bytes however they are cut.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::pipeline::OnError;
use crate::plan::Secret;

const NONCE: &str = "0123456789abcdef0123456789abcdef";

fn scan(chunks: &[&[u8]]) -> Vec<Piece> {
    let mut scanner = Scanner::new(&Nonce::fixed(NONCE));
    let mut pieces = Vec::new();
    for chunk in chunks {
        scanner.feed(Bytes::copy_from_slice(chunk), &mut pieces);
    }
    push(&mut pieces, scanner.rest());
    // Neighbouring bytes are one piece, however they came.
    let mut joined: Vec<Piece> = Vec::new();
    for piece in pieces {
        match (joined.last_mut(), piece) {
            (Some(Piece::Bytes(before)), Piece::Bytes(bytes)) => {
                *before = [&before[..], &bytes[..]].concat().into();
            }
            (_, piece) => joined.push(piece),
        }
    }
    joined
}

fn end(code: i32) -> Piece {
    let counters = Counters { cpu_nanos: Some(5), peak_memory: None, oom_kills: Some(0) };
    Piece::Report(Report::End { step: StepIndex(3), code, not_started: None, counters })
}

fn report(code: i32) -> Vec<u8> {
    format!("\u{1e}{NONCE} end 3 {code} - 5 - 0\n").into_bytes()
}

#[test]
fn a_report_stands_exactly_behind_an_unterminated_line() {
    let bytes = [b"no newline".to_vec(), report(0), b"later".to_vec()].concat();
    assert_eq!(scan(&[&bytes]), [Piece::Bytes("no newline".into()), end(0), Piece::Bytes("later".into())]);
}

#[test]
fn a_step_cannot_forge_a_report() {
    let forged = format!("\u{1e}{} end 3 0 - 5 - 0\n", "f".repeat(32));
    assert_eq!(scan(&[forged.as_bytes()]), [Piece::Bytes(forged.into())]);
}

#[test]
fn a_mark_that_begins_no_report_is_kept_when_the_stream_ends() {
    let bytes = format!("tail\u{1e}{}", &NONCE[..7]);
    assert_eq!(scan(&[bytes.as_bytes()]), [Piece::Bytes(bytes.into())]);
}

#[test]
fn every_report_is_read() {
    for (line, expected) in [
        (
            "ready tar 12 0",
            Some(Report::Ready {
                unpacker: Unpacker::InContainer,
                counters: Counters { cpu_nanos: Some(12), peak_memory: None, oom_kills: Some(0) },
            }),
        ),
        ("ready put - -", Some(Report::Ready { unpacker: Unpacker::Engine, counters: Counters::default() })),
        ("unpacked 2", Some(Report::Unpacked { status: 2 })),
        (
            "end 0 1 cwd - - -",
            Some(Report::End {
                step: StepIndex(0),
                code: 1,
                not_started: Some(NotStarted::WorkingDirectory),
                counters: Counters::default(),
            }),
        ),
        ("end x", None),
        ("", None),
    ] {
        let report = Report::parse(line).map(|head| match head {
            Head::Whole(report) => report,
            Head::Data { .. } => panic!("{line}"),
        });
        assert_eq!(report, expected, "{line}");
    }
}

#[test]
fn data_is_told_from_what_steps_write_wherever_it_is_cut() {
    let data = b"a=\x1eb\n\xff\n";
    let head = format!("\x1e{NONCE} data 2 output {}\n", data.len());
    let bytes = [b"before\n", head.as_bytes(), data, b"after\n"].concat();
    let content = Content::Piece(Bytes::from_static(data));
    let wanted = [
        Piece::Bytes(Bytes::from_static(b"before\n")),
        Piece::Report(Report::Data { step: StepIndex(2), file: HandFile::Output, content }),
        Piece::Bytes(Bytes::from_static(b"after\n")),
    ];
    for cut in 1..bytes.len() {
        let (first, second) = bytes.split_at(cut);
        assert_eq!(joined(scan(&[first, second])), wanted, "cut at {cut}");
    }
    let long = format!("\x1e{NONCE} data 2 output 99999\n");
    assert_eq!(scan(&[long.as_bytes()]), [Piece::Bytes(Bytes::from(long.clone()))], "a length that no frame has");
}

/// Neighbouring bytes as one piece.
fn joined(pieces: Vec<Piece>) -> Vec<Piece> {
    pieces.into_iter().fold(Vec::new(), |mut all, piece| {
        match (all.last_mut(), piece) {
            (Some(Piece::Bytes(before)), Piece::Bytes(bytes)) => *before = [&before[..], &bytes[..]].concat().into(),
            (_, piece) => all.push(piece),
        }
        all
    })
}

proptest! {
    #[test]
    fn cuts_change_nothing(before in prop::collection::vec(any::<u8>(), 0..80), after in prop::collection::vec(any::<u8>(), 0..80), cut in 1usize..60) {
        let bytes = [before.clone(), report(7), after.clone()].concat();
        let chunks: Vec<&[u8]> = bytes.chunks(cut).collect();
        prop_assert_eq!(scan(&chunks), scan(&[&bytes]));
        let raw: Vec<u8> = scan(&chunks).into_iter().flat_map(|piece| match piece { Piece::Bytes(b) => b.to_vec(), Piece::Report(_) => Vec::new() }).collect();
        prop_assert_eq!(raw, [before, after].concat());
    }
}

fn step(script: &str) -> ReadyStep {
    ReadyStep {
        index: StepIndex(3),
        name: "step".into(),
        script: script.into(),
        shell: Shell::Sh,
        working_directory: "/workspace/it's".into(),
        env: Vec::new(),
        secrets: vec![Secret::new("TOKEN", "a'b\nc".into())],
        asked: Vec::new(),
        timeout: None,
        on_error: OnError::Fail,
    }
}

#[test]
fn a_step_s_start_quotes_all_that_is_the_user_s() {
    let env = [("A".to_owned(), "$(touch /x) `y` \\".to_owned())];
    let path = ["/opt/it's".to_owned(), "/b".to_owned()];
    let around = Surroundings { env: &env, path: &path, output: OutputMode::Merged };
    let text = start_step(&Nonce::fixed(NONCE), StepIndex(3), &step("echo hi"), &around);
    insta::assert_snapshot!(text);
}

#[test]
fn shells_run_scripts_as_documented() {
    let words = |shell: Shell| program(&shell, "S").join(" ");
    assert_eq!(words(Shell::Sh), "sh -e S");
    assert_eq!(words(Shell::Bash), "bash -eo pipefail S");
    assert_eq!(words(Shell::Python), "python S");
    assert_eq!(words(Shell::Custom(vec!["perl".into(), "-w".into()])), "perl -w S");
    assert_eq!(words(Shell::Custom(vec!["x".into(), "--file={0}".into()])), "x --file=S");
}

#[test]
fn the_program_sent_has_no_comments_and_no_nonce() {
    let command = command();
    assert_eq!(command[..2], ["sh", "-c"]);
    assert!(!command[2].contains("# "));
    assert!(command[2].len() < 8 * 1024, "it travels with every container: {} bytes", command[2].len());
}
