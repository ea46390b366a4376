//! Requests that come to another node than the one that has their session: they are passed on over the bus.
//!
//! The node that a request came to checks its origin, reads its body, and asks the session's node, which a token names.
//! That one checks the token again and says at once whether it has the session; where it says nothing, it's dead or
//! out of reach, and the session counts as gone. An answer's messages stay with their session until the asking node
//! has told what became of it, so that a poll that hangs up loses nothing here either.

mod asking;
#[cfg(feature = "fuzzing")]
mod fuzzing;
mod message;
mod serving;

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use bennu_pubsub::{Cluster, NodeId, Service, ServiceTag};
use bytes::Bytes;
use tokio::{
    runtime::Handle,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

pub(crate) use asking::{Accepted, Asking, Passed, Relayed};
#[cfg(feature = "fuzzing")]
pub use fuzzing::relay as relay_fuzzing;
use message::{Ask, Message, Part, Said, Told, What};

use super::Desk;

/// Requests of clients here that other nodes are asked about, and requests of other nodes that are served here: at
/// most so many of each. What is beyond is refused with HTTP status 503.
const REQUESTS_MAX: usize = 65_536;
/// Bodies and answers that have come from other nodes and aren't used up, all together. What is beyond is refused.
const BYTES_MAX: usize = 64 << 20;
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
    served: Mutex<HashMap<(NodeId, u64), Saying>>,
    bytes: Arc<AtomicUsize>,
}

type Saying = UnboundedSender<Heard<Said>>;

struct Asked {
    /// Nobody else may answer.
    home: NodeId,
    told: UnboundedSender<Heard<Told>>,
}

/// Something that came over the bus, and its part of the memory that there is for all.
#[derive(Debug)]
struct Heard<T> {
    what: T,
    bytes: usize,
    all: Arc<AtomicUsize>,
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
            bytes: Arc::default(),
        });
        let inlet = Inlet(Arc::downgrade(&relay));
        cluster.serve(ServiceTag::LONG_POLL, Arc::new(inlet));
        relay
    }

    /// The node that this is.
    pub(crate) fn node(&self) -> &NodeId {
        self.cluster.node()
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

    /// What came, unless there is no room for it.
    fn heard<T>(&self, what: T, bytes: usize) -> Option<Heard<T>> {
        let all = self.bytes.clone();
        let before = all.fetch_add(bytes, Ordering::Relaxed);
        // Gives back what it took where it's dropped.
        let heard = Heard { what, bytes, all };
        (before + bytes <= BYTES_MAX).then_some(heard)
    }

    fn told(&self, from: &NodeId, number: u64, told: Told) {
        let bytes = match &told {
            Told::Part(part) => part.bytes.len(),
            _ => 0,
        };
        let asked = lock(&self.asked);
        if let Some(asked) = asked.get(&number).filter(|it| it.home == *from)
            && let Some(told) = self.heard(told, bytes)
        {
            // Whoever asked may have gone away just now.
            let _ = asked.told.send(told);
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
        let served = lock(&self.served);
        if let Some(request) = served.get(&(from.clone(), number))
            && let Some(said) = self.heard(said, bytes)
        {
            let _ = request.send(said);
        }
    }

    /// Serves a request of another node's client.
    fn begin(self: &Arc<Self>, from: &NodeId, number: u64, ask: Ask) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let (said, saying) = unbounded_channel();
        {
            let mut served = lock(&self.served);
            if served.len() >= REQUESTS_MAX {
                drop(served);
                return self.send(from, number, What::Told(Told::Busy));
            }
            match served.entry((from.clone(), number)) {
                // Whoever says so twice is none of ours.
                Entry::Occupied(_) => return,
                Entry::Vacant(place) => place.insert(said),
            };
        }
        runtime.spawn(serving::Serving::new(self.clone(), from.clone(), number, saying).run(ask));
    }

    /// A place for a request to another node, if there is one.
    fn place(&self, home: &NodeId) -> Option<(u64, UnboundedReceiver<Heard<Told>>)> {
        let (told, telling) = unbounded_channel();
        let number = self.last_number.fetch_add(1, Ordering::Relaxed) + 1;
        let mut asked = lock(&self.asked);
        if asked.len() >= REQUESTS_MAX {
            return None;
        }
        let home = home.clone();
        asked.insert(number, Asked { home, told });
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

impl<T> Drop for Heard<T> {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Puts the parts of something together.
#[derive(Debug)]
struct Pieces {
    bytes: Vec<u8>,
    total: usize,
}

impl Pieces {
    /// Nothing is allocated for what is only said to come.
    fn new(total: usize) -> Self {
        let bytes = Vec::new();
        Self { bytes, total }
    }

    fn is_whole(&self) -> bool {
        self.bytes.len() == self.total
    }

    /// False when something is missing before it, or it's more than was said to come.
    #[must_use]
    fn add(&mut self, part: &Part) -> bool {
        let fits = part.at == self.bytes.len() && part.bytes.len() <= self.total - part.at;
        if fits {
            self.bytes.extend_from_slice(&part.bytes);
        }
        fits
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
