//! Argon's integration tests: one binary, a file a topic.

mod engine;
mod sinks;
mod source;
