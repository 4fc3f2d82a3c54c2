//! What was found in a pipeline's files, file by file, for people; and what only the working tree can tell of them.

use std::path::Path;

use argon::pipeline::{self, Diagnostic, FileId, Origin, Parsed};
use argon::source;

/// One file of a pipeline, with what was found in it; spans are those of its text.
pub(crate) struct FileReport {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) findings: Vec<Diagnostic>,
}

/// Adds what only the working tree can tell: files that scripts name, and that git ignores.
pub(crate) fn look_at_named_files(parsed: &mut Parsed, root: &Path) {
    let paths: Vec<&str> = parsed.named_files.iter().map(|file| file.value.as_str()).collect();
    // A tree that cannot be read has its own error when it is run.
    let Ok(ignored) = source::ignored(root, &paths) else {
        return;
    };
    let found: Vec<Diagnostic> = parsed
        .named_files
        .iter()
        .filter(|file| ignored.contains(&file.value.as_str()))
        .map(pipeline::ignored)
        .collect();
    parsed.findings.extend(found);
    parsed.findings.sort_by_key(|finding| (finding.span.start, finding.code));
}

/// What was found, file by file, the pipeline file first. It goes by `name`, the others by their paths.
pub(crate) fn reports(parsed: &Parsed, name: &str, root: &Path) -> Vec<FileReport> {
    let shown = |id: &FileId| match id.origin {
        Origin::Here => shown(&root.join(&id.path)),
        Origin::Git { .. } => id.shown(),
    };
    parsed
        .sources
        .by_file(&parsed.findings)
        .into_iter()
        .map(|(file, findings)| FileReport {
            name: file.id.as_ref().map_or_else(|| name.to_owned(), shown),
            text: file.text.clone(),
            findings,
        })
        .collect()
}

/// A path as a person would write it from here.
pub(crate) fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}
