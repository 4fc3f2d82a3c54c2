//! The kept workspace: a snapshot of the tree in a volume, what differs in a second one, and an overlay of both for each job.
//!
//! So a job's start costs nothing that depends on the size of the tree, and its files are those of the run's begin. All of it is
//! done through the engine's API: no root on this machine, no path of it. Where the engine cannot do it, and for trees so small
//! that a tar stream is quicker, jobs get a tar stream.

mod moment;
mod tidy;
mod vessel;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;

pub use moment::Unread;
pub(super) use moment::fix;
use moment::{Base, Board};
pub use tidy::forget_snapshots;
pub(super) use tidy::remove_volume;
use tidy::{KEPT, KEPT_BYTES, tidy};
pub(super) use vessel::vessel_spec;

use super::making::Making;
use super::sweep::Left;
use super::{Owner as Process, Settings};
use crate::engine::{ContainerId, Engine, EngineError, Labels, Layers, Mount, OwnedVolume, Purpose, VolumeSpec};
use crate::plan::{Plan, WORKSPACE};
use crate::source::{
    Bases, DELTA_FILES, DELTA_JOBS, DELTA_MARK, Delta, Held, Hold, Owner, SourceError, TarSummary, Workspace,
};

/// A delta with more than this part of its base's files or bytes becomes a new base.
const LARGE_PART: u64 = 4;

/// And one with more than this, whatever its base has.
const LARGE: u64 = 256 * 1024 * 1024;

/// A container is made again where the engine refuses how its volumes are laid, and then has a place of its own.
const PLACES_OF_A_TRY: usize = 2;

/// How often a snapshot is asked for that another argon has in its hands: for half a second.
const HOLD_TRIES: u32 = 50;

/// The snapshot of one run, and what is made for its jobs.
pub(super) struct Kept<E> {
    making: Making,
    engine: Arc<E>,
    /// As it is now: what jobs see is that of the moment.
    workspace: Arc<Workspace>,
    board: Board,
    bases: Option<Bases>,
    labels: Labels,
    scope: String,
    /// How many containers of jobs the run may have.
    places: usize,
    /// The engine cannot do it.
    is_off: AtomicBool,
    /// By who the files belong to.
    ready: tokio::sync::Mutex<BTreeMap<Owner, Arc<Snapshot>>>,
    /// The volumes of this run, the overlays first.
    made: Mutex<Vec<String>>,
    /// Containers that are there to fill volumes: none, unless a stop came in the midst of it.
    vessels: Mutex<Vec<ContainerId>>,
}

/// A snapshot that jobs can be laid over.
struct Snapshot {
    /// Read alone, the topmost first.
    lower: Vec<String>,
    /// Where the delta's volume is.
    delta: String,
    next: AtomicUsize,
    /// Keeps the base from being removed.
    _held: Held,
}

/// Where a job's workspace comes from.
pub(super) enum Place {
    /// A tar stream, when its container is there.
    Stream,
    /// A volume, which has all of it.
    Mounted {
        mount: Mount,
        /// Of what it was made, where this job had it made.
        told: Option<Told>,
    },
}

/// How a snapshot was come by.
pub(super) struct Told {
    /// For `-v`.
    pub(super) message: String,
    /// What changed under the reader.
    pub(super) warnings: Vec<String>,
}

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum NotKept {
    /// The engine refuses.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The source cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// It could not be read when the run began.
    #[error(transparent)]
    Unread(#[from] Unread),
    /// Without root, an engine may leave out device files, and with them the marks by which overlayfs knows what is gone.
    #[error("the engine does not unpack the marks of files that are gone")]
    NoMarks,
    /// The manifest.
    #[error("what is kept cannot be noted: {0}")]
    Note(#[from] std::io::Error),
}

impl<E> Kept<E> {
    /// Whose caches, results and images are this run's: those of its repository, noted in one folder.
    pub(super) fn scope(&self) -> String {
        self.scope.clone()
    }
}

impl<E: Engine> Kept<E> {
    pub(super) fn new(
        making: &Making,
        engine: &Arc<E>,
        workspace: &Arc<Workspace>,
        settings: &Settings,
        process: &Process,
        plan: &Plan,
    ) -> Self {
        Self {
            making: making.clone(),
            engine: engine.clone(),
            workspace: workspace.clone(),
            board: Board::new(plan, settings.pull),
            bases: settings.bases.clone().filter(|_| !workspace.is_small()),
            labels: Labels { run: settings.run.as_str().to_owned(), job: String::new(), owner: process.to_label() },
            scope: format!(
                "{} {}",
                settings.keeper(),
                &blake3::hash(format!("{}{}", settings.trust, workspace.info.location).as_bytes()).to_hex()[..24]
            ),
            places: plan
                .jobs
                .iter()
                .map(|job| 1 + job.retry.as_ref().map_or(0, |retry| retry.max as usize))
                .sum::<usize>()
                * PLACES_OF_A_TRY,
            is_off: AtomicBool::new(false),
            ready: tokio::sync::Mutex::default(),
            made: Mutex::default(),
            vessels: Mutex::default(),
        }
    }

    /// Whether jobs may get a volume at all.
    pub(super) fn is_on(&self) -> bool {
        self.bases.is_some() && !self.is_off.load(Ordering::Relaxed)
    }

    /// Whether the engine can lay volumes over one another, as far as is known.
    pub(super) fn can_overlay(&self) -> bool {
        !self.is_off.load(Ordering::Relaxed)
    }

    /// Has a volume removed at the end of the run.
    pub(super) fn remove_at_the_end(&self, name: &str) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).push(name.to_owned());
    }

    /// Takes that back.
    pub(super) fn keep_after_all(&self, name: &str) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).retain(|made| made != name);
    }

    /// From now on jobs get a stream.
    pub(super) fn give_up(&self) {
        self.is_off.store(true, Ordering::Relaxed);
    }

    /// A workspace for a job, its files belonging to `owner`. `image` is one that the engine has.
    pub(super) async fn place(&self, image: &str, owner: Owner) -> Result<Place, NotKept> {
        let Some(bases) = self.bases.as_ref().filter(|_| self.is_on()) else { return Ok(Place::Stream) };
        let mut told = None;
        let snapshot = match self.ready.lock().await.entry(owner) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(new) => {
                let (snapshot, how) = self.prepare(bases, image, owner).await?;
                told = Some(how);
                new.insert(Arc::new(snapshot)).clone()
            }
        };
        let number = snapshot.next.fetch_add(1, Ordering::Relaxed);
        if number >= self.places {
            return Ok(Place::Stream);
        }
        let at = format!("{}/{DELTA_JOBS}/{number}", snapshot.delta);
        let name = self.name("job");
        let layers =
            Layers::Overlay { lower: snapshot.lower.clone(), upper: format!("{at}/upper"), work: format!("{at}/work") };
        self.volume(&name, Purpose::Run, Some(layers)).await?;
        Ok(Place::Mounted { mount: Mount { volume: name, target: WORKSPACE.to_owned() }, told })
    }

    pub(super) fn name(&self, what: &str) -> String {
        let id = uuid::Uuid::new_v4().simple().to_string();
        format!("argon-{what}-{}", &id[..16])
    }

    /// Makes a volume. It is noted first, so that whatever becomes of this, it is removed with the run: what is to stay is kept
    /// after all ([`keep_after_all`](Self::keep_after_all)).
    pub(super) async fn volume(
        &self,
        name: &str,
        purpose: Purpose,
        layers: Option<Layers>,
    ) -> Result<String, EngineError> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).insert(0, name.to_owned());
        let spec = VolumeSpec { name: name.to_owned(), purpose, layers, labels: self.labels.clone() };
        self.making.volume(&self.engine, spec).await
    }

    async fn prepare(&self, bases: &Bases, image: &str, owner: Owner) -> Result<(Snapshot, Told), NotKept> {
        let began = Instant::now();
        let source = self.workspace().await?;
        let key = format!("{} {}", self.scope, key(&source, owner));
        let mut volumes = self.engine.owned_volumes().await?;
        let mut warnings = Vec::new();
        let (base, delta) = match self.base_of_the_moment(bases, &source, &volumes, &key, owner).await? {
            Some(found) => found,
            None => {
                let (base, summary) = self.new_base(bases, image, &source, owner, &key).await?;
                warnings = summary.warnings;
                volumes = self.engine.owned_volumes().await?;
                let (held, delta) = compared(&source, base.held).await?;
                (Base { held, ..base }, delta)
            }
        };
        let name = self.name("delta");
        let at = self.volume(&name, Purpose::Run, None).await?;
        let (files, bytes) = (delta.files, delta.bytes);
        let sent = self.fill_delta(&name, image, &source, delta, owner).await?;
        warnings.extend(sent.warnings);
        let message = format!(
            "workspace: {files} files, {bytes} bytes over a snapshot of {} files, {} bytes; ready after {} ms",
            base.held.manifest.files(),
            base.held.manifest.bytes(),
            began.elapsed().as_millis()
        );
        self.tidy(bases, volumes).await;
        let lower = vec![format!("{at}/{DELTA_FILES}"), base.at];
        let snapshot = Snapshot { lower, delta: at, next: AtomicUsize::new(0), _held: base.held };
        Ok((snapshot, Told { message, warnings }))
    }

    /// The snapshot that was found when the run began; else the nearest that there is.
    async fn base_of_the_moment(
        &self,
        bases: &Bases,
        source: &Arc<Workspace>,
        volumes: &[OwnedVolume],
        key: &str,
        owner: Owner,
    ) -> Result<Option<(Base, Delta)>, NotKept> {
        let found = match self.moment().await.as_deref() {
            Some(Ok(moment)) => moment.nearest.lock().await.remove(&owner),
            Some(Err(_)) | None => None,
        };
        match found {
            Some(Base { at, held }) => {
                let (held, delta) = compared(source, held).await?;
                Ok(Some((Base { at, held }, delta)))
            }
            None => self.nearest(bases, source, volumes, key).await,
        }
    }

    async fn fill_delta(
        &self,
        name: &str,
        image: &str,
        source: &Arc<Workspace>,
        delta: Delta,
        owner: Owner,
    ) -> Result<TarSummary, NotKept> {
        let vessel = self.vessel(image, name).await?;
        let (source, places, takes_away) = (source.clone(), self.places, delta.takes_away());
        let sent = self.pour(&vessel, move |pipe| source.write_delta(pipe, &delta, places, owner)).await;
        let marks = if takes_away && sent.is_ok() { self.has_marks(&vessel).await } else { Ok(true) };
        self.put_away(&vessel).await?;
        if marks? { sent } else { Err(NotKept::NoMarks) }
    }

    /// Whether the engine unpacked the mark of a delta as what it is: a character device.
    async fn has_marks(&self, vessel: &ContainerId) -> Result<bool, EngineError> {
        let mut head = [0; 512];
        let found = self.engine.download(vessel, &format!("{WORKSPACE}/{DELTA_MARK}")).await;
        match found {
            Ok(mut tar) => Ok(tar.read_exact(&mut head).await.is_ok() && is_mark(&head)),
            Err(EngineError::Refused { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The snapshot of this tree that least differs from it, where that is little.
    async fn nearest(
        &self,
        bases: &Bases,
        source: &Arc<Workspace>,
        volumes: &[OwnedVolume],
        key: &str,
    ) -> Result<Option<(Base, Delta)>, NotKept> {
        let purpose = Purpose::Base(key.to_owned());
        let mut best: Option<(Base, Delta)> = None;
        for volume in volumes.iter().filter(|volume| volume.purpose == purpose) {
            let Some(held) = held(bases, &volume.name).await? else { continue };
            let (held, delta) = compared(source, held).await?;
            let is_little = delta.bytes <= LARGE.min(held.manifest.bytes() / LARGE_PART).max(1024 * 1024)
                && delta.files <= (held.manifest.files() / LARGE_PART).max(100);
            let is_better = best.as_ref().is_none_or(|(_, other)| delta.bytes < other.bytes);
            if is_little && is_better {
                best = Some((Base { at: volume.mountpoint.clone(), held }, delta));
            }
        }
        Ok(best)
    }

    async fn new_base(
        &self,
        bases: &Bases,
        image: &str,
        source: &Arc<Workspace>,
        owner: Owner,
        key: &str,
    ) -> Result<(Base, TarSummary), NotKept> {
        let name = self.name("base");
        let at = self.volume(&name, Purpose::Base(key.to_owned()), None).await?;
        let source = source.clone();
        let (summary, manifest) = self.fill(&name, image, move |pipe| source.write_snapshot(pipe, owner)).await?;
        let held = bases.keep(&name, manifest)?;
        self.keep_after_all(&name);
        Ok((Base { at, held }, summary))
    }

    /// Removes snapshots beyond what is kept, those that were used longest ago first. What goes wrong is tried again next time.
    async fn tidy(&self, bases: &Bases, volumes: Vec<OwnedVolume>) {
        tidy(&*self.engine, bases, volumes, KEPT, KEPT_BYTES, &mut Left::default()).await;
    }

    /// Removes the volumes of the run. Gives what could not be removed, for people.
    pub(super) async fn end(&self) -> Option<String> {
        // The locks on the bases go after the volumes that lie over them.
        let _ready = self.ready.lock().await;
        let vessels = std::mem::take(&mut *self.vessels.lock().unwrap_or_else(PoisonError::into_inner));
        for vessel in vessels {
            // What cannot be removed keeps its volume, which is told.
            let _ = self.engine.remove(&vessel).await;
        }
        let made = std::mem::take(&mut *self.made.lock().unwrap_or_else(PoisonError::into_inner));
        let mut left = None;
        for name in made {
            if let Err(error) = remove_volume(&*self.engine, &name).await {
                left = Some(format!(
                    "the volume {name} may be left on the engine: {error}; the next run, or `argon clean`, removes it"
                ));
            }
        }
        left
    }
}

async fn compared(source: &Arc<Workspace>, held: Held) -> Result<(Held, Delta), NotKept> {
    let source = source.clone();
    let comparing = tokio::task::spawn_blocking(move || {
        let delta = source.compare_with_snapshot(&held.manifest);
        delta.map(|delta| (held, delta))
    });
    match comparing.await {
        Ok(compared) => Ok(compared?),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Uses a snapshot. Another argon that only looks whether it may be removed is waited for.
async fn held(bases: &Bases, name: &str) -> std::io::Result<Option<Held>> {
    for _ in 0..HOLD_TRIES {
        match bases.hold(name)? {
            Hold::Held(held) => return Ok(Some(held)),
            Hold::Unknown => return Ok(None),
            Hold::Taken => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    Ok(None)
}

/// Whether a tar begins with a mark.
fn is_mark(head: &[u8; 512]) -> bool {
    tar::Header::from_byte_slice(head).entry_type() == tar::EntryType::Char
}

/// What a tree's snapshots are found by: where it is, and whose its files are in containers.
fn key(workspace: &Workspace, owner: Owner) -> String {
    let text = format!("{}\n{}:{}", workspace.info.location, owner.uid, owner.gid);
    blake3::hash(text.as_bytes()).to_hex()[..24].to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::source::Manifest;

    #[tokio::test]
    async fn a_snapshot_that_another_only_looks_at_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let bases = Bases::new(folder.path());
        let source = tempfile::tempdir().unwrap();
        let request = crate::source::SourceRequest::WorkingTree { folder: source.path().to_owned() };
        let workspace = crate::source::open(&request).unwrap();
        let (_, manifest): (_, Manifest) = workspace.write_snapshot(std::io::sink(), Owner::default()).unwrap();
        drop(bases.keep("base", manifest).unwrap());
        let looking = bases.free("base").unwrap().unwrap();
        let later = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            drop(looking);
        });
        assert!(held(&bases, "base").await.unwrap().is_some());
        later.await.unwrap();
        // One that is being removed is not waited for any longer than that.
        let removing = bases.free("base").unwrap().unwrap();
        let later = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            removing.forget();
        });
        assert!(held(&bases, "base").await.unwrap().is_none());
        later.await.unwrap();
    }

    #[test]
    fn a_mark_is_told_from_what_an_engine_puts_in_its_place() {
        let head = |kind| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            *header.as_bytes()
        };
        assert!(is_mark(&head(tar::EntryType::Char)));
        assert!(!is_mark(&head(tar::EntryType::Regular)));
        assert!(!is_mark(&[0; 512]));
    }
}
