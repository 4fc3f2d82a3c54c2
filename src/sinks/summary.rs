//! The last words of a run, for people: a line a job, then what failed with its last lines, why, and how to run it again.

use super::Verbosity;
use super::explain::{About, explain};
use super::sanitize::Sanitizer;
use super::style::{Style, Tone, human};
use super::tracker::{JobTrack, Summary, Tail, Tracker};
use crate::event::{Cause, JobResult, RunResult, Status};

/// How many of its last lines a failed step shows.
const LAST_LINES: usize = 15;
/// How long such a line may be, in characters.
const LONGEST_LINE: usize = 400;

/// How wide a summary may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// As wide as its words are.
    Any,
    /// So many columns: the line of a job is cut, as the words of a failure stand below once more.
    Columns(usize),
}

/// The summary, ending in a newline. `rerun` is the command that a job's name is put behind. With
/// [`Verbosity::Quiet`] a run that went well has a line for each job that did not at once, and others have failures only.
pub fn summary(
    tracker: &Tracker,
    result: &RunResult,
    style: &Style,
    verbosity: Verbosity,
    rerun: &str,
    room: Width,
) -> String {
    let mut text = String::new();
    if verbosity == Verbosity::Quiet && result.status == Status::Success {
        return flaky(tracker, style);
    }
    if verbosity != Verbosity::Quiet {
        for left in &tracker.summaries {
            text.push_str(&left_by_step(left, style));
        }
    }
    if tracker.jobs.len() > 1 && verbosity != Verbosity::Quiet {
        let width = name_width(tracker);
        for job in &tracker.jobs {
            let line = job_line(job, width, style);
            text.push_str(&match room {
                Width::Any => line,
                Width::Columns(columns) => console::truncate_str(&line, columns, style.symbols.ellipsis()).into_owned(),
            });
            text.push('\n');
        }
        text.push('\n');
    }
    for job in failed_jobs(tracker) {
        text.push_str(&failure(job, style));
    }
    text.push_str(&verdict(tracker, result, style));
    text.push_str(&reruns(tracker, style, rerun));
    text
}

/// What went well, and not at once: somebody wants to know that, also in a run that is to be quiet.
fn flaky(tracker: &Tracker, style: &Style) -> String {
    let line = |job: &JobTrack| {
        let (tries, name) = (job.tries_note()?, style.paint(Tone::Bold, &job.called()));
        Some(format!("{} {name}: {tries}\n", style.status(job.result()?.status)))
    };
    tracker.jobs.iter().filter_map(line).collect()
}

/// What a step left for the end of the run: Markdown is made to be read as it is, headings stand out.
fn left_by_step(left: &Summary, style: &Style) -> String {
    let head = style.paint(Tone::Bold, &format!("{} {} {}", left.job, style.symbols.inside(), left.step));
    let mut text = format!("{head}\n");
    let mut sanitizer = Sanitizer::new(style.color);
    let mut take = |line: &str| {
        let line = line.trim_end();
        let line = if line.starts_with('#') { style.paint(Tone::Bold, line) } else { line.to_owned() };
        text.push_str(format!("  {line}").trim_end());
        text.push('\n');
    };
    sanitizer.push(left.markdown.as_bytes(), &mut take);
    sanitizer.finish(&mut take);
    text.push('\n');
    text
}

/// Jobs whose failure counts, and that did something themselves.
fn failed_jobs(tracker: &Tracker) -> impl Iterator<Item = &JobTrack> {
    tracker.jobs.iter().filter(|job| {
        job.result().is_some_and(|result| {
            let is_stopped =
                result.status == Status::Cancelled && !matches!(result.cause, Some(Cause::TimedOut { .. }));
            !matches!(result.status, Status::Success | Status::Skipped) && !is_stopped && !result.forgiven
        })
    })
}

fn name_width(tracker: &Tracker) -> usize {
    let widths = tracker.jobs.iter().map(|job| console::measure_text_width(job.info.id.as_str()));
    widths.max().unwrap_or(0).min(40)
}

fn job_line(job: &JobTrack, width: usize, style: &Style) -> String {
    let name = console::pad_str(job.info.id.as_str(), width, console::Alignment::Left, None);
    let Some(result) = job.result() else {
        return format!("{} {name}  {}", style.status(Status::Skipped), style.paint(Tone::Dim, "did not end"));
    };
    let sign = match result.forgiven {
        true => style.paint(Tone::Warn, style.symbols.status(result.status)),
        false => style.status(result.status),
    };
    let time = match result.status {
        Status::Skipped => String::new(),
        _ => human(result.duration),
    };
    let word = style.paint(Tone::of(result.status), result.status.word());
    let pad = " ".repeat(9_usize.saturating_sub(result.status.word().len()));
    let line = format!("{sign} {name}  {word}{pad}  {time:>7}  {}", job_note(job, result));
    line.trim_end().to_owned()
}

/// What a job's status does not say.
pub(super) fn job_note(job: &JobTrack, result: &JobResult) -> String {
    let about = job.about();
    let mut note = match (result.status, &result.cause) {
        (Status::Success, _) if job.is_cached => "cached".to_owned(),
        (Status::Success, _) => match job.forgiven_steps() {
            0 => String::new(),
            1 => "1 failed step forgiven".to_owned(),
            steps => format!("{steps} failed steps forgiven"),
        },
        (Status::Skipped, None) => "its condition does not hold".to_owned(),
        (Status::Failure, Some(Cause::StepFailed { step })) => {
            let exit = result.exit_code.map(|code| format!(", exit {code}")).unwrap_or_default();
            format!("{}{exit}", job.step_name(*step))
        }
        (_, Some(cause)) => explain(cause, about).what,
        (_, None) => String::new(),
    };
    if result.forgiven {
        note.push_str(" (forgiven)");
    }
    if let Some(tries) = job.tries_note() {
        let comma = if note.is_empty() { "" } else { ", " };
        note.push_str(&format!("{comma}{tries}"));
    }
    note
}

fn failure(job: &JobTrack, style: &Style) -> String {
    let Some(result) = job.result() else {
        return String::new();
    };
    let name = style.paint(Tone::Bold, &job.called());
    let sign = style.status(result.status);
    let (head, tail, cause) = match job.failed_step() {
        Some((index, step, end)) => {
            let step_name = style.paint(Tone::Bold, job.step_name(index));
            let cause = end.cause.as_ref().or(result.cause.as_ref());
            (format!("{sign} {name} {} {step_name}", style.symbols.inside()), Some(&step.tail), cause)
        }
        None => (format!("{sign} {name}"), None, result.cause.as_ref()),
    };
    let mut text = format!("{head}\n");
    for line in tail.map(|tail| last_lines(tail, style)).unwrap_or_default() {
        text.push_str(&format!("  {} {line}\n", style.paint(Tone::Dim, style.symbols.bar())));
    }
    for service in &job.services {
        let ended = if service.has_ended { ", which ended" } else { "" };
        let head = style.paint(Tone::Dim, &format!("service {}{ended}:", service.name));
        let lines = last_lines(&service.tail, style);
        if !lines.is_empty() {
            text.push_str(&format!("  {head}\n"));
        }
        for line in lines {
            text.push_str(&format!("  {} {line}\n", style.paint(Tone::Dim, style.symbols.bar())));
        }
    }
    if let Some(Cause::ImageBuild { output, .. }) = cause {
        let mut last = Tail::default();
        last.push(output.as_bytes());
        for line in last_lines(&last, style) {
            text.push_str(&format!("  {} {line}\n", style.paint(Tone::Dim, style.symbols.bar())));
        }
    }
    if let Some(cause) = cause {
        let explanation = explain(cause, job.about());
        text.push_str(&format!("  {}\n", style.paint(Tone::Bad, &explanation.what)));
        if let Some(tries) = job.tries_note() {
            text.push_str(&format!("  {}\n", style.paint(Tone::Dim, &tries)));
        }
        if let Some(hint) = explanation.hint {
            text.push_str(&format!("  {} {hint}\n", style.paint(Tone::Bold, "hint:")));
        }
    }
    text.push('\n');
    text
}

fn last_lines(tail: &Tail, style: &Style) -> Vec<String> {
    let mut sanitizer = Sanitizer::new(style.color);
    let mut lines = Vec::new();
    let mut take = |line: &str| lines.push(line.trim_end().to_owned());
    sanitizer.push(tail.bytes(), &mut take);
    sanitizer.finish(&mut take);
    while lines.last().is_some_and(|line| console::strip_ansi_codes(line).is_empty()) {
        lines.pop();
    }
    let left_out = lines.len().saturating_sub(LAST_LINES);
    let mut last: Vec<String> = lines
        .drain(left_out..)
        .map(|line| console::truncate_str(&line, LONGEST_LINE, style.symbols.ellipsis()).into_owned())
        .collect();
    if left_out > 0 || tail.is_cut() {
        last.insert(0, style.paint(Tone::Dim, style.symbols.ellipsis()));
    }
    last
}

fn verdict(tracker: &Tracker, result: &RunResult, style: &Style) -> String {
    let word = match result.status {
        Status::Success => "passed",
        Status::Failure => "failed",
        Status::Cancelled => "cancelled",
        Status::Skipped => "skipped",
        Status::Error => "could not run",
    };
    let head = format!(
        "{} {}",
        style.status(result.status),
        style.paint(Tone::of(result.status), &format!("{word} in {}", human(result.duration))),
    );
    let mut text = match decisive(tracker) {
        Some(step) if result.status != Status::Success => format!("{head}: {step}\n"),
        _ => format!("{head}{}\n", counts(tracker)),
    };
    if let Some(cause) = &result.cause {
        let explanation = explain(cause, About::default());
        text.push_str(&format!("  {}\n", explanation.what));
        if let Some(hint) = explanation.hint {
            text.push_str(&format!("  {} {hint}\n", style.paint(Tone::Bold, "hint:")));
        }
    }
    text
}

/// The first failing step with its exit code, and how many more jobs failed.
fn decisive(tracker: &Tracker) -> Option<String> {
    let mut failed = failed_jobs(tracker);
    let first = failed.next()?;
    let mut text = first.info.id.as_str().to_owned();
    if let Some((index, _, end)) = first.failed_step() {
        text.push_str(&format!(", step {index} of {}", first.steps.len()));
        if let Some(code) = end.exit_code {
            text.push_str(&format!(", exit code {code}"));
        }
    }
    match failed.count() {
        0 => {}
        1 => text.push_str("; and 1 more job"),
        more => text.push_str(&format!("; and {more} more jobs")),
    }
    Some(text)
}

fn counts(tracker: &Tracker) -> String {
    if tracker.jobs.len() < 2 {
        return String::new();
    }
    let counts = [Status::Success, Status::Failure, Status::Error, Status::Cancelled, Status::Skipped].map(|status| {
        let count =
            tracker.jobs.iter().filter(|job| job.result().is_some_and(|result| result.status == status)).count();
        (status, count)
    });
    let words: Vec<String> =
        counts.into_iter().filter(|(_, count)| *count > 0).map(|(status, count)| format!("{count} {status}")).collect();
    format!(": {}", words.join(", "))
}

fn reruns(tracker: &Tracker, style: &Style, rerun: &str) -> String {
    let jobs: Vec<String> = failed_jobs(tracker).map(|job| quote(job.info.id.as_str())).collect();
    if jobs.is_empty() {
        return String::new();
    }
    format!("  {} {rerun} {}\n", style.paint(Tone::Bold, "rerun:"), jobs.join(" "))
}

/// The word as a shell takes it.
pub fn quote(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:@%+,".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_the_shell() {
        for (word, quoted) in [("build", "build"), ("test (3.10)", "'test (3.10)'"), ("it's", r"'it'\''s'"), ("", "''")]
        {
            assert_eq!(quote(word), quoted);
        }
    }
}
