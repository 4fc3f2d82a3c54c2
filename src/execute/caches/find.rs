//! One cache of a job: what there is of it, and what the job gets of that.

use super::index::{CacheIndex, Layer, Noted, Replace, Used};
use super::layers::{Maker, is_shallow};
use super::locks::Exclusive;
use super::{End, JobCache, JobCaches, NotCached, Wanted, taken};
use crate::engine::{Engine, Mount};
use crate::event::{CacheFound, Event};
use crate::execute::job::JobRun;
use crate::pipeline::CacheMode;
use crate::plan::WORKSPACE;
use crate::source::Owner;

/// What there is of a wanted cache.
enum Sought {
    Exact(Used),
    Near(Used),
    Nothing { why: String },
}

impl<E: Engine> JobRun<'_, E> {
    /// Finds one cache, and has the container see it.
    pub(super) async fn find(
        &self,
        index: &CacheIndex,
        wanted: &Wanted<'_>,
        turn: Option<Exclusive>,
        owner: Option<Owner>,
        into: &mut JobCaches,
    ) -> Result<(), NotCached> {
        let maker = Maker { context: self.context, image: &self.image.name, owner };
        let sought = self.seek(index, wanted).await?;
        let (cache, found) = match (wanted.plan.mode, sought) {
            (CacheMode::Shared, sought) => self.join(index, wanted, &maker, sought, into).await?,
            (CacheMode::Private, Sought::Exact(used)) => {
                let top = maker.passing(wanted.plan.paths.len()).await?;
                self.mount(&maker, wanted, &top, &used.record.layers, into).await?;
                (wanted.cache(End::Stays, Some(used)), CacheFound::Hit)
            }
            (CacheMode::Private | CacheMode::Locked, sought) => self.grow(index, wanted, &maker, sought, into).await?,
        };
        into.caches.push(JobCache { _turn: turn, ..cache });
        self.context.emit(Event::Cache { job: self.job.id.clone(), key: wanted.shown.clone(), found }).await;
        Ok(())
    }

    async fn seek(&self, index: &CacheIndex, wanted: &Wanted<'_>) -> Result<Sought, NotCached> {
        let mut is_broken = false;
        let exact = || {
            Ok(match index.noted(&wanted.place, &wanted.key)? {
                Noted::Cache(record) => Some(record),
                Noted::Nothing => None,
                Noted::Broken => {
                    is_broken = true;
                    None
                }
            })
        };
        if let Some(used) = taken(index, exact).await? {
            return Ok(Sought::Exact(used));
        }
        for prefix in &wanted.restore {
            if let Some(used) = taken(index, || index.newest(&wanted.place, prefix)).await? {
                return Ok(Sought::Near(used));
            }
        }
        let why = match index.last_key(&wanted.place)? {
            _ if wanted.is_lost => "its volumes are gone from the engine".to_owned(),
            _ if is_broken => "what is noted of it cannot be read".to_owned(),
            Some(last) => format!("the last that was saved is {}", self.context.mask.text(&last)),
            None => "nothing is saved yet".to_owned(),
        };
        Ok(Sought::Nothing { why })
    }

    /// A cache of a new layer, over what was found. It is saved when its job ended well.
    async fn grow(
        &self,
        index: &CacheIndex,
        wanted: &Wanted<'_>,
        maker: &Maker<'_, E>,
        sought: Sought,
        into: &mut JobCaches,
    ) -> Result<(JobCache, CacheFound), NotCached> {
        let folders = wanted.plan.paths.len();
        let (mut used, mut found) = self.told(sought);
        let mut lower = used.as_ref().map(|used| used.record.layers.clone()).unwrap_or_default();
        let mut new = Vec::new();
        if !is_shallow(&lower, folders) {
            // It should have been made flat after its jobs. Now that has to be waited for.
            let (flat, lock) = maker.layer(index, folders).await?;
            match maker.copy(&lower, &flat, folders).await {
                Ok(()) => {
                    lower = vec![flat];
                    new.push(lock);
                }
                Err(NotCached::Without(why)) => {
                    (used, lower) = (None, Vec::new());
                    found = CacheFound::Miss { why: format!("what is there has too many layers: {why}") };
                }
                Err(error) => return Err(error),
            }
        }
        let (top, lock) = maker.layer(index, folders).await?;
        new.push(lock);
        self.mount(maker, wanted, &top, &lower, into).await?;
        let replace = match wanted.plan.mode {
            CacheMode::Locked => Replace::Yes,
            CacheMode::Private | CacheMode::Shared => Replace::No,
        };
        let record = wanted.record([vec![top], lower].concat());
        Ok((JobCache { _new: new, ..wanted.cache(End::Saved(record, replace), used) }, found))
    }

    /// The one volume of a shared cache. It is noted before its first job begins: all who come from here on write to it, too.
    async fn join(
        &self,
        index: &CacheIndex,
        wanted: &Wanted<'_>,
        maker: &Maker<'_, E>,
        mut sought: Sought,
        into: &mut JobCaches,
    ) -> Result<(JobCache, CacheFound), NotCached> {
        let folders = wanted.plan.paths.len();
        loop {
            if let Sought::Exact(used) = sought {
                let record = used.record.clone();
                if let [volume, ..] = &record.layers[..] {
                    self.mount(maker, wanted, volume, &[], into).await?;
                }
                return Ok((wanted.cache(End::Confirmed(record), Some(used)), CacheFound::Hit));
            }
            let (volume, lock) = maker.layer(index, folders).await?;
            let (used, mut found) = self.told(sought);
            if let Some(used) = &used {
                // Not laid over: what is below an overlay must not change, and this one's jobs may still write to it.
                match maker.copy(&used.record.layers, &volume, folders).await {
                    Ok(()) => {}
                    Err(NotCached::Without(why)) => found = CacheFound::Miss { why },
                    Err(error) => return Err(error),
                }
            }
            let record = wanted.record(vec![volume.clone()]);
            if index.save(&record, Replace::No)? {
                self.context.kept.keep_after_all(&volume.volume);
                self.mount(maker, wanted, &volume, &[], into).await?;
                return Ok((JobCache { _new: vec![lock], ..wanted.cache(End::Confirmed(record), used) }, found));
            }
            // Another job was first.
            sought = self.seek(index, wanted).await?;
        }
    }

    fn told(&self, sought: Sought) -> (Option<Used>, CacheFound) {
        match sought {
            Sought::Exact(used) => (Some(used), CacheFound::Hit),
            Sought::Near(used) => {
                let key = self.context.mask.text(&used.record.key);
                (Some(used), CacheFound::Partial { key })
            }
            Sought::Nothing { why } => (None, CacheFound::Miss { why }),
        }
    }

    /// Has the container see a layer, over others.
    async fn mount(
        &self,
        maker: &Maker<'_, E>,
        wanted: &Wanted<'_>,
        top: &Layer,
        lower: &[Layer],
        into: &mut JobCaches,
    ) -> Result<(), NotCached> {
        for (number, path) in wanted.plan.paths.iter().enumerate() {
            let volume = maker.shown(number, top, lower).await?;
            let target = if path.starts_with('/') { path.clone() } else { format!("{WORKSPACE}/{path}") };
            into.mounts.push(Mount { volume, target });
        }
        Ok(())
    }
}
