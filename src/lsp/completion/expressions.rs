//! Contexts, functions and names, in `if:` and `${{ }}`.

use std::collections::HashSet;

use lsp_types::{CompletionItem, CompletionItemKind};

use super::{Desk, in_order, markdown};
use crate::lsp::client::Insertion;
use crate::lsp::expression::{self, MEMBERS, Word};
use crate::lsp::names::{JobAt, Symbol};
use crate::lsp::symbols;
use crate::lsp::workspace::View;
use crate::pipeline::expr::{Context, Position};

/// What may follow what is typed.
pub(super) fn items(desk: &Desk<'_>, typed: &str) -> Vec<CompletionItem> {
    let Some((before, begun)) = expression::typed(typed) else { return Vec::new() };
    let names: Vec<&str> = before.iter().map(String::as_str).collect();
    let known = Word::all(position(desk));
    let mut items = match names.as_slice() {
        [context, ..] if !known.iter().any(|word| word.name() == *context) => Vec::new(),
        [] => words(desk, &begun),
        ["needs"] => plain(desk, &begun, needed(desk)),
        ["needs", job, "outputs"] => plain(desk, &begun, outputs(desk, job)),
        ["steps"] => plain(desk, &begun, steps(desk)),
        ["needs" | "steps", _] => plain(desk, &begun, MEMBERS.iter().map(|(name, doc)| name_doc(name, doc)).collect()),
        ["matrix"] => plain(desk, &begun, axes(desk)),
        ["env"] => plain(desk, &begun, variables(desk)),
        ["secrets"] => plain(desk, &begun, secrets(desk)),
        ["event"] => plain(desk, &begun, vec![name_doc("name", Context::Event.doc())]),
        _ => Vec::new(),
    };
    in_order(&mut items, "c");
    items
}

type Name = (String, String);

fn name_doc(name: &str, doc: &str) -> Name {
    (name.to_owned(), doc.to_owned())
}

/// Puts an item where the cursor is, in the place of what is begun.
fn here(desk: &Desk<'_>, begun: &str, mut item: CompletionItem) -> CompletionItem {
    let offset = desk.site.offset;
    let range = desk.text.range(&(offset - begun.len()..offset));
    if let Some(lsp_types::CompletionTextEdit::Edit(edit)) = &mut item.text_edit {
        edit.range = range;
    }
    item
}

fn words(desk: &Desk<'_>, begun: &str) -> Vec<CompletionItem> {
    let item = |word: Word| {
        let item = match (word, desk.client.insertion) {
            (Word::Context(_), _) => desk.item(word.name(), word.name().to_owned(), CompletionItemKind::VARIABLE),
            (Word::Function(function), _) if function.arguments().is_empty() => {
                desk.item(word.name(), word.shape(), CompletionItemKind::FUNCTION)
            }
            (_, Insertion::Plain) => desk.item(word.name(), format!("{}(", word.name()), CompletionItemKind::FUNCTION),
            _ => desk.snippet(word.name(), format!("{}($0)", word.name()), CompletionItemKind::FUNCTION),
        };
        let item = CompletionItem { detail: Some(word.shape()), documentation: Some(markdown(word.doc())), ..item };
        here(desk, begun, item)
    };
    Word::all(position(desk)).into_iter().map(item).collect()
}

fn position(desk: &Desk<'_>) -> Option<Position> {
    expression::position(&desk.site.outline, desk.site.at)
}

fn plain(desk: &Desk<'_>, begun: &str, names: Vec<Name>) -> Vec<CompletionItem> {
    let mut seen = HashSet::new();
    let fresh = names.into_iter().filter(|(name, _)| seen.insert(name.clone()));
    let items = fresh.map(|(name, doc)| {
        let item = desk.item(&name, name.clone(), CompletionItemKind::FIELD);
        let documentation = (!doc.is_empty()).then(|| markdown(doc));
        here(desk, begun, CompletionItem { documentation, ..item })
    });
    items.collect()
}

fn own_job<'d>(desk: &'d Desk<'_>) -> Option<&'d JobAt> {
    desk.text.names().job(desk.site.job()?)
}

/// The jobs that the job at the cursor needs.
fn needed(desk: &Desk<'_>) -> Vec<Name> {
    let needs = own_job(desk).map(|job| job.needs.as_slice()).unwrap_or_default();
    needs.iter().map(|need| (need.clone(), String::new())).collect()
}

fn outputs(desk: &Desk<'_>, wanted: &str) -> Vec<Name> {
    said(desk, |symbol| match symbol {
        Symbol::Output { job, name } if job == wanted => Some(name),
        _ => None,
    })
}

/// The steps of the job at the cursor that have an id: within a step, those above it.
fn steps(desk: &Desk<'_>) -> Vec<Name> {
    let Some(job) = own_job(desk) else { return Vec::new() };
    let outline = desk.text.outline();
    let around = |at| {
        let extent = &outline.get(at).extent;
        extent.start <= desk.site.offset && desk.site.offset <= extent.end
    };
    let above = job.steps.iter().take_while(|step| !around(step.at));
    let with_ids = above.filter_map(|step| {
        let name = symbols::step_name(desk.text, step.at).unwrap_or_default();
        Some((step.id.clone()?, name))
    });
    with_ids.collect()
}

fn axes(desk: &Desk<'_>) -> Vec<Name> {
    let Some(job) = desk.site.job() else { return Vec::new() };
    let own = desk.text.names().said().filter_map(|said| match &said.symbol {
        Symbol::Axis { job: of, name } if of == job => Some((name.clone(), String::new())),
        _ => None,
    });
    own.collect()
}

/// The variables of the file and of the job at the cursor.
fn variables(desk: &Desk<'_>) -> Vec<Name> {
    let job = desk.site.job();
    let seen = desk.text.names().said().filter(|said| said.job.is_none() || said.job.as_deref() == job);
    let names = seen.filter_map(|said| match &said.symbol {
        Symbol::Variable(name) => Some((name.clone(), String::new())),
        _ => None,
    });
    names.collect()
}

/// Secrets that are declared, and those that steps ask for.
fn secrets(desk: &Desk<'_>) -> Vec<Name> {
    let all = desk.around.iter().flat_map(|view: &View| &view.text.names().occurrences);
    // What is being typed is no name yet.
    let others = all.filter(|occurrence| occurrence.span.end != desk.site.offset);
    let names = others.filter_map(|occurrence| match &occurrence.symbol {
        Symbol::Secret(name) => Some((name.clone(), String::new())),
        _ => None,
    });
    names.collect()
}

fn said(desk: &Desk<'_>, wanted: impl Fn(&Symbol) -> Option<&String>) -> Vec<Name> {
    let all = desk.around.iter().flat_map(|view| view.text.names().said());
    all.filter_map(|said| Some((wanted(&said.symbol)?.clone(), String::new()))).collect()
}
