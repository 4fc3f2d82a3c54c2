//! Docker and Podman over their HTTP API. The only module that knows bollard.

mod archive;
mod attach;
mod build;
mod connect;
mod container;
mod credentials;
mod endpoint;
mod error;
mod exec;
mod facts;
mod init;
mod network;
mod pull;
mod reference;
mod volume;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bollard::ClientVersion;
use tokio::sync::mpsc;

pub use self::connect::{EngineEnv, connect};
pub use self::endpoint::Endpoint;
use super::{
    BuildSpec, Building, BuiltImage, ContainerEnd, ContainerId, ContainerSpec, Engine, EngineError, EngineInfo,
    ExecEnd, Image, NetworkSpec, OwnedContainer, OwnedNetwork, OwnedVolume, Session, TarStream, VolumeSpec,
};
use crate::event::PullEvent;

/// Docker, or Podman behind Docker's API. Made by [`connect`]; a clone is the same engine.
#[derive(Debug, Clone)]
pub struct Docker {
    client: bollard::Docker,
    endpoint: Endpoint,
    /// What requests are made in: the engine's version or bollard's, whichever is older.
    version: ClientVersion,
    /// What it builds images with.
    builder: build::Builder,
    /// Docker's own configuration of this user, where the credentials are.
    config_dir: Option<PathBuf>,
    /// The engine was seen to have no init.
    no_init: Arc<AtomicBool>,
    /// The engine was seen to refuse overlays that note where a directory was renamed from.
    no_redirects: Arc<AtomicBool>,
    /// How long a pull may stand still.
    stall: Duration,
}

impl Docker {
    /// Where it answers.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Sets how long a pull may go without any progress (120 s where this is not called).
    #[must_use]
    pub fn with_stall_limit(mut self, limit: Duration) -> Self {
        self.stall = limit;
        self
    }
}

impl Docker {
    /// Remembers what the engine was seen to lack.
    fn remember(&self, error: &EngineError) {
        match error {
            EngineError::InitMissing => self.no_init.store(true, Ordering::Relaxed),
            EngineError::LayersRefused { .. } => self.no_redirects.store(true, Ordering::Relaxed),
            _ => {}
        }
    }
}

impl Engine for Docker {
    async fn info(&self) -> Result<EngineInfo, EngineError> {
        facts::info(self).await
    }

    async fn image(&self, image: &str) -> Result<Option<Image>, EngineError> {
        facts::image(self, image).await
    }

    async fn pull(&self, image: &str, progress: mpsc::Sender<PullEvent>) -> Result<Image, EngineError> {
        pull::pull(self, image, progress).await
    }

    async fn build(
        &self,
        spec: &BuildSpec,
        context: TarStream,
        progress: mpsc::Sender<Building>,
    ) -> Result<String, EngineError> {
        build::build(self, spec, context, &progress).await
    }

    async fn name_image(&self, image: &str, name: &str) -> Result<(), EngineError> {
        build::name(self, image, name).await
    }

    async fn remove_image(&self, name: &str) -> Result<(), EngineError> {
        build::remove(self, name).await
    }

    async fn built_images(&self) -> Result<Vec<BuiltImage>, EngineError> {
        build::built(self).await
    }

    async fn some_image(&self) -> Result<Option<String>, EngineError> {
        facts::some_image(self).await
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<Session, EngineError> {
        container::create(self, spec).await
    }

    async fn start(&self, container: &ContainerId) -> Result<(), EngineError> {
        container::start(self, container).await
    }

    async fn upload(&self, container: &ContainerId, directory: &str, tar: TarStream) -> Result<(), EngineError> {
        let uploaded = archive::upload(self, container, directory, tar).await;
        // The engine mounts a container's volumes for that, too.
        uploaded.inspect_err(|error| self.remember(error))
    }

    async fn read_file(&self, container: &ContainerId, path: &str) -> Result<Vec<u8>, EngineError> {
        archive::read_file(self, container, path).await
    }

    async fn removed(&self, container: &ContainerId) -> Result<ContainerEnd, EngineError> {
        container::removed(self, container).await
    }

    async fn remove(&self, container: &ContainerId) -> Result<(), EngineError> {
        container::remove(self, container).await
    }

    async fn exec(&self, container: &ContainerId, command: &[String]) -> Result<ExecEnd, EngineError> {
        exec::exec(self, container, command).await
    }

    async fn create_network(&self, spec: &NetworkSpec) -> Result<(), EngineError> {
        network::create(self, spec).await
    }

    async fn remove_network(&self, name: &str) -> Result<(), EngineError> {
        network::remove(self, name).await
    }

    async fn owned_networks(&self) -> Result<Vec<OwnedNetwork>, EngineError> {
        network::owned(self).await
    }

    async fn create_volume(&self, spec: &VolumeSpec) -> Result<String, EngineError> {
        volume::create(self, spec).await
    }

    async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        volume::remove(self, name).await
    }

    async fn volume_sizes(&self) -> Result<BTreeMap<String, u64>, EngineError> {
        volume::sizes(self).await
    }

    async fn download(&self, container: &ContainerId, path: &str) -> Result<TarStream, EngineError> {
        archive::download(self, container, path).await
    }

    async fn owned_volumes(&self) -> Result<Vec<OwnedVolume>, EngineError> {
        volume::owned(self).await
    }

    async fn owned(&self) -> Result<Vec<OwnedContainer>, EngineError> {
        container::owned(self).await
    }
}
