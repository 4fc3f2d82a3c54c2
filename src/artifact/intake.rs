//! What comes out of a container, looked at as it comes, and written anew.

use std::collections::HashMap;
use std::io::{self, Read, Write};

use tar::{Builder, Entry, EntryType, Header};

use super::{parts, shown, stays_inside};

/// The largest size that a header of a tar says in its octal digits; what is larger is said elsewhere.
const OCTAL_SIZE: u64 = 0o77_777_777_777;

/// How much an artifact may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Files, folders and symlinks.
    pub entries: u64,
    /// Bytes in its files.
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 200_000, bytes: 8 * 1024 * 1024 * 1024 }
    }
}

/// Why an archive is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// An entry of it is not what an artifact may have.
    #[error("`{path}` {why}")]
    Entry {
        /// Its path, for people.
        path: String,
        /// A clause.
        why: &'static str,
    },
    /// It is too large.
    #[error("it has more than {limit} {what}")]
    TooMuch {
        /// Entries or bytes.
        what: &'static str,
        /// The most that it may have.
        limit: u64,
    },
    /// It is no archive, or broke off.
    #[error("it cannot be read: {0}")]
    Broken(io::Error),
    /// It cannot be written here.
    #[error("it cannot be written: {0}")]
    Write(io::Error),
}

/// An artifact that is being written: only what is sound comes in.
#[allow(missing_debug_implementations, reason = "what it writes into has none")]
pub struct Intake<W: Write> {
    tar: Builder<W>,
    limits: Limits,
    entries: u64,
    files: u64,
    bytes: u64,
    seen: HashMap<Vec<u8>, Kind>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Directory,
    File,
    Symlink,
}

impl<W: Write> Intake<W> {
    pub(super) fn new(w: W, limits: Limits) -> Self {
        Self { tar: Builder::new(w), limits, entries: 0, files: 0, bytes: 0, seen: HashMap::new() }
    }

    /// Files and symlinks so far.
    #[must_use]
    pub fn files(&self) -> u64 {
        self.files
    }

    /// Bytes so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn finish(self) -> io::Result<()> {
        self.tar.into_inner()?.flush()
    }

    /// Takes the wanted entries of an archive in. `below` is put before their paths; `wanted` is asked with the whole path.
    ///
    /// # Errors
    /// At the first wanted entry that is not sound: then nothing of it may be kept.
    pub fn take(&mut self, archive: impl Read, below: &str, wanted: &dyn Fn(&str) -> bool) -> Result<(), Refused> {
        let mut archive = tar::Archive::new(archive);
        for entry in archive.entries().map_err(Refused::Broken)? {
            self.entry(entry.map_err(Refused::Broken)?, below, wanted)?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        mut entry: Entry<'_, impl Read>,
        below: &str,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<(), Refused> {
        let path = entry.path_bytes().into_owned();
        let refused = |why| Refused::Entry { path: shown(&path), why };
        let Some(own) = parts(&path) else {
            return Err(refused("leads out of the artifact"));
        };
        let whole: Vec<&[u8]> =
            below.split('/').map(str::as_bytes).filter(|part| !part.is_empty()).chain(own).collect();
        let name = whole.join(&b'/');
        let is_wanted = !name.is_empty() && wanted(&String::from_utf8_lossy(&name));
        let kind = match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => Kind::File,
            EntryType::Directory => Kind::Directory,
            EntryType::Symlink => Kind::Symlink,
            EntryType::Link if is_wanted => return self.hard_link(&entry, &whole, &name),
            _ if !is_wanted => return Ok(()),
            _ => return Err(refused("is a device, a pipe or something else that an artifact cannot have")),
        };
        if !is_wanted {
            return Ok(());
        }
        if let Some(why) = two_minded(&mut entry).map_err(Refused::Broken)? {
            return Err(refused(why));
        }
        if let Some(why) = self.clashes(&whole, &name, kind) {
            return Err(refused(why));
        }
        self.count(kind, entry.size())?;
        let mode = entry.header().mode().unwrap_or(0o644) & 0o777;
        let mut header = Header::new_gnu();
        header.set_mtime(entry.header().mtime().unwrap_or(0));
        header.set_entry_type(match kind {
            Kind::Directory => EntryType::Directory,
            Kind::File => EntryType::Regular,
            Kind::Symlink => EntryType::Symlink,
        });
        header.set_mode(if kind == Kind::Directory { 0o755 } else { mode | 0o400 });
        header.set_size(0);
        let target = entry.link_name_bytes().map(|target| target.into_owned()).unwrap_or_default();
        let written = match kind {
            Kind::Directory => append(&mut self.tar, &mut header, &[&name, b"/".as_slice()].concat(), &[], io::empty()),
            Kind::Symlink if !stays_inside(&whole, &target) => {
                return Err(refused("is a symlink that leads out of the artifact"));
            }
            Kind::Symlink => append(&mut self.tar, &mut header, &name, &target, io::empty()),
            Kind::File => {
                header.set_size(entry.size());
                let mut exact = Exact { inner: &mut entry, broken: None };
                let written = append(&mut self.tar, &mut header, &name, &[], &mut exact);
                if let Some(error) = exact.broken {
                    return Err(Refused::Broken(error));
                }
                written
            }
        };
        self.seen.insert(name, kind);
        written.map_err(Refused::Write)
    }

    /// A second name of a file that came before.
    fn hard_link(&mut self, entry: &Entry<'_, impl Read>, whole: &[&[u8]], name: &[u8]) -> Result<(), Refused> {
        let refused = |why| Refused::Entry { path: shown(name), why };
        let target = entry.link_name_bytes().unwrap_or_default();
        let target = parts(&target).map(|parts| parts.join(&b'/')).unwrap_or_default();
        // The engine tells names from the root of the archive, as the paths are; below one folder they end alike.
        let known = self.seen.iter().find(|(path, kind)| **kind == Kind::File && is_same_file(path, &target));
        let Some(first) = known.map(|(path, _)| path.clone()) else {
            return Err(refused("is a link to a file that is not in the artifact"));
        };
        if let Some(why) = self.clashes(whole, name, Kind::File) {
            return Err(refused(why));
        }
        self.count(Kind::File, 0)?;
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Link);
        header.set_mode(0o644);
        header.set_size(0);
        self.seen.insert(name.to_vec(), Kind::File);
        append(&mut self.tar, &mut header, name, &first, io::empty()).map_err(Refused::Write)
    }

    /// What keeps a path from being taken in beside those before it.
    fn clashes(&self, whole: &[&[u8]], name: &[u8], kind: Kind) -> Option<&'static str> {
        for depth in 1..whole.len() {
            if self.seen.get(&whole[..depth].join(&b'/')).is_some_and(|kind| *kind != Kind::Directory) {
                return Some("is below something that is no folder");
            }
        }
        match self.seen.get(name) {
            // Two roots of one artifact may tell of the same folder.
            Some(Kind::Directory) if kind == Kind::Directory => None,
            Some(_) => Some("comes twice"),
            None => None,
        }
    }

    fn count(&mut self, kind: Kind, size: u64) -> Result<(), Refused> {
        self.entries += 1;
        self.files += u64::from(kind != Kind::Directory);
        self.bytes = self.bytes.saturating_add(if kind == Kind::File { size } else { 0 });
        if self.entries > self.limits.entries {
            return Err(Refused::TooMuch { what: "entries", limit: self.limits.entries });
        }
        if self.bytes > self.limits.bytes {
            return Err(Refused::TooMuch { what: "bytes", limit: self.limits.bytes });
        }
        Ok(())
    }
}

fn is_same_file(path: &[u8], target: &[u8]) -> bool {
    path == target || (path.ends_with(target) && path[..path.len() - target.len()].ends_with(b"/"))
}

/// What an entry says twice and not alike: one reader takes the one, another the other.
fn two_minded(entry: &mut Entry<'_, impl Read>) -> io::Result<Option<&'static str>> {
    let own = entry.header().path_bytes().into_owned();
    let said = entry.header().size()?;
    let size = entry.size();
    let Some(extensions) = entry.pax_extensions()? else { return Ok(None) };
    let (mut paths, mut sizes) = (0, 0);
    for extension in extensions {
        let extension = extension?;
        match extension.key_bytes() {
            b"path" => {
                paths += 1;
                let path = extension.value_bytes();
                let fits = path.len() <= 100 && path.is_ascii();
                if fits && path.strip_suffix(b"/").unwrap_or(path) != own.strip_suffix(b"/").unwrap_or(&own) {
                    return Ok(Some("has two names that differ"));
                }
            }
            b"size" => sizes += 1,
            _ => {}
        }
    }
    if paths > 1 || sizes > 1 {
        return Ok(Some("says the same thing twice"));
    }
    if sizes == 1 && size != said && size <= OCTAL_SIZE {
        return Ok(Some("has two sizes that differ"));
    }
    Ok(None)
}

/// As `tar::Builder::append_data`, but it leaves names and targets as they are.
fn append<W: Write>(
    tar: &mut Builder<W>,
    header: &mut Header,
    name: &[u8],
    link: &[u8],
    data: impl Read,
) -> io::Result<()> {
    for (kind, text, limit) in [(EntryType::GNULongLink, link, 100), (EntryType::GNULongName, name, 100)] {
        if text.len() > limit {
            let mut long = Header::new_gnu();
            long.set_entry_type(kind);
            long.set_mode(0o644);
            long.set_size(text.len() as u64 + 1);
            long.as_old_mut().name[..13].copy_from_slice(b"././@LongLink");
            long.set_cksum();
            tar.append(&long, text.chain([0].as_slice()))?;
        }
    }
    let old = header.as_old_mut();
    for (field, text) in [(&mut old.name, name), (&mut old.linkname, link)] {
        let length = text.len().min(field.len());
        field[..length].copy_from_slice(&text[..length]);
    }
    header.set_cksum();
    tar.append(header, data)
}

/// Tells a reader that failed from a writer that did. A reader that ends too soon failed.
struct Exact<'a, R> {
    inner: &'a mut R,
    broken: Option<io::Error>,
}

impl<R: Read> Read for Exact<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).inspect_err(|error| {
            self.broken = Some(io::Error::new(error.kind(), error.to_string()));
        })
    }
}
