//! `argon run` against a real engine: what steps see, what comes out, how things end.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod artifacts;
mod caches;
mod causes;
mod handover;
mod images;
mod jobs;
mod kept;
mod kept_secrets;
mod memo;
mod output;
mod realistic;
mod sandbox;
mod secrets;
mod service;
mod services;
mod steps;
mod workspace;
