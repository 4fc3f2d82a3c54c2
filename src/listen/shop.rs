//! What the parts of a listener share, and the one way into the queue.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{Notify, watch};

use super::config::{Config, Repository};
use super::egress::Gate;
use super::keeper::{Keeper, Unanswered};
use super::webhook;
use crate::store::queue::{Accepted, Moved, Offer, Order, Trust};
use crate::trigger::{EventKind, Trigger};

/// What the parts of a listener share.
#[derive(Clone)]
pub(super) struct Shop {
    pub(super) config: Arc<Config>,
    pub(super) keeper: Keeper,
    /// Told when a run was queued.
    pub(super) queued: Arc<Notify>,
    /// Told when something was put into the outbox.
    pub(super) posted: Arc<Notify>,
    /// Keeps containers from where they do not belong.
    pub(super) egress: Arc<Gate>,
    /// True when nothing new is taken or begun any more.
    pub(super) draining: watch::Receiver<bool>,
    /// True when what goes on is to be handed back.
    pub(super) ending: watch::Receiver<bool>,
}

impl Shop {
    /// Whether nothing new is taken any more.
    pub(super) fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// Stores a delivery, and has its run begun.
    ///
    /// # Errors
    /// Where it cannot be stored now. Then it must not be acknowledged.
    pub(super) async fn accept(&self, offer: Offer) -> Result<Accepted, Unanswered> {
        let (source, accepted) = (offer.forge.clone(), self.keeper.accept(offer).await?);
        if let Accepted::Queued(run) = &accepted {
            tracing::info!(%run, source, "a run was queued");
            self.queued.notify_one();
        }
        Ok(accepted)
    }
}

/// The run that an event of a repository asks for; `source` is the forge's word, or `poll`, `schedule`, `manual`.
pub(super) fn order(
    repository: &Repository,
    source: &str,
    trigger: &Trigger,
    payload: Vec<u8>,
    time: Timestamp,
) -> Order {
    let reference = reference(trigger);
    let moved = match (trigger.kind, &reference, &trigger.commit) {
        (EventKind::Push, Some(reference), Some(commit)) => {
            Some(Moved { reference: reference.clone(), commit: commit.clone(), before: trigger.base_commit.clone() })
        }
        (EventKind::PullRequest, _, Some(commit)) => {
            webhook::retold(trigger).map(|reference| Moved { reference, commit: commit.clone(), before: None })
        }
        _ => None,
    };
    Order {
        event: trigger.kind.name().to_owned(),
        latest: reference.map(|reference| format!("{} {reference}", trigger.kind)),
        trigger: webhook::processed(trigger, &repository.url, source, time).to_string(),
        payload,
        moved,
        trust: Trust::Own,
    }
}

/// The full name of the branch or tag that an event is about.
fn reference(trigger: &Trigger) -> Option<String> {
    let tag = trigger.tag.as_ref().map(|tag| format!("refs/tags/{tag}"));
    tag.or_else(|| trigger.branch.as_ref().map(|branch| format!("refs/heads/{branch}")))
}
