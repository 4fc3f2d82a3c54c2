//! The HTTP side: takes deliveries in, and tells whether the listener lives.
//!
//! A delivery is verified, read, and on the disk before the answer says so. Every wait has an end: headers and bodies must be there
//! within [`PATIENCE`].

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use jiff::Timestamp;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

use super::config::{Forks, Repository};
use super::forge::Forge;
use super::keeper::Unanswered;
use super::shop::{Shop, order};
use super::webhook::{self, BadDelivery, Claim, Delivery, Gone, Happened, Origin, Proof, Says};
use crate::store::StoreError;
use crate::store::history::History;
use crate::store::queue::{Accepted, Depth, Offer, Order, Trust, Wanted};
use crate::trigger::{EventKind, MAX_BYTES, Trigger, TriggerError};

/// How long headers, and then a body, may take to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many connections there may be at once.
const CONNECTIONS: usize = 4096;

/// How many bytes of bodies are held in memory at once.
const BODIES: usize = 128 * 1024 * 1024;

/// A larger body is verified and read beside the others' work.
const LARGE: usize = 256 * 1024;

/// For how long it counts that the queue could be written.
const TRIED_OUT: Duration = Duration::from_secs(1);

/// After how many seconds a forge that was sent away may come again.
const RETRY_AFTER: &str = "30";

/// Serves connections until the task is dropped.
pub(super) async fn serve(listener: TcpListener, routes: Router) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let routes = routes.clone();
                tokio::spawn(async move {
                    connection(stream, Peer(peer.ip()), routes).await;
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

/// Whom a connection comes from, as its requests have it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) IpAddr);

async fn connection(stream: TcpStream, peer: Peer, routes: Router) {
    let routes = TowerToHyperService::new(routes);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        routes.call(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// The addresses that forges, monitors and `argon trigger` use.
pub(super) fn routes(shop: Shop) -> Router {
    Router::new()
        .route("/webhook", post(deliver))
        .route("/webhook/{forge}", post(deliver))
        .route("/api/webhook", post(deliver))
        .route("/api/trigger", post(trigger))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Desk { shop, memory: Arc::new(Semaphore::new(BODIES)), wrote: Arc::default() })
}

/// What the handlers share.
#[derive(Clone)]
struct Desk {
    shop: Shop,
    /// A permit for each byte of a body that is in memory.
    memory: Arc<Semaphore>,
    /// When it was last tried out that the queue can be written, and could be.
    wrote: Arc<Mutex<Option<Instant>>>,
}

/// Whether deliveries are taken now. That the queue can be written is tried out, as what was so a while ago tells nothing.
async fn ready(State(desk): State<Desk>) -> Response {
    let depth = match desk.room().await {
        Ok(depth) => depth,
        Err(why) => {
            let message = match &why {
                Unanswered::Ending | Unanswered::Busy | Unanswered::Full { .. } => why.to_string(),
                // Its words name files, which are nobody's business who has not signed in.
                Unanswered::Store(error) => {
                    tracing::warn!(error, "not ready");
                    "the queue cannot be written".to_owned()
                }
            };
            let body = Json(json!({"status": "not-ready", "message": message}));
            return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, RETRY_AFTER)], body).into_response();
        }
    };
    Json(json!({"status": "ready", "queued": depth.queued, "running": depth.leased})).into_response()
}

/// Numbers for Prometheus, in its text format: <https://prometheus.io/docs/instrumenting/exposition_formats/>. They name nothing.
async fn metrics(State(desk): State<Desk>) -> Result<impl IntoResponse, Refused> {
    let asked = desk.shop.keeper.with(|queue| Ok((queue.depth()?, queue.unheard()?))).await;
    let (depth, unheard) = asked.map_err(Refused::Later)?;
    let state = desk.shop.config.state.clone();
    let counting = tokio::task::spawn_blocking(move || -> Result<_, StoreError> {
        History::look(&state)?.map(|history| history.counts()).transpose()
    });
    let counted = counting.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
    let counts = counted.map_err(|error| Refused::Later(error.into()))?.unwrap_or_default();
    let mut text = format!(
        "# HELP argon_queue_runs Runs in the queue.\n# TYPE argon_queue_runs gauge\n\
         argon_queue_runs{{state=\"queued\"}} {}\nargon_queue_runs{{state=\"running\"}} {}\n\
         # HELP argon_outbox_waiting Messages that nobody heard yet.\n# TYPE argon_outbox_waiting gauge\n\
         argon_outbox_waiting {unheard}\n\
         # HELP argon_history_runs Runs that the history has.\n# TYPE argon_history_runs gauge\n",
        depth.queued, depth.leased
    );
    for (phase, count) in counts {
        text.push_str(&format!("argon_history_runs{{status=\"{phase}\"}} {count}\n"));
    }
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
}

/// Why a delivery is not taken.
enum Refused {
    NotGenuine,
    TooLarge,
    Truncated,
    TooSlow,
    Bad(BadDelivery),
    /// All there are.
    WhichRepository(String),
    Later(Unanswered),
}

impl From<webhook::Refusal> for Refused {
    fn from(_: webhook::Refusal) -> Self {
        Self::NotGenuine
    }
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
            Self::WhichRepository(all) => (StatusCode::BAD_REQUEST, format!("name the repository, one of: {all}")),
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

async fn deliver(State(desk): State<Desk>, headers: HeaderMap, body: Body) -> Result<Response, Refused> {
    desk.begins(&headers)?;
    let now = Timestamp::now();
    let claim = Claim::read(&headers, now)?;
    let forge = claim.forge;
    let body = desk.whole(body).await?;
    let config = desk.shop.config.clone();
    let ((secrets, deliveries), _body) = examined(body, move |body| {
        let secrets = claim.check(body, &config.secrets)?;
        let payload = webhook::payload(&headers, body).map_err(Refused::Bad)?.into_owned();
        let payloads = match forge {
            Forge::Bitbucket | Forge::BitbucketDataCenter => webhook::each_change(payload),
            Forge::GitHub | Forge::GitLab | Forge::Gitea => vec![payload],
        };
        let read = |payload: Vec<u8>| Ok((webhook::read(forge, &headers, &payload)?, payload));
        Ok((secrets, payloads.into_iter().map(read).collect::<Result<Vec<_>, _>>().map_err(Refused::Bad)?))
    })
    .await?;
    let mut answer = StatusCode::OK.into_response();
    let is_one = deliveries.len() == 1;
    for (number, (delivery, payload)) in deliveries.into_iter().enumerate() {
        // Each change of a push is a delivery of its own.
        let id = delivery.id.clone().map(|id| if is_one { id } else { format!("{id} {number}") });
        answer = desk.take(delivery, id, payload, &secrets, now).await?;
    }
    Ok(answer)
}

/// What a person asks for.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ByHand {
    /// Which repository, as the configuration has its URL or name; needed where there are several.
    #[serde(default)]
    repository: Option<String>,
    /// A branch, a tag or a commit; the default branch where not said.
    revision: Option<String>,
    /// Unlike any other: asked twice, it is run once.
    nonce: String,
    /// Seconds since 1970.
    time: i64,
}

/// A run that a person asks for: a body as [`ByHand`], signed as a webhook is, by `X-Argon-Signature-256`.
async fn trigger(State(desk): State<Desk>, headers: HeaderMap, body: Body) -> Result<Response, Refused> {
    desk.begins(&headers)?;
    let proof = Proof::of_person(&headers)?;
    let body = desk.whole(body).await?;
    let config = desk.shop.config.clone();
    let ((secrets, asked), body) = examined(body, move |body| {
        let secrets = proof.check(body, &config.secrets)?;
        let asked = serde_json::from_slice::<ByHand>(body);
        Ok((secrets, asked.map_err(|source| Refused::Bad(TriggerError::NotJson { source }.into()))?))
    })
    .await?;
    let now = Timestamp::now();
    if !webhook::is_recent(asked.time, now) {
        return Err(Refused::NotGenuine);
    }
    let repository = desk.named(asked.repository.as_deref(), &secrets)?;
    let kind = EventKind::Manual;
    let payload = json!({"revision": asked.revision}).to_string().into_bytes();
    let offer = Offer {
        forge: kind.name().to_owned(),
        repository: repository.url.clone(),
        event: kind.name().to_owned(),
        body_hash: hex::encode(Sha256::digest(&body.bytes)),
        delivery: Some(asked.nonce),
        received: now,
        wanted: Wanted::Run(order(repository, kind.name(), &Trigger::new(kind), payload, now)),
    };
    desk.accept(offer, None).await
}

/// A body, with its permits.
struct Whole {
    bytes: Bytes,
    _memory: Option<OwnedSemaphorePermit>,
}

/// Looks through a body: beside the others' work, where it is large.
async fn examined<T: Send + 'static>(
    body: Whole,
    look: impl FnOnce(&[u8]) -> Result<T, Refused> + Send + 'static,
) -> Result<(T, Whole), Refused> {
    if body.bytes.len() <= LARGE {
        return look(&body.bytes).map(|found| (found, body));
    }
    let looking = tokio::task::spawn_blocking(move || look(&body.bytes).map(|found| (found, body)));
    looking.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

fn wanted(
    repository: Option<&Repository>,
    source: &str,
    happened: &Happened,
    now: Timestamp,
    payload: Vec<u8>,
) -> Wanted {
    let Some(repository) = repository else {
        let named = happened.repository.first().map_or("another repository", String::as_str);
        return Wanted::Nothing(format!("it is about {named}, which this does not listen for"));
    };
    let trust = match (happened.origin, repository.forks) {
        (Origin::Own, _) => Trust::Own,
        (Origin::Fork, Forks::Approve) => Trust::Fork,
        (Origin::Fork, Forks::Never) => return Wanted::Nothing("pull requests from forks are not run".to_owned()),
    };
    let order = order(repository, source, &happened.trigger, payload, now);
    // A fork may call its branch as it likes: its runs take the place of one another's alone.
    let latest = order.latest.map(|latest| match (trust, &happened.from) {
        (Trust::Own, _) => latest,
        (Trust::Fork, from) => format!("fork {} {latest}", from.as_deref().unwrap_or_default()),
    });
    Wanted::Run(Order { trust, latest, ..order })
}

impl Desk {
    /// How full the queue is, where it takes deliveries.
    async fn room(&self) -> Result<Depth, Unanswered> {
        if self.shop.is_draining() {
            return Err(Unanswered::Ending);
        }
        let depth = self.shop.keeper.with(|queue| queue.depth()).await?;
        if depth.queued >= self.shop.config.capacity {
            return Err(Unanswered::Full { queued: depth.queued });
        }
        // Whoever asks often must not have the disk busy: those that ask at once share one try.
        let mut wrote = self.wrote.lock().await;
        if wrote.is_none_or(|wrote| wrote.elapsed() >= TRIED_OUT) {
            *wrote = None;
            self.shop.keeper.with(|queue| queue.try_out(Timestamp::now())).await?;
            *wrote = Some(Instant::now());
        }
        Ok(depth)
    }

    /// What can be told of a request before its body is there.
    fn begins(&self, headers: &HeaderMap) -> Result<(), Refused> {
        if self.shop.is_draining() {
            return Err(Refused::Later(Unanswered::Ending));
        }
        webhook::check_form(headers).map_err(Refused::Bad)?;
        let said = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if said.is_some_and(|bytes| bytes > MAX_BYTES) { Err(Refused::TooLarge) } else { Ok(()) }
    }

    /// The body, where it is not too large, comes in time, and there is room for it.
    async fn whole(&self, body: Body) -> Result<Whole, Refused> {
        tokio::time::timeout(PATIENCE, self.collect(body)).await.unwrap_or(Err(Refused::TooSlow))
    }

    async fn collect(&self, mut body: Body) -> Result<Whole, Refused> {
        let (mut bytes, mut memory) = (BytesMut::new(), None::<OwnedSemaphorePermit>);
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Refused::Truncated)?.into_data() else { continue };
            if bytes.len() + data.len() > MAX_BYTES {
                return Err(Refused::TooLarge);
            }
            // A permit for each byte as it comes, not for what was announced: who says much and sends little holds little.
            let room = u32::try_from(data.len()).ok().and_then(|n| self.memory.clone().try_acquire_many_owned(n).ok());
            let room = room.ok_or(Refused::Later(Unanswered::Busy))?;
            match &mut memory {
                Some(memory) => memory.merge(room),
                None => memory = Some(room),
            }
            bytes.extend_from_slice(&data);
        }
        Ok(Whole { bytes: bytes.freeze(), _memory: memory })
    }

    /// The repository that a person names, of those that these secrets are of; the only one where none is named.
    fn named(&self, name: Option<&str>, secrets: &[usize]) -> Result<&Repository, Refused> {
        let mut trusted =
            self.shop.config.repositories.iter().filter(|repository| secrets.contains(&repository.secret));
        let found = match name {
            Some(name) => trusted.find(|it| it.url == name || it.name.as_deref() == Some(name)),
            None => trusted.next().filter(|_| trusted.next().is_none()),
        };
        found.ok_or_else(|| {
            let all: Vec<&str> = self.shop.config.repositories.iter().map(|it| it.url.as_str()).collect();
            Refused::WhichRepository(all.join(", "))
        })
    }

    /// Takes in one delivery that is genuine.
    async fn take(
        &self,
        delivery: Delivery,
        id: Option<String>,
        payload: Vec<u8>,
        secrets: &[usize],
        now: Timestamp,
    ) -> Result<Response, Refused> {
        let forge = delivery.forge;
        let meant = match &delivery.says {
            Says::Happened(happened) => self.shop.config.meant(&happened.repository, secrets),
            Says::Gone(gone) => self.shop.config.meant(&gone.repository, secrets),
            Says::Ping | Says::Ignored(_) => None,
        };
        let wanted = match &delivery.says {
            Says::Ping => Wanted::Nothing("a ping".to_owned()),
            Says::Ignored(why) => Wanted::Nothing(why.clone()),
            Says::Gone(Gone { reference, commit, why, .. }) => {
                Wanted::Gone { reference: reference.clone(), commit: commit.clone(), why: why.clone() }
            }
            Says::Happened(happened) => wanted(meant, forge.word(), happened, now, payload),
        };
        let note = match &wanted {
            Wanted::Nothing(why) | Wanted::Gone { why, .. } => Some(why.clone()),
            Wanted::Run(_) => None,
        };
        let offer = Offer {
            forge: forge.word().to_owned(),
            repository: meant.map_or_else(String::new, |repository| repository.url.clone()),
            event: delivery.event,
            delivery: id,
            body_hash: delivery.body_hash,
            received: now,
            wanted,
        };
        self.accept(offer, note).await
    }

    /// Stores the delivery, and then says so. `note`: why it leads to no run.
    async fn accept(&self, offer: Offer, note: Option<String>) -> Result<Response, Refused> {
        let accepted = self.shop.accept(offer).await.map_err(Refused::Later)?;
        let (status, told) = match accepted {
            Accepted::Queued(run) => (StatusCode::ACCEPTED, json!({"status": "queued", "run": run.as_str()})),
            Accepted::Again(run) => (StatusCode::OK, json!({"status": "known", "run": run.as_str()})),
            Accepted::Superseded(run) => (StatusCode::OK, json!({"status": "superseded", "run": run.as_str()})),
            Accepted::Noted => (StatusCode::OK, json!({"status": "ignored", "message": note})),
        };
        Ok((status, Json(told)).into_response())
    }
}
