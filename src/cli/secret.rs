//! `argon secret`: this user's own store of secrets.

use std::io::{IsTerminal, Read};

use argon::plan::{Keeper, LARGEST_SECRET};
use argon::repository;
use argon::secrets::Scope;
use argon::sinks::style::Tone;
use zeroize::Zeroizing;

use super::exit::{CommandError, Exit};
use super::output::{self, Look};
use super::{config, load, variables};

/// The most that is read of a value.
const MOST_READ: u64 = 1024 * 1024;

/// Keeps secrets for the steps that list them under `secrets`
///
/// They lie sealed in a file of yours, with the key in another, and are opened when a step needs them. A secret is for the
/// repository here, unless `--everywhere` says that any pipeline may have it.
#[derive(Debug, clap::Args)]
pub(crate) struct SecretArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Keeps a secret: asks for it, or reads it from standard input
    Set {
        /// Its name, which is also the variable that a step sees
        name: String,
        /// For every repository
        #[arg(long)]
        everywhere: bool,
    },
    /// Lists the names of the secrets that runs of the repository here may ask for, and where each is
    List,
    /// Forgets a secret
    Rm {
        /// Its name
        name: String,
        /// The one for every repository
        #[arg(long)]
        everywhere: bool,
    },
}

/// Does it.
pub(crate) fn run(args: &SecretArgs, look: &Look) -> Result<Exit, CommandError> {
    let store = config::store()?;
    match &args.action {
        Action::Set { name, everywhere } => {
            variables::check_name(name, "argon secret set")?;
            let value = value(name)?;
            let scope = scope(*everywhere)?;
            store.set(&scope, name, &value)?;
            output::print(&format!("kept {name} for {}\n", shown(&scope)))?;
        }
        Action::List => output::print(&list(look)?)?,
        Action::Rm { name, everywhere } => {
            let scope = scope(*everywhere)?;
            if !store.remove(&scope, name)? {
                let known: Vec<String> =
                    store.names()?.into_iter().filter(|(of, _)| *of == scope).map(|(_, name)| name).collect();
                let near = argon::pipeline::near(name, known.iter().map(String::as_str));
                let hint = near.map_or_else(
                    || "`argon secret list` names those that there are".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                );
                return Err(CommandError::usage(format!("no secret `{name}` is kept for {}", shown(&scope)), hint));
            }
            output::print(&format!("forgot {name} for {}\n", shown(&scope)))?;
        }
    }
    Ok(Exit::Success)
}

fn location() -> Result<String, CommandError> {
    let here = load::here()?;
    Ok(repository::root_of(&here.join(".runnerci.yml")).display().to_string())
}

fn scope(everywhere: bool) -> Result<Scope, CommandError> {
    if everywhere { Ok(Scope::Everywhere) } else { Ok(config::scope_of(&location()?)) }
}

fn shown(scope: &Scope) -> String {
    match scope {
        Scope::Repository(folder) => folder.display().to_string(),
        Scope::Everywhere => "every repository".to_owned(),
    }
}

/// The value. Never from the command line, where `ps` and the shell's history would have it.
fn value(name: &str) -> Result<Zeroizing<String>, CommandError> {
    let unreadable =
        |error: std::io::Error| CommandError::usage(format!("cannot read the value: {error}"), "try again");
    let value = if std::io::stdin().is_terminal() {
        let asked = console::Term::stderr();
        asked.write_str(&format!("{name}: ")).map_err(unreadable)?;
        Zeroizing::new(asked.read_secure_line().map_err(unreadable)?)
    } else {
        let mut text = Zeroizing::new(String::new());
        // More than is taken, so that it is told: and not all that a device may give.
        std::io::stdin().take(MOST_READ).read_to_string(&mut text).map_err(unreadable)?;
        // What `echo` puts at its end is not part of it.
        Zeroizing::new(text.strip_suffix('\n').unwrap_or(&text).to_owned())
    };
    if value.len() > LARGEST_SECRET {
        return Err(variables::too_large(name, value.len(), "standard input"));
    }
    if value.is_empty() || value.contains('\0') {
        return Err(CommandError::usage("the value is empty, or holds a NUL byte", "a secret is text"));
    }
    Ok(value)
}

fn list(look: &Look) -> Result<String, CommandError> {
    let found = config::kept_secrets(&location()?)?;
    if found.is_empty() {
        return Ok("no secrets are kept for this repository: `argon secret set NAME`\n".to_owned());
    }
    let style = look.stdout();
    let width = found.iter().map(|secret| secret.name.len()).max().unwrap_or(0);
    let lines = found.iter().map(|secret| {
        let place = match &secret.keeper {
            Keeper::Store { scope, .. } => shown(&Scope::from_text(scope)),
            Keeper::Command(words) => format!("the command `{}`", words.first().map_or("", String::as_str)),
            Keeper::Vault(place) => format!("Vault, {} in {}/{}", place.field, place.mount, place.path),
        };
        format!("{}  {}\n", style.paint(Tone::Bold, &format!("{:width$}", secret.name)), style.paint(Tone::Dim, &place))
    });
    Ok(lines.collect())
}
