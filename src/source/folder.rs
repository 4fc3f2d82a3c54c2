//! A folder that is in no repository: everything below it except what its `.gitignore` and `.argonignore` name.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ignore::WalkBuilder;

use super::listing::{Found, Listing, Origin, look, shown};
use super::{SourceError, Workspace, worktree};
use crate::event::SourceInfo;

/// Lists the folder. The user's own and the parents' ignore rules do not count: they are not part of what is built.
pub(super) fn open(root: &Path) -> Result<Workspace, SourceError> {
    let ignored = worktree::argonignore(root)?;
    let mut listing = Listing::default();
    let mut warnings = Vec::new();
    let walk = WalkBuilder::new(root)
        .standard_filters(false)
        .git_ignore(true)
        .require_git(false)
        .filter_entry(|entry| entry.file_name() != ".git")
        .build();
    for entry in walk {
        let entry = entry.map_err(|error| unreadable(root, error))?;
        let Ok(relative) = entry.path().strip_prefix(root) else {
            continue;
        };
        let path = relative.as_os_str().as_bytes().to_vec();
        let is_dir = entry.file_type().is_some_and(|kind| kind.is_dir());
        let is_ignored =
            ignored.as_ref().is_some_and(|rules| rules.matched_path_or_any_parents(relative, is_dir).is_ignore());
        if path.is_empty() || is_ignored {
            continue;
        }
        match look(entry.path())? {
            Found::Leaf(metadata) => listing.add(path, Origin::Tree, metadata.len()),
            Found::Directory => listing.add(path, Origin::Directory, 0),
            Found::Special(kind) => {
                warnings.push(format!("{} is left out: it is {kind}", shown(&path)));
            }
            Found::Nothing => {}
        }
    }
    if root.join(".git").symlink_metadata().is_ok() {
        warnings.push(format!(
            "{} is not a repository that can be read: the folder is taken as it is",
            root.join(".git").display()
        ));
    }
    let info = SourceInfo { location: root.display().to_string(), ..SourceInfo::default() };
    Ok(Workspace::new(info, root.to_owned(), warnings, listing))
}

fn unreadable(root: &Path, error: ignore::Error) -> SourceError {
    let path = path_of(&error).unwrap_or(root).to_owned();
    match error.io_error().map(io::Error::kind) {
        Some(kind) => SourceError::Read { path, source: kind.into() },
        None => SourceError::IgnoreFile { path, source: error },
    }
}

fn path_of(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => path_of(err),
        _ => None,
    }
}
