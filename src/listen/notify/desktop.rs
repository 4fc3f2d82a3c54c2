//! A notification on the desktop of whoever runs the listener: `notify-send` of libnotify, on macOS `osascript`.
//!
//! What is told goes as arguments to a program that no shell starts.

use std::io;
use std::process::Stdio;

use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use super::failure::{Cause, SendError};
use super::report::{Report, Verdict};
use super::words;

/// What is read of what the program says, in bytes.
const SAID: u64 = 4 * 1024;

/// The longest text.
const TEXT: usize = 500;

/// A program and its arguments.
#[derive(Debug, PartialEq, Eq)]
struct Call {
    program: &'static str,
    arguments: Vec<String>,
    /// Where to get it.
    hint: &'static str,
}

/// Shows it.
pub(super) async fn show(report: &Report) -> Result<(), SendError> {
    run(if cfg!(target_os = "macos") { osascript(report) } else { notify_send(report) }).await
}

/// <https://specifications.freedesktop.org/notification-spec/>: a body may have markup.
fn notify_send(report: &Report) -> Call {
    let is_bad = Verdict::of(report.status) == Some(Verdict::Bad);
    let urgency = if is_bad { "critical" } else { "normal" };
    let arguments = [
        "--app-name=Argon".to_owned(),
        format!("--urgency={urgency}"),
        "--".to_owned(),
        words::subject(report),
        words::head(&text(report), TEXT, super::email::escape),
    ];
    Call { program: "notify-send", arguments: arguments.into(), hint: "Debian has it in `libnotify-bin`" }
}

/// The script is always the same; what is told are its arguments.
fn osascript(report: &Report) -> Call {
    let script = ["on run {what, why}", "display notification why with title what", "end run"];
    let mut arguments: Vec<String> = script.iter().flat_map(|line| ["-e".to_owned(), (*line).to_owned()]).collect();
    arguments.extend([words::subject(report), words::head(&text(report), TEXT, String::from)]);
    Call { program: "osascript", arguments, hint: "it is a part of macOS" }
}

fn text(report: &Report) -> String {
    let failed = report.failed.first().map(words::failed);
    let lines = [failed, report.reason.clone(), words::commit(report), Some(words::who(report)), report.url.clone()];
    lines.into_iter().flatten().collect::<Vec<_>>().join("\n")
}

async fn run(call: Call) -> Result<(), SendError> {
    let program = call.program.to_owned();
    let mut command = Command::new(call.program);
    command.args(call.arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => SendError::never(Cause::NoProgram { program: program.clone(), hint: call.hint }),
        _ => SendError::again(Cause::Program { program: program.clone(), text: error.to_string() }),
    })?;
    let mut said = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        // What cannot be read was not needed: the exit code decides.
        let _ = stderr.take(SAID).read_to_end(&mut said).await;
    }
    let ended = child.wait().await;
    let text = match ended {
        Ok(status) if status.success() => return Ok(()),
        Ok(_) => words::line(&String::from_utf8_lossy(&said), TEXT),
        Err(error) => error.to_string(),
    };
    Err(SendError::again(Cause::Program { program, text }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::{RunId, Status};
    use crate::listen::notify::FailedJob;
    use crate::trigger::EventKind;

    fn report() -> Report {
        Report {
            run: RunId::from_text("run"),
            number: 12,
            repository: "--app".to_owned(),
            event: EventKind::Push,
            branch: Some("main\"; rm -rf /; \"".to_owned()),
            tag: None,
            commit: None,
            short_commit: Some("a1b2c3d".to_owned()),
            message: Some("<b>bold</b> & $(reboot)".to_owned()),
            pusher_name: Some("Ada".to_owned()),
            pusher_email: None,
            status: Status::Failure,
            previous: None,
            duration: Duration::from_secs(72),
            url: None,
            failed: vec![FailedJob {
                job: "test".to_owned(),
                step: Some("unit tests".to_owned()),
                exit_code: Some(1),
                cause: "exit code 1".to_owned(),
                output: vec!["last".to_owned()],
            }],
            reason: None,
        }
    }

    #[test]
    fn what_is_told_are_arguments_and_no_markup() {
        assert_eq!(
            notify_send(&report()).arguments,
            [
                "--app-name=Argon",
                "--urgency=critical",
                "--",
                "[--app] failed: test on main\"; rm -rf /; \"",
                "test, step &quot;unit tests&quot;: exit code 1\nCommit a1b2c3d: &lt;b&gt;bold&lt;/b&gt; &amp; $(reboot)\n\
                 Run 12, a push by Ada, took 1m 12s.",
            ]
        );
        let arguments = osascript(&report()).arguments;
        let (script, told) = arguments.split_at(6);
        assert_eq!(script, osascript(&Report { repository: "other".to_owned(), ..report() }).arguments[..6].to_vec());
        assert_eq!(told[0], "[--app] failed: test on main\"; rm -rf /; \"");
        assert_eq!(told.len(), 2);
    }

    async fn ran(program: &'static str, arguments: &[&str]) -> Result<(), SendError> {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        run(Call { program, arguments, hint: "it is not there" }).await
    }

    #[tokio::test]
    async fn the_program_may_fail_or_be_missing() {
        ran("true", &[]).await.unwrap();
        let missing = ran("argon-no-such-program", &[]).await.unwrap_err();
        assert!(matches!(missing, SendError::Permanent { .. }), "{missing:?}");
        assert_eq!(missing.to_string(), "`argon-no-such-program` is not installed: it is not there");
        let failed = ran("sh", &["-c", "printf 'no \\033[31mbus\\n' >&2; exit 1"]).await.unwrap_err();
        assert!(matches!(failed, SendError::Retry { after: None, .. }), "{failed:?}");
        assert_eq!(failed.to_string(), "`sh` failed: no bus");
        // More than is read: the program is not held up for ever, and what is told of it has an end.
        let loud = ran("sh", &["-c", "yes >&2 | head -c 100000; exit 1"]);
        let loud = tokio::time::timeout(Duration::from_secs(10), loud).await.unwrap().unwrap_err();
        assert!(loud.to_string().len() < 2000, "{loud}");
    }
}
