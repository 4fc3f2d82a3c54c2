//! The walk over the lines: which element a line begins, and what belongs to it.

use std::cell::Cell;

use super::{At, Element, Kind, Outline, Scalar, Style, flow};
use crate::pipeline::{Span, Spanned};

/// Deeper than any pipeline: what is nested further counts as lying at this depth.
const MAX_DEPTH: usize = 128;

/// Reads a text.
pub(super) fn read(text: &str) -> Outline {
    let mut scan = Scan { text, outline: Outline::default(), open: Vec::new(), line: Cell::new((0, 0)) };
    // A byte order mark is no part of the first key.
    let mut at = text.len() - text.trim_start_matches('\u{feff}').len();
    while at < text.len() {
        at = scan.line(at);
    }
    scan.close();
    scan.outline
}

pub(super) struct Scan<'a> {
    pub(super) text: &'a str,
    pub(super) outline: Outline,
    /// The elements that the next line may belong to, the innermost last.
    open: Vec<At>,
    /// Where the line that was looked at last begins, as far as is known, and ends: a long one is not measured again for
    /// each of its items.
    line: Cell<(usize, usize)>,
}

impl Scan<'_> {
    /// Reads the line that begins at an offset, and more where its value goes on; gives where the next one begins.
    fn line(&mut self, start: usize) -> usize {
        let line = self.rest_of_line(start);
        let next = start + line.len() + 1;
        let content = line.trim_start_matches([' ', '\t']);
        let column = line.len() - content.len();
        let is_marker = column == 0 && (content.starts_with("---") || content.starts_with("..."));
        if content.trim_end().is_empty() || content.starts_with('#') || is_marker {
            return next;
        }
        let mut at = start + column;
        let mut column = column;
        while is_dash(self.rest_of_line(at)) {
            if self.continues(column) {
                return self.go_on(at);
            }
            self.leave(column, true);
            let item = self.push(Kind::Item, column, at..at + 1);
            self.open.push(item);
            let behind = self.rest_of_line(at + 1);
            let space = behind.len() - behind.trim_start_matches([' ', '\t']).len();
            at += 1 + space;
            column += 1 + space;
        }
        let behind = self.properties(at);
        let rest = self.rest_of_line(behind).trim_end().to_owned();
        if rest.is_empty() || rest.starts_with('#') {
            return next;
        }
        if let Some((key, behind)) = self.key(behind) {
            self.leave(column, false);
            let name = self.text[key.clone()].to_owned();
            let element = self.push(Kind::Key(Spanned { value: name, span: key.clone() }), column, key);
            self.open.push(element);
            return self.value(element, behind);
        }
        // The value of the item that this line began.
        if let Some(item) = self.open.last().copied()
            && self.outline.elements[item].kind == Kind::Item
            && self.outline.elements[item].extent.start >= start
        {
            return self.value(item, at);
        }
        if self.continues(column) {
            return self.go_on(at);
        }
        self.leave(column, false);
        if rest.starts_with(['[', '{']) {
            let end = flow::read(self, self.open.last().copied(), behind);
            return end + self.rest_of_line(end).len() + 1;
        }
        // A text on the line below its key, or one that is to become a key.
        let word = self.push(Kind::Word, column, at..at);
        self.value(word, at)
    }

    /// What is left of the line.
    pub(super) fn rest_of_line(&self, at: usize) -> &str {
        let (start, end) = self.line.get();
        if start <= at && at <= end && end > 0 {
            return self.text.get(at..end).unwrap_or_default();
        }
        let rest = self.text.get(at..).unwrap_or_default();
        let line = &rest[..memchr::memchr(b'\n', rest.as_bytes()).unwrap_or(rest.len())];
        self.line.set((at, at + line.len()));
        line
    }

    /// Leaves the elements that a line of this column does not belong to.
    fn leave(&mut self, column: usize, is_item: bool) {
        while let Some(last) = self.open.last().copied() {
            let element = &self.outline.elements[last];
            let stays = element.column < column
                || (is_item
                    && element.column == column
                    && matches!(element.kind, Kind::Key(_))
                    && element.value.is_none());
            if stays && self.open.len() < MAX_DEPTH {
                break;
            }
            self.open.pop();
        }
    }

    /// Whether a line of this column goes on with the text of the line above.
    fn continues(&self, column: usize) -> bool {
        self.open.last().is_some_and(|last| {
            let element = &self.outline.elements[*last];
            element.column < column && element.value.as_ref().is_some_and(|value| value.style == Style::Plain)
        })
    }

    fn go_on(&mut self, at: usize) -> usize {
        let line = self.rest_of_line(at);
        let next = at + line.len() + 1;
        let end = at + plain(line).len();
        if let Some(last) = self.open.last().copied() {
            self.give(last, Scalar { span: self.value_start(last, end)..end, style: Style::Plain });
        }
        next
    }

    fn value_start(&self, at: At, otherwise: usize) -> usize {
        self.outline.elements[at].value.as_ref().map_or(otherwise, |value| value.span.start)
    }

    pub(super) fn push(&mut self, kind: Kind, column: usize, extent: Span) -> At {
        self.push_below(self.open.last().copied(), kind, column, extent)
    }

    pub(super) fn push_below(&mut self, parent: Option<At>, kind: Kind, column: usize, extent: Span) -> At {
        let at = self.outline.elements.len();
        self.outline.elements.push(Element { kind, parent, column, extent, value: None, children: Vec::new() });
        if let Some(parent) = parent {
            self.outline.elements[parent].children.push(at);
        }
        at
    }

    pub(super) fn give(&mut self, at: At, value: Scalar) {
        let element = &mut self.outline.elements[at];
        element.extent.end = element.extent.end.max(value.span.end);
        element.value = Some(value);
    }

    /// `key:` at an offset: the span of the key, and where its value may begin.
    pub(super) fn key(&self, at: usize) -> Option<(Span, usize)> {
        let line = self.rest_of_line(at);
        let bytes = line.as_bytes();
        match bytes.first()? {
            quote @ (b'"' | b'\'') => {
                let end = 1 + memchr::memchr(*quote, &bytes[1..])?;
                let behind = line[end + 1..].trim_start();
                let colon = line.len() - behind.len();
                (behind.starts_with(':') && is_end(bytes.get(colon + 1))).then(|| (at + 1..at + end, at + colon + 1))
            }
            b'[' | b'{' | b'#' | b'|' | b'>' | b'*' | b'&' | b'!' | b'%' | b'@' | b'`' | b']' | b'}' | b',' => None,
            _ => {
                let length = plain(line).len();
                let colon = memchr::memchr_iter(b':', &bytes[..length]).find(|colon| is_end(bytes.get(colon + 1)))?;
                let key = line[..colon].trim_end();
                (!key.is_empty()).then(|| (at..at + key.len(), at + colon + 1))
            }
        }
    }

    /// Skips spaces, an anchor and a tag.
    fn properties(&self, mut at: usize) -> usize {
        loop {
            let line = self.rest_of_line(at);
            let rest = line.trim_start_matches([' ', '\t']);
            at += line.len() - rest.len();
            if !rest.starts_with(['&', '!']) {
                return at;
            }
            at += rest.find([' ', '\t', '\r']).unwrap_or(rest.len());
        }
    }

    /// Reads the value that begins at an offset; gives where the next line begins.
    fn value(&mut self, element: At, at: usize) -> usize {
        let at = self.properties(at);
        let line = self.rest_of_line(at);
        let next = at + line.len() + 1;
        let column = self.outline.elements[element].column;
        match line.as_bytes().first() {
            None | Some(b'#' | b'\r') => next,
            Some(b'|' | b'>') => self.block(element, column, next),
            Some(b'[' | b'{') => {
                let end = flow::read(self, Some(element), at);
                self.outline.elements[element].extent.end = end.max(self.outline.elements[element].extent.end);
                end + self.rest_of_line(end).len() + 1
            }
            Some(quote @ (b'"' | b'\'')) => {
                let end = self.quoted(at, *quote, column);
                self.give(element, Scalar { span: at + 1..end, style: Style::Quoted });
                end + self.rest_of_line(end).len() + 1
            }
            Some(_) => {
                let end = at + plain(line).len();
                self.give(element, Scalar { span: at..end, style: Style::Plain });
                next
            }
        }
    }

    /// The lines below `|` or `>`, which are indented deeper.
    fn block(&mut self, element: At, column: usize, mut next: usize) -> usize {
        let begin = next.min(self.text.len());
        let mut end = begin;
        while next < self.text.len() {
            let line = self.rest_of_line(next);
            let content = line.trim_start_matches(' ');
            let is_blank = content.trim_end().is_empty();
            // At the top, a block may stand at column 0 only in YAML that nobody writes.
            if !is_blank && line.len() - content.len() <= column {
                break;
            }
            if !is_blank {
                end = next + line.trim_end().len();
            }
            next += line.len() + 1;
        }
        self.give(element, Scalar { span: begin..end, style: Style::Block });
        next
    }

    /// Where a quoted text ends: at its quote, or with the line where there is none that can be meant.
    pub(super) fn quoted(&self, at: usize, quote: u8, column: usize) -> usize {
        let bytes = self.text.as_bytes();
        let first_end = at + self.rest_of_line(at).trim_end().len();
        let mut cursor = at + 1;
        while let Some(byte) = bytes.get(cursor) {
            match byte {
                b'\\' if quote == b'"' => cursor += 1,
                b'\'' if quote == b'\'' && bytes.get(cursor + 1) == Some(&b'\'') => cursor += 1,
                b'\n' => {
                    let line = self.rest_of_line(cursor + 1);
                    let content = line.trim_start();
                    if !content.is_empty() && line.len() - content.len() <= column {
                        return first_end.max(at + 1);
                    }
                }
                byte if *byte == quote => return cursor,
                _ => {}
            }
            cursor += 1;
        }
        first_end.max(at + 1)
    }

    /// Lets every element reach as far as what belongs to it.
    fn close(&mut self) {
        for at in (0..self.outline.elements.len()).rev() {
            let end = self.outline.elements[at].extent.end;
            if let Some(parent) = self.outline.elements[at].parent {
                let extent = &mut self.outline.elements[parent].extent;
                extent.end = extent.end.max(end);
            }
        }
    }
}

/// A text without quotes, up to a comment.
pub(super) fn plain(line: &str) -> &str {
    let comment = memchr::memchr_iter(b'#', line.as_bytes())
        .find(|at| *at == 0 || matches!(line.as_bytes()[at - 1], b' ' | b'\t'));
    line[..comment.unwrap_or(line.len())].trim_end()
}

fn is_dash(line: &str) -> bool {
    line.starts_with('-') && is_end(line.as_bytes().get(1))
}

/// What has to stand behind a `:` or `-` that separates.
fn is_end(byte: Option<&u8>) -> bool {
    matches!(byte, None | Some(b' ' | b'\t' | b'\r' | b'\n'))
}
