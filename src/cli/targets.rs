//! Which files `argon validate` looks at: those that are named, and the pipeline files in the folders that are named.

use std::path::{Path, PathBuf};

use argon::repository;
use ignore::WalkBuilder;

/// The names of pipeline files in a folder that is looked through.
const NAMES: [&str; 2] = [repository::FILE_NAME, ".runnerci.yaml"];

/// One thing to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// Standard input.
    Input,
    /// A file.
    File(PathBuf),
    /// A folder without a pipeline file.
    Empty {
        /// The folder.
        folder: PathBuf,
        /// A file in it that has almost the name.
        near: Option<PathBuf>,
    },
    /// A place that could not be looked into.
    Closed {
        /// Where.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
}

/// What the arguments mean, in their order; the files of a folder in the order of their paths. Nothing stands twice.
pub(crate) fn of(arguments: &[PathBuf]) -> Vec<Target> {
    let mut found: Vec<Target> = Vec::new();
    for argument in arguments {
        let targets = match argument {
            path if path == Path::new("-") => vec![Target::Input],
            path if path.is_dir() => in_folder(path),
            path => vec![Target::File(path.clone())],
        };
        for target in targets {
            if !found.contains(&target) {
                found.push(target);
            }
        }
    }
    found
}

/// The pipeline files of a folder at any depth, less what git ignores, inside of a repository or not.
fn in_folder(folder: &Path) -> Vec<Target> {
    let walk = WalkBuilder::new(folder)
        .hidden(false)
        .ignore(false)
        .require_git(false)
        .follow_links(false)
        .filter_entry(|entry| entry.file_name() != ".git")
        .build();
    let mut files = Vec::new();
    let mut closed = Vec::new();
    for entry in walk {
        match entry {
            Ok(entry) => {
                let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
                if !is_folder && NAMES.iter().any(|name| entry.file_name() == *name) {
                    files.push(as_typed(entry.path()));
                }
            }
            Err(error) => closed.push(Target::Closed { path: folder.to_owned(), reason: error.to_string() }),
        }
    }
    if files.is_empty() && closed.is_empty() {
        let near = ["runnerci.yml", "runnerci.yaml", ".runnerci"].iter().map(|name| as_typed(&folder.join(name)));
        return vec![Target::Empty { folder: folder.to_owned(), near: near.into_iter().find(|path| path.is_file()) }];
    }
    files.sort();
    files.into_iter().map(Target::File).chain(closed).collect()
}

/// `./a` is shown as `a`.
fn as_typed(path: &Path) -> PathBuf {
    path.strip_prefix(".").unwrap_or(path).to_owned()
}
