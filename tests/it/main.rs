//! Argon's integration tests: one binary, a file a topic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod architecture;
mod cli;
mod engine;
mod pipeline;
mod pull;
mod registry;
mod sinks;
mod source;
