//! What an engine tells of itself and of its images.

use bollard::models::{ImageInspect, SystemInfo, SystemInfoCgroupVersionEnum, SystemVersion};
use std::sync::atomic::Ordering;

use super::reference::Reference;
use super::{Docker, error};
use crate::engine::{EngineError, EngineInfo, Health, Image};

/// Facts of the engine.
pub(super) async fn info(docker: &Docker) -> Result<EngineInfo, EngineError> {
    let (version, info) = tokio::try_join!(docker.client.version(), docker.client.info())?;
    Ok(EngineInfo {
        product: product(&version).to_owned(),
        api_version: docker.version.to_string(),
        platform: platform(version.os.as_deref(), version.arch.as_deref()).unwrap_or_default(),
        endpoint: docker.endpoint.to_string(),
        cgroup_version: cgroup_version(&info).to_owned(),
        rootless: info.security_options.iter().flatten().any(|option| option.starts_with("name=rootless")),
        init: !docker.no_init.load(Ordering::Relaxed) && has_init(&info),
        cpus: info.ncpu.and_then(|n| u64::try_from(n).ok()).unwrap_or_default(),
        memory: info.mem_total.and_then(|n| u64::try_from(n).ok()).unwrap_or_default(),
        storage_driver: info.driver.unwrap_or_default(),
        version: version.version.unwrap_or_default(),
    })
}

fn product(version: &SystemVersion) -> &'static str {
    let podman = version.components.iter().flatten().any(|component| component.name.contains("Podman"));
    if podman { "Podman" } else { "Docker" }
}

fn platform(os: Option<&str>, architecture: Option<&str>) -> Option<String> {
    Some(format!("{}/{}", os.filter(|s| !s.is_empty())?, architecture.filter(|s| !s.is_empty())?))
}

fn cgroup_version(info: &SystemInfo) -> &'static str {
    match info.cgroup_version {
        Some(SystemInfoCgroupVersionEnum::_1) => "1",
        Some(SystemInfoCgroupVersionEnum::_2) => "2",
        _ => "",
    }
}

/// Docker writes `N/A` for an init that it could not run.
fn has_init(info: &SystemInfo) -> bool {
    info.init_commit.as_ref().and_then(|commit| commit.id.as_deref()) != Some("N/A")
}

/// The image, where the engine has it.
pub(super) async fn image(docker: &Docker, image: &str) -> Result<Option<Image>, EngineError> {
    Reference::parse(image)?;
    match docker.client.inspect_image(image).await {
        Ok(found) => Ok(Some(facts(image, found))),
        Err(e) if error::is_not_found(&e) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

fn facts(name: &str, found: ImageInspect) -> Image {
    let config = found.config.unwrap_or_default();
    let mut ports: Vec<u16> =
        config.exposed_ports.iter().flatten().filter_map(|port| port.strip_suffix("/tcp")?.parse().ok()).collect();
    ports.sort_unstable();
    Image {
        name: name.to_owned(),
        platform: platform(found.os.as_deref(), found.architecture.as_deref()),
        id: found.id.unwrap_or_default(),
        user: config.user.unwrap_or_default(),
        entrypoint: config.entrypoint.unwrap_or_default(),
        command: config.cmd.unwrap_or_default(),
        health: config.healthcheck.and_then(|check| health(&check.test.unwrap_or_default())),
        ports,
    }
}

/// The forms that a HEALTHCHECK has in an image: `["CMD-SHELL", line]`, `["CMD", program, argument…]`, `["NONE"]`.
fn health(test: &[String]) -> Option<Health> {
    match test {
        [form, line] if form == "CMD-SHELL" => Some(Health::Shell(line.clone())),
        [form, program @ ..] if form == "CMD" && !program.is_empty() => Some(Health::Program(program.to_vec())),
        _ => None,
    }
}
