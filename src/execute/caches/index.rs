//! What caches there are: a file each, held by whoever uses the cache.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

/// The folder of the records, by default `$XDG_CACHE_HOME/argon/caches`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheIndex(PathBuf);

/// What a cache is found by, besides its key: caches of another repository, or of other folders, are others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) scope: String,
    pub(super) paths: Vec<String>,
}

/// A cache that was saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) place: Place,
    pub(super) key: String,
    /// Its layers, the topmost first.
    pub(super) layers: Vec<Layer>,
}

/// A volume that has, for each path of the cache, a folder by its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Layer {
    pub(super) volume: String,
    /// Where it is on the engine's machine.
    pub(super) mountpoint: String,
}

/// A cache in use: nobody removes it for as long as this lives.
#[derive(Debug)]
pub(super) struct Used {
    pub(super) record: Record,
    _lock: File,
}

/// A cache that may be removed.
#[derive(Debug)]
pub(super) struct Unused {
    pub(super) record: Record,
    pub(super) used: SystemTime,
    path: PathBuf,
    _lock: File,
}

/// The right to use a cache alone.
#[derive(Debug)]
pub(super) struct Alone(#[allow(dead_code, reason = "it is kept for its lock")] File);

impl CacheIndex {
    /// This folder. It is made when something is written.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    fn path(&self, place: &Place, key: &str) -> PathBuf {
        let text = format!("{}\n{}\n{key}", place.scope, place.paths.join("\n"));
        self.0.join(format!("{}.json", &blake3::hash(text.as_bytes()).to_hex()[..32]))
    }

    /// The cache of this key.
    pub(super) fn exact(&self, place: &Place, key: &str) -> io::Result<Option<Used>> {
        used(&self.path(place, key))
    }

    /// The newest cache whose key begins so.
    pub(super) fn newest(&self, place: &Place, prefix: &str) -> io::Result<Option<Used>> {
        let mut fitting: Vec<(SystemTime, String)> = self
            .all()?
            .into_iter()
            .filter(|(_, record)| record.place == *place && record.key.starts_with(prefix))
            .map(|(saved, record)| (saved, record.key))
            .collect();
        fitting.sort();
        while let Some((_, key)) = fitting.pop() {
            // It may have been removed meanwhile.
            if let Some(used) = self.exact(place, &key)? {
                return Ok(Some(used));
            }
        }
        Ok(None)
    }

    /// The key that was saved last, for people.
    pub(super) fn last_key(&self, place: &Place) -> io::Result<Option<String>> {
        let of_place = self.all()?.into_iter().filter(|(_, record)| record.place == *place);
        Ok(of_place.max_by_key(|(saved, _)| *saved).map(|(_, record)| record.key))
    }

    /// All caches of a place.
    pub(super) fn of(&self, place: &Place) -> io::Result<Vec<Record>> {
        Ok(self.all()?.into_iter().map(|(_, record)| record).filter(|record| record.place == *place).collect())
    }

    /// Forgets those of the caches whose volumes are not there: somebody removed them from the engine.
    pub(super) fn forget_lost(&self, records: &[Record], volumes: &BTreeSet<String>) {
        for record in records.iter().filter(|record| record.layers.iter().any(|layer| !volumes.contains(&layer.volume)))
        {
            let path = self.path(&record.place, &record.key);
            // One that was saved anew meanwhile is another.
            if used(&path).is_ok_and(|now| now.is_some_and(|now| now.record == *record)) {
                let _ = fs::remove_file(path);
            }
        }
    }

    /// Saves a cache. False where its key was saved by another meanwhile and may not be replaced.
    pub(super) fn save(&self, record: &Record, replace: Replace) -> io::Result<bool> {
        fs::create_dir_all(&self.0)?;
        let path = self.path(&record.place, &record.key);
        let mut file = tempfile::NamedTempFile::new_in(&self.0)?;
        serde_json::to_writer(&mut file, record)?;
        file.flush()?;
        match replace {
            Replace::Yes => file.persist(path).map(|_| true).map_err(Into::into),
            Replace::No => match file.persist_noclobber(path) {
                Ok(_) => Ok(true),
                Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
                Err(error) => Err(error.error),
            },
        }
    }

    /// Takes the right to use a cache alone; `None` while another has it.
    pub(super) fn alone(&self, place: &Place, key: &str) -> io::Result<Option<Alone>> {
        fs::create_dir_all(&self.0)?;
        let path = self.path(place, key).with_extension("lock");
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        Ok(flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok().then_some(Alone(file)))
    }

    /// Whether some cache rests on this volume.
    pub(in crate::execute) fn has_volume(&self, volume: &str) -> io::Result<bool> {
        Ok(self.all()?.iter().any(|(_, record)| record.layers.iter().any(|layer| layer.volume == volume)))
    }

    /// All caches that nobody uses, the one that was used longest ago last.
    pub(super) fn unused(&self) -> io::Result<Vec<Unused>> {
        let mut found = Vec::new();
        for (_, record) in self.all()? {
            let path = self.path(&record.place, &record.key);
            let Some(lock) = opened(&path)? else { continue };
            if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
                let used = lock.metadata()?.modified()?;
                found.push(Unused { record, used, path, _lock: lock });
            }
        }
        found.sort_by_key(|unused| std::cmp::Reverse(unused.used));
        Ok(found)
    }

    /// How many caches there are.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn count(&self) -> io::Result<usize> {
        Ok(self.all()?.len())
    }

    fn all(&self) -> io::Result<Vec<(SystemTime, Record)>> {
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut found = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "json")
                && let Some(mut file) = opened(&path)?
            {
                let saved = file.metadata()?.modified()?;
                // One that is not read is not there: it is written over when it is saved again.
                found.extend(read(&mut file)?.map(|record| (saved, record)));
            }
        }
        Ok(found)
    }
}

impl Unused {
    /// Forgets it.
    pub(super) fn forget(self) -> Record {
        let _ = fs::remove_file(&self.path);
        self.record
    }
}

/// Whether a cache of the same key is written over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replace {
    Yes,
    No,
}

fn used(path: &Path) -> io::Result<Option<Used>> {
    let Some(mut lock) = opened(path)? else { return Ok(None) };
    if flock(&lock, FlockOperation::NonBlockingLockShared).is_err() || !path.exists() {
        return Ok(None);
    }
    let record = read(&mut lock)?;
    let _ = lock.set_modified(SystemTime::now());
    Ok(record.map(|record| Used { record, _lock: lock }))
}

fn read(file: &mut File) -> io::Result<Option<Record>> {
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(serde_json::from_str(&text).ok())
}

fn opened(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str) -> Record {
        let place = Place { scope: "repo".to_owned(), paths: vec!["node_modules".to_owned()] };
        let layers = vec![Layer { volume: format!("v-{key}"), mountpoint: format!("/v/{key}") }];
        Record { place, key: key.to_owned(), layers }
    }

    #[test]
    fn the_key_itself_is_found_then_the_newest_that_begins_so_and_what_is_used_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let index = CacheIndex::new(folder.path().join("caches"));
        let place = record("a").place;
        assert!(index.newest(&place, "npm-").unwrap().is_none());
        for key in ["npm-1", "npm-2", "pip-1"] {
            assert!(index.save(&record(key), Replace::No).unwrap());
            std::thread::sleep(std::time::Duration::from_millis(15));
        }
        assert!(!index.save(&record("npm-1"), Replace::No).unwrap(), "it is there");
        let newest = index.newest(&place, "npm-").unwrap().unwrap();
        assert_eq!(newest.record, record("npm-2"));
        let other = Place { scope: "another".to_owned(), ..place.clone() };
        assert!(index.newest(&other, "npm-").unwrap().is_none());
        let unused: Vec<String> = index.unused().unwrap().into_iter().map(|unused| unused.forget().key).collect();
        assert_eq!(unused.len(), 2, "{unused:?}");
        assert!(index.exact(&place, "npm-2").unwrap().is_some());
        assert!(index.has_volume("v-npm-2").unwrap() && !index.has_volume("v-pip-1").unwrap());
    }

    #[test]
    fn one_at_a_time_has_a_cache_alone() {
        let folder = tempfile::tempdir().unwrap();
        let index = CacheIndex::new(folder.path());
        let place = record("a").place;
        let first = index.alone(&place, "a").unwrap().unwrap();
        assert!(index.alone(&place, "a").unwrap().is_none());
        drop(first);
        assert!(index.alone(&place, "a").unwrap().is_some());
    }
}
