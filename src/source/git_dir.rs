//! The workspace's own `.git`: one standalone directory, whatever the source's looks like (a linked worktree, a submodule,
//! a repository with alternates).
//!
//! What may change while jobs run (HEAD, refs, the index) is taken when the source is opened, so it agrees with the list of
//! files; objects never change, so they are listed by name and streamed as they are. Nothing is repacked: copying packs is
//! bounded by reading them. Left out are hooks, reflogs, and all of the configuration that could run something or holds
//! credentials (see [`config`](super::config)).

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::listing::{Listing, Origin, below, is_gone};
use super::{SourceError, config};

/// How many repositories deep alternates may point on, as for git.
const ALTERNATES_DEPTH: usize = 5;

/// Adds a `.git` for the repository at `prefix` (which ends in `/`).
pub(super) fn list(
    repository: &gix::Repository,
    prefix: &[u8],
    listing: &mut Listing,
    warnings: &mut Vec<String>,
) -> Result<(), SourceError> {
    let mut target = Target { prefix, listing };
    let (own, common) = (repository.git_dir(), repository.common_dir());
    target.add(b"config", config::sanitised(repository));
    for name in ["HEAD", "index", "info/sparse-checkout"] {
        target.copy(own, name)?;
    }
    for name in ["packed-refs", "shallow", "info/exclude", "info/attributes"] {
        target.copy(common, name)?;
    }
    target.shared_indices(own)?;
    target.directory(b"refs/heads");
    target.refs(common, Path::new("refs"))?;
    if own != common {
        target.refs(own, Path::new("refs"))?;
    }
    target.objects(&common.join("objects"), warnings)
}

struct Target<'a> {
    prefix: &'a [u8],
    listing: &'a mut Listing,
}

impl Target<'_> {
    fn add(&mut self, name: &[u8], bytes: Vec<u8>) {
        self.listing.add_bytes(below(self.prefix, name), bytes);
    }

    fn directory(&mut self, name: &[u8]) {
        self.listing.add(below(self.prefix, name), Origin::Directory, 0);
    }

    /// Takes a file's bytes now, where there is such a file.
    fn copy(&mut self, from: &Path, name: &str) -> Result<(), SourceError> {
        let path = from.join(name);
        match fs::read(&path) {
            Ok(bytes) => self.add(name.as_bytes(), bytes),
            Err(error) if is_gone(&error) => {}
            Err(source) => return Err(SourceError::Read { path, source }),
        }
        Ok(())
    }

    /// A split index keeps most of its entries in a second file beside it.
    fn shared_indices(&mut self, git_dir: &Path) -> Result<(), SourceError> {
        for entry in entries(git_dir)? {
            let name = entry.file_name();
            if name.as_bytes().starts_with(b"sharedindex.") {
                let bytes = entry.metadata().map_or(0, |found| found.len());
                self.listing.add(below(self.prefix, name.as_bytes()), Origin::File(entry.path()), bytes);
            }
        }
        Ok(())
    }

    fn refs(&mut self, git_dir: &Path, folder: &Path) -> Result<(), SourceError> {
        for entry in entries(&git_dir.join(folder))? {
            let name = folder.join(entry.file_name());
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => self.refs(git_dir, &name)?,
                // A ref may be a symlink in very old repositories: its content is what counts.
                Ok(_) if !is_lock(&name) => match fs::read(entry.path()) {
                    Ok(bytes) => self.add(name.as_os_str().as_bytes(), bytes),
                    Err(error) if is_gone(&error) => {}
                    Err(source) => {
                        return Err(SourceError::Read { path: entry.path(), source });
                    }
                },
                _ => {}
            }
        }
        Ok(())
    }

    /// All objects, those of alternates included, in one store without alternates.
    fn objects(&mut self, store: &Path, warnings: &mut Vec<String>) -> Result<(), SourceError> {
        self.directory(b"objects/pack");
        let alternates = alternates(store, warnings)?;
        self.store(store, alternates.is_empty())?;
        for alternate in alternates {
            self.store(&alternate, false)?;
        }
        Ok(())
    }

    /// One store's objects. What indexes a whole store (commit graphs, multi-pack indices, bitmaps) holds only where it is the only one.
    fn store(&mut self, store: &Path, is_only: bool) -> Result<(), SourceError> {
        for folder in entries(store)? {
            let name = folder.file_name();
            let name = name.as_bytes();
            let is_loose = name.len() == 2 && name.iter().all(u8::is_ascii_hexdigit);
            if is_loose || name == b"pack" || (is_only && name == b"info") {
                self.object_files(&folder.path(), &below(b"objects/", name), is_only)?;
            }
        }
        Ok(())
    }

    fn object_files(&mut self, folder: &Path, name: &[u8], is_only: bool) -> Result<(), SourceError> {
        for entry in entries(folder)? {
            let file = entry.file_name();
            let file = file.as_bytes();
            let path = below(&below(name, b"/"), file);
            let Ok(found) = fs::metadata(entry.path()) else {
                continue;
            };
            let wanted = !(file.starts_with(b"tmp_")
                || file.starts_with(b".tmp-")
                || file == b"alternates"
                || file == b"http-alternates"
                || file.ends_with(b".lock")
                || file.ends_with(b".keep"));
            let indexes_all = file.starts_with(b"multi-pack-index") || file.ends_with(b".bitmap");
            if found.is_dir() && is_only {
                self.object_files(&entry.path(), &path, is_only)?;
            } else if found.is_file() && wanted && (is_only || !indexes_all) {
                self.listing.add(below(self.prefix, &path), Origin::File(real(&entry)), found.len());
            }
        }
        Ok(())
    }
}

/// Packs may be symlinks (some tools share them so): the file behind one is meant.
fn real(entry: &fs::DirEntry) -> PathBuf {
    match entry.file_type() {
        Ok(kind) if kind.is_symlink() => entry.path().canonicalize().unwrap_or_else(|_| entry.path()),
        _ => entry.path(),
    }
}

fn is_lock(name: &Path) -> bool {
    name.extension().is_some_and(|extension| extension == "lock")
}

/// The stores that a store borrows from, and those they borrow from.
fn alternates(store: &Path, warnings: &mut Vec<String>) -> Result<Vec<PathBuf>, SourceError> {
    let mut found: Vec<PathBuf> = Vec::new();
    let mut next = vec![store.to_owned()];
    for _ in 0..ALTERNATES_DEPTH {
        let mut further = Vec::new();
        for store in next {
            for alternate in named_in(&store)? {
                match alternate.canonicalize() {
                    Ok(path) if found.contains(&path) => {}
                    Ok(path) => {
                        found.push(path.clone());
                        further.push(path);
                    }
                    Err(_) => warnings.push(format!(
                        "objects of the repository may be missing: its alternate {} is not there",
                        alternate.display()
                    )),
                }
            }
        }
        next = further;
    }
    Ok(found)
}

fn named_in(store: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let path = store.join("info/alternates");
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if is_gone(&error) => return Ok(Vec::new()),
        Err(source) => return Err(SourceError::Read { path, source }),
    };
    Ok(text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty() && !line.starts_with(b"#"))
        .map(|line| store.join(std::ffi::OsStr::from_bytes(line)))
        .collect())
}

/// A directory's entries; none where it is not there.
fn entries(folder: &Path) -> Result<Vec<fs::DirEntry>, SourceError> {
    let failed = |source: io::Error| SourceError::Read { path: folder.to_owned(), source };
    match fs::read_dir(folder) {
        Ok(entries) => entries.collect::<io::Result<_>>().map_err(failed),
        Err(error) if is_gone(&error) => Ok(Vec::new()),
        Err(error) => Err(failed(error)),
    }
}
