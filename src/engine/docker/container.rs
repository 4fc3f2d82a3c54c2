//! A container's life on the engine: made, attached, started, waited for, removed.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, ContainerSummary, ContainerSummaryStateEnum, EndpointSettings, HealthConfig, HostConfig,
    HostConfigLogConfig, MountType, MountVolumeOptions, NetworkingConfig,
};
use bollard::query_parameters::{
    CreateContainerOptions, InspectContainerOptions, ListContainersOptions, RemoveContainerOptions,
    StartContainerOptions, WaitContainerOptions,
};
use futures_util::StreamExt;
use tokio::sync::oneshot;

use super::{Docker, attach, error};
use crate::engine::{
    ContainerEnd, ContainerId, ContainerSpec, EngineError, Labels, Network, OwnedContainer, Privileges, Session,
};

const LABEL_RUN: &str = "dev.argon.run";
const LABEL_JOB: &str = "dev.argon.job";
pub(super) const LABEL_OWNER: &str = "dev.argon.owner";

/// All that is left of root's powers: enough for package managers, `chown` and `su`.
const CAPABILITIES: [&str; 9] =
    ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETFCAP", "NET_BIND_SERVICE"];

/// The scratch directory is for scripts and environments, which are small; it counts as the container's memory.
const SCRATCH: &str = "rw,exec,nosuid,nodev,mode=1777,size=64m";

/// How often a container that is waited for is looked for.
const LOOK: Duration = Duration::from_millis(500);

/// How long a removal that someone else began may take.
const REMOVAL: Duration = Duration::from_secs(60);

/// Makes the container and attaches to it; leaves nothing behind when it fails, or when its future is dropped.
pub(super) async fn create(docker: &Docker, spec: &ContainerSpec) -> Result<Session, EngineError> {
    let (docker, spec) = (docker.clone(), spec.clone());
    let (give, take) = oneshot::channel();
    // In a task of its own: an engine does not stop making a container when the question is taken back.
    tokio::spawn(async move {
        let made = create_and_attach(&docker, &spec).await;
        let made = made.map(|session| Unclaimed { docker, session: Some(session) });
        // Where nobody takes it any more, dropping it removes the container.
        drop(give.send(made));
    });
    let made = take.await.map_err(|_| EngineError::Connection("the runtime is shutting down".to_owned()))??;
    made.claim().ok_or(EngineError::Gone)
}

/// A container on its way to whoever asked for it. A channel may take it in and then be dropped unread: a check of
/// what was sent is not enough.
struct Unclaimed {
    docker: Docker,
    session: Option<Session>,
}

impl Unclaimed {
    fn claim(mut self) -> Option<Session> {
        self.session.take()
    }
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else {
            return;
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let docker = self.docker.clone();
            runtime.spawn(async move { discard(&docker, &session.id).await });
        }
    }
}

async fn create_and_attach(docker: &Docker, spec: &ContainerSpec) -> Result<Session, EngineError> {
    let id = match make(docker, spec).await {
        Err(EngineError::InitMissing) => {
            docker.no_init.store(true, Ordering::Relaxed);
            make(docker, spec).await?
        }
        made => made?,
    };
    match attach::attach(docker, &id, spec).await {
        Ok(session) => Ok(session),
        Err(error) => {
            discard(docker, &id).await;
            Err(error)
        }
    }
}

async fn make(docker: &Docker, spec: &ContainerSpec) -> Result<ContainerId, EngineError> {
    let body = body(spec, !docker.no_init.load(Ordering::Relaxed));
    let made = docker.client.create_container(None::<CreateContainerOptions>, body).await;
    made.map(|made| ContainerId(made.id)).map_err(|e| error::of_create(e, &spec.image))
}

/// Removes what nobody will use. An error has nobody to go to; the sweep by label finds the container again.
async fn discard(docker: &Docker, id: &ContainerId) {
    drop(remove(docker, id).await);
}

fn body(spec: &ContainerSpec, init: bool) -> ContainerCreateBody {
    let (entrypoint, arguments) = spec.command.split_at(spec.command.len().min(1));
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        hostname: Some(spec.hostname.clone()),
        user: spec.user.clone(),
        entrypoint: Some(entrypoint.to_vec()),
        cmd: Some(arguments.to_vec()),
        working_dir: spec.working_directory.clone(),
        env: Some(spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        // Argon asks by itself, at once and often; the engine would ask once in half a minute, and for ever.
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() }),
        networking_config: networking(spec),
        labels: Some(labels(&spec.labels)),
        open_stdin: Some(true),
        stdin_once: Some(true),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(false),
        host_config: Some(host_config(spec, init)),
        ..ContainerCreateBody::default()
    }
}

fn host_config(spec: &ContainerSpec, init: bool) -> HostConfig {
    let network = match &spec.network {
        Network::Bridge => "default",
        Network::Named(name) => name,
        Network::None => "none",
    };
    let is_confined = spec.privileges != Privileges::Privileged;
    let more = match &spec.privileges {
        Privileges::Capabilities(more) => more.clone(),
        Privileges::Sandbox | Privileges::Privileged => Vec::new(),
    };
    HostConfig {
        auto_remove: Some(true),
        init: init.then_some(true),
        log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
        tmpfs: Some(tmpfs(spec)),
        mounts: Some(spec.mounts.iter().map(mount).collect()),
        network_mode: Some(network.to_owned()),
        privileged: (spec.privileges == Privileges::Privileged).then_some(true),
        cap_drop: is_confined.then(|| vec!["ALL".to_owned()]),
        cap_add: is_confined.then(|| CAPABILITIES.iter().map(|own| (*own).to_owned()).chain(more).collect()),
        security_opt: is_confined.then(|| vec!["no-new-privileges".to_owned()]),
        pids_limit: Some(spec.limits.pids),
        memory: spec.limits.memory,
        memory_swap: spec.limits.memory,
        nano_cpus: spec.limits.nano_cpus,
        ..HostConfig::default()
    }
}

fn mount(mount: &crate::engine::Mount) -> bollard::models::Mount {
    bollard::models::Mount {
        typ: Some(MountType::VOLUME),
        source: Some(mount.volume.clone()),
        target: Some(mount.target.clone()),
        // What the image has there must not be copied into what is kept for other images.
        volume_options: Some(MountVolumeOptions { no_copy: Some(true), ..MountVolumeOptions::default() }),
        ..bollard::models::Mount::default()
    }
}

fn tmpfs(spec: &ContainerSpec) -> HashMap<String, String> {
    let scratch = spec.scratch.iter().map(|path| (path.clone(), SCRATCH.to_owned()));
    scratch.chain(spec.tmpfs.iter().map(|path| (path.clone(), String::new()))).collect()
}

fn networking(spec: &ContainerSpec) -> Option<NetworkingConfig> {
    let Network::Named(name) = &spec.network else { return None };
    let endpoint = EndpointSettings { aliases: Some(spec.aliases.clone()), ..EndpointSettings::default() };
    Some(NetworkingConfig { endpoints_config: Some(HashMap::from([(name.clone(), endpoint)])) })
}

/// The owner that labels tell of.
pub(super) fn labels_of(mut labels: HashMap<String, String>) -> Labels {
    let mut label = |key| labels.remove(key).unwrap_or_default();
    Labels { run: label(LABEL_RUN), job: label(LABEL_JOB), owner: label(LABEL_OWNER) }
}

pub(super) fn labels(labels: &Labels) -> HashMap<String, String> {
    let pairs = [(LABEL_RUN, &labels.run), (LABEL_JOB, &labels.job), (LABEL_OWNER, &labels.owner)];
    pairs.map(|(key, value)| (key.to_owned(), value.clone())).into()
}

/// Starts the container.
pub(super) async fn start(docker: &Docker, id: &ContainerId) -> Result<(), EngineError> {
    let Err(refusal) = docker.client.start_container(&id.0, None::<StartContainerOptions>).await else {
        return Ok(());
    };
    let inspected = docker.client.inspect_container(&id.0, None::<InspectContainerOptions>).await;
    let config = inspected.ok().and_then(|c| c.config).unwrap_or_default();
    let program = config.entrypoint.and_then(|e| e.into_iter().next()).unwrap_or_default();
    let error = error::of_start(refusal, &program, &config.image.unwrap_or_default());
    docker.remember(&error);
    Err(error)
}

/// Waits until the container is gone.
pub(super) async fn removed(docker: &Docker, id: &ContainerId) -> Result<ContainerEnd, EngineError> {
    tokio::select! {
        end = told_removed(docker, id) => end,
        () = seen_gone(docker, id) => Ok(ContainerEnd { exit_code: None }),
    }
}

/// Looks whether the container is there. An engine (seen with Docker 20.10, now and then) does not answer who waits for the removal of
/// a container that it is just removing.
async fn seen_gone(docker: &Docker, id: &ContainerId) {
    loop {
        tokio::time::sleep(LOOK).await;
        let found = docker.client.inspect_container(&id.0, None::<InspectContainerOptions>).await;
        if found.is_err_and(|error| error::is_not_found(&error)) {
            return;
        }
    }
}

async fn told_removed(docker: &Docker, id: &ContainerId) -> Result<ContainerEnd, EngineError> {
    let options = WaitContainerOptions { condition: "removed".to_owned() };
    let mut answers = std::pin::pin!(docker.client.wait_container(&id.0, Some(options)));
    match answers.next().await {
        Some(Ok(end)) => Ok(ContainerEnd { exit_code: Some(end.status_code) }),
        Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => {
            Ok(ContainerEnd { exit_code: Some(code) })
        }
        Some(Err(e)) if error::is_not_found(&e) => Ok(ContainerEnd { exit_code: None }),
        Some(Err(e)) => Err(e.into()),
        None => Err(EngineError::Connection("the engine stopped answering while a container ran".to_owned())),
    }
}

/// Kills the container and removes it with its anonymous volumes; done when it is gone, whoever removed it.
pub(super) async fn remove(docker: &Docker, id: &ContainerId) -> Result<(), EngineError> {
    let options = RemoveContainerOptions { force: true, v: true, link: false };
    let Err(refusal) = docker.client.remove_container(&id.0, Some(options)).await else {
        return Ok(());
    };
    if error::is_not_found(&refusal) {
        return Ok(());
    }
    match EngineError::from(refusal) {
        // Someone else, mostly the engine itself, is at it.
        EngineError::Gone => match tokio::time::timeout(REMOVAL, removed(docker, id)).await {
            Ok(end) => end.map(drop),
            Err(_) => Err(EngineError::Refused {
                status: 409,
                message: format!("the container {id} is still being removed after {} s", REMOVAL.as_secs()),
            }),
        },
        error => Err(error),
    }
}

/// All containers that carry an owner's label.
pub(super) async fn owned(docker: &Docker) -> Result<Vec<OwnedContainer>, EngineError> {
    let filters = HashMap::from([("label".to_owned(), vec![LABEL_OWNER.to_owned()])]);
    let options = ListContainersOptions { all: true, filters: Some(filters), ..ListContainersOptions::default() };
    let found = docker.client.list_containers(Some(options)).await?;
    Ok(found.into_iter().filter_map(owned_container).collect())
}

fn owned_container(found: ContainerSummary) -> Option<OwnedContainer> {
    Some(OwnedContainer {
        id: ContainerId(found.id?),
        labels: labels_of(found.labels.unwrap_or_default()),
        running: found.state == Some(ContainerSummaryStateEnum::RUNNING),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Limits;

    fn host(privileges: Privileges) -> HostConfig {
        let spec = ContainerSpec {
            image: "i".to_owned(),
            user: None,
            command: vec!["true".to_owned()],
            env: Vec::new(),
            working_directory: None,
            scratch: None,
            tmpfs: Vec::new(),
            mounts: Vec::new(),
            limits: Limits { nano_cpus: None, memory: None, pids: 1 },
            network: Network::None,
            privileges,
            labels: Labels { run: String::new(), job: String::new(), owner: String::new() },
            hostname: "h".to_owned(),
            aliases: Vec::new(),
        };
        host_config(&spec, true)
    }

    #[test]
    fn only_a_privileged_container_is_no_sandbox() {
        for (privileges, more) in
            [(Privileges::Sandbox, None), (Privileges::Capabilities(vec!["SYS_PTRACE".to_owned()]), Some("SYS_PTRACE"))]
        {
            let host = host(privileges);
            assert_eq!((host.privileged, host.cap_drop), (None, Some(vec!["ALL".to_owned()])));
            let own = CAPABILITIES.iter().copied().chain(more).map(str::to_owned).collect();
            assert_eq!((host.cap_add, host.security_opt), (Some(own), Some(vec!["no-new-privileges".to_owned()])));
        }
        let open = host(Privileges::Privileged);
        assert_eq!((open.privileged, open.cap_drop, open.security_opt), (Some(true), None, None));
    }
}
