//! An artifact's files onto a disk: below one folder, through no symlink, owned by who asks.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid, chownat, linkat, mkdirat, openat, symlinkat, unlinkat};
use rustix::io::Errno;
use tar::EntryType;

use super::holes::Holes;
use super::whole::Whole;
use super::{leads_out, parts, shown};

/// Whose the files are to be, where not of who unpacks them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heir {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// Unpacks an artifact below a folder, which is made where it is missing. A file that is there is replaced.
///
/// # Errors
/// Where something is in the way or cannot be written, or the artifact is not what was kept.
pub fn unpack(tar: impl Read, folder: &Path, heir: Option<Heir>) -> io::Result<()> {
    make_top(folder, heir)?;
    let top = openat(rustix::fs::CWD, folder, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut files = HashSet::new();
    let mut archive = tar::Archive::new(Whole::new(tar));
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path_bytes().into_owned();
        let bad = |why: &str| io::Error::other(format!("`{}` {why}", shown(&path)));
        let parts = parts(&path).ok_or_else(|| bad("leads out of the artifact"))?;
        let Some((last, above)) = parts.split_last() else { continue };
        let parent = folders(&top, above, heir).map_err(|error| bad(&format!("cannot be written: {error}")))?;
        let name = OsStr::from_bytes(last);
        let whole = parts.join(&b'/');
        let target = entry.link_name_bytes().map(|target| target.into_owned()).unwrap_or_default();
        match entry.header().entry_type() {
            EntryType::Directory => {
                below(&parent, name, heir)?;
            }
            EntryType::Regular => {
                clear(&parent, name)?;
                let mode = Mode::from_raw_mode(entry.header().mode()? & 0o755 | 0o600);
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let mut file = Holes::new(File::from(openat(&parent, name, flags, mode)?));
                if io::copy(&mut entry, &mut file)? != entry.size() {
                    return Err(bad("breaks off"));
                }
                file.flush()?;
                give(&parent, name, heir)?;
                files.insert(whole);
            }
            EntryType::Symlink => {
                if let Some(why) = leads_out(&whole, &target) {
                    return Err(bad(why));
                }
                clear(&parent, name)?;
                symlinkat(OsStr::from_bytes(&target), &parent, name)?;
                give(&parent, name, heir)?;
                files.remove(&whole);
            }
            EntryType::Link => {
                let first = super::parts(&target).ok_or_else(|| bad("is a link that leads out of the artifact"))?;
                // A file of this artifact alone: a symlink would lead elsewhere from another folder, and what else lies here is its
                // owner's.
                let of_it = files.contains(&first.join(&b'/'));
                let Some((first_name, first_above)) = first.split_last().filter(|_| of_it) else {
                    return Err(bad("is a link to a file that is not in the artifact"));
                };
                let first_parent = folders(&top, first_above, heir)?;
                clear(&parent, name)?;
                linkat(&first_parent, OsStr::from_bytes(first_name), &parent, name, AtFlags::empty())?;
                files.insert(whole);
            }
            _ => return Err(bad("is nothing that an artifact has")),
        }
    }
    archive.into_inner().seen_to_its_end()
}

fn make_top(folder: &Path, heir: Option<Heir>) -> io::Result<()> {
    if let Err(error) = std::fs::create_dir(folder) {
        return match error.kind() {
            io::ErrorKind::AlreadyExists => Ok(()),
            io::ErrorKind::NotFound => match folder.parent() {
                Some(above) => make_top(above, heir).and_then(|()| make_top(folder, heir)),
                None => Err(error),
            },
            _ => Err(error),
        };
    }
    match heir {
        Some(Heir { uid, gid }) => std::os::unix::fs::lchown(folder, Some(uid), Some(gid)),
        None => Ok(()),
    }
}

/// Makes folders one below the other, and opens the last. A symlink in the way is an error, wherever it leads.
fn folders(top: &OwnedFd, parts: &[&[u8]], heir: Option<Heir>) -> io::Result<OwnedFd> {
    let mut at = top.try_clone()?;
    for part in parts {
        at = below(&at, OsStr::from_bytes(part), heir)?;
    }
    Ok(at)
}

fn below(parent: &OwnedFd, name: &OsStr, heir: Option<Heir>) -> io::Result<OwnedFd> {
    match mkdirat(parent.as_fd(), name, Mode::from_raw_mode(0o755)) {
        Ok(()) => give(parent, name, heir)?,
        Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(parent.as_fd(), name, flags, Mode::empty())?)
}

/// Gives what was just made to its heir; a symlink itself, and not what it leads to.
fn give(parent: &OwnedFd, name: &OsStr, heir: Option<Heir>) -> io::Result<()> {
    let Some(Heir { uid, gid }) = heir else { return Ok(()) };
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    Ok(chownat(parent.as_fd(), name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Takes away a file or symlink that is there.
fn clear(parent: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match unlinkat(parent.as_fd(), name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
