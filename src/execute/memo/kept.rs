//! Results on disk: for each job a note, and beside it the tars of its artifacts, each named by the hash of its bytes.
//!
//! The note is written last, and names what it goes with: whatever is cut short, and whoever writes at the same time, a note is
//! whole, and goes with the tars that it names, or is not used. Who reads or writes holds the job's lock.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::rests::{Rests, differences};
use crate::artifact::{Artifact, Depot};

/// The form of what is kept. What has another is not read.
const FORM: u32 = 2;

/// For how long something is kept that is not used.
const UNUSED: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A job's result.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    form: u32,
    pub(super) run: String,
    pub(super) rests: Rests,
    pub(super) outputs: Vec<(String, String)>,
    pub(super) steps: Vec<KeptStep>,
    pub(super) artifacts: Vec<KeptArtifact>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeptStep {
    pub(super) step: usize,
    pub(super) status: KeptStatus,
    pub(super) exit_code: Option<i32>,
    pub(super) duration: Duration,
    /// Masked.
    pub(super) outputs: Vec<(String, String)>,
    /// Masked.
    pub(super) summary: String,
    /// Masked.
    pub(super) log: Vec<(KeptStream, Vec<u8>)>,
}

/// How a step of a job that ended well ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum KeptStatus {
    Success,
    Forgiven,
    NotWanted { condition: String },
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum KeptStream {
    Stdout,
    Stderr,
}

/// An artifact, with the hash of its tar.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeptArtifact {
    pub(super) artifact: Artifact,
    hash: String,
}

impl Kept {
    /// A result without its artifacts: those are added by who keeps it.
    pub(super) fn new(run: &str, rests: Rests, outputs: &[(String, String)], steps: Vec<KeptStep>) -> Self {
        let (run, outputs) = (run.to_owned(), outputs.to_vec());
        Self { form: FORM, run, rests, outputs, steps, artifacts: Vec::new() }
    }
}

/// What is known of a job.
pub(super) enum Known {
    Nothing,
    /// It rested on something else.
    Differs(String),
    /// What was kept is not whole any more.
    Broken(io::Error),
    /// It is as it was; its artifacts are this run's now.
    Same(Box<Kept>),
}

/// Where the result of one job is kept.
#[derive(Debug, Clone)]
pub(super) struct Place {
    folder: PathBuf,
    name: String,
}

impl Place {
    /// That of the job of this name in the repository of this scope.
    pub(super) fn of(folder: &Path, scope: &str, job: &str) -> Self {
        let id = format!("{scope}\n{job}");
        Self { folder: folder.to_owned(), name: blake3::hash(id.as_bytes()).to_hex()[..32].to_owned() }
    }

    fn note(&self) -> PathBuf {
        self.folder.join(format!("{}.job", self.name))
    }

    fn tars(&self) -> PathBuf {
        self.folder.join(format!("{}.d", self.name))
    }

    fn lock(&self) -> PathBuf {
        self.folder.join(format!("{}.lock", self.name))
    }

    /// Looks for a result, and where it is one of `rests`, makes its artifacts this run's.
    /// `lasts` says how long one of a name is kept, from now on: what time it had when it was made may be over.
    pub(super) fn find(&self, rests: &Rests, depot: Option<&Depot>, lasts: &dyn Fn(&str) -> Option<Duration>) -> Known {
        let locked = match Locked::wait(&self.lock(), Want::Read) {
            Ok(Some(locked)) => locked,
            Ok(None) => return Known::Nothing,
            Err(error) => return Known::Broken(error),
        };
        let Some(mut kept) = self.read() else { return Known::Nothing };
        if let Some(why) = differences(&kept.rests, rests) {
            return Known::Differs(why);
        }
        if let Err(error) = self.hand_out(&mut kept, depot, lasts) {
            return Known::Broken(error);
        }
        // What is used is not old; where its time cannot be set, it goes a little sooner.
        let _ = File::open(self.note()).and_then(|note| note.set_modified(SystemTime::now()));
        drop(locked);
        Known::Same(Box::new(kept))
    }

    /// What is kept; `None` where there is nothing that can be read.
    fn read(&self) -> Option<Kept> {
        let bytes = fs::read(self.note()).ok()?;
        postcard::from_bytes(&bytes).ok().filter(|kept: &Kept| kept.form == FORM)
    }

    fn hand_out(
        &self,
        kept: &mut Kept,
        depot: Option<&Depot>,
        lasts: &dyn Fn(&str) -> Option<Duration>,
    ) -> io::Result<()> {
        let Some(depot) = depot.filter(|_| !kept.artifacts.is_empty()) else {
            return match kept.artifacts.is_empty() {
                true => Ok(()),
                false => Err(io::Error::other("there is no home to keep artifacts in")),
            };
        };
        let tar = |kept: &KeptArtifact| self.tars().join(format!("{}.tar", kept.hash));
        // All of them first: one that is broken must not leave others of an earlier run with this one.
        for artifact in &kept.artifacts {
            if hash_of(&tar(artifact))? != artifact.hash {
                return Err(io::Error::other(format!("its artifact {} was changed", artifact.artifact.name)));
            }
        }
        for artifact in &mut kept.artifacts {
            artifact.artifact = depot.adopt(&artifact.artifact, &tar(artifact), lasts(&artifact.artifact.name))?;
        }
        Ok(())
    }

    /// Keeps a result with these artifacts.
    pub(super) fn keep(&self, mut kept: Kept, artifacts: Vec<Artifact>, depot: Option<&Depot>) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        forget_old(&self.folder);
        let _locked = Locked::wait(&self.lock(), Want::Write)?;
        if let Some(depot) = depot.filter(|_| !artifacts.is_empty()) {
            fs::create_dir_all(self.tars())?;
            for artifact in artifacts {
                let hash = hash_of(&depot.tar(&artifact))?;
                let tar = self.tars().join(format!("{hash}.tar"));
                // One that is there may be half of it: a copy that was cut short.
                if hash_of(&tar).ok().as_ref() != Some(&hash) {
                    depot.lend(&artifact, &tar)?;
                    File::open(&tar)?.sync_all()?;
                }
                kept.artifacts.push(KeptArtifact { artifact, hash });
            }
            File::open(self.tars())?.sync_all()?;
        }
        let mut note = tempfile::NamedTempFile::new_in(&self.folder)?;
        note.write_all(&postcard::to_stdvec(&kept).map_err(io::Error::other)?)?;
        note.as_file().sync_all()?;
        note.persist(self.note())?;
        File::open(&self.folder)?.sync_all()?;
        self.tidy(&kept);
        Ok(())
    }

    /// Removes tars that no note names any more. One that stays costs its size until the next time.
    fn tidy(&self, kept: &Kept) {
        for entry in fs::read_dir(self.tars()).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_named = |artifact: &KeptArtifact| path.file_stem().is_some_and(|stem| *stem == *artifact.hash);
            if !kept.artifacts.iter().any(is_named) {
                let _ = fs::remove_file(path);
            }
        }
    }

    /// Removes all of it, unless somebody is at it.
    fn forget(&self) -> io::Result<()> {
        let Some(_locked) = Locked::wait(&self.lock(), Want::Remove)? else { return Ok(()) };
        for removed in [fs::remove_file(self.note()), fs::remove_dir_all(self.tars()), fs::remove_file(self.lock())] {
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// What a lock is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Want {
    /// Where there is one.
    Read,
    Write,
    /// Where nobody else has it.
    Remove,
}

/// A lock that is held: the kernel lets go of it when its process dies.
#[derive(Debug)]
struct Locked(#[allow(dead_code, reason = "it is kept for its lock")] File);

impl Locked {
    fn wait(path: &Path, want: Want) -> io::Result<Option<Self>> {
        loop {
            let opened = match want {
                Want::Read => File::open(path),
                Want::Write | Want::Remove => File::options().create(true).append(true).open(path),
            };
            let file = match opened {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            };
            match want {
                Want::Read => file.lock_shared()?,
                Want::Write => file.lock()?,
                Want::Remove => match file.try_lock() {
                    Ok(()) => {}
                    Err(fs::TryLockError::WouldBlock) => return Ok(None),
                    Err(fs::TryLockError::Error(error)) => return Err(error),
                },
            }
            // Whoever had it may have removed it: then it is nobody's lock.
            let held = file.metadata()?.ino();
            if fs::metadata(path).is_ok_and(|now| now.ino() == held) {
                return Ok(Some(Self(file)));
            }
        }
    }
}

fn hash_of(path: &Path) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// The results of a folder, with when each was used last.
fn places(folder: &Path) -> impl Iterator<Item = (Place, Option<SystemTime>)> {
    fs::read_dir(folder).into_iter().flatten().flatten().filter_map(move |entry| {
        let path = entry.path();
        if path.extension()? != "job" {
            return None;
        }
        let used = entry.metadata().and_then(|file| file.modified()).ok();
        Some((Place { folder: path.parent()?.to_owned(), name: path.file_stem()?.to_str()?.to_owned() }, used))
    })
}

/// Removes what was not used for long. What cannot be removed is tried again the next time.
fn forget_old(folder: &Path) {
    let old = SystemTime::now().checked_sub(UNUSED).unwrap_or(SystemTime::UNIX_EPOCH);
    for (place, _) in places(folder).filter(|(_, used)| used.is_some_and(|used| used < old)) {
        let _ = place.forget();
    }
}

/// Removes all that is kept and that nobody is at; gives how many results.
///
/// # Errors
/// Where something cannot be removed.
pub fn forget_results(folder: &Path) -> io::Result<usize> {
    let mut removed = 0;
    for (place, _) in places(folder) {
        place.forget()?;
        removed += 1;
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::Limits;

    struct Home {
        scratch: tempfile::TempDir,
        place: Place,
    }

    impl Home {
        fn new() -> Self {
            let scratch = tempfile::tempdir().unwrap();
            let place = Place::of(&scratch.path().join("jobs"), "scope", "job");
            Self { scratch, place }
        }

        /// A run's artifacts of these contents, each of one file.
        fn depot(&self, run: &str, contents: &[&str]) -> (Depot, Vec<Artifact>) {
            let depot = Depot::new(self.scratch.path().join(run));
            let artifacts = contents.iter().enumerate().map(|(number, content)| {
                let mut begun = depot.begin("job", &format!("a{number}"), Limits::default()).unwrap();
                let mut tar = tar::Builder::new(Vec::new());
                let mut header = tar::Header::new_gnu();
                header.set_size(content.len() as u64);
                header.set_mode(0o644);
                tar.append_data(&mut header, "out", content.as_bytes()).unwrap();
                let tar = tar.into_inner().unwrap();
                begun.intake.take(tar.as_slice(), "", &|_| true).unwrap();
                begun.keep(None).unwrap().unwrap()
            });
            let artifacts = artifacts.collect();
            (depot, artifacts)
        }

        fn keep(&self, run: &str, contents: &[&str]) {
            let (depot, artifacts) = self.depot(run, contents);
            let outputs = [("it".to_owned(), contents.join(" "))];
            let kept = Kept::new(run, Rests::new(), &outputs, Vec::new());
            self.place.keep(kept, artifacts, Some(&depot)).unwrap();
        }

        /// What a later run finds: its outputs, and its artifacts' tars.
        fn found(&self) -> Result<(String, Vec<String>), String> {
            let depot = Depot::new(self.scratch.path().join("later"));
            match self.place.find(&Rests::new(), Some(&depot), &|_| None) {
                Known::Same(kept) => {
                    let listed = depot.list().unwrap();
                    let tars = listed.iter().map(|one| fs::read(depot.tar(one)).unwrap());
                    let tars = tars.map(|tar| String::from_utf8_lossy(&tar).into_owned()).collect();
                    Ok((kept.outputs[0].1.clone(), tars))
                }
                Known::Broken(error) => Err(error.to_string()),
                Known::Nothing => Err("nothing".to_owned()),
                Known::Differs(why) => Err(why),
            }
        }
    }

    #[test]
    fn what_is_cut_short_between_artifacts_and_note_leaves_the_old_result_whole() {
        let home = Home::new();
        home.keep("one", &["first-content"]);
        let note = fs::read(home.place.note()).unwrap();
        home.keep("two", &["second-content"]);
        // As a kill before the last rename leaves it: the new tars, and the old note. The old tar is tidied away after that.
        let (depot, artifacts) = home.depot("one", &["first-content"]);
        let hash = hash_of(&depot.tar(&artifacts[0])).unwrap();
        depot.lend(&artifacts[0], &home.place.tars().join(format!("{hash}.tar"))).unwrap();
        fs::write(home.place.note(), note).unwrap();
        let (outputs, tars) = home.found().unwrap();
        assert_eq!(outputs, "first-content");
        assert!(tars.len() == 1 && tars[0].contains("first-content"), "{tars:?}");
    }

    #[test]
    fn an_artifact_that_is_gone_or_changed_is_not_handed_out() {
        let home = Home::new();
        home.keep("one", &["first-content", "other-content"]);
        assert!(home.found().is_ok(), "the control");
        let tar = fs::read_dir(home.place.tars()).unwrap().next().unwrap().unwrap().path();
        fs::remove_file(&tar).unwrap();
        assert!(home.found().is_err());
        fs::write(&tar, "half").unwrap();
        assert!(home.found().unwrap_err().contains("was changed"));
        home.keep("two", &["first-content", "other-content"]);
        assert!(home.found().is_ok(), "the next that ends well mends it");
    }

    #[test]
    fn of_runs_that_end_at_once_one_is_kept_whole() {
        let home = Home::new();
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let home = &home;
                scope.spawn(move || {
                    for turn in 0..10 {
                        home.keep(&format!("run-{writer}"), &[format!("content-{writer}-{turn}").as_str()]);
                    }
                });
            }
            for _ in 0..40 {
                let known =
                    home.place.find(&Rests::new(), Some(&Depot::new(home.scratch.path().join("reader"))), &|_| None);
                assert!(!matches!(known, Known::Broken(_) | Known::Differs(_)));
            }
        });
        let (outputs, tars) = home.found().unwrap();
        assert!(tars.len() == 1 && tars[0].contains(&outputs), "{outputs}: {tars:?}");
        assert_eq!(fs::read_dir(home.place.tars()).unwrap().count(), 1, "no tar is left that no note names");
        assert_eq!(forget_results(&home.place.folder).unwrap(), 1);
        assert_eq!(fs::read_dir(&home.place.folder).unwrap().count(), 0);
    }
}
