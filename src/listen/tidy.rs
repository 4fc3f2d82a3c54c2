//! Forgets what is too old or too much: deliveries and ended runs of the queue, runs of the history with their logs.

use std::time::Duration;

use jiff::Timestamp;

use super::shop::Shop;
use crate::causes::with_causes;
use crate::store::StoreError;
use crate::store::history::History;

/// How often.
const EVERY: Duration = Duration::from_secs(60 * 60);

/// For how long a delivery is known when it comes again.
const REMEMBERED: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Tidies up, at once and again and again, until the task is dropped.
pub(super) async fn keep(shop: Shop) {
    loop {
        match shop.keeper.with(|queue| queue.prune(REMEMBERED, Timestamp::now())).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "the queue forgot what is long over"),
            Err(error) => tracing::warn!(%error, "the queue could not be tidied up"),
        }
        let (state, keep) = (shop.config.state.clone(), shop.config.keep);
        let pruning = tokio::task::spawn_blocking(move || -> Result<usize, StoreError> {
            History::look(&state)?.map_or(Ok(0), |history| history.prune(&keep, Timestamp::now()))
        });
        match pruning.await {
            Ok(Ok(0)) => {}
            Ok(Ok(runs)) => tracing::info!(runs, "the history forgot runs"),
            Ok(Err(error)) => tracing::warn!(error = with_causes(&error), "the history could not be tidied up"),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
        tokio::time::sleep(EVERY).await;
    }
}
