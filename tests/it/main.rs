//! Argon's one integration binary: a file a topic.

mod engine;
mod faults;
mod run;
mod sinks;
mod source;
mod support;
