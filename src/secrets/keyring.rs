//! The keyring of the operating system, with the cargo feature `keyring`: the Secret Service (GNOME Keyring, KWallet), macOS' Keychain,
//! Windows' Credential Manager.

use super::SecretError;
use super::store::Scope;

#[cfg(feature = "keyring")]
mod entry {
    use keyring::v1::{Entry, Error};

    use super::{Scope, SecretError};

    /// What entries are kept under.
    const SERVICE: &str = "argon";

    fn failed(error: &Error) -> SecretError {
        let why = match error {
            Error::NoDefaultStore => Entry::store_status().as_ref().err().map_or_else(String::new, ToString::to_string),
            error => error.to_string(),
        };
        let help = "on a machine without a desktop session there is none: leave `[secret-store]` out of config.toml";
        SecretError::Keyring { why: format!("cannot be used: {why} ({help})") }
    }

    fn entry(scope: &Scope, name: &str) -> Result<Entry, SecretError> {
        Entry::new(SERVICE, &format!("{name} ({})", scope.to_text())).map_err(|error| failed(&error))
    }

    pub(in super::super) fn set(scope: &Scope, name: &str, value: &str) -> Result<(), SecretError> {
        entry(scope, name)?.set_password(value).map_err(|error| failed(&error))
    }

    pub(in super::super) fn get(scope: &Scope, name: &str) -> Result<String, SecretError> {
        match entry(scope, name)?.get_password() {
            Ok(value) => Ok(value),
            Err(Error::NoEntry) => Err(SecretError::Gone { name: name.to_owned() }),
            Err(error) => Err(failed(&error)),
        }
    }

    pub(in super::super) fn remove(scope: &Scope, name: &str) -> Result<(), SecretError> {
        match entry(scope, name)?.delete_credential() {
            Ok(()) | Err(Error::NoEntry) => Ok(()),
            Err(error) => Err(failed(&error)),
        }
    }
}

#[cfg(not(feature = "keyring"))]
mod entry {
    use super::{Scope, SecretError};

    fn missing<T>() -> Result<T, SecretError> {
        let why = "is not part of this argon: build it with `--features keyring`, or leave `[secret-store]` out of config.toml";
        Err(SecretError::Keyring { why: why.to_owned() })
    }

    pub(in super::super) fn set(_: &Scope, _: &str, _: &str) -> Result<(), SecretError> {
        missing()
    }

    pub(in super::super) fn get(_: &Scope, _: &str) -> Result<String, SecretError> {
        missing()
    }

    pub(in super::super) fn remove(_: &Scope, _: &str) -> Result<(), SecretError> {
        missing()
    }
}

pub(super) use entry::{get, remove, set};
