//! Networks of Argon's own on an engine.

use std::collections::HashMap;

#[cfg(feature = "listen")]
use bollard::errors::Error;
use bollard::models::NetworkCreateRequest;
#[cfg(feature = "listen")]
use bollard::query_parameters::InspectNetworkOptions;
use bollard::query_parameters::ListNetworksOptions;

use super::container::{LABEL_OWNER, labels, labels_of};
use super::{Docker, error};
use crate::engine::{EngineError, NetworkSpec, OwnedNetwork, Reach};

/// Docker's option for the name of a network's bridge.
const BRIDGE_NAME: &str = "com.docker.network.bridge.name";

/// Docker's option that keeps a network's containers from one another.
#[cfg(feature = "listen")]
const BETWEEN_CONTAINERS: &str = "com.docker.network.bridge.enable_icc";

/// Makes a network.
pub(super) async fn create(docker: &Docker, spec: &NetworkSpec) -> Result<(), EngineError> {
    let options = spec.bridge.as_ref().map(|bridge| HashMap::from([(BRIDGE_NAME.to_owned(), bridge.clone())]));
    let request = NetworkCreateRequest {
        name: spec.name.clone(),
        driver: Some("bridge".to_owned()),
        internal: Some(spec.reach == Reach::Inside),
        options,
        labels: Some(labels(&spec.labels)),
        ..NetworkCreateRequest::default()
    };
    Ok(docker.client.create_network(request).await.map(|_| ())?)
}

/// Removes a network.
pub(super) async fn remove(docker: &Docker, name: &str) -> Result<(), EngineError> {
    match docker.client.remove_network(name).await {
        Err(refusal) if !error::is_not_found(&refusal) => Err(refusal.into()),
        _ => Ok(()),
    }
}

/// All networks that carry an owner's label.
pub(super) async fn owned(docker: &Docker) -> Result<Vec<OwnedNetwork>, EngineError> {
    let filters = HashMap::from([("label".to_owned(), vec![LABEL_OWNER.to_owned()])]);
    let found = docker.client.list_networks(Some(ListNetworksOptions { filters: Some(filters) })).await?;
    let owned = found.into_iter().filter_map(|found| {
        Some(OwnedNetwork { name: found.name?, labels: labels_of(found.labels.unwrap_or_default()) })
    });
    Ok(owned.collect())
}

#[cfg(feature = "listen")]
impl Docker {
    /// Sees to it that there is a network whose containers do not reach one another; gives the name of its bridge.
    ///
    /// # Errors
    /// Where the engine refuses, or the network is there and has no bridge of that name.
    pub async fn ensure_network(&self, name: &str, bridge: &str) -> Result<(), EngineError> {
        let look = || self.client.inspect_network(name, None::<InspectNetworkOptions>);
        let found = match look().await {
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => {
                match self.client.create_network(request(name, bridge)).await {
                    // Another argon made it meanwhile.
                    Ok(_) | Err(Error::DockerResponseServerError { status_code: 409, .. }) => look().await?,
                    Err(error) => return Err(error.into()),
                }
            }
            found => found?,
        };
        let options = found.options.unwrap_or_default();
        if options.get(BRIDGE_NAME).map(String::as_str) == Some(bridge) {
            return Ok(());
        }
        let message = format!("the network `{name}` is not argon's: remove it (`docker network rm {name}`)");
        Err(EngineError::Refused { status: 409, message })
    }
}

#[cfg(feature = "listen")]
fn request(name: &str, bridge: &str) -> NetworkCreateRequest {
    let options = [(BRIDGE_NAME, bridge), (BETWEEN_CONTAINERS, "false")];
    NetworkCreateRequest {
        name: name.to_owned(),
        driver: Some("bridge".to_owned()),
        enable_ipv6: Some(false),
        options: Some(options.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
        labels: Some(HashMap::from([("dev.argon.network".to_owned(), name.to_owned())])),
        ..NetworkCreateRequest::default()
    }
}
