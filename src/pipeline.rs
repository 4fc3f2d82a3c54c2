//! The language of `.runnerci.yml`: text to a validated [`Pipeline`], with every finding at its span. Pure: no IO.
//!
//! [`parse`] reads the text into a tree with spans, then a validator walks that tree, collects every finding and builds
//! the model. It never stops at the first finding of the language; only broken YAML ends it early. [`parse_with`] also
//! takes in the files that `include` names, which it asks its caller for.

mod code;
mod diagnostic;
pub mod expr;
mod graph;
mod image;
mod keys;
pub mod language;
mod model;
mod reader;
mod schema;
pub mod script;
mod sources;
mod syntax;
mod tree;
mod units;
mod validate;

pub use code::{Code, Severity};
pub use diagnostic::{Diagnostic, Fix, Label, LineIndex, Place};
pub use image::check_image;
pub use keys::near;
pub use model::*;
#[cfg(feature = "lsp")]
pub(crate) use reader::is_identifier;
pub use reader::is_variable_name;
pub use schema::schema;
pub use sources::{FileId, Origin, Source, Sources};
pub use units::duration as parse_duration;
pub use validate::capability_or_privileged;

/// The largest text that is read: 1 MiB.
pub const MAX_BYTES: usize = 1024 * 1024;
/// The most jobs of a pipeline, each combination of a matrix counted.
pub const MAX_JOBS: usize = 256;
/// The most steps in a job.
pub const MAX_STEPS: usize = 1024;
/// The most files of a pipeline, itself counted.
pub const MAX_FILES: usize = 64;

/// What a text comes to.
#[derive(Debug)]
pub struct Parsed {
    /// There is one exactly where no finding is an error.
    pub pipeline: Option<Pipeline>,
    /// In the order of the files, and of the text in each.
    pub findings: Vec<Diagnostic>,
    /// What the spans point into.
    pub sources: Sources,
    /// The files of the repository that scripts cannot do without, by their paths from its top. Whether git has them, only
    /// the caller can tell: see [`ignored`].
    pub named_files: Vec<Spanned<String>>,
}

/// The finding for a file that a script names, and that git ignores.
#[must_use]
pub fn ignored(file: &Spanned<String>) -> Diagnostic {
    let message = format!("git ignores `{}`, so the job will not have it", file.value);
    Diagnostic::new(Code::IgnoredFile, file.span.clone(), message)
        .help("take it out of `.gitignore`, `git add -f` it, or make it in an earlier step")
}

/// Why an included file could not be had, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncludeError {
    /// What happened, to stand behind `cannot include …: `.
    pub message: String,
    /// What to do.
    pub help: String,
}

/// Who has the files that `include` names.
pub trait Includes {
    /// The content of a file.
    ///
    /// # Errors
    /// Where it cannot be had.
    fn load(&mut self, file: &FileId) -> Result<Vec<u8>, IncludeError>;

    /// Whether a file is the pipeline file itself, which an included file may include in turn: it joins once.
    fn is_main(&self, _file: &FileId) -> bool {
        false
    }
}

/// For a text that is looked at alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoIncludes;

impl Includes for NoIncludes {
    fn load(&mut self, _: &FileId) -> Result<Vec<u8>, IncludeError> {
        Err(IncludeError {
            message: "other files are not read here".to_owned(),
            help: "check the file where it lies in its repository".to_owned(),
        })
    }
}

/// Reads a pipeline that includes no other file. There is one exactly where no finding is an error; findings stand in the
/// order of the text.
#[must_use]
pub fn parse(text: &str) -> (Option<Pipeline>, Vec<Diagnostic>) {
    let parsed = parse_with(text.as_bytes(), &mut NoIncludes);
    (parsed.pipeline, parsed.findings)
}

/// Reads a pipeline that includes no other file from bytes that may be anything.
#[must_use]
pub fn parse_bytes(bytes: &[u8]) -> (Option<Pipeline>, Vec<Diagnostic>) {
    let parsed = parse_with(bytes, &mut NoIncludes);
    (parsed.pipeline, parsed.findings)
}

/// Reads a pipeline from bytes that may be anything, and what it includes.
#[must_use]
pub fn parse_with(bytes: &[u8], includes: &mut dyn Includes) -> Parsed {
    let mut findings = Vec::new();
    let mut sources = Sources::default();
    let (pipeline, named_files) = validate::files(bytes, includes, &mut sources, &mut findings);
    tidy(&mut findings);
    let is_valid = findings.iter().all(|finding| finding.severity() == Severity::Warning);
    Parsed { pipeline: pipeline.filter(|_| is_valid), findings, sources, named_files }
}

/// What an alias repeats is one finding; the order is that of the text.
fn tidy(findings: &mut Vec<Diagnostic>) {
    let mut seen = std::collections::HashSet::new();
    findings
        .retain(|finding| seen.insert((finding.code, finding.span.start, finding.span.end, finding.message.clone())));
    findings.sort_by_key(|finding| (finding.span.start, finding.code));
}
