//! The working tree of a repository: tracked + untracked − ignored, with a `.git` that works.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use gix::bstr::ByteSlice;
use gix::dir::entry::Kind;
use gix::dir::walk::EmissionMode;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::listing::{Found, Listing, Origin, below, look, on_disk, shown};
use super::{SourceError, Workspace, folder, git_dir};
use crate::event::SourceInfo;

/// Names files that stay out of the workspace, in gitignore's syntax; counts at the root only.
const ARGONIGNORE: &str = ".argonignore";

/// Lists the working tree that holds `folder`, or the folder itself where that is in no repository.
pub(super) fn open(folder: &Path, interrupt: &AtomicBool) -> Result<Workspace, SourceError> {
    let missing = |source| SourceError::NoFolder { folder: folder.to_owned(), source };
    let folder = folder.canonicalize().map_err(missing)?;
    if !folder.is_dir() {
        return Err(missing(std::io::ErrorKind::NotADirectory.into()));
    }
    match discover(&folder)? {
        Some(repository) => of_repository(&repository, State::Used, interrupt),
        None => folder::open(&folder),
    }
}

/// What is known of a working tree beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Somebody works in it: it may differ from its commit.
    Used,
    /// It was just checked out.
    Fresh,
}

/// Lists the working tree of an open repository.
pub(super) fn of_repository(
    repository: &gix::Repository,
    state: State,
    interrupt: &AtomicBool,
) -> Result<Workspace, SourceError> {
    let root =
        repository.workdir().ok_or_else(|| SourceError::Bare { git_dir: repository.git_dir().to_owned() })?.to_owned();
    let mut walk =
        Walk { ignored: argonignore(&root)?, root, interrupt, listing: Listing::default(), warnings: Vec::new() };
    let differs = walk.repository(repository, b"")?;
    let info = SourceInfo {
        location: walk.root.display().to_string(),
        dirty: match (state, differs) {
            (State::Fresh, _) => false,
            (State::Used, Differs::Yes) => true,
            (State::Used, Differs::Unknown) => differs_from_head(repository)?,
        },
        ..head(repository)?
    };
    Ok(Workspace::new(info, walk.root, walk.warnings, walk.listing))
}

/// The repository that holds the folder. What `GIT_DIR` and its like say is not heard: Argon may be run from a git hook,
/// where they tell of that one git command, not of the folder.
pub(super) fn discover(folder: &Path) -> Result<Option<gix::Repository>, SourceError> {
    let mut trust = gix::sec::trust::Mapping::<gix::open::Options>::default();
    trust.full = quiet(trust.full);
    trust.reduced = quiet(trust.reduced);
    match gix::ThreadSafeRepository::discover_opts(folder, gix::discover::upwards::Options::default(), trust) {
        Ok(repository) => Ok(Some(repository.to_thread_local())),
        Err(error) if is_no_repository(&error) => Ok(None),
        Err(source) => Err(SourceError::Repository { folder: folder.to_owned(), source }),
    }
}

/// Options that do not hear what the environment says of one repository.
pub(super) fn quiet(options: gix::open::Options) -> gix::open::Options {
    let mut permissions = gix::open::Permissions::all();
    permissions.env.git_prefix = gix::sec::Permission::Deny;
    permissions.env.objects = gix::sec::Permission::Deny;
    options.permissions(permissions)
}

fn is_no_repository(error: &gix::Error) -> bool {
    use gix::discover::upwards::Error;
    matches!(
        error.downcast_any_ref::<Error>(),
        Some(
            Error::NoGitRepository { .. }
                | Error::NoGitRepositoryWithinCeiling { .. }
                | Error::NoGitRepositoryWithinFs { .. }
        )
    )
}

/// The rules of `.argonignore`, where there is one.
pub(super) fn argonignore(root: &Path) -> Result<Option<Gitignore>, SourceError> {
    let path = root.join(ARGONIGNORE);
    if !path.is_file() {
        return Ok(None);
    }
    let failed = |source| SourceError::IgnoreFile { path: path.clone(), source };
    let mut rules = GitignoreBuilder::new(root);
    rules.add(&path).map_or(Ok(()), |error| Err(failed(error)))?;
    rules.build().map(Some).map_err(failed)
}

fn head(repository: &gix::Repository) -> Result<SourceInfo, SourceError> {
    let failed = |source| SourceError::Repository { folder: repository.git_dir().to_owned(), source };
    let head = repository.head().map_err(failed)?;
    let branch = head
        .referent_name()
        .and_then(|name| name.as_bstr().strip_prefix(b"refs/heads/"))
        .map(|name| name.to_str_lossy().into_owned());
    let commit = match head.is_unborn() {
        true => None,
        false => Some(head.into_peeled_id().map_err(failed)?.to_string()),
    };
    Ok(SourceInfo { commit, branch, ..SourceInfo::default() })
}

/// What the listing alone tells of the tree against the index.
enum Differs {
    Yes,
    Unknown,
}

/// Compares content as `git status` does: stat data first, and it stops at the first difference.
fn differs_from_head(repository: &gix::Repository) -> Result<bool, SourceError> {
    repository.is_dirty().map_err(|source| SourceError::List {
        folder: repository.workdir().unwrap_or(repository.git_dir()).to_owned(),
        source,
    })
}

struct Walk<'a> {
    root: std::path::PathBuf,
    ignored: Option<Gitignore>,
    interrupt: &'a AtomicBool,
    listing: Listing,
    warnings: Vec<String>,
}

impl Walk<'_> {
    /// Lists a repository at `prefix`: the top one, or a submodule.
    fn repository(&mut self, repository: &gix::Repository, prefix: &[u8]) -> Result<Differs, SourceError> {
        let index = repository
            .index_or_empty()
            .map_err(|source| SourceError::Index { path: repository.index_path(), source })?;
        git_dir::list(repository, &below(prefix, b".git/"), &mut self.listing, &mut self.warnings)?;
        let gone = self.tracked(&index, prefix)?;
        let untracked = self.untracked(repository, &index, prefix)?;
        Ok(if gone || untracked { Differs::Yes } else { Differs::Unknown })
    }

    /// The index's entries, as far as they are on disk. True where some are not.
    fn tracked(&mut self, index: &gix::index::State, prefix: &[u8]) -> Result<bool, SourceError> {
        let mut gone = false;
        let mut parents = HashMap::new();
        for entry in index.entries() {
            self.check_interrupt()?;
            let path = below(prefix, entry.path(index));
            let expected = !entry.flags.contains(gix::index::entry::Flags::SKIP_WORKTREE);
            let found = match self.is_behind_symlink(&path, &mut parents)? {
                true => Found::Nothing,
                false => look(&on_disk(&self.root, &path))?,
            };
            match found {
                Found::Nothing => gone |= expected,
                Found::Leaf(metadata) => self.leaf(path, metadata.len()),
                Found::Directory if entry.mode == gix::index::entry::Mode::COMMIT => {
                    self.submodule(&path)?;
                }
                // A directory took the file's place: what is in it is untracked.
                Found::Directory => gone |= expected,
                Found::Special(kind) => {
                    gone |= expected;
                    self.special(&path, kind);
                }
            }
        }
        Ok(gone)
    }

    /// As for git, a file is gone when a symlink took the place of a directory above it; what the link leads to may be anything.
    fn is_behind_symlink(&self, path: &[u8], known: &mut HashMap<Vec<u8>, bool>) -> Result<bool, SourceError> {
        let Some(slash) = memchr::memrchr(b'/', path) else {
            return Ok(false);
        };
        let parent = &path[..slash];
        if let Some(answer) = known.get(parent) {
            return Ok(*answer);
        }
        let answer = self.is_behind_symlink(parent, known)?
            || matches!(look(&on_disk(&self.root, parent))?, Found::Leaf(found) if found.is_symlink());
        known.insert(parent.to_vec(), answer);
        Ok(answer)
    }

    fn untracked(
        &mut self,
        repository: &gix::Repository,
        index: &gix::index::State,
        prefix: &[u8],
    ) -> Result<bool, SourceError> {
        let failed = |source| SourceError::List {
            folder: repository.workdir().unwrap_or(repository.git_dir()).to_owned(),
            source,
        };
        let options = repository.dirwalk_options().map_err(failed)?.emit_untracked(EmissionMode::Matching);
        let mut found = gix::dir::walk::delegate::Collect::default();
        let walked = repository.dirwalk(index, None::<&str>, self.interrupt, options, &mut found);
        self.check_interrupt()?;
        walked.map_err(failed)?;

        let mut any = false;
        for (entry, _) in found.unorded_entries {
            if entry.status != gix::dir::entry::Status::Untracked {
                continue;
            }
            let path = below(prefix, &entry.rela_path);
            match entry.disk_kind {
                Some(Kind::Repository) => self.nested(&path),
                Some(Kind::Directory) => self.listing.add(path, Origin::Directory, 0),
                _ => match look(&on_disk(&self.root, &path))? {
                    Found::Leaf(metadata) => {
                        any = true;
                        self.leaf(path, metadata.len());
                    }
                    Found::Special(kind) => self.special(&path, kind),
                    Found::Nothing | Found::Directory => {}
                },
            }
        }
        Ok(any)
    }

    fn leaf(&mut self, path: Vec<u8>, bytes: u64) {
        if !self.is_ignored(&path) {
            self.listing.add(path, Origin::Tree, bytes);
        }
    }

    fn submodule(&mut self, path: &[u8]) -> Result<(), SourceError> {
        if self.is_ignored(path) {
            return Ok(());
        }
        self.listing.add(path.to_vec(), Origin::Directory, 0);
        let folder = on_disk(&self.root, path);
        if folder.join(".git").symlink_metadata().is_err() {
            self.warnings.push(format!(
                "the submodule {} is not checked out, so it is empty: git submodule update --init",
                shown(path)
            ));
            return Ok(());
        }
        let options = quiet(gix::open::Options::default());
        let repository =
            options.open(&folder).map_err(|source| SourceError::Repository { folder: folder.clone(), source })?;
        self.repository(&repository.to_thread_local(), &below(path, b"/"))?;
        Ok(())
    }

    fn nested(&mut self, path: &[u8]) {
        if self.is_ignored(path) {
            return;
        }
        self.listing.add(path.to_vec(), Origin::Directory, 0);
        self.warnings
            .push(format!("{} is a repository of its own and not a submodule, so it is left empty", shown(path)));
    }

    fn special(&mut self, path: &[u8], kind: &str) {
        if !self.is_ignored(path) {
            self.warnings.push(format!("{} is left out: it is {kind}", shown(path)));
        }
    }

    fn is_ignored(&self, path: &[u8]) -> bool {
        self.ignored
            .as_ref()
            .is_some_and(|rules| rules.matched_path_or_any_parents(on_disk(Path::new(""), path), false).is_ignore())
    }

    fn check_interrupt(&self) -> Result<(), SourceError> {
        match self.interrupt.load(Ordering::Relaxed) {
            true => Err(SourceError::Interrupted),
            false => Ok(()),
        }
    }
}
