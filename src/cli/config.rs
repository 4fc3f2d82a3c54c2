//! This user's configuration, `$XDG_CONFIG_HOME/argon/config.toml`: so far, where secrets are kept.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use argon::plan::{AskedSecret, Keeper, VaultPlace};
use argon::secrets::{Scope, SecretError, Store};
use serde::Deserialize;

use super::exit::{CommandError, Exit};
use super::history;

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default)]
    secrets: BTreeMap<String, Kept>,
    #[serde(default)]
    vault: Vault,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    command: Option<Vec<String>>,
    vault: Option<VaultField>,
    /// The repositories that may have it, by folder or URL; all where not said.
    repositories: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct VaultField {
    path: String,
    field: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vault {
    address: Option<String>,
}

impl From<SecretError> for CommandError {
    fn from(error: SecretError) -> Self {
        Self { exit: Exit::Infrastructure, message: error.to_string(), hint: None }
    }
}

/// The user's configuration folder: `$XDG_CONFIG_HOME/argon`, else `~/.config/argon`; `None` where there is no home.
fn config_dir() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let config = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")));
    Some(config?.join("argon"))
}

/// The two files of this user's store of secrets: what is sealed, and apart from it the key.
fn store_files() -> Option<(PathBuf, PathBuf)> {
    Some((config_dir()?.join("secrets.json"), history::state_dir()?.path().join("secrets.key")))
}

/// This user's store of secrets.
pub(super) fn store() -> Result<Store, CommandError> {
    let (file, key) = store_files()
        .ok_or_else(|| CommandError::usage("there is no home to keep secrets in", "set HOME, or XDG_CONFIG_HOME"))?;
    Ok(Store::new(file, key))
}

/// For whom a secret of the repository at this folder or URL is.
pub(super) fn scope_of(location: &str) -> Scope {
    let folder = Path::new(location);
    Scope::Repository(folder.canonicalize().unwrap_or_else(|_| folder.to_owned()))
}

/// The secrets that a run of this repository may ask for: those of the store for it, those for all, those of the configuration. The
/// first of a name counts.
pub(super) fn kept_secrets(location: &str) -> Result<Vec<AskedSecret>, CommandError> {
    let Some((file, key)) = store_files() else { return Ok(Vec::new()) };
    let mut names = Store::new(&file, &key).names()?;
    let own = scope_of(location);
    names.retain(|(scope, _)| *scope == own || *scope == Scope::Everywhere);
    // A repository's own come before those for all.
    names.sort();
    let stored = names.into_iter().map(|(scope, name)| {
        let keeper = Keeper::Store { file: file.clone(), key: key.clone(), scope: scope.to_text() };
        AskedSecret { name, keeper }
    });
    let mut found: Vec<AskedSecret> = Vec::new();
    for secret in stored.chain(configured(location, &own)?) {
        if !found.iter().any(|known| known.name == secret.name) {
            found.push(secret);
        }
    }
    Ok(found)
}

fn configured(location: &str, own: &Scope) -> Result<Vec<AskedSecret>, CommandError> {
    let Some(path) = config_dir().map(|folder| folder.join("config.toml")) else { return Ok(Vec::new()) };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(CommandError::usage(
                format!("cannot read {}: {error}", path.display()),
                "check its permissions",
            ));
        }
    };
    let shown = path.display();
    let config: Config = toml::from_str(&text).map_err(|error| {
        CommandError::usage(format!("{shown} is not valid: {error}"), "docs/secrets.md has its form")
    })?;
    let mut found = Vec::new();
    for (name, kept) in config.secrets {
        let bad = |what: &str| {
            let hint =
                "write `command = [\"op\", \"read\", …]` or `vault = { path = \"secret/app\", field = \"token\" }`";
            CommandError::usage(format!("{shown}: `secrets.{name}` {what}"), hint)
        };
        let is_for = |given: &String| given == location || scope_of(given) == *own;
        if kept.repositories.as_ref().is_some_and(|given| !given.iter().any(is_for)) {
            continue;
        }
        let keeper = match (kept.command, kept.vault) {
            (Some(words), None) if !words.is_empty() => Keeper::Command(words),
            (None, Some(VaultField { path, field })) => {
                let address = std::env::var("VAULT_ADDR").ok().or_else(|| config.vault.address.clone());
                let address =
                    address.ok_or_else(|| bad("is in Vault, and there is no `vault.address` and no VAULT_ADDR"))?;
                let home = std::env::var_os("HOME").map(PathBuf::from);
                Keeper::Vault(VaultPlace {
                    address,
                    path,
                    field,
                    token_file: home.map(|home| home.join(".vault-token")),
                })
            }
            (Some(_), Some(_)) => return Err(bad("has both a command and a place in Vault")),
            _ => return Err(bad("says nowhere to ask")),
        };
        found.push(AskedSecret { name, keeper });
    }
    Ok(found)
}
