//! Whether a state folder can be used: found out without changing anything of it, also while a listener uses it.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access as Right, access};

use super::{StateDir, StoreError, access as logins, database, history, queue};
use crate::causes::with_causes;

/// A database that is damaged. Whoever opens it to use it moves it aside, and begins a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// The database.
    pub path: PathBuf,
    /// What SQLite says.
    pub why: String,
}

impl std::fmt::Display for Damaged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.path.display();
        write!(f, "{}: a listener that begins moves `{path}` aside, and makes a new one", self.why)
    }
}

/// Looks at the folder and its databases. Gives those that are damaged.
///
/// # Errors
/// Where one cannot be read, or was written by a newer argon; or the folder cannot be written to.
pub fn inspect(dir: &StateDir) -> Result<Vec<Damaged>, StoreError> {
    can_be_written(dir.path())?;
    let databases =
        [(dir.history(), history::MIGRATIONS), (dir.queue(), queue::MIGRATIONS), (dir.access(), logins::MIGRATIONS)];
    let mut damaged = Vec::new();
    for (path, migrations) in databases {
        match database::inspect(&path, migrations) {
            Err(error) if error.is_damage() => {
                damaged.push(Damaged { path, why: with_causes(&error).trim().to_owned() });
            }
            looked => looked?,
        }
    }
    Ok(damaged)
}

/// Whether files can be made in it; where it is not there, in what it would be made in.
fn can_be_written(folder: &Path) -> Result<(), StoreError> {
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(folder);
    // A path without a folder before it counts from where the process is.
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    let refused = |source| StoreError::File { what: "write to the folder", path: there.to_owned(), source };
    if !there.is_dir() {
        return Err(refused(io::ErrorKind::NotADirectory.into()));
    }
    access(there, Right::WRITE_OK | Right::EXEC_OK).map_err(|error| refused(error.into()))
}
