//! The language of `.runnerci.yml`: text to a validated [`Pipeline`], with every finding at its span. Pure: no IO.
//!
//! [`parse`] reads the text into a tree with spans, then a validator walks that tree, collects every finding and builds
//! the model. It never stops at the first finding of the language; only broken YAML ends it early.

mod code;
mod diagnostic;
pub mod expr;
mod graph;
mod image;
mod keys;
mod model;
mod reader;
mod syntax;
mod tree;
mod units;
mod validate;

pub use code::{Code, Severity};
pub use diagnostic::{Diagnostic, Label, LineIndex, Place};
pub use keys::near;
pub use model::*;
pub use units::duration as parse_duration;

/// The largest text that is read: 1 MiB.
pub const MAX_BYTES: usize = 1024 * 1024;
/// The most jobs in a file.
pub const MAX_JOBS: usize = 256;
/// The most steps in a job.
pub const MAX_STEPS: usize = 1024;

/// Reads a pipeline. There is one exactly where no finding is an error; findings stand in the order of the text.
#[must_use]
pub fn parse(text: &str) -> (Option<Pipeline>, Vec<Diagnostic>) {
    if text.len() > MAX_BYTES {
        return (None, vec![too_large(text.len())]);
    }
    let mut findings = Vec::new();
    let pipeline = tree::read(text, &mut findings).and_then(|root| validate::pipeline(&root, text, &mut findings));
    if pipeline.is_none() && findings.is_empty() {
        findings.push(empty_file());
    }
    tidy(&mut findings);
    let is_valid = findings.iter().all(|finding| finding.severity() == Severity::Warning);
    (pipeline.filter(|_| is_valid), findings)
}

/// Reads a pipeline from bytes that may be anything.
#[must_use]
pub fn parse_bytes(bytes: &[u8]) -> (Option<Pipeline>, Vec<Diagnostic>) {
    if bytes.len() > MAX_BYTES {
        return (None, vec![too_large(bytes.len())]);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => parse(text),
        Err(error) => {
            let at = error.valid_up_to();
            let line = memchr::memchr_iter(b'\n', &bytes[..at]).count() + 1;
            let message = format!("the file is not UTF-8: byte {at}, on line {line}, belongs to no character");
            (None, vec![Diagnostic::new(Code::NotUtf8, at..at, message).help("save the file as UTF-8")])
        }
    }
}

fn too_large(length: usize) -> Diagnostic {
    Diagnostic::new(
        Code::TooLarge,
        0..0,
        format!("the file has {length} bytes, more than the {MAX_BYTES} that are read"),
    )
    .help("move long scripts into files of the repository")
}

fn empty_file() -> Diagnostic {
    Diagnostic::new(Code::Empty, 0..0, "the file is empty")
        .help("begin with `jobs:`, or let `argon init` write a first pipeline")
}

/// What an alias repeats is one finding; the order is that of the text.
fn tidy(findings: &mut Vec<Diagnostic>) {
    let mut seen = std::collections::HashSet::new();
    findings
        .retain(|finding| seen.insert((finding.code, finding.span.start, finding.span.end, finding.message.clone())));
    findings.sort_by_key(|finding| (finding.span.start, finding.code));
}
