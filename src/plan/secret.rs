//! A secret: a value that no output may show. It prints as `***`, and its memory is wiped when dropped.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

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
