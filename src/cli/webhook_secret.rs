//! The secret that a listener shares with forges, and with whoever starts a run by hand.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use argon::listen::webhook::Secret;
use argon::store::StateDir;

use super::exit::CommandError;
use super::variables::refuse_readable_by_others;

/// Bytes of randomness in a secret that is made here.
const SECRET_BYTES: usize = 32;

/// Where the secret is.
#[derive(Debug, clap::Args)]
pub(crate) struct SecretArgs {
    /// The secret of the forge's webhook, in a file that only you can read [default: the one in the state folder]
    #[arg(long, value_name = "FILE")]
    webhook_secret_file: Option<PathBuf>,
    /// The secret of the forge's webhook
    #[arg(long, value_name = "SECRET", env = "ARGON_WEBHOOK_SECRET", hide = true, hide_env_values = true)]
    webhook_secret: Option<String>,
}

impl SecretArgs {
    /// The secret that was named, else the one in the state folder, which is made where there is none; and where it is.
    pub(crate) fn found_or_made(&self, state: &StateDir) -> Result<(Secret, String), CommandError> {
        let file = state.path().join("webhook-secret");
        if self.is_named() || file.exists() {
            return self.found(state);
        }
        Ok((checked(&made(&file)?)?, format!("in {}", file.display())))
    }

    /// The secret that was named, else the one in the state folder, else one that is nobody's and is not kept; and where it is. For
    /// whoever looks alone.
    pub(crate) fn found_or_none(&self, state: &StateDir) -> Result<(Secret, String), CommandError> {
        let file = state.path().join("webhook-secret");
        if self.is_named() || file.exists() {
            return self.found(state);
        }
        Ok((checked(&random(&file)?)?, format!("in {}, once it is made", file.display())))
    }

    /// The secret that was named, else the one in the state folder; and where it is.
    pub(crate) fn found(&self, state: &StateDir) -> Result<(Secret, String), CommandError> {
        let (text, place) = match (&self.webhook_secret_file, &self.webhook_secret) {
            (Some(file), _) => (private(file)?, format!("in {}", file.display())),
            (None, Some(secret)) => (secret.clone(), "of ARGON_WEBHOOK_SECRET".to_owned()),
            (None, None) => {
                let file = state.path().join("webhook-secret");
                (private(&file)?, format!("in {}", file.display()))
            }
        };
        Ok((checked(&text)?, place))
    }

    /// Whether one was named.
    pub(crate) fn is_named(&self) -> bool {
        self.webhook_secret_file.is_some() || self.webhook_secret.is_some()
    }
}

fn checked(text: &str) -> Result<Secret, CommandError> {
    Secret::new(text.trim()).ok_or_else(|| {
        CommandError::usage("the webhook's secret is shorter than 16 bytes", "make one: `openssl rand -hex 32`")
    })
}

/// The text of a file that nobody else may read.
fn private(file: &Path) -> Result<String, CommandError> {
    refuse_readable_by_others(file)?;
    let unreadable =
        |error| CommandError::usage(format!("cannot read `{}`: {error}", file.display()), "check the path");
    fs::read_to_string(file).map_err(unreadable)
}

fn failed(file: &Path, error: &dyn std::fmt::Display) -> CommandError {
    CommandError::infrastructure(format!("cannot make the secret `{}`: {error}", file.display()), None)
}

/// What a secret for this file may be.
fn random(file: &Path) -> Result<String, CommandError> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| failed(file, &error))?;
    Ok(hex::encode(bytes))
}

/// A new secret, in a file of its own.
fn made(file: &Path) -> Result<String, CommandError> {
    let text = random(file)?;
    let write = || -> std::io::Result<()> {
        if let Some(folder) = file.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
        writeln!(file, "{text}")?;
        file.sync_all()
    };
    write().map_err(|error| failed(file, &error))?;
    Ok(text)
}
