//! Expressions as an editor sees them: where they stand in a text, whole or not, and the names in them with their places.
//!
//! The language's own parser wants an expression that is whole. Here one may end where the cursor is.

use crate::pipeline::{Span, Spanned};

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
    for (at, byte) in rest.bytes().enumerate() {
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
#[derive(Debug)]
pub(super) struct Word {
    pub(super) name: &'static str,
    /// How it is written.
    pub(super) shape: &'static str,
    pub(super) doc: &'static str,
    pub(super) is_function: bool,
}

const fn context(name: &'static str, shape: &'static str, doc: &'static str) -> Word {
    Word { name, shape, doc, is_function: false }
}

const fn function(name: &'static str, shape: &'static str, doc: &'static str) -> Word {
    Word { name, shape, doc, is_function: true }
}

/// The contexts and functions, in the order of the language's own documentation.
pub(super) const WORDS: &[Word] = &[
    context("event", "event.NAME", "The event that started the run: its `name`, and the fields of its payload."),
    context("branch", "branch", "The branch; empty where there is none."),
    context("tag", "tag", "The tag; empty where there is none."),
    context("commit", "commit", "The full id of the commit; empty where there is none."),
    context("matrix", "matrix.NAME", "The values of this combination of the job's `matrix`."),
    context("env", "env.NAME", "Variables of the file, the job and the step."),
    context("needs", "needs.JOB", "The jobs that this one needs: `status` and `outputs.NAME` of each."),
    context(
        "steps",
        "steps.ID",
        "The earlier steps of the job that have an `id`: `status` and `outputs.NAME` of each.",
    ),
    context("secrets", "secrets.NAME", "True where the run was given the secret. Its value is in no expression."),
    function("contains", "contains(text or list, what)", "Whether a text or a list has something in it."),
    function("startsWith", "startsWith(text, what)", "Whether a text begins so."),
    function("endsWith", "endsWith(text, what)", "Whether a text ends so."),
    function("format", "format('{0} …', value, …)", "The text with values in the places of `{0}`, `{1}`, …"),
    function("join", "join(list, separator)", "The items of a list as one text."),
    function("toJSON", "toJSON(value)", "A value as JSON."),
    function("fromJSON", "fromJSON(text)", "The value that a JSON text stands for."),
    function("success", "success()", "True where all went well so far."),
    function("failure", "failure()", "True where something failed."),
    function("always", "always()", "True, also after a stop."),
    function("cancelled", "cancelled()", "True where the run was stopped."),
    function(
        "hash",
        "hash('glob', …)",
        "The content of all files that match, as 64 hex digits; empty where none does.",
    ),
    function("changed", "changed('glob', …)", "Whether a file that matches differs from the base of the event."),
];

/// What `needs.JOB` and `steps.ID` have.
pub(super) const MEMBERS: &[(&str, &str)] = &[
    ("status", "How it ended: `success`, `failure`, `cancelled` or `skipped`."),
    ("outputs", "What it put out, by name."),
];

/// The context or function of a name. Case does not count for functions.
pub(super) fn word(name: &str, is_call: bool) -> Option<&'static Word> {
    WORDS.iter().find(|word| word.is_function == is_call && word.name.eq_ignore_ascii_case(name))
}

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
