//! Files of a repository on this disk: finding its pipeline file, and reading files that may be hostile. Links that leave the
//! repository, FIFOs and devices are refused.

pub mod includes;

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::pipeline::MAX_BYTES;

/// The name of a pipeline file.
pub const FILE_NAME: &str = ".runnerci.yml";

/// Why a file cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// No folder from here up has a pipeline file.
    #[error("there is no `{FILE_NAME}` in `{}` or the folders above it", from.display())]
    NotFound {
        /// Where the search began.
        from: PathBuf,
        /// A file with nearly that name.
        near: Option<PathBuf>,
    },
    /// There is no such file.
    #[error("there is no file `{}`", path.display())]
    Missing {
        /// Its path.
        path: PathBuf,
    },
    /// Something else is there.
    #[error("`{}` is {kind}, not a file", path.display())]
    NotAFile {
        /// Its path.
        path: PathBuf,
        /// What it is: `a folder`, `a FIFO`, `a device`.
        kind: &'static str,
    },
    /// It is a link that leads out.
    #[error("`{}` is a link to `{}`, outside of the repository `{}`", path.display(), target.display(), root.display())]
    LeavesRepository {
        /// Its path.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
        /// The repository.
        root: PathBuf,
    },
    /// It is larger than is read.
    #[error("`{}` is larger than the {MAX_BYTES} bytes that are read", path.display())]
    TooLarge {
        /// Its path.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("cannot read `{}`", path.display())]
    Unreadable {
        /// Its path.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
}

impl FileError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NotFound { near: Some(near), .. } => {
                format!("rename `{}` to `{FILE_NAME}`, or name it with `--file`", near.display())
            }
            Self::NotFound { near: None, .. } => "write one with `argon init`, or name a file".to_owned(),
            Self::Missing { .. } => "check the path; `argon init` writes a first pipeline".to_owned(),
            Self::NotAFile { kind: "a folder", path } if path.join(FILE_NAME).is_file() => {
                format!("name the file in it: `{}`", path.join(FILE_NAME).display())
            }
            Self::NotAFile { kind: "a folder", .. } => {
                "a pipeline is a file: move the folder away, or name another place with `--file`".to_owned()
            }
            Self::NotAFile { .. } => "name a regular file; `argon validate -` reads standard input".to_owned(),
            Self::LeavesRepository { .. } => "copy the file into the repository".to_owned(),
            Self::TooLarge { .. } => "move long scripts into files of the repository".to_owned(),
            Self::Unreadable { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => "let your user read it: `chmod u+r`".to_owned(),
                _ => format!("the system says: {source}"),
            },
        }
    }
}

/// The pipeline file of a folder: its own, or that of the nearest folder above.
///
/// # Errors
/// Where there is none.
pub fn find(from: &Path) -> Result<PathBuf, FileError> {
    // A link that leads nowhere is found too: reading it says what is wrong.
    let found = from.ancestors().map(|folder| folder.join(FILE_NAME)).find(|path| path.symlink_metadata().is_ok());
    found.ok_or_else(|| {
        let near = [".runnerci.yaml", "runnerci.yml", "runnerci.yaml"]
            .iter()
            .map(|name| from.join(name))
            .find(|path| path.is_file());
        FileError::NotFound { from: from.to_owned(), near }
    })
}

/// The repository that a folder is part of: the nearest from there up that has a `.git`; without one, the folder.
#[must_use]
pub fn root_above(folder: &Path) -> &Path {
    folder.ancestors().find(|above| above.join(".git").exists()).unwrap_or(folder)
}

/// The repository that a file is part of, without links in its path; without one, the file's folder.
#[must_use]
pub fn root_of(path: &Path) -> PathBuf {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    root_above(&folder).to_owned()
}

/// The bytes of a file of the repository at `root`.
///
/// # Errors
/// Where it is no regular file of that repository, or too large.
pub fn read(path: &Path, root: &Path) -> Result<Vec<u8>, FileError> {
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => FileError::Missing { path: path.to_owned() },
        _ => FileError::Unreadable { path: path.to_owned(), source },
    };
    let target = path.canonicalize().map_err(unreadable)?;
    let root = root.canonicalize().map_err(unreadable)?;
    if !target.starts_with(&root) {
        return Err(FileError::LeavesRepository { path: path.to_owned(), target, root });
    }
    let file = open(&target).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(FileError::NotAFile { path: path.to_owned(), kind: describe(metadata.file_type()) });
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > MAX_BYTES {
        return Err(FileError::TooLarge { path: path.to_owned() });
    }
    Ok(bytes)
}

/// The path has no links any more: one that appears now was put there to lead elsewhere. A FIFO must not wait for a writer.
fn open(target: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NOCTTY;
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(target)
}

fn describe(kind: std::fs::FileType) -> &'static str {
    match kind {
        _ if kind.is_dir() => "a folder",
        _ if kind.is_fifo() => "a FIFO",
        _ if kind.is_char_device() || kind.is_block_device() => "a device",
        _ => "something else",
    }
}
