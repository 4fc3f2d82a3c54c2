//! Where the workspace comes from: a working tree, a commit of a repository, or a clone. Nothing here writes to the user's tree.

use std::path::PathBuf;

use crate::event::SourceInfo;

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

/// A source that is ready to be read: it can be streamed into any number of containers.
#[derive(Debug)]
pub struct Workspace {
    /// What it is, for people and for `$ARGON_BRANCH`, `$ARGON_COMMIT`.
    pub info: SourceInfo,
    /// The top folder on this machine.
    pub root: PathBuf,
}
