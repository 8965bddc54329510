//! Who holds connections. When there are too many, one that waits gives way, be it for a handshake, a request or the
//! rest of a body: first those that never brought a request that was answered well, and of those the one that has
//! waited longest of the peer address that has most connections. So nobody can take what is there for others by holding
//! it. Must not know sockets or HTTP.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::activity::ConnectionActivity;

/// The connections that are open, by peer address.
#[derive(Debug, Default)]
pub struct Peers {
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    by_peer: BTreeMap<IpAddr, BTreeMap<u64, Arc<Held>>>,
}

/// What is known of a connection.
#[derive(Debug)]
pub struct Held {
    /// What it is doing.
    pub activity: Arc<ConnectionActivity>,
    /// Rings when it is to give way; it stays where it has begun to work meanwhile.
    pub leave: Notify,
}

/// A connection among the others, until it is dropped.
#[derive(Debug)]
pub struct Guest {
    peers: Arc<Peers>,
    peer: IpAddr,
    number: u64,
    /// What is known of it.
    pub held: Arc<Held>,
}

impl Peers {
    /// Takes a new connection in.
    pub fn welcome(self: &Arc<Self>, address: IpAddr) -> Guest {
        let (peer, held) =
            (peer_of(address), Arc::new(Held { activity: ConnectionActivity::new(), leave: Notify::new() }));
        let mut open = self.open();
        open.next += 1;
        let number = open.next;
        open.by_peer.entry(peer).or_default().insert(number, Arc::clone(&held));
        drop(open);
        Guest { peers: Arc::clone(self), peer, number, held }
    }

    /// Has the connections of an address give way that are more than so many. Those that work stay.
    pub fn hold_to(&self, guest: &Guest, most: usize) -> usize {
        let open = self.open();
        let Some(own) = open.by_peer.get(&guest.peer) else { return 0 };
        let mut told = 0;
        for _ in most..own.len() {
            let is_told = [false, true].into_iter().any(|proven| tell_one(others_of(own, guest), proven));
            told += usize::from(is_told);
        }
        told
    }

    /// Has one connection give way. False where all of them work, or have been told already.
    pub fn make_room(&self, guest: &Guest) -> bool {
        let open = self.open();
        let mut peers: Vec<_> = open.by_peer.values().collect();
        peers.sort_by_key(|connections| std::cmp::Reverse(connections.len()));
        [false, true].into_iter().any(|proven| peers.iter().any(|own| tell_one(others_of(own, guest), proven)))
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        // Nothing is half-written when a holder panicked.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut open = self.peers.open();
        if let Some(connections) = open.by_peer.get_mut(&self.peer) {
            connections.remove(&self.number);
            if connections.is_empty() {
                open.by_peer.remove(&self.peer);
            }
        }
    }
}

/// All connections of a peer but the one that asks.
fn others_of<'a>(own: &'a BTreeMap<u64, Arc<Held>>, guest: &Guest) -> impl Iterator<Item = &'a Arc<Held>> {
    let number = guest.number;
    own.iter().filter(move |(other, _)| **other != number).map(|(_, held)| held)
}

/// Tells the one that has waited longest, of those that have proven themselves or of the others.
fn tell_one<'a>(connections: impl Iterator<Item = &'a Arc<Held>>, proven: bool) -> bool {
    let alike = connections.filter(|held| held.activity.is_proven() == proven);
    let waiting = alike.filter_map(|held| Some((held.activity.waits_since()?, held)));
    let Some((_, held)) = waiting.min_by_key(|(since, _)| *since) else { return false };
    held.activity.told_to_leave();
    held.leave.notify_one();
    true
}

/// Whom an address stands for: one network of IPv6 has as many as one likes.
fn peer_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6([a, b, c, d, 0, 0, 0, 0].into())
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn is_told(guest: &Guest) -> bool {
        guest.held.activity.waits_since().is_none()
    }

    #[test]
    fn the_one_that_waits_longest_of_whoever_has_most_gives_way() {
        let peers = Arc::new(Peers::default());
        let few: Vec<_> = (0..2).map(|_| peers.welcome(address("10.0.0.1"))).collect();
        let many: Vec<_> = (0..3).map(|_| peers.welcome(address("::ffff:10.0.0.2"))).collect();
        let working = many[0].held.activity.request(false);
        let new = peers.welcome(address("10.0.0.3"));
        assert!(peers.make_room(&new));
        assert_eq!(many.iter().map(is_told).collect::<Vec<_>>(), [true, true, false], "the first one works");
        assert!(peers.make_room(&new), "who was told is not told again");
        assert!(is_told(&many[2]));
        assert!(few.iter().all(|guest| !is_told(guest)) && peers.make_room(&new), "then others");
        drop(working);
        assert!(!is_told(&many[0]));
        drop((few, many));
        assert!(!peers.make_room(&new), "never the one that asks");
    }

    #[test]
    fn who_has_brought_a_good_request_goes_last() {
        let peers = Arc::new(Peers::default());
        let (old, young) = (peers.welcome(address("10.0.0.1")), peers.welcome(address("10.0.0.1")));
        old.held.activity.proves_itself();
        let new = peers.welcome(address("10.0.0.2"));
        assert!(peers.make_room(&new) && is_told(&young) && !is_told(&old));
        assert!(peers.make_room(&new) && is_told(&old), "where there is no other");
    }

    #[test]
    fn an_address_is_held_to_its_share() {
        let peers = Arc::new(Peers::default());
        let other = peers.welcome(address("2001:db8:0:1::1"));
        let guests: Vec<_> = (0..3).map(|n| peers.welcome(address(&format!("2001:db8:0:2::{n}")))).collect();
        assert_eq!(peers.hold_to(&guests[2], 3), 0);
        assert_eq!(peers.hold_to(&guests[2], 2), 1);
        assert!(is_told(&guests[0]) && !is_told(&guests[1]) && !is_told(&other));
    }
}
