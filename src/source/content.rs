//! What `hash(…)` asks of the workspace: one hash over the files that match.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::listing::{Found, Frozen, Origin, is_gone, look, on_disk, regular};
use super::moment::Taken;
use super::{SourceError, Workspace};

/// What is read of a file at once.
const BUFFER: usize = 64 * 1024;

/// The largest text that is read whole.
const TEXT_LIMIT: u64 = 1024 * 1024;

/// What an entry is, as its hash has it.
#[derive(Clone, Copy)]
enum Kind {
    File = 0,
    Executable = 1,
    Symlink = 2,
}

impl Workspace {
    /// The BLAKE3 of all files whose paths are `wanted`, as 64 hex digits; `None` where there is none.
    ///
    /// Of each file, in the order of their paths' bytes: the path's length (8 bytes, little endian) and the path, one byte for
    /// its kind (0 file, 1 executable file, 2 symlink), the content's length (8 bytes) and the content; of a symlink that is
    /// its target. So it says the same on every machine, and neither owner nor time counts. Paths that are not UTF-8 are
    /// asked for with `U+FFFD` in them.
    ///
    /// # Errors
    /// Where a file cannot be read. One that vanished since the source was opened is left out.
    pub fn hash_files(&self, wanted: &dyn Fn(&str) -> bool) -> Result<Option<String>, SourceError> {
        let mut hasher = blake3::Hasher::new();
        let mut any = false;
        for (path, origin) in self.listing.iter() {
            if !origin.is_of_tree() || !wanted(&String::from_utf8_lossy(path)) {
                continue;
            }
            any |= match origin {
                Origin::Frozen(frozen) => frozen_entry(&mut hasher, path, frozen),
                Origin::Taken(taken) => taken_entry(&mut hasher, path, taken)?,
                _ => entry(&mut hasher, path, &on_disk(&self.root, path))?,
            };
        }
        Ok(any.then(|| hasher.finalize().to_hex().to_string()))
    }
}

impl Workspace {
    /// A digest of each file whose path is `wanted`, by its path: of its kind and content, as [`hash_files`](Self::hash_files)
    /// has them.
    ///
    /// # Errors
    /// Where a file cannot be read. One that vanished since the source was opened is left out.
    pub fn hash_each(&self, wanted: &dyn Fn(&str) -> bool) -> Result<BTreeMap<String, String>, SourceError> {
        let mut hashes = BTreeMap::new();
        for (path, origin) in self.listing.iter() {
            let name = String::from_utf8_lossy(path);
            let mut hasher = blake3::Hasher::new();
            let is_there = match origin {
                _ if !wanted(&name) => false,
                Origin::Frozen(frozen) => frozen_entry(&mut hasher, path, frozen),
                Origin::Taken(taken) => taken_entry(&mut hasher, path, taken)?,
                Origin::Tree | Origin::Known(_) => entry(&mut hasher, path, &on_disk(&self.root, path))?,
                Origin::Directory | Origin::File(_) | Origin::Bytes(_) => false,
            };
            if is_there {
                hashes.insert(name.into_owned(), hasher.finalize().to_hex()[..32].to_owned());
            }
        }
        Ok(hashes)
    }
}

impl Workspace {
    /// A text file of the tree, as the run sees it; `None` where there is none. What is not UTF-8 comes as `U+FFFD`.
    ///
    /// # Errors
    /// Where it cannot be read, or is larger than 1 MiB.
    pub fn text(&self, path: &str) -> Result<Option<String>, SourceError> {
        let disk = on_disk(&self.root, path.as_bytes());
        let failed = |source| SourceError::Read { path: disk.clone(), source };
        let mut bytes = Vec::new();
        match self.listing.get(path.as_bytes()) {
            Some(Origin::Frozen(Frozen::File { bytes: frozen, .. })) => bytes.clone_from(frozen),
            Some(Origin::Taken(taken)) => {
                taken.reader().take(TEXT_LIMIT + 1).read_to_end(&mut bytes).map_err(failed).map(|_| ())?;
            }
            Some(Origin::Tree | Origin::Known(_)) => match regular(&disk).map_err(failed)? {
                Some(file) => file.take(TEXT_LIMIT + 1).read_to_end(&mut bytes).map_err(failed).map(|_| ())?,
                None => return Ok(None),
            },
            _ => return Ok(None),
        }
        if bytes.len() as u64 > TEXT_LIMIT {
            return Err(failed(io::Error::other("it is larger than 1 MiB")));
        }
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Whether there is a folder at the path; the empty path is the top.
    #[must_use]
    pub fn has_folder(&self, path: &str) -> bool {
        path.is_empty() || self.listing.is_directory(path.as_bytes())
    }
}

/// Takes one file in. False where it is no longer there.
fn entry(hasher: &mut blake3::Hasher, path: &[u8], disk: &Path) -> Result<bool, SourceError> {
    let failed = |source| SourceError::Read { path: disk.to_owned(), source };
    let (kind, content) = match look(disk)? {
        Found::Leaf(metadata) if metadata.is_symlink() => match disk.read_link() {
            Ok(target) => (Kind::Symlink, Content::Bytes(target.as_os_str().as_bytes().to_vec())),
            Err(error) if is_gone(&error) => return Ok(false),
            Err(source) => return Err(failed(source)),
        },
        Found::Leaf(metadata) => {
            let kind = if metadata.permissions().mode() & 0o100 != 0 { Kind::Executable } else { Kind::File };
            match regular(disk).map_err(failed)? {
                Some(file) => (kind, Content::File(file)),
                None => return Ok(false),
            }
        }
        Found::Nothing | Found::Directory | Found::Special(_) => return Ok(false),
    };
    head(hasher, path, kind);
    content.hash(hasher).map_err(failed)?;
    Ok(true)
}

fn head(hasher: &mut blake3::Hasher, path: &[u8], kind: Kind) {
    hasher.update(&(path.len() as u64).to_le_bytes());
    hasher.update(path);
    hasher.update(&[kind as u8]);
}

fn frozen_entry(hasher: &mut blake3::Hasher, path: &[u8], frozen: &Frozen) -> bool {
    let (kind, content) = match frozen {
        Frozen::File { mode, bytes, .. } if mode & 0o100 != 0 => (Kind::Executable, bytes),
        Frozen::File { bytes, .. } => (Kind::File, bytes),
        Frozen::Symlink { target, .. } => (Kind::Symlink, target),
    };
    head(hasher, path, kind);
    hasher.update(&(content.len() as u64).to_le_bytes());
    hasher.update(content);
    true
}

fn taken_entry(hasher: &mut blake3::Hasher, path: &[u8], taken: &Taken) -> Result<bool, SourceError> {
    head(hasher, path, if taken.mode & 0o100 != 0 { Kind::Executable } else { Kind::File });
    hasher.update(&taken.length.to_le_bytes());
    let failed = |source| SourceError::Read { path: OsStr::from_bytes(path).into(), source };
    hasher.update_reader(taken.reader()).map_err(failed)?;
    Ok(true)
}

/// The BLAKE3 of a regular file; `None` where there is none any more.
pub(super) fn hash_file(disk: &Path) -> io::Result<Option<[u8; 32]>> {
    let Some(mut file) = regular(disk)? else { return Ok(None) };
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(Some(*hasher.finalize().as_bytes())),
            Ok(count) => {
                hasher.update(&buffer[..count]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

enum Content {
    Bytes(Vec<u8>),
    File(File),
}

impl Content {
    /// The length goes in front. A file that changes while it is read is taken to the length that it had.
    fn hash(self, hasher: &mut blake3::Hasher) -> io::Result<()> {
        match self {
            Self::Bytes(bytes) => {
                hasher.update(&(bytes.len() as u64).to_le_bytes());
                hasher.update(&bytes);
            }
            Self::File(file) => {
                let length = file.metadata()?.len();
                hasher.update(&length.to_le_bytes());
                let mut rest = file.take(length);
                let mut buffer = vec![0; BUFFER];
                loop {
                    match rest.read(&mut buffer) {
                        Ok(0) => break,
                        Ok(count) => hasher.update(&buffer[..count]),
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                        Err(error) => return Err(error),
                    };
                }
            }
        }
        Ok(())
    }
}
