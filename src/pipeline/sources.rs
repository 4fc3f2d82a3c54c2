//! The files that a pipeline was read from, and where a span lies in them.
//!
//! All files share one line of offsets: a file's text begins at its base, behind the text of the file before. So a span
//! stays two numbers, and still tells its file.

use super::{Diagnostic, Span};

/// Where a file is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// In the repository of the pipeline file.
    Here,
    /// In another repository, at a commit.
    Git {
        /// Its address, as the file has it.
        url: String,
        /// The commit's full id.
        commit: String,
    },
}

/// A file that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    /// Which tree it is in.
    pub origin: Origin,
    /// Its path from the top of that tree, without `.` and `..`.
    pub path: String,
}

impl FileId {
    /// What people call it.
    #[must_use]
    pub fn shown(&self) -> String {
        match &self.origin {
            Origin::Here => self.path.clone(),
            Origin::Git { url, commit } => {
                format!("{} ({url} at {})", self.path, commit.get(..12).unwrap_or(commit))
            }
        }
    }
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Which file it is; `None` for the pipeline file itself.
    pub id: Option<FileId>,
    /// Its text.
    pub text: String,
    /// Where its offsets begin.
    pub base: usize,
}

/// All files of a pipeline, the pipeline file first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    files: Vec<Source>,
}

impl Sources {
    pub(super) fn add(&mut self, id: Option<FileId>, text: String) -> usize {
        let base = self.files.last().map_or(0, |last| last.base + last.text.len() + 1);
        self.files.push(Source { id, text, base });
        self.files.len() - 1
    }

    /// The files.
    #[must_use]
    pub fn files(&self) -> &[Source] {
        &self.files
    }

    /// The file that a span lies in, and the span in its text. `None` where no file was read.
    #[must_use]
    pub fn locate(&self, span: &Span) -> Option<(&Source, Span)> {
        let at = self.files.partition_point(|file| file.base <= span.start).checked_sub(1)?;
        let file = self.files.get(at)?;
        let end = file.text.len();
        Some((file, (span.start - file.base).min(end)..span.end.saturating_sub(file.base).min(end)))
    }

    /// The findings of each file, with spans in its text. A label in another file becomes part of the help.
    #[must_use]
    pub fn by_file(&self, findings: &[Diagnostic]) -> Vec<(&Source, Vec<Diagnostic>)> {
        let mut sorted: Vec<(&Source, Vec<Diagnostic>)> = self.files.iter().map(|file| (file, Vec::new())).collect();
        for finding in findings {
            let Some((file, span)) = self.locate(&finding.span) else { continue };
            let fix = finding.fix.clone().and_then(|fix| {
                let (other, span) = self.locate(&fix.span)?;
                (other.base == file.base).then_some(super::Fix { span, ..fix })
            });
            let mut local = Diagnostic { span, labels: Vec::new(), fix, ..finding.clone() };
            for label in &finding.labels {
                match self.locate(&label.span) {
                    Some((other, span)) if other.base == file.base => local = local.label(span, label.text.clone()),
                    Some((other, span)) => {
                        let place = super::LineIndex::new(&other.text).place(&span);
                        let name = other.id.as_ref().map_or_else(|| "the pipeline file".to_owned(), FileId::shown);
                        let words = format!("{}: {name}:{}:{}", label.text, place.line, place.column);
                        local.help = Some(local.help.map_or_else(|| words.clone(), |help| format!("{help}; {words}")));
                    }
                    None => {}
                }
            }
            if let Some((_, of_file)) = sorted.iter_mut().find(|(other, _)| other.base == file.base) {
                of_file.push(local);
            }
        }
        sorted
    }
}
