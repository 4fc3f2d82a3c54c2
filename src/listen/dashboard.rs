//! The dashboard: what ran and runs, in a browser. Pages are made here, on the server; a small script adds what moves.
//!
//! | module | owns |
//! |---|---|
//! | `gate` | who is let in: hosts, logins, sessions, where a change comes from |
//! | `sign_in` | signing in with an account elsewhere |
//! | `pages` | each address, and the page that it answers with |
//! | `actions` | what people change: runs, the queue, who is signed in |
//! | `view` | runs, jobs and steps as the pages show them |
//! | `graph` | where the jobs of a run stand when they are drawn |
//! | `limit` | how much one client may ask for |
//! | `lines` | a log by its lines, however long it is |
//! | `ansi` | colours of a log to classes; everything else of it is text |
//! | `live` | what goes on in a run, as it happens, shared by all who watch |
//! | `badge` | the status of a branch as a picture |

mod actions;
mod ansi;
mod badge;
mod gate;
mod graph;
mod limit;
mod lines;
mod live;
mod pages;
mod sign_in;
mod view;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use jiff::Timestamp;
use tokio::net::TcpListener;

pub use gate::{Hosts, login};
pub use sign_in::{Provider, ProviderError};

use super::shop::Shop;
use crate::execute::Owner;
use crate::store::access::Access;
use crate::store::history::History;
use crate::store::{StateDir, StoreError};
use gate::Limits;
use lines::Lines;
use live::Feeds;
pub(super) use sign_in::SignIns;

/// For how long a link to sign in is good.
pub const LOGIN_LASTS: Duration = Duration::from_secs(60 * 60);

/// What the pages share.
pub(super) struct Board {
    state: StateDir,
    access: Mutex<Access>,
    hosts: Hosts,
    limits: Limits,
    lines: Lines,
    feeds: Feeds,
    sign_ins: SignIns,
    /// The listener, where this is one's: then runs can be cancelled and run again.
    shop: Option<Shop>,
}

impl Board {
    /// The dashboard of a state folder, at these hosts.
    pub(super) fn open(
        state: StateDir,
        hosts: Hosts,
        sign_ins: SignIns,
        shop: Option<Shop>,
    ) -> Result<Arc<Self>, StoreError> {
        let access = Mutex::new(Access::open(&state)?.0);
        let (lines, feeds) = (Lines::default(), Feeds::default());
        Ok(Arc::new(Self { state, access, hosts, limits: Limits::default(), lines, feeds, sign_ins, shop }))
    }

    fn has_public_badges(&self) -> bool {
        self.shop.as_ref().is_some_and(|shop| shop.config.public_badges)
    }

    fn access(&self) -> MutexGuard<'_, Access> {
        // What a panic left is a database, whose changes are whole or not there.
        self.access.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks something up in the history, beside the others' work. `None` where nothing was recorded yet.
    async fn look<T: Send + 'static>(
        &self,
        work: impl FnOnce(&History) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<Option<T>, StoreError> {
        let state = self.state.clone();
        let looking = tokio::task::spawn_blocking(move || {
            History::look(&state)?
                .map(|history| {
                    let me = Owner::current();
                    history.interrupt_dead(|label| Owner::parse(label).is_some_and(|owner| me.knows_dead(&owner)))?;
                    work(&history)
                })
                .transpose()
        });
        looking.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }
}

/// The dashboard's addresses.
pub(super) fn routes(board: Arc<Board>) -> Router {
    pages::routes(board)
}

/// A dashboard of its own, of the history alone: `argon ui`.
#[derive(Debug)]
pub struct Dashboard {
    socket: TcpListener,
    state: StateDir,
}

impl Dashboard {
    /// Takes an address of this machine.
    ///
    /// # Errors
    /// Where it is not to be had.
    pub async fn open(state: StateDir, bind: SocketAddr) -> io::Result<Self> {
        Ok(Self { socket: TcpListener::bind(bind).await?, state })
    }

    /// Where it is.
    ///
    /// # Errors
    /// Where the system does not tell.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// A link that signs one in, once.
    ///
    /// # Errors
    /// Where it cannot be stored.
    pub fn login(&self) -> Result<String, StoreError> {
        let address = self.address().map_or_else(|_| String::new(), |address| address.to_string());
        Ok(format!("http://{address}{}", login(&self.state, Timestamp::now())?))
    }

    /// Serves until `stop` resolves.
    ///
    /// # Errors
    /// Where the store refuses.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Result<(), StoreError> {
        let hosts = self.address().map(|address| Hosts::new(address, None)).unwrap_or_default();
        let routes = routes(Board::open(self.state, hosts, SignIns::default(), None)?);
        tokio::select! {
            () = super::http::serve(self.socket, routes) => {}
            () = stop => {}
        }
        Ok(())
    }
}
