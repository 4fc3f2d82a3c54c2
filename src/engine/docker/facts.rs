//! What an engine tells of itself and of its images.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bollard::models::{HealthConfig, ImageInspect, SystemInfo, SystemInfoCgroupVersionEnum, SystemVersion};
use bollard::query_parameters::ListImagesOptions;

use super::reference::Reference;
use super::{Docker, error};
use crate::engine::{EngineError, EngineInfo, Health, HealthCheck, Image};

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

/// The name of some image, or the id of one that has no name.
pub(super) async fn some_image(docker: &Docker) -> Result<Option<String>, EngineError> {
    let found = docker.client.list_images(None::<ListImagesOptions>).await?;
    Ok(found.into_iter().map(|image| image.id).next())
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
        health: config.healthcheck.and_then(health),
        ports,
    }
}

/// The forms that a HEALTHCHECK has in an image: `["CMD-SHELL", line]`, `["CMD", program, argument…]`, `["NONE"]`. Times are in
/// nanoseconds, 0 where nothing is said.
fn health(check: HealthConfig) -> Option<HealthCheck> {
    let asks = match check.test.unwrap_or_default().as_slice() {
        [form, line] if form == "CMD-SHELL" => Health::Shell(line.clone()),
        [form, program @ ..] if form == "CMD" && !program.is_empty() => Health::Program(program.to_vec()),
        _ => return None,
    };
    let time = |nanos: Option<i64>| u64::try_from(nanos?).ok().filter(|nanos| *nanos > 0).map(Duration::from_nanos);
    Some(HealthCheck { asks, timeout: time(check.timeout), start_period: time(check.start_period) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_healthcheck_is_read_with_its_times() {
        let check = |test: &[&str], timeout| HealthConfig {
            test: Some(test.iter().map(|word| (*word).to_owned()).collect()),
            timeout,
            start_period: Some(0),
            ..HealthConfig::default()
        };
        let read = health(check(&["CMD-SHELL", "true"], Some(3_000_000_000)));
        let asks = Health::Shell("true".to_owned());
        let timeout = Some(Duration::from_secs(3));
        assert_eq!(read, Some(HealthCheck { asks, timeout, start_period: None }));
        let read = health(check(&["CMD", "curl", "-f"], None)).map(|check| check.asks);
        assert_eq!(read, Some(Health::Program(vec!["curl".to_owned(), "-f".to_owned()])));
        assert_eq!(health(check(&["NONE"], None)), None);
    }
}
