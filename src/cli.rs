//! The command line: one file a command, and what they share.

mod artifacts;
mod clean;
mod completions;
mod config;
mod doctor;
mod exit;
mod explain;
mod graph;
mod history;
mod includes;
mod init;
mod list;
#[cfg(feature = "listen")]
mod listen;
mod load;
mod logs;
#[cfg(feature = "lsp")]
mod lsp;
mod man;
mod output;
mod print;
mod report;
mod run;
mod runs;
mod sarif;
mod schema;
mod secret;
mod signals;
mod targets;
#[cfg(feature = "listen")]
mod trigger;
#[cfg(feature = "listen")]
mod ui;
mod validate;
mod variables;
#[cfg(feature = "listen")]
mod webhook_secret;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use exit::{CommandError, Exit};
use output::Look;

const EXIT_CODES: &str = "\
Exit codes:
  0    all green
  1    a job failed
  2    bad usage, or an invalid pipeline
  3    infrastructure: no engine, a pull that failed, a full disk
  130  cancelled";

/// Runs a repository's CI pipeline in containers, here, before you push
#[derive(Debug, Parser)]
#[command(name = "argon", version, max_term_width = 100)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE
    // Behind the options of a command: it is the least of them.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, global = true, display_order = 900)]
    color: output::ColorArg,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    // Boxed: it is many times as large as the others.
    Run(Box<run::RunArgs>),
    Validate(ValidateCommand),
    Schema(schema::SchemaArgs),
    Runs(runs::RunsArgs),
    Logs(logs::LogsArgs),
    Artifacts(artifacts::ArtifactsArgs),
    Secret(secret::SecretArgs),
    List(list::ListArgs),
    Graph(graph::GraphArgs),
    #[cfg(feature = "listen")]
    // Boxed: as `Run` is.
    Listen(Box<listen::ListenArgs>),
    #[cfg(feature = "listen")]
    Trigger(trigger::TriggerArgs),
    #[cfg(feature = "listen")]
    Ui(ui::UiArgs),
    Init(init::InitArgs),
    Doctor(doctor::DoctorArgs),
    Clean(clean::CleanArgs),
    #[cfg(feature = "lsp")]
    Lsp(lsp::LspArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

/// Checks pipeline files, and says what is wrong to the column
///
/// Exit code 0 where there is no error, 2 where there is.
#[derive(Debug, clap::Args)]
struct ValidateCommand {
    #[command(flatten)]
    args: validate::ValidateArgs,
}

/// Reads the command line, does what it says, and gives the exit code.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to standard output and are no failure; a reader that is gone is none either.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Success.into() };
        }
    };
    let look = Look::from_process(cli.color);
    match dispatch(cli.command, &look) {
        Ok(exit) => exit.into(),
        Err(error) => {
            let _ = std::io::stderr().write_all(look.error(&error).as_bytes());
            error.exit.into()
        }
    }
}

fn dispatch(command: Command, look: &Look) -> Result<Exit, CommandError> {
    match command {
        Command::Run(args) => run::run(*args, look),
        Command::Validate(command) => validate_files(&command.args, look),
        Command::Schema(args) => schema::run(&args),
        Command::Runs(args) => runs::run(&args, look),
        Command::Logs(args) => logs::run(&args, look),
        Command::Artifacts(args) => artifacts::run(&args, look),
        Command::Secret(args) => secret::run(&args, look),
        Command::List(args) => list::run(&args, look),
        Command::Graph(args) => graph::run(&args, look),
        #[cfg(feature = "listen")]
        Command::Listen(args) => listen::run(&args, look),
        #[cfg(feature = "listen")]
        Command::Trigger(args) => trigger::run(&args),
        #[cfg(feature = "listen")]
        Command::Ui(args) => ui::run(&args),
        Command::Init(args) => init::run(&args, look),
        Command::Doctor(args) => doctor::run(&args, look),
        Command::Clean(args) => clean::run(&args, look),
        #[cfg(feature = "lsp")]
        Command::Lsp(args) => lsp::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    }
}

fn validate_files(args: &validate::ValidateArgs, look: &Look) -> Result<Exit, CommandError> {
    if let Some(code) = &args.explain {
        let text = explain::explain(code, look.report()).map_err(|unknown| {
            CommandError::usage(format!("there is no finding with the code `{}`", unknown.asked), unknown.hint)
        })?;
        return output::print(&text).map(|()| Exit::Success);
    }
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    match validate::run(args, look.report(), &mut std::io::stdin(), &mut out) {
        Ok(0) => Ok(Exit::Success),
        Ok(_) => Ok(Exit::Usage),
        Err(error) => output::written(Err(error)).map(|()| Exit::Success),
    }
}

/// A runtime for the commands that talk to an engine; the others start without one.
fn block_on<T>(work: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandError::infrastructure(format!("cannot start the runtime: {error}"), None))?;
    let result = runtime.block_on(work);
    // A blocking read (a credential helper, a clone) that was given up must not hold the exit.
    runtime.shutdown_background();
    result
}
