//! Removing volumes: snapshots beyond what is kept, and any other, which takes a moment after its container is gone.

use std::collections::BTreeMap;
use std::time::Duration;

use super::NotKept;
use crate::engine::{Engine, EngineError, OwnedVolume, Purpose};
use crate::execute::sweep::{Left, Swept};
use crate::source::Bases;

/// How many snapshots of one tree are kept, and of all.
pub(super) const KEPT: (usize, usize) = (2, 16);

/// How many bytes all snapshots may have together.
pub(super) const KEPT_BYTES: u64 = 20 * 1024 * 1024 * 1024;

/// How often the removal of a volume is tried while the engine still has a container that is just going.
const REMOVE_TRIES: u32 = 40;

/// The engine lets go of a volume a moment after its container is gone.
pub(in crate::execute) async fn remove_volume<E: Engine>(engine: &E, name: &str) -> Result<(), EngineError> {
    let mut tries = 0;
    loop {
        match engine.remove_volume(name).await {
            Err(EngineError::Refused { .. }) if tries < REMOVE_TRIES => tries += 1,
            ended => return ended,
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Removes all snapshots that nobody uses, and notes that in what was swept.
///
/// # Errors
/// Where the engine does not say what there is.
pub async fn forget_snapshots<E: Engine>(engine: &E, bases: &Bases, swept: &mut Swept) -> Result<(), NotKept> {
    let volumes = engine.owned_volumes().await?;
    swept.volumes += tidy(engine, bases, volumes, (0, 0), 0, &mut swept.left).await;
    Ok(())
}

/// Removes the snapshots beyond `most` of one tree and of all, and beyond so many bytes; gives how many. One that cannot be removed
/// keeps no other.
pub(super) async fn tidy<E: Engine>(
    engine: &E,
    bases: &Bases,
    volumes: Vec<OwnedVolume>,
    (most_of_tree, most): (usize, usize),
    bytes: u64,
    left: &mut Left,
) -> usize {
    let mut found = Vec::new();
    for volume in volumes {
        let Purpose::Base(key) = volume.purpose else { continue };
        // Another folder notes it: it is not ours to remove, and does not count against what is.
        if !bases.notes(&volume.name) {
            continue;
        }
        match bases.free(&volume.name) {
            Ok(free) => found.push((free, key, volume.name)),
            Err(error) => {
                left.0.push(format!("the volume {}: what is noted of it cannot be read: {error}", volume.name));
            }
        }
    }
    // Those in use first: they count, and stay.
    found.sort_by_key(|(free, ..)| free.as_ref().map(|free| std::cmp::Reverse(free.used)));
    let (mut seen, mut size, mut of_tree, mut removed) = (0, 0, BTreeMap::<String, usize>::new(), 0);
    for (free, key, name) in found {
        let of_tree = of_tree.entry(key).or_default();
        *of_tree += 1;
        seen += 1;
        let Some(free) = free else { continue };
        size += free.bytes;
        if *of_tree > most_of_tree || seen > most || size > bytes {
            let gone = left.note("volume", &name, engine.remove_volume(&name).await);
            if gone > 0 {
                free.forget();
            }
            removed += gone;
        }
    }
    removed
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::engine::Labels;
    use crate::engine::fake::Fake;
    use crate::source::Manifest;

    /// What other folders note, as those of another user, was once counted against one's own.
    #[tokio::test]
    async fn snapshots_that_another_folder_notes_do_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let (bases, engine) = (Bases::new(folder.path()), Fake::default());
        let volume = |name: &str, key: &str| OwnedVolume {
            name: name.to_owned(),
            mountpoint: String::new(),
            purpose: Purpose::Base(key.to_owned()),
            labels: Labels { run: String::new(), job: String::new(), owner: String::new() },
        };
        let mut volumes: Vec<OwnedVolume> = (0..20).map(|n| volume(&format!("theirs-{n}"), "theirs")).collect();
        for name in ["one", "two", "three"] {
            drop(bases.keep(name, Manifest::default()).unwrap());
            volumes.push(volume(name, "ours"));
        }
        assert_eq!(
            tidy(&engine, &bases, volumes, KEPT, KEPT_BYTES, &mut Left::default()).await,
            1,
            "of three, two stay"
        );
        assert_eq!(["one", "two", "three"].iter().filter(|name| bases.notes(name)).count(), 2);
    }
}
