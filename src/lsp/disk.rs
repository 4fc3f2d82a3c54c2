//! Files on disk, as far as a pipeline may reach them: regular ones of its repository. And the way between paths and URIs.

use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use lsp_types::Uri;

use crate::pipeline::IncludeError;
use crate::repository::{self, FileError};

/// The names of a pipeline file, the first one preferred.
pub(super) const PIPELINE_NAMES: [&str; 2] = [".runnerci.yml", ".runnerci.yaml"];

/// Whether a path is called as a pipeline file is.
pub(super) fn is_pipeline(path: &Path) -> bool {
    path.file_name().is_some_and(|name| PIPELINE_NAMES.iter().any(|known| name == *known))
}

/// The repository that a file is part of; without one, its folder. Links stay as the editor knows them.
pub(super) fn repository_root(path: &Path) -> PathBuf {
    repository::root_above(path.parent().unwrap_or(Path::new("/"))).to_owned()
}

/// The content of a file of the repository at `root`.
///
/// # Errors
/// Where it is no regular file of that repository, or too large.
pub(super) fn read(path: &Path, root: &Path) -> Result<Vec<u8>, IncludeError> {
    repository::read(path, root).map_err(|error| IncludeError { help: error.hint(), message: reason(&error) })
}

/// Why, beside an `include` that names the file already.
fn reason(error: &FileError) -> String {
    match error {
        FileError::Missing { .. } => "there is no such file".to_owned(),
        FileError::LeavesRepository { .. } => "it is a link that leads out of the repository".to_owned(),
        FileError::NotAFile { kind, .. } => format!("it is {kind}, not a file"),
        FileError::Unreadable { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
            "it may not be read".to_owned()
        }
        error => error.to_string(),
    }
}

/// The path of a `file:` URI.
pub(super) fn path_of(uri: &Uri) -> Option<PathBuf> {
    let rest = uri.as_str().strip_prefix("file://")?;
    // A host may stand before the path: this one's.
    let path = &rest[rest.find('/')?..];
    let bytes = path.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = path.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (bytes[at], digits) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 3;
            }
            (byte, _) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    Some(PathBuf::from(std::ffi::OsString::from_vec(decoded)))
}

/// The `file:` URI of an absolute path.
pub(super) fn uri_of(path: &Path) -> Option<Uri> {
    let mut uri = String::from("file://");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' => uri.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(*byte)),
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    Uri::from_str(&uri).ok()
}

/// What a document is known by: clients do not agree on which characters of a URI they escape.
pub(super) fn identity(uri: &Uri) -> String {
    path_of(uri).and_then(|path| uri_of(&path)).map_or_else(|| uri.as_str().to_owned(), |uri| uri.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_uris_are_two_ways_to_say_one_thing() {
        for path in ["/a/b c/.runnerci.yml", "/ä/100%/x", "/a:b/@c"] {
            let uri = uri_of(Path::new(path)).unwrap();
            assert_eq!(path_of(&uri).unwrap(), Path::new(path), "{}", uri.as_str());
        }
        let loose = Uri::from_str("file://localhost/a:b/%63").unwrap();
        assert_eq!(identity(&loose), "file:///a%3Ab/c");
        assert_eq!(path_of(&Uri::from_str("untitled:Untitled-1").unwrap()), None);
    }
}
