//! The topics of one node.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{Arc, PoisonError, Weak, atomic::Ordering},
};

use bennu_wire::{Broadcast, Topic};
use hashbrown::HashTable;

use crate::{
    Adapter, AdapterHealth, Cluster, ClusterOptions, Interest, NodeName, Receiver, Subscriber,
    node::{Origin, Progress, Subscribers},
    sync::{AtomicU32, AtomicU64, Mutex, MutexGuard},
};

/// Pairs of counters, so that threads that broadcast in different topics don't wait for each other.
const COUNTS: usize = 16;

/// Maps of topics, each behind its own lock; a power of two.
const SHARDS: usize = 64;

/// Topics and their subscribers on one node, and the way to the other nodes. Clones share the same topics.
///
/// Phoenix's `Phoenix.PubSub`.
#[derive(Clone)]
pub struct PubSub {
    registry: Arc<Registry>,
}

pub(crate) struct Registry {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    /// None on a single node, which then pays nothing for others.
    cluster: Option<Cluster>,
    counts: [Counts; COUNTS],
}

/// On a cache line of its own.
#[derive(Default)]
#[repr(align(64))]
struct Counts {
    broadcasts: AtomicU64,
    deliveries: AtomicU64,
}

/// What was broadcast on a node since its start: see [`PubSub::stats`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PubSubStats {
    /// Broadcasts to topics that had subscribers here, of this node and of others.
    pub broadcasts: u64,
    /// Their deliveries, one for each subscriber. Those of a broadcast that is under way count when it's done.
    pub deliveries: u64,
}

/// By the topic, which stands in the node alone: there may be a million of them.
type Shard = HashTable<Arc<Node>>;

/// One topic that has subscribers.
struct Node {
    topic: Topic,
    registry: Weak<Registry>,
    /// Subscriptions, counted up under the shard's lock: while it isn't zero the node stays in the map.
    subscriptions: AtomicU32,
    subscribers: Mutex<Subscribers>,
}

/// A place among the subscribers of a topic. Dropping it unsubscribes.
pub struct Subscription {
    node: Arc<Node>,
    slot: u32,
}

impl PubSub {
    /// The topics of a single node, for which there are no others.
    #[must_use]
    pub fn new() -> Self {
        Self {
            registry: Arc::new(Registry::new(None)),
        }
    }

    /// The topics of a node that reaches others through `adapter`.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use bennu_pubsub::{ClusterOptions, LocalBus, PubSub};
    /// use bennu_wire::{Broadcast, Payload};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let bus = LocalBus::new();
    /// let node = || PubSub::clustered(Arc::new(bus.adapter()), ClusterOptions::new());
    /// let (here, there) = (node(), node());
    /// let mut room = there.receiver("room:1");
    /// room.registered().await;
    /// here.broadcast(&Broadcast::new("room:1", "new_msg", Payload::empty()).into());
    /// assert_eq!(room.recv().await.event(), "new_msg");
    /// # }
    /// ```
    #[must_use]
    pub fn clustered(adapter: Arc<dyn Adapter>, options: ClusterOptions) -> Self {
        Self {
            registry: Arc::new_cyclic(|registry| {
                let cluster = Cluster::new(adapter, options, registry.clone());
                Registry::new(Some(cluster))
            }),
        }
    }

    /// This node's place among others, where there may be some.
    #[must_use]
    pub fn cluster(&self) -> Option<&Cluster> {
        self.registry.cluster.as_ref()
    }

    /// Tells the bus that this node wants to hear `topic`, as a subscriber to it would. `None` on a single node.
    ///
    /// Who has to know that nothing is missed from some moment on subscribes while it holds an interest that is
    /// [registered](Interest::registered).
    #[must_use = "dropping an interest ends it"]
    pub fn interest(&self, topic: &str) -> Option<Interest> {
        Some(self.registry.cluster.as_ref()?.interest(topic))
    }

    /// Adds `subscriber` to `topic`, in constant time. It hears what is broadcast from now on, under `key`,
    /// until the subscription is dropped. The same subscriber may subscribe several times, and then hears a
    /// broadcast as often.
    #[must_use = "dropping a subscription unsubscribes it"]
    pub fn subscribe(
        &self,
        topic: impl Into<Topic>,
        subscriber: Arc<dyn Subscriber>,
        key: u64,
    ) -> Subscription {
        let topic = topic.into();
        let node = {
            let hash = self.registry.hash(&topic);
            let mut shard = self.registry.shard(hash);
            let entry = shard.entry(
                hash,
                |it| it.topic == topic,
                |it| self.registry.hash(&it.topic),
            );
            let mut is_new = false;
            let node = entry.or_insert_with(|| {
                is_new = true;
                Arc::new(Node {
                    topic: topic.clone(),
                    registry: Arc::downgrade(&self.registry),
                    subscriptions: AtomicU32::new(0),
                    subscribers: Mutex::default(),
                })
            });
            let node = node.get();
            node.subscriptions.fetch_add(1, Ordering::Relaxed);
            let node = node.clone();
            drop(shard);
            if is_new && let Some(cluster) = &self.registry.cluster {
                cluster.enter(&topic);
            }
            node
        };
        let slot = lock(&node.subscribers).insert(subscriber, key);
        Subscription { node, slot }
    }

    /// The topic's name as its subscribers have it, if there are any: a long text is there once for all who keep that.
    #[must_use]
    pub fn named(&self, topic: &str) -> Option<Topic> {
        self.registry.find(topic).map(|it| it.topic.clone())
    }

    /// Subscribes application code to `topic`: see [`Receiver`].
    #[must_use = "dropping a receiver unsubscribes it"]
    pub fn receiver(&self, topic: impl Into<Topic>) -> Receiver {
        Receiver::new(self, topic.into())
    }

    /// Delivers `broadcast` to all subscribers of its topic, on every node. Phoenix's `broadcast/3`.
    pub fn broadcast(&self, broadcast: &Arc<Broadcast>) {
        self.local_broadcast(broadcast);
        self.registry.publish(broadcast);
    }

    /// Delivers `broadcast` to the subscribers of its topic on one node. Phoenix's `direct_broadcast/4`.
    ///
    /// Nobody hears it when there is no node of that name.
    pub fn direct_broadcast(&self, node: &NodeName, broadcast: &Arc<Broadcast>) {
        match &self.registry.cluster {
            Some(cluster) if cluster.node().name == *node => self.local_broadcast(broadcast),
            Some(cluster) => cluster.broadcast_to(node, broadcast),
            None => {}
        }
    }

    /// Delivers `broadcast` to the subscribers of its topic on this node. Phoenix's `local_broadcast/3`.
    pub fn local_broadcast(&self, broadcast: &Arc<Broadcast>) {
        let node = self.registry.find(broadcast.topic());
        if let Some(node) = node {
            node.broadcast(broadcast, None);
        }
    }

    /// How many broadcasts there were, and deliveries: their quotient is the fan-out.
    #[must_use]
    pub fn stats(&self) -> PubSubStats {
        let mut stats = PubSubStats::default();
        for counts in &self.registry.counts {
            stats.broadcasts += counts.broadcasts.load(Ordering::Relaxed);
            stats.deliveries += counts.deliveries.load(Ordering::Relaxed);
        }
        stats
    }

    /// How the way to the other nodes is.
    #[must_use]
    pub fn adapter_health(&self) -> AdapterHealth {
        let cluster = self.registry.cluster.as_ref();
        cluster.map(Cluster::health).unwrap_or_default()
    }

    /// How many topics have subscribers on this node.
    #[must_use]
    pub fn topics(&self) -> usize {
        self.registry.shards.iter().map(|it| lock(it).len()).sum()
    }

    /// How many subscriptions `topic` has on this node.
    #[must_use]
    pub fn subscriptions(&self, topic: &Topic) -> usize {
        let node = self.registry.find(topic);
        node.map_or(0, |it| it.subscriptions.load(Ordering::Relaxed) as usize)
    }
}

impl Subscription {
    /// The topic subscribed to.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.node.topic
    }

    /// Delivers `broadcast` to all subscribers of this subscription's topic on every node, its own included.
    ///
    /// It stands in this subscriber's own outbox when the call returns, so it precedes whatever the
    /// subscriber sends next.
    pub fn broadcast(&self, broadcast: &Arc<Broadcast>) {
        self.publish(broadcast, true);
    }

    /// As [`broadcast`](Self::broadcast), but this subscription doesn't hear it. Phoenix's `broadcast_from/4`.
    pub fn broadcast_from(&self, broadcast: &Arc<Broadcast>) {
        self.publish(broadcast, false);
    }

    /// As [`broadcast`](Self::broadcast), on this node only.
    pub fn local_broadcast(&self, broadcast: &Arc<Broadcast>) {
        self.deliver(broadcast, true);
    }

    /// As [`broadcast_from`](Self::broadcast_from), on this node only. Phoenix's `local_broadcast_from/4`.
    pub fn local_broadcast_from(&self, broadcast: &Arc<Broadcast>) {
        self.deliver(broadcast, false);
    }

    fn publish(&self, broadcast: &Arc<Broadcast>, echo: bool) {
        self.deliver(broadcast, echo);
        if let Some(registry) = self.node.registry.upgrade() {
            registry.publish(broadcast);
        }
    }

    fn deliver(&self, broadcast: &Arc<Broadcast>, echo: bool) {
        debug_assert_eq!(broadcast.topic(), self.topic());
        let origin = Origin {
            slot: self.slot,
            echo,
        };
        self.node.broadcast(broadcast, Some(origin));
    }
}

impl Node {
    fn broadcast(self: &Arc<Self>, broadcast: &Arc<Broadcast>, origin: Option<Origin>) {
        let progress = lock(&self.subscribers).broadcast(broadcast, origin);
        match progress {
            Progress::Delivered(delivered) => return self.count(1, delivered),
            Progress::Queued => return self.count(1, 0),
            Progress::Begun => self.count(1, 0),
        }
        let mut steps = Steps {
            node: self.clone(),
            done: false,
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => {
                runtime.spawn(async move {
                    loop {
                        steps.done = steps.node.step();
                        if steps.done {
                            return;
                        }
                        tokio::task::yield_now().await;
                    }
                });
            }
            // Outside a runtime there is nobody to hand the rest to.
            Err(_) => drop(steps),
        }
    }

    fn step(self: &Arc<Self>) -> bool {
        let done = lock(&self.subscribers).step();
        if let Some(delivered) = done {
            self.count(0, delivered);
        }
        done.is_some()
    }

    fn count(self: &Arc<Self>, broadcasts: u64, delivered: usize) {
        let Some(registry) = self.registry.upgrade() else {
            return;
        };
        // Nodes lie some hundred bytes apart.
        let at = (Arc::as_ptr(self) as usize >> 7) % COUNTS;
        if let Some(counts) = registry.counts.get(at) {
            counts.broadcasts.fetch_add(broadcasts, Ordering::Relaxed);
            let delivered = delivered as u64;
            counts.deliveries.fetch_add(delivered, Ordering::Relaxed);
        }
    }
}

/// What is left to do for a large topic. It's done in any case, also when the task's runtime ends before it.
struct Steps {
    node: Arc<Node>,
    done: bool,
}

impl Drop for Steps {
    fn drop(&mut self) {
        while !self.done {
            self.done = self.node.step();
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let subscriber = lock(&self.node.subscribers).remove(self.slot);
        drop(subscriber);
        if self.node.subscriptions.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        let Some(registry) = self.node.registry.upgrade() else {
            return;
        };
        let hash = registry.hash(&self.node.topic);
        let mut shard = registry.shard(hash);
        // Somebody may have subscribed since, or even have made a new node of the same name.
        let unused = self.node.subscriptions.load(Ordering::Acquire) == 0;
        if unused && let Ok(entry) = shard.find_entry(hash, |it| Arc::ptr_eq(it, &self.node)) {
            entry.remove();
            drop(shard);
            if let Some(cluster) = &registry.cluster {
                cluster.leave(&self.node.topic);
            }
        }
    }
}

/// Delivers a broadcast of another node, which is made if somebody is there to hear it, of the topic as it's kept here.
pub(crate) fn deliver<E>(
    registry: &Registry,
    topic: &str,
    make: impl FnOnce(Topic) -> Result<Arc<Broadcast>, E>,
) -> Result<(), E> {
    if let Some(node) = registry.find(topic) {
        node.broadcast(&make(node.topic.clone())?, None);
    }
    Ok(())
}

impl Registry {
    fn new(cluster: Option<Cluster>) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            cluster,
            counts: Default::default(),
        }
    }

    fn publish(&self, broadcast: &Broadcast) {
        if let Some(cluster) = &self.cluster {
            cluster.broadcast(broadcast);
        }
    }

    fn find(&self, topic: &str) -> Option<Arc<Node>> {
        let hash = self.hash(topic);
        self.shard(hash)
            .find(hash, |it| it.topic.as_str() == topic)
            .cloned()
    }

    fn hash(&self, topic: &str) -> u64 {
        self.hasher.hash_one(topic)
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard> {
        // The map goes by the high and the low bits of the hash.
        let index = (hash >> 32) as usize % SHARDS;
        match self.shards.get(index) {
            Some(shard) => lock(shard),
            None => unreachable!("{index} of {SHARDS} shards"),
        }
    }
}

impl Default for PubSub {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for PubSub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PubSub")
            .field("topics", &self.topics())
            .field("cluster", &self.registry.cluster)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("topic", self.topic())
            .finish_non_exhaustive()
    }
}

/// A poisoned lock is taken all the same: nothing here is left half done by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
