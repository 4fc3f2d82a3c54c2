//! Argon's one integration binary: a file a topic.

mod engine;
mod sinks;
mod source;
