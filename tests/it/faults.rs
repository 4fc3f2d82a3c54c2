//! What `argon run` survives: signals, timeouts, lost containers, engines that die. Whatever happens, nothing stays.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod engine;
mod limits;
mod process;
