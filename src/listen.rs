//! `argon listen`: a personal CI runner. Composes the library's rooms; knows no SQL, and of engines how to connect to one.
//!
//! | module | owns |
//! |---|---|
//! | [`config`] | what a listener is told |
//! | [`check`] | whether a listener could begin |
//! | [`forge`] | which forges there are |
//! | [`webhook`] | a delivery's headers and bytes to what it says; signatures |
//! | [`dashboard`] | what ran and runs, in a browser |
//! | `shop` | what the parts share, and the one way into the queue |
//! | `http` | the HTTP side: deliveries in |
//! | [`keeper`] | the one thread that holds the queue; deliveries that come together share a transaction |
//! | `worker` | leases runs and sees them to their end |
//! | `poll`, `schedule` | what is queued without a delivery: moves of refs, moments of `on.schedule` |
//! | [`egress`] | what containers of runs reach |
//! | `outbox` | sends what waits to be told, until it was heard |
//! | `late` | tells the ends of runs that could not be told in time |
//! | `report` | what is told of a run, from its trigger and its record |
//! | `tidy` | forgets what is too old |
//! | [`notify`] | telling people how a run ended |
//! | `run` | one run: source, pipeline, `on`, plan, execution, record |
//!
//! A delivery goes one way: `http` verifies and reads it, `keeper` puts it on the disk, the answer says so; a worker leases the run
//! that it led to.

pub mod check;
pub mod config;
pub mod dashboard;
pub mod egress;
pub mod forge;
mod http;
pub mod keeper;
mod late;
pub mod notify;
mod outbox;
mod poll;
mod report;
mod run;
mod schedule;
mod shop;
mod tidy;
pub mod webhook;
mod worker;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};

use crate::causes::with_causes;
use crate::execute::Owner;
use crate::store::StoreError;
use crate::store::history::History;
use crate::store::queue::Queue;
use config::Config;
use dashboard::{Board, Hosts, SignIns};
use keeper::Keeper;
use shop::Shop;

/// What runs that are handed back may take to stop.
const HAND_BACK: Duration = Duration::from_secs(20);

/// Why a listener cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The address is not to be had.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// The state folder cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A part of it ended while it was to go on. That is a bug.
    #[error("{part} ended by itself: {why}")]
    Part {
        /// Which.
        part: &'static str,
        /// What is known of it.
        why: String,
    },
}

/// A listener that has its address and its queue.
#[derive(Debug)]
pub struct Listener {
    config: Arc<Config>,
    socket: TcpListener,
    keeper: Keeper,
    /// What was found damaged, for people.
    pub warnings: Vec<String>,
}

impl Listener {
    /// Opens queue and history, and takes the address.
    ///
    /// # Errors
    /// Where either is not to be had.
    pub async fn open(config: Config) -> Result<Self, ListenError> {
        let mut warnings = Vec::new();
        let (history, moved) = History::open(&config.state)?;
        warnings.extend(moved.map(|moved| moved.to_string()));
        let (queue, moved) = Queue::open(&config.state)?;
        warnings.extend(moved.map(|moved| moved.to_string()));
        let me = Owner::current();
        history.interrupt_dead(|label| Owner::parse(label).is_some_and(|owner| me.knows_dead(&owner)))?;
        let bound = TcpListener::bind(config.bind).await;
        let socket = bound.map_err(|source| ListenError::Bind { address: config.bind, source })?;
        let keeper = Keeper::start(queue, config.capacity);
        Ok(Self { config: Arc::new(config), socket, keeper, warnings })
    }

    /// Where it listens: the port that was given, where 0 was asked for.
    ///
    /// # Errors
    /// Where the system does not tell.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// The names of the dashboard, where there is one.
    fn hosts(&self) -> Option<Hosts> {
        let address = self.address().ok().filter(|_| self.config.dashboard)?;
        Some(Hosts::new(address, self.config.url.as_deref()))
    }

    /// Where people reach it.
    fn base(&self) -> String {
        let here = || self.address().map(|address| format!("http://{address}")).unwrap_or_default();
        self.config.url.clone().unwrap_or_else(here)
    }

    /// A link that signs one in to the dashboard, once; `None` where there is none.
    ///
    /// # Errors
    /// Where it cannot be stored.
    pub fn login(&self) -> Result<Option<String>, ListenError> {
        if !self.config.dashboard {
            return Ok(None);
        }
        let base = self.base();
        Ok(Some(format!("{base}{}", dashboard::login(&self.config.state, Timestamp::now())?)))
    }

    /// Listens and runs until `stop` resolves. Then nothing new is taken; what goes on may end within the configured time, and
    /// the rest is handed back to the queue.
    ///
    /// # Errors
    /// Where a part of it ended by itself: then all of it ends, as one that only seems to listen is worse than one that whoever watches
    /// over it starts again.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Result<(), ListenError> {
        let (drain, draining) = watch::channel(false);
        let (end, ending) = watch::channel(false);
        let limit = self.config.drain;
        let hosts = self.hosts();
        let sign_ins = SignIns::new(self.config.sign_in.clone(), self.base());
        let shop = Shop {
            config: self.config,
            keeper: self.keeper,
            queued: Arc::default(),
            posted: Arc::default(),
            egress: Arc::default(),
            draining,
            ending,
        };
        let mut routes = http::routes(shop.clone());
        if let Some(hosts) = hosts {
            match Board::open(shop.config.state.clone(), hosts, sign_ins, Some(shop.clone())) {
                Ok(board) => routes = routes.merge(dashboard::routes(board)),
                Err(error) => tracing::error!(error = with_causes(&error), "there is no dashboard"),
            }
        }
        let mut beside = Parts::default();
        beside.begin("the HTTP server", http::serve(self.socket, routes));
        beside.begin("the tidying", tidy::keep(shop.clone()));
        beside.begin("the outbox", outbox::keep(shop.clone()));
        beside.begin("what is told late", late::keep(shop.clone()));
        let keeper = shop.keeper.clone();
        beside.begin("the keeper of the queue", async move { keeper.gone().await });
        for repository in shop.config.repositories.clone() {
            if let Some(every) = repository.poll {
                beside.begin("the polling", poll::poll(shop.clone(), repository.clone(), every));
            }
            beside.begin("the schedule", schedule::keep(shop.clone(), repository));
        }
        let mut worker = Parts::default();
        worker.begin("the worker", worker::work(shop));
        let ended = tokio::select! {
            () = stop => Ok(()),
            ended = worker.ended() => Err(ended),
            ended = beside.ended() => Err(ended),
        };
        match &ended {
            Ok(()) => tracing::info!("takes nothing new; waits for what goes on"),
            Err(error) => tracing::error!(%error, "takes nothing new, and ends"),
        }
        drain.send_replace(true);
        // Without one of its parts what goes on cannot be waited for: nobody may hear of its end.
        let limit = if ended.is_ok() { limit } else { Duration::ZERO };
        if tokio::time::timeout(limit, worker.all_ended()).await.is_err() {
            tracing::warn!("hands back what still goes on");
            end.send_replace(true);
            if tokio::time::timeout(HAND_BACK, worker.all_ended()).await.is_err() {
                tracing::error!("not all could be handed back: the next start takes it back");
            }
        }
        ended
    }
}

/// Parts of the listener that go on for as long as it does. They are dropped with it.
#[derive(Default)]
struct Parts {
    tasks: JoinSet<()>,
    names: HashMap<Id, &'static str>,
}

impl Parts {
    fn begin(&mut self, part: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let task = self.tasks.spawn(work);
        self.names.insert(task.id(), part);
    }

    /// Resolves when one of them ended, with what that is to be told as; never where there is none.
    async fn ended(&mut self) -> ListenError {
        let (id, why) = match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => (id, "nothing was left for it to do".to_owned()),
            Some(Err(error)) => (error.id(), panicked(error)),
            None => return std::future::pending().await,
        };
        let part = self.names.get(&id).copied().unwrap_or("a part");
        ListenError::Part { part, why }
    }

    async fn all_ended(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

/// The words of a panic, as far as it has any.
fn panicked(error: JoinError) -> String {
    let text = error.to_string();
    let Ok(panic) = error.try_into_panic() else { return text };
    let words = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    words.map_or(text, str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It went on as if nothing was, and nobody was told anything any more.
    #[tokio::test]
    async fn a_part_that_ends_by_itself_is_named_with_what_it_said() {
        let mut parts = Parts::default();
        parts.begin("the one that goes on", std::future::pending());
        assert!(tokio::time::timeout(Duration::from_millis(50), parts.ended()).await.is_err());
        parts.begin("the outbox", async { panic!("a bug of {}", 1) });
        assert_eq!(parts.ended().await.to_string(), "the outbox ended by itself: a bug of 1");
        parts.begin("the schedule", async {});
        assert_eq!(parts.ended().await.to_string(), "the schedule ended by itself: nothing was left for it to do");
    }
}
