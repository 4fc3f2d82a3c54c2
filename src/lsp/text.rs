//! The text of a document, and the way between its bytes and the positions that a client counts.

use std::cell::OnceCell;

use lsp_types::{Position, PositionEncodingKind, Range, TextDocumentContentChangeEvent};

use super::names::Names;
use super::outline::Outline;
use crate::pipeline::{MAX_BYTES, Span};

/// What a client counts the characters of a line in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Units of UTF-16: what every client can.
    #[default]
    Utf16,
    /// Bytes.
    Utf8,
}

impl Encoding {
    pub(super) fn kind(self) -> PositionEncodingKind {
        match self {
            Self::Utf16 => PositionEncodingKind::UTF16,
            Self::Utf8 => PositionEncodingKind::UTF8,
        }
    }
}

/// A text that does not change, with what is known of it. A change makes a new one.
#[derive(Debug)]
pub(super) struct Text {
    text: String,
    encoding: Encoding,
    starts: Vec<usize>,
    outline: OnceCell<Outline>,
    names: OnceCell<Names>,
}

impl Text {
    pub(super) fn new(text: String, encoding: Encoding) -> Self {
        let starts = std::iter::once(0).chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1)).collect();
        Self { text, encoding, starts, outline: OnceCell::new(), names: OnceCell::new() }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn slice(&self, span: &Span) -> &str {
        self.text.get(span.clone()).unwrap_or_default()
    }

    /// What stands where in it. Of a text that is too large to be a pipeline: nothing.
    pub(super) fn outline(&self) -> &Outline {
        self.outline.get_or_init(|| Outline::of(if self.text.len() > MAX_BYTES { "" } else { &self.text }))
    }

    /// What is named in it.
    pub(super) fn names(&self) -> &Names {
        self.names.get_or_init(|| Names::of(&self.text, self.outline()))
    }

    /// Where the line of an offset begins.
    pub(super) fn line_start(&self, offset: usize) -> usize {
        self.starts[self.line(offset)]
    }

    fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset).saturating_sub(1)
    }

    /// The offset of a position. One behind the end of its line counts as that end, as the protocol wants.
    pub(super) fn offset(&self, position: Position) -> usize {
        let Some(start) = usize::try_from(position.line).ok().and_then(|line| self.starts.get(line)) else {
            return self.text.len();
        };
        let line = self.text[*start..].split(['\n', '\r']).next().unwrap_or_default();
        let wanted = usize::try_from(position.character).unwrap_or(usize::MAX);
        let within = match self.encoding {
            Encoding::Utf8 => line.floor_char_boundary(wanted),
            Encoding::Utf16 => {
                let mut units = 0;
                let behind = line.char_indices().find(|(_, c)| {
                    units += c.len_utf16();
                    units > wanted
                });
                behind.map_or(line.len(), |(at, _)| at)
            }
        };
        start + within
    }

    /// The position of an offset. One past the end counts as the end.
    pub(super) fn position(&self, offset: usize) -> Position {
        let offset = self.text.floor_char_boundary(offset);
        let line = self.line(offset);
        let before = self.text.get(self.starts[line]..offset).unwrap_or_default();
        let character = match self.encoding {
            Encoding::Utf8 => before.len(),
            Encoding::Utf16 => before.chars().map(char::len_utf16).sum(),
        };
        Position {
            line: u32::try_from(line).unwrap_or(u32::MAX),
            character: u32::try_from(character).unwrap_or(u32::MAX),
        }
    }

    pub(super) fn range(&self, span: &Span) -> Range {
        Range { start: self.position(span.start), end: self.position(span.end.max(span.start)) }
    }

    /// The text after some changes, which are made one after the other.
    pub(super) fn changed(&self, changes: Vec<TextDocumentContentChangeEvent>) -> Self {
        let mut text: Option<Self> = None;
        for change in changes {
            let old = text.as_ref().unwrap_or(self);
            let new = match change.range {
                None => change.text,
                Some(range) => {
                    let start = old.offset(range.start);
                    let end = old.offset(range.end).max(start);
                    let mut new = old.text.clone();
                    new.replace_range(start..end, &change.text);
                    new
                }
            };
            text = Some(Self::new(new, self.encoding));
        }
        text.unwrap_or_else(|| Self::new(self.text.clone(), self.encoding))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: u32, character: u32) -> Position {
        Position { line, character }
    }

    #[test]
    fn columns_count_what_the_client_counts() {
        let text = "a\u{1F600}b\r\nc";
        let wide = Text::new(text.to_owned(), Encoding::Utf16);
        assert_eq!(wide.position(5), at(0, 3));
        assert_eq!(wide.offset(at(0, 3)), 5);
        assert_eq!(wide.offset(at(0, 2)), 1, "the middle of a character is its beginning");
        assert_eq!(wide.offset(at(0, 99)), 6, "not behind the end of the line");
        assert_eq!(wide.offset(at(1, 0)), 8);
        assert_eq!(wide.offset(at(9, 9)), 9);
        let bytes = Text::new(text.to_owned(), Encoding::Utf8);
        assert_eq!(bytes.position(5), at(0, 5));
        assert_eq!(bytes.offset(at(0, 5)), 5);
    }

    #[test]
    fn changes_build_on_each_other() {
        let change = |range: Option<(Position, Position)>, text: &str| TextDocumentContentChangeEvent {
            range: range.map(|(start, end)| Range { start, end }),
            range_length: None,
            text: text.to_owned(),
        };
        let text = Text::new("one\ntwo\n".to_owned(), Encoding::Utf16);
        let text = text.changed(vec![
            change(Some((at(0, 3), at(1, 0))), " "),
            change(Some((at(0, 0), at(0, 0))), "\u{1F600}"),
            change(Some((at(0, 2), at(0, 5))), "1"),
        ]);
        assert_eq!(text.as_str(), "\u{1F600}1 two\n");
        assert_eq!(text.changed(vec![change(None, "x")]).as_str(), "x");
    }
}
