//! The values that the key at the cursor takes.

use std::collections::HashSet;

use lsp_types::{CompletionItem, CompletionItemKind};

use super::{Desk, Part, in_order, markdown};
use crate::lsp::names::Symbol;
use crate::lsp::outline::Kind as Shape;
use crate::lsp::place::{self, Allowed};
use crate::pipeline::language::Kind;

/// A value, and how it is put where the cursor is.
struct Value {
    text: String,
    doc: Option<String>,
    kind: CompletionItemKind,
}

/// The values.
pub(super) fn items(desk: &Desk<'_>) -> Vec<CompletionItem> {
    let site = desk.site;
    // What stands before and behind a value, by whether a list of them is begun here.
    let (allowed, listed): (Allowed, (&str, &str)) = match site.part {
        Part::Value => (site.allowed(), ("[", "]")),
        Part::BlockItem | Part::FlowItem => (site.allowed(), ("", "")),
        Part::Word => {
            let around = site.allowed_around();
            if site.siblings().any(|at| matches!(site.outline.get(at).kind, Shape::Key(_))) {
                return Vec::new();
            }
            let in_list = place::items(&around);
            return made(desk, values(desk, &in_list), ("- ", ""));
        }
        Part::Key | Part::Script => return Vec::new(),
    };
    let mut items = made(desk, values(desk, &allowed), ("", ""));
    if site.part == Part::Value && site.word.is_empty() && items.is_empty() {
        items = made(desk, values(desk, &place::items(&allowed)), listed);
    }
    items
}

fn made(desk: &Desk<'_>, values: Vec<Value>, (before, behind): (&str, &str)) -> Vec<CompletionItem> {
    let make = |value: Value| CompletionItem {
        documentation: value.doc.map(markdown),
        ..desk.item(&value.text, format!("{before}{}{behind}", value.text), value.kind)
    };
    let mut items: Vec<CompletionItem> = values.into_iter().map(make).collect();
    in_order(&mut items, "b");
    items
}

fn values(desk: &Desk<'_>, allowed: &Allowed) -> Vec<Value> {
    let mut found: Vec<Value> = Vec::new();
    for kind in place::choices(allowed) {
        let of_kind = match kind {
            Kind::Version => words(&[("1.0", "The version of the language.")]),
            Kind::Boolean => words(&[("true", ""), ("false", "")]),
            Kind::Words(choices) => words(choices),
            Kind::Shell => words(&[("sh", "`sh -e`"), ("bash", "`bash -eo pipefail`"), ("python", "`python`")]),
            Kind::JobKey => jobs(desk),
            Kind::SecretName => secrets(desk),
            Kind::Image => images(desk),
            _ => Vec::new(),
        };
        found.extend(of_kind);
    }
    let site = desk.site;
    let siblings = site.siblings().filter_map(|at| site.outline.get(at).value.as_ref());
    let mut seen: HashSet<String> = match site.part {
        Part::Value => HashSet::new(),
        _ => siblings.filter_map(|value| site.marked.get(value.span.clone())).map(str::to_owned).collect(),
    };
    found.retain(|value| seen.insert(value.text.clone()));
    found
}

fn words(words: &[(&str, &str)]) -> Vec<Value> {
    let value = |(word, doc): &(&str, &str)| Value {
        text: (*word).to_owned(),
        doc: (!doc.is_empty()).then(|| (*doc).to_owned()),
        kind: CompletionItemKind::ENUM_MEMBER,
    };
    words.iter().map(value).collect()
}

/// The jobs that the job at the cursor could need.
fn jobs(desk: &Desk<'_>) -> Vec<Value> {
    let own = desk.site.job().map(str::to_owned);
    let all = desk.around.iter().flat_map(|view| &view.text.names().jobs);
    all.map(|job| job.key.value.as_str()).filter(|key| Some(*key) != own.as_deref()).map(name).collect()
}

/// The secrets that are declared, and those that other steps ask for.
fn secrets(desk: &Desk<'_>) -> Vec<Value> {
    let all = desk.around.iter().flat_map(|view| &view.text.names().occurrences);
    // What is being typed is no name yet.
    let others = all.filter(|occurrence| occurrence.span.end != desk.site.offset);
    let names = others.filter_map(|occurrence| match &occurrence.symbol {
        Symbol::Secret(name) => Some(name.as_str()),
        _ => None,
    });
    names.map(name).collect()
}

fn name(name: &str) -> Value {
    Value { text: name.to_owned(), doc: None, kind: CompletionItemKind::REFERENCE }
}

/// The images that the pipeline uses already.
fn images(desk: &Desk<'_>) -> Vec<Value> {
    let mut found = Vec::new();
    for view in &desk.around {
        let outline = view.text.outline();
        let line = desk.site.word.clone();
        for (_, element) in outline.all().filter(|(_, element)| element.name() == Some("image")) {
            if let Some(image) = element.text(view.text.as_str())
                && !image.value.is_empty()
                && !(std::ptr::eq(&raw const *view.text, desk.text) && image.span == line)
            {
                found.push(Value { text: image.value, doc: None, kind: CompletionItemKind::CONSTANT });
            }
        }
    }
    found
}
