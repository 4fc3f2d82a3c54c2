//! A secret: a value that no output may show. It prints as `***`, and its memory is wiped when dropped.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use zeroize::Zeroizing;

/// The largest value of a secret, in bytes: Linux takes no variable of 128 KiB, and what is larger is a file, not a secret.
pub const LARGEST_SECRET: usize = 64 * 1024;

/// The value of a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(Arc<Zeroizing<String>>);

impl SecretValue {
    /// Takes a value into keeping.
    pub fn new(value: String) -> Self {
        Self(Arc::new(Zeroizing::new(value)))
    }

    /// The value itself, for the container and the mask alone.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A named secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// Its name, which is also the environment variable that a step sees.
    pub name: String,
    /// Its value.
    pub value: SecretValue,
}

impl Secret {
    /// A secret of this name and value.
    pub fn new(name: &str, value: String) -> Self {
        Self { name: name.to_owned(), value: SecretValue::new(value) }
    }
}

/// A secret that is kept elsewhere, and asked for when a step needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedSecret {
    /// Its name, which is also the environment variable that a step sees.
    pub name: String,
    /// Who has it.
    pub keeper: Keeper,
}

/// Where the values of the user's own store are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredIn {
    /// In its file, sealed.
    Sealed {
        /// The file with the key.
        key: PathBuf,
    },
    /// In the keyring of the operating system.
    Keyring,
}

/// Who has a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keeper {
    /// The user's own store.
    Store {
        /// Its file.
        file: PathBuf,
        /// Where the values are.
        values: StoredIn,
        /// For whom it is there.
        scope: String,
    },
    /// A program with its arguments, which prints it.
    Command(Vec<String>),
    /// Vault, or OpenBao.
    Vault(VaultPlace),
}

/// A field of a secret of the key/value engine, version 2, of Vault or OpenBao.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultPlace {
    /// Its address: `https://vault.example.com:8200`.
    pub address: String,
    /// Its namespace, where it has any.
    pub namespace: Option<String>,
    /// The mount; it may have slashes in it.
    pub mount: String,
    /// The path in the mount.
    pub path: String,
    /// The field.
    pub field: String,
    /// The variables that may have the token, the first first.
    pub token_variables: [&'static str; 2],
    /// Where it is, where none has.
    pub token_file: Option<PathBuf>,
}

impl Keeper {
    /// The word for it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Store { .. } => "the store",
            Self::Command(_) => "its command",
            Self::Vault(_) => "Vault",
        }
    }
}
