//! The connections that speak HTTP.

use std::{
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{runtime::Peers, telemetry::Counter};

const UNAVAILABLE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\nretry-after: 1\r\n\r\n";
const TOO_MANY_REQUESTS: &[u8] =
    b"HTTP/1.1 429 Too Many Requests\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// How many there are, and what happened to others.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    members: Mutex<Members>,
    refused: Counter,
    timed_out: Counter,
    slow_readers: Counter,
    slow_bodies: Counter,
}

#[derive(Debug, Default)]
struct Members {
    count: usize,
    peers: Peers,
}

impl Crowd {
    /// A place for a connection, or what to answer it where there is none.
    pub(super) fn admit(
        self: &Arc<Self>,
        peer: IpAddr,
        all_max: usize,
        each_max: usize,
    ) -> Result<Place, &'static [u8]> {
        let mut members = self.lock();
        let refused = if members.count >= all_max {
            Some(UNAVAILABLE)
        } else if !members.peers.add(Some(peer), each_max) {
            Some(TOO_MANY_REQUESTS)
        } else {
            None
        };
        if let Some(answer) = refused {
            self.refused.add(1);
            return Err(answer);
        }
        members.count += 1;
        Ok(Place {
            crowd: self.clone(),
            peer,
        })
    }

    pub(super) fn count_timeout(&self) {
        self.timed_out.add(1);
    }

    pub(super) fn count_slow_reader(&self) {
        self.slow_readers.add(1);
    }

    pub(super) fn count_slow_body(&self) {
        self.slow_bodies.add(1);
    }

    pub(super) fn len(&self) -> usize {
        self.lock().count
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place. It's left when this is dropped.
pub(super) struct Place {
    crowd: Arc<Crowd>,
    peer: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut members = self.crowd.lock();
        members.count -= 1;
        members.peers.remove(Some(self.peer));
    }
}

/// What happens on a [server](crate::Serve).
#[derive(Clone)]
pub struct ServeStats(Arc<Crowd>);

impl ServeStats {
    pub(super) fn new(crowd: Arc<Crowd>) -> Self {
        Self(crowd)
    }

    /// Connections that speak HTTP now. Those that became WebSockets are counted by
    /// [their endpoint](crate::Endpoint::connections).
    #[must_use]
    pub fn connections(&self) -> usize {
        self.0.len()
    }

    /// Connections refused because there were too many.
    #[must_use]
    pub fn connections_refused(&self) -> u64 {
        self.0.refused.get()
    }

    /// Connections closed because a request's head didn't come in time.
    #[must_use]
    pub fn heads_timed_out(&self) -> u64 {
        self.0.timed_out.get()
    }

    /// Connections closed because their client didn't read what it was sent.
    #[must_use]
    pub fn answers_timed_out(&self) -> u64 {
        self.0.slow_readers.get()
    }

    /// Bodies of requests that didn't come in time.
    #[must_use]
    pub fn bodies_timed_out(&self) -> u64 {
        self.0.slow_bodies.get()
    }
}

impl fmt::Debug for ServeStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServeStats")
            .field("connections", &self.connections())
            .field("connections_refused", &self.connections_refused())
            .field("heads_timed_out", &self.heads_timed_out())
            .field("bodies_timed_out", &self.bodies_timed_out())
            .field("answers_timed_out", &self.answers_timed_out())
            .finish()
    }
}
