//! The outbox: sends what waits in it, and tries again what did not arrive. Nothing here touches a run.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::config::Repository;
use super::notify::{self, Client, CommitStatus, Report, SendError, State};
use super::shop::Shop;
use crate::store::queue::{Due, Letter, Part, Tried};

/// How often the outbox is looked at, beside when something was put there.
const LOOK: Duration = Duration::from_secs(2);

/// How long until a letter is tried again, the first time; twice as long each time, up to [`AGAIN_MOST`].
const AGAIN: Duration = Duration::from_secs(5);

/// The longest of those times.
const AGAIN_MOST: Duration = Duration::from_secs(60 * 60);

/// After that a letter is given up: nobody wants to hear of it any more.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);

/// What a letter says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Message {
    Report(Box<Report>),
    Status(CommitStatus),
}

/// A report for a channel.
pub(super) fn report(channel: &notify::Channel, report: &Report) -> Letter {
    letter(channel.key(), Part::Ended, &Message::Report(Box::new(report.clone())))
}

/// A status for the forge of a repository.
pub(super) fn status(repository: &Repository, part: Part, status: CommitStatus) -> Letter {
    letter(address_of_forge(repository), part, &Message::Status(status))
}

/// What takes the place of what was told of a beginning; `None` where that waits for no end.
pub(super) fn ended(begun: &Letter, state: State, description: &str) -> Option<Letter> {
    match serde_json::from_str(&begun.body) {
        Ok(Message::Status(status)) => {
            let status = CommitStatus { state, description: description.to_owned(), ..status };
            Some(letter(begun.address.clone(), Part::Ended, &Message::Status(status)))
        }
        Ok(Message::Report(_)) | Err(_) => None,
    }
}

fn address_of_forge(repository: &Repository) -> String {
    format!("status {}", repository.url)
}

fn letter(address: String, part: Part, message: &Message) -> Letter {
    // Its keys are texts, so it can be written.
    Letter { address, part, body: serde_json::to_string(message).unwrap_or_default() }
}

/// Sends what waits, until the task is dropped: to each address one letter after the other, to different ones side by side, so
/// that a slow one holds up itself alone.
pub(super) async fn keep(shop: Shop) {
    let client = match notify::client() {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, "nobody can be told anything");
            return std::future::pending().await;
        }
    };
    let mut sending = JoinSet::new();
    let mut busy: HashSet<String> = HashSet::new();
    loop {
        match shop.keeper.with(|queue| queue.due(Timestamp::now())).await {
            Ok(due) => {
                for letter in due {
                    if busy.insert(letter.address.clone()) {
                        sending.spawn(send(shop.clone(), client.clone(), letter));
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "the outbox cannot be read"),
        }
        tokio::select! {
            Some(sent) = sending.join_next() => match sent {
                Ok(address) => {
                    busy.remove(&address);
                }
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            },
            () = shop.posted.notified() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// Sends a letter, and takes note of what came of it; gives its address.
async fn send(shop: Shop, client: Client, letter: Due) -> String {
    let tried = one(&shop, &client, &letter).await;
    tell(&letter, &tried);
    let id = letter.id;
    let noted = shop.keeper.with(move |queue| queue.tried(id, &tried, Timestamp::now())).await;
    if let Err(error) = noted {
        // It will be sent again: rather twice than never.
        tracing::error!(%error, "what came of a letter cannot be stored");
        tokio::time::sleep(LOOK).await;
    }
    letter.address
}

fn tell(letter: &Due, tried: &Tried) {
    match tried {
        Tried::Sent => tracing::info!(run = %letter.run, "told"),
        Tried::Again(wait, why) => {
            tracing::warn!(run = %letter.run, ?wait, why, "could not be told; it is tried again");
        }
        Tried::GivenUp(why) => tracing::error!(run = %letter.run, why, "could not be told, and is given up"),
    }
}

async fn one(shop: &Shop, client: &Client, letter: &Due) -> Tried {
    let message: Message = match serde_json::from_str(&letter.body) {
        Ok(message) => message,
        Err(error) => return Tried::GivenUp(format!("it cannot be read: {error}")),
    };
    let gone = || Tried::GivenUp("the configuration has whom it was for no more".to_owned());
    let sent = match &message {
        Message::Report(report) => {
            let rule = shop.config.notify.iter().find(|rule| rule.channel().key() == letter.address);
            let Some(rule) = rule else { return gone() };
            notify::send(rule.channel(), report, client).await
        }
        Message::Status(status) => {
            let mut repositories = shop.config.repositories.iter();
            let found = repositories.find(|repository| address_of_forge(repository) == letter.address);
            let Some(api) = found.and_then(|repository| repository.status.as_ref()) else { return gone() };
            api.send(status, client).await
        }
    };
    match sent {
        Ok(()) => Tried::Sent,
        Err(error @ SendError::Permanent { .. }) => Tried::GivenUp(error.to_string()),
        Err(error @ SendError::Retry { after, .. }) => {
            let age = Duration::try_from(Timestamp::now().duration_since(letter.created)).unwrap_or_default();
            let wait = AGAIN.saturating_mul(2u32.saturating_pow(letter.tries)).min(AGAIN_MOST);
            let wait = after.map_or(wait, |after| after.max(wait));
            if age > STALE { Tried::GivenUp(error.to_string()) } else { Tried::Again(wait, error.to_string()) }
        }
    }
}
