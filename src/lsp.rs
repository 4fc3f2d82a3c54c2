//! A language server for pipeline files: what an editor shows of `.runnerci.yml` while it is written.
//!
//! It speaks the Language Server Protocol 3.17
//! (<https://microsoft.github.io/language-server-protocol/specifications/lsp/3.17/specification/>) over any
//! [`Connection`], one message after the other: an edit is never overtaken by what comes after it. Findings are those of
//! [`crate::pipeline`]; everything else rests on an outline that also reads a text which is no YAML at the moment.
//!
//! It reads files of the repository, and nothing else: it starts no program and asks no network.

mod actions;
mod analysis;
mod client;
mod completion;
mod disk;
mod expression;
mod hover;
mod inbox;
mod names;
mod navigate;
mod outline;
mod place;
mod publish;
mod rename;
mod server;
mod stdio;
mod symbols;
mod text;
mod workspace;

use lsp_server::Connection;

use crate::pipeline::{Includes, NoIncludes};

pub use stdio::{Threads, connect};

/// What a server rests on.
pub struct Options {
    /// Has the files that pipelines include from other repositories, as far as they are on this machine already.
    pub remote: Box<dyn Includes>,
}

impl Default for Options {
    fn default() -> Self {
        Self { remote: Box::new(NoIncludes) }
    }
}

/// How a client left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// It said `shutdown`, then `exit`.
    Proper,
    /// It said `exit` alone, or nothing.
    Abrupt,
}

/// Serves a client until it leaves.
#[must_use]
pub fn serve(connection: &Connection, options: Options) -> Farewell {
    server::Server::new(connection, options).run()
}
