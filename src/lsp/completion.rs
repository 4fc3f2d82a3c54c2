//! What may be written at the cursor.
//!
//! While someone types, a text is no YAML most of the time. So the cursor is made visible first: a character that nobody
//! writes is put there, and the outline of that text says what it became a part of.

mod expressions;
mod keys;
mod values;

use lsp_types::{
    CompletionItem, CompletionItemKind, CompletionParams, CompletionResponse, CompletionTextEdit, Documentation,
    InsertTextFormat, InsertTextMode, MarkupContent, MarkupKind, Range, TextEdit,
};

use super::client::{Client, Insertion};
use super::outline::{At, Kind as Shape, Outline, Style};
use super::place::{self, Allowed};
use super::server::{Knowledge, Refusal};
use super::text::Text;
use super::workspace::View;
use super::{expression, names};
use crate::pipeline::Span;

/// What marks the cursor: a character of a private use area.
const MARK: char = '\u{E000}';

/// What may stand at a position.
pub(super) fn complete(
    knowledge: &Knowledge,
    params: &CompletionParams,
) -> Result<Option<CompletionResponse>, Refusal> {
    let at = &params.text_document_position;
    let uri = &at.text_document.uri;
    let Some(view) = knowledge.workspace.view(uri) else { return Ok(None) };
    let offset = view.text.offset(at.position);
    let Some(site) = Site::find(&view.text, offset) else { return Ok(None) };
    let desk =
        Desk { client: knowledge.client, text: &view.text, site: &site, around: knowledge.workspace.around(uri) };
    let items = match site.typed() {
        Some(typed) => expressions::items(&desk, typed),
        None => {
            let mut items = keys::items(&desk);
            items.extend(values::items(&desk));
            items
        }
    };
    Ok(Some(CompletionResponse::Array(items)))
}

/// Where the cursor is.
struct Site {
    /// The text with the mark in it, as an outline.
    outline: Outline,
    marked: String,
    /// The element that the mark is a part of.
    at: At,
    /// The word that the cursor is in, in the text without the mark.
    word: Span,
    offset: usize,
    part: Part,
}

/// What the cursor is a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// A key that has its `:`.
    Key,
    /// The value behind a key.
    Value,
    /// The item behind a `-`.
    BlockItem,
    /// An item in brackets.
    FlowItem,
    /// A line, or a place in braces, that may become a key or an item.
    Word,
    /// A text of several lines: only expressions are looked for there.
    Script,
}

impl Site {
    fn find(text: &Text, offset: usize) -> Option<Self> {
        let source = text.as_str();
        let mut marked = String::with_capacity(source.len() + MARK.len_utf8());
        marked.push_str(source.get(..offset)?);
        marked.push(MARK);
        marked.push_str(source.get(offset..)?);
        let outline = Outline::of(if marked.len() > crate::pipeline::MAX_BYTES { "" } else { &marked });
        let holds = |span: &Span| span.start <= offset && offset < span.end;
        let at = outline.all().rev().map(|(at, _)| at).find(|at| {
            let element = outline.get(*at);
            element.key().is_some_and(|key| holds(&key.span))
                || element.value.as_ref().is_some_and(|value| holds(&value.span))
        })?;
        let element = outline.get(at);
        let (span, part) = match (element.key(), &element.value) {
            (Some(key), _) if holds(&key.span) => (key.span.clone(), Part::Key),
            (_, Some(value)) => {
                let is_long = marked.get(value.span.clone()).is_some_and(|text| text.contains('\n'));
                let part = match &element.kind {
                    _ if is_long || value.style == Style::Block => Part::Script,
                    Shape::Key(_) => Part::Value,
                    Shape::Item if marked.as_bytes().get(element.extent.start) == Some(&b'-') => Part::BlockItem,
                    Shape::Item => Part::FlowItem,
                    Shape::Word => Part::Word,
                };
                (value.span.clone(), part)
            }
            (_, None) => return None,
        };
        let word = span.start..span.end - MARK.len_utf8();
        Some(Self { at, word, offset, part, marked, outline })
    }

    /// What is typed of an expression, where the cursor is in one.
    fn typed(&self) -> Option<&str> {
        let element = self.outline.get(self.at);
        let value = element.value.as_ref().filter(|value| value.span.start <= self.offset)?;
        let raw = self.marked.get(value.span.clone())?;
        let start = if raw.contains("${{") {
            let mut insides = expression::insides(raw, value.span.start).into_iter();
            insides.find(|inside| inside.start <= self.offset && self.offset < inside.end)?.start
        } else if element.name() == Some("if") && names::is_condition(&self.outline, self.at) {
            value.span.start
        } else {
            return None;
        };
        self.marked.get(start..self.offset)
    }

    /// What may stand as the value that the cursor is in.
    fn allowed(&self) -> Allowed {
        place::allowed(&self.outline, Some(self.at))
    }

    /// What may stand as the value that the cursor's element is a part of.
    fn allowed_around(&self) -> Allowed {
        place::allowed(&self.outline, self.outline.get(self.at).parent)
    }

    /// The key of the job that the cursor is in.
    fn job(&self) -> Option<&str> {
        let jobs = self.outline.child(None, "jobs")?;
        let job = self.outline.line(self.at).find(|at| self.outline.get(*at).parent == Some(jobs))?;
        self.outline.get(job).name()
    }

    /// The elements beside the cursor's.
    fn siblings(&self) -> impl Iterator<Item = At> {
        let parent = self.outline.get(self.at).parent;
        self.outline.below(parent).into_iter().filter(|at| *at != self.at)
    }

    fn is_in_braces(&self) -> bool {
        let begin = self.outline.get(self.at).extent.start;
        let line = &self.marked[..begin];
        let line = &line[line.rfind('\n').map_or(0, |at| at + 1)..];
        !line.trim_start().trim_start_matches(['-', ' ']).is_empty()
    }
}

/// What completions are made from.
struct Desk<'a> {
    client: Client,
    text: &'a Text,
    site: &'a Site,
    /// All texts of the pipeline.
    around: Vec<View>,
}

impl Desk<'_> {
    fn range(&self) -> Range {
        self.text.range(&self.site.word)
    }

    /// An item that puts a text in the place of the word at the cursor.
    fn item(&self, label: &str, text: String, kind: CompletionItemKind) -> CompletionItem {
        CompletionItem {
            label: label.to_owned(),
            kind: Some(kind),
            filter_text: Some(label.to_owned()),
            text_edit: Some(CompletionTextEdit::Edit(TextEdit { range: self.range(), new_text: text })),
            ..CompletionItem::default()
        }
    }

    /// The same, with places for the cursor.
    fn snippet(&self, label: &str, text: String, kind: CompletionItemKind) -> CompletionItem {
        let mode = (self.client.insertion == Insertion::SnippetAsIs).then_some(InsertTextMode::AS_IS);
        CompletionItem {
            insert_text_format: Some(InsertTextFormat::SNIPPET),
            insert_text_mode: mode,
            ..self.item(label, text, kind)
        }
    }
}

fn markdown(value: impl Into<String>) -> Documentation {
    Documentation::MarkupContent(MarkupContent { kind: MarkupKind::Markdown, value: value.into() })
}

/// In the order in which they are given: clients sort by this.
fn in_order(items: &mut [CompletionItem], group: &str) {
    for (at, item) in items.iter_mut().enumerate() {
        item.sort_text = Some(format!("{group}{at:04}"));
    }
}
