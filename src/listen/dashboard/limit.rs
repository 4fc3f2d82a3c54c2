//! How much one client may ask for in a minute. Each counts for itself: who asks too much keeps nobody else out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::Request;

use crate::listen::http::Peer;

/// For how long is counted.
const WITHIN: Duration = Duration::from_secs(60);

/// How many clients are counted at once.
const CLIENTS: usize = 4096;

/// Whom requests come from, as far as can be told: an address; of IPv6 a network, as who has one has all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Client(IpAddr);

impl Client {
    /// That of a request. A proxy on this machine says whom it asks for; it adds that at the end, and what stands before it anybody can write.
    pub(super) fn of(request: &Request) -> Self {
        let peer = request.extensions().get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0);
        let asked_for = || {
            let all = request.headers().get_all("x-forwarded-for");
            let last = all.iter().next_back()?.to_str().ok()?.rsplit(',').next()?;
            last.trim().parse().ok()
        };
        let address = if peer.to_canonical().is_loopback() { asked_for().unwrap_or(peer) } else { peer };
        Self(match address.to_canonical() {
            IpAddr::V6(v6) if !v6.is_loopback() => {
                let [a, b, c, d, ..] = v6.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            other => other,
        })
    }

    /// Whether it is this machine's.
    pub(super) fn is_here(self) -> bool {
        self.0.is_loopback()
    }
}

/// What each client may do so often in [`WITHIN`].
#[derive(Debug)]
pub(super) struct Limit {
    most: u32,
    clients: Mutex<HashMap<Client, Count>>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    since: Instant,
    times: u32,
}

impl Limit {
    pub(super) fn new(most: u32) -> Self {
        Self { most, clients: Mutex::default() }
    }

    /// Whether it was done as often as may be.
    pub(super) fn is_used_up(&self, client: Client) -> bool {
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.get(&client).is_some_and(|count| count.since.elapsed() < WITHIN && count.times >= self.most)
    }

    /// Counts one time; false where it was one too many.
    pub(super) fn take(&self, client: Client) -> bool {
        let now = Instant::now();
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.len() >= CLIENTS && !clients.contains_key(&client) {
            make_room(&mut clients);
        }
        let count = clients.entry(client).or_insert(Count { since: now, times: 0 });
        if count.since.elapsed() >= WITHIN {
            *count = Count { since: now, times: 0 };
        }
        count.times = count.times.saturating_add(1);
        count.times <= self.most
    }
}

/// Forgets those whose time is over; where there are none, the one that was counted longest.
fn make_room(clients: &mut HashMap<Client, Count>) {
    clients.retain(|_, count| count.since.elapsed() < WITHIN);
    if clients.len() >= CLIENTS {
        let oldest = clients.iter().min_by_key(|(_, count)| count.since).map(|(client, _)| *client);
        oldest.map(|oldest| clients.remove(&oldest));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use axum::body::Body;

    use super::*;

    fn client(peer: &str, forwarded: &[&str]) -> Client {
        let mut request = Request::builder();
        for value in forwarded {
            request = request.header("x-forwarded-for", *value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(Peer(peer.parse().unwrap()));
        Client::of(&request)
    }

    #[test]
    fn a_proxy_on_this_machine_is_believed_its_last_word_and_nobody_else() {
        let plain = |address: &str| Client(address.parse().unwrap());
        assert_eq!(client("127.0.0.1", &[]), plain("127.0.0.1"));
        assert_eq!(client("127.0.0.1", &["10.9.9.9, 192.0.2.1"]), plain("192.0.2.1"));
        assert_eq!(client("::ffff:127.0.0.1", &["10.9.9.9", "192.0.2.2"]), plain("192.0.2.2"));
        assert_eq!(client("127.0.0.1", &["nobody"]), plain("127.0.0.1"));
        assert_eq!(client("192.0.2.3", &["10.9.9.9"]), plain("192.0.2.3"), "anybody can say so");
        assert_eq!(client("2001:db8::1", &[]), client("2001:db8::2", &[]), "one network");
    }

    #[test]
    fn each_counts_for_itself_and_no_more_are_counted_than_there_is_room_for() {
        let limit = Limit::new(2);
        let (one, other) = (client("192.0.2.1", &[]), client("192.0.2.2", &[]));
        assert!(limit.take(one) && limit.take(one) && !limit.take(one));
        assert!(limit.is_used_up(one) && !limit.is_used_up(other) && limit.take(other));
        for number in 0..u32::try_from(2 * CLIENTS).unwrap() {
            limit.take(Client(IpAddr::V4(Ipv4Addr::from_bits(number))));
        }
        assert_eq!(limit.clients.lock().unwrap().len(), CLIENTS);
    }
}
