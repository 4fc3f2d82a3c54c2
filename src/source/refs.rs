//! What the branches and tags of a repository point to, without fetching any of it.

use std::collections::BTreeMap;
use std::path::Path;

use gix::bstr::ByteSlice;
use gix::progress::Discard;
use gix::remote::{Direction, ref_map};

use super::address::{Address, without_credentials};
use super::checkout::{Scratch, install_tls};
use super::{SourceError, worktree};

/// The refs of a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refs {
    /// `refs/heads/…` and `refs/tags/…` to the full id of their commit.
    pub all: BTreeMap<String, String>,
    /// The commit of the default branch.
    pub head: Option<String>,
}

/// Asks a repository for its refs. Blocks.
///
/// # Errors
/// Where it cannot be reached or read.
pub fn refs(repository: &str) -> Result<Refs, SourceError> {
    match Address::parse(repository)? {
        Address::Path(path) => {
            let folder =
                path.canonicalize().map_err(|source| SourceError::NoFolder { folder: path.clone(), source })?;
            let found =
                worktree::discover(&folder)?.ok_or_else(|| SourceError::NoRepository { folder: folder.clone() })?;
            near(&found).map_err(|source| SourceError::Repository { folder, source })
        }
        Address::Network(url) => {
            let scratch = Scratch::make().map_err(|source| SourceError::Temporary { source })?;
            far(&url, scratch.path())
                .map_err(|source| SourceError::Clone { repository: without_credentials(repository), source })
        }
    }
}

fn near(repository: &gix::Repository) -> gix::Result<Refs> {
    let mut all = BTreeMap::new();
    for reference in repository.references()?.all()? {
        let mut reference = reference?;
        let name = reference.name().as_bstr().to_str_lossy().into_owned();
        if is_asked_for(&name)
            && let Ok(id) = reference.peel_to_id()
        {
            all.insert(name, id.to_string());
        }
    }
    let head = repository.head_id().ok().map(|id| id.to_string());
    Ok(Refs { all, head })
}

/// Asks with an empty repository in `scratch`: a connection belongs to one.
fn far(url: &str, scratch: &Path) -> gix::Result<Refs> {
    install_tls();
    gix::init_bare(scratch)?;
    let repository = worktree::quiet(gix::open::Options::default()).open(scratch)?.to_thread_local();
    let mut remote = repository.remote_at(url)?;
    remote.replace_refspecs(
        ["+HEAD:refs/argon/head", "+refs/heads/*:refs/argon/heads/*", "+refs/tags/*:refs/argon/tags/*"],
        Direction::Fetch,
    )?;
    let (map, _) = remote.connect(Direction::Fetch)?.ref_map(Discard, ref_map::Options::default())?;
    let mut refs = Refs::default();
    for reference in &map.remote_refs {
        let (name, target, peeled) = reference.unpack();
        let Some(id) = peeled.or(target) else { continue };
        let name = name.to_str_lossy();
        if name == "HEAD" {
            refs.head = Some(id.to_string());
        } else if is_asked_for(&name) {
            refs.all.insert(name.into_owned(), id.to_string());
        }
    }
    Ok(refs)
}

fn is_asked_for(name: &str) -> bool {
    name.starts_with("refs/heads/") || name.starts_with("refs/tags/")
}
