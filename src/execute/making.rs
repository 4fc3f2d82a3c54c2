//! What is made on an engine and nobody cuts short: an engine does not stop making it when the question is taken back, and who
//! asked would never learn of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use crate::engine::{ContainerSpec, Engine, EngineError, NetworkSpec, Session, VolumeSpec};

/// What is left of the making of something takes no longer, or the engine does not answer any more.
const LIMIT: Duration = Duration::from_secs(10);

/// Makes things for whoever may be stopped meanwhile. A clone is the same one.
#[derive(Debug, Clone, Default)]
pub(super) struct Making(TaskTracker);

impl Making {
    /// Makes a container. Where nobody takes it any more, it is removed.
    pub(super) async fn create<E: Engine>(&self, engine: &Arc<E>, spec: ContainerSpec) -> Result<Session, EngineError> {
        let of = engine.clone();
        let unclaimed = self.whole(engine, async move { of.create(&spec).await }, Made::Container).await?;
        match unclaimed.claim() {
            Some(Made::Container(session)) => Ok(session),
            _ => Err(EngineError::Gone),
        }
    }

    /// Makes a network. Where nobody waits for it any more, it is removed.
    pub(super) async fn network<E: Engine>(&self, engine: &Arc<E>, spec: NetworkSpec) -> Result<(), EngineError> {
        let (of, name) = (engine.clone(), spec.name.clone());
        let made = self.whole(engine, async move { of.create_network(&spec).await }, |()| Made::Network(name));
        made.await.map(|unclaimed| drop(unclaimed.claim()))
    }

    /// Makes a volume; gives where it is. Where nobody waits for it any more, it is removed.
    pub(super) async fn volume<E: Engine>(&self, engine: &Arc<E>, spec: VolumeSpec) -> Result<String, EngineError> {
        let (of, name) = (engine.clone(), spec.name.clone());
        let wrap = |at| Made::Volume { name, at };
        match self.whole(engine, async move { of.create_volume(&spec).await }, wrap).await?.claim() {
            Some(Made::Volume { at, .. }) => Ok(at),
            _ => Err(EngineError::Gone),
        }
    }

    async fn whole<E: Engine, T: Send + 'static>(
        &self,
        engine: &Arc<E>,
        work: impl Future<Output = Result<T, EngineError>> + Send + 'static,
        wrap: impl FnOnce(T) -> Made + Send + 'static,
    ) -> Result<Unclaimed<E>, EngineError> {
        let (give, take) = oneshot::channel();
        let (engine, tasks) = (engine.clone(), self.0.clone());
        self.0.spawn(async move {
            let made = work.await.map(|made| Unclaimed { engine, tasks, made: Some(wrap(made)) });
            // Where nobody takes it any more, dropping it removes it.
            drop(give.send(made));
        });
        take.await.unwrap_or(Err(EngineError::Gone))
    }

    /// Waits until nothing is being made any more.
    pub(super) async fn end(&self) {
        self.0.close();
        let _ = tokio::time::timeout(LIMIT, self.0.wait()).await;
    }
}

/// What was made.
enum Made {
    Container(Session),
    Network(String),
    Volume { name: String, at: String },
}

/// Something on its way to whoever asked for it. A channel may take it in and then be dropped unread: a check of what was sent
/// is not enough.
struct Unclaimed<E: Engine> {
    engine: Arc<E>,
    tasks: TaskTracker,
    made: Option<Made>,
}

impl<E: Engine> Unclaimed<E> {
    fn claim(mut self) -> Option<Made> {
        self.made.take()
    }
}

impl<E: Engine> Drop for Unclaimed<E> {
    fn drop(&mut self) {
        let Some(made) = self.made.take() else { return };
        let engine = self.engine.clone();
        self.tasks.spawn(async move {
            // A sweep finds what cannot be removed now.
            let _ = match made {
                Made::Container(session) => engine.remove(&session.id).await,
                Made::Network(name) => engine.remove_network(&name).await,
                Made::Volume { name, .. } => engine.remove_volume(&name).await,
            };
        });
    }
}
