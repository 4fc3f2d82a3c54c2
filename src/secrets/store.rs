//! This user's own store: a file of sealed values, and its key, apart and readable by its owner alone; or a file of names, whose
//! values the keyring of the operating system has, which cannot list what it has alike everywhere.
//!
//! Each value is sealed by itself (ChaCha20-Poly1305, RFC 8439) under a random nonce, with its repository and its name: none can be put
//! in another's place. Names are not secret, and stand in clear.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{SecretError, keyring};
use crate::plan::StoredIn;

/// As many symlinks as Linux follows.
const MOST_LINKS: usize = 40;

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
    values: StoredIn,
}

/// The file: by scope and name, a nonce and what is sealed under it; nothing where the keyring has the value.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Sealed {
    form: u32,
    secrets: BTreeMap<String, BTreeMap<String, String>>,
}

impl Store {
    /// The store in this file, whose values are there. What there is not yet is made when something is stored.
    #[must_use]
    pub fn new(file: impl Into<PathBuf>, values: StoredIn) -> Self {
        Self { file: file.into(), values }
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
        let _lock = self.lock()?;
        let mut sealed = self.read()?;
        let text = match &self.values {
            StoredIn::Sealed { key } => self.seal(key, scope, name, value)?,
            StoredIn::Keyring => {
                keyring::set(scope, name, value)?;
                String::new()
            }
        };
        sealed.form = 1;
        sealed.secrets.entry(scope.to_text()).or_default().insert(name.to_owned(), text);
        self.write(&sealed)
    }

    fn seal(&self, key: &Path, scope: &Scope, name: &str, value: &str) -> Result<String, SecretError> {
        let key = match self.key(key)? {
            Some(key) => key,
            None => self.new_key(key)?,
        };
        let random = SystemRandom::new();
        let mut nonce = [0; NONCE_LEN];
        random.fill(&mut nonce).map_err(|_| self.sealed())?;
        let mut bytes = value.as_bytes().to_vec();
        let under = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(under, aad(scope, name), &mut bytes).map_err(|_| self.sealed())?;
        Ok(BASE64_STANDARD.encode([nonce.as_slice(), &bytes].concat()))
    }

    /// Opens a secret.
    ///
    /// # Errors
    /// Where it is not there, or was not sealed with this key.
    pub fn get(&self, scope: &Scope, name: &str) -> Result<String, SecretError> {
        let sealed = self.read()?;
        let found = sealed.secrets.get(&scope.to_text()).and_then(|secrets| secrets.get(name));
        let text = found.ok_or_else(|| SecretError::Gone { name: name.to_owned() })?;
        let key = match &self.values {
            StoredIn::Sealed { key } => key,
            StoredIn::Keyring => return keyring::get(scope, name),
        };
        let bytes = BASE64_STANDARD.decode(text).map_err(|_| self.sealed())?;
        let (nonce, rest) = bytes.split_at_checked(NONCE_LEN).ok_or_else(|| self.sealed())?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| self.sealed())?;
        let mut rest = Zeroizing::new(rest.to_vec());
        let key = self.key(key)?.ok_or_else(|| self.sealed())?;
        let opened = key.open_in_place(nonce, aad(scope, name), &mut rest).map_err(|_| self.sealed())?;
        String::from_utf8(opened.to_vec()).map_err(|_| self.sealed())
    }

    /// Forgets a secret. False where it was not there.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn remove(&self, scope: &Scope, name: &str) -> Result<bool, SecretError> {
        let _lock = self.lock()?;
        let mut sealed = self.read()?;
        let there = sealed.secrets.get_mut(&scope.to_text()).is_some_and(|secrets| secrets.remove(name).is_some());
        sealed.secrets.retain(|_, secrets| !secrets.is_empty());
        if there {
            if self.values == StoredIn::Keyring {
                keyring::remove(scope, name)?;
            }
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
        write(&self.file, &text, Over::What)
    }

    /// Keeps others from changing the store for as long as it lives: who reads, changes and writes must be alone. Beside the
    /// key, as the store itself may lie in a repository of dotfiles.
    fn lock(&self) -> Result<File, SecretError> {
        let beside = match &self.values {
            StoredIn::Sealed { key } => key,
            StoredIn::Keyring => &self.file,
        };
        let path = beside.with_extension("lock");
        let failed = |source| SecretError::File { what: "lock", path: path.clone(), source };
        fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).map_err(failed)?;
        let file = File::options().create(true).append(true).mode(0o600).open(&path).map_err(failed)?;
        file.lock().map_err(failed)?;
        Ok(file)
    }

    /// The key; `None` where there is none yet.
    fn key(&self, path: &Path) -> Result<Option<LessSafeKey>, SecretError> {
        let Some(bytes) = private(path)? else { return Ok(None) };
        let key = UnboundKey::new(&CHACHA20_POLY1305, &bytes).map(LessSafeKey::new);
        key.map(Some).map_err(|_| self.sealed())
    }

    /// Makes a key, where nobody else has made one meanwhile: what was sealed with that must stay open.
    fn new_key(&self, path: &Path) -> Result<LessSafeKey, SecretError> {
        let mut bytes = Zeroizing::new(vec![0; CHACHA20_POLY1305.key_len()]);
        SystemRandom::new().fill(&mut bytes).map_err(|_| self.sealed())?;
        match write(path, &bytes, Over::Nothing) {
            Err(SecretError::File { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {}
            written => written?,
        }
        self.key(path)?.ok_or_else(|| self.sealed())
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

/// What a file may be written over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    /// What is there.
    What,
    /// It must not be there.
    Nothing,
}

/// Writes a file whole or not at all; a temporary file is its owner's alone (0600) from the first moment. A symlink stays one:
/// what it leads to is written.
fn write(path: &Path, bytes: &[u8], over: Over) -> Result<(), SecretError> {
    let written = || -> io::Result<()> {
        let real = real(path)?;
        let folder = real.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        match over {
            Over::What => file.persist(&real)?,
            Over::Nothing => file.persist_noclobber(&real)?,
        };
        File::open(folder)?.sync_all()
    };
    written().map_err(|source| SecretError::File { what: "write", path: path.to_owned(), source })
}

/// Where a path leads, through symlinks, whether or not anything is there.
fn real(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new(".")).join(target),
            // Not a symlink, or nothing.
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::NotFound) => {
                return Ok(path);
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("too many symlinks"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("state/secrets.key");
        let store = Store::new(folder.path().join("config/secrets.json"), StoredIn::Sealed { key });
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
        write(&file, moved.as_bytes(), Over::What).unwrap();
        let evil = Scope::Repository("/src/evil".into());
        assert!(matches!(store.get(&evil, "TOKEN"), Err(SecretError::Sealed { .. })), "it was another repository's");
        fs::remove_file(folder.path().join("state/secrets.key")).unwrap();
        assert!(matches!(store.get(&evil, "TOKEN"), Err(SecretError::Sealed { .. })));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(store.names(), Err(SecretError::Open { .. })));
    }

    #[test]
    fn of_secrets_that_are_set_at_once_none_is_lost() {
        let (folder, store) = store();
        std::thread::scope(|scope| {
            for number in 0..8 {
                let store = store.clone();
                scope.spawn(move || store.set(&Scope::Everywhere, &format!("S{number}"), "hunter2").unwrap());
            }
        });
        let names: Vec<String> = store.names().unwrap().into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, (0..8).map(|number| format!("S{number}")).collect::<Vec<_>>());
        for name in names {
            assert_eq!(store.get(&Scope::Everywhere, &name).unwrap(), "hunter2", "one key, and that of all");
        }
        drop(folder);
    }

    #[test]
    fn a_store_behind_a_symlink_stays_there() {
        let (folder, store) = store();
        let (file, dotfiles) = (folder.path().join("config/secrets.json"), folder.path().join("dotfiles"));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::create_dir_all(&dotfiles).unwrap();
        std::os::unix::fs::symlink("../dotfiles/secrets.json", &file).unwrap();
        for value in ["first", "second"] {
            store.set(&Scope::Everywhere, "TOKEN", value).unwrap();
            assert!(fs::symlink_metadata(&file).unwrap().is_symlink());
            assert!(dotfiles.join("secrets.json").exists());
            assert_eq!(store.get(&Scope::Everywhere, "TOKEN").unwrap(), value);
        }
    }

    #[test]
    fn who_reads_makes_no_key() {
        let (folder, store) = store();
        store.set(&Scope::Everywhere, "TOKEN", "hunter2").unwrap();
        let key = folder.path().join("state/secrets.key");
        fs::remove_file(&key).unwrap();
        assert!(matches!(store.get(&Scope::Everywhere, "TOKEN"), Err(SecretError::Sealed { .. })));
        assert!(!key.exists());
    }
}
