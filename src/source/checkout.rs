//! A clean checkout of one commit, in a temporary folder.
//!
//! A repository on this machine is borrowed from (`objects/info/alternates`), so nothing is copied and no program runs. One
//! elsewhere is cloned with its whole history: a shallow clone would be quicker, and would make `git describe` and `git log`
//! in a step say something else than they say at home. No hook runs in either case.

mod far;
mod near;
mod resolve;
mod scratch;
mod single;
mod submodules;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use gix::ObjectId;

pub(super) use far::install_tls;
pub(super) use scratch::Scratch;
pub(super) use single::commit_alone;

use super::address::{Address, without_credentials};
use super::worktree::{self, State};
use super::{SourceError, Workspace};

/// How a checkout is getting on: each comes once, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloneProgress {
    /// Objects come in.
    Fetching,
    /// Files are written.
    CheckingOut,
    /// `git submodule update` runs. Only where there are submodules.
    Submodules,
}

/// A repository whose objects can be read, and the commit that is wanted of it.
struct Prepared {
    repository: gix::Repository,
    commit: ObjectId,
    branch: Option<String>,
}

/// What is asked for, in words for people.
struct Wanted<'a> {
    /// The repository, without credentials.
    shown: String,
    revision: Option<&'a str>,
}

/// Takes a commit from a path, or clones it.
pub(super) fn open(
    repository: &str,
    revision: Option<&str>,
    interrupt: &AtomicBool,
    progress: &mut dyn FnMut(CloneProgress),
) -> Result<Workspace, SourceError> {
    let address = Address::parse(repository)?;
    if let Some(revision) = revision {
        resolve::check(revision)?;
    }
    let wanted = Wanted { shown: without_credentials(repository), revision };
    let folder = Scratch::make().map_err(|source| SourceError::Temporary { source })?;
    progress(CloneProgress::Fetching);
    let prepared = match address {
        Address::Path(path) => near::prepare(&path, folder.path(), &wanted)?,
        Address::Network(url) => far::prepare(&url, folder.path(), &wanted, interrupt)?,
    };
    progress(CloneProgress::CheckingOut);
    set_head(&prepared, &wanted)?;
    write_files(&prepared, interrupt)?;

    let mut warnings = Vec::new();
    if folder.path().join(".gitmodules").is_file() {
        progress(CloneProgress::Submodules);
        submodules::update(folder.path(), &wanted, interrupt, &mut warnings)?;
    }
    let mut workspace = worktree::of_repository(&reopened(folder.path())?, State::Fresh, interrupt)?;
    workspace.info.location = wanted.shown;
    workspace.warnings.splice(0..0, warnings);
    workspace.checkout = Some(folder);
    Ok(workspace)
}

fn reopened(folder: &Path) -> Result<gix::Repository, SourceError> {
    worktree::quiet(gix::open::Options::default())
        .open(folder)
        .map(|repository| repository.to_thread_local())
        .map_err(|source| SourceError::Repository { folder: folder.to_owned(), source })
}

/// HEAD is the branch where one was asked for, and the bare commit otherwise, as `git switch` has it.
fn set_head(prepared: &Prepared, wanted: &Wanted<'_>) -> Result<(), SourceError> {
    let failed = |source| SourceError::Clone { repository: wanted.shown.clone(), source };
    let text = match &prepared.branch {
        None => format!("{}\n", prepared.commit),
        Some(branch) => {
            let name = format!("refs/heads/{branch}");
            prepared
                .repository
                .reference(name.as_str(), prepared.commit, gix::refs::transaction::PreviousValue::Any, "checkout")
                .map_err(failed)?;
            format!("ref: {name}\n")
        }
    };
    write(&prepared.repository.git_dir().join("HEAD"), text.as_bytes())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), SourceError> {
    fs::write(path, bytes).map_err(|source| SourceError::Temporary { source })
}

fn write_files(prepared: &Prepared, interrupt: &AtomicBool) -> Result<(), SourceError> {
    let written = try_write_files(prepared, interrupt);
    if interrupt.load(Ordering::Relaxed) {
        return Err(SourceError::Interrupted);
    }
    written.map_err(|source| SourceError::Checkout { commit: prepared.commit.to_string(), source })
}

fn try_write_files(prepared: &Prepared, interrupt: &AtomicBool) -> gix::Result<()> {
    use gix::worktree::stack::state::attributes::Source;

    let repository = &prepared.repository;
    let tree = repository.find_object(prepared.commit)?.peel_to_tree()?.id;
    let mut index = repository.index_from_tree(&tree)?;
    let mut options = repository.checkout_options(Source::IdMapping)?;
    options.destination_is_initially_empty = true;
    let folder = repository.workdir().unwrap_or(repository.git_dir()).to_owned();
    let outcome = gix::worktree::state::checkout(
        &mut index,
        folder,
        repository.objects.clone().into_arc().map_err(gix::Error::from_error)?,
        &gix::progress::Discard,
        &gix::progress::Discard,
        interrupt,
        options,
    )?;
    if let Some(record) = outcome.errors.into_iter().next() {
        return Err(record.error);
    }
    if let Some(collision) = outcome.collisions.into_iter().next() {
        let text = format!("{} differs from another path in case only", collision.path);
        return Err(gix::Error::from_error(std::io::Error::other(text)));
    }
    index.write(gix::index::write::Options::default())
}
