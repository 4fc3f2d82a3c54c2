//! Files that a pipeline includes from another repository, at a commit. What a commit holds never changes, so each is fetched
//! once and kept.

use std::fs;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::AtomicBool;

use gix::ObjectId;

use super::address::{Address, without_credentials};
use super::{SourceError, checkout, worktree};

/// The largest file that is taken: 1 MiB.
pub const MAX_BYTES: u64 = 1024 * 1024;

/// A file of a repository, at a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The repository: an address as `--repo` takes it.
    pub url: String,
    /// The commit's full id: 40 hex digits.
    pub commit: String,
    /// The file's path from the top of the repository, without `.` and `..`.
    pub path: String,
}

/// Why a file is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The commit is not named by its full id.
    #[error("\"{commit}\" is not the full id of a commit")]
    NotAnId {
        /// What stands in its place.
        commit: String,
    },
    /// The path leads out of the repository, or is not in its plain form.
    #[error("\"{path}\" is not the path of a file from the top of a repository")]
    BadPath {
        /// The path.
        path: String,
    },
    /// The repository has no such commit, or gives it to nobody.
    #[error("{repository} has no commit {commit}")]
    NoCommit {
        /// The repository, without credentials.
        repository: String,
        /// The commit.
        commit: String,
    },
    /// The commit has no such file.
    #[error("there is no {path} in {repository} at {commit}")]
    NoFile {
        /// The repository, without credentials.
        repository: String,
        /// The commit.
        commit: String,
        /// The path.
        path: String,
    },
    /// Something else is at the path.
    #[error("{path} in {repository} is {kind}, not a file")]
    NotAFile {
        /// The repository, without credentials.
        repository: String,
        /// The path.
        path: String,
        /// What is there: `a symlink`, `a folder`, `a submodule`.
        kind: &'static str,
    },
    /// The file is larger than is taken.
    #[error("{path} in {repository} has {bytes} bytes, more than the {MAX_BYTES} that are read")]
    TooLarge {
        /// The repository, without credentials.
        repository: String,
        /// The path.
        path: String,
        /// Its size.
        bytes: u64,
    },
    /// The repository cannot be reached, or not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl FetchError {
    /// What to do about it, where there is something to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotAnId { .. } => {
                Some("name the commit by all 40 digits: a branch or a tag may lead elsewhere tomorrow".into())
            }
            Self::BadPath { .. } => Some("write it from the top of the repository, without `.` and `..`".into()),
            Self::NoCommit { .. } => {
                Some("was it pushed? A commit that was pushed over may be gone from the server".into())
            }
            Self::NoFile { commit, .. } => {
                Some(format!("`git ls-tree -r --name-only {commit}` there lists what it has"))
            }
            Self::NotAFile { kind: "a symlink", .. } => Some("name the file that it leads to".into()),
            Self::NotAFile { .. } => Some("name a file".into()),
            Self::TooLarge { .. } => Some("move long scripts into files of the repository".into()),
            Self::Source(error) => error.hint(),
        }
    }
}

/// Whether an address leads to this machine's own disk.
pub fn is_on_this_machine(url: &str) -> bool {
    matches!(Address::parse(url), Ok(Address::Path(_)))
}

/// Where files are kept: `$XDG_CACHE_HOME/argon/includes`, else `~/.cache/argon/includes`. `None` where neither is known.
pub fn default_cache() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(caches.join("argon/includes"))
}

/// The content of a file. One that is in the cache is not asked for again; a cache that cannot be written to is done without.
///
/// A repository on this machine is read as it is, without the cache. Of another one the commit alone is fetched, or, where
/// its server does not give single commits, all of it.
///
/// # Errors
/// Where the file cannot be had.
pub fn fetch(wanted: &Wanted, cache: Option<&Path>, interrupt: &AtomicBool) -> Result<Vec<u8>, FetchError> {
    let commit = full_id(&wanted.commit)?;
    check_path(&wanted.path)?;
    let url = match Address::parse(&wanted.url)? {
        Address::Path(path) => {
            let folder = path.canonicalize().map_err(|source| SourceError::NoFolder { folder: path, source })?;
            let repository = worktree::discover(&folder)?.ok_or(SourceError::NoRepository { folder })?;
            return read(&repository, commit, wanted);
        }
        Address::Network(url) => url,
    };
    let kept = cache.map(|cache| cache.join(name_in_cache(wanted)));
    if let Some(bytes) = kept.as_ref().and_then(|path| from_cache(path).ok()) {
        return Ok(bytes);
    }
    let shown = without_credentials(&wanted.url);
    let (_folder, repository) =
        checkout::commit_alone(&url, &shown, &wanted.commit, interrupt).map_err(|error| match error {
            SourceError::RefGone { repository, revision, .. } => FetchError::NoCommit { repository, commit: revision },
            other => other.into(),
        })?;
    let bytes = read(&repository, commit, wanted)?;
    if let Some(path) = kept {
        // It is fetched again next time.
        let _ = keep(&path, &bytes);
    }
    Ok(bytes)
}

/// A file that was fetched before; or one of a repository on this machine. Asks no network.
///
/// # Errors
/// Where a repository on this machine does not have it.
pub fn kept(wanted: &Wanted, cache: Option<&Path>) -> Result<Option<Vec<u8>>, FetchError> {
    if let Address::Path(_) = Address::parse(&wanted.url)? {
        return fetch(wanted, cache, &AtomicBool::new(false)).map(Some);
    }
    Ok(cache.and_then(|cache| from_cache(&cache.join(name_in_cache(wanted))).ok()))
}

fn full_id(text: &str) -> Result<ObjectId, FetchError> {
    ObjectId::from_hex(text.as_bytes()).map_err(|_| FetchError::NotAnId { commit: text.to_owned() })
}

fn check_path(path: &str) -> Result<(), FetchError> {
    let is_plain = !path.is_empty()
        && !path.ends_with('/')
        && !path.contains("//")
        && !path.chars().any(char::is_control)
        && !path.split('/').any(|part| part == ".")
        && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    if is_plain { Ok(()) } else { Err(FetchError::BadPath { path: path.to_owned() }) }
}

/// Reads the file out of a repository that should have the commit.
fn read(repository: &gix::Repository, commit: ObjectId, wanted: &Wanted) -> Result<Vec<u8>, FetchError> {
    let shown = without_credentials(&wanted.url);
    let failed = |source| SourceError::Clone { repository: shown.clone(), source };
    let tree = repository
        .try_find_object(commit)
        .map_err(failed)?
        .filter(|object| object.kind == gix::objs::Kind::Commit)
        .ok_or_else(|| FetchError::NoCommit { repository: shown.clone(), commit: wanted.commit.clone() })?
        .peel_to_tree()
        .map_err(failed)?;
    let entry = tree.lookup_entry_by_path(&wanted.path).map_err(failed)?.ok_or_else(|| FetchError::NoFile {
        repository: shown.clone(),
        commit: wanted.commit.clone(),
        path: wanted.path.clone(),
    })?;
    let mode = entry.mode();
    let not_a_file = |kind| FetchError::NotAFile { repository: shown.clone(), path: wanted.path.clone(), kind };
    if mode.is_link() {
        return Err(not_a_file("a symlink"));
    } else if mode.is_commit() {
        return Err(not_a_file("a submodule"));
    } else if !mode.is_blob() {
        return Err(not_a_file("a folder"));
    }
    let bytes = repository.find_header(entry.object_id()).map_err(failed)?.size();
    if bytes > MAX_BYTES {
        return Err(FetchError::TooLarge { repository: shown, path: wanted.path.clone(), bytes });
    }
    Ok(repository.find_object(entry.object_id()).map_err(failed)?.detach().data)
}

/// One name for each file. The address is part of it: who may read one repository need not be able to read another.
fn name_in_cache(wanted: &Wanted) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in [&wanted.url, &wanted.commit, &wanted.path] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

fn from_cache(path: &Path) -> io::Result<Vec<u8>> {
    let found = path.symlink_metadata()?;
    if !found.is_file() || found.len() > MAX_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    fs::read(path)
}

/// Writes it whole or not at all: others may be at the same file.
fn keep(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_plain_paths_are_taken() {
        for path in ["a", "a/b.yml", ".ci/a.yml", "a..b"] {
            check_path(path).unwrap();
        }
        for path in ["", "/a", "../a", "a/../b", "./a", "a/./b", "a//b", "a/", "a\nb"] {
            assert!(matches!(check_path(path), Err(FetchError::BadPath { .. })), "{path:?} was taken");
        }
    }

    #[test]
    fn only_full_ids_are_taken() {
        full_id(&"a1".repeat(20)).unwrap();
        for id in ["", "main", "a1a1a1a", &"a1".repeat(21), &"g1".repeat(20)] {
            assert!(matches!(full_id(id), Err(FetchError::NotAnId { .. })), "{id:?} was taken");
        }
    }

    #[test]
    fn each_file_has_a_name_of_its_own_in_the_cache() {
        let of = |url: &str, commit: &str, path: &str| {
            name_in_cache(&Wanted { url: url.into(), commit: commit.into(), path: path.into() })
        };
        let names = [of("u", "c", "p"), of("v", "c", "p"), of("u", "d", "p"), of("u", "c", "q"), of("uc", "", "p")];
        let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
    }

    #[test]
    fn what_is_kept_is_whole_and_a_link_in_its_place_is_not_followed() {
        let cache = tempfile::tempdir().unwrap();
        let path = cache.path().join("deep/name");
        keep(&path, b"first").unwrap();
        keep(&path, b"second").unwrap();
        assert_eq!(from_cache(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        let link = cache.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(from_cache(&link).is_err());
    }
}
