//! The temporary folder of a checkout: gone with the workspace that holds it, and swept where its owner was killed.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

/// How the folders' names begin.
const PREFIX: &str = "argon-checkout-";

/// A folder is locked right after it is made. One that is younger than this may not be yet.
const SETTLED: Duration = Duration::from_secs(60);

/// A folder of this process's, locked for as long as it lives: the kernel drops the lock of who was killed.
#[derive(Debug)]
pub(in crate::source) struct Scratch {
    folder: TempDir,
    #[allow(dead_code, reason = "it is kept for its lock")]
    lock: File,
}

impl Scratch {
    /// Makes one, and removes those that killed processes left beside it.
    pub(in crate::source) fn make() -> io::Result<Self> {
        let beside = std::env::temp_dir();
        sweep(&beside);
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(beside)?;
        let lock = File::open(folder.path())?;
        flock(&lock, FlockOperation::LockExclusive)?;
        Ok(Self { folder, lock })
    }

    pub(in crate::source) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes the folders that nobody holds. What cannot be looked at or removed is another user's, or another's to say.
fn sweep(beside: &Path) {
    let entries = fs::read_dir(beside).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)) {
        if is_abandoned(&entry).unwrap_or(false) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn is_abandoned(entry: &fs::DirEntry) -> io::Result<bool> {
    let age = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
    // A link of that name leads to what is not ours.
    Ok(entry.file_type()?.is_dir()
        && age > SETTLED
        && flock(&File::open(entry.path())?, FlockOperation::NonBlockingLockExclusive).is_ok())
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn what_a_killed_process_left_is_swept_and_what_is_held_or_young_stays() {
        let beside = tempfile::tempdir().unwrap();
        let make = |name: &str, age: u64| {
            let path = beside.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::write(path.join("file"), "").unwrap();
            let folder = File::open(&path).unwrap();
            folder.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
            folder
        };
        drop(make("argon-checkout-left", 3600));
        drop(make("argon-checkout-young", 1));
        drop(make("another", 3600));
        let held = make("argon-checkout-held", 3600);
        flock(&held, FlockOperation::LockExclusive).unwrap();
        sweep(beside.path());
        let mut names: Vec<_> = fs::read_dir(beside.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["another", "argon-checkout-held", "argon-checkout-young"]);
    }
}
