//! The entries of a workspace: what goes into the tar, and where each comes from.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use super::SourceError;

/// How much a workspace holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Files and symlinks, those of `.git` included.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
}

/// Where the bytes of an entry come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// A directory, made by its path alone.
    Directory,
    /// A file or symlink at the same path below the workspace's root, read when streamed.
    Tree,
    /// A file elsewhere on disk, read when streamed.
    File(PathBuf),
    /// Bytes that were taken when the source was opened, because they may change while jobs run.
    Bytes(Vec<u8>),
}

/// All entries by path (bytes, `/` between parts, relative to the root). In path order a directory comes before what is in it.
#[derive(Debug, Default)]
pub(super) struct Listing {
    entries: BTreeMap<Vec<u8>, Origin>,
    size: Size,
}

impl Listing {
    /// Adds an entry and the directories above it. The first of two entries of one path stays.
    pub(super) fn add(&mut self, path: Vec<u8>, origin: Origin, bytes: u64) {
        if self.entries.contains_key(&path) {
            return;
        }
        self.add_parents(&path);
        if origin != Origin::Directory {
            self.size.files += 1;
            self.size.bytes += bytes;
        }
        self.entries.insert(path, origin);
    }

    pub(super) fn add_bytes(&mut self, path: Vec<u8>, bytes: Vec<u8>) {
        let length = bytes.len() as u64;
        self.add(path, Origin::Bytes(bytes), length);
    }

    fn add_parents(&mut self, path: &[u8]) {
        let mut end = path.len();
        while let Some(slash) = memchr::memrchr(b'/', &path[..end]) {
            let parent = &path[..slash];
            if self.entries.contains_key(parent) {
                return;
            }
            self.entries.insert(parent.to_vec(), Origin::Directory);
            end = slash;
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &Origin)> {
        self.entries.iter().map(|(path, origin)| (path.as_slice(), origin))
    }

    /// Whether something is at the path.
    pub(super) fn has(&self, path: &[u8]) -> bool {
        self.entries.contains_key(path)
    }

    /// Whether a directory is at the path.
    pub(super) fn is_directory(&self, path: &[u8]) -> bool {
        self.entries.get(path) == Some(&Origin::Directory)
    }

    pub(super) fn size(&self) -> Size {
        self.size
    }
}

/// What `lstat` found at a path.
pub(super) enum Found {
    /// Nothing, or no longer.
    Nothing,
    /// A regular file or a symlink.
    Leaf(Metadata),
    /// A directory.
    Directory,
    /// A FIFO, socket or device: the word for it.
    Special(&'static str),
}

/// Looks at a path without following a symlink in its last part.
pub(super) fn look(path: &Path) -> Result<Found, SourceError> {
    let metadata = match path.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(error) if is_gone(&error) => return Ok(Found::Nothing),
        Err(source) => {
            return Err(SourceError::Read { path: path.to_owned(), source });
        }
    };
    let kind = metadata.file_type();
    Ok(if kind.is_file() || kind.is_symlink() {
        Found::Leaf(metadata)
    } else if kind.is_dir() {
        Found::Directory
    } else if kind.is_fifo() {
        Found::Special("a FIFO")
    } else if kind.is_socket() {
        Found::Special("a socket")
    } else {
        Found::Special("a device")
    })
}

/// Whether the error says that nothing is at the path: also where a folder above it became a file.
pub(super) fn is_gone(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

/// The path on disk of an entry.
pub(super) fn on_disk(root: &Path, path: &[u8]) -> PathBuf {
    root.join(OsStr::from_bytes(path))
}

/// `path` below `prefix`, which is empty or ends in `/`.
pub(super) fn below(prefix: &[u8], path: &[u8]) -> Vec<u8> {
    [prefix, path].concat()
}

/// The path for people: what is not UTF-8 or not printable is escaped.
pub(super) fn shown(path: &[u8]) -> String {
    path.escape_ascii().to_string()
}
