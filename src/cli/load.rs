//! Finds, reads and checks the pipeline file that a command works on.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use argon::pipeline::{Parsed, Pipeline, Severity};
use argon::repository::includes::Reach;
use argon::repository::{self, FileError};

use super::exit::{CommandError, Exit};
use super::output::Look;
use super::{includes, report};

/// Which pipeline file.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct FileArgs {
    /// The pipeline file [default: .runnerci.yml here or in the nearest folder above]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

/// Whether warnings of a pipeline are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Warnings {
    Show,
    Hide,
}

impl From<FileError> for CommandError {
    fn from(error: FileError) -> Self {
        let hint = error.hint();
        Self::usage(error, hint)
    }
}

impl FileArgs {
    /// The file's path, and the folder that it belongs to.
    pub(crate) fn locate(&self, from: &Path) -> Result<(PathBuf, PathBuf), CommandError> {
        let path = match &self.file {
            Some(path) => from.join(path),
            None => repository::find(from)?,
        };
        let root = repository::root_of(&path);
        Ok((path, root))
    }
}

/// A pipeline file that was read, with what it includes, and looked at.
pub(crate) struct Looked {
    name: String,
    root: PathBuf,
    parsed: Parsed,
}

/// Reads the pipeline at `path` with what it includes, which may ask a network.
pub(crate) fn look_at(path: &Path, root: &Path, interrupt: &AtomicBool) -> Result<Looked, CommandError> {
    let bytes = repository::read(path, root)?;
    let parsed = repository::includes::parse(&bytes, path, root, Reach::Anywhere, interrupt);
    Ok(Looked { name: includes::shown(path), root: root.to_owned(), parsed })
}

impl Looked {
    /// The pipeline, where it is valid. Findings go to standard error.
    pub(crate) fn pipeline(self, warnings: Warnings, look: &Look) -> Result<Pipeline, CommandError> {
        let Self { name, root, parsed } = self;
        if parsed.pipeline.is_none() || warnings == Warnings::Show {
            for file in includes::reports(&parsed, &name, &root) {
                let rendered = report::render(&file.findings, &file.name, &file.text, look.report_on_stderr());
                let _ = std::io::stderr().write_all(rendered.as_bytes());
            }
        }
        parsed.pipeline.ok_or_else(|| {
            let errors = parsed.findings.iter().filter(|finding| finding.severity() == Severity::Error).count();
            let s = if errors == 1 { "" } else { "s" };
            CommandError { exit: Exit::Usage, message: format!("{name} is not valid: {errors} error{s}"), hint: None }
        })
    }
}

/// The pipeline that a command works on, with its warnings.
pub(crate) fn from_args(file: &FileArgs, look: &Look) -> Result<Pipeline, CommandError> {
    let (path, root) = file.locate(&here()?)?;
    look_at(&path, &root, &AtomicBool::new(false))?.pipeline(Warnings::Show, look)
}

/// The current folder.
pub(crate) fn here() -> Result<PathBuf, CommandError> {
    std::env::current_dir().map_err(|error| {
        CommandError::usage(format!("cannot tell the current folder: {error}"), "go to a folder that exists")
    })
}
