//! Recording a run: opening the history beside the run's preparation, and telling what went wrong with it.

use std::io::Write;
use std::sync::{Arc, OnceLock};

use argon::causes::with_causes;
use argon::execute::Owner;
use argon::source::Workspace;
use argon::store::StoreError;
use argon::store::history::History;
use argon::store::record::{Recorder, Subject, Trouble};
use argon::store::retention::Keep;
use argon::trigger::Trigger;
use tokio::task::JoinHandle;

use crate::cli::history;
use crate::cli::output::Look;

/// A history that is being opened.
pub(super) struct Opening(Option<JoinHandle<Result<Opened, StoreError>>>);

/// A history, and what is to be said of the one that was there before.
type Opened = (History, Option<String>);

/// Opens the history beside whatever else is done. Without a home there is none.
pub(super) fn open() -> Opening {
    Opening(history::state_dir().map(|dir| {
        tokio::task::spawn_blocking(move || {
            let (history, moved) = History::open(&dir)?;
            history::interrupt_dead(&history)?;
            Ok((history, moved.map(|moved| moved.to_string())))
        })
    }))
}

impl Opening {
    /// The recorder of this run. What keeps it from being recorded is told, and does not keep it from running.
    pub(super) async fn recorder(self, about: Subject, look: &Look) -> Option<Recorder> {
        let opened = match self.0?.await {
            Ok(opened) => opened,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        match opened {
            Ok((history, moved)) => {
                if let Some(moved) = moved {
                    warn(look, &moved);
                }
                tidy();
                Some(Recorder::new(history, about))
            }
            Err(error) => {
                warn(look, &not_recorded(&error));
                None
            }
        }
    }
}

/// What the history is told of the run, besides its events. The digest of what is not committed comes while it runs.
pub(super) fn subject(workspace: &Arc<Workspace>, trigger: &Trigger) -> Subject {
    let dirty_hash: Arc<OnceLock<String>> = Arc::default();
    if workspace.info.dirty {
        let (workspace, into) = (workspace.clone(), dirty_hash.clone());
        drop(tokio::task::spawn_blocking(move || {
            // What cannot be read is told by the job that needs it.
            if let Ok(Some(hash)) = workspace.dirty_hash() {
                let _ = into.set(hash);
            }
        }));
    }
    Subject {
        event: trigger.kind.name().to_owned(),
        repository: workspace.info.location.clone(),
        branch: trigger.branch.clone(),
        tag: trigger.tag.clone(),
        dirty_hash,
        owner: Owner::current().to_label(),
    }
}

/// Says what went wrong with the record, once the run is over.
pub(super) fn tell(trouble: Option<&Trouble>, look: &Look) {
    if let Some(error) = trouble.and_then(Trouble::get) {
        warn(look, &not_recorded(error));
    }
}

/// Removes what is too old or too much, beside the run. What a short run cuts off, a later one goes on with.
fn tidy() {
    let Some(dir) = history::state_dir() else { return };
    drop(tokio::task::spawn_blocking(move || {
        if let Ok(Some(history)) = History::look(&dir) {
            let _ = history.prune(&Keep::default(), jiff::Timestamp::now());
        }
    }));
}

fn not_recorded(error: &StoreError) -> String {
    let hint = error.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
    format!("this run is not recorded: {}{hint}", with_causes(error))
}

fn warn(look: &Look, message: &str) {
    let _ = std::io::stderr().write_all(look.warning(message).as_bytes());
}
