//! Finds, reads and checks the pipeline file that a command works on.

use std::io::Write;
use std::path::{Path, PathBuf};

use argon::pipeline::{self, Pipeline, Severity};

use super::exit::{CommandError, Exit};
use super::output::Look;
use super::pipeline_file::{self, PipelineFile, PipelineFileError};
use super::report;

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

impl From<PipelineFileError> for CommandError {
    fn from(error: PipelineFileError) -> Self {
        let hint = error.hint();
        Self::usage(error, hint)
    }
}

impl FileArgs {
    /// The file's path, and the folder that it belongs to.
    pub(crate) fn locate(&self, from: &Path) -> Result<(PathBuf, PathBuf), CommandError> {
        let path = match &self.file {
            Some(path) => from.join(path),
            None => pipeline_file::find(from)?,
        };
        let root = pipeline_file::repository_root(&path);
        Ok((path, root))
    }
}

/// The pipeline at `path`, checked. Findings go to standard error.
pub(crate) fn pipeline(path: &Path, root: &Path, warnings: Warnings, look: &Look) -> Result<Pipeline, CommandError> {
    let PipelineFile { path, text } = pipeline_file::read(path, root)?;
    let (pipeline, mut findings) = pipeline::parse(&text);
    let shown = shown(&path);
    if pipeline.is_some() && warnings == Warnings::Hide {
        findings.clear();
    }
    if !findings.is_empty() {
        let rendered = report::render(&findings, &shown, &text, look.report_on_stderr());
        let _ = std::io::stderr().write_all(rendered.as_bytes());
    }
    pipeline.ok_or_else(|| {
        let errors = findings.iter().filter(|finding| finding.severity() == Severity::Error).count();
        let s = if errors == 1 { "" } else { "s" };
        CommandError { exit: Exit::Usage, message: format!("{shown} is not valid: {errors} error{s}"), hint: None }
    })
}

/// The pipeline that a command works on, with its warnings.
pub(crate) fn from_args(file: &FileArgs, look: &Look) -> Result<Pipeline, CommandError> {
    let (path, root) = file.locate(&here()?)?;
    pipeline(&path, &root, Warnings::Show, look)
}

/// The current folder.
pub(crate) fn here() -> Result<PathBuf, CommandError> {
    std::env::current_dir().map_err(|error| {
        CommandError::usage(format!("cannot tell the current folder: {error}"), "go to a folder that exists")
    })
}

/// A path as a person would write it from here.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}
