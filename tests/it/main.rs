//! Argon's integration tests: one binary, a file a topic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod engine;
mod pipeline;
mod sinks;
mod source;
mod pull;
mod registry;
