//! Collections in `[ ]` and `{ }`, closed or not.

use super::scan::Scan;
use super::{At, Kind, Scalar, Style};
use crate::pipeline::Spanned;

/// Collections inside each other that are looked into.
const MAX_DEPTH: usize = 32;

/// How far the end of an expression is looked for, in bytes.
const MAX_EXPRESSION: usize = 4096;

/// Reads a collection that begins at an offset; gives where it ends. One that is not closed ends before the first line
/// that cannot belong to it.
pub(super) fn read(scan: &mut Scan<'_>, owner: Option<At>, at: usize) -> usize {
    let column = owner.map(|owner| scan.outline.get(owner).column);
    let mut flow = Flow { scan, column, at, is_over: false };
    flow.collection(owner, 0);
    flow.at
}

struct Flow<'s, 'a> {
    scan: &'s mut Scan<'a>,
    /// The column of the key or item that all of it belongs to.
    column: Option<usize>,
    at: usize,
    is_over: bool,
}

impl Flow<'_, '_> {
    fn collection(&mut self, owner: Option<At>, depth: usize) {
        let is_list = self.byte() == Some(b'[');
        self.at += 1;
        loop {
            self.space();
            if self.is_over {
                return;
            }
            match self.byte() {
                None => return,
                Some(b']' | b'}') => {
                    self.at += 1;
                    return;
                }
                Some(b',') => self.at += 1,
                Some(_) if depth >= MAX_DEPTH => self.at += self.width(),
                Some(_) if is_list => self.item(owner, depth),
                Some(_) => self.pair(owner, depth),
            }
        }
    }

    fn item(&mut self, owner: Option<At>, depth: usize) {
        let begin = self.at;
        let item = self.scan.push_below(owner, Kind::Item, self.column.unwrap_or(0), begin..begin);
        self.value(item, depth);
        self.reach(item);
    }

    fn pair(&mut self, owner: Option<At>, depth: usize) {
        let begin = self.at;
        let (start, end) = self.scalar();
        let span = start..end;
        self.space();
        if !self.is_over && self.byte() == Some(b':') {
            self.at += 1;
            let name = self.scan.text[span.clone()].to_owned();
            let key = Kind::Key(Spanned { value: name, span });
            let element = self.scan.push_below(owner, key, self.column.unwrap_or(0), begin..self.at);
            self.space();
            if !self.is_over && !matches!(self.byte(), None | Some(b',' | b'}' | b']')) {
                self.value(element, depth);
            }
            self.reach(element);
        } else {
            let word = self.scan.push_below(owner, Kind::Word, self.column.unwrap_or(0), begin..end);
            self.scan.give(word, Scalar { span, style: Style::Plain });
        }
    }

    fn value(&mut self, owner: At, depth: usize) {
        if let Some(b'[' | b'{') = self.byte() {
            self.collection(Some(owner), depth + 1);
            return;
        }
        let style = if matches!(self.byte(), Some(b'"' | b'\'')) { Style::Quoted } else { Style::Plain };
        let (start, end) = self.scalar();
        self.scan.give(owner, Scalar { span: start..end, style });
    }

    /// A text, with or without quotes: where it begins and ends, without them.
    fn scalar(&mut self) -> (usize, usize) {
        if let Some(quote @ (b'"' | b'\'')) = self.byte() {
            let start = self.at + 1;
            let end = self.scan.quoted(self.at, quote, self.column.unwrap_or(0));
            self.at = (end + usize::from(self.scan.text.as_bytes().get(end) == Some(&quote))).max(start);
            return (start, end);
        }
        let start = self.at;
        let line = self.scan.rest_of_line(start);
        let bytes = line.as_bytes();
        let mut length = 0;
        while let Some(byte) = bytes.get(length) {
            match byte {
                // `${{ … }}` is closed by its own braces.
                b'$' if line[length..].starts_with("${{") => {
                    let near = &bytes[length..bytes.len().min(length + MAX_EXPRESSION)];
                    length += memchr::memmem::find(near, b"}}").map_or(3, |end| end + 2);
                    continue;
                }
                b',' | b']' | b'}' | b'[' | b'{' => break,
                b':' if matches!(bytes.get(length + 1), None | Some(b' ' | b',' | b']' | b'}' | b'\r')) => break,
                b'#' if length > 0 && bytes[length - 1] == b' ' => break,
                _ => length += 1,
            }
        }
        let text = line[..length].trim_end();
        let end = start + text.len();
        // Something is read each time, so that it ends.
        self.at = start + length.max(if text.is_empty() { self.width() } else { 0 });
        (start, end)
    }

    /// Skips spaces, comments and the ends of lines, up to a line that is not indented deep enough to belong here.
    fn space(&mut self) {
        while let Some(byte) = self.byte() {
            match byte {
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'#' => self.at += self.scan.rest_of_line(self.at).len(),
                b'\n' => {
                    let line = self.scan.rest_of_line(self.at + 1);
                    let content = line.trim_start();
                    let is_deeper = self.column.is_none_or(|column| line.len() - content.len() > column);
                    if !content.is_empty() && !is_deeper && !content.starts_with([']', '}']) {
                        self.is_over = true;
                        return;
                    }
                    self.at += 1;
                }
                _ => return,
            }
        }
    }

    fn reach(&mut self, element: At) {
        let end = self.at;
        let trimmed = self.scan.text[..end].trim_end().len();
        let extent = &mut self.scan.outline.elements[element].extent;
        extent.end = extent.end.max(trimmed);
    }

    fn byte(&self) -> Option<u8> {
        self.scan.text.as_bytes().get(self.at).copied()
    }

    fn width(&self) -> usize {
        self.scan.text[self.at..].chars().next().map_or(1, char::len_utf8)
    }
}
