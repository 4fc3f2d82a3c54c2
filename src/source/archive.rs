//! The workspace as a tar stream (GNU format: any length of name, any bytes in it).

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::SystemTime;

use tar::{Builder, EntryType, Header};

use super::listing::{Found, Frozen, Origin, is_gone, is_in, look, mtime, on_disk, regular, shown};
use super::moment::Taken;
use super::snapshot::{Manifest, Stat, Wrote};
use super::{SourceError, Workspace};

/// Who owns the files in the container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// Whether the top directory has an entry of its own, which sets its owner and mode (0755).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Top {
    /// The first entry is the top directory: the prefix, or `./` where that is empty.
    Include,
    /// The top directory is left as it is where the tar is unpacked.
    Omit,
}

/// How the tar is to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarOptions {
    /// The directory that everything is in, without slashes at its ends: `workspace`; or empty.
    pub prefix: String,
    /// Who owns every entry.
    pub owner: Owner,
    /// Whether the top directory has an entry.
    pub include_top: Top,
}

/// What went into a tar.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TarSummary {
    /// Files and symlinks.
    pub files: u64,
    /// Bytes in files.
    pub bytes: u64,
    /// What changed under the reader and is therefore not whole, a sentence each.
    pub warnings: Vec<String>,
}

/// Writes to the engine come in pieces of this size.
const BUFFER: usize = 256 * 1024;

impl Workspace {
    /// Writes the workspace as a tar. May run any number of times, also side by side.
    ///
    /// A file that vanished since [`open`](super::open) is left out; one that changes its size while it is read is cut or
    /// filled with zeros to the size that its header says. Both are told in the summary; the tar is whole either way.
    pub fn write_tar<W: Write>(&self, w: W, options: &TarOptions) -> Result<TarSummary, SourceError> {
        self.write_tar_without(w, options, &[])
    }

    /// As [`write_tar`](Self::write_tar), without these folders and what is in them.
    ///
    /// # Errors
    /// Where a file cannot be read, or the tar cannot be written.
    pub fn write_tar_without<W: Write>(
        &self,
        w: W,
        options: &TarOptions,
        hidden: &[String],
    ) -> Result<TarSummary, SourceError> {
        let mut archive = Archive::new(w, options);
        archive.top()?;
        let is_hidden = |path: &[u8]| hidden.iter().any(|folder| is_in(path, folder.as_bytes()));
        for (path, origin) in self.listing.iter().filter(|(path, _)| !is_hidden(path)) {
            archive.entry(&self.root, path, origin)?;
        }
        archive.finish()
    }
}

impl Workspace {
    /// Writes the files of `folder` (a path in the workspace; empty for its top) whose paths below it are `wanted` as a tar, with
    /// those paths, owned by root. `.git` is no part of it.
    ///
    /// `beside` is a file of the workspace that goes in under another name.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn write_context<W: Write>(
        &self,
        w: W,
        folder: &str,
        wanted: &dyn Fn(&str) -> bool,
        beside: Option<(&str, &str)>,
    ) -> Result<TarSummary, SourceError> {
        let options = TarOptions { prefix: String::new(), owner: Owner::default(), include_top: Top::Omit };
        let mut archive = Archive::new(w, &options);
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let mut made = BTreeSet::new();
        for (path, origin) in self.listing.iter() {
            let Some(below) = path.strip_prefix(prefix.as_bytes()) else { continue };
            if !origin.is_of_tree() || !wanted(&String::from_utf8_lossy(below)) {
                continue;
            }
            for (slash, _) in below.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
                if made.insert(&below[..slash]) {
                    archive.entry(&self.root, &below[..slash], &Origin::Directory)?;
                }
            }
            archive.entry_as(&self.root, path, below, origin)?;
        }
        if let Some((path, name)) = beside
            && let Some(origin) = self.listing.get(path.as_bytes())
        {
            archive.entry_as(&self.root, path.as_bytes(), name.as_bytes(), origin)?;
        }
        archive.finish()
    }
}

fn send(source: io::Error) -> SourceError {
    SourceError::Send { source }
}

/// A tar that is being written.
pub(super) struct Archive<'a, W: Write> {
    tar: Builder<BufWriter<W>>,
    options: &'a TarOptions,
    summary: TarSummary,
    /// What went into it, where that is wanted.
    manifest: Option<Manifest>,
}

impl<'a, W: Write> Archive<'a, W> {
    pub(super) fn new(w: W, options: &'a TarOptions) -> Self {
        let tar = Builder::new(BufWriter::with_capacity(BUFFER, w));
        Self { tar, options, summary: TarSummary::default(), manifest: None }
    }

    /// Notes from here on what goes into it.
    pub(super) fn record(&mut self, manifest: Manifest) {
        self.manifest = Some(manifest);
    }

    pub(super) fn top(&mut self) -> Result<(), SourceError> {
        match (self.options.include_top, self.options.prefix.as_str()) {
            (Top::Omit, _) => Ok(()),
            (Top::Include, "") => self.directory(b"./"),
            (Top::Include, prefix) => self.directory(format!("{prefix}/").as_bytes()),
        }
        .map_err(send)
    }

    pub(super) fn entry(&mut self, root: &Path, path: &[u8], origin: &Origin) -> Result<Wrote, SourceError> {
        let name = self.name(path);
        self.entry_as(root, path, &name, origin)
    }

    /// An entry by another name than its path.
    fn entry_as(&mut self, root: &Path, path: &[u8], name: &[u8], origin: &Origin) -> Result<Wrote, SourceError> {
        match origin {
            Origin::Directory => {
                if let Some(manifest) = &mut self.manifest {
                    manifest.add_directory(path);
                }
                self.directory(&[name, b"/".as_slice()].concat()).map_err(send)?;
                Ok(Wrote::Entry)
            }
            Origin::Bytes(bytes) => {
                if let Some(manifest) = &mut self.manifest {
                    manifest.add_bytes(path, bytes);
                }
                self.bytes(name, bytes).map_err(send)?;
                Ok(Wrote::Entry)
            }
            Origin::Frozen(frozen) => {
                self.frozen(name, path, frozen).map_err(send)?;
                Ok(Wrote::Entry)
            }
            Origin::Tree => self.disk(name, path, &on_disk(root, path)),
            Origin::Known(stat) => self.known(name, path, &on_disk(root, path), *stat),
            Origin::Taken(taken) => {
                self.taken(name, path, taken).map_err(send)?;
                Ok(Wrote::Entry)
            }
            Origin::File(disk) => self.disk(name, path, disk),
        }
    }

    /// The mark by which overlayfs knows that a path of a lower layer is gone.
    pub(super) fn whiteout(&mut self, path: &[u8]) -> Result<(), SourceError> {
        let name = self.name(path);
        self.whiteout_at(&name)
    }

    /// Such a mark outside of the prefix.
    pub(super) fn bare_whiteout(&mut self, name: &str) -> Result<(), SourceError> {
        self.whiteout_at(name.as_bytes())
    }

    fn whiteout_at(&mut self, name: &[u8]) -> Result<(), SourceError> {
        let mut header = self.header(EntryType::Char, 0, 0);
        let set = header.set_device_major(0).and_then(|()| header.set_device_minor(0));
        set.and_then(|()| self.append(&mut header, name, &[], io::empty())).map_err(send)
    }

    /// A directory outside of the prefix.
    pub(super) fn bare_directory(&mut self, name: &str) -> Result<(), SourceError> {
        self.directory(format!("{name}/").as_bytes()).map_err(send)
    }

    /// A directory outside of the prefix, with a mode of its own.
    pub(super) fn directory_with(&mut self, name: &str, mode: u32) -> Result<(), SourceError> {
        let mut header = self.header(EntryType::Directory, mode, 0);
        self.append(&mut header, name.as_bytes(), &[], io::empty()).map_err(send)
    }

    pub(super) fn finish(self) -> Result<TarSummary, SourceError> {
        let mut buffer = self.tar.into_inner().map_err(send)?;
        buffer.flush().map_err(send)?;
        Ok(self.summary)
    }

    pub(super) fn finish_recorded(mut self) -> Result<(TarSummary, Manifest), SourceError> {
        let manifest = self.manifest.take().unwrap_or_default();
        Ok((self.finish()?, manifest))
    }

    fn name(&self, path: &[u8]) -> Vec<u8> {
        match self.options.prefix.as_str() {
            "" => path.to_vec(),
            prefix => [prefix.as_bytes(), b"/", path].concat(),
        }
    }

    fn directory(&mut self, name: &[u8]) -> io::Result<()> {
        let mut header = self.header(EntryType::Directory, 0o755, 0);
        self.append(&mut header, name, &[], io::empty())
    }

    fn bytes(&mut self, name: &[u8], bytes: &[u8]) -> io::Result<()> {
        let mut header = self.header(EntryType::Regular, 0o644, 0);
        header.set_size(bytes.len() as u64);
        self.summary.files += 1;
        self.summary.bytes += bytes.len() as u64;
        self.append(&mut header, name, &[], bytes)
    }

    fn frozen(&mut self, name: &[u8], path: &[u8], frozen: &Frozen) -> io::Result<()> {
        self.summary.files += 1;
        match frozen {
            Frozen::Symlink { mtime, target } => {
                if let Some(manifest) = &mut self.manifest {
                    manifest.add_symlink(path, target);
                }
                let mut header = self.header(EntryType::Symlink, 0o777, *mtime);
                self.append(&mut header, name, target, io::empty())
            }
            Frozen::File { mode, mtime, bytes } => {
                self.summary.bytes += bytes.len() as u64;
                if let Some(manifest) = &mut self.manifest {
                    manifest.add_frozen(path, *mode, *mtime, bytes);
                }
                let mut header = self.header(EntryType::Regular, *mode, *mtime);
                header.set_size(bytes.len() as u64);
                self.append(&mut header, name, &[], bytes.as_slice())
            }
        }
    }

    fn taken(&mut self, name: &[u8], path: &[u8], taken: &Taken) -> io::Result<()> {
        if let Some(manifest) = &mut self.manifest {
            manifest.add_taken(path, taken);
        }
        let mut header = self.header(EntryType::Regular, taken.mode, u64::try_from(taken.mtime).unwrap_or(0));
        header.set_size(taken.length);
        self.summary.files += 1;
        self.summary.bytes += taken.length;
        self.append(&mut header, name, &[], taken.reader())
    }

    /// A file that was left to a snapshot which then could not be used.
    fn known(&mut self, name: &[u8], path: &[u8], disk: &Path, was: Stat) -> Result<Wrote, SourceError> {
        if !matches!(look(disk)?, Found::Leaf(now) if Stat::of(&now) == was) {
            self.summary
                .warnings
                .push(format!("{} changed since the run began: jobs see it as it is now", shown(path)));
        }
        self.disk(name, path, disk)
    }

    /// A file or symlink as it is now: what it was when it was listed no longer counts.
    fn disk(&mut self, name: &[u8], path: &[u8], disk: &Path) -> Result<Wrote, SourceError> {
        match look(disk)? {
            Found::Leaf(metadata) if metadata.is_symlink() => self.symlink(name, path, disk, &metadata),
            Found::Leaf(_) => self.file(name, path, disk),
            Found::Nothing => self.left_out(path, "it vanished"),
            Found::Directory => self.left_out(path, "it became a directory"),
            Found::Special(_) => self.left_out(path, "it is no longer a file"),
        }
    }

    fn left_out(&mut self, path: &[u8], why: &str) -> Result<Wrote, SourceError> {
        self.summary.warnings.push(format!("{} is left out: {why} while the workspace was read", shown(path)));
        Ok(Wrote::Nothing)
    }

    fn symlink(&mut self, name: &[u8], path: &[u8], disk: &Path, metadata: &Metadata) -> Result<Wrote, SourceError> {
        let target = match disk.read_link() {
            Ok(target) => target,
            Err(error) if is_gone(&error) || error.kind() == io::ErrorKind::InvalidInput => {
                return self.left_out(path, "it vanished");
            }
            Err(source) => return Err(read(disk, source)),
        };
        let mut header = self.header(EntryType::Symlink, 0o777, mtime(metadata));
        self.summary.files += 1;
        if let Some(manifest) = &mut self.manifest {
            manifest.add_symlink(path, target.as_os_str().as_bytes());
        }
        self.append(&mut header, name, target.as_os_str().as_bytes(), io::empty()).map_err(send)?;
        Ok(Wrote::Entry)
    }

    fn file(&mut self, name: &[u8], path: &[u8], disk: &Path) -> Result<Wrote, SourceError> {
        let file = match regular(disk) {
            Ok(Some(file)) => file,
            Ok(None) => return self.left_out(path, "it vanished"),
            Err(source) => return Err(read(disk, source)),
        };
        let taken = SystemTime::now();
        let before = file.metadata().map_err(|source| read(disk, source))?;
        let mut header = self.header(EntryType::Regular, before.permissions().mode() & 0o777, mtime(&before));
        header.set_size(before.len());
        let hasher = self.manifest.is_some().then(blake3::Hasher::new);
        let mut exact = Exact::new(Hashed { inner: &file, hasher }, before.len());
        let sent = self.append(&mut header, name, &[], &mut exact);
        if let Some(source) = exact.failed {
            return Err(read(disk, source));
        }
        sent.map_err(send)?;
        let after = file.metadata().map_err(|source| read(disk, source))?;
        let is_as_it_was = (after.mtime(), after.mtime_nsec()) == (before.mtime(), before.mtime_nsec());
        if let (Some(manifest), Some(hasher), false, true) =
            (&mut self.manifest, exact.inner.hasher, exact.padded, is_as_it_was)
        {
            manifest.add_file(path, &before, taken, *hasher.finalize().as_bytes());
        }
        if exact.padded || after.len() != before.len() {
            self.summary.warnings.push(format!("{} changed its size while it was read", shown(path)));
        }
        self.summary.files += 1;
        self.summary.bytes += before.len();
        Ok(Wrote::Entry)
    }

    fn header(&self, kind: EntryType, mode: u32, mtime: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(mtime);
        header.set_uid(self.options.owner.uid.into());
        header.set_gid(self.options.owner.gid.into());
        header.set_size(0);
        header
    }

    /// The tar crate's own `append_link` and `append_data` tidy paths up (`./x`, `a//b`); a link's target must stay as it is.
    fn append(&mut self, header: &mut Header, name: &[u8], link: &[u8], data: impl Read) -> io::Result<()> {
        let old = header.as_old_mut();
        let long_link = put(&mut old.linkname, link);
        let long_name = put(&mut old.name, name);
        if long_link == Fits::No {
            self.long(EntryType::GNULongLink, link)?;
        }
        if long_name == Fits::No {
            self.long(EntryType::GNULongName, name)?;
        }
        header.set_cksum();
        self.tar.append(header, data)
    }

    fn long(&mut self, kind: EntryType, text: &[u8]) -> io::Result<()> {
        let mut header = self.header(kind, 0o644, 0);
        put(&mut header.as_old_mut().name, b"././@LongLink");
        header.set_size(text.len() as u64 + 1);
        header.set_cksum();
        self.tar.append(&header, text.chain([0].as_slice()))
    }
}

#[derive(PartialEq, Eq)]
enum Fits {
    Yes,
    No,
}

/// Puts as much of `text` into a header's field as goes in.
fn put(field: &mut [u8; 100], text: &[u8]) -> Fits {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text[..length]);
    field[length..].fill(0);
    if length == text.len() { Fits::Yes } else { Fits::No }
}

fn read(path: &Path, source: io::Error) -> SourceError {
    SourceError::Read { path: path.to_owned(), source }
}

/// A reader, and the hash of what was read of it where that is wanted.
struct Hashed<R> {
    inner: R,
    hasher: Option<blake3::Hasher>,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..count]);
        }
        Ok(count)
    }
}

/// Exactly so many bytes of a reader: cut where it has more, zeros where it has fewer.
struct Exact<R> {
    inner: R,
    left: u64,
    padded: bool,
    failed: Option<io::Error>,
}

impl<R: Read> Exact<R> {
    fn new(inner: R, length: u64) -> Self {
        Self { inner, left: length, padded: false, failed: None }
    }
}

impl<R: Read> Read for Exact<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = &mut buffer[..room];
        let count = if self.padded {
            buffer.fill(0);
            room
        } else {
            match self.inner.read(buffer) {
                Ok(0) if room > 0 => {
                    self.padded = true;
                    buffer.fill(0);
                    room
                }
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
                Err(error) => {
                    // Kept apart, so that a file that cannot be read is not told as a receiver that went away.
                    let kind = error.kind();
                    self.failed = Some(error);
                    return Err(kind.into());
                }
            }
        };
        self.left -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_reader_is_cut_or_filled_to_its_length() {
        for (content, length, expected, padded) in [
            ("abc", 3, "abc", false),
            ("abcdef", 3, "abc", false),
            ("abc", 5, "abc\0\0", true),
            ("", 2, "\0\0", true),
            ("", 0, "", false),
        ] {
            let mut exact = Exact::new(content.as_bytes(), length);
            let mut out = String::new();
            exact.read_to_string(&mut out).unwrap();
            assert_eq!((out.as_str(), exact.padded), (expected, padded), "{content:?} to {length}");
        }
    }
}
