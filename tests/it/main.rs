//! Argon's integration tests: one binary, a file a topic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::needless_pass_by_value)]

mod architecture;
mod artifact;
mod cli;
#[cfg(feature = "listen")]
mod dashboard;
mod documents;
mod engine;
mod events;
mod faults;
#[cfg(feature = "listen")]
mod formats;
mod history;
#[cfg(feature = "listen")]
mod listen;
#[cfg(feature = "listen")]
mod listen_config;
#[cfg(feature = "lsp")]
mod lsp;
#[cfg(feature = "listen")]
mod notify;
mod pipeline;
mod pull;
mod registries;
mod registry;
mod run;
mod schema;
mod sinks;
mod source;
mod support;
#[cfg(feature = "listen")]
mod webhook;
