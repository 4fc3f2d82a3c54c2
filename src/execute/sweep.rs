//! The sweep: removes what a crash left on the engine, and nothing that may still belong to a living run.

use super::caches::{self, CacheIndex};
use super::kept::remove_volume;
use super::owner::Owner;
use crate::engine::{Engine, EngineError, Purpose};
use crate::source::Bases;

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Containers.
    pub containers: usize,
    /// Networks.
    pub networks: usize,
    /// Volumes.
    pub volumes: usize,
    /// Caches.
    pub caches: usize,
    /// Results of jobs.
    pub results: usize,
    /// Images that were built.
    pub images: usize,
    /// What stays, as it could not be removed.
    pub left: Left,
}

/// What is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// What dead processes left.
    Dead,
    /// All that is Argon's, also of runs that go on.
    Everyones,
}

/// Where it is noted what is kept.
#[derive(Debug, Clone, Copy)]
pub struct Notes<'a> {
    /// Snapshots.
    pub bases: &'a Bases,
    /// Caches.
    pub caches: &'a CacheIndex,
}

impl Notes<'_> {
    /// Whether a volume of this key or scope would be noted here.
    fn are_of(&self, key: &str) -> bool {
        key.split(' ').next() == Some(&self.bases.keeper())
    }
}

/// Removes what Argon made on the engine. Containers go first: they hold on to the rest. What cannot be removed is told, and
/// keeps nothing else from going.
///
/// # Errors
/// Where the engine does not say what there is.
pub async fn sweep<E: Engine>(engine: &E, whose: Whose, kept: Option<Notes<'_>>) -> Result<Swept, EngineError> {
    let me = Owner::current();
    let is_meant =
        |owner: &str| whose == Whose::Everyones || Owner::parse(owner).is_some_and(|owner| me.knows_dead(&owner));
    let mut swept = Swept::default();
    for container in engine.owned().await? {
        if is_meant(&container.labels.owner) {
            let removed = engine.remove(&container.id).await;
            swept.containers += swept.left.note("container", &container.id.0, removed);
        }
    }
    for network in engine.owned_networks().await? {
        if is_meant(&network.labels.owner) {
            let removed = engine.remove_network(&network.name).await;
            swept.networks += swept.left.note("network", &network.name, removed);
        }
    }
    let volumes = engine.owned_volumes().await?;
    if let (Whose::Dead, Some(kept)) = (whose, kept) {
        // Where it cannot be told what caches have, nothing is taken from them.
        swept.volumes += match caches::collect(engine, kept.caches, &kept.bases.keeper(), &volumes).await {
            Ok(removed) => removed,
            Err(error) => {
                swept.left.0.push(format!("volumes of caches: {error}"));
                0
            }
        };
    }
    for volume in volumes {
        let is_left = match (&volume.purpose, whose) {
            (Purpose::Run, _) | (_, Whose::Everyones) => is_meant(&volume.labels.owner),
            // What is kept outlives who made it; what its maker died over is not noted anywhere.
            (Purpose::Base(key), Whose::Dead) => kept.is_some_and(|kept| {
                kept.are_of(key)
                    && is_meant(&volume.labels.owner)
                    && kept.bases.knows(&volume.name).is_ok_and(|known| !known)
            }),
            // Who uses them is known, whoever made them.
            (Purpose::Cache(_), Whose::Dead) => false,
        };
        if is_left {
            let removed = remove_volume(engine, &volume.name).await;
            if let (Ok(()), Purpose::Base(_), Some(kept)) = (&removed, &volume.purpose, kept) {
                kept.bases.forget(&volume.name);
            }
            swept.volumes += swept.left.note("volume", &volume.name, removed);
        }
    }
    Ok(swept)
}

/// What could not be removed, a line each for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Left(pub Vec<String>);

impl Left {
    /// Notes what became of a removal; gives how many things it removed.
    pub(super) fn note(&mut self, what: &str, name: &str, removed: Result<(), EngineError>) -> usize {
        match removed {
            Ok(()) => 1,
            Err(error) => {
                self.0.push(format!("the {what} {name}: {error}"));
                0
            }
        }
    }
}

impl Swept {
    /// In words: `2 containers and 1 network`; `None` where there was nothing.
    #[must_use]
    pub fn words(&self) -> Option<String> {
        let parts: Vec<String> = [
            (self.containers, "container"),
            (self.networks, "network"),
            (self.volumes, "volume"),
            (self.caches, "cache"),
            (self.results, "result"),
            (self.images, "image"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}{}", if count == 1 { "" } else { "s" }))
        .collect();
        match parts.split_last() {
            None => None,
            Some((last, [])) => Some(last.clone()),
            Some((last, others)) => Some(format!("{} and {last}", others.join(", "))),
        }
    }
}
