//! Volumes: empty ones, and such as lay others over one another.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;

use bollard::models::{Volume, VolumeCreateRequest};
use bollard::query_parameters::{ListVolumesOptions, RemoveVolumeOptions};
use http_body_util::BodyExt;
use hyper::Method;
use serde_json::Value;

use super::container::{labels, labels_of};
use super::{Docker, endpoint, error};
use crate::engine::{EngineError, Layers, OwnedVolume, Purpose, VolumeSpec};

/// `run`, `base KEY` or `cache SCOPE`.
const LABEL_PURPOSE: &str = "dev.argon.volume";

/// Makes a volume.
pub(super) async fn create(docker: &Docker, spec: &VolumeSpec) -> Result<String, EngineError> {
    let mut labels = labels(&spec.labels);
    labels.insert(LABEL_PURPOSE.to_owned(), word(&spec.purpose));
    let request = VolumeCreateRequest {
        name: Some(spec.name.clone()),
        driver: Some("local".to_owned()),
        driver_opts: spec.layers.as_ref().map(|layers| options(layers, renames(docker))),
        labels: Some(labels),
        ..VolumeCreateRequest::default()
    };
    Ok(docker.client.create_volume(request).await?.mountpoint)
}

/// What becomes of the renaming of a directory that a lower layer has
/// (<https://docs.kernel.org/filesystems/overlayfs.html#renaming-directories>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Renames {
    /// The upper layer notes where it comes from.
    Noted,
    /// It fails with EXDEV, which `mv` gets round by copying and `git mv` does not.
    Refused,
}

fn renames(docker: &Docker) -> Renames {
    if docker.no_redirects.load(Ordering::Relaxed) { Renames::Refused } else { Renames::Noted }
}

/// What the engine's `local` driver hands to mount(2) (<https://docs.docker.com/reference/cli/docker/volume/create/>).
fn options(layers: &Layers, renames: Renames) -> HashMap<String, String> {
    let (kind, device, mount) = match layers {
        Layers::Bind(path) => ("none", path.clone(), "bind".to_owned()),
        Layers::Stack(lower) => {
            ("overlay", "overlay".to_owned(), format!("lowerdir={},redirect_dir=follow", lower.join(":")))
        }
        Layers::Overlay { lower, upper, work } => {
            let redirects = match renames {
                Renames::Noted => ",redirect_dir=on",
                Renames::Refused => "",
            };
            let mount = format!("lowerdir={},upperdir={upper},workdir={work}{redirects}", lower.join(":"));
            ("overlay", "overlay".to_owned(), mount)
        }
    };
    [("type", kind.to_owned()), ("device", device), ("o", mount)].map(|(name, value)| (name.to_owned(), value)).into()
}

/// Removes a volume.
pub(super) async fn remove(docker: &Docker, name: &str) -> Result<(), EngineError> {
    match docker.client.remove_volume(name, None::<RemoveVolumeOptions>).await {
        Err(refusal) if !error::is_not_found(&refusal) => Err(refusal.into()),
        _ => Ok(()),
    }
}

/// Bytes in each volume.
pub(super) async fn sizes(docker: &Docker) -> Result<BTreeMap<String, u64>, EngineError> {
    // Bollard knows the newest form of the answer alone (API 1.52), and takes the others for empty.
    let path = format!("/v{}/system/df?type=volume", docker.version);
    let response = endpoint::request(&docker.endpoint, Method::GET, &path).await?;
    let status = response.status();
    if !status.is_success() {
        return Err(error::refused(status.as_u16(), endpoint::message(response).await));
    }
    let body = response.into_body().collect().await.map_err(|error| EngineError::Connection(error.to_string()))?;
    let usage: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
    let volumes = usage["Volumes"].as_array().or_else(|| usage["VolumeUsage"]["Items"].as_array());
    let sized = volumes
        .into_iter()
        .flatten()
        .filter_map(|volume| Some((volume["Name"].as_str()?.to_owned(), volume["UsageData"]["Size"].as_u64()?)));
    Ok(sized.collect())
}

/// All volumes that carry Argon's label.
pub(super) async fn owned(docker: &Docker) -> Result<Vec<OwnedVolume>, EngineError> {
    let filters = HashMap::from([("label".to_owned(), vec![LABEL_PURPOSE.to_owned()])]);
    let found = docker.client.list_volumes(Some(ListVolumesOptions { filters: Some(filters) })).await?;
    Ok(found.volumes.unwrap_or_default().into_iter().filter_map(owned_volume).collect())
}

fn owned_volume(found: Volume) -> Option<OwnedVolume> {
    let purpose = purpose(found.labels.get(LABEL_PURPOSE)?)?;
    Some(OwnedVolume { name: found.name, mountpoint: found.mountpoint, purpose, labels: labels_of(found.labels) })
}

fn word(purpose: &Purpose) -> String {
    match purpose {
        Purpose::Run => "run".to_owned(),
        Purpose::Base(key) => format!("base {key}"),
        Purpose::Cache(scope) => format!("cache {scope}"),
    }
}

fn purpose(word: &str) -> Option<Purpose> {
    match word.split_once(' ') {
        None if word == "run" => Some(Purpose::Run),
        Some(("base", key)) => Some(Purpose::Base(key.to_owned())),
        Some(("cache", scope)) => Some(Purpose::Cache(scope.to_owned())),
        _ => None,
    }
}
