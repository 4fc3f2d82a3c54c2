//! The jobs of a document with their steps, as a tree.

use lsp_types::{DocumentSymbol, DocumentSymbolParams, DocumentSymbolResponse, SymbolKind};

use super::names::{JobAt, StepAt};
use super::outline::{At, Outline};
use super::server::{Knowledge, Refusal};
use super::text::Text;
use crate::pipeline::Span;

/// The tree of a document.
pub(super) fn symbols(
    knowledge: &Knowledge,
    params: &DocumentSymbolParams,
) -> Result<Option<DocumentSymbolResponse>, Refusal> {
    let Some(view) = knowledge.workspace.view(&params.text_document.uri) else { return Ok(None) };
    let jobs = view.text.names().jobs.iter().map(|read| job(&view.text, read)).collect();
    Ok(Some(DocumentSymbolResponse::Nested(jobs)))
}

fn job(text: &Text, job: &JobAt) -> DocumentSymbol {
    let outline = text.outline();
    let steps = job.steps.iter().enumerate().map(|(at, read)| step(text, at, read)).collect();
    let detail = child_text(text, outline, job.at, "image");
    symbol(text, &job.key.value, detail, SymbolKind::MODULE, &outline.get(job.at).extent, &job.key.span, Some(steps))
}

fn step(text: &Text, at: usize, step: &StepAt) -> DocumentSymbol {
    let outline = text.outline();
    let extent = &outline.get(step.at).extent;
    let name = step_name(text, step.at).unwrap_or_else(|| format!("step {}", at + 1));
    // The line on which it begins.
    let length = text.slice(extent).lines().next().unwrap_or_default().trim_end().len();
    let first = extent.start..extent.start + length;
    symbol(text, &name, step.id.clone(), SymbolKind::EVENT, extent, &first, None)
}

/// What people call a step: its name, or the first line of its script.
pub(super) fn step_name(text: &Text, step: At) -> Option<String> {
    let outline = text.outline();
    child_text(text, outline, step, "name").or_else(|| child_text(text, outline, step, "run"))
}

/// The first line of a value that says something.
pub(super) fn child_text(text: &Text, outline: &Outline, parent: At, name: &str) -> Option<String> {
    let value = outline.get(outline.child(Some(parent), name)?).text(text.as_str())?.value;
    let line = value.lines().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.to_owned())
}

#[expect(deprecated, reason = "the field has no default")]
fn symbol(
    text: &Text,
    name: &str,
    detail: Option<String>,
    kind: SymbolKind,
    extent: &Span,
    name_at: &Span,
    children: Option<Vec<DocumentSymbol>>,
) -> DocumentSymbol {
    // Clients refuse a symbol that does not hold its own name.
    let extent = extent.start.min(name_at.start)..extent.end.max(name_at.end);
    DocumentSymbol {
        name: name.to_owned(),
        detail,
        kind,
        tags: None,
        deprecated: None,
        range: text.range(&extent),
        selection_range: text.range(name_at),
        children,
    }
}
