//! The container of a job, as the engine is asked for it.

use super::JobRun;
use crate::engine::{self, ContainerSpec, Labels, Limits, Privileges};
use crate::execute::caches::JobCaches;
use crate::execute::kept::Place;
use crate::execute::services::Services;
use crate::execute::supervisor;
use crate::pipeline::{NetworkAccess, Resources, host_name};
use crate::plan::WORKSPACE;

/// Processes and threads of a job that does not say otherwise.
const DEFAULT_PIDS: u32 = 512;

impl<E> JobRun<'_, E> {
    /// Whose all is that is made for it.
    pub(in crate::execute) fn labels(&self) -> Labels {
        Labels {
            run: self.context.settings.run.as_str().to_owned(),
            job: self.job.id.as_str().to_owned(),
            owner: self.context.owner.to_label(),
        }
    }

    /// What the engine is asked for.
    pub(super) fn spec(&self, services: &Services<'_, E>, place: &Place, caches: &JobCaches) -> ContainerSpec {
        ContainerSpec {
            image: self.image.name.clone(),
            user: self.job.user.clone(),
            command: supervisor::command(),
            env: Vec::new(),
            working_directory: Some(WORKSPACE.to_owned()),
            scratch: Some(supervisor::SCRATCH.to_owned()),
            tmpfs: Vec::new(),
            mounts: match place {
                Place::Stream => caches.mounts.clone(),
                Place::Mounted { mount, .. } => [std::slice::from_ref(mount), &caches.mounts].concat(),
            },
            limits: limits(&self.job.resources),
            network: match (services.network(), self.job.network) {
                (Some(network), _) => engine::Network::Named(network.to_owned()),
                (None, NetworkAccess::Default) => self.context.settings.network.clone(),
                (None, NetworkAccess::None) => engine::Network::None,
            },
            privileges: match (self.job.privileges.privileged, &self.job.privileges.capabilities) {
                (true, _) => Privileges::Privileged,
                (false, more) if more.is_empty() => Privileges::Sandbox,
                (false, more) => Privileges::Capabilities(more.clone()),
            },
            labels: self.labels(),
            hostname: host_name(self.job.id.as_str()),
            aliases: Vec::new(),
        }
    }
}

pub(in crate::execute) fn limits(resources: &Resources) -> Limits {
    Limits {
        nano_cpus: resources.milli_cpus.map(|milli| i64::from(milli.get()) * 1_000_000),
        memory: resources.memory.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
        pids: i64::from(resources.pids.map_or(DEFAULT_PIDS, |pids| pids.get())),
    }
}
