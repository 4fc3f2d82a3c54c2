//! Vessels: containers that are there for their volumes. The engine unpacks into them and packs out of them; most never run.

use std::sync::PoisonError;

use tokio::io::DuplexStream;
use tokio_util::io::SyncIoBridge;

use super::{Kept, NotKept};
use crate::engine::{
    ContainerId, ContainerSpec, Engine, EngineError, Labels, Limits, Mount, Network, Privileges, Session,
};
use crate::plan::WORKSPACE;
use crate::source::SourceError;

/// How much of an archive waits between the reading of files and the sending of them.
const PIPE: usize = 1024 * 1024;

impl<E: Engine> Kept<E> {
    /// Unpacks a tar in a volume, by way of a container that never runs.
    pub(in crate::execute) async fn fill<T: Send + 'static>(
        &self,
        volume: &str,
        image: &str,
        write: impl FnOnce(SyncIoBridge<DuplexStream>) -> Result<T, SourceError> + Send + 'static,
    ) -> Result<T, NotKept> {
        let vessel = self.vessel(image, volume).await?;
        let written = self.pour(&vessel, write).await;
        let removed = self.put_away(&vessel).await;
        let written = written?;
        removed?;
        Ok(written)
    }

    /// Unpacks a tar in such a container.
    pub(super) async fn pour<T: Send + 'static>(
        &self,
        vessel: &ContainerId,
        write: impl FnOnce(SyncIoBridge<DuplexStream>) -> Result<T, SourceError> + Send + 'static,
    ) -> Result<T, NotKept> {
        let (reader, writer) = tokio::io::duplex(PIPE);
        let writing = tokio::task::spawn_blocking(move || write(SyncIoBridge::new(writer)));
        let sent = self.engine.upload(vessel, WORKSPACE, Box::pin(reader)).await;
        let written = match writing.await {
            Ok(written) => written,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        sent?;
        Ok(written?)
    }

    /// A container with a volume at the workspace's place. It never runs: the engine unpacks into it and packs out of it.
    pub(in crate::execute) async fn vessel(&self, image: &str, volume: &str) -> Result<ContainerId, EngineError> {
        self.vessel_of(image, vec![Mount { volume: volume.to_owned(), target: WORKSPACE.to_owned() }]).await
    }

    pub(super) async fn vessel_of(&self, image: &str, mounts: Vec<Mount>) -> Result<ContainerId, EngineError> {
        Ok(self.attached_vessel(image, mounts, "true").await?.id)
    }

    /// A container with these volumes, which runs this command as root when it is started.
    pub(in crate::execute) async fn attached_vessel(
        &self,
        image: &str,
        mounts: Vec<Mount>,
        command: &str,
    ) -> Result<Session, EngineError> {
        let session =
            self.making.create(&self.engine, vessel_spec(image, mounts, command, self.labels.clone())).await?;
        self.vessels.lock().unwrap_or_else(PoisonError::into_inner).push(session.id.clone());
        Ok(session)
    }

    /// Removes such a container.
    pub(in crate::execute) async fn put_away(&self, vessel: &ContainerId) -> Result<(), EngineError> {
        self.engine.remove(vessel).await?;
        self.vessels.lock().unwrap_or_else(PoisonError::into_inner).retain(|id| id != vessel);
        Ok(())
    }
}

/// Such a container, as the engine is asked for it.
pub(in crate::execute) fn vessel_spec(image: &str, mounts: Vec<Mount>, command: &str, labels: Labels) -> ContainerSpec {
    ContainerSpec {
        image: image.to_owned(),
        user: Some("0:0".to_owned()),
        command: ["sh", "-c", command].map(str::to_owned).to_vec(),
        env: Vec::new(),
        working_directory: None,
        scratch: None,
        tmpfs: Vec::new(),
        mounts,
        limits: Limits { nano_cpus: None, memory: None, pids: 16 },
        network: Network::None,
        privileges: Privileges::Sandbox,
        labels,
        hostname: "argon".to_owned(),
        aliases: Vec::new(),
    }
}
