//! Which partitions this node has subscribers in, told to the bus.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{
    Shared,
    ledger::{Ledger, Step},
};
use crate::Subject;

/// Counts the topics of each partition that have subscribers, and wakes who tells the bus. Coming and going in a
/// partition that others are in is an addition.
pub(crate) struct Partitions {
    partitions: Box<[Partition]>,
    /// Partitions that were empty and aren't, or the other way round; each at most once.
    touched: Mutex<Vec<u16>>,
    wake: Arc<Notify>,
}

#[derive(Default)]
struct Partition {
    topics: AtomicU32,
    /// Nobody has to wait for the bus: it's subscribed to, or can't be reached and will be.
    settled: AtomicBool,
    is_touched: AtomicBool,
    waiting: Notify,
}

impl Partitions {
    pub(crate) fn new(partitions: u16) -> Self {
        Self {
            partitions: (0..partitions).map(|_| Partition::default()).collect(),
            touched: Mutex::default(),
            wake: Arc::default(),
        }
    }

    pub(crate) fn enter(&self, partition: u16) {
        if let Some(it) = self.get(partition)
            && it.topics.fetch_add(1, Ordering::SeqCst) == 0
        {
            self.touch(partition);
        }
    }

    pub(crate) fn leave(&self, partition: u16) {
        if let Some(it) = self.get(partition)
            && it.topics.fetch_sub(1, Ordering::SeqCst) == 1
        {
            self.touch(partition);
        }
    }

    /// Whether there's nothing to wait for.
    pub(crate) fn is_settled(&self, partition: u16) -> bool {
        self.get(partition)
            .is_none_or(|it| it.settled.load(Ordering::SeqCst))
    }

    /// Waits until the bus has confirmed, or couldn't.
    pub(crate) async fn settled(&self, partition: u16) {
        let Some(it) = self.get(partition) else {
            return;
        };
        loop {
            let notified = it.waiting.notified();
            if it.settled.load(Ordering::SeqCst) {
                return;
            }
            notified.await;
        }
    }

    /// How many partitions have subscribers here.
    pub(crate) fn len(&self) -> usize {
        let wanted = |it: &&Partition| it.topics.load(Ordering::Relaxed) > 0;
        self.partitions.iter().filter(wanted).count()
    }

    fn get(&self, partition: u16) -> Option<&Partition> {
        self.partitions.get(usize::from(partition))
    }

    fn touch(&self, partition: u16) {
        if let Some(it) = self.get(partition)
            && !it.is_touched.swap(true, Ordering::SeqCst)
        {
            lock(&self.touched).push(partition);
            self.wake.notify_one();
        }
    }

    fn take_touched(&self) -> Vec<u16> {
        let touched = std::mem::take(&mut *lock(&self.touched));
        for partition in &touched {
            if let Some(it) = self.get(*partition) {
                it.is_touched.store(false, Ordering::SeqCst);
            }
        }
        touched
    }

    fn is_wanted(&self, partition: u16) -> bool {
        self.get(partition)
            .is_some_and(|it| it.topics.load(Ordering::SeqCst) > 0)
    }

    fn settle(&self, partition: u16) {
        if let Some(it) = self.get(partition) {
            it.settled.store(true, Ordering::SeqCst);
            it.waiting.notify_waiters();
        }
    }

    /// Whether it may be let go of. Who comes from now on waits for the bus; who came just before keeps it.
    fn unsettle(&self, partition: u16) -> bool {
        let Some(it) = self.get(partition) else {
            return true;
        };
        it.settled.store(false, Ordering::SeqCst);
        if it.topics.load(Ordering::SeqCst) == 0 {
            return true;
        }
        self.settle(partition);
        false
    }
}

/// Tells the bus what this node is interested in, until the cluster is gone.
pub(crate) async fn drive(shared: Weak<Shared>) {
    let (wake, mut ledger) = match shared.upgrade() {
        Some(shared) => {
            let options = &shared.options;
            let ledger = Ledger::new(options.partitions, options.linger);
            (shared.partitions.wake.clone(), ledger)
        }
        None => return,
    };
    let mut registering = JoinSet::new();
    loop {
        let deadline = ledger.deadline();
        let registered = tokio::select! {
            () = wake.notified() => None,
            Some(registered) = registering.join_next() => registered.ok(),
            () = until(deadline) => None,
        };
        // It's also woken when the cluster ends.
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let (partitions, now) = (&shared.partitions, Instant::now());
        if let Some(partition) = registered {
            ledger.registered(partition, partitions.is_wanted(partition), now);
            partitions.settle(partition);
        }
        for partition in partitions.take_touched() {
            let wanted = partitions.is_wanted(partition);
            if ledger.touched(partition, wanted, now) == Step::Subscribe {
                let registration = shared.adapter.subscribe(&Subject::Partition(partition));
                let counters = shared.counters.clone();
                registering.spawn(async move {
                    if registration.await.is_err() {
                        counters.deferred.fetch_add(1, Ordering::Relaxed);
                    }
                    partition
                });
            }
        }
        while let Some(partition) = ledger.expired(now) {
            let gone = partitions.unsettle(partition);
            if gone {
                shared.adapter.unsubscribe(&Subject::Partition(partition));
            }
            ledger.released(partition, !gone);
            // Who came in between was noted while it was still held.
            if partitions.is_wanted(partition) {
                partitions.touch(partition);
            }
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

impl Drop for Partitions {
    fn drop(&mut self) {
        self.wake.notify_one();
    }
}

/// Keeps this node interested in the partition of a topic, and tells whether the bus knows.
///
/// While one lives, or the topic has subscribers, broadcasts of other nodes to it reach this node once
/// [`registered`](Self::registered) has returned.
pub struct Interest {
    pub(super) shared: Arc<Shared>,
    pub(super) partition: u16,
}

impl Interest {
    /// Whether there's nothing to wait for: the bus is subscribed to the topic's partition, or it can't be reached
    /// and will be when it can.
    #[must_use]
    pub fn is_registered(&self) -> bool {
        self.shared.partitions.is_settled(self.partition)
    }

    /// Waits until the bus is subscribed to the topic's partition, can't be reached, or has taken longer than
    /// [`ClusterOptions::registration_time_max`](crate::ClusterOptions::registration_time_max), which is counted.
    pub async fn registered(&self) {
        if self.is_registered() {
            return;
        }
        let settled = self.shared.partitions.settled(self.partition);
        let time_max = self.shared.options.registration_time_max;
        if tokio::time::timeout(time_max, settled).await.is_err() {
            let late = &self.shared.counters.late;
            late.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        self.shared.partitions.leave(self.partition);
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interest")
            .field("partition", &self.partition)
            .field("is_registered", &self.is_registered())
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
