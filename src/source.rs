//! Where the workspace comes from: a working tree, a commit of a repository, or a clone. Nothing here writes to the user's tree.
//!
//! [`open`] lists what belongs to the workspace, once; [`Workspace::write_tar`] streams it, as often as there are jobs.
//! Everything blocks: callers on an async runtime use `spawn_blocking`.

mod address;
mod archive;
mod bases;
mod changes;
mod checkout;
mod config;
mod content;
mod error;
mod folder;
mod git_dir;
mod ignored;
pub mod include;
mod listing;
mod moment;
mod refs;
mod snapshot;
mod worktree;

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

pub use archive::{Owner, TarOptions, TarSummary, Top};
pub use bases::{Bases, Free, Held, Hold};
pub use changes::{Changes, Comparison, Since};
pub use checkout::CloneProgress;
pub use content::{FileDigest, Trace};
pub use error::SourceError;
pub use ignored::ignored;
pub use listing::Size;
pub use refs::{Refs, refs};
pub use snapshot::{DELTA_FILES, DELTA_JOBS, DELTA_MARK, Delta, Manifest, write_folders};

use crate::event::SourceInfo;
use listing::Listing;

/// A tree with less than both of these is streamed: that is quicker than to make volumes for it.
const SMALL: Size = Size { files: 400, bytes: 4 * 1024 * 1024 };

/// What the user asked to build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceRequest {
    /// The working tree that holds this folder: tracked + untracked − ignored. Not a repository: the folder itself.
    WorkingTree {
        /// A folder in it.
        folder: PathBuf,
    },
    /// A clean checkout of a commit of a repository, near or far.
    Checkout {
        /// URL or path (`--repo`); a path is taken from here, never fetched over the network.
        repository: String,
        /// A revision (`--commit`): a full or abbreviated commit id, a branch, a tag. The default branch where not said.
        revision: Option<String>,
    },
}

/// What a tree has where a folder is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Below {
    /// So many files in it.
    Files(usize),
    /// The folder cannot be: it, or one that it is in, is a file or a symlink.
    NoFolder {
        /// That.
        file: String,
    },
}

/// A source that is ready to be read: it can be streamed into any number of containers.
#[derive(Debug)]
pub struct Workspace {
    /// What it is, for people and for `$ARGON_BRANCH`, `$ARGON_COMMIT`.
    pub info: SourceInfo,
    /// The top folder on this machine.
    pub root: PathBuf,
    /// What was left out or could not be kept, a sentence each.
    pub warnings: Vec<String>,
    listing: Listing,
    /// What it is to be compared with, where the run's event says.
    since: Option<Since>,
    /// What differs from that: asked for once.
    compared: OnceLock<Comparison>,
    /// Holds a checkout on disk for as long as it may be read.
    #[allow(dead_code, reason = "it is kept for its Drop")]
    checkout: Option<checkout::Scratch>,
}

impl Workspace {
    fn new(info: SourceInfo, root: PathBuf, warnings: Vec<String>, listing: Listing) -> Self {
        Self { info, root, warnings, listing, since: None, compared: OnceLock::new(), checkout: None }
    }

    /// Whether it is so small that it is read when it is opened, and streamed to each job.
    pub fn is_small(&self) -> bool {
        let size = self.size();
        size.files < SMALL.files && size.bytes < SMALL.bytes
    }

    /// Reads a small working tree, so that an edit during a run does not reach it. Of a large one that is done when the run begins,
    /// as a snapshot may have most of it ([`at_this_moment`](Self::at_this_moment)).
    fn freeze(&mut self) -> Result<(), SourceError> {
        if self.is_small() {
            for path in self.listing.freeze(&self.root)? {
                self.warnings
                    .push(format!("{} is left out: it vanished while the workspace was read", listing::shown(&path)));
            }
        }
        Ok(())
    }

    /// What the tree has where a folder is to be.
    pub fn below(&self, folder: &str) -> Below {
        let of_tree = |path: &[u8]| self.listing.get(path).is_some_and(|origin| *origin != listing::Origin::Directory);
        let above = folder.match_indices('/').map(|(slash, _)| &folder[..slash]);
        if let Some(file) = above.chain([folder]).find(|path| of_tree(path.as_bytes())) {
            return Below::NoFolder { file: file.to_owned() };
        }
        let of_tree = self.listing.iter().filter(|(_, origin)| **origin != listing::Origin::Directory);
        Below::Files(of_tree.filter(|(path, _)| listing::is_in(path, folder.as_bytes())).count())
    }

    /// How much there is, as it was when the source was opened. Files that changed since may make it a little off.
    pub fn size(&self) -> Size {
        self.listing.size()
    }
}

/// Makes a source ready: lists its working tree, or clones it.
pub fn open(request: &SourceRequest) -> Result<Workspace, SourceError> {
    open_with(request, &AtomicBool::new(false), &mut |_| {})
}

/// As [`open`], and stops soon after `interrupt` turns true (with [`SourceError::Interrupted`]), and tells how a clone is getting on.
pub fn open_with(
    request: &SourceRequest,
    interrupt: &AtomicBool,
    progress: &mut dyn FnMut(CloneProgress),
) -> Result<Workspace, SourceError> {
    match request {
        SourceRequest::WorkingTree { folder } => {
            let mut workspace = worktree::open(folder, interrupt)?;
            workspace.freeze()?;
            Ok(workspace)
        }
        SourceRequest::Checkout { repository, revision } => {
            checkout::open(repository, revision.as_deref(), interrupt, progress)
        }
    }
}
