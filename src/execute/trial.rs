//! A trial of the kept workspace: whether an engine lays volumes over one another, and heeds the marks of what is gone.

use std::io::Write;
use std::sync::Arc;

use tokio::io::AsyncReadExt;

use super::Owner as Process;
use super::kept::{remove_volume, vessel_spec};
use super::making::Making;
use crate::engine::{ContainerId, Engine, EngineError, Labels, Layers, Mount, Purpose, VolumeSpec};
use crate::plan::WORKSPACE;

/// What the trial came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trial {
    /// Large trees are kept as snapshots.
    Kept,
    /// They are streamed to each job, for this reason.
    Streamed(String),
    /// There is no image on the engine to try it with.
    NoImage,
}

/// In the lower layer: a file that stays, and one that the upper one takes away.
const STAYS: &str = "stays";
const GONE: &str = "gone";

/// Tries it with two small volumes, and takes them away.
///
/// # Errors
/// Where the engine does not answer, or what was made cannot be removed.
pub async fn try_layers<E: Engine>(engine: &Arc<E>) -> Result<Trial, EngineError> {
    let Some(image) = engine.some_image().await? else { return Ok(Trial::NoImage) };
    let mut bench = Bench { engine, making: Making::default(), image, made: Vec::new() };
    let mut tried = bench.run().await;
    if matches!(tried, Err(EngineError::LayersRefused { .. })) {
        // The engine remembers that it refuses the best way.
        tried = bench.run().await;
    }
    let cleared = bench.clear().await;
    let trial = match tried {
        Ok(trial) => trial,
        Err(error @ EngineError::Connection(_)) => return Err(error),
        Err(error) => Trial::Streamed(error.to_string()),
    };
    cleared.map(|()| trial)
}

struct Bench<'e, E> {
    engine: &'e Arc<E>,
    making: Making,
    image: String,
    made: Vec<String>,
}

impl<E: Engine> Bench<'_, E> {
    async fn run(&mut self) -> Result<Trial, EngineError> {
        let (plain, at) = self.volume(None).await?;
        let vessel = self.vessel(&plain).await?;
        let filled = self.engine.upload(&vessel, WORKSPACE, Box::pin(std::io::Cursor::new(layers()?))).await;
        self.engine.remove(&vessel).await?;
        filled?;
        let lower = vec![format!("{at}/files"), format!("{at}/base")];
        let layers = Layers::Overlay { lower, upper: format!("{at}/upper"), work: format!("{at}/work") };
        let (over, _) = self.volume(Some(layers)).await?;
        let vessel = self.vessel(&over).await?;
        let seen = self.seen(&vessel).await;
        self.engine.remove(&vessel).await?;
        let seen = seen?;
        let has = |name: &str| memchr::memmem::find(&seen, format!("{name}\0").as_bytes()).is_some();
        Ok(match (has(STAYS), has(GONE)) {
            (true, false) => Trial::Kept,
            (true, true) => Trial::Streamed("it does not unpack the marks of files that are gone".to_owned()),
            (false, _) => Trial::Streamed("a volume that is laid over others does not show them".to_owned()),
        })
    }

    /// What is seen through the layers, as a tar.
    async fn seen(&self, vessel: &ContainerId) -> Result<Vec<u8>, EngineError> {
        // Docker mounts volumes of a container that does not run where something is put in, and not in every way to read it.
        let nothing = Box::pin(std::io::Cursor::new(vec![0; 1024]));
        self.engine.upload(vessel, WORKSPACE, nothing).await?;
        let mut tar = self.engine.download(vessel, &format!("{WORKSPACE}/.")).await?;
        let mut seen = Vec::new();
        tar.read_to_end(&mut seen)
            .await
            .map_err(|error| EngineError::Refused { status: 0, message: error.to_string() })?;
        Ok(seen)
    }

    async fn volume(&mut self, layers: Option<Layers>) -> Result<(String, String), EngineError> {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let name = format!("argon-trial-{}", &id[..16]);
        self.made.insert(0, name.clone());
        let spec = VolumeSpec { name: name.clone(), purpose: Purpose::Run, layers, labels: labels() };
        Ok((name, self.making.volume(self.engine, spec).await?))
    }

    /// A container that never runs.
    async fn vessel(&self, volume: &str) -> Result<ContainerId, EngineError> {
        let mounts = vec![Mount { volume: volume.to_owned(), target: WORKSPACE.to_owned() }];
        let spec = vessel_spec(&self.image, mounts, "true", labels());
        Ok(self.making.create(self.engine, spec).await?.id)
    }

    async fn clear(self) -> Result<(), EngineError> {
        self.making.end().await;
        let mut cleared = Ok(());
        for name in self.made {
            cleared = cleared.and(remove_volume(&**self.engine, &name).await);
        }
        cleared
    }
}

fn labels() -> Labels {
    Labels { run: "doctor".to_owned(), job: String::new(), owner: Process::current().to_label() }
}

/// The folders of all layers, as a tar.
fn layers() -> Result<Vec<u8>, EngineError> {
    let failed = |error: std::io::Error| EngineError::Refused { status: 0, message: error.to_string() };
    let mut tar = tar::Builder::new(Vec::new());
    let mut put = |name: String, kind: tar::EntryType| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(if kind == tar::EntryType::Directory { 0o755 } else { 0o644 });
        header.set_size(0);
        header.set_device_major(0)?;
        header.set_device_minor(0)?;
        tar.append_data(&mut header, name, std::io::empty())
    };
    for folder in ["base", "files", "upper", "work"] {
        put(format!("{folder}/"), tar::EntryType::Directory).map_err(failed)?;
    }
    for file in [STAYS, GONE] {
        put(format!("base/{file}"), tar::EntryType::Regular).map_err(failed)?;
    }
    put(format!("files/{GONE}"), tar::EntryType::Char).map_err(failed)?;
    let mut bytes = tar.into_inner().map_err(failed)?;
    bytes.flush().map_err(failed)?;
    Ok(bytes)
}
