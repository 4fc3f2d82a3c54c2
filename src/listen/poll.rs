//! Polling: looks at the refs of the repository itself, for those that no forge can reach.
//!
//! What was seen last is in the queue's database, so what was missed while nothing listened is caught up on; and a webhook that tells
//! of a move that was seen already leads to no second run. The first look at a repository runs nothing, and leaves a mark that it
//! was: neither an empty repository nor what webhooks told tells that.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::config::Repository;
use super::keeper::Unanswered;
use super::shop::{Shop, order};
use crate::source::{self, Refs, SourceError};
use crate::store::queue::{Accepted, Offer, Wanted};
use crate::trigger::{EventKind, Trigger};

/// Looks at a repository again and again, until the listener drains.
pub(super) async fn poll(shop: Shop, repository: Repository, every: Duration) {
    let mut draining = shop.draining.clone();
    loop {
        match look(&shop, &repository).await {
            Ok(0) => {}
            Ok(runs) => tracing::info!(runs, repository = repository.url, "polling found something new"),
            Err(error) => tracing::warn!(%error, repository = repository.url, "polling failed; it is tried again"),
        }
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            _ = draining.changed() => return,
        }
    }
}

/// Why a look told nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum PollError {
    #[error("{0}")]
    Source(#[from] SourceError),
    #[error("{0}")]
    Queue(#[from] Unanswered),
}

/// The refs of the repository, where that holds nobody up.
pub(super) async fn refs(repository: &str) -> Result<Refs, SourceError> {
    let repository = repository.to_owned();
    match tokio::task::spawn_blocking(move || source::refs(&repository)).await {
        Ok(refs) => refs,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Looks once; gives how many runs were queued.
async fn look(shop: &Shop, repository: &Repository) -> Result<usize, PollError> {
    let url = repository.url.clone();
    // Before the repository itself: what a webhook tells meanwhile is newer than what is seen then, not gone or elsewhere.
    let seen = shop.keeper.with(move |queue| queue.seen(&url)).await?;
    let refs = refs(&repository.url).await?;
    let url = repository.url.clone();
    let Some(seen) = seen else {
        shop.keeper.with(move |queue| queue.take_note(&url, &refs.all)).await?;
        return Ok(0);
    };
    let gone: Vec<String> = seen.keys().filter(|name| !refs.all.contains_key(*name)).cloned().collect();
    if !gone.is_empty() {
        shop.keeper.with(move |queue| queue.forget(&url, &gone)).await?;
    }
    let mut runs = 0;
    for (name, commit) in moved(&refs.all, &seen) {
        let accepted = shop.accept(offer(repository, name, commit, seen.get(name).map(String::as_str))).await?;
        runs += usize::from(matches!(accepted, Accepted::Queued(_)));
    }
    Ok(runs)
}

/// The refs that are new or point elsewhere than they did.
fn moved<'a>(now: &'a BTreeMap<String, String>, seen: &'a BTreeMap<String, String>) -> Vec<(&'a str, &'a str)> {
    let is_new = |name: &str, commit: &str| seen.get(name).is_none_or(|before| before != commit);
    now.iter()
        .map(|(name, commit)| (name.as_str(), commit.as_str()))
        .filter(|(name, commit)| is_new(name, commit))
        .collect()
}

fn offer(repository: &Repository, name: &str, commit: &str, before: Option<&str>) -> Offer {
    let now = Timestamp::now();
    let payload = json!({
        "repositoryUrl": repository.url, "branch": name, "commitId": commit, "beforeCommitId": before,
    });
    let payload = payload.to_string().into_bytes();
    let tag = name.strip_prefix("refs/tags/").map(str::to_owned);
    let branch = name.strip_prefix("refs/heads/").map(str::to_owned);
    let trigger = Trigger {
        branch,
        tag,
        commit: Some(commit.to_owned()),
        base_commit: before.map(str::to_owned),
        ..Trigger::new(EventKind::Push)
    };
    Offer {
        forge: "poll".to_owned(),
        repository: repository.url.clone(),
        event: "push".to_owned(),
        delivery: None,
        // A branch may come to a commit again that it was at before: the move is what counts, not where it led.
        body_hash: hex::encode(Sha256::digest(format!("{name} {commit} {now}"))),
        received: now,
        wanted: Wanted::Run(order(repository, "poll", &trigger, payload, now)),
    }
}
