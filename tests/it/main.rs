//! Argon's one integration binary: a file a topic.

mod engine;
mod source;
//! Argon's integration tests: one binary, a file a topic.

mod sinks;
