//! What stands where in a text, by its indentation: also in one that is no YAML at the moment, as is usual while someone
//! types. Keys, items and values with their spans, as a tree; nothing is refused and nothing resolved.
//!
//! It reads what people write in pipelines: block and flow collections, quoted and block texts, comments, anchors. The
//! validator reads the real YAML; where that succeeds, both see the same keys (a test holds them together).

mod flow;
mod scan;

use crate::pipeline::{Span, Spanned};

/// A text as a tree. The elements stand in the order of the text.
#[derive(Debug, Default)]
pub(super) struct Outline {
    elements: Vec<Element>,
}

/// The place of an element in its outline.
pub(super) type At = usize;

/// A key, an item of a list, or a word that is neither yet.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) kind: Kind,
    pub(super) parent: Option<At>,
    /// Where its line has it: what is indented deeper may belong to it.
    pub(super) column: usize,
    /// From its beginning to the end of all that belongs to it.
    pub(super) extent: Span,
    /// Its value, where that is one text.
    pub(super) value: Option<Scalar>,
    pub(super) children: Vec<At>,
}

/// What an element is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// `key:`; the span is without quotes.
    Key(Spanned<String>),
    /// An item of a list.
    Item,
    /// Text on a line of its own, or in braces, that is no key yet.
    Word,
}

/// A text as a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scalar {
    /// What stands in the file, without quotes; of a block, its lines.
    pub(super) span: Span,
    pub(super) style: Style,
}

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Without quotes.
    Plain,
    /// In quotes.
    Quoted,
    /// Behind `|` or `>`.
    Block,
}

impl Outline {
    /// Reads a text.
    pub(super) fn of(text: &str) -> Self {
        scan::read(text)
    }

    pub(super) fn get(&self, at: At) -> &Element {
        &self.elements[at]
    }

    /// All elements, in the order of the text.
    pub(super) fn all(&self) -> impl DoubleEndedIterator<Item = (At, &Element)> {
        self.elements.iter().enumerate()
    }

    /// The elements at the top.
    pub(super) fn top(&self) -> impl Iterator<Item = At> {
        self.elements.iter().enumerate().filter(|(_, element)| element.parent.is_none()).map(|(at, _)| at)
    }

    /// The elements below one, or at the top.
    pub(super) fn below(&self, parent: Option<At>) -> Vec<At> {
        parent.map_or_else(|| self.top().collect(), |parent| self.get(parent).children.clone())
    }

    /// The key of this name below an element, or at the top.
    pub(super) fn child(&self, parent: Option<At>, name: &str) -> Option<At> {
        self.below(parent).into_iter().find(|at| self.get(*at).name() == Some(name))
    }

    /// An element and all around it, the outermost last.
    pub(super) fn line(&self, at: At) -> impl Iterator<Item = At> {
        std::iter::successors(Some(at), |at| self.get(*at).parent)
    }

    /// The innermost element whose key or value an offset touches.
    pub(super) fn at(&self, offset: usize) -> Option<At> {
        let touches = |span: &Span| span.start <= offset && offset <= span.end;
        let found = self.elements.iter().enumerate().rev().find(|(_, element)| {
            element.key().is_some_and(|key| touches(&key.span))
                || element.value.as_ref().is_some_and(|value| touches(&value.span))
        });
        found.map(|(at, _)| at)
    }
}

impl Element {
    pub(super) fn key(&self) -> Option<&Spanned<String>> {
        match &self.kind {
            Kind::Key(key) => Some(key),
            Kind::Item | Kind::Word => None,
        }
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.key().map(|key| key.value.as_str())
    }

    /// The value as it was written, with where.
    pub(super) fn text(&self, text: &str) -> Option<Spanned<String>> {
        let span = self.value.as_ref()?.span.clone();
        Some(Spanned { value: text.get(span.clone())?.to_owned(), span })
    }
}

#[cfg(test)]
mod tests;
