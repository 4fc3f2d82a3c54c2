//! This user's own store: a file of sealed values, and its key, apart and readable by its owner alone.
//!
//! Each value is sealed by itself (ChaCha20-Poly1305, RFC 8439) under a random nonce, with its repository and its name: none can be put
//! in another's place. Names are not secret, and stand in clear.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::SecretError;

/// For whom a secret is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// The repository in this folder.
    Repository(PathBuf),
    /// All of them.
    Everywhere,
}

impl Scope {
    /// As it stands in the store.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self {
            Self::Repository(folder) => folder.display().to_string(),
            Self::Everywhere => "*".to_owned(),
        }
    }

    /// The reverse of [`to_text`](Self::to_text).
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        if text == "*" { Self::Everywhere } else { Self::Repository(PathBuf::from(text)) }
    }
}

/// The store.
#[derive(Debug, Clone)]
pub struct Store {
    file: PathBuf,
    key: PathBuf,
}

/// The file: by scope and name, a nonce and what is sealed under it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Sealed {
    form: u32,
    secrets: BTreeMap<String, BTreeMap<String, String>>,
}

impl Store {
    /// The store in this file, whose key is in that one. Both are made when something is stored.
    #[must_use]
    pub fn new(file: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { file: file.into(), key: key.into() }
    }

    /// The names that it has, for a repository and for all; by scope.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn names(&self) -> Result<Vec<(Scope, String)>, SecretError> {
        let sealed = self.read()?;
        let names = sealed
            .secrets
            .iter()
            .flat_map(|(scope, secrets)| secrets.keys().map(|name| (Scope::from_text(scope), name.clone())));
        Ok(names.collect())
    }

    /// Stores a secret; one of the same name is replaced.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn set(&self, scope: &Scope, name: &str, value: &str) -> Result<(), SecretError> {
        let mut sealed = self.read()?;
        let key = self.key()?;
        let random = SystemRandom::new();
        let mut nonce = [0; NONCE_LEN];
        random.fill(&mut nonce).map_err(|_| self.sealed())?;
        let mut bytes = value.as_bytes().to_vec();
        let under = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(under, aad(scope, name), &mut bytes).map_err(|_| self.sealed())?;
        let text = BASE64_STANDARD.encode([nonce.as_slice(), &bytes].concat());
        sealed.form = 1;
        sealed.secrets.entry(scope.to_text()).or_default().insert(name.to_owned(), text);
        self.write(&sealed)
    }

    /// Opens a secret.
    ///
    /// # Errors
    /// Where it is not there, or was not sealed with this key.
    pub fn get(&self, scope: &Scope, name: &str) -> Result<String, SecretError> {
        let sealed = self.read()?;
        let found = sealed.secrets.get(&scope.to_text()).and_then(|secrets| secrets.get(name));
        let text = found.ok_or_else(|| SecretError::Gone { name: name.to_owned() })?;
        let bytes = BASE64_STANDARD.decode(text).map_err(|_| self.sealed())?;
        let (nonce, rest) = bytes.split_at_checked(NONCE_LEN).ok_or_else(|| self.sealed())?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| self.sealed())?;
        let mut rest = Zeroizing::new(rest.to_vec());
        let opened = self.key()?.open_in_place(nonce, aad(scope, name), &mut rest).map_err(|_| self.sealed())?;
        String::from_utf8(opened.to_vec()).map_err(|_| self.sealed())
    }

    /// Forgets a secret. False where it was not there.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn remove(&self, scope: &Scope, name: &str) -> Result<bool, SecretError> {
        let mut sealed = self.read()?;
        let there = sealed.secrets.get_mut(&scope.to_text()).is_some_and(|secrets| secrets.remove(name).is_some());
        sealed.secrets.retain(|_, secrets| !secrets.is_empty());
        if there {
            self.write(&sealed)?;
        }
        Ok(there)
    }

    fn sealed(&self) -> SecretError {
        SecretError::Sealed { path: self.file.clone() }
    }

    fn read(&self) -> Result<Sealed, SecretError> {
        match private(&self.file)? {
            None => Ok(Sealed::default()),
            Some(bytes) => serde_json::from_slice(&bytes).map_err(|_| self.sealed()),
        }
    }

    fn write(&self, sealed: &Sealed) -> Result<(), SecretError> {
        let text = serde_json::to_vec_pretty(sealed).map_err(|_| self.sealed())?;
        write(&self.file, &text)
    }

    /// The key; a new one where there is none yet.
    fn key(&self) -> Result<LessSafeKey, SecretError> {
        let bytes = match private(&self.key)? {
            Some(bytes) => bytes,
            None => {
                let mut bytes = Zeroizing::new(vec![0; CHACHA20_POLY1305.key_len()]);
                SystemRandom::new().fill(&mut bytes).map_err(|_| self.sealed())?;
                write(&self.key, &bytes)?;
                bytes
            }
        };
        UnboundKey::new(&CHACHA20_POLY1305, &bytes).map(LessSafeKey::new).map_err(|_| self.sealed())
    }
}

fn aad(scope: &Scope, name: &str) -> Aad<Vec<u8>> {
    Aad::from(format!("{}\n{name}", scope.to_text()).into_bytes())
}

/// A file that its owner alone can read; `None` where there is none.
fn private(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, SecretError> {
    use std::os::unix::fs::PermissionsExt;
    let failed = |source| SecretError::File { what: "read", path: path.to_owned(), source };
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(SecretError::Open { path: path.to_owned() });
    }
    fs::read(path).map(|bytes| Some(Zeroizing::new(bytes))).map_err(failed)
}

/// Writes a file whole or not at all; a temporary file is its owner's alone (0600) from the first moment.
fn write(path: &Path, bytes: &[u8]) -> Result<(), SecretError> {
    let written = || -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    written().map_err(|source| SecretError::File { what: "write", path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().join("config/secrets.json"), folder.path().join("state/secrets.key"));
        (folder, store)
    }

    #[test]
    fn what_is_stored_comes_back_and_lies_sealed_and_private() {
        let (folder, store) = store();
        let here = Scope::Repository("/src/app".into());
        store.set(&here, "TOKEN", "hunter2\ntwo").unwrap();
        store.set(&Scope::Everywhere, "TOKEN", "other").unwrap();
        assert_eq!(store.get(&here, "TOKEN").unwrap(), "hunter2\ntwo");
        assert_eq!(store.get(&Scope::Everywhere, "TOKEN").unwrap(), "other");
        assert_eq!(store.names().unwrap().len(), 2);
        for file in ["config/secrets.json", "state/secrets.key"] {
            let path = folder.path().join(file);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            assert!(memchr::memmem::find(&fs::read(path).unwrap(), b"hunter2").is_none());
        }
        assert!(store.remove(&here, "TOKEN").unwrap());
        assert!(!store.remove(&here, "TOKEN").unwrap());
        assert!(matches!(store.get(&here, "TOKEN"), Err(SecretError::Gone { .. })));
    }

    #[test]
    fn another_key_another_place_and_open_files_are_refused() {
        let (folder, store) = store();
        let here = Scope::Repository("/src/app".into());
        store.set(&here, "TOKEN", "hunter2").unwrap();
        let file = folder.path().join("config/secrets.json");
        let moved = fs::read_to_string(&file).unwrap().replace("/src/app", "/src/evil");
        write(&file, moved.as_bytes()).unwrap();
        let evil = Scope::Repository("/src/evil".into());
        assert!(matches!(store.get(&evil, "TOKEN"), Err(SecretError::Sealed { .. })), "it was another repository's");
        fs::remove_file(folder.path().join("state/secrets.key")).unwrap();
        assert!(matches!(store.get(&evil, "TOKEN"), Err(SecretError::Sealed { .. })));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(store.names(), Err(SecretError::Open { .. })));
    }
}
