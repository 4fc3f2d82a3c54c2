//! What the store keeps is its owner's alone: what pipelines print, and keep.

use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use super::StoreError;

/// The bit by which everybody may write to a folder, as to `/tmp`.
const STICKY: u32 = 0o1000;

/// Makes the folder for its owner alone. One of ours that others may look into is mended: another made it, for something else.
pub(super) fn folder(path: &Path) -> Result<(), StoreError> {
    let made = || -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        mend(path, &fs::metadata(path)?)
    };
    made().map_err(|source| StoreError::File { what: "make the folder", path: path.to_owned(), source })
}

/// Makes a database that SQLite has open its owner's alone; what SQLite lays beside it has its mode.
///
/// By its name, and never through a descriptor: closing one would let go of all locks that this process has on the file.
pub(super) fn database(path: &Path) -> Result<(), StoreError> {
    let mended = fs::metadata(path).and_then(|found| mend(path, &found));
    mended.map_err(|source| StoreError::File { what: "make private", path: path.to_owned(), source })
}

fn mend(path: &Path, found: &Metadata) -> io::Result<()> {
    let is_ours = found.uid() == rustix::process::geteuid().as_raw();
    let is_open = found.mode() & 0o077 != 0 && found.mode() & STICKY == 0;
    match is_ours && is_open {
        true => fs::set_permissions(path, Permissions::from_mode(found.mode() & 0o700)),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn what_others_may_look_into_is_mended_and_a_folder_of_everybody_is_left_alone() {
        let scratch = tempfile::tempdir().unwrap();
        let (folder_path, file_path) = (scratch.path().join("deep/state"), scratch.path().join("deep/state/x.db"));
        folder(&folder_path).unwrap();
        assert_eq!(mode(&folder_path), 0o700);
        fs::write(&file_path, "").unwrap();
        fs::set_permissions(&folder_path, Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&file_path, Permissions::from_mode(0o644)).unwrap();
        folder(&folder_path).unwrap();
        database(&file_path).unwrap();
        assert_eq!((mode(&folder_path), mode(&file_path)), (0o700, 0o600));
        fs::set_permissions(&folder_path, Permissions::from_mode(0o1777)).unwrap();
        folder(&folder_path).unwrap();
        assert_eq!(mode(&folder_path), 0o1777);
    }
}
