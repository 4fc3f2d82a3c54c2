//! What `hash(…)` and `inputs` ask of the workspace: a hash over the files that match, or of each.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use memchr::memmem::Finder;

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

/// What a file of the tree holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDigest {
    /// Of its path, kind, permissions and content.
    pub hash: String,
    /// The names in it that begin as was asked.
    pub mentions: BTreeSet<String>,
}

/// What tells that a file of the tree was not written to meanwhile: its stat data; none where it was read when the source was
/// opened, or is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace(Option<Seen>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    size: u64,
    inode: u64,
    mode: u32,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Workspace {
    /// The files and symlinks of the tree, by their paths.
    pub fn tree(&self) -> impl Iterator<Item = &[u8]> {
        self.listing.iter().filter(|(_, origin)| origin.is_of_tree()).map(|(path, _)| path)
    }

    /// What a file of the tree holds, and which names in it begin with `prefix`; `None` where it vanished since the source was
    /// opened. Unlike in [`hash_files`](Self::hash_files), all of its permissions count: a container sees them.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn digest(&self, path: &[u8], prefix: &str) -> Result<Option<FileDigest>, SourceError> {
        let mut sink = Sink { hasher: blake3::Hasher::new(), names: Names::new(prefix) };
        let disk = on_disk(&self.root, path);
        let mode = match self.listing.get(path) {
            Some(Origin::Frozen(frozen)) => {
                frozen_entry(&mut sink, path, frozen);
                match frozen {
                    Frozen::File { mode, .. } => *mode,
                    Frozen::Symlink { .. } => 0,
                }
            }
            Some(Origin::Taken(taken)) => {
                taken_entry(&mut sink, path, taken)?;
                taken.mode & 0o777
            }
            Some(Origin::Tree | Origin::Known(_)) => {
                let Found::Leaf(metadata) = look(&disk)? else { return Ok(None) };
                if !entry(&mut sink, path, &disk)? {
                    return Ok(None);
                }
                if metadata.is_symlink() { 0 } else { metadata.permissions().mode() & 0o777 }
            }
            _ => return Ok(None),
        };
        sink.hasher.update(&mode.to_le_bytes());
        let hash = sink.hasher.finalize().to_hex()[..32].to_owned();
        Ok(Some(FileDigest { hash, mentions: sink.names.finish() }))
    }

    /// What a later look can be compared with.
    #[must_use]
    pub fn trace(&self, path: &[u8]) -> Trace {
        if !matches!(self.listing.get(path), Some(Origin::Tree | Origin::Known(_))) {
            return Trace(None);
        }
        Trace(on_disk(&self.root, path).symlink_metadata().ok().map(|now| Seen {
            size: now.len(),
            inode: now.ino(),
            mode: now.mode(),
            modified: (now.mtime(), now.mtime_nsec()),
            changed: (now.ctime(), now.ctime_nsec()),
        }))
    }
}

/// Where the bytes of an entry go.
trait Takes {
    fn take(&mut self, bytes: &[u8]);
    /// As [`take`](Self::take), of what is content.
    fn take_content(&mut self, bytes: &[u8]) {
        self.take(bytes);
    }
}

impl Takes for blake3::Hasher {
    fn take(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }
}

/// A hash, and the names that are looked for on the way.
struct Sink {
    hasher: blake3::Hasher,
    names: Names,
}

impl Takes for Sink {
    fn take(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    fn take_content(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.names.take(bytes);
    }
}

/// The longest name that is looked for.
const LONGEST_NAME: usize = 64;

/// The names that begin so, in bytes that come in pieces.
struct Names {
    finder: Finder<'static>,
    prefix: usize,
    /// The end of what came, which a name may go on from.
    tail: Vec<u8>,
    found: BTreeSet<String>,
}

impl Names {
    fn new(prefix: &str) -> Self {
        let finder = Finder::new(prefix.as_bytes()).into_owned();
        Self { finder, prefix: prefix.len(), tail: Vec::new(), found: BTreeSet::new() }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        self.look(false);
        let surplus = self.tail.len().saturating_sub(LONGEST_NAME);
        self.tail.drain(..surplus);
    }

    fn look(&mut self, is_end: bool) {
        let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        for start in self.finder.find_iter(&self.tail) {
            let rest = &self.tail[start..];
            let length = rest.iter().take(LONGEST_NAME).take_while(|byte| is_of_name(byte)).count();
            if length > self.prefix && (is_end || length < rest.len()) {
                self.found.insert(String::from_utf8_lossy(&rest[..length]).into_owned());
            }
        }
    }

    fn finish(mut self) -> BTreeSet<String> {
        self.look(true);
        self.found
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
fn entry(hasher: &mut dyn Takes, path: &[u8], disk: &Path) -> Result<bool, SourceError> {
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

fn head(hasher: &mut dyn Takes, path: &[u8], kind: Kind) {
    hasher.take(&(path.len() as u64).to_le_bytes());
    hasher.take(path);
    hasher.take(&[kind as u8]);
}

fn frozen_entry(hasher: &mut dyn Takes, path: &[u8], frozen: &Frozen) -> bool {
    let (kind, content) = match frozen {
        Frozen::File { mode, bytes, .. } if mode & 0o100 != 0 => (Kind::Executable, bytes),
        Frozen::File { bytes, .. } => (Kind::File, bytes),
        Frozen::Symlink { target, .. } => (Kind::Symlink, target),
    };
    head(hasher, path, kind);
    hasher.take(&(content.len() as u64).to_le_bytes());
    hasher.take_content(content);
    true
}

fn taken_entry(hasher: &mut impl Takes, path: &[u8], taken: &Taken) -> Result<bool, SourceError> {
    head(hasher, path, if taken.mode & 0o100 != 0 { Kind::Executable } else { Kind::File });
    hasher.take(&taken.length.to_le_bytes());
    let failed = |source| SourceError::Read { path: OsStr::from_bytes(path).into(), source };
    let (mut reader, mut buffer) = (taken.reader(), vec![0; BUFFER]);
    loop {
        match reader.read(&mut buffer).map_err(failed)? {
            0 => return Ok(true),
            count => hasher.take_content(&buffer[..count]),
        }
    }
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
    fn hash(self, hasher: &mut dyn Takes) -> io::Result<()> {
        match self {
            Self::Bytes(bytes) => {
                hasher.take(&(bytes.len() as u64).to_le_bytes());
                hasher.take_content(&bytes);
            }
            Self::File(file) => {
                let length = file.metadata()?.len();
                hasher.take(&length.to_le_bytes());
                let mut rest = file.take(length);
                let mut buffer = vec![0; BUFFER];
                loop {
                    match rest.read(&mut buffer) {
                        Ok(0) => break,
                        Ok(count) => hasher.take_content(&buffer[..count]),
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                        Err(error) => return Err(error),
                    };
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_wherever_the_pieces_are_cut() {
        let text = b"echo $ARGON_BRANCH ARGON_ \"${ARGON_COMMIT_MESSAGE}\" MY_ARGON_TAG ARGON_EVENT";
        for cut in 0..text.len() {
            let mut names = Names::new("ARGON_");
            names.take(&text[..cut]);
            names.take(&text[cut..]);
            let found: Vec<String> = names.finish().into_iter().collect();
            assert_eq!(found, ["ARGON_BRANCH", "ARGON_COMMIT_MESSAGE", "ARGON_EVENT", "ARGON_TAG"], "cut at {cut}");
        }
    }
}
