//! What caches there are: a file each, and locks of their volumes for whoever uses them.
//!
//! A volume of a cache is locked by who uses it, from before it is made until after its last job. One that nobody has locked and
//! that no record has is nobody's: so it is known without asking who made it, and whether that is still alive.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::locks::{Exclusive, Locks, Shared};
use crate::pipeline::CacheMode;

/// Held by who changes records, for as long as that takes.
const CHANGES: &str = "changes";

/// The folder of the records, by default `$XDG_CACHE_HOME/argon/caches`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheIndex {
    folder: PathBuf,
    locks: Locks,
}

/// What a cache is found by, besides its key: caches of another repository, of other folders, or that are used in another way,
/// are others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) scope: String,
    pub(super) paths: Vec<String>,
    pub(super) mode: CacheMode,
}

/// A cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) place: Place,
    pub(super) key: String,
    /// When it was saved, in milliseconds since 1970. Nothing where no job that filled it has ended well yet: a shared cache is
    /// one from the begin of its first job on, and is gone when none of those that have it saves it.
    pub(super) saved: Option<u64>,
    /// Its layers, the topmost first.
    pub(super) layers: Vec<Layer>,
}

/// A volume that has, for each path of the cache, a folder by its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Layer {
    pub(super) volume: String,
    /// Where it is on the engine's machine.
    pub(super) mountpoint: String,
    /// How large it was when it was counted.
    pub(super) size: Option<Size>,
}

/// How large a volume is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Size {
    pub(super) bytes: u64,
    /// When that was counted, in milliseconds since 1970.
    pub(super) counted: u64,
}

/// A cache in use: nobody removes it for as long as this lives.
#[derive(Debug)]
pub(super) struct Used {
    pub(super) record: Record,
    _locks: Vec<Shared>,
}

/// What came of asking for a cache.
#[derive(Debug)]
pub(super) enum Taken {
    Used(Used),
    /// Somebody looks whether it can be removed, or it was changed meanwhile: it is to be asked for anew.
    Busy,
}

/// What is noted under a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Noted {
    Cache(Record),
    Nothing,
    /// What cannot be read, such as a power loss leaves. It is written over when the key is saved.
    Broken,
}

/// Whether a cache of the same key is written over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replace {
    Yes,
    No,
}

impl CacheIndex {
    /// This folder. It is made when something is written.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        Self { locks: Locks::new(folder.join("locks")), folder }
    }

    fn name(place: &Place, key: &str) -> String {
        let text = format!("{}\n{:?}\n{}\n{key}", place.scope, place.mode, place.paths.join("\n"));
        blake3::hash(text.as_bytes()).to_hex()[..32].to_owned()
    }

    fn path(&self, place: &Place, key: &str) -> PathBuf {
        self.folder.join(format!("{}.json", Self::name(place, key)))
    }

    /// What is noted under a key. A shared cache that nobody saved and nobody has any more is not.
    pub(super) fn noted(&self, place: &Place, key: &str) -> io::Result<Noted> {
        match read(&self.path(place, key))? {
            Noted::Cache(record) if record.saved.is_none() && self.forget_abandoned(&record)? => Ok(Noted::Nothing),
            noted => Ok(noted),
        }
    }

    /// The cache that was saved last of those whose key begins so.
    pub(super) fn newest(&self, place: &Place, prefix: &str) -> io::Result<Option<Record>> {
        let saved = self.of(place)?.into_iter().filter(|record| record.saved.is_some());
        Ok(saved.filter(|record| record.key.starts_with(prefix)).max_by_key(|record| record.saved))
    }

    /// The key that was saved last, for people.
    pub(super) fn last_key(&self, place: &Place) -> io::Result<Option<String>> {
        Ok(self.newest(place, "")?.map(|record| record.key))
    }

    /// Uses a cache.
    pub(super) fn take(&self, record: &Record) -> io::Result<Taken> {
        let mut locks = Vec::new();
        for layer in &record.layers {
            match self.locks.shared(&layer.volume)? {
                Some(lock) => locks.push(lock),
                None => return Ok(Taken::Busy),
            }
        }
        // Before it was locked its volumes may have been removed.
        let path = self.path(&record.place, &record.key);
        match read(&path)? {
            Noted::Cache(now) if now.is_of_the_volumes_of(record) => {
                // Where that cannot be set, it is removed a little sooner.
                let _ = File::options().append(true).open(&path).map(|file| file.set_modified(SystemTime::now()));
                Ok(Taken::Used(Used { record: now, _locks: locks }))
            }
            _ => Ok(Taken::Busy),
        }
    }

    /// Locks a volume that is to be made, so that it is somebody's from its beginning.
    pub(super) fn begin(&self, volume: &str) -> io::Result<Shared> {
        // Its name is new: nobody else locks it for longer than it takes to find that it is in use.
        loop {
            if let Some(lock) = self.locks.shared(volume)? {
                return Ok(lock);
            }
            std::thread::yield_now();
        }
    }

    /// Notes a cache. False where its key was noted by another meanwhile and may not be replaced.
    pub(super) fn save(&self, record: &Record, replace: Replace) -> io::Result<bool> {
        let _changes = self.locks.wait_exclusive(CHANGES)?;
        let is_there = matches!(read(&self.path(&record.place, &record.key))?, Noted::Cache(_));
        if is_there && replace == Replace::No {
            return Ok(false);
        }
        self.write(record).map(|()| true)
    }

    /// Notes something else of a cache, where it still has the volumes that `known` has.
    pub(super) fn change(&self, known: &Record, to: impl FnOnce(&mut Record)) -> io::Result<bool> {
        let _changes = self.locks.wait_exclusive(CHANGES)?;
        match read(&self.path(&known.place, &known.key))? {
            Noted::Cache(mut now) if now.is_of_the_volumes_of(known) => {
                to(&mut now);
                self.write(&now).map(|()| true)
            }
            _ => Ok(false),
        }
    }

    /// Only for who holds the lock of changes: no half-written file is left to be told from one that is being written.
    fn write(&self, record: &Record) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        serde_json::to_writer(&mut file, record)?;
        file.flush()?;
        // Without it a power loss can leave a file of no bytes under the new name.
        file.as_file().sync_all()?;
        file.persist(self.path(&record.place, &record.key))?;
        Ok(())
    }

    /// Forgets a cache, where it still has these volumes.
    pub(super) fn forget(&self, record: &Record) -> io::Result<bool> {
        let _changes = self.locks.wait_exclusive(CHANGES)?;
        let path = self.path(&record.place, &record.key);
        match read(&path)? {
            Noted::Cache(now) if now.is_of_the_volumes_of(record) => fs::remove_file(path).map(|()| true),
            _ => Ok(false),
        }
    }

    /// Forgets a cache that nobody saved, where nobody has it any more.
    pub(super) fn forget_abandoned(&self, record: &Record) -> io::Result<bool> {
        match self.alone(record)? {
            Some(_alone) => match read(&self.path(&record.place, &record.key))? {
                Noted::Cache(now) if now.saved.is_none() => self.forget(&now),
                _ => Ok(false),
            },
            None => Ok(false),
        }
    }

    /// Forgets those of the caches whose volumes are not there, and gives them: somebody removed them from the engine.
    pub(super) fn forget_lost(&self, records: &[Record], volumes: &BTreeSet<String>) -> io::Result<Vec<Record>> {
        let mut lost = Vec::new();
        for record in records {
            if record.layers.iter().any(|layer| !volumes.contains(&layer.volume)) && self.forget(record)? {
                lost.push(record.clone());
            }
        }
        Ok(lost)
    }

    /// Removes records that cannot be read, and what the writing of records left behind; gives how many records.
    pub(super) fn forget_broken(&self) -> io::Result<usize> {
        if !self.folder.exists() {
            return Ok(0);
        }
        let _changes = self.locks.wait_exclusive(CHANGES)?;
        let mut removed = 0;
        for path in self.files()? {
            if !is_record(&path) {
                fs::remove_file(path)?;
            } else if read(&path)? == Noted::Broken {
                fs::remove_file(path)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Takes the right to write to a cache of `locked`; `None` while another has it.
    pub(super) fn turn(&self, place: &Place, key: &str) -> io::Result<Option<Exclusive>> {
        self.locks.exclusive(&Self::name(place, key))
    }

    /// The order in which a job asks for its turns: two jobs that want the same ones do not wait for one another.
    pub(super) fn order(place: &Place, key: &str) -> impl Ord + use<> {
        Self::name(place, key)
    }

    /// A cache that nobody uses, nor one that rests on it: nobody begins to meanwhile.
    pub(super) fn alone(&self, record: &Record) -> io::Result<Option<Exclusive>> {
        match record.layers.first() {
            Some(top) => self.locks.exclusive(&top.volume),
            None => Ok(None),
        }
    }

    /// A volume that is nobody's, and stays so while the lock is held.
    pub(super) fn nobodys(&self, volume: &str) -> io::Result<Option<Exclusive>> {
        match self.locks.exclusive(volume)? {
            Some(lock) if !self.volumes()?.contains_key(volume) => Ok(Some(lock)),
            _ => Ok(None),
        }
    }

    /// Removes the locks of what is neither noted nor among these volumes.
    pub(super) fn forget_locks(&self, volumes: &BTreeSet<String>) -> io::Result<()> {
        let mut known: BTreeSet<String> = self.volumes()?.into_keys().collect();
        known.extend(self.all()?.iter().map(|(_, record)| Self::name(&record.place, &record.key)));
        for name in self.locks.names()? {
            if name != CHANGES
                && !known.contains(&name)
                && !volumes.contains(&name)
                && let Some(lock) = self.locks.exclusive(&name)?
            {
                lock.remove();
            }
        }
        Ok(())
    }

    /// The caches beyond so many, and beyond so many bytes in all: those that were used longest ago.
    pub(super) fn beyond(&self, most: usize, bytes: u64) -> io::Result<Vec<Record>> {
        let mut all = self.all()?;
        all.sort_by_key(|(used, _)| std::cmp::Reverse(*used));
        let (mut kept, mut volumes) = (0, BTreeMap::new());
        let mut beyond = Vec::new();
        for (_, record) in all {
            // A volume that several have counts once.
            let with: BTreeMap<String, u64> = volumes.clone().into_iter().chain(record.sizes()).collect();
            if kept == most || with.values().sum::<u64>() > bytes {
                beyond.push(record);
            } else {
                (kept, volumes) = (kept + 1, with);
            }
        }
        Ok(beyond)
    }

    /// All caches of a place.
    pub(super) fn of(&self, place: &Place) -> io::Result<Vec<Record>> {
        Ok(self.all()?.into_iter().map(|(_, record)| record).filter(|record| record.place == *place).collect())
    }

    /// The volumes that caches rest on, and how large they are as far as they were counted.
    pub(super) fn volumes(&self) -> io::Result<BTreeMap<String, u64>> {
        Ok(self.all()?.iter().flat_map(|(_, record)| record.sizes()).collect())
    }

    /// How many caches there are, and how many records of some that cannot be read.
    pub(super) fn count(&self) -> io::Result<(usize, usize)> {
        let records = self.files()?.into_iter().filter(|path| is_record(path)).count();
        let caches = self.all()?.len();
        Ok((caches, records.saturating_sub(caches)))
    }

    /// All caches, with when they were used last.
    fn all(&self) -> io::Result<Vec<(SystemTime, Record)>> {
        let mut found = Vec::new();
        for path in self.files()?.into_iter().filter(|path| is_record(path)) {
            if let Noted::Cache(record) = read(&path)? {
                let used = path.metadata().and_then(|metadata| metadata.modified());
                found.push((used.unwrap_or(SystemTime::UNIX_EPOCH), record));
            }
        }
        Ok(found)
    }

    fn files(&self) -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                files.push(entry.path());
            }
        }
        Ok(files)
    }
}

impl Record {
    /// Whether it is the same cache, whatever else is noted of it.
    fn is_of_the_volumes_of(&self, other: &Self) -> bool {
        let volumes = |record: &Self| record.layers.iter().map(|layer| layer.volume.clone()).collect::<Vec<_>>();
        volumes(self) == volumes(other)
    }

    fn sizes(&self) -> impl Iterator<Item = (String, u64)> {
        self.layers.iter().map(|layer| (layer.volume.clone(), layer.size.map_or(0, |size| size.bytes)))
    }
}

/// Now, as records have it.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn is_record(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "json")
}

fn read(path: &Path) -> io::Result<Noted> {
    match fs::read(path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).map_or(Noted::Broken, Noted::Cache)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Noted::Nothing),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
