//! What a run works on: its pipeline with what that includes, its source, and the plan that they come to.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use argon::pipeline::Pipeline;
use argon::pipeline::expr::Contexts;
use argon::plan::{self, Plan, Privileges, RunOptions, Selection};
use argon::repository;
use argon::source::{self, CloneProgress, SourceRequest, Workspace};
use argon::trigger::{Reason, Trigger};
use tokio::sync::mpsc;

use super::event::{self, Asked};
use super::{OutputArg, RunArgs};
use crate::cli::config;
use crate::cli::exit::CommandError;
use crate::cli::load::{self, Looked, Warnings};
use crate::cli::output::Look;

/// What people wait for without wondering.
const A_MOMENT: Duration = Duration::from_secs(1);

/// What the source and the pipeline come to.
pub(super) enum Planned {
    /// A run.
    Run(Box<(Workspace, Plan, Trigger)>),
    /// The event does not start the pipeline.
    NotWanted(Reason),
}

/// Reads the pipeline, opens the source, and plans the run.
pub(super) async fn source_and_plan(
    args: &RunArgs,
    look: &Look,
    interrupt: &Arc<AtomicBool>,
) -> Result<Planned, CommandError> {
    let options = options(args)?;
    let asked = args.event.read()?;
    let warnings = if args.quiet || matches!(args.output, OutputArg::Json) { Warnings::Hide } else { Warnings::Show };
    let here = load::here()?;
    if args.repo.is_none() && args.commit.is_none() {
        // The file comes first: what is wrong with it is told before a large tree is listed.
        let (path, root) = args.file.locate(&here)?;
        let pipeline = pipeline_of(path, root.clone(), interrupt, warnings).await?.pipeline(warnings, look)?;
        let folder = if args.file.file.is_some() { here } else { root };
        let workspace = open(SourceRequest::WorkingTree { folder }, interrupt, Warnings::Hide).await?;
        return planned(&asked, &pipeline, options, workspace).await;
    }
    let repository = match &args.repo {
        Some(repository) => repository.clone(),
        None => repository::root_of(&here.join(".runnerci.yml")).display().to_string(),
    };
    let workspace =
        open(SourceRequest::Checkout { repository, revision: args.commit.clone() }, interrupt, warnings).await?;
    let name = args.file.file.clone().unwrap_or_else(|| PathBuf::from(".runnerci.yml"));
    let path = workspace.root.join(&name);
    if path.symlink_metadata().is_err() {
        let at = args.commit.as_deref().unwrap_or("the default branch");
        return Err(CommandError::usage(
            format!("there is no `{}` in {} at {at}", name.display(), workspace.info.location),
            "name the file with `--file`, or another commit with `--commit`",
        ));
    }
    let pipeline = pipeline_of(path, workspace.root.clone(), interrupt, warnings).await?.pipeline(warnings, look)?;
    planned(&asked, &pipeline, options, workspace).await
}

/// Reads the pipeline file beside the run's task: what it includes may come from a network, and a Ctrl-C must be heard.
async fn pipeline_of(
    path: PathBuf,
    root: PathBuf,
    interrupt: &Arc<AtomicBool>,
    words: Warnings,
) -> Result<Looked, CommandError> {
    let interrupt = interrupt.clone();
    let mut reading = tokio::task::spawn_blocking(move || load::look_at(&path, &root, &interrupt));
    let looked = tokio::select! {
        looked = &mut reading => looked,
        () = tokio::time::sleep(A_MOMENT) => {
            if words == Warnings::Show {
                let _ = std::io::stderr().write_all(b"fetching what the pipeline includes\n");
            }
            reading.await
        }
    };
    match looked {
        Ok(looked) => looked,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Asks `on`, and makes the plan of what is wanted.
async fn planned(
    asked: &Asked,
    pipeline: &Pipeline,
    options: RunOptions,
    mut workspace: Workspace,
) -> Result<Planned, CommandError> {
    asked.settle(&mut workspace);
    let trigger = asked.trigger(&workspace.info);
    let kept = config::kept_secrets(&workspace.info.location)?;
    let options = RunOptions { origin: trigger.contexts(), asked: kept, ..options };
    let (workspace, reason) = event::ask(asked, pipeline, workspace).await?;
    if let Some(reason) = reason {
        return Ok(Planned::NotWanted(reason));
    }
    let plan = plan::plan(pipeline, &options)?;
    Ok(Planned::Run(Box::new((workspace, plan, trigger))))
}

/// Opens the source. What lasts longer than a moment says what it is.
async fn open(request: SourceRequest, interrupt: &Arc<AtomicBool>, words: Warnings) -> Result<Workspace, CommandError> {
    let (tell, mut told) = mpsc::unbounded_channel();
    let interrupt = interrupt.clone();
    let mut opening = tokio::task::spawn_blocking(move || {
        // Whoever listens may be gone by then: the run was stopped.
        source::open_with(&request, &interrupt, &mut |progress| {
            let _ = tell.send(progress);
        })
    });
    let mut doing = None;
    loop {
        tokio::select! {
            opened = &mut opening => return match opened {
                Ok(workspace) => Ok(workspace?),
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            },
            Some(progress) = told.recv() => doing = Some(progress),
            () = tokio::time::sleep(A_MOMENT), if doing.is_some() && words == Warnings::Show => {
                let word = match doing.take() {
                    Some(CloneProgress::Fetching) => "fetching the repository\n",
                    Some(CloneProgress::CheckingOut) => "checking the commit out\n",
                    Some(CloneProgress::Submodules) => "fetching the submodules\n",
                    None => continue,
                };
                let _ = std::io::stderr().write_all(word.as_bytes());
            }
        }
    }
}

fn options(args: &RunArgs) -> Result<RunOptions, CommandError> {
    let selection = match (args.selected.is_empty(), args.only) {
        (true, _) => Selection::All,
        (false, true) => Selection::Only(args.selected.clone()),
        (false, false) => Selection::WithNeeds(args.selected.clone()),
    };
    Ok(RunOptions {
        selection,
        matrix: args.matrix.clone(),
        env: args.variables.env()?,
        secrets: args.variables.secrets()?,
        asked: Vec::new(),
        images: args.image.iter().cloned().collect(),
        allowed: Privileges {
            privileged: args.allow.iter().any(|what| what == "privileged"),
            capabilities: args.allow.iter().filter(|what| *what != "privileged").cloned().collect(),
        },
        origin: Contexts::default(),
    })
}
