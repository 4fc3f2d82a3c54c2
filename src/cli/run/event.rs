//! `--event` and `--event-file`: what a run takes for the event that started it, and whether the pipeline wants it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use argon::event::SourceInfo;
use argon::pipeline::Pipeline;
use argon::sinks::summary::quote;
use argon::source::Workspace;
use argon::trigger::{Decision, EventKind, MAX_BYTES, Reason, Trigger, decide};

use crate::cli::exit::CommandError;

/// Which event.
#[derive(Debug, clap::Args)]
pub(crate) struct EventArgs {
    /// Runs as this event would: only where `on` wants it [default: `on` is not asked]
    #[arg(long, value_name = "NAME", value_enum)]
    event: Option<EventArg>,
    /// Reads the event from the body of a webhook (GitHub, GitLab, Gitea, Forgejo, Bitbucket); `-` is standard input
    #[arg(long, value_name = "FILE", requires = "event")]
    event_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum EventArg {
    /// A push of a branch or a tag
    Push,
    /// A pull request
    PullRequest,
    /// A moment of `on.schedule`
    Schedule,
    /// A person
    Manual,
}

impl From<EventArg> for EventKind {
    fn from(arg: EventArg) -> Self {
        match arg {
            EventArg::Push => Self::Push,
            EventArg::PullRequest => Self::PullRequest,
            EventArg::Schedule => Self::Schedule,
            EventArg::Manual => Self::Manual,
        }
    }
}

/// The event of a run, before its source is known.
#[derive(Debug, Clone)]
pub(super) enum Asked {
    /// None was named: a person runs it, whatever `on` says.
    Nothing,
    /// This one, and `on` decides.
    Event(Box<Trigger>),
}

impl EventArgs {
    /// Reads what was named.
    pub(super) fn read(&self) -> Result<Asked, CommandError> {
        let Some(kind) = self.event.map(EventKind::from) else {
            return Ok(Asked::Nothing);
        };
        let trigger = match &self.event_file {
            None => Trigger::new(kind),
            Some(path) => {
                let bytes = read(path).map_err(|error| {
                    let message = format!("cannot read the event {}: {error}", path.display());
                    CommandError::usage(message, "name a file with the body of a webhook")
                })?;
                Trigger::from_json(kind, &bytes)
                    .map_err(|error| CommandError::usage(format!("{}: {error}", path.display()), error.hint()))?
            }
        };
        Ok(Asked::Event(Box::new(trigger)))
    }

    /// The options that give the same again.
    pub(super) fn rerun(&self) -> impl Iterator<Item = String> {
        let event = self.event.map(|event| format!("--event {}", EventKind::from(event)));
        let file = self.event_file.as_ref().map(|file| format!("--event-file {}", quote(&file.display().to_string())));
        event.into_iter().chain(file)
    }
}

/// The bytes, as far as they are read at all: one more than the most tells that there are too many.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let most = MAX_BYTES as u64 + 1;
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        io::stdin().lock().take(most).read_to_end(&mut bytes)?;
    } else {
        File::open(path)?.take(most).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

impl Asked {
    /// What started the run, as its source has it.
    pub(super) fn trigger(&self, source: &SourceInfo) -> Trigger {
        match self {
            Self::Nothing => Trigger::local(EventKind::Manual, source),
            Self::Event(trigger) => trigger.as_ref().clone().on(source),
        }
    }

    /// Tells the source what to compare with, and warns where the event is about another commit than the one that runs.
    pub(super) fn settle(&self, workspace: &mut Workspace) {
        let Self::Event(trigger) = self else { return };
        if let Some(since) = trigger.since() {
            workspace.compare_with(since);
        }
        if let (Some(told), Some(runs)) = (&trigger.commit, &workspace.info.commit)
            && !runs.starts_with(told.as_str())
        {
            workspace.warnings.push(format!(
                "the event is about the commit {told}, and {runs} runs: `--commit {told}` runs the one of the event"
            ));
        }
    }
}

/// Asks `on`, where an event was named. It may compare the source with its base, which blocks.
pub(super) async fn ask(
    asked: &Asked,
    pipeline: &Pipeline,
    workspace: Workspace,
) -> Result<(Workspace, Option<Reason>), CommandError> {
    if matches!(asked, Asked::Nothing) {
        return Ok((workspace, None));
    }
    let (trigger, on) = (asked.trigger(&workspace.info), pipeline.on.clone());
    let asking = tokio::task::spawn_blocking(move || {
        let decision = decide(on.as_ref(), &trigger, || workspace.changed_paths(trigger.changed_paths.as_deref()));
        (workspace, decision)
    });
    let (workspace, decision) = match asking.await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    };
    Ok(match decision? {
        Decision::Triggered => (workspace, None),
        Decision::Not(reason) => (workspace, Some(reason)),
    })
}
