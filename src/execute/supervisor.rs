//! The protocol with the supervisor, the shell script that runs a job's steps inside its container.
//!
//! Argon → supervisor, on standard input, a line each unless said otherwise:
//!
//! | line | meaning |
//! |---|---|
//! | `NONCE` | first of all: 32 hex digits that mark every report and end every `put` |
//! | `put FILE`, lines, `NONCE` | writes the lines to a file in the scratch directory |
//! | `run ID` | sources the file `ID` in a child, which becomes the step; each try of a step has an ID of its own |
//! | `kill SIGNAL ID` | signals the process group of step `ID` |
//! | `unpack DIR`, then (`LENGTH`, that many bytes)…, `0` | unpacks a tar archive below `DIR` |
//!
//! Supervisor → argon, between the bytes that steps write, behind `0x1E NONCE`:
//!
//! | report | on | meaning |
//! |---|---|---|
//! | `ready tar\|put CPU OOM` | stdout | it runs; whether it can `unpack`; counters so far |
//! | `unpacked STATUS` | stdout | the exit status of `tar` |
//! | `data ID FILE LENGTH`, that many bytes | stdout | a piece of what step `ID` left in a file (`handover`) |
//! | `data ID FILE over\|lost` | stdout | it left more than the limit; the image has no program to read it with |
//! | `end ID CODE WHY CPU PEAK OOM` | both | step `ID` ended; all it wrote to this stream stands before |
//!
//! `CPU` is in nanoseconds, `PEAK` in bytes, `OOM` counts kills; each may be `-`. `WHY` is `-`, `cwd` or `shell`.
//! The end of standard input ends the container.

use std::fmt::Write as _;

use bytes::{Bytes, BytesMut};

use super::handover::HandFile;
use crate::event::StepIndex;
use crate::pipeline::{OutputMode, Shell};
use crate::plan::ReadyStep;

/// Where the supervisor keeps scripts and environments: memory, never a disk.
pub(super) const SCRATCH: &str = "/run/argon";

/// The byte that begins a report (ASCII record separator).
const MARK: u8 = 0x1e;

/// The most bytes that follow the line of a report: with it they are one write to a pipe.
const LONGEST_DATA: usize = 3968;

/// No report's line is longer: what is, is a step's own bytes that happen to hold the mark.
const LONGEST_REPORT: usize = 256;

/// The program of a job's container.
pub(super) fn command() -> Vec<String> {
    let script: String = include_str!("supervisor.sh")
        .lines()
        .filter(|line| !line.trim_start().starts_with('#') && !line.trim().is_empty())
        .flat_map(|line| [line, "\n"])
        .collect();
    ["sh", "-c", &script, "argon", SCRATCH].map(str::to_owned).to_vec()
}

/// The secret word between Argon and one supervisor. Steps cannot know it, so they cannot forge a report.
#[derive(Clone)]
pub(super) struct Nonce(String);

impl Nonce {
    pub(super) fn generate() -> Self {
        Self(uuid::Uuid::new_v4().simple().to_string())
    }

    #[cfg(test)]
    pub(super) fn fixed(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a step's shell sees, but for its secrets.
pub(super) struct Surroundings<'a> {
    /// Its variables.
    pub(super) env: &'a [(String, String)],
    /// Folders that come before those of its `PATH`.
    pub(super) path: &'a [String],
    /// What becomes of standard error.
    pub(super) output: OutputMode,
}

/// `run` and what must be put before it: the step's script, and the file that becomes the step.
pub(super) fn start_step(nonce: &Nonce, call: StepIndex, step: &ReadyStep, around: &Surroundings<'_>) -> String {
    let id = call.0;
    let script_file = format!("{id}.script");
    let mut text = String::with_capacity(step.script.len() + 1024);
    put(&mut text, nonce, &script_file, &step.script);
    put(&mut text, nonce, &id.to_string(), &launch(id, step, around, &format!("{SCRATCH}/{script_file}")));
    let _ = writeln!(text, "run {id}");
    text
}

/// `kill`.
pub(super) fn kill(signal: &str, step: StepIndex) -> String {
    format!("kill {signal} {}\n", step.0)
}

fn put(text: &mut String, nonce: &Nonce, file: &str, content: &str) {
    let newline = if content.ends_with('\n') { "" } else { "\n" };
    let _ = write!(text, "put {file}\n{content}{newline}{}\n", nonce.0);
}

/// What the child sources: it sets the environment, forgets the file that held it, and becomes the step.
fn launch(id: usize, step: &ReadyStep, around: &Surroundings<'_>, script: &str) -> String {
    let mut text = String::new();
    let secrets = step.secrets.iter().map(|secret| (secret.name.as_str(), secret.value.expose()));
    for (name, value) in around.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(secrets) {
        let _ = writeln!(text, "export {name}={}", quote(value));
    }
    for folder in around.path.iter().rev() {
        let _ = writeln!(text, "export PATH={}\"${{PATH:+:$PATH}}\"", quote(folder));
    }
    // For whoever the step may become: `su` in a step must not take its outputs away.
    text.push_str("umask 0\n");
    for file in HandFile::ALL {
        let path = format!("{SCRATCH}/{id}.{}", file.word());
        let _ = writeln!(text, ": >{path}; export {}={path}", file.variable());
    }
    text.push_str("umask \"$argon_umask\"\n");
    let program = program(&step.shell, script);
    let merge = match around.output {
        OutputMode::Merged => " 2>&1",
        OutputMode::Split => "",
    };
    let _ = writeln!(
        text,
        "cd -- {} 2>/dev/null || {{ echo cwd >{SCRATCH}/{id}.why; exit 1; }}",
        quote(&step.working_directory)
    );
    let _ = writeln!(
        text,
        "command -v {} >/dev/null || {{ echo shell >{SCRATCH}/{id}.why; exit 127; }}",
        quote(&program[0])
    );
    let words: Vec<String> = program.iter().map(|word| quote(word)).collect();
    // On the line of the exec: a shell reads what it sources in pieces, and would miss what is cut off before.
    let _ = writeln!(text, ": >{SCRATCH}/{id}; exec ${{argon_setsid:+\"$argon_setsid\"}} {}{merge}", words.join(" "));
    text
}

/// The command that runs a script. Never empty.
pub(super) fn program(shell: &Shell, script: &str) -> Vec<String> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    match shell {
        Shell::Sh => words(&["sh", "-e", script]),
        Shell::Bash => words(&["bash", "-eo", "pipefail", script]),
        Shell::Python => words(&["python", script]),
        Shell::Custom(own) if own.is_empty() => words(&["sh", "-e", script]),
        Shell::Custom(own) if own.iter().any(|word| word.contains("{0}")) => {
            own.iter().map(|word| word.replace("{0}", script)).collect()
        }
        Shell::Custom(own) => own.iter().cloned().chain([script.to_owned()]).collect(),
    }
}

/// A word that a shell takes as it is.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Whether the image has what `unpack` needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unpacker {
    /// `tar` and `dd` are there.
    InContainer,
    /// They are not: the engine unpacks.
    Engine,
}

/// Counters of the container, at the moment of a report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) cpu_nanos: Option<u64>,
    pub(super) peak_memory: Option<u64>,
    pub(super) oom_kills: Option<u64>,
}

/// Why a step never came to run its script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotStarted {
    /// Its working directory is not there.
    WorkingDirectory,
    /// Its shell is not there.
    Shell,
}

/// A word of the supervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Report {
    Ready { unpacker: Unpacker, counters: Counters },
    Unpacked { status: i32 },
    Data { step: StepIndex, file: HandFile, content: Content },
    End { step: StepIndex, code: i32, not_started: Option<NotStarted>, counters: Counters },
}

/// What a step left in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// A piece of it.
    Piece(Bytes),
    /// More than the limit.
    Over,
    /// Something that the image has no program to read with.
    Lost,
}

/// The head of a report, and how many bytes of its own follow its line.
enum Head {
    Whole(Report),
    Data { step: StepIndex, file: HandFile, length: usize },
}

impl Report {
    fn parse(line: &str) -> Option<Head> {
        let mut words = line.split_ascii_whitespace();
        let number = |word: Option<&str>| word.and_then(|word| word.parse().ok());
        match words.next()? {
            "ready" => {
                let unpacker = if words.next()? == "tar" { Unpacker::InContainer } else { Unpacker::Engine };
                let counters =
                    Counters { cpu_nanos: number(words.next()), peak_memory: None, oom_kills: number(words.next()) };
                Some(Head::Whole(Self::Ready { unpacker, counters }))
            }
            "unpacked" => Some(Head::Whole(Self::Unpacked { status: words.next()?.parse().ok()? })),
            "data" => {
                let step = StepIndex(words.next()?.parse().ok()?);
                let file = HandFile::from_word(words.next()?)?;
                Some(match words.next()? {
                    "over" => Head::Whole(Self::Data { step, file, content: Content::Over }),
                    "lost" => Head::Whole(Self::Data { step, file, content: Content::Lost }),
                    length => {
                        let length = length.parse().ok().filter(|length| *length <= LONGEST_DATA)?;
                        Head::Data { step, file, length }
                    }
                })
            }
            "end" => {
                let step = StepIndex(words.next()?.parse().ok()?);
                let code = words.next()?.parse().ok()?;
                let not_started = match words.next()? {
                    "cwd" => Some(NotStarted::WorkingDirectory),
                    "shell" => Some(NotStarted::Shell),
                    _ => None,
                };
                let counters = Counters {
                    cpu_nanos: number(words.next()),
                    peak_memory: number(words.next()),
                    oom_kills: number(words.next()),
                };
                Some(Head::Whole(Self::End { step, code, not_started, counters }))
            }
            _ => None,
        }
    }
}

/// A piece of a stream: what steps wrote, or a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Bytes(Bytes),
    Report(Report),
}

/// Tells the reports in one stream from the bytes that steps wrote.
pub(super) struct Scanner {
    marker: Vec<u8>,
    pending: BytesMut,
}

impl Scanner {
    pub(super) fn new(nonce: &Nonce) -> Self {
        let marker = [&[MARK], nonce.0.as_bytes(), b" "].concat();
        Self { marker, pending: BytesMut::new() }
    }

    /// Takes bytes as they came, gives pieces in their order. What may be the beginning of a report is kept back.
    pub(super) fn feed(&mut self, bytes: Bytes, pieces: &mut Vec<Piece>) {
        let mut rest = if self.pending.is_empty() {
            bytes
        } else {
            self.pending.extend_from_slice(&bytes);
            self.pending.split().freeze()
        };
        let mut from = 0;
        while let Some(at) = memchr::memchr(MARK, &rest[from..]).map(|found| found + from) {
            match self.report_at(&rest[at..]) {
                Found::Report { report, length } => {
                    push(pieces, rest.split_to(at));
                    let _ = rest.split_to(length);
                    pieces.push(Piece::Report(report));
                    from = 0;
                }
                Found::Incomplete => {
                    push(pieces, rest.split_to(at));
                    self.pending.extend_from_slice(&rest);
                    return;
                }
                Found::Nothing => from = at + 1,
            }
        }
        push(pieces, rest);
    }

    /// What was kept back and will not become a report any more: the stream has ended.
    pub(super) fn rest(&mut self) -> Bytes {
        self.pending.split().freeze()
    }

    fn report_at(&self, bytes: &[u8]) -> Found {
        let head = bytes.len().min(self.marker.len());
        if bytes[..head] != self.marker[..head] {
            return Found::Nothing;
        }
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            return if bytes.len() < LONGEST_REPORT { Found::Incomplete } else { Found::Nothing };
        };
        let head =
            bytes.get(self.marker.len()..end).and_then(|line| std::str::from_utf8(line).ok()).and_then(Report::parse);
        let from = end + 1;
        match head {
            None => Found::Nothing,
            Some(Head::Whole(report)) => Found::Report { report, length: from },
            Some(Head::Data { step, file, length }) => match bytes.get(from..from + length) {
                None => Found::Incomplete,
                Some(data) => {
                    let content = Content::Piece(Bytes::copy_from_slice(data));
                    Found::Report { report: Report::Data { step, file, content }, length: from + length }
                }
            },
        }
    }
}

enum Found {
    Report { report: Report, length: usize },
    Incomplete,
    Nothing,
}

fn push(pieces: &mut Vec<Piece>, bytes: Bytes) {
    if !bytes.is_empty() {
        pieces.push(Piece::Bytes(bytes));
    }
}

#[cfg(test)]
mod tests;
