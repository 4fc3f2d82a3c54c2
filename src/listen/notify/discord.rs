//! Discord's webhooks, <https://discord.com/developers/docs/resources/webhook#execute-webhook>.
//!
//! What people wrote is escaped, and `allowed_mentions` names nobody, so that no message of a commit calls everyone.

use serde_json::{Value, json};

use super::report::{FailedJob, Report};
use super::words::{self, head, tail, units};
use crate::event::Status;

/// The longest title of an embed.
const TITLE: usize = 256;

/// The longest description; all texts of an embed may have 6,000 together.
const DESCRIPTION: usize = 4096;

/// The longest output of a step that is shown.
const OUTPUT: usize = 1200;

/// The longest sentence of a failed job.
const SENTENCE: usize = 300;

/// How many failed jobs are shown.
const JOBS: usize = 5;

/// What is left of a description for the sentence that jobs were left out.
const MORE: usize = 40;

/// The message.
pub(super) fn body(report: &Report) -> Value {
    let about = [Some(words::who(report)), words::commit(report), report.reason.clone()];
    let about = about.into_iter().flatten().map(|line| head(&line, SENTENCE, escape));
    let mut description = about.collect::<Vec<_>>().join("\n");
    let mut shown = 0;
    for piece in report.failed.iter().take(JOBS).map(failed) {
        if units(&description) + units(&piece) + MORE > DESCRIPTION {
            break;
        }
        description.push_str(&piece);
        shown += 1;
    }
    if let Some(more) = words::more(report.failed.len() - shown) {
        description.push_str("\n\n");
        description.push_str(&more);
    }
    let title = format!("{} {}", words::sign(report.status), words::subject(report));
    let mut embed = json!({
        "title": head(&title, TITLE, escape),
        "description": description,
        "color": color(report.status),
        "footer": {"text": format!("Argon, run {}", report.number)},
    });
    if let Some(url) = &report.url {
        embed["url"] = json!(url);
    }
    json!({"embeds": [embed], "allowed_mentions": {"parse": []}})
}

fn failed(job: &FailedJob) -> String {
    let sentence = head(&words::failed(job), SENTENCE, escape);
    if job.output.is_empty() {
        return format!("\n\n{sentence}");
    }
    let output = tail(&words::fenced(&job.output.join("\n")), OUTPUT, String::from);
    format!("\n\n{sentence}\n```\n{output}\n```")
}

fn color(status: Status) -> u32 {
    match status {
        Status::Success => 0x2e_a0_43,
        Status::Failure | Status::Error => 0xd7_3a_49,
        Status::Cancelled | Status::Skipped => 0x8b_94_9e,
    }
}

/// A backslash before what Markdown may read; Discord takes one before any sign.
fn escape(letter: char) -> String {
    if r"\*_~`|>#[<".contains(letter) { format!("\\{letter}") } else { letter.into() }
}
