//! `argon clean`: removes what Argon left on the engine.

use argon::engine::docker::{self, EngineEnv};
use argon::execute::{self, CacheIndex, NotKept, Notes, Whose};
use argon::source::Bases;

use super::exit::{CommandError, Exit};
use super::output::{self, Look};
use super::{block_on, history};

/// Removes what crashed runs left on the engine
///
/// Every run does so too, at its start. What belongs to runs that are going on is left alone, but with `--all`.
#[derive(Debug, clap::Args)]
pub(crate) struct CleanArgs {
    /// Removes every container, network and volume of Argon's: also those of runs that are going on, here or on another machine
    #[arg(long)]
    all: bool,
    /// Also removes the snapshots of source trees that are kept for the next run
    #[arg(long)]
    workspaces: bool,
    /// Also removes all caches of jobs, and the results of those that declare their inputs
    #[arg(long)]
    cache: bool,
    /// Also removes the images that were built for jobs, but for those that run
    #[arg(long)]
    images: bool,
}

/// Removes it.
pub(crate) fn run(args: &CleanArgs, _: &Look) -> Result<Exit, CommandError> {
    block_on(async {
        let engine = docker::connect(&EngineEnv::from_process()).await?;
        let whose = if args.all { Whose::Everyones } else { Whose::Dead };
        let kept = history::cache_dir()
            .map(|folder| (Bases::new(folder.join("bases")), CacheIndex::new(folder.join("caches"))));
        let notes = kept.as_ref().map(|(bases, caches)| Notes { bases, caches });
        let mut swept = execute::sweep(&engine, whose, notes).await?;
        let failed = |error: NotKept| CommandError::infrastructure(error.to_string(), None);
        if let Some((bases, caches)) = &kept {
            if args.workspaces {
                swept.volumes += execute::forget_snapshots(&engine, bases).await.map_err(failed)?;
            }
            if args.cache {
                let results = history::cache_dir().map(|folder| execute::forget_results(&folder.join("jobs")));
                let results = results.unwrap_or(Ok(0));
                swept.results += results.map_err(|error| CommandError::infrastructure(error.to_string(), None))?;
                swept.caches += execute::tidy_caches(&engine, caches, 0, 0).await.map_err(failed)?;
            }
        }
        if args.images {
            swept.images += execute::forget_images(&engine).await?;
        }
        output::print(&match swept.words() {
            None => "nothing to remove\n".to_owned(),
            Some(words) => format!("removed {words}\n"),
        })?;
        Ok(Exit::Success)
    })
}
