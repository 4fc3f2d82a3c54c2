//! `argon man`.

use clap::CommandFactory;

use super::exit::{CommandError, Exit};
use super::{Cli, output};

/// Prints a manual page: `argon man run | man -l -`
#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// The command whose page it is [default: argon itself]
    command: Option<String>,
}

/// Prints it.
pub(crate) fn run(args: &ManArgs) -> Result<Exit, CommandError> {
    let mut cli = Cli::command();
    cli.build();
    let title = args.command.as_ref().map_or_else(|| "argon".to_owned(), |name| format!("argon-{name}"));
    let command = match &args.command {
        None => cli,
        Some(name) => {
            let known: Vec<&str> = cli.get_subcommands().map(clap::Command::get_name).collect();
            let near = argon::pipeline::near(name, known.iter().copied());
            let hint = near.map_or_else(
                || format!("the commands are: {}", known.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            let found = cli.find_subcommand(name).cloned();
            found.ok_or_else(|| CommandError::usage(format!("there is no command `{name}`"), hint))?
        }
    };
    let mut page = Vec::new();
    output::written(clap_mangen::Man::new(command).title(title).render(&mut page))?;
    output::print(&String::from_utf8_lossy(&page))?;
    Ok(Exit::Success)
}
