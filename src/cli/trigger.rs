//! `argon trigger`: starts a run of a listener by hand.

use std::io::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::block_on;
use super::exit::{CommandError, Exit};
use super::history::StateArgs;
use super::output;
use super::webhook_secret::SecretArgs;

/// How long a listener may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Has a listener run its repository's pipeline now
///
/// The event is `manual`. Prints the id of the run.
#[derive(Debug, clap::Args)]
pub(crate) struct TriggerArgs {
    /// A branch, a tag or a commit [default: the default branch]
    #[arg(value_name = "REV")]
    revision: Option<String>,
    /// Which of its repositories, by URL or name, where it has several
    #[arg(long, value_name = "URL|NAME")]
    repo: Option<String>,
    /// Where it listens
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8321")]
    url: String,
    #[command(flatten)]
    secret: SecretArgs,
    #[command(flatten)]
    state: StateArgs,
}

/// Asks for it.
pub(crate) fn run(args: &TriggerArgs) -> Result<Exit, CommandError> {
    let state = args.state.dir()?;
    let (secret, _) = args.secret.found(&state)?;
    let nonce = uuid::Uuid::new_v4().to_string();
    let body =
        json!({"repository": args.repo, "revision": args.revision, "nonce": nonce, "time": jiff::Timestamp::now().as_second()}).to_string();
    let signature = format!("sha256={}", secret.sign(body.as_bytes()));
    // The HTTP client has no TLS of its own. An error only says that there is one already.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let url = format!("{}/api/trigger", args.url.trim_end_matches('/'));
    let (status, answer) = block_on(async {
        let unreachable = |error: reqwest::Error| {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            CommandError::infrastructure(
                format!("no listener answers at {}{cause}", args.url),
                Some("start one with `argon listen`, or name it with `--url`".to_owned()),
            )
        };
        let client = reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none());
        let request = client.build().map_err(unreachable)?.post(&url);
        let request = request.header("content-type", "application/json").header("x-argon-signature-256", signature);
        let response = request.body(body).send().await.map_err(unreachable)?;
        let status = response.status().as_u16();
        Ok((status, response.bytes().await.map_err(unreachable)?))
    })?;
    let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
    let run = answer.get("run").and_then(Value::as_str);
    match (status, run) {
        (200 | 202, Some(run)) => {
            let _ = std::io::stderr().write_all(b"queued; `argon logs --follow` shows it once it runs\n");
            output::print(&format!("{run}\n")).map(|()| Exit::Success)
        }
        (401, _) => Err(CommandError::usage(
            "the listener does not know this secret",
            "name its own with `--webhook-secret-file`",
        )),
        (503, _) => Err(CommandError::infrastructure(
            "the listener takes nothing now",
            Some("try again in a moment".to_owned()),
        )),
        (status, _) => {
            let message = answer.get("message").and_then(Value::as_str).unwrap_or("it is none of argon's, perhaps");
            Err(CommandError::infrastructure(format!("the listener answered {status}: {message}"), None))
        }
    }
}
