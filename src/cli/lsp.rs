//! `argon lsp`.

use std::io::BufReader;

use argon::lsp::{self, Farewell, Options};
use argon::repository::includes::Kept;

use super::exit::{CommandError, Exit};

/// Serves an editor: findings, completion, hover, definitions, renames in pipeline files
///
/// An editor starts it and talks to it on standard input and output, by the Language Server Protocol; docs/editors.md says how
/// to set editors up. Run by hand it waits for an editor.
///
/// It reads pipeline files of the repository, starts no program and asks no network.
#[derive(Debug, clap::Args)]
pub(crate) struct LspArgs {
    /// Standard input and output; the default, which some editors insist on naming
    #[arg(long)]
    stdio: bool,
}

/// Serves until the editor leaves. An editor that vanishes, or whose pipe breaks, is no failure to tell anybody of.
pub(crate) fn run(args: &LspArgs) -> Result<Exit, CommandError> {
    let LspArgs { stdio: _ } = args;
    let (connection, threads) = lsp::connect(BufReader::new(std::io::stdin()), std::io::stdout())
        .map_err(|error| CommandError::infrastructure(format!("cannot start a thread: {error}"), None))?;
    let farewell = lsp::serve(&connection, Options { remote: Box::new(Kept::here()) });
    drop(connection);
    let _ = threads.finish();
    Ok(match farewell {
        Farewell::Proper => Exit::Success,
        // The protocol wants 1 of an `exit` without `shutdown`.
        Farewell::Abrupt => Exit::Failure,
    })
}
