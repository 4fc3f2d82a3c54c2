//! `argon listen`: a personal CI runner.

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use argon::causes::with_causes;
use argon::execute::PullPolicy;
use argon::listen::config::Config;
use argon::listen::config::file::{ConfigError, ConfigFile, RepositoryTable};
use argon::listen::egress::Egress;
use argon::listen::{ListenError, Listener, check};
use argon::pipeline::parse_duration;
use argon::store::StateDir;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::block_on;
use super::exit::{CommandError, Exit};
use super::history::StateArgs;
use super::output::{self, Look};
use super::run::PullArg;
use super::variables::VariableArgs;
use super::webhook_secret::SecretArgs;

/// As many open files as a listener needs: for its connections, logs and databases.
const OPEN_FILES: u64 = 8192;

/// Runs the pipeline of a repository when its forge says that something was pushed
///
/// Takes signed webhooks of GitHub, GitLab, Gitea, Forgejo and Bitbucket, queues them on disk, and runs them as `argon run`
/// would, from a clean checkout of the commit. `argon runs --all` and `argon logs` show what came of them.
///
/// Without a secret one is made, and kept in the state folder.
#[derive(Debug, clap::Args)]
pub(crate) struct ListenArgs {
    /// The repository to run; whatever a delivery says, nothing else is cloned
    #[arg(long, value_name = "URL|PATH", required_unless_present = "config")]
    repo: Option<String>,
    /// A configuration: several repositories, notifications, statuses at the forge; options given here win over it
    #[arg(short, long, value_name = "FILE", conflicts_with = "repo")]
    config: Option<PathBuf>,
    /// Where to listen [default: 127.0.0.1:8321]
    #[arg(long, value_name = "ADDRESS:PORT")]
    bind: Option<SocketAddr>,
    /// Where people reach it, for links in notifications and statuses, as `https://ci.example.com`
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    #[command(flatten)]
    secret: SecretArgs,
    /// Also looks at the repository's branches and tags so often, as `60s`: for where no forge can reach
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    poll: Option<Duration>,
    #[command(flatten)]
    state: StateArgs,
    /// How many runs go on at once [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    runs: Option<u32>,
    /// How many jobs of a run go on at once [default: the number of cores]
    #[arg(short = 'j', long = "jobs", value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    parallel: Option<u16>,
    /// How many runs may wait; deliveries beyond are told to come again [default: 10000]
    #[arg(long, value_name = "N")]
    capacity: Option<u64>,
    /// Time for each run, as `90s`, `10m`, `1h30m`
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    timeout: Option<Duration>,
    /// How long runs may go on after SIGTERM, before they are handed back to the queue [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    drain: Option<Duration>,
    /// When to pull images [default: missing]
    #[arg(long, value_name = "WHEN", value_enum)]
    pull: Option<PullArg>,
    #[command(flatten)]
    variables: VariableArgs,
    /// What containers reach: the internet alone, where that can be seen to, or all that the engine's bridge does [default: internet]
    #[arg(long, value_name = "WHAT", value_enum)]
    egress: Option<EgressArg>,
    /// Has no dashboard: only webhooks and `argon trigger` are answered
    #[arg(long)]
    no_dashboard: bool,
    /// Says whether it could begin, and does not; changes nothing, also beside a listener that runs
    #[arg(long)]
    check: bool,
    /// Logs one JSON object a line
    #[arg(long)]
    log_json: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum EgressArg {
    /// Not this machine, its local network, nor a cloud's metadata service
    Internet,
    /// All that the engine's own bridge does
    All,
}

impl From<EgressArg> for Egress {
    fn from(arg: EgressArg) -> Self {
        match arg {
            EgressArg::Internet => Self::Internet,
            EgressArg::All => Self::All,
        }
    }
}

/// Listens until it is told to end.
pub(crate) fn run(args: &ListenArgs, look: &Look) -> Result<Exit, CommandError> {
    log(args);
    raise_open_files();
    block_on(async {
        let (config, secret) = config(args).await?;
        let repositories: Vec<String> = config.repositories.iter().map(|it| it.url.clone()).collect();
        let warn = |warnings: &[String]| {
            for warning in warnings {
                let _ = std::io::stderr().write_all(look.warning(warning).as_bytes());
            }
        };
        if args.check {
            warn(&check::check(&config).await?);
            output::print("It could begin.\n")?;
            return Ok(Exit::Success);
        }
        let listener = Listener::open(config).await?;
        warn(&listener.warnings);
        let address = listener.address().map_err(|error| CommandError::infrastructure(error, None))?;
        let login = listener.login()?;
        let dashboard = login.map(|link| format!("  dashboard  {link}\n")).unwrap_or_default();
        output::print(&format!(
            "Argon listens for {} on http://{address}\n  webhook    http://{address}/webhook\n  secret     {secret}\n{dashboard}",
            repositories.join(", ")
        ))?;
        let stop =
            signals().map_err(|error| CommandError::infrastructure(format!("cannot watch signals: {error}"), None))?;
        listener.serve(stop).await?;
        Ok(Exit::Success)
    })
}

/// Takes the open files that it needs: each connection is one, and the usual limit is 1,024. Not all that may be had: programs that it
/// starts inherit the limit, and some close every file that they could have.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let enough = OPEN_FILES.min(limit.maximum.unwrap_or(OPEN_FILES));
    if limit.current.is_some_and(|current| current < enough) {
        // With fewer, connections wait.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(enough), ..limit });
    }
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
pub(crate) fn signals() -> std::io::Result<impl Future<Output = ()>> {
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
            ListenError::Part { .. } => {
                let hint = "this is a bug of argon: please report it, with its log. Nothing that was taken is lost";
                Self::infrastructure(error, Some(hint.to_owned()))
            }
            error => Self::infrastructure(error, None),
        }
    }
}

impl From<ConfigError> for CommandError {
    fn from(error: ConfigError) -> Self {
        let hint = match &error {
            ConfigError::Read { .. } => "check the path, or name a repository with `--repo`",
            ConfigError::NoRepository => "add `[[repository]]` with its `url`",
            ConfigError::InTheClear { .. } => {
                "put a proxy with TLS before it and name it, `--url https://…`; or have none, `--no-dashboard`"
            }
            ConfigError::Short { .. } => "make one: `openssl rand -hex 32`",
            _ => "docs/listen.md has every key",
        };
        Self::usage(with_causes(&error).trim_end(), hint)
    }
}

/// The configuration, and where its secret comes from.
async fn config(args: &ListenArgs) -> Result<(Config, String), CommandError> {
    let mut file = match (&args.config, &args.repo) {
        (Some(path), _) => ConfigFile::read(path)?,
        (None, Some(url)) => {
            let repository = RepositoryTable { url: url.clone(), ..RepositoryTable::default() };
            ConfigFile { repository: vec![repository], ..ConfigFile::default() }
        }
        (None, None) => return Err(ConfigError::NoRepository.into()),
    };
    let state = match (args.state.named(), &file.state) {
        (None, Some(folder)) => StateDir::new(folder),
        _ => args.state.dir()?,
    };
    if args.secret.is_named() {
        file.webhook_secret = None;
    }
    file.bind = args.bind.or(file.bind);
    file.egress = args.egress.map(Egress::from).or(file.egress);
    if args.no_dashboard {
        file.dashboard = Some(false);
    }
    file.url = args.url.clone().or(file.url);
    file.runs = args.runs.or(file.runs);
    file.jobs = args.parallel.or(file.jobs);
    file.capacity = args.capacity.or(file.capacity);
    file.drain = args.drain.or(file.drain);
    file.pull = args.pull.map(PullPolicy::from).or(file.pull);
    let (env, secrets) = (args.variables.env()?, args.variables.secrets()?);
    for repository in &mut file.repository {
        repository.poll = args.poll.or(repository.poll);
        repository.timeout = args.timeout.or(repository.timeout);
        repository.env.extend(env.iter().cloned());
        repository.given.extend(secrets.iter().cloned());
    }
    let mut place = format!("as {} says", args.config.as_deref().unwrap_or(Path::new("")).display());
    let default = || {
        let found = if args.check { args.secret.found_or_none(&state)? } else { args.secret.found_or_made(&state)? };
        let (secret, from) = found;
        place = from;
        Ok::<_, CommandError>(secret)
    };
    let config = file.resolve(state.clone(), super::run::cores(), default).await?;
    Ok((config, place))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It ended with 0, and a service manager that restarts what failed left it at that.
    #[test]
    fn a_listener_that_lost_a_part_has_failed() {
        let error = CommandError::from(ListenError::Part { part: "the worker", why: "a bug".to_owned() });
        assert_eq!((error.exit, error.message.as_str()), (Exit::Infrastructure, "the worker ended by itself: a bug"));
    }
}
