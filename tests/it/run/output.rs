//! What steps write comes out: every byte, in order, on the stream it was meant for.

use std::fmt::Write as _;

use serde_json::json;

use crate::support::{BUSYBOX, Repo};

#[test]
fn stdout_and_stderr_keep_the_order_in_which_they_were_written() {
    let script = "i=0; while [ $i -lt 200 ]; do echo out $i; echo err $i >&2; i=$((i + 1)); done";
    let ended = Repo::script(BUSYBOX, script).json(&[]).run();
    ended.exits(0);
    let expected: String = (0..200).map(|i| format!("out {i}\nerr {i}\n")).collect();
    assert_eq!(ended.said("job", 1), expected);
}

#[test]
fn split_output_keeps_the_streams_apart_and_each_whole() {
    let job = |output: &str| {
        json!({"image": BUSYBOX, "output": output, "steps": [
            {"run": "for i in 1 2 3; do echo out $i; echo err $i >&2; done; printf 'end of err' >&2"},
            {"run": "echo second"},
        ]})
    };
    let ended = Repo::jobs(json!({"split": job("split"), "merged": job("merged")})).json(&[]).run();
    ended.exits(0);
    assert_eq!(ended.said("split", 1), "out 1\nout 2\nout 3\n");
    assert_eq!(ended.log("split", 1, "stderr"), b"err 1\nerr 2\nerr 3\nend of err");
    assert_eq!(ended.said("split", 2), "second\n");
    assert_eq!(ended.log("merged", 1, "stderr"), b"");
}

#[test]
fn a_last_line_without_a_newline_is_neither_lost_nor_glued() {
    let repo = Repo::new(&format!(
        "
        version: 1
        jobs:
          job:
            image: {BUSYBOX}
            steps:
              - {{name: first, run: printf 'no newline'}}
              - {{name: second, run: echo whole}}
        "
    ));
    let ended = repo.json(&[]).run();
    ended.exits(0);
    assert_eq!((ended.said("job", 1), ended.said("job", 2)), ("no newline".into(), "whole\n".into()));
    let plain = repo.plain(&[]).run();
    plain.exits(0).says("\nno newline\n").says("\nwhole\n");
}

/// NUL, all other bytes, bytes that are no UTF-8, the mark of reports, and reports that a step made up.
#[test]
fn binary_output_comes_through_json_byte_for_byte() {
    let mut bytes: Vec<u8> = (0..=255).collect();
    bytes.extend_from_slice(b"\x1e\x1e0000 end 0 0 - - - -\n\x1e0123456789abcdef0123456789abcdef end 0 0 - - - -\n");
    bytes.extend_from_slice("é\u{1f600}".as_bytes());
    bytes.extend_from_slice(b"\xe2\x82\0\xff\xc3");
    let repo = Repo::script(BUSYBOX, "cat data; sleep 0.1; cat data; false").file("data", &bytes);
    let ended = repo.json(&[]).run();
    ended.exits(1);
    assert_eq!(ended.log("job", 1, "stdout"), [bytes.clone(), bytes].concat());
    assert_eq!(ended.step("job", 1)["exit_code"], 1);
}

/// The shell of a step is a child of the supervisor's, and may look at it.
#[test]
fn a_step_cannot_end_itself_with_a_report_of_another_nonce() {
    let script = r"printf '\036%s end 0 0 - - - -\n' 00000000000000000000000000000000; sleep 0.2; echo after; exit 7";
    let ended = Repo::script(BUSYBOX, script).json(&[]).run();
    ended.exits(1);
    assert_eq!(ended.step("job", 1)["exit_code"], 7);
    assert!(ended.said("job", 1).ends_with("\nafter\n"));
}

#[test]
fn a_script_may_be_larger_than_an_argument_may() {
    let filler = format!("# {}\n", "x".repeat(97)).repeat(3100);
    assert!(filler.len() > 300 * 1024);
    let ended = Repo::script(BUSYBOX, &format!("echo begin\n{filler}echo end\n")).json(&[]).run();
    ended.exits(0);
    assert_eq!(ended.said("job", 1), "begin\nend\n");
}

#[test]
fn of_64_megabytes_every_byte_is_there() {
    const LINES: u32 = 8_200_000;
    let ended = Repo::script(BUSYBOX, &format!("seq 1 {LINES}")).plain(&[]).run();
    ended.exits(0);
    let mut expected = String::with_capacity(70 << 20);
    for line in 1..=LINES {
        let _ = writeln!(expected, "{line}");
    }
    assert!(expected.len() > 64_000_000);
    let at = memchr::memmem::find(&ended.stdout, b"\n1\n2\n3\n").unwrap() + 1;
    assert!(ended.stdout[at..].starts_with(expected.as_bytes()), "bytes are missing, or others");
}

#[test]
fn a_line_of_20_megabytes_is_there() {
    const LENGTH: usize = 20_000_000;
    let script = format!("printf '<'; head -c {LENGTH} /dev/zero | tr '\\0' x; printf '>'");
    let ended = Repo::script(BUSYBOX, &script).plain(&[]).run();
    ended.exits(0);
    let at = memchr::memmem::find(&ended.stdout, b"\n<x").unwrap() + 2;
    let line = ended.stdout[at..].iter().take_while(|byte| **byte == b'x').count();
    assert_eq!(line, LENGTH);
    assert_eq!(ended.stdout[at + LENGTH], b'>');
}
