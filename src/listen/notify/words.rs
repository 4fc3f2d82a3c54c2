//! The sentences that every channel says, and text cut to what a channel takes.
//!
//! Lengths are in UTF-16 code units: services count characters in one way or another, and none counts more.

use std::fmt::Write as _;

use super::report::{FailedJob, Report, Verdict};
use crate::event::Status;
use crate::sinks::sanitize::Sanitizer;
use crate::sinks::style::{Color, human};
use crate::trigger::EventKind;

/// What stands where something was cut.
const CUT: char = '…';

/// How much of a text is looked at, in bytes.
const LONGEST: usize = 4 * 1024;

/// The longest name in a subject, in UTF-16 code units: a long one is not to push the others out.
const NAME: usize = 60;

/// Text as one line, without control characters, codes of terminals and what turns the direction of writing.
pub(super) fn line(text: &str, limit: usize) -> String {
    let mut lines = clean(text);
    lines.retain(|line| !line.trim().is_empty());
    head(lines.join(" ").trim(), limit, String::from)
}

/// A line of output: as [`line`], but it keeps its indentation.
pub(super) fn output_line(text: &str, limit: usize) -> String {
    head(clean(text).join(" ").trim_end(), limit, String::from)
}

fn clean(text: &str) -> Vec<String> {
    // What is longer than this is cut anyway: nobody is to wait for the rest of it.
    let text = text.get(..text.floor_char_boundary(LONGEST)).unwrap_or_default();
    let mut sanitizer = Sanitizer::new(Color::Off);
    let mut lines = Vec::new();
    let mut take = |line: &str| {
        let seen = line.chars().filter_map(|letter| match letter {
            // Marks of direction, and what cannot be seen at all.
            '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{feff}' => None,
            '\u{2028}' | '\u{2029}' => Some(' '),
            letter => Some(letter),
        });
        lines.push(seen.collect());
    };
    sanitizer.push(text.as_bytes(), &mut take);
    sanitizer.finish(&mut take);
    lines
}

/// What of a text fits into `limit`, from its beginning, with each character written as `escape` has it.
pub(super) fn head(text: &str, limit: usize, escape: impl Fn(char) -> String) -> String {
    fit(text.chars().map(escape), limit).concat()
}

/// As [`head`], from its end.
pub(super) fn tail(text: &str, limit: usize, escape: impl Fn(char) -> String) -> String {
    let mut pieces = fit(text.chars().rev().map(escape), limit);
    pieces.reverse();
    pieces.concat()
}

/// The first pieces, whole, with a sign behind them where some are left out.
fn fit(pieces: impl Iterator<Item = String>, limit: usize) -> Vec<String> {
    let mut taken: Vec<String> = Vec::new();
    let mut length = 0;
    for piece in pieces {
        length += units(&piece);
        taken.push(piece);
        if length > limit {
            while length + CUT.len_utf16() > limit
                && let Some(last) = taken.pop()
            {
                length -= units(&last);
            }
            taken.push(CUT.into());
            break;
        }
    }
    taken
}

/// The length of a text.
pub(super) fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// Keeps a block of code a block of code: no three backticks in a row.
pub(super) fn fenced(text: &str) -> String {
    text.replace("``", "`\u{200b}`")
}

/// `[app] failed: test on main`.
pub(super) fn subject(report: &Report) -> String {
    let ended = ended(report);
    let first = report.failed.first().filter(|_| Verdict::of(report.status) == Some(Verdict::Bad));
    let what = match (first, report.failed.len()) {
        (None, _) => ended.to_owned(),
        (Some(job), 1) => format!("{ended}: {}", name(&job.job)),
        (Some(job), jobs) => format!("{ended}: {} and {} more", name(&job.job), jobs - 1),
    };
    let repository = name(&report.repository);
    match place(report) {
        Some(place) => format!("[{repository}] {what} on {}", name(place)),
        None => format!("[{repository}] {what}"),
    }
}

fn name(text: &str) -> String {
    head(text, NAME, String::from)
}

/// A sign for how it ended.
pub(super) fn sign(status: Status) -> char {
    match status {
        Status::Success => '✓',
        Status::Failure => '✗',
        Status::Error => '!',
        Status::Cancelled | Status::Skipped => '−',
    }
}

fn ended(report: &Report) -> &'static str {
    let was_bad = report.previous.and_then(Verdict::of) == Some(Verdict::Bad);
    match report.status {
        Status::Success if was_bad => "fixed",
        Status::Success => "passed",
        Status::Failure => "failed",
        Status::Error => "error",
        Status::Cancelled => "cancelled",
        Status::Skipped => "skipped",
    }
}

fn place(report: &Report) -> Option<&str> {
    let named = report.branch.as_deref().or(report.tag.as_deref());
    named.or(report.short_commit.as_deref())
}

/// `Run 12, a push by Ada <ada@example.com>, took 1m 12s.`
pub(super) fn who(report: &Report) -> String {
    let kind = match report.event {
        EventKind::Push => "a push",
        EventKind::PullRequest => "a pull request",
        EventKind::Schedule => "on schedule",
        EventKind::Manual => "started by hand",
    };
    let person = match (&report.pusher_name, &report.pusher_email) {
        (Some(name), Some(email)) => format!(" by {name} <{email}>"),
        (Some(one), None) | (None, Some(one)) => format!(" by {one}"),
        (None, None) => String::new(),
    };
    format!("Run {}, {kind}{person}, took {}.", report.number, human(report.duration))
}

/// `Commit a1b2c3d: Fix the parser`.
pub(super) fn commit(report: &Report) -> Option<String> {
    match (report.short_commit.as_ref().or(report.commit.as_ref()), &report.message) {
        (Some(commit), Some(message)) => Some(format!("Commit {commit}: {message}")),
        (Some(commit), None) => Some(format!("Commit {commit}")),
        (None, Some(message)) => Some(format!("Commit: {message}")),
        (None, None) => None,
    }
}

/// `test, step "unit tests": exit code 1`.
pub(super) fn failed(job: &FailedJob) -> String {
    let mut said = job.job.clone();
    // Into a string, so none of these can fail.
    if let Some(step) = &job.step {
        let _ = write!(said, ", step \"{step}\"");
    }
    let _ = write!(said, ": {}", job.cause);
    if let Some(code) = job.exit_code
        && !job.cause.contains(&format!("exit code {code}"))
    {
        let _ = write!(said, " (exit code {code})");
    }
    said
}

/// `3 more jobs failed.`, where some are left out.
pub(super) fn more(left_out: usize) -> Option<String> {
    match left_out {
        0 => None,
        1 => Some("One more job failed.".to_owned()),
        more => Some(format!("{more} more jobs failed.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_harmless() {
        let cases = [
            ("plain", "plain"),
            ("a\u{1b}[31mred\u{1b}[0m", "ared"),
            ("one\ntwo\r\n\n three", "one two  three"),
            ("\u{1b}]0;title\u{7}text", "text"),
            ("x\0y\u{7f}z", "xyz"),
            ("a\u{202e}b\u{200f}c\u{2028}d\u{feff}", "abc d"),
            ("Bcc: a@example.com\r\nSubject: b", "Bcc: a@example.com Subject: b"),
            ("   ", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(line(text, 100), expected, "{text:?}");
        }
        assert_eq!(output_line("    at x.rs:1\u{1b}[0m  ", 100), "    at x.rs:1");
    }

    #[test]
    fn text_is_cut_to_its_limit_and_never_within_a_character() {
        let escape = |letter: char| if letter == '&' { "&amp;".to_owned() } else { letter.into() };
        for (text, limit, first, last) in [
            ("abc", 3, "abc", "abc"),
            ("abcd", 3, "ab…", "…cd"),
            ("", 3, "", ""),
            ("a&b", 7, "a&amp;b", "a&amp;b"),
            ("a&bc", 7, "a&amp;…", "…bc"),
            ("😀😀", 3, "😀…", "…😀"),
            ("&&", 5, "…", "…"),
            ("&", 3, "…", "…"),
        ] {
            assert_eq!(head(text, limit, escape), first, "{text:?} {limit}");
            assert_eq!(tail(text, limit, escape), last, "{text:?} {limit}");
        }
    }

    #[test]
    fn a_block_of_code_stays_one() {
        for backticks in 1..20 {
            assert!(!fenced(&"`".repeat(backticks)).contains("```"), "{backticks}");
        }
        assert_eq!(fenced("a `b` c"), "a `b` c");
    }
}
