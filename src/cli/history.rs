//! What the commands share that work on the history of runs: where it is, which run is meant, how it is told.

use std::path::PathBuf;

use argon::causes::with_causes;
use argon::execute::Owner;
use argon::repository;
use argon::sinks::style::{Style, Tone};
use argon::store::history::{Filter, History, Phase, Run, RunName};
use argon::store::{StateDir, StoreError};

use super::exit::{CommandError, Exit};
use super::load;

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        let hint = error.hint();
        Self { exit: Exit::Infrastructure, message: with_causes(&error), hint }
    }
}

/// Which state folder.
#[derive(Debug, clap::Args)]
pub(crate) struct StateArgs {
    /// The state folder, where history, logs and a listener's queue are [default: $XDG_STATE_HOME/argon]
    #[arg(long, value_name = "FOLDER")]
    state: Option<PathBuf>,
}

impl StateArgs {
    /// The folder that was named.
    #[cfg(feature = "listen")]
    pub(crate) fn named(&self) -> Option<&std::path::Path> {
        self.state.as_deref()
    }

    /// The folder that was named, else the user's.
    pub(crate) fn dir(&self) -> Result<StateDir, CommandError> {
        self.state
            .as_deref()
            .map(StateDir::new)
            .or_else(state_dir)
            .ok_or_else(|| CommandError::usage("there is no home to keep a history in", "name a folder with `--state`"))
    }
}

/// The user's state folder: `$XDG_STATE_HOME/argon`, else `~/.local/state/argon`; `None` where there is no home.
pub(crate) fn state_dir() -> Option<StateDir> {
    // As the XDG Base Directory Specification has it: what is not absolute does not count.
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    Some(StateDir::new(state?.join("argon")))
}

/// The user's cache folder: `$XDG_CACHE_HOME/argon`, else `~/.cache/argon`; `None` where there is no home.
pub(crate) fn cache_dir() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    Some(cache?.join("argon"))
}

/// The history of a folder, for a command that reads it; `None` where nothing was recorded yet. Runs whose argon died are told
/// as interrupted from here on.
pub(crate) fn look(dir: &StateDir) -> Result<Option<History>, CommandError> {
    let history = History::look(dir)?;
    history.as_ref().map(interrupt_dead).transpose()?;
    Ok(history)
}

/// Nothing was recorded yet.
pub(crate) fn no_run() -> CommandError {
    CommandError::usage("no run was recorded yet", "start one: `argon run`")
}

/// Nothing was recorded of the repository here: another's latest run is not what was asked for.
fn no_run_here() -> CommandError {
    CommandError::usage(
        "no run of this repository was recorded yet",
        "start one: `argon run`; `argon runs --all` lists those of other repositories, to be named by number",
    )
}

/// Tells runs as interrupted whose argon is dead.
pub(crate) fn interrupt_dead(history: &History) -> Result<usize, StoreError> {
    let me = Owner::current();
    history.interrupt_dead(|label| Owner::parse(label).is_some_and(|owner| me.knows_dead(&owner)))
}

/// The repository around the current folder, as the history names it; `None` where there is none.
pub(crate) fn repository_here() -> Option<String> {
    let here = load::here().ok()?;
    let root = repository::root_of(&here.join(".runnerci.yml"));
    (root.join(".git").exists() || root.join(".runnerci.yml").exists()).then(|| root.display().to_string())
}

/// A name that a run does not have, with the nearest that it has.
pub(crate) fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> CommandError {
    let known: Vec<&str> = known.collect();
    let near = known.iter().max_by(|a, b| {
        let far = |text: &str| strsim::jaro_winkler(text, name);
        far(a).total_cmp(&far(b))
    });
    let hint = match near {
        Some(near) if strsim::jaro_winkler(near, name) > 0.7 => format!("did you mean `{near}`?"),
        _ => format!("it has: {}", known.join(", ")),
    };
    CommandError::usage(format!("the run has no {what} `{name}`"), hint)
}

/// Whether a name given for a job means this one: its id, or what all of its matrix are called.
pub(crate) fn is_job(name: &str, job: &str) -> bool {
    name == job || Some(name) == job.split(" (").next()
}

/// The run that was named, else the latest of the repository here; the latest of all where there is none here.
pub(crate) fn named(history: &History, name: Option<&str>) -> Result<Run, CommandError> {
    let Some(text) = name else {
        let repository = repository_here();
        let is_here = repository.is_some();
        let mut found = history.runs(&Filter { repository, ..Filter::default() }, 1)?;
        let latest = found.pop().map(|found| found.run);
        return latest.ok_or_else(|| if is_here { no_run_here() } else { no_run() });
    };
    let name = RunName::parse(text).ok_or_else(|| {
        CommandError::usage(format!("`{text}` names no run"), "give a number of `argon runs`, or the end of an id")
    })?;
    history
        .run(&name)?
        .ok_or_else(|| CommandError::usage(format!("there is no run {text}"), "`argon runs --all` lists all there are"))
}

/// A phase with its sign, in its tone.
pub(crate) fn sign(phase: Phase, style: &Style) -> String {
    match phase {
        Phase::Ended(status) => style.status(status),
        Phase::Queued => style.paint(Tone::Dim, style.symbols.waiting()),
        Phase::Running => style.paint(Tone::Bold, style.symbols.begin()),
        Phase::Interrupted => style.paint(Tone::Warn, "!"),
    }
}

/// The tone of a phase.
pub(crate) fn tone(phase: Phase) -> Tone {
    match phase {
        Phase::Ended(status) => Tone::of(status),
        Phase::Queued => Tone::Dim,
        Phase::Running => Tone::Bold,
        Phase::Interrupted => Tone::Warn,
    }
}
