//! Texts with `${{ … }}` in them, and conditions: from decoded YAML text, with spans in the file.

use std::ops::Range;

use super::parser;
use super::{Condition, Expr, ExprKind, Function, Part, Template};
use crate::pipeline::{Code, Diagnostic, Span};

impl Template {
    /// Reads a text. `source` is how it stands in the file, quotes and all, at `base`.
    pub(in crate::pipeline) fn parse(
        text: &str,
        source: &str,
        base: usize,
        findings: &mut Vec<Diagnostic>,
    ) -> Option<Self> {
        if !text.contains("${{") {
            return Some(Self::literal(text));
        }
        let places = Places::new(text, source, base);
        let mut parts = Vec::new();
        let mut is_whole = true;
        let mut from = 0;
        while let Some(open) = text[from..].find("${{").map(|found| found + from) {
            if open > from {
                parts.push(Part::Text(text[from..open].to_owned()));
            }
            let Some(close) = end(text, open + 3) else {
                findings.push(unterminated(places.span(open..open + 3)));
                return None;
            };
            let inner = open + 3;
            let span = |range: Range<usize>| places.span(range.start + inner..range.end + inner);
            match parser::parse(&text[inner..close], &span, findings) {
                Some(expr) => parts.push(Part::Expr(expr)),
                None => is_whole = false,
            }
            from = close + 2;
        }
        if from < text.len() {
            parts.push(Part::Text(text[from..].to_owned()));
        }
        is_whole.then_some(Self { parts })
    }

    /// Its expressions.
    pub fn expressions(&self) -> impl Iterator<Item = &Expr> {
        self.parts.iter().filter_map(|part| match part {
            Part::Expr(expr) => Some(expr),
            Part::Text(_) => None,
        })
    }

    /// Whether it asks for files.
    #[must_use]
    pub fn uses_files(&self) -> bool {
        self.expressions().any(Expr::uses_files)
    }
}

impl Condition {
    /// Reads `if`: an expression, bare or as a whole in `${{ }}`.
    pub(in crate::pipeline) fn parse(
        text: &str,
        source: &str,
        base: usize,
        findings: &mut Vec<Diagnostic>,
    ) -> Option<Self> {
        let places = Places::new(text, source, base);
        let trimmed = text.trim();
        let start = text.len() - text.trim_start().len();
        let (inner, length) = match trimmed.strip_prefix("${{") {
            None => (start, trimmed.len()),
            Some(rest) => match end(text, start + 3) {
                None => {
                    findings.push(unterminated(places.span(start..start + 3)));
                    return None;
                }
                Some(close) if text[close + 2..].trim().is_empty() => (start + 3, close - start - 3),
                Some(close) => {
                    let behind = close + 2..text.trim_end().len();
                    findings.push(
                        Diagnostic::new(
                            Code::ExpressionSyntax,
                            places.span(behind),
                            "`if` is one expression, and something stands behind its `}}`",
                        )
                        .help(format!("write it without `${{{{ }}}}`: `{}`", rest.replace("}}", "").trim())),
                    );
                    return None;
                }
            },
        };
        let span = |range: Range<usize>| places.span(range.start + inner..range.end + inner);
        let expr = parser::parse(&text[inner..inner + length], &span, findings)?;
        Some(Self { expr })
    }

    /// Whether it calls `success`, `failure`, `always` or `cancelled`.
    #[must_use]
    pub fn uses_status(&self) -> bool {
        self.expr.calls(Function::is_status)
    }

    /// Whether it asks for files.
    #[must_use]
    pub fn uses_files(&self) -> bool {
        self.expr.uses_files()
    }
}

impl Expr {
    /// Whether it asks for files.
    #[must_use]
    pub fn uses_files(&self) -> bool {
        self.calls(|function| matches!(function, Function::Hash | Function::Changed))
    }

    /// Whether it calls such a function.
    pub(super) fn calls(&self, wanted: impl Fn(Function) -> bool) -> bool {
        let mut found = false;
        self.walk(&mut |expr| {
            if let ExprKind::Call { function, .. } = &expr.kind {
                found |= wanted(function.value);
            }
        });
        found
    }

    /// Visits it and all that is in it, outer ones first.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        visit(self);
        match &self.kind {
            ExprKind::Literal(_) | ExprKind::Context(_) => {}
            ExprKind::Property { of, .. } | ExprKind::Not(of) => of.walk(visit),
            ExprKind::Index { of, index } => {
                of.walk(visit);
                index.walk(visit);
            }
            ExprKind::Call { arguments, .. } => arguments.iter().for_each(|argument| argument.walk(visit)),
            ExprKind::Binary { left, right, .. } => {
                left.walk(visit);
                right.walk(visit);
            }
        }
    }
}

/// The first `}}` outside of a text in quotes.
fn end(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut quoted = false;
    for at in from..bytes.len() {
        match bytes[at] {
            b'\'' => quoted = !quoted,
            b'}' if !quoted && bytes.get(at + 1) == Some(&b'}') => return Some(at),
            _ => {}
        }
    }
    None
}

fn unterminated(at: Span) -> Diagnostic {
    Diagnostic::new(Code::ExpressionUnterminated, at, "this `${{` is not closed")
        .help("add `}}` behind the expression; text that has `${{` in it is written `${{ '${{' }}`")
}

/// Where the characters of a decoded text stand in the file.
pub(in crate::pipeline) struct Places {
    /// For each byte of the text, where its character begins and ends in the file.
    characters: Vec<Span>,
    /// Where the text ends in the file.
    end: usize,
}

/// Characters of the source that stand for none of the text: quotes, indentation, the header of a block.
const MOST_SKIPPED: usize = 1024;
/// A text that fits its source this badly is not worth looking for.
const MOST_MISSES: usize = 16;

impl Places {
    pub(in crate::pipeline) fn new(text: &str, source: &str, base: usize) -> Self {
        let has_escapes = source.starts_with('"');
        let mut at = match source.chars().next() {
            Some('"' | '\'') => 1,
            Some('|' | '>') => source.find('\n').map_or(0, |end| end + 1),
            _ => 0,
        };
        let mut characters = Vec::with_capacity(text.len());
        let mut misses = 0;
        for c in text.chars() {
            let rest = &source[at..];
            let window = &rest[..rest.floor_char_boundary(MOST_SKIPPED)];
            let (start, end) = match window.find(c) {
                _ if has_escapes && rest.starts_with('\\') => {
                    (at, source.floor_char_boundary(at + escape_length(rest)))
                }
                Some(found) if misses <= MOST_MISSES => (at + found, at + found + c.len_utf8()),
                // The end of a line in a folded text is a space in what it comes to.
                _ => {
                    misses += 1;
                    (at, at)
                }
            };
            characters.extend(std::iter::repeat_n(base + start..base + end, c.len_utf8()));
            at = end;
            // `''` is one quote in single quotes.
            if c == '\'' && source.starts_with('\'') && source[at..].starts_with('\'') {
                at += 1;
            }
        }
        Self { characters, end: base + at }
    }

    /// The place of a range of the text: from its first character to behind its last.
    pub(in crate::pipeline) fn span(&self, range: Range<usize>) -> Span {
        let start = self.characters.get(range.start).map_or(self.end, |character| character.start);
        let last = range.end.checked_sub(1).filter(|last| *last >= range.start);
        let end = last.map_or(start, |last| self.characters.get(last).map_or(self.end, |character| character.end));
        start..end.max(start)
    }
}

/// The length of an escape in a text in double quotes.
fn escape_length(rest: &str) -> usize {
    match rest.as_bytes().get(1) {
        Some(b'x') => 4,
        Some(b'u') => 6,
        Some(b'U') => 10,
        Some(_) => 2,
        None => 1,
    }
}
