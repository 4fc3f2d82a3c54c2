//! A pipeline file with what it includes: files of its repository, and of others at a commit.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use crate::pipeline::{self, FileId, IncludeError, Includes, Origin, Parsed};
use crate::source::include;

/// From where a pipeline may include files of other repositories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// From anywhere that its user can reach, their own disk too.
    Anywhere,
    /// Not from this machine's disk: whoever wrote the pipeline may have no right to read it.
    Network,
}

/// Where included files come from.
struct Disk<'a> {
    /// The pipeline file, where it is one.
    main: Option<PathBuf>,
    /// Its repository.
    root: &'a Path,
    /// Where files of other repositories are kept.
    cache: Option<PathBuf>,
    reach: Reach,
    interrupt: &'a AtomicBool,
}

impl Includes for Disk<'_> {
    fn load(&mut self, file: &FileId) -> Result<Vec<u8>, IncludeError> {
        match &file.origin {
            Origin::Here => super::read(&self.root.join(&file.path), self.root)
                .map_err(|error| IncludeError { message: error.to_string(), help: error.hint() }),
            Origin::Git { url, .. } if self.reach == Reach::Network && include::is_on_this_machine(url) => {
                Err(IncludeError {
                    message: "it is on the disk of the machine that runs the pipeline".to_owned(),
                    help: "name a repository by its URL".to_owned(),
                })
            }
            Origin::Git { url, commit } => {
                let wanted = include::Wanted { url: url.clone(), commit: commit.clone(), path: file.path.clone() };
                include::fetch(&wanted, self.cache.as_deref(), self.interrupt).map_err(|error| said(&error))
            }
        }
    }

    fn is_main(&self, file: &FileId) -> bool {
        file.origin == Origin::Here
            && self.main.is_some()
            && self.root.join(&file.path).canonicalize().ok() == self.main
    }
}

/// Files of other repositories, as far as they were fetched before: for an editor, which must not wait for a network.
#[derive(Debug, Clone)]
pub struct Kept {
    cache: Option<PathBuf>,
}

impl Kept {
    /// Those in the cache of this user.
    #[must_use]
    pub fn here() -> Self {
        Self { cache: include::default_cache() }
    }
}

impl Includes for Kept {
    fn load(&mut self, file: &FileId) -> Result<Vec<u8>, IncludeError> {
        let Origin::Git { url, commit } = &file.origin else {
            return pipeline::NoIncludes.load(file);
        };
        let wanted = include::Wanted { url: url.clone(), commit: commit.clone(), path: file.path.clone() };
        match include::kept(&wanted, self.cache.as_deref()) {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(IncludeError {
                message: "it was not fetched yet".to_owned(),
                help: "`argon validate` fetches it once, and keeps it".to_owned(),
            }),
            Err(error) => Err(said(&error)),
        }
    }
}

/// Why a file of another repository is not to be had.
fn said(error: &include::FetchError) -> IncludeError {
    // What is at the bottom of it: `connection refused` says more than that something could not be cloned.
    let mut cause = error.source();
    while let Some(deeper) = cause.and_then(Error::source) {
        cause = Some(deeper);
    }
    let message = match cause {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    };
    IncludeError { message, help: error.hint().unwrap_or_else(|| "look at its address, commit and path".to_owned()) }
}

/// Reads a pipeline of the repository at `root`, the text of `path`, with its includes. May ask a network; ends soon after
/// `interrupt` turns true.
#[must_use]
pub fn parse(bytes: &[u8], path: &Path, root: &Path, reach: Reach, interrupt: &AtomicBool) -> Parsed {
    let main = path.canonicalize().ok();
    pipeline::parse_with(bytes, &mut Disk { main, root, cache: include::default_cache(), reach, interrupt })
}
