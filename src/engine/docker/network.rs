//! Networks of Argon's own on an engine.

use std::collections::HashMap;

use bollard::errors::Error;
use bollard::models::NetworkCreateRequest;
use bollard::query_parameters::InspectNetworkOptions;

use super::Docker;
use crate::engine::EngineError;

/// Docker's option for the name of a network's bridge.
const BRIDGE_NAME: &str = "com.docker.network.bridge.name";

/// Docker's option that keeps a network's containers from one another.
const BETWEEN_CONTAINERS: &str = "com.docker.network.bridge.enable_icc";

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
