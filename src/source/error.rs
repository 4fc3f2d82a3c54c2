//! What can go wrong between a source and a workspace, with what to do about it.

use std::io;
use std::path::PathBuf;

/// Why a source did not become a workspace.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The folder is not there.
    #[error("there is no folder {}", folder.display())]
    NoFolder {
        /// The folder as it was asked for.
        folder: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The folder is in no repository.
    #[error("{} is in no git repository, so there is no commit of it", folder.display())]
    NoRepository {
        /// The folder.
        folder: PathBuf,
    },
    /// A bare repository has no files to build.
    #[error("{} is a bare repository: it has no working tree", git_dir.display())]
    Bare {
        /// The repository.
        git_dir: PathBuf,
    },
    /// The repository is there and cannot be read as one.
    #[error("the repository at {} cannot be opened", folder.display())]
    Repository {
        /// Where it is.
        folder: PathBuf,
        /// What is wrong with it.
        #[source]
        source: gix::Error,
    },
    /// The index is corrupt, or of a kind that cannot be read.
    #[error("the index {} cannot be read", path.display())]
    Index {
        /// The index file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: gix::Error,
    },
    /// A file or folder cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The tree could not be listed.
    #[error("the files below {} cannot be listed", folder.display())]
    List {
        /// The top of the tree.
        folder: PathBuf,
        /// What stood in the way.
        #[source]
        source: gix::Error,
    },
    /// What changed could not be found out.
    #[error("the files below {} cannot be compared with what they were", folder.display())]
    Compare {
        /// The top of the tree.
        folder: PathBuf,
        /// What stood in the way.
        #[source]
        source: gix::Error,
    },
    /// The ignore rules are wrong.
    #[error("{} cannot be understood", path.display())]
    IgnoreFile {
        /// The file with the rules.
        path: PathBuf,
        /// Which line, and why.
        #[source]
        source: ignore::Error,
    },
    /// The receiver of the tar stopped taking it.
    #[error("the workspace could not be sent")]
    Send {
        /// What the receiver said.
        #[source]
        source: io::Error,
    },
    /// The address of a repository is none that Argon fetches from.
    #[error("\"{address}\" is not an address to clone from: {reason}")]
    Address {
        /// The address, without credentials.
        address: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The revision is not one.
    #[error("\"{revision}\" is not a revision: {reason}")]
    Revision {
        /// The revision as it was asked for.
        revision: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The repository has no such branch, tag or commit, or has it no longer.
    #[error("{repository} has no branch, tag or commit \"{revision}\"")]
    RefGone {
        /// The repository, without credentials.
        repository: String,
        /// The revision as it was asked for.
        revision: String,
        /// Branches and tags with names like it, best first.
        similar: Vec<String>,
    },
    /// More than one commit begins with this id.
    #[error("\"{revision}\" is the beginning of more than one commit id of {repository}")]
    Ambiguous {
        /// The repository, without credentials.
        repository: String,
        /// The revision as it was asked for.
        revision: String,
    },
    /// The repository has no commit yet, so there is nothing to check out.
    #[error("{repository} has no commits")]
    Empty {
        /// The repository, without credentials.
        repository: String,
    },
    /// The clone failed: the network, the server, the credentials.
    #[error("{repository} cannot be cloned")]
    Clone {
        /// The repository, without credentials.
        repository: String,
        /// What went wrong.
        #[source]
        source: gix::Error,
    },
    /// The files of the commit could not be written.
    #[error("the commit {commit} cannot be checked out")]
    Checkout {
        /// The commit.
        commit: String,
        /// What went wrong.
        #[source]
        source: gix::Error,
    },
    /// `git submodule update` failed.
    #[error("the submodules of {repository} cannot be fetched: {message}")]
    Submodules {
        /// The repository, without credentials.
        repository: String,
        /// The last line that git wrote.
        message: String,
    },
    /// No temporary folder can be made for a checkout.
    #[error("no temporary folder can be made for the checkout")]
    Temporary {
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The content of files cannot be kept apart for the run.
    #[error("the files of the tree cannot be kept in {}", folder.display())]
    Keep {
        /// Where they were to be.
        folder: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Somebody stopped it.
    #[error("stopped while the source was made ready")]
    Interrupted,
}

impl SourceError {
    /// What to do about it, where there is something to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoFolder { .. } => Some("name a folder that exists".into()),
            Self::NoRepository { .. } => Some("leave --commit and --repo out to build the folder as it is".into()),
            Self::Bare { git_dir } => {
                Some(format!("build a commit of it instead: --repo {} --commit BRANCH", git_dir.display()))
            }
            Self::Repository { .. } | Self::Compare { .. } => Some("`git status` there may tell more".into()),
            Self::Index { path, .. } => Some(format!(
                "the index can be rebuilt from the last commit, keeping your files: rm {} && git reset",
                path.display()
            )),
            Self::Read { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("make it readable for yourself, or name it in .argonignore".into())
            }
            Self::Address { .. } => {
                Some("an address is https://HOST/PATH, ssh://HOST/PATH, user@HOST:PATH, or a local path".into())
            }
            Self::Revision { .. } => Some("a revision is a commit id (4 digits or more), a branch or a tag".into()),
            Self::RefGone { similar, .. } if !similar.is_empty() => {
                Some(format!("did you mean {}?", similar.join(" or ")))
            }
            Self::RefGone { .. } => Some("it may have been deleted or force-pushed over since".into()),
            Self::Ambiguous { .. } => Some("give more digits of the id".into()),
            Self::Empty { .. } => Some("commit something first".into()),
            Self::Clone { .. } => {
                Some("`git ls-remote` of the same address tells whether git itself can reach it".into())
            }
            Self::Submodules { .. } => {
                Some("`git submodule update --init --recursive` in a clone may tell more".into())
            }
            Self::Temporary { .. } => Some("free some space, or set TMPDIR to a folder you can write to".into()),
            Self::Keep { .. } => Some("free some space there; it is as much as the tree has".into()),
            Self::Read { .. }
            | Self::List { .. }
            | Self::IgnoreFile { .. }
            | Self::Send { .. }
            | Self::Checkout { .. }
            | Self::Interrupted => None,
        }
    }
}
