//! What a script says before it runs: errors of its syntax, and the files that it cannot do without.

use crate::pipeline::expr::Places;
use crate::pipeline::reader::Reader;
use crate::pipeline::tree::{Kind, Node};
use crate::pipeline::{Code, Diagnostic, Job, Shell, Spanned, Step, script};

/// Warns of a script that no shell takes.
pub(super) fn check(reader: &mut Reader<'_>, node: &Node, shell: &Shell) {
    let Some(problem) = text(node).and_then(|text| script::check(text, shell)) else {
        return;
    };
    let end = text(node).and_then(|text| text[problem.offset..].chars().next()).map_or(0, char::len_utf8);
    let at = places(reader, node).span(problem.offset..problem.offset + end);
    reader.report(Diagnostic::new(Code::ScriptSyntax, at, problem.message).help(problem.help));
}

/// The files of the repository that a script cannot do without, by their paths from its top.
pub(super) fn named_files(
    reader: &Reader<'_>,
    node: &Node,
    step: &Step,
    job: &Job,
    shell: &Shell,
) -> Vec<Spanned<String>> {
    let folder = match step.working_directory.as_ref().or(job.working_directory.as_ref()) {
        None => "",
        Some(folder) => match folder.as_literal() {
            Some(folder) if !folder.starts_with('/') && !folder.contains("..") => folder.trim_start_matches("./"),
            _ => return Vec::new(),
        },
    };
    let (true, Some(text)) = (is_shell(shell), text(node)) else {
        return Vec::new();
    };
    let found = script::named_files(text);
    if found.is_empty() {
        return Vec::new();
    }
    let places = places(reader, node);
    let path = |path: String| if folder.is_empty() { path } else { format!("{}/{path}", folder.trim_end_matches('/')) };
    found.into_iter().map(|(file, at)| Spanned { value: path(file), span: places.span(at) }).collect()
}

/// Whether a script is known to make no file.
pub(super) fn makes_no_files(node: &Node, shell: &Shell) -> bool {
    is_shell(shell) && text(node).is_some_and(script::makes_no_files)
}

fn is_shell(shell: &Shell) -> bool {
    matches!(shell, Shell::Sh | Shell::Bash)
}

fn text(node: &Node) -> Option<&str> {
    match &node.kind {
        Kind::Plain(text) | Kind::Text(text) => Some(text),
        Kind::Seq(_) | Kind::Map(_) | Kind::Broken => None,
    }
}

fn places(reader: &Reader<'_>, node: &Node) -> Places {
    Places::new(text(node).unwrap_or_default(), reader.source(&node.span), node.span.start)
}
