//! Containers whose making nobody cuts short: an engine does not stop making one when the question is taken back, and who asked
//! would never learn its name.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use crate::engine::{ContainerSpec, Engine, EngineError, Session};

/// What is left of the making of a container takes no longer, or the engine does not answer any more.
const LIMIT: Duration = Duration::from_secs(10);

/// Makes containers for whoever may be stopped meanwhile. A clone is the same one.
#[derive(Debug, Clone, Default)]
pub(super) struct Making(TaskTracker);

impl Making {
    /// Makes one. Where nobody takes it any more, it is removed.
    pub(super) async fn create<E: Engine>(&self, engine: &Arc<E>, spec: ContainerSpec) -> Result<Session, EngineError> {
        let (give, take) = oneshot::channel();
        let engine = engine.clone();
        self.0.spawn(async move {
            let made = engine.create(&spec).await;
            if let Err(Ok(session)) = give.send(made) {
                // A sweep finds what cannot be removed now.
                let _ = engine.remove(&session.id).await;
            }
        });
        take.await.unwrap_or(Err(EngineError::Gone))
    }

    /// Waits until nothing is being made any more.
    pub(super) async fn end(&self) {
        self.0.close();
        let _ = tokio::time::timeout(LIMIT, self.0.wait()).await;
    }
}
