//! The sweep: removes what a crash left on the engine, and nothing that may still belong to a living run.

use super::owner::Owner;
use crate::engine::{Engine, EngineError, OwnedContainer};

/// Removes the containers whose owner is dead. Gives those removed.
pub async fn sweep<E: Engine>(engine: &E) -> Result<Vec<OwnedContainer>, EngineError> {
    let me = Owner::current();
    let mut removed = Vec::new();
    for container in engine.owned().await? {
        if Owner::parse(&container.labels.owner).is_some_and(|owner| me.knows_dead(&owner)) {
            engine.remove(&container.id).await?;
            removed.push(container);
        }
    }
    Ok(removed)
}
