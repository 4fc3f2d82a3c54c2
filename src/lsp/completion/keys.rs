//! The keys of the mapping at the cursor that do not stand there yet.

use lsp_types::{CompletionItem, CompletionItemKind};

use super::{Desk, Part, in_order, markdown};
use crate::lsp::client::Insertion;
use crate::lsp::hover::about_key;
use crate::lsp::names::Symbol;
use crate::lsp::place::{self, Allowed};
use crate::pipeline::language::{Key, Kind};

/// The keys.
pub(super) fn items(desk: &Desk<'_>) -> Vec<CompletionItem> {
    let site = desk.site;
    let allowed = match site.part {
        Part::Key | Part::Word => site.allowed_around(),
        Part::BlockItem => site.allowed(),
        Part::Value | Part::FlowItem | Part::Script => return Vec::new(),
    };
    let taken: Vec<&str> = match site.part {
        Part::BlockItem => Vec::new(),
        _ => site.siblings().filter_map(|at| site.outline.get(at).name()).collect(),
    };
    let keys = place::mappings(&allowed).into_iter().flat_map(|mapping| mapping.keys());
    let mut items: Vec<CompletionItem> =
        keys.filter(|key| !taken.contains(&key.name)).map(|key| item(desk, key)).collect();
    items.extend(axes(desk, &allowed, &taken));
    in_order(&mut items, "a");
    items
}

fn item(desk: &Desk<'_>, key: &'static Key) -> CompletionItem {
    let kind = CompletionItemKind::PROPERTY;
    let item = match (desk.site.part, desk.client.insertion) {
        (Part::Key, _) => desk.item(key.name, key.name.to_owned(), kind),
        (_, Insertion::Plain) => {
            let behind = if is_block(key.kind) { ":" } else { ": " };
            desk.item(key.name, format!("{}{behind}", key.name), kind)
        }
        _ => desk.snippet(key.name, format!("{}:{}", key.name, snippet(desk, key.kind)), kind),
    };
    CompletionItem {
        detail: Some(if key.is_required() { "required".to_owned() } else { key.kind.words() }),
        documentation: Some(markdown(about_key(key))),
        ..item
    }
}

/// Whether a value is usually written below its key.
fn is_block(kind: Kind) -> bool {
    match kind {
        Kind::Of(_) | Kind::Named(_) | Kind::Env | Kind::Outputs | Kind::List(_) => true,
        Kind::OneOrMany(kind) | Kind::Optional(kind) => is_block(*kind),
        Kind::Either(kinds) => kinds.first().is_some_and(|kind| is_block(*kind)),
        _ => false,
    }
}

/// What stands behind the `:`.
fn snippet(desk: &Desk<'_>, kind: Kind) -> String {
    let below = || {
        let column = desk.site.outline.get(desk.site.at).column;
        let column = if desk.site.part == Part::BlockItem { desk.site.word.start - desk.line_start() } else { column };
        let base = match desk.client.insertion {
            Insertion::SnippetAsIs => column,
            // The client adds what the line is indented by.
            Insertion::Snippet | Insertion::Plain => column.saturating_sub(desk.indentation()),
        };
        " ".repeat(base + 2)
    };
    match kind {
        _ if desk.site.is_in_braces() => " $0".to_owned(),
        Kind::Boolean => " ${1|true,false|}".to_owned(),
        Kind::Words(words) => {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            format!(" ${{1|{}|}}", words.join(","))
        }
        Kind::List(item) if is_block(*item) => format!("\n{}- $0", below()),
        Kind::List(_) => " [$0]".to_owned(),
        kind if is_block(kind) => format!("\n{}$0", below()),
        _ => " $0".to_owned(),
    }
}

/// The axes of a matrix, for a combination.
fn axes(desk: &Desk<'_>, allowed: &Allowed, taken: &[&str]) -> Vec<CompletionItem> {
    let Some(job) = desk.site.job().filter(|_| allowed.contains(&Kind::Combination)) else {
        return Vec::new();
    };
    let mut found: Vec<&str> = Vec::new();
    for said in desk.text.names().said() {
        if let Symbol::Axis { job: of, name } = &said.symbol
            && of == job
            && !taken.contains(&name.as_str())
            && !found.contains(&name.as_str())
        {
            found.push(name);
        }
    }
    let behind = if desk.site.part == Part::Key { "" } else { ": " };
    found.iter().map(|name| desk.item(name, format!("{name}{behind}"), CompletionItemKind::PROPERTY)).collect()
}

impl Desk<'_> {
    fn line_start(&self) -> usize {
        self.text.line_start(self.site.word.start)
    }

    /// What the line of the cursor is indented by.
    fn indentation(&self) -> usize {
        let line = &self.text.as_str()[self.line_start()..];
        line.len() - line.trim_start_matches(' ').len()
    }
}
