//! Expressions as an editor sees them: where they stand in a text, whole or not, and the names in them with their places.
//!
//! The language's own parser wants an expression that is whole. Here one may end where the cursor is.

use super::outline::{At, Outline};
use crate::pipeline::expr::{Context, Function, Position};
use crate::pipeline::{Span, Spanned};

/// The longest expression that is looked for, in bytes. The language takes longer ones; nobody writes them, and a text full
/// of `${{` is to be read quickly.
const MAX_LENGTH: usize = 4096;

/// `needs.build.outputs.version`: names joined by points. `['…']` with a text counts as a point and a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) names: Vec<Spanned<String>>,
    /// A `(` stands behind it.
    pub(super) is_call: bool,
}

/// The insides of all `${{ … }}` of a text. One that is not closed ends with its line.
pub(super) fn insides(text: &str, base: usize) -> Vec<Span> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(open) = text.get(at..).and_then(|rest| rest.find("${{")) {
        let start = at + open + 3;
        let rest = &text[start..];
        let line = rest.find('\n').unwrap_or(rest.len());
        let length = closing(rest).unwrap_or(line);
        found.push(base + start..base + start + length);
        at = start + length;
    }
    found
}

/// Where the `}}` is that closes an expression: outside of its texts, and before the next one opens.
fn closing(rest: &str) -> Option<usize> {
    let mut is_text = false;
    for (at, byte) in rest.bytes().enumerate().take(MAX_LENGTH) {
        match byte {
            b'\'' => is_text = !is_text,
            b'}' if !is_text && rest[at..].starts_with("}}") => return Some(at),
            b'$' if !is_text && rest[at..].starts_with("${{") => return None,
            _ => {}
        }
    }
    None
}

/// The chains of an expression, whose first byte is at `base`.
pub(super) fn chains(text: &str, base: usize) -> Vec<Chain> {
    let bytes = text.as_bytes();
    let mut chains: Vec<Chain> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\'' => at = behind_text(bytes, at),
            byte if begins_name(byte) => {
                let end = name_end(bytes, at);
                let mut names = vec![spanned(text, at, end, base)];
                at = end;
                while let Some((start, end, behind)) = next_name(bytes, at) {
                    names.push(spanned(text, start, end, base));
                    at = behind;
                }
                let is_call = text[at..].trim_start().starts_with('(');
                chains.push(Chain { names, is_call });
            }
            byte if byte.is_ascii_digit() => at = name_end(bytes, at),
            _ => at += 1,
        }
    }
    chains
}

/// What someone is typing at the end of an expression that is not whole: the names before the last point, and the
/// beginning of the name behind it. `None` within a text.
pub(super) fn typed(text: &str) -> Option<(Vec<String>, String)> {
    let is_text = text.bytes().filter(|byte| *byte == b'\'').count() % 2 == 1;
    if is_text {
        return None;
    }
    let length = text.bytes().rev().take_while(|byte| goes_on(*byte) || *byte == b'.').count();
    let chain = &text[text.len() - length..];
    let mut names: Vec<String> = chain.split('.').map(str::to_owned).collect();
    let last = names.pop().unwrap_or_default();
    Some((names, last))
}

fn behind_text(bytes: &[u8], at: usize) -> usize {
    memchr::memchr(b'\'', &bytes[at + 1..]).map_or(bytes.len(), |end| at + 1 + end + 1)
}

/// The name behind a point or in `['…']`: where it begins, ends, and where to go on.
fn next_name(bytes: &[u8], at: usize) -> Option<(usize, usize, usize)> {
    match bytes.get(at)? {
        b'.' if bytes.get(at + 1).is_some_and(|byte| begins_name(*byte)) => {
            let end = name_end(bytes, at + 1);
            Some((at + 1, end, end))
        }
        b'[' if bytes.get(at + 1) == Some(&b'\'') => {
            let end = at + 2 + memchr::memchr(b'\'', &bytes[at + 2..])?;
            (bytes.get(end + 1) == Some(&b']')).then_some((at + 2, end, end + 2))
        }
        _ => None,
    }
}

fn spanned(text: &str, start: usize, end: usize, base: usize) -> Spanned<String> {
    Spanned { value: text[start..end].to_owned(), span: base + start..base + end }
}

fn name_end(bytes: &[u8], at: usize) -> usize {
    at + bytes[at..].iter().take_while(|byte| goes_on(**byte)).count()
}

fn begins_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

fn goes_on(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// A context or a function, as hover and completion tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Context(Context),
    Function(Function),
}

impl Word {
    /// What may stand at a position; anywhere, where that is not known.
    pub(super) fn all(position: Option<Position>) -> Vec<Self> {
        let contexts = position.map_or(Context::ALL, Position::contexts).iter().map(|context| Self::Context(*context));
        let functions = Function::ALL.iter().filter(|function| position.is_none_or(|at| at.allows(**function)));
        contexts.chain(functions.map(|function| Self::Function(*function))).collect()
    }

    /// The one of this name. Case does not count for functions.
    pub(super) fn find(name: &str, is_call: bool) -> Option<Self> {
        if is_call {
            let mut functions = Function::ALL.iter();
            return functions
                .find(|function| function.name().eq_ignore_ascii_case(name))
                .map(|found| Self::Function(*found));
        }
        Context::ALL.iter().find(|context| context.name() == name).map(|found| Self::Context(*found))
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Context(context) => context.name(),
            Self::Function(function) => function.name(),
        }
    }

    /// How it is written.
    pub(super) fn shape(self) -> String {
        match self {
            Self::Context(context) => context.name().to_owned(),
            Self::Function(function) => format!("{}({})", function.name(), function.arguments()),
        }
    }

    pub(super) fn doc(self) -> &'static str {
        match self {
            Self::Context(context) => context.doc(),
            Self::Function(function) => function.doc(),
        }
    }
}

/// Where an expression stands, by the keys around it.
pub(super) fn position(outline: &Outline, at: At) -> Option<Position> {
    let mut names: Vec<Option<&str>> = outline.line(at).map(|at| outline.get(at).name()).collect();
    names.reverse();
    Some(match names.as_slice() {
        [Some("env" | "concurrency"), ..] => Position::FileEnv,
        [Some("jobs"), _, Some("steps"), _, rest @ ..] => match rest {
            [Some("if")] => Position::StepIf,
            [Some("run")] => Position::Run,
            [Some("name")] => Position::Static,
            _ => Position::Step,
        },
        [Some("jobs"), _, rest @ ..] => match rest {
            [Some("if")] => Position::JobIf,
            [Some("env"), ..] => Position::JobEnv,
            [Some("outputs"), ..] => Position::Output,
            [Some("working-directory")] => Position::Step,
            _ => Position::Static,
        },
        _ => return None,
    })
}

/// What `needs.JOB` and `steps.ID` have.
pub(super) const MEMBERS: &[(&str, &str)] = &[
    ("status", "How it ended: `success`, `failure`, `cancelled`, `skipped` or `error`."),
    ("outputs", "What it put out, by name."),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let join = |chain: Chain| {
            let names: Vec<String> =
                chain.names.iter().map(|name| format!("{}@{}", name.value, name.span.start)).collect();
            names.join(".") + if chain.is_call { "()" } else { "" }
        };
        chains(text, 0).into_iter().map(join).collect()
    }

    #[test]
    fn chains_are_found_outside_of_texts() {
        assert_eq!(
            shown("needs.a-b.status == 'env.X' && x(env.Y)"),
            ["needs@0.a-b@6.status@10", "x@31()", "env@33.Y@37"]
        );
        assert_eq!(shown("needs['build'].outputs"), ["needs@0.build@7.outputs@15"]);
        assert_eq!(shown("1e5 'open"), Vec::<String>::new());
    }

    #[test]
    fn expressions_are_found_closed_or_not() {
        assert_eq!(insides("a ${{ b }} ${{ '}}' }} ${{ c\nd", 10), [15..18, 24..30, 36..38]);
    }

    #[test]
    fn what_is_being_typed_is_the_last_chain() {
        let typed = |text| typed(text).map(|(names, last)| (names.join("."), last));
        assert_eq!(typed("x && needs.a.ou"), Some(("needs.a".to_owned(), "ou".to_owned())));
        assert_eq!(typed("x == "), Some((String::new(), String::new())));
        assert_eq!(typed("x == 'ne"), None);
    }
}
