//! What expressions ask of the source: `hash(…)` and `changed(…)`. It blocks, and is asked where that holds nobody up.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use crate::event::{Event, Level};
use crate::glob::Globs;
use crate::pipeline::expr::Files;
use crate::source::{Comparison, SourceError, Workspace};

/// The files of a run's workspace.
pub(super) struct SourceFiles {
    workspace: Arc<Workspace>,
    events: mpsc::Sender<Event>,
    /// Held while the source is compared, so that jobs that ask at once wait for one answer.
    told: Mutex<Told>,
}

/// Whether the run has said what the source was compared with.
#[derive(PartialEq, Eq)]
enum Told {
    No,
    Yes,
}

impl SourceFiles {
    pub(super) fn new(workspace: Arc<Workspace>, events: mpsc::Sender<Event>) -> Self {
        Self { workspace, events, told: Mutex::new(Told::No) }
    }

    fn comparison(&self) -> Result<&Comparison, SourceError> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let comparison = self.workspace.changes()?;
        if *told == Told::No {
            *told = Told::Yes;
            let message = format!("changed() compares with {}", comparison.base);
            // A run that nobody listens to any more goes on without them.
            let _ = self.events.blocking_send(Event::Notice { level: Level::Debug, job: None, message });
        }
        Ok(comparison)
    }
}

impl Files for SourceFiles {
    fn hash(&self, globs: &[String]) -> Result<String, String> {
        let globs = Globs::parse(globs).map_err(|error| error.to_string())?;
        let hash = self.workspace.hash_files(&|path| globs.matches(path)).map_err(|error| in_full(&error))?;
        Ok(hash.unwrap_or_default())
    }

    fn changed(&self, globs: &[String]) -> Result<bool, String> {
        let globs = Globs::parse(globs).map_err(|error| error.to_string())?;
        let comparison = self.comparison().map_err(|error| in_full(&error))?;
        Ok(comparison.changes.any(&|path| globs.matches(path)))
    }
}

/// An error with all that it came from.
fn in_full(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
