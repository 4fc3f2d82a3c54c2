//! One pipeline as it stands: its files, and what the validator says of them.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use lsp_types::{Diagnostic, DiagnosticRelatedInformation, DiagnosticSeverity, Location, NumberOrString, Range, Uri};

use super::disk;
use super::text::{Encoding, Text};
use super::workspace::View;
use crate::pipeline::{self, Code, FileId, IncludeError, Includes, MAX_BYTES, Origin, Parsed, Severity, Source, Span};

/// A pipeline.
#[derive(Debug)]
pub(super) struct Pipeline {
    /// The repository; `None` for a text that is no file.
    pub(super) root: Option<PathBuf>,
    /// Its files, the main one first. Those of other repositories are not among them.
    pub(super) files: Vec<View>,
    pub(super) findings: Vec<Finding>,
}

/// A finding, where a client shows it.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) uri: Uri,
    pub(super) diagnostic: Diagnostic,
    pub(super) fix: Option<Fix>,
}

/// What an editor may do about a finding: it is in the same file.
#[derive(Debug)]
pub(super) struct Fix {
    pub(super) title: String,
    pub(super) range: Range,
    pub(super) replacement: String,
}

impl Pipeline {
    /// The pipeline file itself.
    pub(super) fn main(&self) -> &Uri {
        &self.files[0].uri
    }
}

/// Reads the pipeline of a main file. `bytes` are its content where that is no valid text.
pub(super) fn read(
    main: View,
    bytes: Option<&[u8]>,
    root: Option<PathBuf>,
    open: &dyn Fn(&Uri) -> Option<View>,
    remote: &mut dyn Includes,
    encoding: Encoding,
) -> Pipeline {
    let mut loader = Loader { main: &main.uri, root: root.as_deref(), open, remote, absent: Vec::new() };
    let bytes = bytes.unwrap_or(main.text.as_str().as_bytes());
    let parsed = pipeline::parse_with(bytes, &mut loader);
    let absent = loader.absent;
    let views: Vec<Option<View>> = parsed
        .sources
        .files()
        .iter()
        .map(|source| match &source.id {
            None => Some(main.clone()),
            Some(id) => view(source, id, root.as_deref(), open, encoding),
        })
        .collect();
    let findings = Shown { parsed: &parsed, views: &views, main: &main, absent: &absent }.findings();
    let files: Vec<View> = views.into_iter().flatten().collect();
    Pipeline { root, files: if files.is_empty() { vec![main] } else { files }, findings }
}

/// Where an included file is, and its text: that of the editor, where it is open.
fn view(
    source: &Source,
    id: &FileId,
    root: Option<&Path>,
    open: &dyn Fn(&Uri) -> Option<View>,
    encoding: Encoding,
) -> Option<View> {
    let uri = uri_of(id, root)?;
    Some(open(&uri).unwrap_or_else(|| View { uri, text: Rc::new(Text::new(source.text.clone(), encoding)) }))
}

fn uri_of(id: &FileId, root: Option<&Path>) -> Option<Uri> {
    match id.origin {
        Origin::Here => disk::uri_of(&root?.join(&id.path)),
        Origin::Git { .. } => None,
    }
}

/// Has the files that a pipeline includes.
struct Loader<'a> {
    main: &'a Uri,
    root: Option<&'a Path>,
    open: &'a dyn Fn(&Uri) -> Option<View>,
    /// Those of other repositories.
    remote: &'a mut dyn Includes,
    /// The files of other repositories that are not here, with why.
    absent: Vec<String>,
}

impl Includes for Loader<'_> {
    fn load(&mut self, file: &FileId) -> Result<Vec<u8>, IncludeError> {
        if let Origin::Git { .. } = file.origin {
            return self.remote.load(file).inspect_err(|error| self.absent.push(cannot_include(file, error)));
        }
        let Some((root, uri)) = self.root.and_then(|root| Some((root, uri_of(file, Some(root))?))) else {
            return Err(IncludeError {
                message: "this text is not saved yet".to_owned(),
                help: "save it in its repository".to_owned(),
            });
        };
        match (self.open)(&uri) {
            Some(view) => Ok(view.text.as_str().as_bytes().to_vec()),
            None => disk::read(&root.join(&file.path), root),
        }
    }

    fn is_main(&self, file: &FileId) -> bool {
        uri_of(file, self.root).as_ref() == Some(self.main)
    }
}

/// The message that the validator makes of it.
fn cannot_include(file: &FileId, error: &IncludeError) -> String {
    format!("cannot include {}: {}", file.shown(), error.message)
}

/// The findings of a pipeline on their way to a client.
struct Shown<'a> {
    parsed: &'a Parsed,
    /// As the sources stand.
    views: &'a [Option<View>],
    main: &'a View,
    absent: &'a [String],
}

impl Shown<'_> {
    fn findings(&self) -> Vec<Finding> {
        self.parsed.findings.iter().map(|finding| self.finding(finding)).collect()
    }

    fn finding(&self, finding: &pipeline::Diagnostic) -> Finding {
        let Some((view, span)) = self.locate(&finding.span) else {
            return self.elsewhere(finding);
        };
        let related: Vec<DiagnosticRelatedInformation> = finding
            .labels
            .iter()
            .filter_map(|label| {
                let (view, span) = self.locate(&label.span)?;
                let location = Location { uri: view.uri.clone(), range: view.text.range(&span) };
                Some(DiagnosticRelatedInformation { location, message: label.text.clone() })
            })
            .collect();
        let fix = finding.fix.as_ref().and_then(|fix| {
            let (file, span) = self.locate(&fix.span)?;
            let range = file.text.range(&span);
            (file.uri == view.uri).then(|| Fix {
                title: fix.title.clone(),
                range,
                replacement: fix.replacement.clone(),
            })
        });
        let mut diagnostic = self.diagnostic(finding, view.text.range(&widened(&view.text, &span)));
        diagnostic.related_information = (!related.is_empty()).then_some(related);
        Finding { uri: view.uri.clone(), diagnostic, fix }
    }

    /// A finding in a file of another repository: shown at the top of the pipeline file.
    fn elsewhere(&self, finding: &pipeline::Diagnostic) -> Finding {
        let mut diagnostic = self.diagnostic(finding, Range::default());
        let source = self.parsed.sources.locate(&finding.span).and_then(|(source, _)| source.id.as_ref());
        if let Some(id) = source {
            diagnostic.message = format!("in {}: {}", id.shown(), diagnostic.message);
        }
        Finding { uri: self.main.uri.clone(), diagnostic, fix: None }
    }

    fn diagnostic(&self, finding: &pipeline::Diagnostic, range: Range) -> Diagnostic {
        let message = match &finding.help {
            Some(help) => format!("{}\n{help}", finding.message),
            None => finding.message.clone(),
        };
        Diagnostic {
            range,
            severity: Some(self.severity(finding)),
            code: Some(NumberOrString::String(finding.code.to_string())),
            source: Some("argon".to_owned()),
            message,
            ..Diagnostic::default()
        }
    }

    /// A file of another repository that is not here is no fault, nor is what may be in it.
    fn severity(&self, finding: &pipeline::Diagnostic) -> DiagnosticSeverity {
        let is_absent = finding.code == Code::Include && self.absent.contains(&finding.message);
        let may_be_there = finding.code == Code::UnknownNeed && !self.absent.is_empty();
        match finding.severity() {
            _ if is_absent || may_be_there => DiagnosticSeverity::HINT,
            Severity::Error => DiagnosticSeverity::ERROR,
            Severity::Warning => DiagnosticSeverity::WARNING,
        }
    }

    fn locate(&self, span: &Span) -> Option<(&View, Span)> {
        let (source, span) = self.parsed.sources.locate(span)?;
        let at = self.parsed.sources.files().iter().position(|file| file.base == source.base)?;
        Some((self.views.get(at)?.as_ref()?, span))
    }
}

/// Clients show nothing of an empty range at the end of a line; a character of it can be seen.
fn widened(text: &Text, span: &Span) -> Span {
    if span.start < span.end || text.as_str().len() > MAX_BYTES {
        return span.clone();
    }
    let width = text.as_str().get(span.start..).and_then(|rest| rest.chars().next()).filter(|c| *c != '\n');
    span.start..span.start + width.map_or(0, char::len_utf8)
}
