//! Where secrets are kept, and asking for them: this user's store (a sealed file, or the keyring), a command, or Vault.
//!
//! Nothing is asked for before a step needs it. What comes back is a [`SecretValue`]: it prints as `***`.

mod command;
mod keyring;
mod store;
mod vault;

pub use store::{Scope, Store};

use crate::plan::{Keeper, LARGEST_SECRET, SecretValue};

/// Why a secret is not to be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// A file of the store.
    #[error("cannot {what} `{}`: {source}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// With what.
        path: std::path::PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Others can read what only its owner may.
    #[error("`{}` can be read by others: `chmod 600` it", path.display())]
    Open {
        /// The file.
        path: std::path::PathBuf,
    },
    /// The store cannot be opened with its key.
    #[error("`{}` was not sealed with the key that is there, or was changed", path.display())]
    Sealed {
        /// The store.
        path: std::path::PathBuf,
    },
    /// The keyring of the operating system.
    #[error("the keyring {why}")]
    Keyring {
        /// What it said, in a clause.
        why: String,
    },
    /// The store does not have it.
    #[error("the store does not have it any more: `argon secret set {name}`")]
    Gone {
        /// Its name.
        name: String,
    },
    /// A command that was to tell it.
    #[error("`{command}` {why}")]
    Command {
        /// Its program.
        command: String,
        /// What it did instead, in a clause. Its own words are not in it: they may hold the secret.
        why: String,
    },
    /// Vault.
    #[error("Vault at {address} {why}")]
    Vault {
        /// Its address.
        address: String,
        /// What it said, in a clause.
        why: String,
    },
    /// It is too large to be a variable.
    #[error("what came has more than {} KiB, which no secret may: keep it in an encrypted file, and the file's key as the secret", LARGEST_SECRET / 1024)]
    TooLarge,
    /// What came is none.
    #[error("what came is {0}")]
    Unfit(&'static str),
}

/// Asks for a secret.
///
/// # Errors
/// Where it is not to be had.
pub async fn ask(name: &str, keeper: &Keeper) -> Result<SecretValue, SecretError> {
    let value = match keeper {
        Keeper::Store { file, values, scope } => {
            let store = Store::new(file, values.clone());
            let (scope, name) = (Scope::from_text(scope), name.to_owned());
            let reading = tokio::task::spawn_blocking(move || store.get(&scope, &name));
            match reading.await {
                Ok(value) => value?,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        }
        Keeper::Command(words) => command::ask(words).await?,
        Keeper::Vault(place) => vault::ask(place).await?,
    };
    match value {
        value if value.is_empty() => Err(SecretError::Unfit("empty")),
        value if value.contains('\0') => Err(SecretError::Unfit("not text: it has a NUL byte in it")),
        value if value.len() > LARGEST_SECRET => Err(SecretError::TooLarge),
        value => Ok(SecretValue::new(value)),
    }
}
