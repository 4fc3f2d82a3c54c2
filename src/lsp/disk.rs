//! Files on disk, as far as a pipeline may reach them: regular ones of its repository. And the way between paths and URIs.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use lsp_types::Uri;

use crate::pipeline::{IncludeError, MAX_BYTES};

/// The names of a pipeline file, the first one preferred.
pub(super) const PIPELINE_NAMES: [&str; 2] = [".runnerci.yml", ".runnerci.yaml"];

/// Whether a path is called as a pipeline file is.
pub(super) fn is_pipeline(path: &Path) -> bool {
    path.file_name().is_some_and(|name| PIPELINE_NAMES.iter().any(|known| name == *known))
}

/// The repository that a file is part of; without one, its folder.
pub(super) fn repository_root(path: &Path) -> PathBuf {
    let folder = path.parent().unwrap_or(Path::new("/"));
    folder.ancestors().find(|above| above.join(".git").exists()).unwrap_or(folder).to_owned()
}

/// The content of a file of the repository at `root`; of one that is too large, enough to see that it is.
///
/// # Errors
/// Where it is no regular file of that repository.
pub(super) fn read(path: &Path, root: &Path) -> Result<Vec<u8>, IncludeError> {
    let target = path.canonicalize().map_err(|error| unreadable(&error))?;
    let root = root.canonicalize().map_err(|error| unreadable(&error))?;
    if !target.starts_with(&root) {
        return Err(IncludeError {
            message: "it is a link that leads out of the repository".to_owned(),
            help: "copy the file into the repository".to_owned(),
        });
    }
    let file = open(&target).map_err(|error| unreadable(&error))?;
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Err(IncludeError {
            message: "it is no regular file".to_owned(),
            help: "name a file of the repository".to_owned(),
        });
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    Ok(bytes)
}

/// The path has no links any more: one that appears now was put there to lead elsewhere. A FIFO must not wait for a writer.
fn open(target: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NOCTTY;
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(target)
}

fn unreadable(error: &io::Error) -> IncludeError {
    let (message, help) = match error.kind() {
        io::ErrorKind::NotFound => {
            ("there is no such file", "check the path: it counts from the top of the repository")
        }
        io::ErrorKind::PermissionDenied => ("it may not be read", "let your user read it: `chmod u+r`"),
        _ => return IncludeError { message: error.to_string(), help: "check the file".to_owned() },
    };
    IncludeError { message: message.to_owned(), help: help.to_owned() }
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
