//! What comes out of a container, looked at as it comes, and written anew.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read, Write};

use tar::{Builder, Entry, EntryType, Header};

use super::whole::Whole;
use super::{leads_out, parts, shown};

/// The largest size that a header of a tar says in its octal digits; what is larger is said elsewhere.
const OCTAL_SIZE: u64 = 0o77_777_777_777;

/// How much of a name a header holds.
const NAME_FIELD: usize = 100;

/// The most bytes in names that are held in memory.
const NAMES: u64 = 64 * 1024 * 1024;

const NOT_IN: &str = "is a link to a file that is not in the artifact";

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
    /// Bytes in the names that are held in memory.
    names: u64,
    seen: HashMap<Vec<u8>, Kind>,
    /// By the name that carried their content, which nobody wants: those that are wanted, the first of which is to carry it.
    owed: BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Directory,
    File,
    /// With what it says.
    Symlink(Vec<u8>),
}

/// What is done with a hard link to a name that did not come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unmet {
    /// Its content is asked for by its own name.
    Owed,
    /// It was asked for, and is a link once more.
    Refused,
}

/// Which entries are wanted, and where they lie.
struct Wanted<'a> {
    below: &'a str,
    is: &'a dyn Fn(&str) -> bool,
    unmet: Unmet,
}

impl Wanted<'_> {
    fn whole<'a>(&'a self, own: Vec<&'a [u8]>) -> Vec<&'a [u8]> {
        self.below.split('/').map(str::as_bytes).filter(|part| !part.is_empty()).chain(own).collect()
    }
}

impl<W: Write> Intake<W> {
    pub(super) fn new(w: W, limits: Limits) -> Self {
        let (seen, owed) = (HashMap::new(), BTreeMap::new());
        Self { tar: Builder::new(w), limits, entries: 0, files: 0, bytes: 0, names: 0, seen, owed }
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
        if let Some(name) = self.owed.values().flatten().next() {
            return Err(io::Error::other(format!("the content of `{}` never came", shown(name))));
        }
        self.tar.into_inner()?.flush()
    }

    /// Takes the wanted entries of an archive in. `below` is put before their paths; `wanted` is asked with the whole path.
    ///
    /// # Errors
    /// At the first wanted entry that is not sound: then nothing of it may be kept.
    pub fn take(&mut self, archive: impl Read, below: &str, wanted: &dyn Fn(&str) -> bool) -> Result<(), Refused> {
        self.take_all(archive, &Wanted { below, is: wanted, unmet: Unmet::Owed })
    }

    /// Files whose content came by another name of theirs, which nobody wants. Each is to be asked for by itself, and settled.
    #[must_use]
    pub fn owed(&self) -> Vec<Vec<u8>> {
        self.owed.values().filter_map(|names| names.first()).cloned().collect()
    }

    /// Takes the archive of one file in that was owed, and its other names with it.
    ///
    /// # Errors
    /// Where it has no such file, or that is not sound.
    pub fn settle(&mut self, archive: impl Read, below: &str, name: &[u8]) -> Result<(), Refused> {
        let of = self.owed.iter().find(|(_, names)| names.first().is_some_and(|first| first == name));
        let Some(names) = of.map(|(of, _)| of.clone()).and_then(|of| self.owed.remove(&of)) else { return Ok(()) };
        self.entries -= names.len() as u64;
        let is = |path: &str| path.as_bytes() == name;
        self.take_all(archive, &Wanted { below, is: &is, unmet: Unmet::Refused })?;
        if !self.seen.contains_key(name) {
            return Err(Refused::Entry { path: shown(name), why: NOT_IN });
        }
        names.iter().skip(1).try_for_each(|other| self.second_name(other, name))
    }

    fn take_all(&mut self, archive: impl Read, wanted: &Wanted<'_>) -> Result<(), Refused> {
        let mut archive = tar::Archive::new(Whole::new(archive));
        for entry in archive.entries().map_err(Refused::Broken)? {
            self.entry(entry.map_err(Refused::Broken)?, wanted)?;
        }
        archive.into_inner().seen_to_its_end().map_err(Refused::Broken)
    }

    fn entry(&mut self, mut entry: Entry<'_, impl Read>, wanted: &Wanted<'_>) -> Result<(), Refused> {
        let path = entry.path_bytes().into_owned();
        let refused = |why| Refused::Entry { path: shown(&path), why };
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            return Err(refused("speaks for all that follows it"));
        }
        let Some(own) = parts(&path) else {
            return Err(refused("leads out of the artifact"));
        };
        let name = wanted.whole(own).join(&b'/');
        if name.is_empty() || !(wanted.is)(&String::from_utf8_lossy(&name)) {
            return Ok(());
        }
        if let Some(why) = two_minded(&mut entry).map_err(Refused::Broken)? {
            return Err(refused(why));
        }
        if !matches!(kind, EntryType::Regular | EntryType::Continuous) && entry.size() != 0 {
            return Err(refused("has a content, which not every reader takes for its own"));
        }
        let target = entry.link_name_bytes().map(|target| target.into_owned()).unwrap_or_default();
        match kind {
            EntryType::Regular | EntryType::Continuous => self.file(&mut entry, name),
            EntryType::Directory => self.put(&header_of(&entry, 0o755), name, Kind::Directory, 0, io::empty()),
            EntryType::Symlink => self.symlink(&header_of(&entry, 0o777), name, target),
            EntryType::Link => {
                // The engine tells the names of one archive alike, so below one folder.
                let Some(target) = parts(&target).map(|own| wanted.whole(own).join(&b'/')) else {
                    return Err(refused("is a link that leads out of the artifact"));
                };
                match wanted.unmet {
                    Unmet::Owed if !self.seen.contains_key(&target) => self.owe(target, name),
                    Unmet::Owed | Unmet::Refused => self.second_name(&name, &target),
                }
            }
            _ => Err(refused("is a device, a pipe or something else that an artifact cannot have")),
        }
    }

    fn file(&mut self, entry: &mut Entry<'_, impl Read>, name: Vec<u8>) -> Result<(), Refused> {
        let (size, header) = (entry.size(), header_of(entry, entry.header().mode().unwrap_or(0o644) & 0o777 | 0o400));
        let mut exact = Exact { inner: entry, left: size, broken: None };
        let put = self.put(&header, name, Kind::File, size, &mut exact);
        match exact.broken {
            Some(error) => Err(Refused::Broken(error)),
            None => put,
        }
    }

    fn symlink(&mut self, header: &Header, name: Vec<u8>, target: Vec<u8>) -> Result<(), Refused> {
        if let Some(why) = leads_out(&name, &target) {
            return Err(Refused::Entry { path: shown(&name), why });
        }
        self.put(header, name, Kind::Symlink(target), 0, io::empty())
    }

    /// A second name of what came before.
    fn second_name(&mut self, name: &[u8], first: &[u8]) -> Result<(), Refused> {
        let refused = |why| Refused::Entry { path: shown(name), why };
        let mut header = Header::new_gnu();
        header.set_mtime(0);
        header.set_mode(0o644);
        match self.seen.get(first).cloned() {
            Some(Kind::File) => {
                self.may_come(name, &Kind::File)?;
                self.count(&Kind::File, 0)?;
                header.set_entry_type(EntryType::Link);
                header.set_size(0);
                self.see(name.to_vec(), Kind::File)?;
                append(&mut self.tar, &mut header, name, first, io::empty()).map_err(Refused::Write)
            }
            // Where it lies now it may lead elsewhere.
            Some(Kind::Symlink(target)) => self.symlink(&header, name.to_vec(), target),
            Some(Kind::Directory) | None => Err(refused(NOT_IN)),
        }
    }

    fn owe(&mut self, target: Vec<u8>, name: Vec<u8>) -> Result<(), Refused> {
        self.count(&Kind::Directory, 0)?;
        self.hold(target.len() + name.len())?;
        self.owed.entry(target).or_default().push(name);
        Ok(())
    }

    fn put(&mut self, header: &Header, name: Vec<u8>, kind: Kind, size: u64, data: impl Read) -> Result<(), Refused> {
        self.may_come(&name, &kind)?;
        self.count(&kind, size)?;
        let mut header = header.clone();
        header.set_size(size);
        let written = match &kind {
            Kind::Directory => {
                header.set_entry_type(EntryType::Directory);
                append(&mut self.tar, &mut header, &[&name, b"/".as_slice()].concat(), &[], data)
            }
            Kind::Symlink(target) => {
                header.set_entry_type(EntryType::Symlink);
                append(&mut self.tar, &mut header, &name, target, data)
            }
            Kind::File => {
                header.set_entry_type(EntryType::Regular);
                append(&mut self.tar, &mut header, &name, &[], data)
            }
        };
        self.see(name, kind)?;
        written.map_err(Refused::Write)
    }

    /// What keeps a name from being taken in beside those before it.
    fn may_come(&self, name: &[u8], kind: &Kind) -> Result<(), Refused> {
        let refused = |why| Err(Refused::Entry { path: shown(name), why });
        if above(name).any(|folder| self.seen.get(folder).is_some_and(|kind| *kind != Kind::Directory)) {
            return refused("is below something that is no folder");
        }
        match self.seen.get(name) {
            // Two roots of one artifact may tell of the same folder.
            Some(Kind::Directory) if *kind == Kind::Directory => Ok(()),
            Some(_) => refused("comes twice"),
            None => Ok(()),
        }
    }

    /// Notes a name, and the folders above it: what is a folder to one must not be a symlink to another.
    fn see(&mut self, name: Vec<u8>, kind: Kind) -> Result<(), Refused> {
        let new: Vec<Vec<u8>> =
            above(&name).take_while(|folder| !self.seen.contains_key(*folder)).map(<[u8]>::to_vec).collect();
        self.hold(new.iter().map(Vec::len).sum::<usize>() + name.len())?;
        self.seen.extend(new.into_iter().map(|folder| (folder, Kind::Directory)));
        self.seen.insert(name, kind);
        Ok(())
    }

    fn hold(&mut self, bytes: usize) -> Result<(), Refused> {
        self.names = self.names.saturating_add(bytes as u64);
        match self.names > NAMES {
            true => Err(Refused::TooMuch { what: "bytes in its names", limit: NAMES }),
            false => Ok(()),
        }
    }

    fn count(&mut self, kind: &Kind, size: u64) -> Result<(), Refused> {
        self.entries += 1;
        self.files += u64::from(*kind != Kind::Directory);
        self.bytes = self.bytes.saturating_add(size);
        if self.entries > self.limits.entries {
            return Err(Refused::TooMuch { what: "entries", limit: self.limits.entries });
        }
        if self.bytes > self.limits.bytes {
            return Err(Refused::TooMuch { what: "bytes", limit: self.limits.bytes });
        }
        Ok(())
    }
}

/// The folders above a name, the nearest first.
fn above(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    name.iter().enumerate().rev().filter(|(_, byte)| **byte == b'/').map(|(at, _)| &name[..at])
}

/// What is kept of an entry's header.
fn header_of(entry: &Entry<'_, impl Read>, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_mtime(entry.header().mtime().unwrap_or(0));
    header.set_mode(mode);
    header
}

/// What an entry says twice and not alike: one reader takes the one, another the other.
fn two_minded(entry: &mut Entry<'_, impl Read>) -> io::Result<Option<&'static str>> {
    let header = entry.header();
    let own = Said { header: header.path_bytes().into_owned(), taken: entry.path_bytes().into_owned() };
    let link = Said {
        header: header.link_name_bytes().map(|link| link.into_owned()).unwrap_or_default(),
        taken: entry.link_name_bytes().map(|link| link.into_owned()).unwrap_or_default(),
    };
    let (said, size) = (header.size()?, entry.size());
    let (mut paths, mut links, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
    if let Some(extensions) = entry.pax_extensions()? {
        for extension in extensions {
            let extension = extension?;
            match extension.key_bytes() {
                b"path" => paths.push(extension.value_bytes().to_vec()),
                b"linkpath" => links.push(extension.value_bytes().to_vec()),
                b"size" => sizes.push(extension.value().ok().and_then(|value| value.parse::<u64>().ok())),
                key if key.starts_with(b"GNU.sparse.") => return Ok(Some("is sparse, which not every reader knows")),
                _ => {}
            }
        }
    }
    if paths.len() > 1 || links.len() > 1 || sizes.len() > 1 {
        return Ok(Some("says the same thing twice"));
    }
    if !own.agrees(paths.first()) {
        return Ok(Some("has two names that differ"));
    }
    if !link.agrees(links.first()) {
        return Ok(Some("has two targets that differ"));
    }
    // A header has no room for a large size, and says nothing instead.
    if sizes.iter().any(|own| *own != Some(size)) || (size != said && (size <= OCTAL_SIZE || said != 0)) {
        return Ok(Some("has two sizes that differ"));
    }
    Ok(None)
}

/// A name as an entry's header has it, and as it is taken: from a longer field before it, where there is one.
struct Said {
    header: Vec<u8>,
    taken: Vec<u8>,
}

impl Said {
    /// Whether all that say it say the same. A header holds the beginning of a long name; the engine's leaves out what is not ASCII.
    fn agrees(&self, pax: Option<&Vec<u8>>) -> bool {
        let bare = |name: &[u8]| name.strip_suffix(b"/").unwrap_or(name).to_vec();
        let begins = |name: &[u8]| {
            let cut = &name[..name.len().min(NAME_FIELD)];
            bare(cut) == bare(&self.header) || bare(&cut[..cut.len().min(NAME_FIELD - 1)]) == bare(&self.header)
        };
        match pax {
            Some(pax) => {
                let ascii: Vec<u8> = pax.iter().copied().filter(u8::is_ascii).collect();
                *pax == self.taken && (bare(pax) == bare(&self.header) || begins(pax) || begins(&ascii))
            }
            None => self.header == self.taken || begins(&self.taken),
        }
    }
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
    left: u64,
    broken: Option<io::Error>,
}

impl<R: Read> Read for Exact<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match self.inner.read(buffer) {
            Ok(0) if self.left > 0 && !buffer.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            other => other,
        };
        match read {
            Ok(read) => {
                self.left = self.left.saturating_sub(read as u64);
                Ok(read)
            }
            Err(error) => {
                let kind = error.kind();
                self.broken = Some(error);
                Err(kind.into())
            }
        }
    }
}
