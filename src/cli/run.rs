//! `argon run`.

mod event;
mod record;
mod source;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use argon::engine::Network;
use argon::engine::docker::{self, Docker, EngineEnv};
use argon::event::{Event, Level, RunId};
use argon::execute::{
    self, CacheIndex, DEFAULT_GRACE, EVENT_BUFFER, OnFailure, PullPolicy, Reuse, Settings, StepColor, StopReason,
    Stopper,
};
use argon::pipeline::parse_duration;
use argon::plan::Plan;
use argon::sinks::choose::{self, Output, OutputChoice};
use argon::sinks::json::Json;
use argon::sinks::junit::Junit;
use argon::sinks::plain::{Plain, PlainOptions};
use argon::sinks::pump::{self, PumpReport};
use argon::sinks::style::Color;
use argon::sinks::summary::quote;
use argon::sinks::terminal::{Screen, Terminal, TerminalOptions};
use argon::sinks::{Sink, Verbosity, out};
use argon::source::{Bases, Workspace};
use argon::store::record::Recorder;
use argon::trigger::{Reason, Trigger};
use tokio::sync::mpsc;

use event::EventArgs;
use source::{Planned, source_and_plan};

use super::exit::{CommandError, Exit};
use super::load::FileArgs;
use super::output::{self, Look};
use super::variables::VariableArgs;
use super::{block_on, history, list, signals};

/// What a stopped run may take beyond the grace of its steps.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// What a clone may take to notice that it is not wanted any more.
const CLONE_LIMIT: Duration = Duration::from_secs(2);

/// What a run that is stopped at once may take.
const AT_ONCE_LIMIT: Duration = Duration::from_secs(2);

/// Runs the pipeline, or some of its jobs
///
/// Runs what a commit of everything would hold: tracked and untracked files, less the ignored ones. Each job gets one
/// container; your working tree is never written to.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// The jobs to run, with all that they need [default: all jobs]
    #[arg(value_name = "JOB")]
    selected: Vec<String>,
    #[command(flatten)]
    file: FileArgs,
    /// Runs a clean checkout of this repository instead of the working tree
    #[arg(long, value_name = "URL|PATH")]
    repo: Option<String>,
    /// Runs a clean checkout of this commit, branch or tag
    #[arg(long, value_name = "REV")]
    commit: Option<String>,
    /// Runs the named jobs without what they need
    #[arg(long, requires = "selected")]
    only: bool,
    /// Runs the combinations of a matrix with this value alone; given twice for one name, either value counts
    #[arg(long, value_name = "NAME=VALUE", value_parser = matrix_pair)]
    matrix: Vec<(String, String)>,
    #[command(flatten)]
    event: EventArgs,
    #[command(flatten)]
    variables: VariableArgs,
    /// Lets jobs have what their `security` asks for beyond the sandbox: `privileged`, or a capability such as `SYS_PTRACE`
    #[arg(long, value_name = "WHAT", value_parser = argon::pipeline::capability_or_privileged)]
    allow: Vec<String>,
    /// Runs jobs that name the image FROM in the image TO
    #[arg(long, value_name = "FROM=TO", value_parser = image_pair)]
    image: Vec<(String, String)>,
    /// When to pull images
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    pull: PullArg,
    /// How many jobs run at once [default: the number of cores]
    #[arg(short = 'j', long = "jobs", value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    parallel: Option<u16>,
    /// After a failure, runs all that does not need the failed job
    #[arg(short, long)]
    keep_going: bool,
    /// Time for the whole run, as `90s`, `10m`, `1h30m`
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    timeout: Option<Duration>,
    /// From TERM to KILL, when a step is stopped [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    grace: Option<Duration>,
    /// How the run is shown
    #[arg(long, value_name = "HOW", value_enum, default_value_t)]
    output: OutputArg,
    /// Also writes a JUnit XML report
    #[arg(long, value_name = "PATH")]
    junit: Option<PathBuf>,
    /// Also runs the jobs that are cached, as nothing that they rest on has changed
    #[arg(long)]
    no_cache: bool,
    /// Shows what would run, and runs nothing
    #[arg(long)]
    dry_run: bool,
    /// Shows failures only
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
    /// Shows what Argon does
    #[arg(short, long)]
    verbose: bool,
}

#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
pub(super) enum PullArg {
    /// When the engine does not have them
    #[default]
    Missing,
    /// Every run
    Always,
    /// Never
    Never,
}

#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum OutputArg {
    /// A live view on a terminal, plain lines elsewhere
    #[default]
    Auto,
    /// The live view
    Tui,
    /// Plain lines
    Plain,
    /// One JSON object a line
    Json,
}

impl From<PullArg> for PullPolicy {
    fn from(arg: PullArg) -> Self {
        match arg {
            PullArg::Missing => Self::Missing,
            PullArg::Always => Self::Always,
            PullArg::Never => Self::Never,
        }
    }
}

impl From<OutputArg> for OutputChoice {
    fn from(arg: OutputArg) -> Self {
        match arg {
            OutputArg::Auto => Self::Auto,
            OutputArg::Tui => Self::Tui,
            OutputArg::Plain => Self::Plain,
            OutputArg::Json => Self::Json,
        }
    }
}

fn image_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((from, to)) if !from.is_empty() && !to.is_empty() => Ok((from.to_owned(), to.to_owned())),
        _ => Err("write it as FROM=TO, as in `python:3.10=my/python`".to_owned()),
    }
}

fn matrix_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE, as in `python=3.11`".to_owned()),
    }
}

/// Runs it.
pub(crate) fn run(args: RunArgs, look: &Look) -> Result<Exit, CommandError> {
    block_on(async {
        let stopper = Stopper::default();
        let (events, feed) = mpsc::channel(EVENT_BUFFER);
        let signals = signals::watch(stopper.clone(), events.downgrade())
            .map_err(|error| CommandError::infrastructure(format!("cannot watch signals: {error}"), None))?;
        let exit = prepared(args, look, stopper, events, feed).await;
        signals.abort();
        exit
    })
}

/// What a run works on.
struct Ready {
    engine: Docker,
    workspace: Workspace,
    plan: Plan,
    event: Trigger,
}

async fn prepared(
    args: RunArgs,
    look: &Look,
    stopper: Stopper,
    events: mpsc::Sender<Event>,
    feed: mpsc::Receiver<Event>,
) -> Result<Exit, CommandError> {
    if let Some(path) = &args.junit {
        check_report_folder(path)?;
    }
    if args.dry_run {
        match source_and_plan(&args, look, &Arc::default()).await? {
            Planned::Run(planned) => output::print(&list::describe_plan(&planned.1, &look.stdout()))?,
            Planned::NotWanted(reason) => output::print(&not_started(&reason))?,
        }
        return Ok(Exit::Success);
    }
    let history = record::open();
    let mut stop = stopper.watch();
    let interrupt = Arc::new(AtomicBool::new(false));
    let ready = {
        let mut preparing = std::pin::pin!(prepare(&args, look, &interrupt));
        tokio::select! {
            ready = &mut preparing => match ready? {
                Ok(ready) => ready,
                Err(reason) => return tell_not_started(&args, look, &reason, events, feed).await,
            },
            _ = stop.stopped() => {
                // A clone takes its temporary folder away when it ends; one that waits for a silent server does not hear.
                interrupt.store(true, Ordering::Relaxed);
                let _ = tokio::time::timeout(CLONE_LIMIT, preparing).await;
                return Ok(Exit::Cancelled);
            }
        }
    };
    let style = look.stdout();
    let run = RunId::generate();
    let settings = Settings {
        memo: history::cache_dir().map(|cache| cache.join("jobs")),
        reuse: if args.no_cache { Reuse::Never } else { Reuse::Unchanged },
        artifacts: history::state_dir().map(|state| state.artifacts_of(&run)),
        run,
        parallel: args.parallel.map_or_else(cores, usize::from),
        on_failure: if args.keep_going { OnFailure::KeepGoing } else { OnFailure::FailFast },
        pull: args.pull.into(),
        timeout: args.timeout,
        grace: args.grace.unwrap_or(DEFAULT_GRACE),
        color: if style.color == Color::On { StepColor::Forced } else { StepColor::Unsaid },
        network: Network::Bridge,
        bridges: None,
        bases: history::cache_dir().map(|cache| Bases::new(cache.join("bases"))),
        caches: history::cache_dir().map(|cache| CacheIndex::new(cache.join("caches"))),
        trust: "own",
    };
    let workspace = Arc::new(ready.workspace);
    let mut sinks = sinks(&args, look)?;
    let recorder = history.recorder(record::subject(&workspace, &ready.event), look).await;
    let trouble = recorder.as_ref().map(Recorder::trouble);
    sinks.extend(recorder.map(|recorder| Box::new(recorder) as Box<dyn Sink>));
    let gone = stopper.clone();
    let pump = tokio::spawn(pump::pump(feed, settings.run.clone(), sinks, move || {
        gone.interrupt();
    }));
    let overdue = overdue(stopper.clone(), settings.grace);
    let work = async {
        let result = execute::run(Arc::new(ready.engine), ready.plan, workspace, settings, stopper, events).await;
        let report = pump.await;
        record::tell(trouble.as_ref(), look);
        let result = result.map_err(|error| CommandError::usage(&error, "give smaller secrets"))?;
        finish(Exit::from(&result), report.unwrap_or_default())
    };
    tokio::select! {
        exit = work => exit,
        () = overdue => Ok(Exit::Cancelled),
    }
}

/// Resolves when a person stopped the run and it should have ended by now: whoever reads its output takes nothing more, or
/// the engine does not answer. Its containers end all the same, as their standard input ends with this process.
async fn overdue(stopper: Stopper, grace: Duration) {
    let (mut stop, mut at_once) = (stopper.watch(), stopper.watch());
    let gently = async {
        match stop.stopped().await {
            StopReason::Interrupted => tokio::time::sleep(grace + STOP_LIMIT).await,
            StopReason::FailFast { .. } | StopReason::RunTimeout { .. } => {
                std::future::pending::<()>().await;
            }
        }
    };
    let at_once = async {
        at_once.at_once().await;
        tokio::time::sleep(AT_ONCE_LIMIT).await;
    };
    tokio::select! {
        () = gently => {}
        () = at_once => {}
    }
}

fn not_started(reason: &Reason) -> String {
    format!("Not started: {reason}\n")
}

/// Says why nothing runs: as a sentence, or as the one line of JSON.
async fn tell_not_started(
    args: &RunArgs,
    look: &Look,
    reason: &Reason,
    events: mpsc::Sender<Event>,
    feed: mpsc::Receiver<Event>,
) -> Result<Exit, CommandError> {
    if !matches!(args.output, OutputArg::Json) {
        output::print(&not_started(reason))?;
        return Ok(Exit::Success);
    }
    let pump = tokio::spawn(pump::pump(feed, RunId::generate(), sinks(args, look)?, || {}));
    let message = not_started(reason).trim_end().to_owned();
    // A pump that ended tells why in its report.
    let _ = events.send(Event::Notice { level: Level::Info, job: None, message }).await;
    drop(events);
    finish(Exit::Success, pump.await.unwrap_or_default())
}

/// Connects to the engine while the source is read: neither waits for the other.
async fn prepare(
    args: &RunArgs,
    look: &Look,
    interrupt: &Arc<AtomicBool>,
) -> Result<Result<Ready, Reason>, CommandError> {
    let env = EngineEnv::from_process();
    let (planned, engine) = tokio::join!(source_and_plan(args, look, interrupt), docker::connect(&env));
    // An invalid pipeline is told before an engine that does not answer: it can be mended without one.
    match planned? {
        Planned::NotWanted(reason) => Ok(Err(reason)),
        Planned::Run(planned) => {
            let (workspace, plan, event) = *planned;
            Ok(Ok(Ready { engine: engine?, workspace, plan, event }))
        }
    }
}

pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get)
}

fn sinks(args: &RunArgs, look: &Look) -> Result<Vec<Box<dyn Sink>>, CommandError> {
    let verbosity = match (args.quiet, args.verbose) {
        (true, _) => Verbosity::Quiet,
        (false, true) => Verbosity::Verbose,
        (false, false) => Verbosity::Normal,
    };
    let style = look.stdout();
    let rerun = rerun(args);
    let stdout = || {
        out::stdout()
            .map_err(|error| CommandError::infrastructure(format!("cannot write to standard output: {error}"), None))
    };
    let main: Box<dyn Sink> = match choose::output(args.output.into(), verbosity, &look.facts(&std::io::stdout())) {
        Output::Json => Box::new(Json::new(stdout()?)),
        Output::Plain => Box::new(Plain::new(stdout()?, PlainOptions { style, verbosity, rerun })),
        Output::Terminal => Box::new(Terminal::new(TerminalOptions { style, verbosity, rerun }, Screen::stdout())),
    };
    let mut sinks = vec![main];
    if let Some(path) = &args.junit {
        sinks.push(Box::new(Junit::new(path)));
    }
    Ok(sinks)
}

/// The command that a job's name is put behind to run it again as it was run now.
fn rerun(args: &RunArgs) -> String {
    let mut words = vec!["argon run".to_owned()];
    words.extend(args.file.file.iter().map(|file| format!("-f {}", quote(&file.display().to_string()))));
    words.extend(args.repo.iter().map(|repo| format!("--repo {}", quote(repo))));
    words.extend(args.commit.iter().map(|commit| format!("--commit {}", quote(commit))));
    words.extend(args.event.rerun());
    words.extend(args.matrix.iter().map(|(name, value)| format!("--matrix {}", quote(&format!("{name}={value}")))));
    words.extend(args.allow.iter().map(|what| format!("--allow {what}")));
    words.extend(args.image.iter().map(|(from, to)| format!("--image {}", quote(&format!("{from}={to}")))));
    words.extend(args.variables.rerun());
    words.join(" ")
}

/// A report that cannot be written is told before the run, not after it.
fn check_report_folder(path: &Path) -> Result<(), CommandError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.is_dir() => Err(CommandError::usage(
            format!("there is no folder `{}` for the report", folder.display()),
            "make it first",
        )),
        _ => Ok(()),
    }
}

/// A run whose report could not be written is not green.
fn finish(exit: Exit, report: PumpReport) -> Result<Exit, CommandError> {
    match report.failures.into_iter().next() {
        None => Ok(exit),
        Some(error) => Err(CommandError {
            exit: if exit == Exit::Success { Exit::Infrastructure } else { exit },
            message: error.to_string(),
            hint: Some("is the disk full, or the folder missing?".to_owned()),
        }),
    }
}
