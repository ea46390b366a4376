//! A node among others: who hears what over the bus.

mod interest;
mod ledger;
mod message;
mod options;
mod partition;

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, OnceLock, PoisonError, RwLock, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bennu_wire::{Broadcast, Topic};
use bytes::Bytes;
use tokio::{runtime::Handle, sync::watch};

use crate::{
    Adapter, AdapterHealth, Link, NodeId, NodeName, Subject,
    pubsub::{Registry, deliver},
    tracker::Hub,
};
pub use interest::Interest;
use interest::Partitions;
use message::{Body, Message, Undecodable};
pub use options::ClusterOptions;
use partition::partition;

/// How long an adapter may take to send what is queued when its node ends.
const SHUTDOWN_TIME_MAX: Duration = Duration::from_secs(5);
/// The low bits of a start number are at random, so that two starts in one millisecond differ.
const RANDOM_BITS: u32 = 20;

/// This node's place among the nodes that an [`Adapter`] connects. Clones are of the same node.
///
/// Topics are hashed to partitions, and a node subscribes to the partitions in which it has subscribers. A broadcast
/// is encoded once, published to its topic's partition, and delivered by each node to its own subscribers. Besides,
/// a [`Service`] can send bytes of its own to all nodes or to one.
///
/// It begins with the first use of the [`PubSub`](crate::PubSub) it belongs to within a tokio runtime.
#[derive(Clone)]
pub struct Cluster {
    shared: Arc<Shared>,
}

struct Shared {
    node: NodeId,
    options: ClusterOptions,
    adapter: Arc<dyn Adapter>,
    topics: Weak<Registry>,
    partitions: Partitions,
    services: RwLock<Vec<(ServiceTag, Arc<dyn Service>)>>,
    presences: OnceLock<Arc<Hub>>,
    counters: Arc<Counters>,
    has_begun: AtomicBool,
    /// What a beginning consists of, as far as it's done.
    begun: watch::Sender<Begun>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Begun {
    connected: bool,
    /// Of the node's own two subjects.
    registered: usize,
}

#[derive(Default)]
struct Counters {
    sent: AtomicU64,
    oversized: AtomicU64,
    received: AtomicU64,
    echoes: AtomicU64,
    malformed: AtomicU64,
    unknown: AtomicU64,
    unserved: AtomicU64,
    late: AtomicU64,
    deferred: AtomicU64,
}

/// What a cluster has met on this node, since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterStats {
    /// Messages handed to the adapter: broadcasts, and those of services.
    pub sent: u64,
    /// Messages that were too long to be sent, or too long to be taken.
    pub oversized: u64,
    /// Messages of other nodes.
    pub received: u64,
    /// Messages of this node that came back to it. They are ignored.
    pub echoes: u64,
    /// Messages that no node of ours can have sent. They are ignored.
    pub malformed: u64,
    /// Messages of releases that this one doesn't know. They are ignored.
    pub unknown: u64,
    /// Messages for services that this node doesn't have.
    pub unserved: u64,
    /// Waits for the bus that were given up because it took too long.
    pub registrations_late: u64,
    /// Partitions that couldn't be subscribed to at once because the bus was gone.
    pub registrations_deferred: u64,
    /// Partitions that have subscribers here.
    pub partitions: usize,
}

/// Names a [`Service`] on the bus. Numbers below 128 are Bennu's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ServiceTag(pub u8);

impl ServiceTag {
    /// Presences of the nodes.
    pub const PRESENCE: Self = Self(1);
    /// Long-poll requests on their way to the node of their session.
    pub const LONG_POLL: Self = Self(2);
}

/// Something on each node that talks to its like on other nodes, over the same bus as broadcasts.
///
/// Its methods run where the bus is read: they must put aside what they get, and may not block. They may send.
pub trait Service: Send + Sync + 'static {
    /// A message of another node. It comes from outside, so it may be anything.
    fn receive(&self, from: &NodeId, message: Bytes);

    /// The bus is there, for the first time or again.
    fn connected(&self) {}

    /// The bus is gone.
    fn disconnected(&self) {}
}

impl Cluster {
    pub(crate) fn new(
        adapter: Arc<dyn Adapter>,
        options: ClusterOptions,
        topics: Weak<Registry>,
    ) -> Self {
        let start = start_number();
        let name = options.node.clone().unwrap_or_else(|| unnamed(start));
        Self {
            shared: Arc::new(Shared {
                node: NodeId { name, start },
                partitions: Partitions::new(options.partitions),
                options,
                adapter,
                topics,
                services: RwLock::default(),
                presences: OnceLock::new(),
                counters: Arc::default(),
                has_begun: AtomicBool::new(false),
                begun: watch::Sender::default(),
            }),
        }
    }

    /// This start of this node.
    #[must_use]
    pub fn node(&self) -> &NodeId {
        &self.shared.node
    }

    /// How the bus is.
    #[must_use]
    pub fn health(&self) -> AdapterHealth {
        self.shared.adapter.health()
    }

    /// What this node has met.
    #[must_use]
    pub fn stats(&self) -> ClusterStats {
        let counters = &self.shared.counters;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ClusterStats {
            sent: get(&counters.sent),
            oversized: get(&counters.oversized),
            received: get(&counters.received),
            echoes: get(&counters.echoes),
            malformed: get(&counters.malformed),
            unknown: get(&counters.unknown),
            unserved: get(&counters.unserved),
            registrations_late: get(&counters.late),
            registrations_deferred: get(&counters.deferred),
            partitions: self.shared.partitions.len(),
        }
    }

    /// Has `service` take the messages that others of its kind send, in place of whoever took them before. If the
    /// bus is there already, it isn't told so.
    pub fn serve(&self, tag: ServiceTag, service: Arc<dyn Service>) {
        let services = &self.shared.services;
        let mut services = services.write().unwrap_or_else(PoisonError::into_inner);
        services.retain(|(it, _)| *it != tag);
        services.push((tag, service));
    }

    /// The presences of this node that are told to others, and told of by them.
    pub(crate) fn presences(&self) -> &Arc<Hub> {
        self.shared.presences.get_or_init(|| {
            let hub = Arc::<Hub>::default();
            self.serve(ServiceTag::PRESENCE, hub.clone());
            hub
        })
    }

    /// Sends `message` to a service on all other nodes. It's lost where the bus can't be reached.
    pub fn send_to_all(&self, tag: ServiceTag, message: &[u8]) {
        let encoded = message::service(&self.shared.node, tag.0, 0, message);
        self.send(&Subject::Gossip, encoded);
    }

    /// Sends `message` to a service on one other node, if it's still the same start of that node.
    pub fn send_to(&self, node: &NodeId, tag: ServiceTag, message: &[u8]) {
        let encoded = message::service(&self.shared.node, tag.0, node.start, message);
        self.send(&Subject::Node(node.name.clone()), encoded);
    }

    /// Begins, where it hasn't: connects, and listens to what is for all nodes and for this one. Without a tokio
    /// runtime it does nothing.
    pub fn begin(&self) {
        let shared = &self.shared;
        if shared.has_begun.load(Ordering::Acquire) {
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if shared.has_begun.swap(true, Ordering::AcqRel) {
            return;
        }
        shared
            .adapter
            .start(Arc::new(Inlet(Arc::downgrade(shared))));
        for subject in [Subject::Gossip, Subject::Node(shared.node.name.clone())] {
            let registration = shared.adapter.subscribe(&subject);
            let begun = shared.begun.clone();
            runtime.spawn(async move {
                // Where there's no bus, it's made good when there is.
                let _ = registration.await;
                begun.send_modify(|it| it.registered += 1);
            });
        }
        runtime.spawn(interest::drive(Arc::downgrade(shared)));
    }

    /// Begins, and waits until this node has reached the bus for the first time and is heard and hears there; but not
    /// longer than [`ClusterOptions::registration_time_max`]. Then it says whether that is so.
    pub async fn ready(&self) -> bool {
        self.begin();
        let mut begun = self.shared.begun.subscribe();
        let ready = begun.wait_for(|it| it.connected && it.registered == 2);
        let time_max = self.shared.options.registration_time_max;
        matches!(tokio::time::timeout(time_max, ready).await, Ok(Ok(_)))
    }

    /// Lets go of the bus, within 5 seconds. What was published before is sent, if the bus takes it.
    pub async fn shutdown(&self) {
        let shutdown = self.shared.adapter.shutdown();
        let _ = tokio::time::timeout(SHUTDOWN_TIME_MAX, shutdown).await;
    }

    /// Sends a broadcast to the other nodes that have subscribers in its topic's partition.
    pub(crate) fn broadcast(&self, broadcast: &Broadcast) {
        let subject = Subject::Partition(self.partition(broadcast.topic()));
        self.send(&subject, message::broadcast(&self.shared.node, broadcast));
    }

    /// Sends a broadcast to one other node.
    pub(crate) fn broadcast_to(&self, node: &NodeName, broadcast: &Broadcast) {
        let subject = Subject::Node(node.clone());
        self.send(&subject, message::broadcast(&self.shared.node, broadcast));
    }

    /// A topic has its first subscriber.
    pub(crate) fn enter(&self, topic: &Topic) {
        self.begin();
        self.shared.partitions.enter(self.partition(topic));
    }

    /// A topic has lost its last subscriber.
    pub(crate) fn leave(&self, topic: &Topic) {
        self.shared.partitions.leave(self.partition(topic));
    }

    /// As a subscriber of `topic` would, without being one.
    pub(crate) fn interest(&self, topic: &str) -> Interest {
        self.begin();
        let partition = self.partition(topic);
        self.shared.partitions.enter(partition);
        Interest {
            shared: self.shared.clone(),
            partition,
        }
    }

    fn partition(&self, topic: &str) -> u16 {
        partition(topic, self.shared.options.partitions)
    }

    fn send(&self, subject: &Subject, message: Option<Bytes>) {
        self.begin();
        let counters = &self.shared.counters;
        let bytes_max = self.shared.options.message_bytes_max;
        match message {
            Some(message) if message.len() <= bytes_max => {
                counters.sent.fetch_add(1, Ordering::Relaxed);
                self.shared.adapter.publish(subject, message);
            }
            Some(_) | None => {
                counters.oversized.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Shared {
    fn receive(&self, message: &Bytes) {
        let counters = &self.counters;
        let counter = match self.take(message) {
            Ok(counter) => counter,
            Err(Undecodable::Malformed) => &counters.malformed,
            Err(Undecodable::Unknown) => &counters.unknown,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Hands a message to whom it's for, and says as what it counts.
    fn take(&self, message: &Bytes) -> Result<&AtomicU64, Undecodable> {
        let counters = &self.counters;
        if message.len() > self.options.message_bytes_max {
            return Ok(&counters.oversized);
        }
        let message = Message::decode(message)?;
        if message.is_from(&self.node) {
            return Ok(&counters.echoes);
        }
        match &message.body {
            Body::Broadcast(remote) => {
                if let Some(topics) = self.topics.upgrade() {
                    deliver(&topics, remote.topic, |topic| remote.broadcast(topic))?;
                }
            }
            Body::Service { tag, to, body } => {
                if *to != 0 && *to != self.node.start {
                    // It was for a node of our name that isn't there any more.
                    return Ok(&counters.unserved);
                }
                let from = message.from()?;
                match self.service(ServiceTag(*tag)) {
                    Some(service) => service.receive(&from, body.clone()),
                    None => return Ok(&counters.unserved),
                }
            }
        }
        Ok(&counters.received)
    }

    fn service(&self, tag: ServiceTag) -> Option<Arc<dyn Service>> {
        let services = self.services.read();
        let services = services.unwrap_or_else(PoisonError::into_inner);
        let service = services.iter().find(|(it, _)| *it == tag);
        service.map(|(_, service)| service.clone())
    }

    fn each_service(&self, tell: impl Fn(&dyn Service)) {
        let services = self.services.read();
        let services = services.unwrap_or_else(PoisonError::into_inner).clone();
        for (_, service) in services {
            tell(&*service);
        }
    }
}

/// What the adapter holds of its cluster, without keeping it.
struct Inlet(Weak<Shared>);

impl Link for Inlet {
    fn receive(&self, _: &Subject, message: Bytes) {
        if let Some(shared) = self.0.upgrade() {
            shared.receive(&message);
        }
    }

    fn connected(&self) {
        if let Some(shared) = self.0.upgrade() {
            shared.begun.send_modify(|it| it.connected = true);
            shared.each_service(|it| it.connected());
        }
    }

    fn disconnected(&self) {
        if let Some(shared) = self.0.upgrade() {
            shared.each_service(|it| it.disconnected());
        }
    }
}

/// Milliseconds since 1970, and some bits at random.
fn start_number() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = since.map_or(0, |it| it.as_millis()) as u64;
    let random = RandomState::new().hash_one(millis);
    (millis << RANDOM_BITS) | (random >> (u64::BITS - RANDOM_BITS))
}

/// The name of a node that was given none.
fn unnamed(start: u64) -> NodeName {
    let name = format!("node-{start:x}");
    match NodeName::parse(&name) {
        Ok(name) => name,
        Err(error) => unreachable!("{name}: {error}"),
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("node", &self.shared.node)
            .field("adapter", &self.shared.adapter)
            .finish_non_exhaustive()
    }
}
