//! Argon's integration tests: one binary, a file a topic.

mod architecture;
mod cli;
mod documents;
mod engine;
mod sinks;
mod source;
