//! The manifests of the snapshots that are kept on engines: one file each, held by whoever uses its snapshot.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{FlockOperation, flock};

use super::snapshot::Manifest;

/// The folder of the manifests, by default `$XDG_CACHE_HOME/argon/bases`. A file has the name of its snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bases(PathBuf);

/// A snapshot that is in use: nobody removes it for as long as this lives, and the kernel lets go of it when its process dies.
#[derive(Debug)]
pub struct Held {
    /// What it holds.
    pub manifest: Manifest,
    #[allow(dead_code, reason = "it is kept for its lock")]
    lock: File,
}

/// What came of the wish to use a snapshot.
#[derive(Debug)]
pub enum Hold {
    /// It is used.
    Held(Held),
    /// It is not known here, or what is noted of it cannot be read.
    Unknown,
    /// Another process has it: it looks at it, or removes it.
    Taken,
}

/// A snapshot that may be removed: nobody can begin to use it meanwhile.
#[derive(Debug)]
pub struct Free {
    path: PathBuf,
    /// When it was used last.
    pub used: SystemTime,
    /// How large its manifest says it is.
    pub bytes: u64,
    #[allow(dead_code, reason = "it is kept for its lock")]
    lock: File,
}

impl Bases {
    /// This folder. It is made when something is written.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// A name for the folder, unlike those of others on any machine.
    #[must_use]
    pub fn keeper(&self) -> String {
        let machine = fs::read_to_string("/etc/machine-id").unwrap_or_default();
        let folder = std::path::absolute(&self.0).unwrap_or_else(|_| self.0.clone());
        blake3::hash(format!("{machine}{}", folder.display()).as_bytes()).to_hex()[..12].to_owned()
    }

    /// Whether it has the manifest of this snapshot, and can read it. One that it cannot will never be used.
    ///
    /// # Errors
    /// Where there is a file that cannot be opened.
    pub fn knows(&self, name: &str) -> io::Result<bool> {
        let Some(mut file) = opened(&self.path(name))? else { return Ok(false) };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(Manifest::from_bytes(&bytes).is_some())
    }

    /// Whether there is a note of this snapshot in the folder, whatever it says.
    #[must_use]
    pub fn notes(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// Forgets a snapshot that is gone.
    pub fn forget(&self, name: &str) {
        // One that stays is a snapshot that no engine has: it is never found.
        let _ = fs::remove_file(self.path(name));
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Uses a snapshot.
    ///
    /// # Errors
    /// Where there is a file that cannot be read.
    pub fn hold(&self, name: &str) -> io::Result<Hold> {
        let path = self.path(name);
        let Some(mut lock) = opened(&path)? else { return Ok(Hold::Unknown) };
        if flock(&lock, FlockOperation::NonBlockingLockShared).is_err() {
            return Ok(Hold::Taken);
        }
        if !path.exists() {
            return Ok(Hold::Unknown);
        }
        let mut bytes = Vec::new();
        lock.read_to_end(&mut bytes)?;
        // Told by the time of the file; where that cannot be set, it is removed a little sooner.
        let _ = lock.set_modified(SystemTime::now());
        Ok(Manifest::from_bytes(&bytes).map_or(Hold::Unknown, |manifest| Hold::Held(Held { manifest, lock })))
    }

    /// Notes a snapshot that is whole now, and uses it.
    ///
    /// # Errors
    /// Where that cannot be written.
    pub fn keep(&self, name: &str, manifest: Manifest) -> io::Result<Held> {
        fs::create_dir_all(&self.0)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.0)?;
        file.write_all(&manifest.to_bytes()?)?;
        // A name without its content would be a snapshot that nobody can use.
        file.as_file().sync_all()?;
        flock(file.as_file(), FlockOperation::LockShared)?;
        let lock = file.persist(self.path(name))?;
        Ok(Held { manifest, lock })
    }

    /// Takes a snapshot that nobody uses; `None` where somebody does, or it is not known here.
    ///
    /// # Errors
    /// Where there is a file that cannot be read.
    pub fn free(&self, name: &str) -> io::Result<Option<Free>> {
        let path = self.path(name);
        let Some(mut lock) = opened(&path)? else { return Ok(None) };
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(None);
        }
        let used = lock.metadata()?.modified()?;
        let mut bytes = Vec::new();
        lock.read_to_end(&mut bytes)?;
        let size = Manifest::from_bytes(&bytes).map_or(0, |manifest| manifest.bytes());
        Ok(Some(Free { path, used, bytes: size, lock }))
    }
}

impl Free {
    /// Forgets it: its snapshot is gone.
    pub fn forget(self) {
        // One that stays is a snapshot that no engine has: it is never found.
        let _ = fs::remove_file(&self.path);
    }
}

fn opened(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_is_not_free_and_what_is_forgotten_is_not_found() {
        let folder = tempfile::tempdir().unwrap();
        let bases = Bases::new(folder.path().join("bases"));
        assert!(matches!(bases.hold("a").unwrap(), Hold::Unknown));
        let held = bases.keep("a", Manifest::default()).unwrap();
        assert!(bases.free("a").unwrap().is_none(), "it is used");
        drop(held);
        let free = bases.free("a").unwrap().unwrap();
        assert!(matches!(bases.hold("a").unwrap(), Hold::Taken), "it is being looked at");
        free.forget();
        assert!(bases.free("a").unwrap().is_none());
    }
    #[test]
    fn what_is_noted_and_cannot_be_read_is_not_known() {
        let folder = tempfile::tempdir().unwrap();
        let bases = Bases::new(folder.path());
        bases.keep("whole", Manifest::default().of_this_form()).unwrap();
        fs::write(folder.path().join("torn"), "").unwrap();
        assert!(bases.knows("whole").unwrap());
        assert!(!bases.knows("torn").unwrap());
        assert!(matches!(bases.hold("torn").unwrap(), Hold::Unknown));
        bases.forget("torn");
        assert!(!folder.path().join("torn").exists());
    }
}
