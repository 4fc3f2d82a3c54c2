//! The caches of one try of a job: found by their keys, laid into its container, saved when it ended well.
//!
//! A cache is a stack of volumes on the engine; nothing is packed, sent or unpacked. A job writes into a layer of its own, which
//! is thrown away or put on top of the stack: two jobs at once do not meet, and one that is cancelled or killed changes nothing.
//! `shared` is the exception that it asks to be: one volume, written to by all.

mod index;

use std::time::Duration;

pub use index::CacheIndex;
use index::{Alone, Layer, Place, Record, Replace, Used};

use super::job::{Broken, JobRun, no_value};
use super::kept::{NotKept, remove_volume};
use crate::engine::{Engine, EngineError, Layers, Mount, Purpose};
use crate::event::{CacheFound, Event, Level, Status};
use crate::pipeline::expr::{Scope, Standing};
use crate::pipeline::{CacheMode, CacheSave};
use crate::plan::{PlannedCache, WORKSPACE, env_context};
use crate::source::Owner;

/// The most layers that a cache has: mount(2) takes a page of options, and each layer is a path in it.
const DEEPEST: usize = 8;

/// How often a cache that another job has alone is asked for.
const ASK: Duration = Duration::from_millis(100);

/// How many caches are kept.
const KEPT: usize = 64;

/// How much they may have together, in bytes.
const KEPT_BYTES: u64 = 20 * 1024 * 1024 * 1024;

/// The caches of one try of a job.
#[derive(Default)]
pub(super) struct JobCaches {
    /// For its container.
    pub(super) mounts: Vec<Mount>,
    caches: Vec<JobCache>,
}

/// One of them.
struct JobCache {
    /// For people; masked.
    shown: String,
    save: CacheSave,
    /// What is saved when the job ended well; nothing where the cache is as it is to be.
    new: Option<New>,
    /// Keep others from removing what is used, and from using what is used alone.
    _used: Option<Used>,
    _alone: Option<Alone>,
}

struct New {
    record: Record,
    replace: Replace,
}

/// A cache, its key decided.
struct Wanted<'p> {
    plan: &'p PlannedCache,
    place: Place,
    key: String,
    restore: Vec<String>,
}

/// Why a job gets no caches.
enum NotCached {
    Broken(Broken),
    /// It goes on without.
    Without(String),
}

impl From<EngineError> for NotCached {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::DiskFull { .. } | EngineError::Connection(_) => Self::Broken(error.into()),
            error => Self::Without(error.to_string()),
        }
    }
}

impl From<std::io::Error> for NotCached {
    fn from(error: std::io::Error) -> Self {
        Self::Without(error.to_string())
    }
}

impl<E: Engine> JobRun<'_, E> {
    /// Finds the job's caches. Where the engine cannot have any, the job goes on without, and that is told.
    pub(super) async fn caches(&self, owner: Option<Owner>) -> Result<JobCaches, Broken> {
        let mut found = JobCaches::default();
        if self.job.caches.is_empty() {
            return Ok(found);
        }
        let index = match (&self.context.settings.caches, self.context.kept.can_overlay()) {
            (Some(index), true) => index,
            (None, _) => return Ok(self.without("there is no folder to note them in").await),
            (_, false) => return Ok(self.without("this engine cannot lay volumes over one another").await),
        };
        for plan in &self.job.caches {
            let wanted = self.wanted(plan).await?;
            match self.find(index, &wanted, owner, &mut found).await {
                Ok(()) => {}
                Err(NotCached::Broken(broken)) => return Err(broken),
                Err(NotCached::Without(why)) => return Ok(self.without(&why).await),
            }
        }
        Ok(found)
    }

    async fn without(&self, why: &str) -> JobCaches {
        let message = format!("the job runs without its caches: {why}");
        let job = Some(self.job.id.clone());
        self.context.emit(Event::Notice { level: Level::Warn, job, message }).await;
        JobCaches::default()
    }

    async fn wanted<'p>(&self, plan: &'p PlannedCache) -> Result<Wanted<'p>, Broken> {
        let (job, mut contexts, own) = (self.job.clone(), self.contexts.clone(), plan.clone());
        let uses_files = own.key.uses_files() || own.restore_keys.iter().any(|key| key.uses_files());
        let rendered = self.context.evaluate(uses_files || job.env_uses_files(), move |files| {
            let base = job.base_env(&Scope { contexts: &contexts.clone(), standing: Standing::Success, files })?;
            contexts.env = env_context(&base, &job.overrides);
            let scope = Scope { contexts: &contexts, standing: Standing::Success, files };
            let restore = own.restore_keys.iter().map(|key| key.render(&scope)).collect::<Result<Vec<_>, _>>()?;
            Ok((own.key.render(&scope)?, restore))
        });
        let rendered = rendered.await;
        let (key, restore) = rendered.map_err(|error| Broken::NoValue(no_value(self.context, "cache", &error)))?;
        // It would lie in the index, on a disk.
        self.refuse_secrets("cache", [&key].into_iter().chain(&restore)).map_err(Broken::NoValue)?;
        let place = Place { scope: self.context.kept.scope(), paths: plan.paths.clone() };
        Ok(Wanted { plan, place, key, restore })
    }

    async fn find(
        &self,
        index: &CacheIndex,
        wanted: &Wanted<'_>,
        owner: Option<Owner>,
        into: &mut JobCaches,
    ) -> Result<(), NotCached> {
        let shown = self.context.mask.text(&wanted.key);
        let alone = match wanted.plan.mode {
            CacheMode::Locked => Some(self.wait_alone(index, wanted, &shown).await?),
            CacheMode::Private | CacheMode::Shared => None,
        };
        // The records first: what is saved after they were read is not taken for lost.
        let records = index.of(&wanted.place)?;
        let volumes = self.context.engine.owned_volumes().await?.into_iter().map(|volume| volume.name).collect();
        index.forget_lost(&records, &volumes);
        let exact = index.exact(&wanted.place, &wanted.key)?;
        let is_hit = exact.is_some();
        let used = match exact {
            Some(exact) => Some(exact),
            None => nearest(index, wanted)?,
        };
        let found = match &used {
            Some(_) if is_hit => CacheFound::Hit,
            Some(used) => CacheFound::Partial { key: self.context.mask.text(&used.record.key) },
            None => CacheFound::Miss {
                why: match index.last_key(&wanted.place)? {
                    Some(last) => format!("the last that was saved is {}", self.context.mask.text(&last)),
                    None => "nothing is saved yet".to_owned(),
                },
            },
        };
        let lower = used.as_ref().map(|used| used.record.layers.clone()).unwrap_or_default();
        let cache = match (wanted.plan.mode, is_hit) {
            (CacheMode::Shared, true) => {
                self.mount_as_it_is(wanted, &lower, into).await?;
                JobCache { shown: shown.clone(), save: wanted.plan.save, new: None, _used: used, _alone: None }
            }
            (CacheMode::Private, true) => {
                let top = self.layer(wanted, Purpose::Run, owner).await?;
                self.mount(wanted, &top, &lower, into).await?;
                JobCache { shown: shown.clone(), save: wanted.plan.save, new: None, _used: used, _alone: None }
            }
            (mode, _) => {
                let lower = self.flat(wanted, lower, owner).await?;
                let top = self.layer(wanted, Purpose::Cache(self.context.kept.scope()), owner).await?;
                self.mount(wanted, &top, &lower, into).await?;
                let layers = [vec![top], lower].concat();
                let record = Record { place: wanted.place.clone(), key: wanted.key.clone(), layers };
                let replace = if mode == CacheMode::Locked { Replace::Yes } else { Replace::No };
                let mut new = Some(New { record, replace });
                if mode == CacheMode::Shared
                    && let Some(shared) = new.take()
                {
                    // All who come from here on write to it, too.
                    index.save(&shared.record, shared.replace)?;
                }
                JobCache { shown: shown.clone(), save: wanted.plan.save, new, _used: used, _alone: alone }
            }
        };
        into.caches.push(cache);
        self.context.emit(Event::Cache { job: self.job.id.clone(), key: shown, found }).await;
        Ok(())
    }

    async fn wait_alone(&self, index: &CacheIndex, wanted: &Wanted<'_>, shown: &str) -> Result<Alone, NotCached> {
        let mut told = false;
        loop {
            if let Some(alone) = index.alone(&wanted.place, &wanted.key)? {
                return Ok(alone);
            }
            if !told {
                told = true;
                let message = format!("cache {shown}: waits for another job that has it alone");
                let job = Some(self.job.id.clone());
                self.context.emit(Event::Notice { level: Level::Info, job, message }).await;
            }
            tokio::time::sleep(ASK).await;
        }
    }

    /// A new layer: a volume with a folder for each path.
    async fn layer(&self, wanted: &Wanted<'_>, purpose: Purpose, owner: Option<Owner>) -> Result<Layer, NotCached> {
        let kept = &self.context.kept;
        let name = kept.name("cache");
        let mountpoint = kept.volume(&name, purpose.clone(), None).await?;
        if purpose != Purpose::Run {
            // Removed with the run, unless it is saved.
            kept.remove_at_the_end(&name);
        }
        let folders = wanted.plan.paths.len();
        let filled =
            kept.fill(&name, &self.image.name, move |pipe| crate::source::write_folders(pipe, folders, owner)).await;
        filled.map_err(|error| match error {
            NotKept::Engine(error) => error.into(),
            error => NotCached::Without(error.to_string()),
        })?;
        Ok(Layer { volume: name, mountpoint })
    }

    /// Lays a new layer over others, and has the container see that.
    async fn mount(
        &self,
        wanted: &Wanted<'_>,
        top: &Layer,
        lower: &[Layer],
        into: &mut JobCaches,
    ) -> Result<(), NotCached> {
        for (number, path) in wanted.plan.paths.iter().enumerate() {
            let data = |layer: &Layer| format!("{}/{number}/data", layer.mountpoint);
            let layers = match lower {
                [] => Layers::Bind(data(top)),
                lower => Layers::Overlay {
                    lower: lower.iter().map(data).collect(),
                    upper: data(top),
                    work: format!("{}/{number}/work", top.mountpoint),
                },
            };
            self.mount_at(path, layers, into).await?;
        }
        Ok(())
    }

    async fn mount_as_it_is(
        &self,
        wanted: &Wanted<'_>,
        layers: &[Layer],
        into: &mut JobCaches,
    ) -> Result<(), NotCached> {
        let Some((top, lower)) = layers.split_first() else { return Ok(()) };
        self.mount(wanted, top, lower, into).await
    }

    async fn mount_at(&self, path: &str, layers: Layers, into: &mut JobCaches) -> Result<(), NotCached> {
        let name = self.context.kept.name("mount");
        self.context.kept.volume(&name, Purpose::Run, Some(layers)).await?;
        let target = if path.starts_with('/') { path.to_owned() } else { format!("{WORKSPACE}/{path}") };
        into.mounts.push(Mount { volume: name, target });
        Ok(())
    }

    /// Makes one layer of too many.
    async fn flat(
        &self,
        wanted: &Wanted<'_>,
        lower: Vec<Layer>,
        owner: Option<Owner>,
    ) -> Result<Vec<Layer>, NotCached> {
        if lower.len() < DEEPEST {
            return Ok(lower);
        }
        let kept = &self.context.kept;
        let engine = &*self.context.engine;
        let one = self.layer(wanted, Purpose::Cache(kept.scope()), owner).await?;
        let empty = self.layer(wanted, Purpose::Run, owner).await?;
        let (mut from, mut to) = (JobCaches::default(), JobCaches::default());
        self.mount(wanted, &empty, &lower, &mut from).await?;
        self.mount(wanted, &one, &[], &mut to).await?;
        for (from, to) in from.mounts.iter().zip(&to.mounts) {
            let source = kept.vessel(&self.image.name, &from.volume).await?;
            let target = kept.vessel(&self.image.name, &to.volume).await?;
            let copied = async {
                let tar = engine.download(&source, &format!("{WORKSPACE}/.")).await?;
                engine.upload(&target, WORKSPACE, tar).await
            };
            let copied = copied.await;
            kept.put_away(&source).await?;
            kept.put_away(&target).await?;
            copied?;
        }
        Ok(vec![one])
    }
}

fn nearest(index: &CacheIndex, wanted: &Wanted<'_>) -> std::io::Result<Option<Used>> {
    for prefix in &wanted.restore {
        if let Some(used) = index.newest(&wanted.place, prefix)? {
            return Ok(Some(used));
        }
    }
    Ok(None)
}

impl JobCaches {
    /// Saves what is to be saved. The container may still be on its way out: nothing writes to it any more.
    pub(super) async fn settle<E: Engine>(self, run: &JobRun<'_, E>, status: Status) {
        let Some(index) = &run.context.settings.caches else { return };
        let mut saved = false;
        for cache in self.caches {
            let wanted = match cache.save {
                CacheSave::Success => status == Status::Success,
                // What was cancelled, or fell over with the engine, may be half of it.
                CacheSave::Always => matches!(status, Status::Success | Status::Failure),
            };
            let Some(new) = cache.new.filter(|_| wanted) else { continue };
            let told = match index.save(&new.record, new.replace) {
                Ok(true) => {
                    for layer in &new.record.layers {
                        run.context.kept.keep_after_all(&layer.volume);
                    }
                    saved = true;
                    (Level::Info, format!("cache {}: saved", cache.shown))
                }
                Ok(false) => (Level::Debug, format!("cache {}: another job saved it first", cache.shown)),
                Err(error) => (Level::Warn, format!("cache {}: cannot be saved: {error}", cache.shown)),
            };
            let job = Some(run.job.id.clone());
            run.context.emit(Event::Notice { level: told.0, job, message: told.1 }).await;
        }
        if saved {
            // What goes wrong with what is too much is tried again the next time.
            let _ = tidy(&*run.context.engine, index, KEPT, KEPT_BYTES).await;
        }
    }
}

/// Removes caches beyond so many and so many bytes, those that were used longest ago; gives how many.
///
/// # Errors
/// Where the engine refuses, or the records cannot be read.
pub async fn tidy<E: Engine>(engine: &E, index: &CacheIndex, most: usize, bytes: u64) -> Result<usize, NotKept> {
    let sizes = engine.volume_sizes().await?;
    let (mut seen, mut size, mut removed) = (0, 0, 0);
    for cache in index.unused()? {
        seen += 1;
        size += cache.record.layers.first().and_then(|top| sizes.get(&top.volume)).copied().unwrap_or(0);
        if seen <= most && size <= bytes {
            continue;
        }
        let record = cache.forget();
        removed += 1;
        for layer in record.layers {
            if !index.has_volume(&layer.volume)? {
                remove_volume(engine, &layer.volume).await?;
            }
        }
    }
    Ok(removed)
}
