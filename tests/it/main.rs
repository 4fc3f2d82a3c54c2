//! The integration tests: one binary, a file a topic.

mod engine;
mod pull;
mod registry;
