//! The files that jobs rest on, as they were when the run began.
//!
//! A large tree is not read when it is opened, and its jobs see a snapshot of it. So what a result is kept under is true only
//! where no file was written to from the begin of the run to the end of its job: stat data tells.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use crate::glob::{GlobError, Globs};
use crate::pipeline::expr::{ExprKind, Read};
use crate::plan::PlannedJob;
use crate::source::{FileDigest, SourceError, Trace, Workspace};

/// How the names of the variables begin that Argon sets.
pub(super) const VARIABLES: &str = "ARGON_";

/// The files of a run that some job rests on.
pub(in crate::execute) struct Inputs {
    workspace: Arc<Workspace>,
    /// At the begin of the run.
    begun: BTreeMap<Vec<u8>, Trace>,
    /// What was read so far: jobs may rest on the same files.
    known: Mutex<BTreeMap<Vec<u8>, Option<FileDigest>>>,
}

/// The files that one job declares.
#[derive(Default)]
pub(super) struct Declared {
    /// A digest of each by its path, for people.
    pub(super) digests: BTreeMap<String, String>,
    /// The variables of Argon's that they name.
    pub(super) mentions: BTreeSet<String>,
    /// Patterns that match none.
    pub(super) idle: Vec<String>,
}

/// Why they cannot be told.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    #[error(transparent)]
    Pattern(#[from] GlobError),
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl Inputs {
    /// Those of a run of these jobs. Looks at the files, and so is to be made before anything takes them to a container.
    pub(in crate::execute) fn begin(workspace: &Arc<Workspace>, jobs: &[PlannedJob]) -> Self {
        let memoised: Vec<&PlannedJob> = jobs.iter().filter(|job| !job.inputs.is_empty()).collect();
        let mut begun = BTreeMap::new();
        if !memoised.is_empty() && !workspace.is_small() {
            let wanted: Vec<Watched> = memoised.iter().map(|job| Watched::of(job)).collect();
            for path in workspace.tree() {
                let name = String::from_utf8_lossy(path);
                if wanted.iter().any(|watched| watched.matches(&name)) {
                    begun.insert(path.to_vec(), workspace.trace(path));
                }
            }
        }
        Self { workspace: workspace.clone(), begun, known: Mutex::default() }
    }

    /// Reads the files that a job declares.
    pub(super) fn declared_by(&self, job: &PlannedJob) -> Result<Declared, Unread> {
        let globs = Globs::parse(&job.inputs)?;
        let mut found = Declared::default();
        let mut paths = Vec::new();
        for path in self.workspace.tree() {
            let name = String::from_utf8_lossy(path);
            if !globs.matches(&name) {
                continue;
            }
            paths.push(name.clone().into_owned());
            if let Some(FileDigest { hash, mentions }) = self.digest(path)? {
                // Names that are not UTF-8 may look the same.
                found.digests.entry(name.into_owned()).or_default().push_str(&hash);
                found.mentions.extend(mentions);
            }
        }
        for pattern in job.inputs.iter().filter(|pattern| !pattern.starts_with('!')) {
            let alone = Globs::parse(&[pattern])?;
            if !paths.iter().any(|path| alone.matches(path)) {
                found.idle.push(pattern.clone());
            }
        }
        Ok(found)
    }

    fn digest(&self, path: &[u8]) -> Result<Option<FileDigest>, SourceError> {
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(path) {
            return Ok(known.clone());
        }
        let digest = self.workspace.digest(path, VARIABLES)?;
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_vec(), digest.clone());
        Ok(digest)
    }

    /// A file that this job rests on and that was written to since the run began.
    pub(super) fn touched(&self, job: &PlannedJob) -> Option<String> {
        let watched = Watched::of(job);
        self.begun.iter().find_map(|(path, trace)| {
            let name = String::from_utf8_lossy(path);
            (watched.matches(&name) && self.workspace.trace(path) != *trace).then(|| name.into_owned())
        })
    }
}

/// The files that a job rests on: those it declares, and those that its expressions hash.
enum Watched {
    These(Vec<Globs>),
    All,
}

impl Watched {
    fn of(job: &PlannedJob) -> Self {
        let mut patterns = vec![job.inputs.clone()];
        for read in job.definition().expressions.iter().flat_map(|expr| expr.reads()) {
            let Read::Value(expr) = read else { return Self::All };
            if let ExprKind::Call { arguments, .. } = &expr.kind {
                let literal = |argument: &crate::pipeline::expr::Expr| match &argument.kind {
                    ExprKind::Literal(value) => value.as_str().map(str::to_owned),
                    _ => None,
                };
                match arguments.iter().map(literal).collect::<Option<Vec<_>>>() {
                    Some(globs) => patterns.push(globs),
                    None => return Self::All,
                }
            }
        }
        match patterns.iter().map(|list| Globs::parse(list)).collect() {
            Ok(globs) => Self::These(globs),
            // Who evaluates them says so.
            Err(_) => Self::All,
        }
    }

    fn matches(&self, path: &str) -> bool {
        match self {
            Self::These(lists) => lists.iter().any(|globs| globs.matches(path)),
            Self::All => true,
        }
    }
}
