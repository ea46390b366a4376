//! Who may connect while how many are connected, in all and from one address.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use super::{Conn, Mount};
use crate::telemetry::Refused;

/// A client's place in the count of a mount's connections while it is being let in. Given back when it's dropped.
pub(crate) struct Seat {
    mount: Arc<Mount>,
    peer: Option<IpAddr>,
    taken: bool,
}

/// Why there is no seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// The mount has as many connections as it may.
    Mount,
    /// The client's address has.
    Peer,
}

impl From<Full> for Refused {
    fn from(full: Full) -> Self {
        match full {
            Full::Mount => Self::Full,
            Full::Peer => Self::PeerFull,
        }
    }
}

impl Seat {
    pub(crate) fn new(mount: Arc<Mount>, peer: Option<IpAddr>) -> Self {
        Self {
            mount,
            peer,
            taken: false,
        }
    }

    /// Takes the seat for a connection, until its place is [left](Mount::leave).
    pub(crate) fn enter(mut self, conn: &Arc<Conn>) -> u32 {
        self.taken = true;
        self.mount.enter(conn, self.peer)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if !self.taken {
            self.mount.unreserve(self.peer);
        }
    }
}

/// How many come from which address. Empty while nobody asks for it.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    counts: HashMap<IpAddr, usize>,
    /// Who is in which place.
    places: HashMap<u32, IpAddr>,
}

impl Peers {
    /// Counts one more, unless there are `max` of them. Where there is no maximum, nothing is counted.
    pub(crate) fn add(&mut self, peer: Option<IpAddr>, max: usize) -> bool {
        let (Some(peer), 0..usize::MAX) = (peer, max) else {
            return true;
        };
        let count = self.counts.entry(network(peer)).or_default();
        let may = *count < max;
        *count += usize::from(may);
        if *count == 0 {
            self.counts.remove(&network(peer));
        }
        may
    }

    pub(crate) fn remove(&mut self, peer: Option<IpAddr>) {
        let Some(peer) = peer.map(network) else {
            return;
        };
        if let Some(count) = self.counts.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&peer);
            }
        }
    }

    /// One that was counted gets a place.
    pub(crate) fn enter(&mut self, place: u32, peer: Option<IpAddr>) {
        if let Some(peer) = peer.filter(|it| self.counts.contains_key(&network(*it))) {
            self.places.insert(place, peer);
        }
    }

    pub(crate) fn leave(&mut self, place: u32) {
        if !self.places.is_empty() {
            let peer = self.places.remove(&place);
            self.remove(peer);
        }
    }
}

/// The network that one customer has: an IPv4 address, or half of an IPv6 address.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(peer) => {
            let [a, b, c, d, ..] = peer.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        peer @ IpAddr::V4(_) => peer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each comes in its turn; `expected` says who may, where two of a kind may.
    #[track_caller]
    fn check(peers: &[&str], expected: &[bool]) {
        let mut counted = Peers::default();
        let peers = peers.iter().map(|it| it.parse().unwrap());
        let may: Vec<_> = peers.clone().map(|it| counted.add(Some(it), 2)).collect();
        assert_eq!(may, expected);
        // Nothing is left behind.
        for (peer, _) in peers.zip(&may).filter(|(_, may)| **may) {
            counted.remove(Some(peer));
        }
        assert!(counted.counts.is_empty());
    }

    #[test]
    fn addresses_are_counted_apart_and_ipv6_by_its_first_half() {
        check(
            &["10.0.0.1", "10.0.0.2", "10.0.0.1", "10.0.0.1"],
            &[true, true, true, false],
        );
        check(
            &[
                "2001:db8::1",
                "2001:db8::2",
                "2001:db8::3:0:0:1",
                "2001:db8:0:1::1",
            ],
            &[true, true, false, true],
        );
        check(
            &["::ffff:10.0.0.1", "10.0.0.1", "::ffff:10.0.0.1"],
            &[true, true, false],
        );
    }

    #[test]
    fn nothing_is_kept_where_there_is_no_maximum() {
        let mut counted = Peers::default();
        let peer = Some("10.0.0.1".parse().unwrap());
        assert!(counted.add(peer, usize::MAX) && counted.add(None, 0));
        counted.enter(3, peer);
        assert!(counted.counts.is_empty() && counted.places.is_empty());
        counted.leave(3);
        counted.remove(peer);
        assert!(!counted.add(peer, 0));
        assert!(counted.counts.is_empty());
    }
}
