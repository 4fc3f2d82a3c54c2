//! `argon schema`.

use argon::pipeline;

use super::exit::{CommandError, Exit};
use super::output;

/// Prints the JSON Schema of the pipeline file, for editors
///
/// Draft-07, with a description on every key. docs/editors.md says how editors are told of it; `argon lsp` knows more.
#[derive(Debug, clap::Args)]
pub(crate) struct SchemaArgs {}

/// Prints it.
pub(crate) fn run(SchemaArgs {}: &SchemaArgs) -> Result<Exit, CommandError> {
    output::print(&format!("{:#}\n", pipeline::schema()))?;
    Ok(Exit::Success)
}
