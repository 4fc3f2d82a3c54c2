//! `argon ui`: the dashboard of this machine's history, and links into that of a listener.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use argon::listen::dashboard::{self, Dashboard};
use jiff::Timestamp;

use super::block_on;
use super::exit::{CommandError, Exit};
use super::history::StateArgs;
use super::output;

/// What opens a browser.
const OPENER: &str = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };

/// Shows the runs that were, and go on, in a browser
///
/// The page is for this machine alone. The link signs you in, once.
#[derive(Debug, clap::Args)]
pub(crate) struct UiArgs {
    /// Where it is
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    bind: SocketAddr,
    /// Prints the link, and opens no browser
    #[arg(long)]
    no_open: bool,
    /// Prints another link into the dashboard of a listener with this state folder, and ends
    #[arg(long)]
    link: bool,
    /// Where people reach that listener
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8321", requires = "link")]
    url: String,
    #[command(flatten)]
    state: StateArgs,
}

/// Shows them, until it is told to end.
pub(crate) fn run(args: &UiArgs) -> Result<Exit, CommandError> {
    let state = args.state.dir()?;
    if args.link {
        let path = dashboard::login(&state, Timestamp::now())?;
        output::print(&format!("{}{path}\n", args.url.trim_end_matches('/')))?;
        return Ok(Exit::Success);
    }
    if !args.bind.ip().is_loopback() {
        return Err(CommandError::usage(
            format!("{} can be reached by other machines, without TLS", args.bind.ip()),
            "`argon listen` behind a proxy with TLS has a dashboard for others (docs/dashboard.md)",
        ));
    }
    block_on(async {
        let dashboard = Dashboard::open(state, args.bind).await.map_err(|error| {
            CommandError::infrastructure(
                format!("cannot listen on {}: {error}", args.bind),
                Some("choose another port: `--bind 127.0.0.1:0`".to_owned()),
            )
        })?;
        let link = dashboard.login()?;
        output::print(&format!("{link}\n"))?;
        if !args.no_open && std::io::stdout().is_terminal() {
            open(&link);
        }
        let ends = async {
            // Ctrl-C, SIGTERM: nothing here has to be ended with care.
            if let Ok(ended) = super::listen::signals() {
                ended.await;
            }
        };
        dashboard.serve(ends).await?;
        Ok(Exit::Success)
    })
}

fn open(link: &str) {
    let opened =
        Command::new(OPENER).arg(link).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    if opened.is_err() {
        let _ = std::io::stderr().write_all(b"no browser could be opened: open the link yourself\n");
    }
}
