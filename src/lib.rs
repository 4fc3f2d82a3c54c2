//! Argon's library: a pipeline file in, a stream of events out.
//!
//! The flow is one way:
//!
//! ```text
//! text ─parse→ raw tree with spans ─validate→ Pipeline ─plan→ Plan ─execute→ Event… ─sinks→ terminal | plain | json | junit
//! ```
//!
//! | module | owns |
//! |---|---|
//! | [`pipeline`] | the language: text to a validated [`pipeline::Pipeline`], every finding with its span; no IO |
//! | [`plan`] | a pipeline and the options of one run to a [`plan::Plan`]: order, environment, limits; no IO |
//! | [`event`] | what a run says: events, ids, statuses, and their versioned wire format |
//! | [`trigger`] | what started a run: a push, a pull request, a schedule, a person; whether `on` wants it |
//! | [`glob`] | patterns of paths, branches and tags |
//! | [`dockerfile`] | what a Dockerfile rests on: the images it takes, the files it does not see |
//! | [`repository`] | files of a repository on disk, its pipeline file with what that includes |
//! | [`source`] | where the workspace comes from: a working tree, a commit, a clone |
//! | [`engine`] | the narrow trait to a container engine, with the real one (Docker) and the scripted one (fake) |
//! | [`execute`] | runs a plan on an engine and emits events |
//! | [`sinks`] | shows, stores or forwards events |
//! | [`causes`] | an error told with what caused it |
//! | [`store`] | what outlives a process: the history of runs and their logs |
//! | `listen` | the personal CI runner (feature `listen`) |
//! | `lsp` | a language server for pipeline files (feature `lsp`) |
//!
//! Nothing here prints, exits, or reads the command line: that is the binary's work.

pub mod artifact;
pub mod causes;
pub mod dockerfile;
pub mod engine;
pub mod event;
pub mod execute;
pub mod glob;
#[cfg(feature = "listen")]
pub mod listen;
#[cfg(feature = "lsp")]
pub mod lsp;
pub mod pipeline;
pub mod plan;
pub mod repository;
pub mod secrets;
pub mod sinks;
pub mod source;
pub mod store;
pub mod trigger;
