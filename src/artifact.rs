//! Artifacts: files out of a container, which may be hostile, into a file of their own; and from there to whoever wants them.
//!
//! What a container hands out is a tar that nothing is believed of. It is read as it comes, and what is kept is written anew:
//! plain files, folders and symlinks, each once, each inside. Anything else refuses the whole. What is kept is no more
//! believed when it is unpacked: no path leads through a symlink, and nothing is written outside.

mod digest;
mod holes;
mod intake;
mod unpack;
mod whole;

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

pub use digest::content_hash;
use holes::Holes;
pub use intake::{Intake, Limits, Refused};
pub use unpack::{Heir, unpack};

/// The folder of one run's artifacts: for each a tar, and a note of what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Depot(PathBuf);

/// An artifact that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// What it is asked for by.
    pub name: String,
    /// The job that it is of.
    pub job: String,
    /// Files and symlinks.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Until when it is kept, in seconds since 1970; as long as its run where not said.
    pub until: Option<u64>,
    /// The stem of its two files.
    file: String,
}

impl Artifact {
    /// What tells it from the others of its run: a word that may stand in an address.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.file
    }
}

impl Depot {
    /// This folder. It is made when something is kept.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// Begins to keep an artifact of a job. One of the same name that an earlier try of the job left is written over.
    ///
    /// # Errors
    /// Where the folder cannot be written to.
    pub fn begin(&self, job: &str, name: &str, limits: Limits) -> io::Result<Begun> {
        private_folder(&self.0)?;
        // Names are people's: they are in the note, and not in a path.
        let file = blake3::hash(format!("{job}\n{name}").as_bytes()).to_hex()[..32].to_owned();
        let tar = tempfile::NamedTempFile::new_in(&self.0)?;
        let intake = Intake::new(Holes::new(tar.reopen()?), limits);
        Ok(Begun { depot: self.clone(), job: job.to_owned(), name: name.to_owned(), file, tar, intake })
    }

    /// What is kept, by job and name. What is past its time is not.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn list(&self) -> io::Result<Vec<Artifact>> {
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut found = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                let note: Option<Artifact> = serde_json::from_slice(&fs::read(&path)?).ok();
                found.extend(note.filter(|artifact| !artifact.is_over()));
            }
        }
        found.sort_by(|one, other| (&one.job, &one.name).cmp(&(&other.job, &other.name)));
        Ok(found)
    }

    /// The tar of an artifact.
    #[must_use]
    pub fn tar(&self, artifact: &Artifact) -> PathBuf {
        self.0.join(format!("{}.tar", artifact.file))
    }

    /// Gives an artifact's tar another name as well, elsewhere.
    ///
    /// # Errors
    /// Where it cannot be written there.
    pub fn lend(&self, artifact: &Artifact, to: &Path) -> io::Result<()> {
        linked(&self.tar(artifact), to)
    }

    /// Keeps an artifact whose tar lies elsewhere, for so long from now on.
    ///
    /// # Errors
    /// Where it is not there any more, or cannot be written here.
    pub fn adopt(&self, artifact: &Artifact, from: &Path, lasts: Option<Duration>) -> io::Result<Artifact> {
        let artifact = Artifact { until: until(lasts), ..artifact.clone() };
        private_folder(&self.0)?;
        linked(from, &self.tar(&artifact))?;
        self.note(&artifact)?;
        Ok(artifact)
    }

    /// Removes an artifact. One that is gone is gone.
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub fn remove(&self, artifact: &Artifact) -> io::Result<()> {
        // The note first: one without a tar would be a promise.
        for path in [self.0.join(format!("{}.json", artifact.file)), self.tar(artifact)] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn note(&self, artifact: &Artifact) -> io::Result<()> {
        let mut note = tempfile::NamedTempFile::new_in(&self.0)?;
        serde_json::to_writer(&mut note, artifact)?;
        note.flush()?;
        note.persist(self.0.join(format!("{}.json", artifact.file)))?;
        Ok(())
    }

    /// Removes what is past its time; gives how many.
    ///
    /// # Errors
    /// Where the folder cannot be read, or something not be removed.
    pub fn prune(&self) -> io::Result<usize> {
        let Ok(entries) = fs::read_dir(&self.0) else { return Ok(0) };
        let mut removed = 0;
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let note: Option<Artifact> = serde_json::from_slice(&fs::read(&path)?).ok();
            if let Some(artifact) = note.filter(Artifact::is_over) {
                self.remove(&artifact)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Removes what belongs to no artifact, and the folder where it has none: of a run that is over.
    ///
    /// # Errors
    /// Where the folder cannot be read, or something not be removed.
    pub fn tidy(&self) -> io::Result<()> {
        let Ok(entries) = fs::read_dir(&self.0) else { return Ok(()) };
        for entry in entries {
            let path = entry?.path();
            if !path.with_extension("json").exists() {
                fs::remove_file(path)?;
            }
        }
        match fs::remove_dir(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => Err(error),
            _ => Ok(()),
        }
    }

    /// How many bytes of the disk it takes.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn bytes_on_disk(&self) -> io::Result<u64> {
        let mut bytes = 0;
        for entry in fs::read_dir(&self.0)? {
            bytes += entry?.metadata()?.blocks() * 512;
        }
        Ok(bytes)
    }
}

impl Artifact {
    fn is_over(&self) -> bool {
        self.until.is_some_and(|until| until <= now())
    }
}

/// A second name for a file, where the disk can; else a copy. Neither is ever written to again.
fn linked(from: &Path, to: &Path) -> io::Result<()> {
    let _ = fs::remove_file(to);
    match fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        Err(_) => fs::copy(from, to).map(|_| ()),
    }
}

/// Makes a folder, and those above it, for their owner alone.
fn private_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn until(lasts: Option<Duration>) -> Option<u64> {
    lasts.map(|lasts| now().saturating_add(lasts.as_secs()))
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// An artifact that is being taken in.
#[allow(missing_debug_implementations, reason = "its intake has none")]
pub struct Begun {
    depot: Depot,
    job: String,
    name: String,
    file: String,
    tar: tempfile::NamedTempFile,
    /// Where it is taken in.
    pub intake: Intake<Holes>,
}

impl Begun {
    /// Keeps what was taken in; `None` where that is nothing.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn keep(self, lasts: Option<Duration>) -> io::Result<Option<Artifact>> {
        let (files, bytes) = (self.intake.files(), self.intake.bytes());
        self.intake.finish()?;
        if files == 0 {
            return Ok(None);
        }
        let until = until(lasts);
        let artifact = Artifact { name: self.name, job: self.job, files, bytes, until, file: self.file };
        // The tar first: a note without one would be a promise.
        self.tar.persist(self.depot.tar(&artifact))?;
        self.depot.note(&artifact)?;
        Ok(Some(artifact))
    }
}

/// The parts of a path of an archive, where it leads inside: relative, without `..`, none empty.
fn parts(path: &[u8]) -> Option<Vec<&[u8]>> {
    if path.starts_with(b"/") || path.contains(&0) {
        return None;
    }
    let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    (!parts.contains(&b"..".as_slice())).then_some(parts)
}

/// Why a symlink of this name that says `target` may lead out; `None` where it stays inside.
///
/// Folders above a name are folders and no symlinks, so `..` at the beginning is counted by them. Behind a name it is not: that
/// may be a symlink, and what is above its end is not what is above its name. Where each holds to this, no chain of them leads out.
fn leads_out(name: &[u8], target: &[u8]) -> Option<&'static str> {
    const OUT: Option<&str> = Some("is a symlink that leads out of the artifact");
    if target.starts_with(b"/") || target.is_empty() || target.contains(&0) {
        return OUT;
    }
    let mut above = name.iter().filter(|byte| **byte == b'/').count();
    let mut is_below_a_name = false;
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if is_below_a_name => {
                return Some("is a symlink with `..` behind a name, so it may lead out of the artifact");
            }
            b".." if above == 0 => return OUT,
            b".." => above -= 1,
            _ => is_below_a_name = true,
        }
    }
    None
}

/// A path for people.
fn shown(path: &[u8]) -> String {
    path.escape_ascii().to_string()
}

/// Where a depot is, for people.
impl AsRef<Path> for Depot {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}
