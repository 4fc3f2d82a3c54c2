//! A finding in a pipeline file, and the way from its bytes to the lines and columns that people and editors count.

use super::{Code, Severity, Span};

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What kind.
    pub code: Code,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// Where: byte offsets into the text, on character boundaries.
    pub span: Span,
    /// Other places that explain it.
    pub labels: Vec<Label>,
    /// What would mend it, where that is certain enough for an editor to offer it.
    pub fix: Option<Fix>,
}

/// A change of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// What is replaced.
    pub span: Span,
    /// By what.
    pub replacement: String,
    /// What an editor calls it.
    pub title: String,
}

/// A place with what it has to do with the finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What is there.
    pub text: String,
}

impl Diagnostic {
    /// A finding without help or labels.
    #[must_use]
    pub fn new(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), help: None, span, labels: Vec::new(), fix: None }
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Points at another place.
    #[must_use]
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    /// Asks whether something else was meant in the place of what it points at, and offers that.
    #[must_use]
    pub fn suggest(self, meant: &str) -> Self {
        let help = format!("did you mean `{meant}`?");
        self.help(help).replace(meant)
    }

    /// Offers another text in the place of what it points at.
    #[must_use]
    pub fn replace(mut self, replacement: &str) -> Self {
        let title = format!("Replace with `{replacement}`");
        self.fix = Some(Fix { span: self.span.clone(), replacement: replacement.to_owned(), title });
        self
    }

    /// How bad it is: the code decides.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.code.severity()
    }
}

/// A place as editors show it. All 1-based; columns count characters; the end is exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The line of the first character.
    pub line: usize,
    /// The column of the first character.
    pub column: usize,
    /// The line of the end.
    pub end_line: usize,
    /// The column behind the last character.
    pub end_column: usize,
}

/// Where the lines of a text begin.
#[derive(Debug)]
pub struct LineIndex<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> LineIndex<'a> {
    /// Reads the text once.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1)).collect();
        Self { text, starts }
    }

    /// The place of a span. Offsets past the end count as the end.
    #[must_use]
    pub fn place(&self, span: &Span) -> Place {
        let (line, column) = self.position(span.start);
        let (end_line, end_column) = self.position(span.end.max(span.start));
        Place { line, column, end_line, end_column }
    }

    fn position(&self, offset: usize) -> (usize, usize) {
        let offset = self.text.floor_char_boundary(offset);
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        let column = self.text.get(start..offset).map_or(0, |before| before.chars().count());
        (line, column + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_begin_at_one() {
        let index = LineIndex::new("añb\r\nc\n");
        let place = |span: Span| {
            let p = index.place(&span);
            (p.line, p.column, p.end_line, p.end_column)
        };
        assert_eq!(place(0..1), (1, 1, 1, 2));
        assert_eq!(place(3..4), (1, 3, 1, 4));
        assert_eq!(place(6..7), (2, 1, 2, 2));
        assert_eq!(place(8..8), (3, 1, 3, 1));
        assert_eq!(place(99..120), (3, 1, 3, 1));
    }
}
