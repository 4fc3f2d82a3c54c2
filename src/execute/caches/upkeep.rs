//! What is done about caches when the jobs of a run are: they are counted, made flat, and removed where they are too many.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::index::{CacheIndex, Layer, Noted, Place, Record, Size, now};
use super::layers::{Maker, NotCopied};
use super::{NotCached, taken};
use crate::engine::{Engine, EngineError, OwnedVolume, Purpose};
use crate::event::{Event, Level};
use crate::execute::Context;
use crate::execute::kept::{NotKept, remove_volume};
use crate::pipeline::CacheMode;

/// A cache of more layers is made one volume.
const DEEP: usize = 8;

/// How many caches are kept.
const KEPT: usize = 64;

/// How much they may have together, in bytes.
const KEPT_BYTES: u64 = 20 * 1024 * 1024 * 1024;

/// How long all of it may take.
const LIMIT: Duration = Duration::from_secs(300);

/// How long a shared cache is taken to be as large as it was, in milliseconds: its jobs write to it, also after it was saved.
const RECOUNTED: u64 = 60 * 60 * 1000;

/// The caches that the jobs of a run saved.
#[derive(Default)]
pub(in crate::execute) struct Upkeep(Mutex<Vec<Due>>);

struct Due {
    /// One that the engine has.
    image: String,
    place: Place,
    key: String,
}

/// What there is of caches, for people.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Account {
    /// Caches that are noted.
    pub caches: usize,
    /// The volumes that they rest on.
    pub volumes: usize,
    /// Bytes in those, as far as they were counted.
    pub bytes: u64,
    /// Records that cannot be read.
    pub broken: usize,
    /// Volumes on the engine that would be noted here, and that no cache has and nobody uses.
    pub orphans: usize,
}

impl Upkeep {
    pub(super) fn note(&self, image: &str, record: &Record) {
        let due = Due { image: image.to_owned(), place: record.place.clone(), key: record.key.clone() };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(due);
    }
}

/// Does what is due, once a run. A stop ends it: what is left undone is done by a later run.
pub(in crate::execute) async fn keep_up<E: Engine>(context: &Context<E>) {
    let due = std::mem::take(&mut *context.upkeep.0.lock().unwrap_or_else(PoisonError::into_inner));
    let (Some(index), Some(first)) = (&context.settings.caches, due.first()) else { return };
    let mut stop = context.stopper.watch().beyond_fail_fast();
    let maker = Maker { context, image: &first.image, owner: None };
    let work = async {
        for due in &due {
            flatten(&maker, index, due).await?;
        }
        count(&maker, index, &due).await?;
        let removed = tidy(&*context.engine, index, KEPT, KEPT_BYTES).await?;
        let volumes = context.engine.owned_volumes().await?;
        collect(&*context.engine, index, &context.settings.keeper(), &volumes).await?;
        Ok::<usize, NotUpheld>(removed)
    };
    let message = tokio::select! {
        biased;
        _ = stop.stopped() => return,
        done = work => match done {
            Ok(0) => return,
            Ok(removed) => format!("removed {removed} of the caches that were used longest ago"),
            Err(error) => format!("caches could not be seen to: {error}"),
        },
        () = tokio::time::sleep(LIMIT) => "caches could not be seen to: it took too long".to_owned(),
    };
    context.emit(Event::Notice { level: Level::Debug, job: None, message }).await;
}

/// Why upkeep stopped.
#[derive(Debug, thiserror::Error)]
enum NotUpheld {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Kept(#[from] NotKept),
    #[error(transparent)]
    Note(#[from] std::io::Error),
    #[error("{0}")]
    Layers(String),
}

impl From<NotCached> for NotUpheld {
    fn from(error: NotCached) -> Self {
        match error {
            NotCached::Broken(broken) => Self::Layers(broken.words()),
            NotCached::Without(why) => Self::Layers(why),
        }
    }
}

/// Makes one volume of a cache that has many. Who has it goes on with those.
async fn flatten<E: Engine>(maker: &Maker<'_, E>, index: &CacheIndex, due: &Due) -> Result<(), NotUpheld> {
    let Some(used) = taken(index, || noted(index, due)).await? else { return Ok(()) };
    if used.record.layers.len() <= DEEP {
        return Ok(());
    }
    let folders = due.place.paths.len();
    let maker = Maker { image: &due.image, ..*maker };
    let (flat, _lock) = maker.layer(index, folders).await?;
    maker.copy(&used.record.layers, &flat, folders).await?;
    let volume = flat.volume.clone();
    if index.change(&used.record, |record| record.layers = vec![flat])? {
        maker.context.kept.keep_after_all(&volume);
    }
    Ok(())
}

fn noted(index: &CacheIndex, due: &Due) -> std::io::Result<Option<Record>> {
    Ok(match index.noted(&due.place, &due.key)? {
        Noted::Cache(record) => Some(record),
        Noted::Nothing | Noted::Broken => None,
    })
}

/// Counts what is in the volumes that nobody counted yet.
async fn count<E: Engine>(maker: &Maker<'_, E>, index: &CacheIndex, due: &[Due]) -> Result<(), NotUpheld> {
    let mut used = Vec::new();
    for due in due {
        used.extend(taken(index, || noted(index, due)).await?);
    }
    let uncounted = |used: &super::Used| {
        let mode = used.record.place.mode;
        let layers = used.record.layers.iter().filter(move |layer| !is_counted(layer, mode));
        layers.map(|layer| layer.volume.clone()).collect::<Vec<_>>()
    };
    let volumes: Vec<String> = used.iter().flat_map(uncounted).collect::<BTreeSet<_>>().into_iter().collect();
    if volumes.is_empty() {
        return Ok(());
    }
    let sizes: BTreeMap<String, u64> = match maker.sizes(&volumes).await {
        Ok(bytes) => volumes.into_iter().zip(bytes).collect(),
        // An image without `du`. The engine can count, too, but counts all volumes that it has.
        Err(NotCopied::Failed(_)) => maker.context.engine.volume_sizes().await?,
        Err(NotCopied::Engine(error)) => return Err(error.into()),
    };
    for used in &used {
        index.change(&used.record, |record| {
            for layer in &mut record.layers {
                if let Some(bytes) = sizes.get(&layer.volume) {
                    layer.size = Some(Size { bytes: *bytes, counted: now() });
                }
            }
        })?;
    }
    Ok(())
}

/// Whether it is known how large a layer is.
pub(super) fn is_counted(layer: &Layer, mode: CacheMode) -> bool {
    match (layer.size, mode) {
        (None, _) => false,
        (Some(size), CacheMode::Shared) => now().saturating_sub(size.counted) < RECOUNTED,
        (Some(_), CacheMode::Private | CacheMode::Locked) => true,
    }
}

/// Removes caches beyond so many and so many bytes, those that were used longest ago; gives how many. Also removes what is noted
/// of some and cannot be read. What is in use stays.
///
/// # Errors
/// Where the engine refuses, or the records cannot be read.
pub async fn tidy<E: Engine>(engine: &E, index: &CacheIndex, most: usize, bytes: u64) -> Result<usize, NotKept> {
    let mut removed = index.forget_broken()?;
    for record in index.beyond(most, bytes)? {
        // Who has the topmost layer alone is the only one who has the cache.
        let Some(alone) = index.alone(&record)? else { continue };
        if !index.forget(&record)? {
            continue;
        }
        removed += 1;
        drop(alone);
        if let Some(turn) = index.turn(&record.place, &record.key)? {
            turn.remove();
        }
        for layer in &record.layers {
            remove_nobodys(engine, index, &layer.volume).await?;
        }
    }
    Ok(removed)
}

/// Removes the volumes of caches that no cache has and nobody uses; gives how many. `keeper` is the name of who notes them here:
/// what others note is theirs.
pub(in crate::execute) async fn collect<E: Engine>(
    engine: &E,
    index: &CacheIndex,
    keeper: &str,
    volumes: &[OwnedVolume],
) -> Result<usize, NotKept> {
    let noted = index.volumes()?;
    let mut removed = 0;
    for volume in volumes.iter().filter(|volume| is_kept_by(keeper, volume) && !noted.contains_key(&volume.name)) {
        removed += usize::from(remove_nobodys(engine, index, &volume.name).await?);
    }
    index.forget_locks(&volumes.iter().map(|volume| volume.name.clone()).collect())?;
    Ok(removed)
}

async fn remove_nobodys<E: Engine>(engine: &E, index: &CacheIndex, volume: &str) -> Result<bool, NotKept> {
    let Some(lock) = index.nobodys(volume)? else { return Ok(false) };
    remove_volume(engine, volume).await?;
    lock.remove();
    Ok(true)
}

fn is_kept_by(keeper: &str, volume: &OwnedVolume) -> bool {
    matches!(&volume.purpose, Purpose::Cache(scope) if scope.split(' ').next() == Some(keeper))
}

impl Account {
    /// Looks at what is noted, and at what is on the engine.
    ///
    /// # Errors
    /// Where the records cannot be read.
    pub fn of(index: &CacheIndex, keeper: &str, volumes: &[OwnedVolume]) -> std::io::Result<Self> {
        let (caches, broken) = index.count()?;
        let noted = index.volumes()?;
        let mut orphans = 0;
        for volume in volumes.iter().filter(|volume| is_kept_by(keeper, volume) && !noted.contains_key(&volume.name)) {
            // The lock is let go of again: this only looks.
            orphans += usize::from(index.nobodys(&volume.name)?.is_some());
        }
        Ok(Self { caches, volumes: noted.len(), bytes: noted.values().sum(), broken, orphans })
    }
}
