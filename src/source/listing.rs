//! The entries of a workspace: what goes into the tar, and where each comes from.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::SourceError;
use super::moment::Taken;
use super::snapshot::Stat;

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
    /// A file of the tree that was so when the run began, and that the snapshot is known to hold: it is not read.
    Known(Stat),
    /// A file of the tree, as it was when the run began.
    Taken(Taken),
    /// A file elsewhere on disk, read when streamed.
    File(PathBuf),
    /// A file or symlink of the tree, as it was when the source was opened.
    Frozen(Frozen),
    /// Bytes that were taken when the source was opened, because they may change while jobs run.
    Bytes(Vec<u8>),
}

impl Origin {
    /// Whether it is a file or symlink of the tree: what the tree holds, and not what was made to go with it.
    pub(super) fn is_of_tree(&self) -> bool {
        matches!(self, Self::Tree | Self::Frozen(_) | Self::Known(_) | Self::Taken(_))
    }
}

/// What was at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frozen {
    File { mode: u32, mtime: u64, bytes: Vec<u8> },
    Symlink { mtime: u64, target: Vec<u8> },
}

impl Frozen {
    /// Reads it; `None` where it is gone by now, or no longer a file.
    fn take(disk: &Path) -> Result<Option<Self>, SourceError> {
        let failed = |source| SourceError::Read { path: disk.to_owned(), source };
        let Found::Leaf(metadata) = look(disk)? else { return Ok(None) };
        let mtime = mtime(&metadata);
        let read = if metadata.is_symlink() {
            disk.read_link().map(|target| Self::Symlink { mtime, target: target.into_os_string().into_vec() })
        } else {
            let mode = metadata.permissions().mode() & 0o777;
            regular(disk).and_then(|file| {
                let mut bytes = Vec::new();
                match file {
                    Some(mut file) => file.read_to_end(&mut bytes).map(|_| Self::File { mode, mtime, bytes }),
                    None => Err(std::io::ErrorKind::NotFound.into()),
                }
            })
        };
        match read {
            Ok(frozen) => Ok(Some(frozen)),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }
}

/// A file's time as a tar has it.
pub(super) fn mtime(metadata: &Metadata) -> u64 {
    u64::try_from(metadata.mtime()).unwrap_or(0)
}

/// Opens a file that may have become a symlink or a FIFO since it was looked at: neither is followed, neither can block.
pub(super) fn regular(disk: &Path) -> std::io::Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::open(disk, flags, Mode::empty()).map_err(std::io::Error::from) {
        Ok(file) => {
            let file = File::from(file);
            Ok(file.metadata()?.is_file().then_some(file))
        }
        Err(error) if is_gone(&error) || error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
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

    /// What is at the path.
    pub(super) fn get(&self, path: &[u8]) -> Option<&Origin> {
        self.entries.get(path)
    }

    /// Whether something is at the path.
    pub(super) fn has(&self, path: &[u8]) -> bool {
        self.entries.contains_key(path)
    }

    /// Whether a directory is at the path.
    pub(super) fn is_directory(&self, path: &[u8]) -> bool {
        self.entries.get(path) == Some(&Origin::Directory)
    }

    /// Reads the files of the tree: what becomes of them from here on is not seen any more. Gives those that are gone.
    pub(super) fn freeze(&mut self, root: &Path) -> Result<Vec<Vec<u8>>, SourceError> {
        let mut gone = Vec::new();
        for (path, origin) in &mut self.entries {
            if *origin == Origin::Tree {
                match Frozen::take(&on_disk(root, path))? {
                    Some(frozen) => *origin = Origin::Frozen(frozen),
                    None => gone.push(path.clone()),
                }
            }
        }
        for path in &gone {
            self.entries.remove(path);
        }
        Ok(gone)
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

/// Whether the path is this folder or something in it.
pub(super) fn is_in(path: &[u8], folder: &[u8]) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// `path` below `prefix`, which is empty or ends in `/`.
pub(super) fn below(prefix: &[u8], path: &[u8]) -> Vec<u8> {
    [prefix, path].concat()
}

/// The path for people: what is not UTF-8 or not printable is escaped.
pub(super) fn shown(path: &[u8]) -> String {
    path.escape_ascii().to_string()
}
