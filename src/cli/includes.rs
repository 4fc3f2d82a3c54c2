//! A pipeline file with what it includes: files of its repository, and of others at a commit.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use argon::pipeline::{self, Diagnostic, FileId, IncludeError, Includes, Origin, Parsed};
use argon::source::{self, include};

use super::pipeline_file;

/// Where included files come from.
struct Disk<'a> {
    /// The pipeline file, where it is one.
    main: Option<PathBuf>,
    /// Its repository.
    root: &'a Path,
    /// Where files of other repositories are kept.
    cache: Option<PathBuf>,
    interrupt: &'a AtomicBool,
}

impl Includes for Disk<'_> {
    fn load(&mut self, file: &FileId) -> Result<Vec<u8>, IncludeError> {
        match &file.origin {
            Origin::Here => pipeline_file::read_bytes(&self.root.join(&file.path), self.root)
                .map_err(|error| IncludeError { message: error.to_string(), help: error.hint() }),
            Origin::Git { url, commit } => {
                let wanted = include::Wanted { url: url.clone(), commit: commit.clone(), path: file.path.clone() };
                include::fetch(&wanted, self.cache.as_deref(), self.interrupt).map_err(|error| said(&error))
            }
        }
    }

    fn is_main(&self, file: &FileId) -> bool {
        let path = self.root.join(&file.path).canonicalize();
        file.origin == Origin::Here && self.main.is_some() && path.ok() == self.main
    }
}

/// Files of other repositories, as far as they were fetched before: for an editor, which must not wait for a network.
#[cfg(feature = "lsp")]
pub(crate) struct Kept {
    cache: Option<PathBuf>,
}

#[cfg(feature = "lsp")]
impl Kept {
    pub(crate) fn here() -> Self {
        Self { cache: include::default_cache() }
    }
}

#[cfg(feature = "lsp")]
impl Includes for Kept {
    fn load(&mut self, file: &FileId) -> Result<Vec<u8>, IncludeError> {
        let Origin::Git { url, commit } = &file.origin else {
            return pipeline::NoIncludes.load(file);
        };
        let wanted = include::Wanted { url: url.clone(), commit: commit.clone(), path: file.path.clone() };
        match include::kept(&wanted, self.cache.as_deref()) {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(IncludeError {
                message: "it was not fetched yet".to_owned(),
                help: "`argon validate` fetches it once, and keeps it".to_owned(),
            }),
            Err(error) => Err(said(&error)),
        }
    }
}

/// Why a file of another repository is not to be had.
fn said(error: &include::FetchError) -> IncludeError {
    // What is at the bottom of it: `connection refused` says more than that something could not be cloned.
    let mut cause = error.source();
    while let Some(deeper) = cause.and_then(Error::source) {
        cause = Some(deeper);
    }
    let message = match cause {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    };
    IncludeError { message, help: error.hint().unwrap_or_else(|| "look at its address, commit and path".to_owned()) }
}

/// One file of a pipeline, with what was found in it; spans are those of its text.
pub(crate) struct FileReport {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) findings: Vec<Diagnostic>,
}

/// Reads a pipeline of the repository at `root`, the text of `path`, with its includes.
pub(crate) fn parse(bytes: &[u8], path: &Path, root: &Path, interrupt: &AtomicBool) -> Parsed {
    let main = path.canonicalize().ok();
    pipeline::parse_with(bytes, &mut Disk { main, root, cache: include::default_cache(), interrupt })
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
