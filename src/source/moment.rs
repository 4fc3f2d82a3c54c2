//! A large tree as it is at one moment: what becomes of its files from then on reaches nobody who reads it.
//!
//! What a snapshot is known to hold is not read again, which is most of a tree; the rest is read at once into one file that has
//! no name, so it is gone with the process, whatever way that ends.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use super::listing::{Found, Frozen, Listing, Origin, is_gone, look, mtime, on_disk, regular, shown};
use super::snapshot::{Manifest, Stat};
use super::{SourceError, Workspace};

/// What is read and written at once.
const BUFFER: usize = 256 * 1024;

/// A file of the tree, as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taken {
    spool: Spool,
    at: u64,
    pub(super) length: u64,
    pub(super) mode: u32,
    pub(super) mtime: i64,
    pub(super) stat: Option<Stat>,
    pub(super) hash: [u8; 32],
}

/// The file that has the content of many.
#[derive(Debug, Clone)]
struct Spool(Arc<File>);

impl PartialEq for Spool {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Spool {}

impl Taken {
    /// Its content. Any number may read at once.
    pub(super) fn reader(&self) -> impl Read {
        Part { file: self.spool.0.clone(), at: self.at, left: self.length }
    }
}

struct Part {
    file: Arc<File>,
    at: u64,
    left: u64,
}

impl Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(&mut buffer[..room], self.at)?;
        self.at += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

impl Workspace {
    /// The workspace as it is now. The files that each of `known` has just so are not read; without any, all are. `folder` has
    /// room for their content.
    ///
    /// A checkout is of nobody else, and nothing of it changes: for it there is no such moment.
    ///
    /// # Errors
    /// Where a file cannot be read, or the folder not be written to; [`SourceError::Interrupted`] soon after `interrupt` is true.
    pub fn at_this_moment(
        &self,
        known: &[&Manifest],
        folder: &Path,
        interrupt: &AtomicBool,
    ) -> Result<Option<Self>, SourceError> {
        if self.checkout.is_some() {
            return Ok(None);
        }
        let failed = |source| unkept(folder, source);
        std::fs::create_dir_all(folder).map_err(failed)?;
        let file = Arc::new(tempfile::tempfile_in(folder).map_err(failed)?);
        let mut reel = Reel {
            known,
            folder,
            interrupt,
            spool: Spool(file.clone()),
            out: BufWriter::with_capacity(BUFFER, &*file),
            at: 0,
            buffer: vec![0; BUFFER],
            warnings: Vec::new(),
        };
        let mut listing = Listing::default();
        for (path, origin) in self.listing.iter() {
            let now = match origin {
                Origin::Tree => reel.take(&on_disk(&self.root, path), path)?,
                other => Some((other.clone(), 0)),
            };
            match now {
                Some((origin, bytes)) => listing.add(path.to_vec(), origin, bytes),
                None => {
                    reel.warnings
                        .push(format!("{} is left out: it vanished while the workspace was read", shown(path)));
                }
            }
        }
        let warnings = reel.end()?;
        let (info, root) = (self.info.clone(), self.root.clone());
        Ok(Some(Self { info, root, warnings, listing, since: None, compared: OnceLock::new(), checkout: None }))
    }
}

/// The spool while it is written.
struct Reel<'w> {
    known: &'w [&'w Manifest],
    folder: &'w Path,
    interrupt: &'w AtomicBool,
    spool: Spool,
    out: BufWriter<&'w File>,
    at: u64,
    buffer: Vec<u8>,
    warnings: Vec<String>,
}

impl Reel<'_> {
    /// What is at a path now, and its bytes; nothing where nothing is any more.
    fn take(&mut self, disk: &Path, path: &[u8]) -> Result<Option<(Origin, u64)>, SourceError> {
        let Found::Leaf(metadata) = look(disk)? else { return Ok(None) };
        if metadata.is_symlink() {
            return match disk.read_link() {
                Ok(target) => {
                    let (mtime, target) = (mtime(&metadata), target.into_os_string().into_vec());
                    Ok(Some((Origin::Frozen(Frozen::Symlink { mtime, target }), 0)))
                }
                Err(error) if is_gone(&error) || error.kind() == io::ErrorKind::InvalidInput => Ok(None),
                Err(error) => Err(unread(disk, error)),
            };
        }
        let stat = Stat::of(&metadata);
        if !self.known.is_empty() && self.known.iter().all(|manifest| manifest.has_file(path, stat)) {
            return Ok(Some((Origin::Known(stat), metadata.len())));
        }
        let failed = |error| unread(disk, error);
        let Some(file) = regular(disk).map_err(failed)? else { return Ok(None) };
        let now = SystemTime::now();
        let before = file.metadata().map_err(failed)?;
        let (length, hash) = self.copy(&file, disk)?;
        let is_whole = Stat::of(&file.metadata().map_err(failed)?) == Stat::of(&before);
        if !is_whole {
            self.warnings.push(format!("{} changed while it was read", shown(path)));
        }
        let taken = Taken {
            spool: self.spool.clone(),
            at: self.at,
            length,
            mode: before.permissions().mode() & 0o777,
            mtime: before.mtime(),
            stat: Stat::settled(&before, now).filter(|_| is_whole),
            hash,
        };
        self.at += length;
        Ok(Some((Origin::Taken(taken), length)))
    }

    /// Takes the content of a file in; gives how much it is, and its hash.
    fn copy(&mut self, mut file: &File, disk: &Path) -> Result<(u64, [u8; 32]), SourceError> {
        let (mut hasher, mut length) = (blake3::Hasher::new(), 0);
        loop {
            if self.interrupt.load(Ordering::Relaxed) {
                return Err(SourceError::Interrupted);
            }
            match file.read(&mut self.buffer) {
                Ok(0) => return Ok((length, *hasher.finalize().as_bytes())),
                Ok(count) => {
                    hasher.update(&self.buffer[..count]);
                    self.out.write_all(&self.buffer[..count]).map_err(|source| unkept(self.folder, source))?;
                    length += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unread(disk, error)),
            }
        }
    }

    fn end(mut self) -> Result<Vec<String>, SourceError> {
        self.out.flush().map_err(|source| unkept(self.folder, source))?;
        Ok(self.warnings)
    }
}

fn unread(disk: &Path, source: io::Error) -> SourceError {
    SourceError::Read { path: disk.to_owned(), source }
}

fn unkept(folder: &Path, source: io::Error) -> SourceError {
    SourceError::Keep { folder: folder.to_owned(), source }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::source::{Owner, SourceRequest, TarOptions, Top, open};

    /// Name and content of each file in the tar of a workspace.
    fn tar_of(workspace: &Workspace) -> Vec<(String, String)> {
        let options = TarOptions { prefix: String::new(), owner: Owner::default(), include_top: Top::Omit };
        let mut bytes = Vec::new();
        workspace.write_tar(&mut bytes, &options).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            (entry.path().unwrap().display().to_string(), content)
        });
        entries.filter(|(name, _)| name.starts_with("file-")).collect()
    }

    #[test]
    fn what_becomes_of_a_large_tree_after_the_moment_is_not_seen() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        std::fs::create_dir(&tree).unwrap();
        for number in 0..500 {
            std::fs::write(tree.join(format!("file-{number:03}")), format!("{number}")).unwrap();
        }
        let workspace = open(&SourceRequest::WorkingTree { folder: tree.clone() }).unwrap();
        let before = tar_of(&workspace);
        let none = AtomicBool::new(false);
        let moment = workspace.at_this_moment(&[], folder.path(), &none).unwrap().unwrap();
        std::fs::write(tree.join("file-001"), "edited").unwrap();
        std::fs::remove_file(tree.join("file-002")).unwrap();
        // The control: without the moment, the edit is seen.
        assert_ne!(tar_of(&workspace), before);
        assert_eq!(tar_of(&moment), before);
        // A snapshot of it and a comparison with that see no edit either.
        let (_, manifest) = moment.write_snapshot(io::sink(), Owner::default()).unwrap();
        assert_eq!(moment.compare_with_snapshot(&manifest).unwrap(), crate::source::Delta::default());
        assert_eq!(workspace.compare_with_snapshot(&manifest).unwrap().files, 1);
        let stopped = workspace.at_this_moment(&[], folder.path(), &AtomicBool::new(true));
        assert!(matches!(stopped, Err(SourceError::Interrupted)), "{stopped:?}");
    }

    #[test]
    fn what_a_snapshot_holds_is_not_read_and_what_differs_is() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        std::fs::create_dir(&tree).unwrap();
        for number in 0..500 {
            let path = tree.join(format!("file-{number:03}"));
            std::fs::write(&path, format!("{number}")).unwrap();
        }
        // Past git's racy second.
        std::thread::sleep(std::time::Duration::from_millis(2100));
        let request = SourceRequest::WorkingTree { folder: tree.clone() };
        let none = AtomicBool::new(false);
        let first = open(&request).unwrap().at_this_moment(&[], folder.path(), &none).unwrap().unwrap();
        let (_, manifest) = first.write_snapshot(io::sink(), Owner::default()).unwrap();
        std::fs::write(tree.join("file-003"), "edited").unwrap();
        let second = open(&request).unwrap().at_this_moment(&[&manifest], folder.path(), &none).unwrap().unwrap();
        let known = second.listing.iter().filter(|(_, origin)| matches!(origin, Origin::Known(_))).count();
        assert_eq!(known, 499);
        std::fs::write(tree.join("file-003"), "edited again").unwrap();
        let delta = second.compare_with_snapshot(&manifest).unwrap();
        assert_eq!((delta.files, delta.bytes), (1, "edited".len() as u64));
    }
}
