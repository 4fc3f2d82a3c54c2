//! Docker and Podman over their HTTP API. The only module that knows bollard.
