//! YAML text to a tree in which every key and value knows where it stands; aliases and `<<` are resolved.
//!
//! An alias shares the node that it stands for instead of copying it, so an alias bomb costs nothing to read. Every node
//! still counts what it would be when copied, and the limits are on that count: what walks the tree later is bounded too.
//! serde-saphyr has such budgets as well, but it ends at the first duplicate key; here every one is found.

use std::collections::HashMap;
use std::rc::Rc;

use granit_parser::{Event, Parser, ScalarStyle, Tag};

use super::{Code, Diagnostic, Span, Spanned, syntax};

/// Collections inside each other. A pipeline needs 6.
const MAX_DEPTH: usize = 64;
/// Nodes of the whole tree, an alias counted as what it stands for.
const MAX_NODES: usize = 100_000;
/// Aliases in the text.
const MAX_ALIASES: usize = 1_000;

/// A value.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) kind: Kind,
    /// How many nodes it is, itself included, when aliases are copied.
    size: usize,
}

/// What a value is.
#[derive(Debug)]
pub(super) enum Kind {
    /// Text without quotes: it may stand for null or a boolean.
    Plain(String),
    /// Text in quotes, in a block, or tagged `!!str`: always text.
    Text(String),
    Seq(Vec<Rc<Node>>),
    Map(Vec<Entry>),
    /// Something that has its finding already.
    Broken,
}

/// A key with its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: Spanned<String>,
    pub(super) value: Rc<Node>,
}

impl Node {
    /// What people call its kind.
    pub(super) fn describe(&self) -> &'static str {
        match &self.kind {
            _ if self.is_null() => "nothing",
            Kind::Plain(text) if matches!(text.as_str(), "true" | "false") => "a boolean",
            Kind::Plain(text) if text.parse::<f64>().is_ok() => "a number",
            Kind::Plain(_) | Kind::Text(_) => "text",
            Kind::Seq(_) => "a list",
            Kind::Map(_) => "a mapping",
            Kind::Broken => "a broken value",
        }
    }

    /// Whether it is YAML's null.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Plain(text) if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }
}

/// Reads one document. `None` where there is no tree to look at; findings say why. Spans begin at `base`.
pub(super) fn read(text: &str, base: usize, findings: &mut Vec<Diagnostic>) -> Option<Rc<Node>> {
    let shifted = |span: Span| span.start + base..span.end + base;
    let options = granit_parser::options! {
        emit_comments: false,
        emit_unresolved_aliases: true,
        flow_nesting_limit: MAX_DEPTH + 1,
        block_nesting_limit: MAX_DEPTH + 1,
    };
    let mut builder =
        Builder { text, base, findings, stack: Vec::new(), anchors: HashMap::new(), root: None, aliases: 0, nodes: 0 };
    let mut documents = 0;
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) = match next {
            Ok(next) => next,
            Err(error) => {
                let mut finding = syntax::explain(&error, text);
                finding.span = shifted(finding.span);
                builder.findings.push(finding);
                return None;
            }
        };
        let at = shifted(span.byte_range().unwrap_or(0..0));
        if matches!(event, Event::DocumentStart(..)) {
            documents += 1;
            if documents > 1 {
                builder.report(
                    Diagnostic::new(Code::ManyDocuments, at, "the file holds more than one YAML document")
                        .help("keep one document: remove what stands behind the second `---`"),
                );
                break;
            }
        }
        let tag_at = span.tag_span().and_then(|tag| tag.byte_range()).map(shifted);
        builder.event(event, at, tag_at).ok()?;
    }
    builder.root
}

/// The tree is not worth walking any further; the finding is written.
struct Stop;

enum Frame {
    Seq { start: usize, anchor: usize, items: Vec<Rc<Node>> },
    Map { start: usize, anchor: usize, entries: Vec<Entry>, merges: Vec<Entry>, key: KeyState },
}

/// Which half of a pair a mapping waits for.
enum KeyState {
    Wanted,
    Read(Spanned<String>),
    Merge(Span),
    /// The key was refused; its value is read and dropped.
    Refused,
}

struct Builder<'a> {
    text: &'a str,
    base: usize,
    findings: &'a mut Vec<Diagnostic>,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Rc<Node>>,
    root: Option<Rc<Node>>,
    aliases: usize,
    nodes: usize,
}

impl Builder<'_> {
    fn report(&mut self, finding: Diagnostic) {
        self.findings.push(finding);
    }

    fn event(&mut self, event: Event<'_>, at: Span, tag_at: Option<Span>) -> Result<(), Stop> {
        match event {
            Event::Scalar(value, style, anchor, tag) => {
                let is_text = style != ScalarStyle::Plain || self.tag(tag.as_deref(), tag_at, &at);
                let kind = if is_text { Kind::Text(value.into_owned()) } else { Kind::Plain(value.into_owned()) };
                self.place(Node { span: at, kind, size: 1 }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.tag(tag.as_deref(), tag_at, &at);
                self.push(Frame::Seq { start: at.start, anchor, items: Vec::new() }, at)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.tag(tag.as_deref(), tag_at, &at);
                let frame = Frame::Map {
                    start: at.start,
                    anchor,
                    entries: Vec::new(),
                    merges: Vec::new(),
                    key: KeyState::Wanted,
                };
                self.push(frame, at)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(at.end),
            Event::Alias(id) => self.alias(id, at),
            Event::UnresolvedAlias(name) => {
                self.report(
                    Diagnostic::new(
                        Code::UnknownAnchor,
                        at.clone(),
                        format!("the alias `*{name}` has no anchor before it"),
                    )
                    .help(format!(
                        "mark the value it stands for with `&{name}`, above; quote the text if a `*` is meant"
                    )),
                );
                self.place(Node { span: at, kind: Kind::Broken, size: 1 }, 0)
            }
            _ => Ok(()),
        }
    }

    /// Whether the tag makes its value text. Others are refused: they would change what a value means.
    fn tag(&mut self, tag: Option<&Tag>, tag_at: Option<Span>, at: &Span) -> bool {
        let Some(tag) = tag else { return false };
        if tag.is_yaml_core_schema_tag("str") || (tag.handle().is_empty() && tag.suffix() == "!") {
            return true;
        }
        let written = tag_at.unwrap_or_else(|| at.clone());
        self.report(
            Diagnostic::new(Code::Tag, written, format!("the YAML tag `{}` is not supported", tag.original()))
                .help("remove the tag; quote a value that has to stay text"),
        );
        false
    }

    fn push(&mut self, frame: Frame, at: Span) -> Result<(), Stop> {
        if self.stack.len() >= MAX_DEPTH {
            self.report(too_deep(at));
            return Err(Stop);
        }
        self.stack.push(frame);
        Ok(())
    }

    fn close(&mut self, end: usize) -> Result<(), Stop> {
        match self.stack.pop() {
            Some(Frame::Seq { start, anchor, items }) => {
                let size = items.iter().fold(1_usize, |sum, item| sum.saturating_add(item.size));
                self.place(Node { span: self.trimmed(start, end), kind: Kind::Seq(items), size }, anchor)
            }
            Some(Frame::Map { start, anchor, mut entries, merges, .. }) => {
                self.merge(&mut entries, merges)?;
                let size = entries.iter().fold(1_usize, |sum, entry| sum.saturating_add(entry.value.size));
                self.place(Node { span: self.trimmed(start, end), kind: Kind::Map(entries), size }, anchor)
            }
            None => Ok(()),
        }
    }

    /// A block collection ends where the next token begins; what people mean ends with its last character.
    fn trimmed(&self, start: usize, end: usize) -> Span {
        let length = self.text.get(start - self.base..end - self.base).map_or(0, |text| text.trim_end().len());
        start..start + length
    }

    fn alias(&mut self, id: usize, at: Span) -> Result<(), Stop> {
        self.aliases += 1;
        if self.aliases > MAX_ALIASES {
            self.report(too_many(at, format!("the file has more than {MAX_ALIASES} aliases")));
            return Err(Stop);
        }
        let Some(node) = self.anchors.get(&id).cloned() else {
            self.report(
                Diagnostic::new(
                    Code::UnknownAnchor,
                    at.clone(),
                    "the alias stands inside the value that it stands for",
                )
                .help("a value cannot hold itself: write out what is meant"),
            );
            return self.place(Node { span: at, kind: Kind::Broken, size: 1 }, 0);
        };
        self.place_shared(node, at)
    }

    fn place(&mut self, node: Node, anchor: usize) -> Result<(), Stop> {
        let span = node.span.clone();
        let node = Rc::new(node);
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        self.place_shared(node, span)
    }

    /// Puts a whole value where it stands: behind its key, in its list, or at the root.
    fn place_shared(&mut self, node: Rc<Node>, at: Span) -> Result<(), Stop> {
        self.nodes += 1;
        if self.nodes > MAX_NODES || node.size > MAX_NODES {
            self.report(too_many(at, format!("the file holds more than {MAX_NODES} values, aliases written out")));
            return Err(Stop);
        }
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some(Frame::Seq { items, .. }) => items.push(node),
            Some(Frame::Map { entries, merges, key, .. }) => match std::mem::replace(key, KeyState::Wanted) {
                KeyState::Wanted => match &node.kind {
                    Kind::Plain(text) if text == "<<" => *key = KeyState::Merge(at),
                    Kind::Plain(text) | Kind::Text(text) => {
                        *key = KeyState::Read(Spanned { value: text.clone(), span: at });
                    }
                    Kind::Seq(_) | Kind::Map(_) => {
                        *key = KeyState::Refused;
                        self.report(
                            Diagnostic::new(Code::BadKey, at, format!("a key cannot be {}", node.describe()))
                                .help("a key is plain text; quote a value that begins with `{` or `[`"),
                        );
                    }
                    Kind::Broken => *key = KeyState::Refused,
                },
                KeyState::Read(name) => entries.push(Entry { key: name, value: node }),
                KeyState::Merge(span) => {
                    merges.push(Entry { key: Spanned { value: "<<".to_owned(), span }, value: node });
                }
                KeyState::Refused => {}
            },
        }
        Ok(())
    }

    /// Refuses keys that stand twice, then adds what `<<` brings: own keys win, and of several sources the first.
    fn merge(&mut self, entries: &mut Vec<Entry>, merges: Vec<Entry>) -> Result<(), Stop> {
        let mut seen: HashMap<String, Span> = HashMap::with_capacity(entries.len());
        entries.retain(|entry| match seen.get(&entry.key.value) {
            None => {
                seen.insert(entry.key.value.clone(), entry.key.span.clone());
                true
            }
            Some(first) => {
                self.findings.push(
                    Diagnostic::new(
                        Code::DuplicateKey,
                        entry.key.span.clone(),
                        format!("the key `{}` stands twice", entry.key.value),
                    )
                    .label(first.clone(), "it stands here first")
                    .help("keep one of them"),
                );
                false
            }
        });
        for merge in merges {
            for source in self.sources(&merge) {
                let Kind::Map(brought) = &source.kind else {
                    continue;
                };
                // A chain of merges reads long mappings again and again: it counts.
                self.nodes = self.nodes.saturating_add(brought.len());
                if self.nodes > MAX_NODES {
                    self.report(too_many(merge.key.span, format!("`<<` brings in more than {MAX_NODES} values")));
                    return Err(Stop);
                }
                for entry in brought {
                    if !seen.contains_key(&entry.key.value) {
                        seen.insert(entry.key.value.clone(), entry.key.span.clone());
                        entries.push(entry.clone());
                    }
                }
            }
        }
        Ok(())
    }

    fn sources(&mut self, merge: &Entry) -> Vec<Rc<Node>> {
        let sources = match &merge.value.kind {
            Kind::Seq(items) => items.clone(),
            _ => vec![Rc::clone(&merge.value)],
        };
        for source in &sources {
            if !matches!(source.kind, Kind::Map(_) | Kind::Broken) {
                self.findings.push(
                    Diagnostic::new(
                        Code::BadMerge,
                        source.span.clone(),
                        format!("`<<` merges mappings, this is {}", source.describe()),
                    )
                    .help("write `<<: *name`, where `&name` marks a mapping, or a list of such aliases"),
                );
            }
        }
        sources
    }
}

/// The finding for collections nested too deep.
pub(super) fn too_deep(at: Span) -> Diagnostic {
    Diagnostic::new(Code::TooDeep, at, format!("values are nested deeper than {MAX_DEPTH} levels"))
        .help("a pipeline needs six; this is likely not one")
}

fn too_many(at: Span, message: String) -> Diagnostic {
    Diagnostic::new(Code::TooManyNodes, at, message).help("split the pipeline, or do with fewer aliases")
}
