//! Locks of files that say by their names what is locked. The kernel lets go of them when their process dies.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// The folder of the locks. It is made when something is locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Locks(PathBuf);

/// Who has this is one of several.
#[derive(Debug)]
pub(super) struct Shared(#[allow(dead_code, reason = "it is kept for its lock")] File);

/// Who has this is the only one.
#[derive(Debug)]
pub(in crate::execute) struct Exclusive {
    path: PathBuf,
    #[allow(dead_code, reason = "it is kept for its lock")]
    file: File,
}

impl Locks {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// `None` while another has it exclusively.
    pub(super) fn shared(&self, name: &str) -> io::Result<Option<Shared>> {
        Ok(locked(&self.0.join(name), FlockOperation::NonBlockingLockShared)?.map(Shared))
    }

    /// `None` while others have it.
    pub(super) fn exclusive(&self, name: &str) -> io::Result<Option<Exclusive>> {
        let path = self.0.join(name);
        Ok(locked(&path, FlockOperation::NonBlockingLockExclusive)?.map(|file| Exclusive { path, file }))
    }

    /// Waits for it: for what is never held for longer than it takes to write a small file.
    pub(super) fn wait_exclusive(&self, name: &str) -> io::Result<Exclusive> {
        let path = self.0.join(name);
        loop {
            if let Some(file) = locked(&path, FlockOperation::LockExclusive)? {
                return Ok(Exclusive { path, file });
            }
        }
    }

    /// What has been locked, now or once.
    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }
}

impl Exclusive {
    /// What it locks is gone. Who waits for the file finds that it is another by now.
    pub(super) fn remove(self) {
        // One that stays is found again by the next who looks for such.
        let _ = fs::remove_file(&self.path);
    }
}

fn locked(path: &Path, how: FlockOperation) -> io::Result<Option<File>> {
    loop {
        let file = match File::options().create(true).truncate(false).write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(path.parent().unwrap_or(path))?;
                continue;
            }
            Err(error) => return Err(error),
        };
        match flock(&file, how) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        // Between the two it may have been removed by who had it: then this is a lock of nothing.
        let ours = file.metadata()?;
        if path.metadata().is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())) {
            return Ok(Some(file));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_have_it_or_one_alone_and_what_was_removed_is_a_lock_of_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let locks = Locks::new(folder.path().join("locks"));
        let (first, second) = (locks.shared("a").unwrap(), locks.shared("a").unwrap());
        assert!(first.is_some() && second.is_some() && locks.exclusive("a").unwrap().is_none());
        drop((first, second));
        let alone = locks.exclusive("a").unwrap().unwrap();
        assert!(locks.shared("a").unwrap().is_none() && locks.shared("b").unwrap().is_some());
        let waits = std::thread::spawn({
            let locks = locks.clone();
            move || locks.wait_exclusive("a").unwrap()
        });
        std::thread::sleep(std::time::Duration::from_millis(30));
        alone.remove();
        let next = waits.join().unwrap();
        assert!(locks.shared("a").unwrap().is_none(), "the one that waited has the file that is there now");
        next.remove();
        assert_eq!(locks.names().unwrap(), ["b"]);
    }
}
