//! `argon completions`.

use clap::CommandFactory;
use clap_complete::Shell;

use super::exit::{CommandError, Exit};
use super::{Cli, output};

/// Prints the completion script of a shell
///
/// Where shells look for it:
///   bash  ~/.local/share/bash-completion/completions/argon
///   zsh   _argon, in a folder of $fpath
///   fish  ~/.config/fish/completions/argon.fish
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct CompletionsArgs {
    /// Whose script
    shell: Shell,
}

/// Prints it.
pub(crate) fn run(args: &CompletionsArgs) -> Result<Exit, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "argon", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Success)
}
