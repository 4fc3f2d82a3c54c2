//! The HTTP side: takes deliveries in, and tells whether the listener lives.
//!
//! A delivery is verified, read, and on the disk before the answer says so. Every wait has an end: headers and bodies must be there
//! within [`PATIENCE`].

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use jiff::Timestamp;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, watch};

use super::config::Config;
use super::keeper::{Keeper, Unanswered};
use super::webhook::{self, BadDelivery, Happened, Origin, Says};
use crate::store::queue::{Accepted, Offer, Order, Wanted};
use crate::trigger::{EventKind, MAX_BYTES, Trigger};

/// How long headers, and then a body, may take to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many connections there may be at once.
const CONNECTIONS: usize = 4096;

/// After how many seconds a forge that was sent away may come again.
const RETRY_AFTER: &str = "30";

/// What the handlers share.
pub(super) struct Desk {
    pub(super) config: Arc<Config>,
    pub(super) keeper: Keeper,
    /// Told when a run was queued.
    pub(super) queued: Arc<Notify>,
    /// True when nothing new is taken any more.
    pub(super) draining: watch::Receiver<bool>,
}

/// Serves connections until the task is dropped.
pub(super) async fn serve(listener: TcpListener, desk: Arc<Desk>) {
    let routes = routes(desk);
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let routes = routes.clone();
                tokio::spawn(async move {
                    connection(stream, routes).await;
                    drop(permit);
                });
            }
            // Out of files, most likely: those that are open must end first.
            Err(error) => {
                tracing::warn!(%error, "cannot take a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, routes: Router) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes))
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
}

fn routes(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/webhook", post(deliver))
        .route("/webhook/{forge}", post(deliver))
        .route("/api/webhook", post(deliver))
        .route("/api/trigger", post(trigger))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(desk)
}

/// Whether deliveries are taken now.
async fn ready(State(desk): State<Arc<Desk>>) -> Result<Json<serde_json::Value>, Refused> {
    if *desk.draining.borrow() {
        return Err(Refused::Later(Unanswered::Ending));
    }
    let depth = desk.keeper.with(|queue| queue.depth()).await.map_err(Refused::Later)?;
    Ok(Json(json!({"status": "ready", "queued": depth.queued, "running": depth.leased})))
}

/// Why a delivery is not taken.
enum Refused {
    NotGenuine,
    TooLarge,
    Truncated,
    TooSlow,
    Bad(BadDelivery),
    Later(Unanswered),
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, text) = match self {
            Self::NotGenuine => (StatusCode::UNAUTHORIZED, webhook::Refusal.to_string()),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, format!("a delivery has {MAX_BYTES} bytes at most")),
            Self::Truncated => (StatusCode::BAD_REQUEST, "the body ended early".to_owned()),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "the body did not come in time".to_owned()),
            Self::Bad(error @ (BadDelivery::ContentType { .. } | BadDelivery::ContentEncoding { .. })) => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, error.to_string())
            }
            Self::Bad(error) => (StatusCode::BAD_REQUEST, error.to_string()),
            Self::Later(why) => {
                tracing::warn!(%why, "a delivery was sent away");
                (StatusCode::SERVICE_UNAVAILABLE, "not now".to_owned())
            }
        };
        let mut response = (status, Json(json!({"status": "refused", "message": text}))).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static(RETRY_AFTER));
        }
        response
    }
}

async fn deliver(State(desk): State<Arc<Desk>>, headers: HeaderMap, body: Body) -> Result<Response, Refused> {
    if *desk.draining.borrow() {
        return Err(Refused::Later(Unanswered::Ending));
    }
    webhook::check_form(&headers).map_err(Refused::Bad)?;
    let body = whole(&headers, body).await?;
    let now = Timestamp::now();
    let forge = webhook::authenticate(&headers, &body, &desk.config.secrets, now).map_err(|_| Refused::NotGenuine)?;
    let delivery = webhook::read(forge, &headers, &body).map_err(Refused::Bad)?;
    let wanted = match delivery.says {
        Says::Ping => Wanted::Nothing("a ping".to_owned()),
        Says::Ignored(why) => Wanted::Nothing(why),
        Says::Happened(happened) => desk.wanted(forge.word(), &happened, now, &body),
    };
    let note = match &wanted {
        Wanted::Nothing(why) => Some(why.clone()),
        Wanted::Run(_) => None,
    };
    let offer = Offer {
        forge: forge.word().to_owned(),
        repository: desk.config.repository.clone(),
        event: delivery.event,
        delivery: delivery.id,
        body_hash: delivery.body_hash,
        received: now,
        wanted,
    };
    let accepted = desk.keeper.accept(offer).await.map_err(Refused::Later)?;
    Ok(desk.answer(&accepted, note.as_deref()))
}

/// What a person asks for.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ByHand {
    /// A branch, a tag or a commit; the default branch where not said.
    revision: Option<String>,
    /// Unlike any other: asked twice, it is run once.
    nonce: String,
    /// Seconds since 1970.
    time: i64,
}

/// A run that a person asks for: a body as [`ByHand`], signed as a webhook is, by `X-Argon-Signature-256`.
async fn trigger(State(desk): State<Arc<Desk>>, headers: HeaderMap, body: Body) -> Result<Response, Refused> {
    if *desk.draining.borrow() {
        return Err(Refused::Later(Unanswered::Ending));
    }
    webhook::check_form(&headers).map_err(Refused::Bad)?;
    let body = whole(&headers, body).await?;
    let now = Timestamp::now();
    webhook::authenticate_person(&headers, &body, &desk.config.secrets).map_err(|_| Refused::NotGenuine)?;
    let asked: ByHand = serde_json::from_slice(&body)
        .map_err(|source| Refused::Bad(crate::trigger::TriggerError::NotJson { source }.into()))?;
    if !webhook::is_recent(asked.time, now) {
        return Err(Refused::NotGenuine);
    }
    let kind = EventKind::Manual;
    let offer = Offer {
        forge: kind.name().to_owned(),
        repository: desk.config.repository.clone(),
        event: kind.name().to_owned(),
        body_hash: hex::encode(Sha256::digest(&body)),
        delivery: Some(asked.nonce),
        received: now,
        wanted: Wanted::Run(Order {
            event: kind.name().to_owned(),
            latest: None,
            trigger: webhook::processed(&Trigger::new(kind), &desk.config.repository, kind.name(), now).to_string(),
            payload: json!({"revision": asked.revision}).to_string().into_bytes(),
            moved: None,
        }),
    };
    let accepted = desk.keeper.accept(offer).await.map_err(Refused::Later)?;
    Ok(desk.answer(&accepted, None))
}

/// The body, where it is not too large and comes in time.
async fn whole(headers: &HeaderMap, body: Body) -> Result<bytes::Bytes, Refused> {
    let said = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if said.is_some_and(|bytes| bytes > MAX_BYTES) {
        return Err(Refused::TooLarge);
    }
    match tokio::time::timeout(PATIENCE, to_bytes(body, MAX_BYTES)).await {
        Err(_) => Err(Refused::TooSlow),
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => {
            let limit =
                std::error::Error::source(&error).is_some_and(|cause| cause.is::<http_body_util::LengthLimitError>());
            Err(if limit { Refused::TooLarge } else { Refused::Truncated })
        }
    }
}

impl Desk {
    fn wanted(&self, source: &str, happened: &Happened, now: Timestamp, body: &[u8]) -> Wanted {
        if !self.config.is_meant(&happened.repository) {
            let named = happened.repository.first().map_or("another repository", String::as_str);
            return Wanted::Nothing(format!("it is about {named}, and this listens for {}", self.config.repository));
        }
        if happened.origin == Origin::Fork {
            return Wanted::Nothing("pull requests from forks are not run".to_owned());
        }
        let trigger = &happened.trigger;
        Wanted::Run(Order {
            event: trigger.kind.name().to_owned(),
            latest: super::latest(trigger),
            trigger: webhook::processed(trigger, &self.config.repository, source, now).to_string(),
            payload: body.to_vec(),
            moved: super::moved(trigger),
        })
    }

    fn answer(&self, accepted: &Accepted, note: Option<&str>) -> Response {
        let (status, told) = match accepted {
            Accepted::Queued(run) => {
                self.queued.notify_one();
                tracing::info!(%run, "a run was queued");
                (StatusCode::ACCEPTED, json!({"status": "queued", "run": run.as_str()}))
            }
            Accepted::Again(run) => (StatusCode::OK, json!({"status": "known", "run": run.as_str()})),
            Accepted::Noted => (StatusCode::OK, json!({"status": "ignored", "message": note})),
        };
        (status, Json(told)).into_response()
    }
}
