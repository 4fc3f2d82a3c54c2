//! What people change on the dashboard: runs are started, cancelled, approved; the queue is paused; people sign in and out.

use std::sync::Arc;

use axum::extract::{Extension, Form, Path, Query, State};
use axum::http::HeaderMap;
use axum::response::{Redirect, Response};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Board;
use super::gate::{self, Token};
use super::pages::{Failed, found, said};
use crate::event::RunId;
use crate::listen::config::Repository;
use crate::listen::shop::{Shop, order};
use crate::store::history::Run;
use crate::store::queue::{Accepted, Offer, Order, Trust, Wanted};
use crate::trigger::{EventKind, Trigger};

/// What every form has.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Sent {
    token: String,
    repository: String,
    revision: String,
}

/// The listener, for a form of this session.
fn changed<'a>(board: &'a Board, session: &Token, sent: &Sent) -> Result<&'a Shop, Failed> {
    if !gate::is_own_form(session, &sent.token) {
        return Err(Failed::Origin);
    }
    board.shop.as_ref().ok_or(Failed::NotHere("This dashboard shows a history; nothing is run here."))
}

pub(super) async fn cancel(
    State(board): State<Arc<Board>>,
    Extension(session): Extension<Token>,
    Path(id): Path<String>,
    Form(sent): Form<Sent>,
) -> Result<Redirect, Failed> {
    let shop = changed(&board, &session, &sent)?;
    let run = match found(&board, &id).await? {
        Some((run, _)) => run.id,
        None => RunId::from_text(&id),
    };
    let back = format!("/runs/{run}");
    let why = "it was cancelled on the dashboard";
    if !shop.keeper.with(move |queue| queue.cancel(&run, why, Timestamp::now())).await? {
        return Err(Failed::NotHere("The run is over."));
    }
    Ok(Redirect::to(&back))
}

pub(super) async fn approve(
    State(board): State<Arc<Board>>,
    Extension(session): Extension<Token>,
    Path(id): Path<String>,
    Form(sent): Form<Sent>,
) -> Result<Redirect, Failed> {
    let shop = changed(&board, &session, &sent)?;
    let run = RunId::from_text(&id);
    let back = format!("/runs/{run}");
    if !shop.keeper.with(move |queue| queue.approve(&run)).await? {
        return Err(Failed::NotHere("The run does not wait for an approval any more."));
    }
    shop.queued.notify_one();
    Ok(Redirect::to(&back))
}

pub(super) async fn again(
    State(board): State<Arc<Board>>,
    Extension(session): Extension<Token>,
    Path(id): Path<String>,
    Form(sent): Form<Sent>,
) -> Result<Redirect, Failed> {
    let shop = changed(&board, &session, &sent)?;
    let (run, _) = found(&board, &id).await?.ok_or(Failed::NotFound)?;
    let repeat = Repeat::of(shop, &run).await?;
    let accepted = start(shop, repeat.repository, &repeat.trigger, &repeat.payload, repeat.trust).await?;
    // The commit was approved; that its run is held again would ask for the same once more.
    if let (Accepted::Queued(run), Approval::Given) = (&accepted, repeat.approval) {
        let run = run.clone();
        shop.keeper.with(move |queue| queue.approve(&run)).await?;
        shop.queued.notify_one();
    }
    Ok(to(&accepted))
}

/// A run that is to be run again, as what it was: a fork's run stays one.
pub(super) struct Repeat<'a> {
    repository: &'a Repository,
    trigger: Trigger,
    payload: String,
    trust: Trust,
    approval: Approval,
}

/// Whether somebody looked at a fork's commit before.
#[derive(Clone, Copy)]
enum Approval {
    Given,
    Missing,
}

impl<'a> Repeat<'a> {
    /// Of a run that the history has.
    ///
    /// # Errors
    /// Where it cannot be run again, for a reason that people are told.
    pub(super) async fn of(shop: &'a Shop, run: &Run) -> Result<Self, Failed> {
        let gone = Failed::NotHere("This listener does not have the run's repository.");
        let repository = shop.config.repository(&run.repository).ok_or(gone)?;
        let commit = run.commit.clone().ok_or(Failed::NotHere("The run has no commit."))?;
        let id = run.id.clone();
        // The history does not say whose commits a run was of, and nothing is run with more trust than it had.
        let unknown = Failed::NotHere(
            "This listener does not know whose commits the run was of: it did not run it, or has forgotten it. \
             Push the commit, or start a run of its branch.",
        );
        let origin = shop.keeper.with(move |queue| queue.origin(&id)).await?.ok_or(unknown)?;
        // A push stays one, so that what depends on its branch runs as it did, and so does a fork's pull request, as its base branch
        // has the pipeline file; all else has a commit alone.
        let kind = match origin.trust {
            Trust::Fork => EventKind::PullRequest,
            Trust::Own if run.event == EventKind::Push.name() => EventKind::Push,
            Trust::Own => EventKind::Manual,
        };
        let mut payload: Value = serde_json::from_str(&origin.trigger).unwrap_or_default();
        let branch = run.tag.as_ref().map(|tag| format!("refs/tags/{tag}")).or_else(|| run.branch.clone());
        let payload = match origin.trust {
            Trust::Own => json!({"branch": branch, "commitId": commit, "revision": commit}),
            Trust::Fork => {
                payload["commitId"] = Value::from(commit.clone());
                payload
            }
        };
        let (branch, tag) = (run.branch.clone(), run.tag.clone());
        let base_branch = payload.get("baseBranch").and_then(Value::as_str).map(str::to_owned);
        Ok(Self {
            repository,
            trigger: Trigger { branch, tag, base_branch, commit: Some(commit), ..Trigger::new(kind) },
            payload: payload.to_string(),
            trust: origin.trust,
            approval: if origin.was_begun { Approval::Given } else { Approval::Missing },
        })
    }
}

pub(super) async fn trigger(
    State(board): State<Arc<Board>>,
    Extension(session): Extension<Token>,
    Form(sent): Form<Sent>,
) -> Result<Redirect, Failed> {
    let shop = changed(&board, &session, &sent)?;
    let repository = shop.config.repository(&sent.repository).ok_or(Failed::NotFound)?;
    let payload = json!({"revision": said(&sent.revision)});
    let trigger = Trigger::new(EventKind::Manual);
    start(shop, repository, &trigger, &payload.to_string(), Trust::Own).await.map(|accepted| to(&accepted))
}

async fn start(
    shop: &Shop,
    repository: &Repository,
    trigger: &Trigger,
    payload: &str,
    trust: Trust,
) -> Result<Accepted, Failed> {
    let now = Timestamp::now();
    // Each press of a button is a delivery of its own; and the branch did not move.
    let nonce = uuid::Uuid::new_v4().to_string();
    let order = order(repository, "dashboard", trigger, payload.as_bytes().to_vec(), now);
    let offer = Offer {
        forge: "dashboard".to_owned(),
        repository: repository.url.clone(),
        event: trigger.kind.name().to_owned(),
        body_hash: hex::encode(Sha256::digest(&nonce)),
        delivery: Some(nonce),
        received: now,
        wanted: Wanted::Run(Order { latest: None, moved: None, trust, ..order }),
    };
    Ok(shop.accept(offer).await?)
}

/// To the page of what came of it.
fn to(accepted: &Accepted) -> Redirect {
    match accepted {
        Accepted::Queued(run) | Accepted::Again(run) | Accepted::Superseded(run) => {
            Redirect::to(&format!("/runs/{run}"))
        }
        Accepted::Noted => Redirect::to("/"),
    }
}

pub(super) async fn pause(
    State(board): State<Arc<Board>>,
    Extension(session): Extension<Token>,
    Form(sent): Form<Sent>,
) -> Result<Redirect, Failed> {
    changed(&board, &session, &sent)?.keeper.with(|queue| queue.pause()).await?;
    Ok(Redirect::to("/"))
}

pub(super) async fn resume(
    State(board): State<Arc<Board>>,
    Extension(session): Extension<Token>,
    Form(sent): Form<Sent>,
) -> Result<Redirect, Failed> {
    let shop = changed(&board, &session, &sent)?;
    shop.keeper.with(|queue| queue.resume()).await?;
    shop.queued.notify_one();
    Ok(Redirect::to("/"))
}

pub(super) async fn sign_in_with(
    State(board): State<Arc<Board>>,
    Path(token): Path<String>,
) -> Result<Response, Failed> {
    gate::sign_in(&board, token)
}

pub(super) async fn leave(State(board): State<Arc<Board>>, Path(provider): Path<usize>) -> Result<Response, Failed> {
    gate::leave(&board, provider).await
}

/// What a provider sends a browser back with.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Back {
    state: String,
    code: String,
}

pub(super) async fn come_back(
    State(board): State<Arc<Board>>,
    Query(back): Query<Back>,
    headers: HeaderMap,
) -> Result<Response, Failed> {
    gate::come_back(&board, &headers, &back.state, &back.code).await
}

pub(super) async fn sign_out(
    State(board): State<Arc<Board>>,
    Extension(session): Extension<Token>,
    Form(sent): Form<Sent>,
) -> Result<Response, Failed> {
    if !gate::is_own_form(&session, &sent.token) {
        return Err(Failed::Origin);
    }
    gate::sign_out(&board, &session)
}
