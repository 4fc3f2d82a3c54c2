//! Slack's incoming webhooks, <https://api.slack.com/messaging/webhooks>; servers that take the same form read its `text`.
//!
//! Limits: <https://api.slack.com/reference/block-kit/blocks>. What people wrote is escaped as
//! <https://api.slack.com/reference/surfaces/formatting#escaping> has it, so nobody is mentioned and no link is made of it.

use serde_json::{Value, json};

use super::report::Report;
use super::words::{self, head, tail};

/// The longest text of a header block.
const HEADER: usize = 150;

/// The longest text of any other.
const TEXT: usize = 3000;

/// How many failed jobs are shown.
const JOBS: usize = 5;

/// The message.
pub(super) fn body(report: &Report) -> Value {
    let title = format!("{} {}", words::sign(report.status), words::subject(report));
    let mut blocks = vec![json!({"type": "header", "text": {
        "type": "plain_text", "text": head(&title, HEADER, String::from), "emoji": false,
    }})];
    let about = [Some(words::who(report)), words::commit(report), report.reason.clone()];
    let about = about.into_iter().flatten().collect::<Vec<_>>().join("\n");
    blocks.push(section(&head(&about, TEXT, escape)));
    for job in report.failed.iter().take(JOBS) {
        blocks.push(section(&head(&words::failed(job), TEXT, escape)));
        if !job.output.is_empty() {
            let output = tail(&words::fenced(&job.output.join("\n")), TEXT - "```\n\n```".len(), escape);
            blocks.push(section(&format!("```\n{output}\n```")));
        }
    }
    if let Some(more) = words::more(report.failed.len().saturating_sub(JOBS)) {
        blocks.push(section(&more));
    }
    if let Some(url) = &report.url {
        blocks.push(section(&format!("<{}|Show the run>", url.replace('&', "&amp;"))));
    }
    json!({"text": head(&title, TEXT, escape), "unfurl_links": false, "unfurl_media": false, "blocks": blocks})
}

/// `verbatim`: names of people and channels, and addresses, stay text.
fn section(text: &str) -> Value {
    json!({"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": true}})
}

fn escape(letter: char) -> String {
    match letter {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        letter => letter.into(),
    }
}
