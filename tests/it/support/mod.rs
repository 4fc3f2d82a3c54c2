//! What tests of the binary stand on: a scratch repository, argon run in it as a user runs it, and a look at the engine.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod argon;
#[cfg(feature = "listen")]
mod browser;
mod ended;
mod engine;
mod repo;

pub(crate) use argon::Argon;
#[cfg(feature = "listen")]
pub(crate) use argon::Running;
#[cfg(feature = "listen")]
pub(crate) use browser::Browser;
pub(crate) use ended::Ended;
pub(crate) use engine::{Engine, PrivateEngine};
pub(crate) use repo::Repo;

/// The usual image: a busybox with all of its applets.
pub(crate) const BUSYBOX: &str = "argon-dev/busybox";
/// Debian with bash, git and Python.
pub(crate) const PYTHON: &str = "argon-dev/python";
/// Its user is `dev`, 1000.
pub(crate) const NONROOT: &str = "argon-dev/nonroot";
/// It has no `sh`.
pub(crate) const NOSHELL: &str = "argon-dev/noshell";
/// dash, without setsid, tar and dd.
pub(crate) const NOSETSID: &str = "argon-dev/nosetsid";
