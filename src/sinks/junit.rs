//! `--junit PATH`: a JUnit XML report, one suite a job, one case a step. If it cannot be written, the run is told at its
//! end; what was at the path before stays. Tries that others followed are told as Maven's Surefire does, which other tools know.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::explain::{About, explain};
use super::sanitize::Sanitizer;
use super::style::Color;
use super::tracker::{FailedTry, JobTrack, Keep, StepTrack, Tail, Tracker};
use super::{Sink, SinkError};
use crate::event::{Cause, Envelope, Status};

/// Collects a run and writes its report at the end.
#[derive(Debug)]
pub struct Junit {
    path: PathBuf,
    tracker: Tracker,
}

impl Junit {
    /// Will write to `path`, whole or not at all.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), tracker: Tracker::new(Keep::Everything) }
    }

    fn write(&self) -> std::io::Result<()> {
        // In the same folder, so that the rename stays within one file system.
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
        let mut file = builder.prefix(".argon-junit-").tempfile_in(folder)?;
        file.write_all(report(&self.tracker).as_bytes())?;
        file.persist(&self.path).map_err(|error| error.error)?;
        Ok(())
    }
}

impl Sink for Junit {
    fn take(&mut self, envelope: &Envelope) -> Result<(), SinkError> {
        self.tracker.take(envelope);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        self.write().map_err(|source| SinkError::Write { what: self.path.display().to_string(), source })
    }
}

/// The counts of a suite.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
}

impl std::ops::Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            tests: self.tests + other.tests,
            failures: self.failures + other.failures,
            errors: self.errors + other.errors,
            skipped: self.skipped + other.skipped,
        }
    }
}

fn report(tracker: &Tracker) -> String {
    let (suites, all) = tracker
        .jobs
        .iter()
        .map(suite)
        .fold((String::new(), Counts::default()), |(text, all), (suite, counts)| (text + &suite, all + counts));
    let name = escape(tracker.pipeline.as_deref().unwrap_or("argon"));
    let time = seconds(tracker.result.as_ref().map(|result| result.duration).unwrap_or_default());
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"{name}\" {} time=\"{time}\">\n{suites}</testsuites>\n",
        attributes(all),
    )
}

fn attributes(counts: Counts) -> String {
    let Counts { tests, failures, errors, skipped } = counts;
    format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\"")
}

fn suite(job: &JobTrack) -> (String, Counts) {
    let (mut cases, mut counts) = job
        .steps
        .iter()
        .enumerate()
        .map(|(index, step)| case(job, index, step))
        .fold((String::new(), Counts::default()), |(text, all), (case, counts)| (text + &case, all + counts));
    // A job that could not run has no step that tells: it gets a case of its own, so that nobody takes it for green.
    if let Some(result) = job.result().filter(|result| result.status == Status::Error && job.failed_step().is_none()) {
        let outcome =
            outcome("error", result.cause.as_ref(), result.status, job) + &earlier(&job.tries, result.status, job);
        let _ = writeln!(
            cases,
            "    <testcase name=\"(job)\" classname=\"{}\" time=\"0.000\">\n{outcome}    </testcase>",
            escape(job.info.id.as_str())
        );
        counts = counts + Counts { tests: 1, errors: 1, ..Counts::default() };
    } else if !job.tries.is_empty() {
        let status = job.result().map_or(Status::Skipped, |result| result.status);
        let _ = writeln!(
            cases,
            "    <testcase name=\"(job)\" classname=\"{}\" time=\"0.000\">\n{}    </testcase>",
            escape(job.info.id.as_str()),
            earlier(&job.tries, status, job)
        );
        counts = counts + Counts { tests: 1, ..Counts::default() };
    }
    let time = seconds(job.result().map(|result| result.duration).unwrap_or_default());
    let name = escape(job.info.id.as_str());
    (format!("  <testsuite name=\"{name}\" {} time=\"{time}\">\n{cases}  </testsuite>\n", attributes(counts)), counts)
}

fn case(job: &JobTrack, index: usize, step: &StepTrack) -> (String, Counts) {
    let status = step.result.as_ref().map_or(Status::Skipped, |result| result.status);
    let cause = step.result.as_ref().and_then(|result| result.cause.as_ref());
    let is_forgiven = step.result.as_ref().is_some_and(|result| result.forgiven);
    let one = Counts { tests: 1, ..Counts::default() };
    let (body, counts) = match status {
        Status::Success => (String::new(), one),
        _ if is_forgiven || status == Status::Skipped => {
            (outcome("skipped", cause, status, job), Counts { skipped: 1, ..one })
        }
        Status::Failure => (outcome("failure", cause, status, job), Counts { failures: 1, ..one }),
        Status::Cancelled | Status::Error | Status::Skipped => {
            (outcome("error", cause, status, job), Counts { errors: 1, ..one })
        }
    };
    let name = escape(job.info.steps.get(index).map_or("", |step| step.name.as_str()));
    let class = escape(job.info.id.as_str());
    let time = seconds(step.result.as_ref().map(|result| result.duration).unwrap_or_default());
    let output = earlier(&step.tries, status, job) + &output(&step.tail);
    (
        format!(
            "    <testcase name=\"{name}\" classname=\"{class}\" time=\"{time}\">\n{body}{output}    </testcase>\n"
        ),
        counts,
    )
}

fn outcome(element: &str, cause: Option<&Cause>, status: Status, job: &JobTrack) -> String {
    let about = About { image: Some(&job.info.image), steps: &job.info.steps };
    let message = cause.map_or_else(|| status.word().to_owned(), |cause| explain(cause, about).what);
    // JUnit's schema knows `type` on failures and errors only.
    match element {
        "skipped" => format!("      <skipped message=\"{}\"/>\n", escape(&message)),
        _ => format!("      <{element} type=\"{status}\" message=\"{}\"/>\n", escape(&message)),
    }
}

/// Tries that did not go well, of what ended so after them.
fn earlier(tries: &[FailedTry], end: Status, job: &JobTrack) -> String {
    let one = |tried: &FailedTry| {
        let element = match (end, tried.status) {
            (Status::Success, Status::Failure) => "flakyFailure",
            (Status::Success, _) => "flakyError",
            (_, Status::Failure) => "rerunFailure",
            _ => "rerunError",
        };
        let about = About { image: Some(&job.info.image), steps: &job.info.steps };
        let message =
            tried.cause.as_ref().map_or_else(|| tried.status.word().to_owned(), |cause| explain(cause, about).what);
        let head = format!("      <{element} type=\"{}\" message=\"{}\"", tried.status, escape(&message));
        match output(&tried.tail) {
            output if output.is_empty() => format!("{head}/>\n"),
            output => format!("{head}>\n{output}      </{element}>\n"),
        }
    };
    tries.iter().map(one).collect()
}

fn output(tail: &Tail) -> String {
    let mut text = String::new();
    let mut sanitizer = Sanitizer::new(Color::Off);
    let mut take = |line: &str| {
        text.push_str(&escape(line));
        text.push('\n');
    };
    sanitizer.push(tail.bytes(), &mut take);
    sanitizer.finish(&mut take);
    match text.is_empty() {
        true => text,
        false => format!("      <system-out>{}{text}</system-out>\n", if tail.is_cut() { "[cut]\n" } else { "" }),
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.3}", duration.as_secs_f64())
}

/// Text as XML 1.0 takes it, in elements and attributes; what XML cannot hold becomes U+FFFD.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push_str("&#9;"),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {
                escaped.push(char::REPLACEMENT_CHARACTER);
            }
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_cannot_hold_is_replaced() {
        for (text, expected) in [
            ("a<b>&\"c\"", "a&lt;b&gt;&amp;&quot;c&quot;"),
            ("nul\0 esc\u{1b}", "nul\u{fffd} esc\u{fffd}"),
            ("two\nlines", "two&#10;lines"),
            ("\u{ffff}é", "\u{fffd}é"),
        ] {
            assert_eq!(escape(text), expected);
        }
    }
}
