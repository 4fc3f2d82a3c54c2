//! A repository on this machine: a new one beside it that borrows its objects, with its refs and its configuration.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use gix::bstr::ByteSlice;

use super::{Prepared, Wanted, reopened, resolve, write};
use crate::source::{SourceError, config, worktree};

/// Makes the repository in `target`.
pub(super) fn prepare(path: &Path, target: &Path, wanted: &Wanted<'_>) -> Result<Prepared, SourceError> {
    let folder = path.canonicalize().map_err(|source| SourceError::NoFolder { folder: path.to_owned(), source })?;
    let source = worktree::discover(&folder)?.ok_or_else(|| SourceError::NoRepository { folder: folder.clone() })?;
    let found = resolve::revision(&source, wanted, resolve::Branches::Local)?;

    let failed = |source| SourceError::Repository { folder: folder.clone(), source };
    let git_dir = target.join(".git");
    gix::init(target).map_err(failed)?;
    // The files of the commit are all written, so the copy is not sparse even where the source is.
    let mut configuration = config::sanitised(&source);
    configuration.extend_from_slice(b"\tsparseCheckout = false\n");
    write(&git_dir.join("config"), &configuration)?;
    write(&git_dir.join("packed-refs"), &packed_refs(&source).map_err(failed)?)?;
    let common = source
        .common_dir()
        .canonicalize()
        .map_err(|error| SourceError::Read { path: source.common_dir().to_owned(), source: error })?;
    let store = [common.join("objects").as_os_str().as_bytes(), b"\n"].concat();
    let info = git_dir.join("objects/info");
    std::fs::create_dir_all(&info).map_err(|source| SourceError::Temporary { source })?;
    write(&info.join("alternates"), &store)?;
    match std::fs::read(common.join("shallow")) {
        Ok(bytes) => write(&git_dir.join("shallow"), &bytes)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(source) => {
            return Err(SourceError::Read { path: common.join("shallow"), source });
        }
    }
    let mut repository = reopened(target)?;
    repository.committer_or_set_generic_fallback().map_err(failed)?;
    Ok(Prepared { commit: found.commit, branch: found.branch, repository })
}

/// All refs of the source that name an object, in the form of `packed-refs`.
fn packed_refs(source: &gix::Repository) -> gix::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for reference in source.references()?.all()? {
        let reference = reference?;
        let name = reference.name().as_bstr();
        let is_shared = [b"refs/heads/".as_slice(), b"refs/tags/", b"refs/remotes/"]
            .iter()
            .any(|prefix| name.starts_with_str(prefix));
        if let (true, Some(id)) = (is_shared, reference.try_id()) {
            lines.push((name.to_vec(), id.to_string()));
        }
    }
    lines.sort();
    Ok(lines
        .into_iter()
        .flat_map(|(name, id)| [id.into_bytes(), b" ".to_vec(), name, b"\n".to_vec()].concat())
        .collect())
}
