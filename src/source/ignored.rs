//! Which files git leaves out: what a script names and no job will find.

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use gix::bstr::ByteSlice;
use gix::worktree::stack::state::ignore::Source;

use super::listing::{Found, look};
use super::{SourceError, worktree};

/// Those of `paths` that are on disk, ignored by git and not tracked, in the order given: relative to `root`, a folder of a
/// repository. None where it is in no repository.
///
/// # Errors
/// Where the repository or its ignore rules cannot be read.
pub fn ignored<'a>(root: &Path, paths: &[&'a str]) -> Result<Vec<&'a str>, SourceError> {
    let failed = |source| SourceError::Repository { folder: root.to_owned(), source };
    let there: Vec<&str> = paths.iter().copied().filter(|path| is_there(root, path)).collect();
    let folder = root.canonicalize().map_err(|source| SourceError::NoFolder { folder: root.to_owned(), source })?;
    if there.is_empty() {
        return Ok(there);
    }
    let Some(repository) = worktree::discover(&folder)? else {
        return Ok(Vec::new());
    };
    let Some(prefix) = repository.workdir().and_then(|top| folder.strip_prefix(top.canonicalize().ok()?).ok()) else {
        return Ok(Vec::new());
    };
    let index =
        repository.index_or_empty().map_err(|source| SourceError::Index { path: repository.index_path(), source })?;
    let mut rules = repository.excludes(&index, None, Source::WorktreeThenIdMappingIfNotSkipped).map_err(failed)?;
    let mut found = Vec::new();
    for path in there {
        // Components, so that `./` and `//` in it are gone.
        let full: PathBuf =
            prefix.join(path).components().filter(|part| matches!(part, Component::Normal(_))).collect();
        let mode = folder.join(path).is_dir().then_some(gix::index::entry::Mode::DIR);
        let is_excluded = rules.at_path(&full, mode).map_err(failed)?.is_excluded();
        let name = full.as_os_str().as_bytes();
        let below = [name, b"/"].concat();
        let is_tracked = index.entry_by_path(name.as_bstr()).is_some()
            || index.prefixed_entries(below.as_bstr()).is_some_and(|entries| !entries.is_empty());
        if is_excluded && !is_tracked {
            found.push(path);
        }
    }
    Ok(found)
}

/// Whether the path is one of the tree's own, and something is there.
fn is_there(root: &Path, path: &str) -> bool {
    let is_inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    is_inside && !path.is_empty() && matches!(look(&root.join(path)), Ok(Found::Leaf(_) | Found::Directory))
}
