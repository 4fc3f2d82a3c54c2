//! `argon clean`: removes what Argon left on the engine.

use argon::engine::docker::{self, EngineEnv};
use argon::execute::{self, CacheIndex, Notes, Whose};
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
        let folder = history::cache_dir();
        if let Some((bases, caches)) = &kept {
            if args.workspaces
                && let Err(error) = execute::forget_snapshots(&engine, bases, &mut swept).await
            {
                swept.left.0.push(format!("the snapshots: {error}"));
            }
            if args.cache {
                match folder.map_or(Ok(0), |folder| execute::forget_results(&folder.join("jobs"))) {
                    Ok(results) => swept.results += results,
                    Err(error) => swept.left.0.push(format!("the results of jobs: {error}")),
                }
                match execute::tidy_caches(&engine, caches, 0, 0).await {
                    Ok(gone) => swept.caches += gone,
                    Err(error) => swept.left.0.push(format!("the caches: {error}")),
                }
            }
        }
        if args.images {
            match execute::forget_images(&engine).await {
                Ok(images) => swept.images += images,
                Err(error) => swept.left.0.push(format!("the images: {error}")),
            }
        }
        output::print(&match swept.words() {
            None if swept.left.0.is_empty() => "nothing to remove\n".to_owned(),
            None => String::new(),
            Some(words) => format!("removed {words}\n"),
        })?;
        match swept.left.0.as_slice() {
            [] => Ok(Exit::Success),
            left => Err(CommandError::infrastructure(
                format!("not everything could be removed:\n  {}", left.join("\n  ")),
                Some("see what holds on to it (`docker ps -a --filter volume=NAME`), remove that, and run `argon clean` again".to_owned()),
            )),
        }
    })
}
