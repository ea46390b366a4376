//! Drives trackers: locks, the clock, and who publishes.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use bennu_wire::Topic;
use tokio::{runtime::Handle, time::Instant};

use super::{
    Listing, Meta, Owner, PresenceDiff, PresenceEntry, PresenceError, PresenceOptions, PresenceRef,
    Presences, Replica, ReplicaEvent, Replication, RosterStats, Shards, Tracker,
    gossip::{Beginning, Gossip},
    meta::hash,
};
use crate::Cluster;

/// Trackers, each with its topics and its lock. Not more than the bits of [`Member::shards`].
const SHARDS: usize = 32;
/// Diffs that a caller publishes in one go. More are published by a task.
const DIFFS_AT_ONCE: usize = 64;

/// The presences of one node: trackers, which it tells the time and whose diffs it hands to `publish`.
/// Clones share the same presences.
///
/// Diffs of one topic are published one at a time and in order. A diff has been handed over when the call
/// that caused it returns, unless another task is publishing just then: that one goes on with it.
#[derive(Clone)]
pub struct Roster {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    shards: Box<[Mutex<Shard>]>,
    keys_max: usize,
    owners: AtomicU64,
    publish: Box<dyn Fn(PresenceDiff) + Send + Sync>,
    /// Where there are other nodes.
    gossip: Option<Arc<Gossip>>,
}

/// A roster's trackers, as a replication sees them.
pub(super) struct Trackers(pub(super) Arc<Inner>);

struct Shard {
    tracker: Tracker,
    /// Somebody takes diffs and publishes them, without holding the lock meanwhile.
    publishing: bool,
    /// A task waits for the next deadline.
    timer: bool,
}

/// Somebody who is present: what it tracks ends when it is dropped.
///
/// Phoenix's process in `track(pid, topic, key, meta)`.
pub struct Member {
    roster: Arc<Inner>,
    owner: Owner,
    /// Bit by bit, the shards in which it may have something.
    shards: AtomicU64,
    keys: AtomicUsize,
}

impl Roster {
    /// A roster without presences. `name` tells the rosters of one replica apart; `publish` is called with
    /// each diff; it may not block, and a panic in it goes no further.
    #[must_use]
    pub fn new(
        replica: &Replica,
        name: &str,
        options: &PresenceOptions,
        publish: impl Fn(PresenceDiff) + Send + Sync + 'static,
    ) -> Self {
        Self {
            inner: Arc::new(Inner::new(replica, name, options, Box::new(publish), None)),
        }
    }

    /// As [`new`](Self::new), together with the rosters of that name on the other nodes of a cluster: each shows what
    /// all of them track. `start` grows from start to start of the node, as a clock does. `report` is called with
    /// what happens among the nodes; it may not block.
    ///
    /// It begins with its first use within a tokio runtime, or with [`begin`](Self::begin).
    #[must_use]
    pub fn clustered(
        cluster: &Cluster,
        start: u64,
        name: &str,
        options: &PresenceOptions,
        publish: impl Fn(PresenceDiff) + Send + Sync + 'static,
        report: impl Fn(ReplicaEvent) + Send + 'static,
    ) -> Self {
        let replica = Replica {
            node: cluster.node().name.as_str().into(),
            start,
        };
        let replication = Replication::new(&replica, name, SHARDS, options, now());
        let gossip = Gossip::new(cluster, name, replication.bye());
        let publish = Box::new(publish);
        let inner = Inner::new(&replica, name, options, publish, Some(gossip.clone()));
        for shard in &inner.shards {
            lock(shard).tracker.replicate();
        }
        let inner = Arc::new(inner);
        gossip.prepare(Beginning {
            replication,
            trackers: Arc::downgrade(&inner),
            report: Box::new(report),
        });
        Self { inner }
    }

    /// Makes itself known to other nodes and listens to them, if there are any and it hasn't begun. Without a tokio
    /// runtime it does nothing.
    pub fn begin(&self) {
        self.inner.begin();
    }

    /// Tells other nodes that all who are present here have left, as a node does that ends. They say so at once, not
    /// after [`PresenceOptions::down_after`]. From then on nothing is told to others.
    pub fn leave(&self) {
        if let Some(gossip) = &self.inner.gossip {
            gossip.end();
        }
    }

    /// How it gets on with other nodes. All zero where there are none.
    #[must_use]
    pub fn stats(&self) -> RosterStats {
        let gossip = self.inner.gossip.as_ref();
        gossip.map(|it| it.stats()).unwrap_or_default()
    }

    /// Somebody new, who tracks nothing yet.
    #[must_use]
    pub fn member(&self) -> Member {
        Member {
            roster: self.inner.clone(),
            owner: Owner(self.inner.owners.fetch_add(1, Ordering::Relaxed)),
            shards: AtomicU64::new(0),
            keys: AtomicUsize::new(0),
        }
    }

    /// Whether both are the same presences.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// See [`Tracker::list`].
    #[must_use]
    pub fn list(&self, topic: &Topic) -> Presences {
        self.inner.of(topic).1.tracker.list(topic)
    }

    /// Shows what is present without copying it. The topic doesn't change while `show` runs, and changes
    /// from then on are published after it returns: so a list that `show` queues for a client precedes the
    /// diffs that follow from it.
    pub fn show<R>(&self, topic: &Topic, show: impl FnOnce(Listing<'_>) -> R) -> R {
        show(self.inner.of(topic).1.tracker.listing(topic))
    }

    /// See [`Tracker::get_by_key`].
    #[must_use]
    pub fn get_by_key(&self, topic: &Topic, key: &str) -> Option<PresenceEntry> {
        self.inner.of(topic).1.tracker.get_by_key(topic, key)
    }

    /// See [`Tracker::presences`].
    #[must_use]
    pub fn presences(&self) -> usize {
        let shards = self.inner.shards.iter();
        shards.map(|it| lock(it).tracker.presences()).sum()
    }

    /// See [`Tracker::count`].
    #[must_use]
    pub fn count(&self, topic: &Topic) -> usize {
        self.inner.of(topic).1.tracker.count(topic)
    }

    /// See [`Tracker::count_keys`].
    #[must_use]
    pub fn count_keys(&self, topic: &Topic) -> usize {
        self.inner.of(topic).1.tracker.count_keys(topic)
    }

    /// See [`Tracker::count_key`].
    #[must_use]
    pub fn count_key(&self, topic: &Topic, key: &str) -> usize {
        self.inner.of(topic).1.tracker.count_key(topic, key)
    }
}

impl Member {
    /// Whether it is one of that roster's.
    #[must_use]
    pub fn is_of(&self, roster: &Roster) -> bool {
        Arc::ptr_eq(&self.roster, &roster.inner)
    }

    /// Adds a presence. It leaves when it is untracked or this member is dropped.
    ///
    /// # Errors
    /// As [`Tracker::track`]; or this member tracks [`PresenceOptions::keys_max`] keys already.
    pub fn track(
        &self,
        topic: &Topic,
        key: &str,
        meta: &Meta,
    ) -> Result<PresenceRef, PresenceError> {
        let keys_max = self.roster.keys_max;
        let keys = self.keys.fetch_add(1, Ordering::Relaxed);
        let (index, mut shard) = self.roster.of(topic);
        let tracked = if keys < keys_max {
            shard.tracker.track(self.owner, topic, key, meta, now())
        } else {
            Err(PresenceError::Limit("keys_max", keys_max, keys + 1))
        };
        if tracked.is_err() {
            self.keys.fetch_sub(1, Ordering::Relaxed);
        }
        self.shards.fetch_or(1 << index, Ordering::Relaxed);
        self.roster.settle_own(index, shard);
        tracked
    }

    /// Replaces the meta of a presence.
    ///
    /// # Errors
    /// As [`Tracker::update`].
    pub fn update(
        &self,
        topic: &Topic,
        key: &str,
        meta: &Meta,
    ) -> Result<PresenceRef, PresenceError> {
        let (index, mut shard) = self.roster.of(topic);
        let updated = shard.tracker.update(self.owner, topic, key, meta, now());
        self.roster.settle_own(index, shard);
        updated
    }

    /// Removes a presence; nothing happens when there is none.
    pub fn untrack(&self, topic: &Topic, key: &str) {
        let (index, mut shard) = self.roster.of(topic);
        if shard.tracker.untrack(self.owner, topic, key, now()) {
            self.keys.fetch_sub(1, Ordering::Relaxed);
        }
        self.roster.settle_own(index, shard);
    }

    /// Removes all presences of this member.
    pub fn untrack_all(&self) {
        let shards = self.shards.swap(0, Ordering::Relaxed);
        for (index, shard) in self.roster.shards.iter().enumerate() {
            if shards & (1 << index) != 0 {
                let mut shard = lock(shard);
                let gone = shard.tracker.untrack_owner(self.owner, now());
                self.keys.fetch_sub(gone, Ordering::Relaxed);
                self.roster.settle_own(index, shard);
            }
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.untrack_all();
    }
}

impl Inner {
    fn new(
        replica: &Replica,
        name: &str,
        options: &PresenceOptions,
        publish: Box<dyn Fn(PresenceDiff) + Send + Sync>,
        gossip: Option<Arc<Gossip>>,
    ) -> Self {
        let shard = |index| {
            Mutex::new(Shard {
                tracker: Tracker::new(replica, &format!("{name}/{index}"), options.clone()),
                publishing: false,
                timer: false,
            })
        };
        Self {
            shards: (0..SHARDS).map(shard).collect(),
            keys_max: options.keys_max,
            owners: AtomicU64::new(0),
            publish,
            gossip,
        }
    }

    fn begin(&self) {
        if let Some(gossip) = &self.gossip {
            gossip.begin();
        }
    }

    fn of(&self, topic: &Topic) -> (usize, MutexGuard<'_, Shard>) {
        self.begin();
        let index = hash(&[topic.as_bytes()]) as usize % SHARDS;
        match self.shards.get(index) {
            Some(shard) => (index, lock(shard)),
            None => unreachable!("{index} of {SHARDS} shards"),
        }
    }

    /// After a call of this node that may have changed something: others are told as well.
    fn settle_own(self: &Arc<Self>, index: usize, shard: MutexGuard<'_, Shard>) {
        self.settle(index, shard);
        if let Some(gossip) = &self.gossip {
            gossip.change();
        }
    }

    /// After a call that may have changed something: sees to it that the time is told and diffs are published.
    fn settle(self: &Arc<Self>, index: usize, mut shard: MutexGuard<'_, Shard>) {
        let timer = timer(&mut shard);
        self.publish(index, shard);
        self.start_timer(index, timer);
    }

    fn start_timer(self: &Arc<Self>, index: usize, timer: Option<Handle>) {
        if let Some(runtime) = timer {
            let duty = Duty::new(self, index, |shard| shard.timer = false);
            runtime.spawn(keep_time(duty));
        }
    }

    fn publish(self: &Arc<Self>, index: usize, mut shard: MutexGuard<'_, Shard>) {
        if std::mem::replace(&mut shard.publishing, true) {
            return;
        }
        if let Some(shard) = self.publish_some(index, shard) {
            drop(shard);
            match Handle::try_current() {
                Ok(runtime) => {
                    let duty = Duty::new(self, index, |shard| shard.publishing = false);
                    runtime.spawn(keep_publishing(self.clone(), duty));
                }
                Err(_) => while self.publish_more(index) {},
            }
        }
    }

    /// Publishes what there is. The lock comes back when there's more than one should do in one go; else
    /// nobody is publishing any more.
    fn publish_some<'a>(
        self: &'a Arc<Self>,
        index: usize,
        mut shard: MutexGuard<'a, Shard>,
    ) -> Option<MutexGuard<'a, Shard>> {
        for _ in 0..DIFFS_AT_ONCE {
            let diff = shard.tracker.poll_diff();
            shard.publishing = diff.is_some();
            // What was late may have opened a window.
            let timer = timer(&mut shard);
            drop(shard);
            self.start_timer(index, timer);
            let diff = diff?;
            // The panic hook tells of a panic. It isn't the caller's, who may be unwinding already.
            drop(catch_unwind(AssertUnwindSafe(|| (self.publish)(diff))));
            shard = self.shards.get(index).map(lock)?;
        }
        Some(shard)
    }

    fn publish_more(self: &Arc<Self>, index: usize) -> bool {
        let shard = self.shards.get(index).map(lock);
        shard.is_some_and(|shard| self.publish_some(index, shard).is_some())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Nobody is present here any more, so others needn't wait until that's plain.
        if let Some(gossip) = &self.gossip {
            gossip.end();
        }
    }
}

impl Shards for Trackers {
    fn with<R>(&mut self, shard: usize, act: impl FnOnce(&mut Tracker) -> R) -> Option<R> {
        let mut guard = self.0.shards.get(shard).map(lock)?;
        let result = act(&mut guard.tracker);
        self.0.settle(shard, guard);
        Some(result)
    }
}

/// Where to start a timer, if there's need of one. Tasks are started without the lock: one that is started
/// while its runtime ends is dropped on the spot.
fn timer(shard: &mut Shard) -> Option<Handle> {
    if shard.timer || shard.tracker.poll_timeout().is_none() {
        return None;
    }
    if let Ok(runtime) = Handle::try_current() {
        shard.timer = true;
        return Some(runtime);
    }
    // Outside a runtime nobody can wait: the windows end at once.
    while let Some(deadline) = shard.tracker.poll_timeout() {
        shard.tracker.handle_timeout(deadline);
    }
    None
}

/// What a task has taken over from a shard. It falls back when the task is dropped with its runtime.
struct Duty {
    roster: Weak<Inner>,
    index: usize,
    done: bool,
    fall_back: fn(&mut Shard),
}

impl Duty {
    fn new(roster: &Arc<Inner>, index: usize, fall_back: fn(&mut Shard)) -> Self {
        Self {
            roster: Arc::downgrade(roster),
            index,
            done: false,
            fall_back,
        }
    }
}

impl Drop for Duty {
    fn drop(&mut self) {
        if !self.done
            && let Some(roster) = self.roster.upgrade()
            && let Some(mut shard) = roster.shards.get(self.index).map(lock)
        {
            (self.fall_back)(&mut shard);
        }
    }
}

async fn keep_publishing(roster: Arc<Inner>, mut duty: Duty) {
    while roster.publish_more(duty.index) {
        tokio::task::yield_now().await;
    }
    duty.done = true;
}

/// Ends windows in time, while any is open.
async fn keep_time(mut duty: Duty) {
    loop {
        let deadline = {
            let Some(roster) = duty.roster.upgrade() else {
                return;
            };
            let Some(mut shard) = roster.shards.get(duty.index).map(lock) else {
                return;
            };
            shard.tracker.handle_timeout(now());
            let deadline = shard.tracker.poll_timeout();
            shard.timer = deadline.is_some();
            duty.done = deadline.is_none();
            roster.publish(duty.index, shard);
            deadline
        };
        let Some(deadline) = deadline else { return };
        tokio::time::sleep_until(deadline.into()).await;
    }
}

/// The runtime's clock, which tests can stop.
fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// A poisoned lock is taken all the same: a tracker doesn't panic halfway.
fn lock(mutex: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Roster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roster").finish_non_exhaustive()
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("owner", &self.owner)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}
