//! The language of `.runnerci.yml`: text to a validated [`Pipeline`], with every finding at its span. Pure: no IO.

mod model;

pub use model::*;
