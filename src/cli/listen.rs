//! `argon listen`: a personal CI runner.

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use argon::listen::config::Config;
use argon::listen::{ListenError, Listener};
use argon::pipeline::parse_duration;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::block_on;
use super::exit::{CommandError, Exit};
use super::history::StateArgs;
use super::output::{self, Look};
use super::run::PullArg;
use super::variables::VariableArgs;
use super::webhook_secret::SecretArgs;

/// Runs the pipeline of a repository when its forge says that something was pushed
///
/// Takes signed webhooks of GitHub, GitLab, Gitea, Forgejo and Bitbucket, queues them on disk, and runs them as `argon run`
/// would, from a clean checkout of the commit. `argon runs --all` and `argon logs` show what came of them.
///
/// Without a secret one is made, and kept in the state folder.
#[derive(Debug, clap::Args)]
pub(crate) struct ListenArgs {
    /// The repository to run; whatever a delivery says, nothing else is cloned
    #[arg(long, value_name = "URL|PATH")]
    repo: String,
    /// Where to listen
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8321")]
    bind: SocketAddr,
    #[command(flatten)]
    secret: SecretArgs,
    /// Also looks at the repository's branches and tags so often, as `60s`: for where no forge can reach
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    poll: Option<Duration>,
    #[command(flatten)]
    state: StateArgs,
    /// How many runs go on at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// How many jobs of a run go on at once [default: the number of cores]
    #[arg(short = 'j', long = "jobs", value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    parallel: Option<u16>,
    /// How many runs may wait; deliveries beyond are told to come again
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    capacity: u64,
    /// Time for each run, as `90s`, `10m`, `1h30m`
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    timeout: Option<Duration>,
    /// How long runs may go on after SIGTERM, before they are handed back to the queue
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "10s")]
    drain: Duration,
    /// When to pull images
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    pull: PullArg,
    #[command(flatten)]
    variables: VariableArgs,
    /// Says whether it could begin, and does not
    #[arg(long)]
    check: bool,
    /// Logs one JSON object a line
    #[arg(long)]
    log_json: bool,
}

/// Listens until it is told to end.
pub(crate) fn run(args: &ListenArgs, look: &Look) -> Result<Exit, CommandError> {
    log(args);
    block_on(async {
        let (config, secret) = config(args)?;
        let check = args.check;
        let listener = Listener::open(config).await?;
        for warning in &listener.warnings {
            let _ = std::io::stderr().write_all(look.warning(warning).as_bytes());
        }
        let address = listener.address().map_err(|error| CommandError::infrastructure(error, None))?;
        if check {
            output::print("It could begin.\n")?;
            return Ok(Exit::Success);
        }
        output::print(&format!(
            "Argon listens for {} on http://{address}\n  webhook  http://{address}/webhook\n  secret   {secret}\n",
            args.repo
        ))?;
        let stop =
            signals().map_err(|error| CommandError::infrastructure(format!("cannot watch signals: {error}"), None))?;
        listener.serve(stop).await;
        Ok(Exit::Success)
    })
}

/// Logs to standard error; `RUST_LOG` says what.
fn log(args: &ListenArgs) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    if args.log_json {
        logs.json().flatten_event(true).init();
    } else {
        logs.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init();
    }
}

/// Resolves at SIGTERM, SIGINT or SIGHUP. A second one ends the process at once: what it leaves is swept at the next start.
fn signals() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut next = async move || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    };
    Ok(async move {
        next().await;
        tokio::spawn(async move {
            next().await;
            std::process::exit(130);
        });
    })
}

impl From<ListenError> for CommandError {
    fn from(error: ListenError) -> Self {
        match error {
            ListenError::Store(error) => error.into(),
            ListenError::Bind { address, ref source } => {
                let hint = match source.kind() {
                    ErrorKind::AddrInUse => format!(
                        "is another argon listening there? Else choose another port: `--bind {}:0`",
                        address.ip()
                    ),
                    ErrorKind::PermissionDenied => "ports below 1024 are root's: choose a higher one".to_owned(),
                    _ => "name an address of this machine".to_owned(),
                };
                Self::infrastructure(error, Some(hint))
            }
            error => Self::infrastructure(error, None),
        }
    }
}

/// The configuration, and where its secret comes from.
fn config(args: &ListenArgs) -> Result<(Config, String), CommandError> {
    let state = args.state.dir()?;
    let (secret, from) = args.secret.found_or_made(&state)?;
    let repository = match Path::new(&args.repo).canonicalize() {
        Ok(folder) => folder.display().to_string(),
        Err(_) => args.repo.clone(),
    };
    let config = Config {
        repository,
        bind: args.bind,
        secrets: vec![secret],
        state,
        runs: args.runs,
        jobs: args.parallel.map_or_else(super::run::cores, usize::from),
        capacity: args.capacity,
        timeout: args.timeout,
        poll: args.poll,
        drain: args.drain,
        pull: args.pull.into(),
        env: args.variables.env()?,
        given: args.variables.secrets()?,
    };
    Ok((config, from))
}
