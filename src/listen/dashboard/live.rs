//! What goes on in a run, as it happens. One thread looks at a run for all who watch it, so that a hundred browsers cost as one.
//!
//! A watcher is told the latest alone: where it fell behind, it asks for the lines that it shows by their numbers.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use axum::response::sse::Event;
use futures_util::Stream;
use futures_util::stream;
use tokio::sync::watch;

use super::{Board, view};
use crate::event::RunId;
use crate::store::StoreError;
use crate::store::history::{History, Phase, RunName};
use crate::store::logs::LogId;

/// How often a log is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// How often the run itself is, in looks at its log.
const RUN_EVERY: u32 = 2;

/// How many lines are told at once; of more the last ones are.
const TOLD: u64 = 200;

/// How many runs and steps are watched at once: each takes a thread.
const FEEDS: usize = 256;

/// After how long a browser asks again that could not be served. An answer that is no stream would end its watching for good.
const AGAIN: Duration = Duration::from_secs(5);

/// What is watched.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Watched {
    pub(super) run: String,
    /// A step whose log is shown, by the positions of its job and itself.
    pub(super) step: Option<(usize, usize)>,
}

/// What is known of it by now. Each text is made once, for all.
#[derive(Debug, Clone, Default)]
struct Now {
    /// Where the run, its jobs and steps are, as JSON; its number rises with each change.
    state: (u64, Arc<str>),
    /// The latest lines, as JSON; likewise.
    log: (u64, Arc<str>),
    /// Nothing more will come.
    is_over: bool,
}

/// What is watched by somebody.
#[derive(Debug, Clone, Default)]
pub(super) struct Feeds(Arc<Mutex<HashMap<Watched, Arc<watch::Sender<Now>>>>>);

impl Feeds {
    /// Watches; `None` where too much is watched already.
    fn watch(&self, board: &Arc<Board>, what: Watched) -> Option<watch::Receiver<Now>> {
        let mut feeds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(feed) = feeds.get(&what) {
            return Some(feed.subscribe());
        }
        if feeds.len() >= FEEDS {
            return None;
        }
        let feed = Arc::new(watch::Sender::new(Now::default()));
        let watcher = feed.subscribe();
        feeds.insert(what.clone(), feed.clone());
        let (feeds, board) = (self.clone(), board.clone());
        thread::spawn(move || {
            if let Err(error) = follow(&feeds, &board, &what, &feed) {
                tracing::warn!(%error, "a run cannot be watched");
            }
            feeds.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&what);
        });
        Some(watcher)
    }

    /// Ends a feed that nobody watches any more. Nobody can begin to watch it meanwhile.
    fn is_left(&self, what: &Watched, feed: &watch::Sender<Now>) -> bool {
        let mut feeds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_left = feed.receiver_count() == 0;
        if is_left {
            feeds.remove(what);
        }
        is_left
    }
}

fn follow(feeds: &Feeds, board: &Board, what: &Watched, feed: &watch::Sender<Now>) -> Result<(), StoreError> {
    let name = RunName::Id(what.run.clone());
    let log = what.step.map(|(job, step)| LogId { run: RunId::from_text(&what.run), job, step });
    let (mut told, mut looks) = ((0, 0), 0u32);
    let mut now = Now::default();
    let mut history: Option<History> = None;
    while !feeds.is_left(what, feed) {
        let mut over = false;
        if looks.is_multiple_of(RUN_EVERY) {
            if history.is_none() {
                history = History::look(&board.state)?;
            }
            let run = history.as_ref().map(|history| history.run(&name)).transpose()?.flatten();
            if let (Some(history), Some(run)) = (&history, run) {
                over = run.phase != Phase::Running;
                let state = view::state(&run, &history.jobs(&run)?).to_string();
                if *state != *now.state.1 {
                    now.state = (now.state.0 + 1, state.into());
                }
            }
        }
        if let Some(id) = &log
            && let Ok(extent) = board.lines.extent(&board.state, id)
            && extent != told
        {
            // One that is shorter than it was is another: the run is tried again.
            if extent.1 < told.1 {
                told = (0, 0);
            }
            // The last line may have gone on.
            let from = told.0.saturating_sub(1).max(extent.0.saturating_sub(TOLD));
            if let Ok(window) = board.lines.window(&board.state, id, from, TOLD + 1) {
                told = extent;
                now.log = (now.log.0 + 1, serde_json::to_string(&window).unwrap_or_default().into());
            }
        }
        // Looked at after its end, so nothing of its log is missing.
        now.is_over = over;
        feed.send_if_modified(|last| {
            let is_new = (last.state.0, last.log.0, last.is_over) != (now.state.0, now.log.0, now.is_over);
            if is_new {
                *last = now.clone();
            }
            is_new
        });
        if over {
            return Ok(());
        }
        looks += 1;
        thread::sleep(LOOK);
    }
    Ok(())
}

/// The events for one who watches: `state`, `log`, and `end`, after which nothing comes. Where too much is watched already, the stream
/// ends at once, and says when to ask again.
pub(super) fn events(board: &Arc<Board>, what: Watched) -> impl Stream<Item = Result<Event, Infallible>> + use<> {
    let begun = match board.feeds.watch(board, what) {
        Some(feed) => Watching::Feed(Watcher { feed, state: 0, log: 0, is_over: false }),
        None => Watching::Later,
    };
    stream::unfold(begun, |watching| async move {
        match watching {
            Watching::Feed(mut watcher) => {
                let event = watcher.next().await?;
                Some((Ok(event), Watching::Feed(watcher)))
            }
            Watching::Later => Some((Ok(Event::default().retry(AGAIN).comment("too much is watched")), Watching::Over)),
            Watching::Over => None,
        }
    })
}

enum Watching {
    Feed(Watcher),
    Later,
    Over,
}

struct Watcher {
    feed: watch::Receiver<Now>,
    state: u64,
    log: u64,
    is_over: bool,
}

impl Watcher {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if self.is_over {
                return None;
            }
            let now = self.feed.borrow_and_update().clone();
            if now.state.0 != self.state {
                self.state = now.state.0;
                return Some(Event::default().event("state").data(&*now.state.1));
            }
            if now.log.0 != self.log {
                self.log = now.log.0;
                return Some(Event::default().event("log").data(&*now.log.1));
            }
            if now.is_over {
                self.is_over = true;
                return Some(Event::default().event("end").data("{}"));
            }
            if self.feed.changed().await.is_err() {
                // Its feed ended without the run: the browser asks again.
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use axum::response::IntoResponse;
    use axum::response::sse::Sse;
    use http_body_util::BodyExt;

    use super::super::{Hosts, SignIns};
    use super::*;
    use crate::store::StateDir;

    #[tokio::test]
    async fn a_browser_beyond_what_is_watched_at_once_is_told_to_ask_again() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::new(folder.path());
        let board = Board::open(state, Hosts::default(), SignIns::default(), None).unwrap();
        let watched = |run: usize| Watched { run: format!("{run:036}"), step: None };
        let held: Vec<_> = (0..FEEDS).map(|run| events(&board, watched(run))).collect();
        let response = Sse::new(events(&board, watched(FEEDS))).into_response();
        assert_eq!(response.status(), 200, "an `EventSource` takes anything else for the end");
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let told = response.into_body().collect().await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&told).contains("retry: 5000"), "{told:?}");
        drop(held);
    }
}
