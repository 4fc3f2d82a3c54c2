//! What is told late: the ends of runs that nobody worked on when they ended (a newer push came, somebody cancelled them), and of runs
//! whose record could not be written in time. The queue has them marked until the history has them and the forge was told.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::keeper::Unanswered;
use super::notify::State;
use super::outbox;
use super::shop::Shop;
use crate::causes::with_causes;
use crate::event::RunId;
use crate::execute::Owner;
use crate::store::history::History;
use crate::store::queue::{Letter, Queue, Untold};
use crate::store::record::{Ending, Subject};
use crate::store::{StateDir, StoreError};

/// How often it is looked for.
const LOOK: Duration = Duration::from_secs(1);

/// How many are told at once.
const BATCH: u32 = 100;

/// Why something is not told yet.
#[derive(Debug, thiserror::Error)]
pub(super) enum LateError {
    #[error("{0}")]
    Queue(#[from] Unanswered),
    #[error("{}", with_causes(.0))]
    History(#[from] StoreError),
}

/// Tells what is to be told, until the task is dropped.
pub(super) async fn keep(shop: Shop) {
    let mut is_quiet = false;
    loop {
        match catch_up(&shop).await {
            Ok(()) => is_quiet = false,
            // Once, and not each second for as long as the disk is full.
            Err(_) if is_quiet => {}
            Err(error) => {
                tracing::warn!(%error, "ends of runs cannot be recorded; it is tried again");
                is_quiet = true;
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Tells all that is to be told now.
///
/// # Errors
/// Where the history or the queue cannot be written: then it is to be told still.
pub(super) async fn catch_up(shop: &Shop) -> Result<(), LateError> {
    loop {
        let untold = shop.keeper.with(|queue| queue.untold(BATCH)).await?;
        if untold.is_empty() {
            return Ok(());
        }
        // The forge first: a history that cannot be written is no reason to let people wait there.
        post(shop, &untold).await?;
        let runs = untold.iter().map(|untold| untold.run.clone()).collect::<Vec<_>>();
        let state = shop.config.state.clone();
        let recording = tokio::task::spawn_blocking(move || record(&state, &untold));
        recording.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
        shop.keeper.with(move |queue| queue.told(&runs)).await?;
    }
}

async fn post(shop: &Shop, untold: &[Untold]) -> Result<(), Unanswered> {
    let letters = untold.iter().map(|untold| (untold.run.clone(), letters(untold)));
    let letters: Vec<(RunId, Vec<Letter>)> = letters.filter(|(_, letters)| !letters.is_empty()).collect();
    if letters.is_empty() {
        return Ok(());
    }
    let now = Timestamp::now();
    let posting = move |queue: &mut Queue| letters.iter().try_for_each(|(run, letters)| queue.post(run, letters, now));
    shop.keeper.with(posting).await?;
    shop.posted.notify_one();
    Ok(())
}

/// Who was told that a run goes on is told that it does not.
fn letters(untold: &Untold) -> Vec<Letter> {
    let status = untold.outcome.status();
    let why = untold.outcome.reason.clone().unwrap_or_else(|| format!("It ended with {status}"));
    untold.announced.iter().filter_map(|begun| outbox::ended(begun, State::of_announced(status), &why)).collect()
}

fn record(state: &StateDir, untold: &[Untold]) -> Result<(), StoreError> {
    let history = match History::look(state)? {
        Some(history) => history,
        None => History::open(state)?.0,
    };
    for untold in untold {
        let trigger: Value = serde_json::from_str(&untold.trigger).unwrap_or_default();
        let text = |key: &str| trigger.get(key).and_then(Value::as_str).map(str::to_owned);
        let subject = Subject {
            event: untold.event.clone(),
            repository: untold.repository.clone(),
            branch: text("branch"),
            tag: text("tag"),
            owner: Owner::current().to_label(),
            ..Subject::default()
        };
        let ending =
            Ending { status: untold.outcome.status(), message: untold.outcome.reason.clone(), time: untold.finished };
        history.note(&untold.run, &subject, text("commitId").as_deref(), &ending)?;
    }
    Ok(())
}
