//! This user's configuration, `$XDG_CONFIG_HOME/argon/config.toml`: so far, where secrets are kept.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use argon::plan::{AskedSecret, Keeper, StoredIn, VaultPlace};
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
    #[serde(default, rename = "secret-store")]
    secret_store: SecretStore,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretStore {
    #[serde(default)]
    kind: StoreKind,
}

/// Where `argon secret set` keeps values.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StoreKind {
    /// In a file, sealed.
    #[default]
    File,
    /// In the keyring of the operating system.
    Keyring,
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
    /// The first part of the path where not said.
    mount: Option<String>,
    path: String,
    field: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vault {
    address: Option<String>,
    namespace: Option<String>,
}

impl Vault {
    /// Where a field is. OpenBao's own variables come before Vault's where its address is given by one: a token goes to the server
    /// that it is for.
    fn place(&self, VaultField { mount, path, field }: VaultField) -> Option<VaultPlace> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let bao = variable("BAO_ADDR");
        let token_variables = if bao.is_some() { ["BAO_TOKEN", "VAULT_TOKEN"] } else { ["VAULT_TOKEN", "BAO_TOKEN"] };
        let address = bao.or_else(|| variable("VAULT_ADDR")).or_else(|| self.address.clone())?;
        let namespace =
            variable("BAO_NAMESPACE").or_else(|| variable("VAULT_NAMESPACE")).or_else(|| self.namespace.clone());
        let (mount, path) = match (mount, path.split_once('/')) {
            (Some(mount), _) => (mount, path),
            (None, Some((mount, path))) => (mount.to_owned(), path.to_owned()),
            (None, None) => ("secret".to_owned(), path),
        };
        let token_file = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".vault-token"));
        Some(VaultPlace { address, namespace, mount, path, field, token_variables, token_file })
    }
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

/// The file of this user's store of secrets, and where its values are.
fn store_place(config: &Config) -> Option<(PathBuf, StoredIn)> {
    let folder = config_dir()?;
    match config.secret_store.kind {
        StoreKind::File => {
            let key = history::state_dir()?.path().join("secrets.key");
            Some((folder.join("secrets.json"), StoredIn::Sealed { key }))
        }
        StoreKind::Keyring => Some((folder.join("keyring.json"), StoredIn::Keyring)),
    }
}

/// This user's store of secrets.
pub(super) fn store() -> Result<Store, CommandError> {
    let (file, values) = store_place(&read()?)
        .ok_or_else(|| CommandError::usage("there is no home to keep secrets in", "set HOME, or XDG_CONFIG_HOME"))?;
    Ok(Store::new(file, values))
}

/// For whom a secret of the repository at this folder or URL is.
pub(super) fn scope_of(location: &str) -> Scope {
    let folder = Path::new(location);
    Scope::Repository(folder.canonicalize().unwrap_or_else(|_| folder.to_owned()))
}

/// The secrets that a run of this repository may ask for: those of the store for it, those for all, those of the configuration. The
/// first of a name counts.
pub(super) fn kept_secrets(location: &str) -> Result<Vec<AskedSecret>, CommandError> {
    let config = read()?;
    let Some((file, values)) = store_place(&config) else { return Ok(Vec::new()) };
    let mut names = Store::new(&file, values.clone()).names()?;
    let own = scope_of(location);
    names.retain(|(scope, _)| *scope == own || *scope == Scope::Everywhere);
    // A repository's own come before those for all.
    names.sort();
    let stored = names.into_iter().map(|(scope, name)| {
        let keeper = Keeper::Store { file: file.clone(), values: values.clone(), scope: scope.to_text() };
        AskedSecret { name, keeper }
    });
    let mut found: Vec<AskedSecret> = Vec::new();
    for secret in stored.chain(configured(config, location, &own)?) {
        if !found.iter().any(|known| known.name == secret.name) {
            found.push(secret);
        }
    }
    Ok(found)
}

/// Where something is wrong. The line itself is not shown: somebody may have written a secret in it.
fn line_of(text: &str, span: Option<Range<usize>>) -> String {
    let before = span.and_then(|span| text.get(..span.start));
    before.map_or_else(String::new, |before| format!(" (line {})", before.matches('\n').count() + 1))
}

/// What is wrong, without the value that it is about: `invalid type: string "…", expected a sequence`.
fn without_values(message: &str) -> String {
    let is_about_a_value =
        ["invalid type: ", "invalid value: ", "invalid length "].iter().any(|start| message.starts_with(start));
    let value = message.find(['`', '"']).zip(message.rfind(", expected"));
    match value {
        Some((start, end)) if is_about_a_value && start < end => {
            format!("{}{}", message[..start].trim_end(), &message[end..])
        }
        _ if is_about_a_value => "a value is not of the right type".to_owned(),
        _ => message.to_owned(),
    }
}

/// Where the file is.
fn path() -> Option<PathBuf> {
    config_dir().map(|folder| folder.join("config.toml"))
}

/// Reads the file; where there is none, all is as it is without.
fn read() -> Result<Config, CommandError> {
    let Some(path) = path() else { return Ok(Config::default()) };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Config::default()),
        Err(error) => {
            return Err(CommandError::usage(
                format!("cannot read {}: {error}", path.display()),
                "check its permissions",
            ));
        }
    };
    let shown = path.display();
    toml::from_str(&text).map_err(|error| {
        let (at, what) = (line_of(&text, error.span()), without_values(error.message()));
        CommandError::usage(format!("{shown} is not valid{at}: {what}"), "docs/secrets.md has its form")
    })
}

/// The secrets that the file says where to ask for.
fn configured(config: Config, location: &str, own: &Scope) -> Result<Vec<AskedSecret>, CommandError> {
    let Some(path) = path() else { return Ok(Vec::new()) };
    let shown = path.display();
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
            (None, Some(field)) => {
                let place = config.vault.place(field);
                let nowhere = "is in Vault, and there is no `vault.address`, no VAULT_ADDR and no BAO_ADDR";
                Keeper::Vault(place.ok_or_else(|| bad(nowhere))?)
            }
            (Some(_), Some(_)) => return Err(bad("has both a command and a place in Vault")),
            _ => return Err(bad("says nowhere to ask")),
        };
        found.push(AskedSecret { name, keeper });
    }
    Ok(found)
}
