//! Requests that come to another node than the one that has their session: they are passed on over the bus.
//!
//! The node that a request came to checks its origin, reads its body, and asks the session's node, which a token names.
//! That one checks the token again and says at once whether it has the session; where it says nothing, it's dead or
//! out of reach, and the session counts as gone. An answer's messages stay with their session until the asking node
//! has told what became of it, so that a poll that hangs up loses nothing here either.

mod asking;
mod counts;
#[cfg(feature = "fuzzing")]
mod fuzzing;
mod inbox;
mod message;
mod serving;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use bennu_pubsub::{Cluster, NodeId, Service, ServiceTag};
use bytes::Bytes;
use tokio::{runtime::Handle, sync::mpsc::UnboundedReceiver};

pub(crate) use asking::{Accepted, Asking, Passed, Relayed};
pub(crate) use counts::RelayStats;
use counts::{Counts, Failed};
#[cfg(feature = "fuzzing")]
pub use fuzzing::relay as relay_fuzzing;
use inbox::{Heard, Inbox, Memory, Pieces};
use message::{Ask, Message, Part, Said, Told, What};

use super::Desk;

/// Requests of clients here that other nodes are asked about, and requests of other nodes that are served here: at
/// most so many of each. What is beyond is refused with HTTP status 503.
const REQUESTS_MAX: usize = 65_536;
/// What is sent in one message over the bus, whose limits may be as low as a megabyte.
const PART_BYTES_MAX: usize = 256 * 1024;

/// One node's part in passing requests on.
pub(crate) struct Relay {
    cluster: Cluster,
    desks: Mutex<Vec<(Box<str>, Weak<Desk>)>>,
    /// Requests of clients here, by number.
    asked: Mutex<HashMap<u64, Asked>>,
    last_number: AtomicU64,
    /// Requests of other nodes' clients.
    served: Mutex<HashMap<(NodeId, u64), Inbox<Said>>>,
    memory: Memory,
    counts: Counts,
}

struct Asked {
    /// Nobody else may answer.
    home: NodeId,
    inbox: Inbox<Told>,
}

impl Relay {
    /// A relay that hears what other nodes ask for.
    pub(crate) fn new(cluster: &Cluster) -> Arc<Self> {
        let relay = Arc::new(Self {
            cluster: cluster.clone(),
            desks: Mutex::default(),
            asked: Mutex::default(),
            last_number: AtomicU64::new(0),
            served: Mutex::default(),
            memory: Memory::default(),
            counts: Counts::new(),
        });
        let inlet = Inlet(Arc::downgrade(&relay));
        cluster.serve(ServiceTag::LONG_POLL, Arc::new(inlet));
        relay
    }

    /// The node that this is.
    pub(crate) fn node(&self) -> &NodeId {
        self.cluster.node()
    }

    pub(crate) fn stats(&self) -> RelayStats {
        // Read in this order, no request is missing.
        let relayed = self.counts.relayed.get();
        RelayStats {
            relayed,
            answered: self.counts.answered.get(),
            failed: self.counts.failed.iter().collect(),
            relaying: lock(&self.asked).len(),
            served: self.counts.served.get(),
            refused: self.counts.refused.get(),
            serving: lock(&self.served).len(),
            bytes: self.memory.bytes(),
        }
    }

    /// Serves requests for the sessions of a mount.
    pub(super) fn add(&self, mount: &str, desk: &Arc<Desk>) {
        lock(&self.desks).push((mount.into(), Arc::downgrade(desk)));
    }

    fn desk(&self, mount: &str) -> Option<Arc<Desk>> {
        let desks = lock(&self.desks);
        let (_, desk) = desks.iter().find(|(it, _)| **it == *mount)?;
        desk.upgrade()
    }

    fn send(&self, to: &NodeId, number: u64, what: What) {
        if let Some(message) = (Message { number, what }).encode() {
            self.cluster.send_to(to, ServiceTag::LONG_POLL, &message);
        }
    }

    /// Sends something long in parts.
    fn send_parts(&self, to: &NodeId, number: u64, all: &Bytes, part: impl Fn(Part) -> What) {
        let mut at = 0;
        while at < all.len() {
            let end = all.len().min(at + PART_BYTES_MAX);
            let bytes = all.slice(at..end);
            self.send(to, number, part(Part { at, bytes }));
            at = end;
        }
    }

    fn told(&self, from: &NodeId, number: u64, told: Told) {
        let bytes = match &told {
            Told::Part(part) => part.bytes.len(),
            Told::Closed(_, why) => why.len(),
            _ => 0,
        };
        let mut asked = lock(&self.asked);
        if let Some(request) = asked.get_mut(&number).filter(|it| it.home == *from)
            && !request.inbox.put(told, bytes, &self.memory)
        {
            // Whoever waits for the answer learns that there will be none.
            let request = asked.remove(&number);
            drop(asked);
            drop(request);
        }
    }

    fn said(self: &Arc<Self>, from: &NodeId, number: u64, said: Said) {
        let said = match said {
            Said::Ask(ask) => return self.begin(from, number, ask),
            said => said,
        };
        let bytes = match &said {
            Said::Body(part) => part.bytes.len(),
            _ => 0,
        };
        let key = (from.clone(), number);
        let mut served = lock(&self.served);
        if let Some(inbox) = served.get_mut(&key)
            && !inbox.put(said, bytes, &self.memory)
        {
            let request = served.remove(&key);
            drop(served);
            drop(request);
        }
    }

    /// Serves a request of another node's client.
    fn begin(self: &Arc<Self>, from: &NodeId, number: u64, ask: Ask) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let (inbox, saying) = Inbox::new();
        {
            let mut served = lock(&self.served);
            if served.len() >= REQUESTS_MAX {
                drop(served);
                self.counts.refused.add(1);
                return self.send(from, number, What::Told(Told::Busy));
            }
            match served.entry((from.clone(), number)) {
                // Whoever says so twice is none of ours.
                Entry::Occupied(_) => return,
                Entry::Vacant(place) => place.insert(inbox),
            };
        }
        self.counts.served.add(1);
        runtime.spawn(serving::Serving::new(self.clone(), from.clone(), number, saying).run(ask));
    }

    /// A place for a request to another node, if there is one.
    fn place(&self, home: &NodeId) -> Option<(u64, UnboundedReceiver<Heard<Told>>)> {
        self.counts.relayed.add(1);
        let (inbox, telling) = Inbox::new();
        let number = self.last_number.fetch_add(1, Ordering::Relaxed) + 1;
        let mut asked = lock(&self.asked);
        if asked.len() >= REQUESTS_MAX {
            drop(asked);
            self.counts.fail(Failed::Full);
            return None;
        }
        let home = home.clone();
        asked.insert(number, Asked { home, inbox });
        Some((number, telling))
    }
}

/// What the cluster holds of the relay, without keeping it.
struct Inlet(Weak<Relay>);

impl Service for Inlet {
    fn receive(&self, from: &NodeId, message: Bytes) {
        if let Some(relay) = self.0.upgrade()
            && let Some(Message { number, what }) = Message::decode(message)
        {
            match what {
                What::Said(said) => relay.said(from, number, said),
                What::Told(told) => relay.told(from, number, told),
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").finish_non_exhaustive()
    }
}
