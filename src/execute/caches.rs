//! The caches of one try of a job: found by their keys, laid into its container, saved when it ended well.
//!
//! A cache is a stack of volumes on the engine; nothing is packed, sent or unpacked. A job writes into a layer of its own, which
//! is thrown away or put on top of the stack: two jobs at once do not meet, and one that is cancelled or killed changes nothing.
//! `shared` is the exception that it asks to be: one volume, never a layer of another cache, written to by all.

mod find;
mod index;
mod layers;
mod locks;
mod upkeep;

use std::io;
use std::time::Duration;

pub use index::CacheIndex;
use index::{Place, Record, Replace, Taken, Used, now};
use locks::{Exclusive, Shared};
pub use upkeep::{Account, tidy};
pub(super) use upkeep::{Upkeep, collect, keep_up};

use super::job::{Broken, JobRun, no_value};
use crate::engine::{Engine, EngineError, Mount};
use crate::event::{Event, Level, Status};
use crate::pipeline::expr::{Scope, Standing};
use crate::pipeline::{CacheMode, CacheSave};
use crate::plan::{PlannedCache, env_context};
use crate::source::{Below, Owner};

/// How often a cache is asked for that another job has locked.
const ASK: Duration = Duration::from_millis(100);

/// How often a cache is asked for that somebody looks at who removes caches, and for how long: that takes milliseconds.
const LOOK: (Duration, u32) = (Duration::from_millis(10), 200);

/// The caches of one try of a job.
#[derive(Default)]
pub(super) struct JobCaches {
    /// For its container.
    pub(super) mounts: Vec<Mount>,
    /// Folders of the workspace that they hide, as paths in it.
    pub(super) hidden: Vec<String>,
    caches: Vec<JobCache>,
}

/// One of them.
struct JobCache {
    /// For people; masked.
    shown: String,
    save: CacheSave,
    end: End,
    /// Keep others from removing what is used, and from taking a turn that is this job's.
    _used: Option<Used>,
    _new: Vec<Shared>,
    _turn: Option<Exclusive>,
}

/// What becomes of a cache at the end of its job.
enum End {
    /// It is as it is to be.
    Stays,
    /// It is noted, where the job ended well.
    Saved(Record, Replace),
    /// It is noted already, and what the job wrote is in it. It stays where one of its jobs ended well.
    Confirmed(Record),
}

/// A cache, its key decided.
struct Wanted<'p> {
    plan: &'p PlannedCache,
    place: Place,
    key: String,
    restore: Vec<String>,
    /// For people; masked.
    shown: String,
    /// It was noted, and is not on the engine any more.
    is_lost: bool,
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

impl From<io::Error> for NotCached {
    fn from(error: io::Error) -> Self {
        Self::Without(error.to_string())
    }
}

impl<E: Engine> JobRun<'_, E> {
    /// Finds the job's caches. Where the engine cannot have any, the job goes on without, and that is told.
    pub(super) async fn caches(&self, owner: Option<Owner>) -> Result<JobCaches, Broken> {
        if self.job.caches.is_empty() {
            return Ok(JobCaches::default());
        }
        let index = match (&self.context.settings.caches, self.context.kept.can_overlay()) {
            (Some(index), true) => index,
            (None, _) => return Ok(self.without("there is no folder to note them in").await),
            (_, false) => return Ok(self.without("this engine cannot lay volumes over one another").await),
        };
        let mut wanted = Vec::new();
        for plan in &self.job.caches {
            wanted.push(self.wanted(plan).await?);
        }
        match self.find_all(index, wanted, owner).await {
            Ok(found) => Ok(found),
            Err(NotCached::Broken(broken)) => Err(broken),
            Err(NotCached::Without(why)) => Ok(self.without(&why).await),
        }
    }

    async fn without(&self, why: &str) -> JobCaches {
        self.notice(Level::Warn, format!("the job runs without its caches: {why}")).await;
        JobCaches::default()
    }

    async fn notice(&self, level: Level, message: String) {
        let job = Some(self.job.id.clone());
        self.context.emit(Event::Notice { level, job, message }).await;
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
        let place = Place { scope: self.context.kept.scope(), paths: plan.paths.clone(), mode: plan.mode };
        let shown = self.context.mask.text(&key);
        Ok(Wanted { plan, place, key, restore, shown, is_lost: false })
    }

    async fn find_all(
        &self,
        index: &CacheIndex,
        mut wanted: Vec<Wanted<'_>>,
        owner: Option<Owner>,
    ) -> Result<JobCaches, NotCached> {
        let mut found = JobCaches { hidden: self.hidden(&wanted).await?, ..JobCaches::default() };
        let turns = self.turns(index, &wanted).await?;
        self.forget_lost(index, &mut wanted).await?;
        for (wanted, turn) in wanted.iter().zip(turns) {
            self.find(index, wanted, turn, owner, &mut found).await?;
        }
        Ok(found)
    }

    /// The folders of the workspace that caches are in. Files of the source in them are hidden, and that is told.
    async fn hidden(&self, wanted: &[Wanted<'_>]) -> Result<Vec<String>, NotCached> {
        let paths = wanted.iter().flat_map(|wanted| &wanted.plan.paths).filter(|path| !path.starts_with('/'));
        let paths: Vec<String> = paths.cloned().collect();
        for path in &paths {
            match self.context.workspace.below(path) {
                Below::Files(0) => {}
                Below::Files(count) => {
                    let files = if count == 1 { "file" } else { "files" };
                    let message = format!("the cache hides {count} {files} of the source in `{path}`");
                    self.notice(Level::Warn, message).await;
                }
                Below::NoFolder { file } => {
                    return Err(NotCached::Without(format!(
                        "`{file}` is a file of the source, where one has its folder"
                    )));
                }
            }
        }
        Ok(paths)
    }

    /// Waits for the caches that one job at a time has, always in the same order: else two jobs could wait for one another.
    async fn turns(&self, index: &CacheIndex, wanted: &[Wanted<'_>]) -> Result<Vec<Option<Exclusive>>, NotCached> {
        let mut turns: Vec<Option<Exclusive>> = wanted.iter().map(|_| None).collect();
        let is_locked = |number: &usize| wanted[*number].plan.mode == CacheMode::Locked;
        let mut order: Vec<usize> = (0..wanted.len()).filter(is_locked).collect();
        order.sort_by_key(|number| CacheIndex::order(&wanted[*number].place, &wanted[*number].key));
        for number in order {
            turns[number] = Some(self.turn(index, &wanted[number]).await?);
        }
        Ok(turns)
    }

    async fn turn(&self, index: &CacheIndex, wanted: &Wanted<'_>) -> Result<Exclusive, NotCached> {
        let mut told = false;
        loop {
            if let Some(turn) = index.turn(&wanted.place, &wanted.key)? {
                return Ok(turn);
            }
            if !told {
                told = true;
                self.notice(Level::Info, format!("cache {}: waits for another job that has it", wanted.shown)).await;
            }
            tokio::time::sleep(ASK).await;
        }
    }

    async fn forget_lost(&self, index: &CacheIndex, wanted: &mut [Wanted<'_>]) -> Result<(), NotCached> {
        // The records first: what is saved after they were read is not taken for lost.
        let mut records = Vec::new();
        for wanted in wanted.iter() {
            records.extend(index.of(&wanted.place)?);
        }
        if !records.is_empty() {
            let volumes = self.context.engine.owned_volumes().await?.into_iter().map(|volume| volume.name).collect();
            let lost = index.forget_lost(&records, &volumes)?;
            for wanted in wanted {
                wanted.is_lost = lost.iter().any(|lost| lost.place == wanted.place && lost.key == wanted.key);
            }
        }
        Ok(())
    }
}

impl Wanted<'_> {
    fn record(&self, layers: Vec<index::Layer>) -> Record {
        Record { place: self.place.clone(), key: self.key.clone(), saved: None, layers }
    }

    fn cache(&self, end: End, used: Option<Used>) -> JobCache {
        let (shown, save) = (self.shown.clone(), self.plan.save);
        JobCache { shown, save, end, _used: used, _new: Vec::new(), _turn: None }
    }
}

/// Uses the cache that `look` finds. Who removes caches locks each for a moment, to see whether it can: that is waited for.
async fn taken(index: &CacheIndex, mut look: impl FnMut() -> io::Result<Option<Record>>) -> io::Result<Option<Used>> {
    let (wait, times) = LOOK;
    for _ in 0..times {
        let Some(record) = look()? else { return Ok(None) };
        match index.take(&record)? {
            Taken::Used(used) => return Ok(Some(used)),
            Taken::Busy => tokio::time::sleep(wait).await,
        }
    }
    Ok(None)
}

impl JobCaches {
    /// Saves what is to be saved. The container may still be on its way out: nothing writes to it any more.
    pub(super) async fn settle<E: Engine>(self, run: &JobRun<'_, E>, status: Status) {
        let Some(index) = &run.context.settings.caches else { return };
        for cache in self.caches {
            let is_wanted = match cache.save {
                CacheSave::Success => status == Status::Success,
                // What was cancelled, or fell over with the engine, may be half of it.
                CacheSave::Always => matches!(status, Status::Success | Status::Failure),
            };
            let shown = cache.shown.clone();
            if let Err(error) = cache.settle(run, index, is_wanted).await {
                run.notice(Level::Warn, format!("cache {shown}: cannot be saved: {error}")).await;
            }
        }
    }
}

impl JobCache {
    async fn settle<E: Engine>(self, run: &JobRun<'_, E>, index: &CacheIndex, is_wanted: bool) -> io::Result<()> {
        let (kept, upkeep, image) = (&run.context.kept, &run.context.upkeep, &run.image.name);
        match self.end {
            End::Saved(record, replace) if is_wanted => {
                let record = Record { saved: Some(now()), ..record };
                if !index.save(&record, replace)? {
                    run.notice(Level::Debug, format!("cache {}: another job saved it first", self.shown)).await;
                    return Ok(());
                }
                for layer in &record.layers {
                    kept.keep_after_all(&layer.volume);
                }
                upkeep.note(image, &record);
                run.notice(Level::Info, format!("cache {}: saved", self.shown)).await;
            }
            End::Confirmed(record) if is_wanted => {
                let mut is_first = false;
                index.change(&record, |record| {
                    is_first = record.saved.is_none();
                    record.saved.get_or_insert_with(now);
                })?;
                if is_first {
                    run.notice(Level::Info, format!("cache {}: saved", self.shown)).await;
                }
                if is_first || record.layers.iter().any(|layer| !upkeep::is_counted(layer, record.place.mode)) {
                    upkeep.note(image, &record);
                }
            }
            End::Confirmed(record) => {
                // This job's hold on it goes first: it is gone where it was the last one.
                drop((self._used, self._new));
                if record.saved.is_none() && index.forget_abandoned(&record)? {
                    record.layers.iter().for_each(|layer| kept.remove_at_the_end(&layer.volume));
                }
            }
            End::Stays | End::Saved(..) => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_somebody_looks_at_for_a_moment_is_not_missing() {
        let folder = tempfile::tempdir().unwrap();
        let index = CacheIndex::new(folder.path());
        let place = Place { scope: String::new(), paths: Vec::new(), mode: CacheMode::Private };
        let layers = vec![index::Layer { volume: "v".to_owned(), mountpoint: "/v".to_owned(), size: None }];
        let record = Record { place, key: "k".to_owned(), saved: Some(1), layers };
        assert!(index.save(&record, Replace::No).unwrap());
        let looks = index.alone(&record).unwrap().unwrap();
        let let_go = async {
            tokio::time::sleep(Duration::from_millis(80)).await;
            drop(looks);
        };
        let (used, ()) = tokio::join!(taken(&index, || Ok(Some(record.clone()))), let_go);
        assert_eq!(used.unwrap().unwrap().record, record);
        // One that is gone is missing at once.
        assert!(taken(&index, || Ok(None)).await.unwrap().is_none());
    }
}
