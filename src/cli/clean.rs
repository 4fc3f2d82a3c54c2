//! `argon clean`: removes what Argon left on the engine.

use argon::engine::Engine;
use argon::engine::docker::{self, EngineEnv};
use argon::execute;

use super::block_on;
use super::exit::{CommandError, Exit};
use super::output::{self, Look};

/// Removes what crashed runs left on the engine
///
/// Every run does so too, at its start. The containers of runs that are going on are left alone, but with `--all`.
#[derive(Debug, clap::Args)]
pub(crate) struct CleanArgs {
    /// Removes every container of Argon's: also those of runs that are going on, here or on another machine
    #[arg(long)]
    all: bool,
}

/// Removes it.
pub(crate) fn run(args: &CleanArgs, _: &Look) -> Result<Exit, CommandError> {
    block_on(async {
        let engine = docker::connect(&EngineEnv::from_process()).await?;
        let removed = if args.all {
            let owned = engine.owned().await?;
            for container in &owned {
                engine.remove(&container.id).await?;
            }
            owned.len()
        } else {
            execute::sweep(&engine).await?.len()
        };
        output::print(&match removed {
            0 => "nothing to remove\n".to_owned(),
            1 => "removed 1 container\n".to_owned(),
            n => format!("removed {n} containers\n"),
        })?;
        Ok(Exit::Success)
    })
}
