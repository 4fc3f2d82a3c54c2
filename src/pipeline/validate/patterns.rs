//! Patterns: of files, branches and tags. What matches nothing is told here, what is no pattern `glob` tells.

use std::rc::Rc;

use crate::glob::Globs;
use crate::pipeline::reader::Reader;
use crate::pipeline::tree::Node;
use crate::pipeline::{Code, Diagnostic, Span, Spanned};

/// No path that git can hold is longer.
const MAX_LENGTH: usize = 1024;
/// The most patterns of a list: more are a sign that a folder was meant.
const MAX_PATTERNS: usize = 256;

/// What patterns are matched with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// Files that changed: a list that only takes out means all others.
    ChangedFiles,
    /// Files that are picked: a list that only takes out picks none.
    Files,
    /// Branches.
    Branches,
    /// Tags.
    Tags,
}

impl Of {
    fn example(self) -> &'static str {
        match self {
            Self::ChangedFiles | Self::Files => "write it from the top of the repository, such as `src/**`",
            Self::Branches => "write it like `main` or `release/*`",
            Self::Tags => "write it like `v*`",
        }
    }
}

/// One pattern or a list of them.
pub(super) fn read(reader: &mut Reader<'_>, key: &str, of: Of, node: &Rc<Node>) -> Vec<Spanned<String>> {
    let items = reader.one_or_many(key, node);
    if let Some(over) = items.get(MAX_PATTERNS) {
        let message = format!("`{key}` has {} patterns, more than {MAX_PATTERNS}", items.len());
        reader.report(
            Diagnostic::new(Code::Glob, reader.visible(over), message)
                .help("name folders in place of files: `src/**` is all that is below `src`"),
        );
    }
    let items = &items[..items.len().min(MAX_PATTERNS)];
    let patterns: Vec<Spanned<String>> = items.iter().filter_map(|item| pattern(reader, key, of, item)).collect();
    let takes_out = |pattern: &Spanned<String>| pattern.value.starts_with('!');
    if of == Of::Files && patterns.len() == items.len() && patterns.iter().all(takes_out) && !patterns.is_empty() {
        reader.report(
            Diagnostic::new(Code::Glob, reader.visible(node), format!("`{key}` only takes files out: none are left"))
                .help("begin with what it is taken from: `\"**\"`, or a folder such as `src/**`"),
        );
    }
    patterns
}

fn pattern(reader: &mut Reader<'_>, key: &str, of: Of, node: &Node) -> Option<Spanned<String>> {
    let text = reader.filled(key, node)?;
    let at = node.span.clone();
    let bare = text.strip_prefix('!').unwrap_or(text);
    let finding = match of {
        Of::ChangedFiles | Of::Files => wrong_file(text, bare, &at, of),
        Of::Branches | Of::Tags => prefixed(bare, of, &at).or_else(|| wrong_name(text, bare, &at, of)),
    };
    let finding = finding.or_else(|| {
        let error = Globs::parse(&[text]).err()?;
        Some(Diagnostic::new(Code::Glob, at.clone(), error.to_string()).help(of.example()))
    });
    match finding {
        Some(finding) => {
            reader.report(finding);
            None
        }
        None => Some(Spanned { value: text.to_owned(), span: at }),
    }
}

fn wrong(text: &str, why: &str, at: &Span) -> Diagnostic {
    Diagnostic::new(Code::Glob, at.clone(), format!("the pattern `{text}` {why}"))
}

fn too_long(bare: &str, at: &Span) -> Option<Diagnostic> {
    (bare.len() > MAX_LENGTH).then(|| {
        let message = format!("a pattern has {} bytes, more than {MAX_LENGTH}", bare.len());
        Diagnostic::new(Code::Glob, at.clone(), message).help("split it into several")
    })
}

fn wrong_file(text: &str, bare: &str, at: &Span, of: Of) -> Option<Diagnostic> {
    if let Some(finding) = too_long(bare, at) {
        return Some(finding);
    }
    if bare.trim().is_empty() {
        return Some(wrong(text, "names no file", at).help(of.example()));
    }
    if let Some(relative) = bare.strip_prefix("/workspace/").filter(|relative| !relative.is_empty()) {
        return Some(wrong(text, "is an absolute path", at).help(format!("write `{relative}`")));
    }
    if bare.starts_with('/') {
        return Some(wrong(text, "is an absolute path", at).help(of.example()));
    }
    bare.split('/').any(|part| part == "..").then(|| {
        let help = "patterns see the repository alone: name files below its top, without `..`";
        wrong(text, "leaves the repository", at).help(help)
    })
}

/// What git calls `refs/heads/main` is `main` to people, and to this file.
fn prefixed(bare: &str, of: Of, at: &Span) -> Option<Diagnostic> {
    if !bare.starts_with("refs/") {
        return None;
    }
    let (what, own, other, other_key) = match of {
        Of::Tags => ("a tag", "refs/tags/", "refs/heads/", "branches"),
        _ => ("a branch", "refs/heads/", "refs/tags/", "tags"),
    };
    let named = |prefix| bare.strip_prefix(prefix).filter(|name| !name.is_empty());
    let help = match (named(own), named(other)) {
        (Some(name), _) => format!("write `{name}`"),
        (None, Some(name)) => format!("write `{name}` in `{other_key}`"),
        (None, None) => of.example().to_owned(),
    };
    let message = format!("`{bare}` is git's full name of a ref, not {what}");
    Some(Diagnostic::new(Code::RefPrefix, at.clone(), message).help(help))
}

/// What git takes for no name, after `git check-ref-format`.
fn wrong_name(text: &str, bare: &str, at: &Span, of: Of) -> Option<Diagnostic> {
    if let Some(finding) = too_long(bare, at) {
        return Some(finding);
    }
    let why = if bare.trim().is_empty() {
        "names nothing".to_owned()
    } else if bare.starts_with('/') || bare.ends_with('/') || bare.contains("//") {
        "has a `/` where no name has one".to_owned()
    } else if bare.contains("..") || bare.contains("@{") {
        "has `..` or `@{` in it, which no name has".to_owned()
    } else if let Some(c) = bare.chars().find(|c| c.is_whitespace() || c.is_control() || matches!(c, '~' | ':')) {
        format!("has {c:?} in it, which no name has")
    } else {
        return None;
    };
    Some(wrong(text, &why, at).help(of.example()))
}
