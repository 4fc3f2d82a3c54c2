//! A snapshot of a workspace that is kept elsewhere, and what differs from it: so that a large tree is sent once.
//!
//! A [`Manifest`] says of each path what was sent. What may have changed since is told by stat data (size, times, inode), as
//! git does; where those differ, or the file was written while the snapshot was taken (git's racy rule), its content decides.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::archive::{Archive, Owner, TarOptions, TarSummary, Top};
use super::content::hash_file;
use super::listing::{Found, Frozen, Listing, Origin, look, on_disk};
use super::moment::Taken;
use super::{SourceError, Workspace};

/// The form of a manifest on disk. One of another form is not read.
const FORM: u32 = 1;

/// A file that changed so shortly before it was read may change again without a trace in its times.
const RACY: Duration = Duration::from_secs(1);

/// Where a delta has its files, and where the jobs write.
pub const DELTA_FILES: &str = "files";

/// A mark for what is gone that stands for nothing: whether the engine unpacks such marks can be seen by it.
pub const DELTA_MARK: &str = "mark";

/// Below here each job has a folder by its number, with `upper` and `work`.
pub const DELTA_JOBS: &str = "jobs";

/// What a snapshot holds: each path with what was sent for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    form: u32,
    entries: BTreeMap<Vec<u8>, Entry>,
    bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Entry {
    Directory,
    Symlink { target: Vec<u8> },
    File { mode: u32, mtime: i64, stat: Option<Stat>, hash: [u8; 32] },
}

/// What tells that a file is as it was; none where its times cannot be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stat {
    size: u64,
    inode: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stat {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            size: metadata.len(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// As [`of`](Self::of), but nothing for a file that was written at the moment of `taken`.
    pub(super) fn settled(metadata: &Metadata, taken: SystemTime) -> Option<Self> {
        let since = taken.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let last = metadata.ctime().max(metadata.mtime());
        let settled = since.checked_sub(RACY)?;
        (i64::try_from(settled.as_secs()).is_ok_and(|settled| last < settled)).then(|| Self::of(metadata))
    }
}

/// What differs from a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delta {
    /// New, or other than they were; the folders above them too.
    changed: BTreeSet<Vec<u8>>,
    /// In the snapshot alone; of a folder that is gone, the folder alone.
    gone: BTreeSet<Vec<u8>>,
    /// Files and symlinks among what changed.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
}

/// Whether times are part of what is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Times {
    Count,
    /// A checkout's files are as old as the checkout.
    DoNotCount,
}

impl Delta {
    /// Whether something is in the snapshot alone.
    #[must_use]
    pub fn takes_away(&self) -> bool {
        !self.gone.is_empty()
    }
}

impl Manifest {
    /// Reads what [`to_bytes`](Self::to_bytes) wrote; `None` where it is something else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok().filter(|manifest: &Self| manifest.form == FORM)
    }

    pub(super) fn of_this_form(self) -> Self {
        Self { form: FORM, ..self }
    }

    /// For the disk.
    ///
    /// # Errors
    /// Never in practice: all of it can be written.
    pub fn to_bytes(&self) -> io::Result<Vec<u8>> {
        postcard::to_stdvec(self).map_err(io::Error::other)
    }

    /// Files and symlinks in it.
    #[must_use]
    pub fn files(&self) -> u64 {
        self.entries.values().filter(|entry| **entry != Entry::Directory).count() as u64
    }

    /// Bytes in its files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn add_file(&mut self, path: &[u8], metadata: &Metadata, taken: SystemTime, hash: [u8; 32]) {
        let mode = metadata.permissions().mode() & 0o777;
        self.bytes += metadata.len();
        let stat = Stat::settled(metadata, taken);
        self.entries.insert(path.to_vec(), Entry::File { mode, mtime: metadata.mtime(), stat, hash });
    }

    pub(super) fn add_taken(&mut self, path: &[u8], taken: &Taken) {
        self.bytes += taken.length;
        self.entries.insert(path.to_vec(), of_taken(taken));
    }

    /// Whether it has a file just so.
    pub(super) fn has_file(&self, path: &[u8], now: Stat) -> bool {
        matches!(self.entries.get(path), Some(Entry::File { stat: Some(stat), .. }) if *stat == now)
    }

    pub(super) fn add_bytes(&mut self, path: &[u8], bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.entries.insert(path.to_vec(), of_bytes(bytes));
    }

    pub(super) fn add_frozen(&mut self, path: &[u8], mode: u32, mtime: u64, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.entries.insert(path.to_vec(), of_frozen(mode, mtime, bytes));
    }

    pub(super) fn add_symlink(&mut self, path: &[u8], target: &[u8]) {
        self.entries.insert(path.to_vec(), Entry::Symlink { target: target.to_vec() });
    }

    pub(super) fn add_directory(&mut self, path: &[u8]) {
        self.entries.insert(path.to_vec(), Entry::Directory);
    }
}

fn of_frozen(mode: u32, mtime: u64, bytes: &[u8]) -> Entry {
    let mtime = i64::try_from(mtime).unwrap_or(i64::MAX);
    Entry::File { mode, mtime, stat: None, hash: *blake3::hash(bytes).as_bytes() }
}

fn of_taken(taken: &Taken) -> Entry {
    Entry::File { mode: taken.mode, mtime: taken.mtime, stat: taken.stat, hash: taken.hash }
}

fn of_bytes(bytes: &[u8]) -> Entry {
    Entry::File { mode: 0o644, mtime: 0, stat: None, hash: *blake3::hash(bytes).as_bytes() }
}

impl Workspace {
    /// Writes all of the workspace as a tar without its top, and says what went into it. A file that changes while it is read
    /// is in the tar and not in the manifest, so that a comparison finds it.
    ///
    /// # Errors
    /// Where a file cannot be read, or the tar not be written.
    pub fn write_snapshot<W: Write>(&self, w: W, owner: Owner) -> Result<(TarSummary, Manifest), SourceError> {
        let options = TarOptions { prefix: String::new(), owner, include_top: Top::Include };
        let mut archive = Archive::new(w, &options);
        archive.record(Manifest::default().of_this_form());
        archive.top()?;
        for (path, origin) in self.listing.iter() {
            archive.entry(&self.root, path, origin)?;
        }
        archive.finish_recorded()
    }

    /// What differs between a snapshot and the workspace as it is now.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn compare_with_snapshot(&self, base: &Manifest) -> Result<Delta, SourceError> {
        let times = if self.checkout.is_some() { Times::DoNotCount } else { Times::Count };
        let mut delta = Delta::default();
        for (path, origin) in self.listing.iter() {
            if let Some(bytes) = self.differs(path, origin, base.entries.get(path), times)? {
                add_with_parents(&mut delta.changed, path);
                if let Some(bytes) = bytes {
                    delta.files += 1;
                    delta.bytes += bytes;
                }
            }
        }
        delta.gone = gone(base, &self.listing);
        for path in &delta.gone {
            add_parents(&mut delta.changed, path);
        }
        Ok(delta)
    }

    /// Whether a path is other than the snapshot has it: `Some` with its bytes, where it has any.
    fn differs(
        &self,
        path: &[u8],
        origin: &Origin,
        was: Option<&Entry>,
        times: Times,
    ) -> Result<Option<Option<u64>>, SourceError> {
        let disk = match origin {
            Origin::Directory => return Ok((was != Some(&Entry::Directory)).then_some(None)),
            Origin::Bytes(bytes) => {
                return Ok((was != Some(&of_bytes(bytes))).then_some(Some(bytes.len() as u64)));
            }
            Origin::Frozen(frozen) => return Ok(self.frozen_differs(frozen, was)),
            Origin::Known(stat) => {
                let is_same = matches!(was, Some(Entry::File { stat: Some(was), .. }) if was == stat);
                return Ok((!is_same).then_some(Some(stat.size)));
            }
            Origin::Taken(taken) => {
                let is_same = matches!(was, Some(Entry::File { mode, mtime, hash, .. })
                    if (mode, hash) == (&taken.mode, &taken.hash) && (times == Times::DoNotCount || *mtime == taken.mtime));
                return Ok((!is_same).then_some(Some(taken.length)));
            }
            Origin::Tree => on_disk(&self.root, path),
            Origin::File(disk) => disk.clone(),
        };
        let Found::Leaf(metadata) = look(&disk)? else {
            // It vanished since it was listed; the tar leaves it out, and so it must not shine through.
            return Ok(was.is_some().then_some(None));
        };
        if metadata.is_symlink() {
            let target = disk.read_link().map_err(|source| SourceError::Read { path: disk.clone(), source })?;
            let is_same = matches!(was, Some(Entry::Symlink { target: was }) if was == target.as_os_str().as_bytes());
            return Ok((!is_same).then_some(Some(0)));
        }
        let changed = Ok(Some(Some(metadata.len())));
        let Some(Entry::File { mode, mtime, stat, hash }) = was else { return changed };
        if *mode != metadata.permissions().mode() & 0o777 {
            return changed;
        }
        if *stat == Some(Stat::of(&metadata)) {
            return Ok(None);
        }
        if (times == Times::Count && *mtime != metadata.mtime()) || stat.is_some_and(|stat| stat.size != metadata.len())
        {
            return changed;
        }
        match hash_file(&disk).map_err(|source| SourceError::Read { path: disk, source })? {
            Some(now) if now == *hash => Ok(None),
            _ => changed,
        }
    }

    fn frozen_differs(&self, frozen: &Frozen, was: Option<&Entry>) -> Option<Option<u64>> {
        let (now, bytes) = match frozen {
            Frozen::Symlink { target, .. } => (Entry::Symlink { target: target.clone() }, 0),
            Frozen::File { mode, mtime, bytes } => (of_frozen(*mode, *mtime, bytes), bytes.len() as u64),
        };
        let is_same = match (was, &now) {
            (Some(Entry::File { mode, mtime, hash, .. }), Entry::File { mode: m, mtime: t, hash: h, .. }) => {
                (mode, mtime, hash) == (m, t, h)
            }
            (was, now) => was == Some(now),
        };
        (!is_same).then_some(Some(bytes))
    }

    /// Writes what differs as a tar: the files below [`DELTA_FILES`], with marks for what is gone as overlayfs knows them
    /// (a character device 0/0: <https://docs.kernel.org/filesystems/overlayfs.html>), and a place to write for each of `jobs`.
    ///
    /// # Errors
    /// Where a file cannot be read, or the tar not be written.
    pub fn write_delta<W: Write>(
        &self,
        w: W,
        delta: &Delta,
        jobs: usize,
        owner: Owner,
    ) -> Result<TarSummary, SourceError> {
        let options = TarOptions { prefix: DELTA_FILES.to_owned(), owner, include_top: Top::Include };
        let mut archive = Archive::new(w, &options);
        archive.top()?;
        for (path, origin) in self.listing.iter().filter(|(path, _)| delta.changed.contains(*path)) {
            // One that vanishes now must not shine through from the snapshot.
            if archive.entry(&self.root, path, origin)? == Wrote::Nothing {
                archive.whiteout(path)?;
            }
        }
        for path in &delta.gone {
            archive.whiteout(path)?;
        }
        archive.bare_whiteout(DELTA_MARK)?;
        archive.bare_directory(DELTA_JOBS)?;
        for job in 0..jobs {
            archive.bare_directory(&format!("{DELTA_JOBS}/{job}"))?;
            for part in ["upper", "work"] {
                archive.bare_directory(&format!("{DELTA_JOBS}/{job}/{part}"))?;
            }
        }
        archive.finish()
    }
}

/// Writes a tar of so many numbered folders, each with a place for `data` and one for overlayfs to work in. Without an owner
/// they are everyone's.
///
/// # Errors
/// Where the tar cannot be written.
pub fn write_folders<W: Write>(w: W, folders: usize, owner: Option<Owner>) -> Result<(), SourceError> {
    let options = TarOptions { prefix: String::new(), owner: owner.unwrap_or_default(), include_top: Top::Omit };
    let mut archive = Archive::new(w, &options);
    let mode = if owner.is_some() { 0o755 } else { 0o777 };
    for folder in 0..folders {
        archive.bare_directory(&folder.to_string())?;
        archive.directory_with(&format!("{folder}/data/"), mode)?;
        archive.bare_directory(&format!("{folder}/work"))?;
    }
    archive.finish().map(|_| ())
}

/// Whether an entry came into the tar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrote {
    Entry,
    /// It was no longer there.
    Nothing,
}

fn add_with_parents(paths: &mut BTreeSet<Vec<u8>>, path: &[u8]) {
    add_parents(paths, path);
    paths.insert(path.to_vec());
}

fn add_parents(paths: &mut BTreeSet<Vec<u8>>, path: &[u8]) {
    let mut end = path.len();
    while let Some(slash) = memchr::memrchr(b'/', &path[..end]) {
        if !paths.insert(path[..slash].to_vec()) {
            return;
        }
        end = slash;
    }
}

/// The paths that the snapshot alone has and that nothing new hides: the topmost of each.
fn gone(base: &Manifest, listing: &Listing) -> BTreeSet<Vec<u8>> {
    let mut gone: BTreeSet<Vec<u8>> = BTreeSet::new();
    for path in base.entries.keys().filter(|path| !listing.has(path)) {
        let hidden = parents(path).any(|parent| gone.contains(parent) || !listing.is_directory(parent));
        if !hidden {
            gone.insert(path.clone());
        }
    }
    gone
}

/// The folders above a path, the nearest first.
fn parents(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::successors(Some(path), |path| memchr::memrchr(b'/', path).map(|slash| &path[..slash])).skip(1)
}
