//! Drives a replication: its task, its mail, and the way to other nodes.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use tokio::{
    runtime::Handle,
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::{
    Message, Output, ReplicaEvent, Replication,
    roster::{Inner, Trackers},
};
use crate::{Cluster, NodeId, Service, ServiceTag};

/// What may wait for a presence's task. More is lost, which the next heartbeat shows.
const MAIL_BYTES_MAX: usize = 64 << 20;
/// Messages that are handled before others have their turn.
const MAIL_AT_ONCE: usize = 64;
/// And their bytes: some milliseconds' work.
const MAIL_BYTES_AT_ONCE: usize = 256 * 1024;
/// What a message costs beside its bytes, roughly.
const NOTE_BYTES: usize = 100;
/// Nodes whose last start is remembered.
const NODES_MAX: usize = 4_096;

/// The presences of one node, by name: the service that takes what their like on other nodes send.
#[derive(Default)]
pub(crate) struct Hub {
    presences: RwLock<Vec<(Box<str>, Weak<Gossip>)>>,
}

/// One presence among those of other nodes.
pub(super) struct Gossip {
    cluster: Cluster,
    mail: Mutex<Mail>,
    wake: Notify,
    /// Somebody came or went since others were told last.
    changed: AtomicBool,
    connected: AtomicBool,
    ended: AtomicBool,
    has_begun: AtomicBool,
    /// Until the task has begun.
    beginning: Mutex<Option<Beginning>>,
    /// The last word.
    bye: Bytes,
    counters: Counters,
}

/// What is read by who asks how it goes.
#[derive(Default)]
struct Counters {
    nodes: AtomicUsize,
    unreadable: AtomicU64,
    overflowed: AtomicU64,
    refused: AtomicU64,
}

/// How a [`Roster`](super::Roster) gets on with its like on other nodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RosterStats {
    /// Other nodes that are there.
    pub nodes: usize,
    /// Messages of theirs that couldn't be understood.
    pub unreadable: u64,
    /// Messages of theirs that were dropped, since 64 MiB of them waited.
    pub overflowed: u64,
    /// Metas of theirs that were left out: see [`ReplicaEvent::Refused`].
    pub refused: u64,
}

#[derive(Default)]
struct Mail {
    messages: VecDeque<(NodeId, Bytes)>,
    bytes: usize,
}

/// What the task begins with.
pub(super) struct Beginning {
    pub(super) replication: Replication,
    /// The presence's trackers, while there is somebody who uses them.
    pub(super) trackers: Weak<Inner>,
    pub(super) report: Box<dyn Fn(ReplicaEvent) + Send>,
}

impl Hub {
    fn add(&self, name: &str, gossip: &Arc<Gossip>) {
        let presences = self.presences.write();
        let mut presences = presences.unwrap_or_else(PoisonError::into_inner);
        presences.retain(|(it, gossip)| **it != *name && gossip.strong_count() > 0);
        presences.push((name.into(), Arc::downgrade(gossip)));
    }

    fn of(&self, name: &str) -> Option<Arc<Gossip>> {
        let presences = self.presences.read();
        let presences = presences.unwrap_or_else(PoisonError::into_inner);
        let (_, gossip) = presences.iter().find(|(it, _)| **it == *name)?;
        gossip.upgrade()
    }
}

impl Service for Hub {
    fn receive(&self, from: &NodeId, message: Bytes) {
        let name = Message::presence_in(&message);
        if let Some(gossip) = name.and_then(|it| self.of(it)) {
            gossip.post(from, message);
        }
    }

    fn connected(&self) {
        let presences = self.presences.read();
        let presences = presences.unwrap_or_else(PoisonError::into_inner).clone();
        for gossip in presences.iter().filter_map(|(_, it)| it.upgrade()) {
            gossip.connected.store(true, Ordering::Release);
            gossip.wake.notify_one();
        }
    }
}

impl Gossip {
    /// Begins with the first call of [`begin`](Self::begin) within a runtime.
    pub(super) fn new(cluster: &Cluster, name: &str, bye: Bytes) -> Arc<Self> {
        let gossip = Arc::new(Self {
            cluster: cluster.clone(),
            mail: Mutex::default(),
            wake: Notify::new(),
            changed: AtomicBool::new(false),
            connected: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            has_begun: AtomicBool::new(false),
            beginning: Mutex::new(None),
            bye,
            counters: Counters::default(),
        });
        cluster.presences().add(name, &gossip);
        gossip
    }

    pub(super) fn prepare(&self, beginning: Beginning) {
        *lock(&self.beginning) = Some(beginning);
    }

    /// Has other nodes told that this one is there, and listens to them, if that hasn't begun.
    pub(super) fn begin(self: &Arc<Self>) {
        if self.has_begun.load(Ordering::Acquire) {
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if let Some(beginning) = lock(&self.beginning).take() {
            self.has_begun.store(true, Ordering::Release);
            runtime.spawn(self.clone().run(beginning));
        }
    }

    /// Somebody came, changed or went.
    pub(super) fn change(&self) {
        if !self.changed.swap(true, Ordering::AcqRel) {
            self.wake.notify_one();
        }
    }

    /// Tells other nodes that all who are here have left. Afterwards nothing is told any more.
    pub(super) fn end(&self) {
        if !self.ended.swap(true, Ordering::AcqRel) && self.has_begun.load(Ordering::Acquire) {
            self.cluster.send_to_all(ServiceTag::PRESENCE, &self.bye);
        }
        self.wake.notify_one();
    }

    pub(super) fn stats(&self) -> RosterStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RosterStats {
            nodes: self.counters.nodes.load(Ordering::Relaxed),
            unreadable: get(&self.counters.unreadable),
            overflowed: get(&self.counters.overflowed),
            refused: get(&self.counters.refused),
        }
    }

    fn post(self: &Arc<Self>, from: &NodeId, message: Bytes) {
        self.begin();
        let mut mail = lock(&self.mail);
        if mail.bytes + message.len() <= MAIL_BYTES_MAX {
            mail.bytes += message.len() + NOTE_BYTES;
            mail.messages.push_back((from.clone(), message));
        } else {
            self.counters.overflowed.fetch_add(1, Ordering::Relaxed);
        }
        drop(mail);
        self.wake.notify_one();
    }

    fn next(&self) -> Option<(NodeId, Bytes)> {
        let mut mail = lock(&self.mail);
        let next = mail.messages.pop_front();
        match &next {
            Some((_, message)) => mail.bytes -= message.len() + NOTE_BYTES,
            None => mail.messages.shrink_to(MAIL_AT_ONCE),
        }
        next
    }

    async fn run(self: Arc<Self>, beginning: Beginning) {
        let Beginning {
            mut replication,
            trackers,
            report,
        } = beginning;
        let mut post = Post {
            cluster: self.cluster.clone(),
            nodes: HashMap::new(),
            report,
        };
        // Whoever answers the first heartbeat is heard then.
        self.cluster.ready().await;
        replication.handle_connected(now());
        while !self.ended.load(Ordering::Acquire) {
            let Some(mut trackers) = trackers.upgrade().map(Trackers) else {
                break;
            };
            let more = self.turn(&mut replication, &mut trackers, &mut post);
            drop(trackers);
            if more {
                tokio::task::yield_now().await;
            } else {
                let timeout = Instant::from_std(replication.poll_timeout());
                // Whichever comes first.
                let _ = timeout_at(timeout, self.wake.notified()).await;
            }
        }
        self.end();
        self.counters.nodes.store(0, Ordering::Relaxed);
    }

    /// Does what there is to do; true when there's more than one should do in one go.
    fn turn(
        &self,
        replication: &mut Replication,
        trackers: &mut Trackers,
        post: &mut Post,
    ) -> bool {
        let mut more = true;
        let (mut messages, mut bytes) = (0, 0);
        while messages < MAIL_AT_ONCE && bytes < MAIL_BYTES_AT_ONCE {
            let Some((from, message)) = self.next() else {
                more = false;
                break;
            };
            messages += 1;
            bytes += message.len();
            replication.handle_message(from.name.as_str(), &message, trackers, now());
            post.know(from);
            self.send(post, replication, trackers);
        }
        if self.connected.swap(false, Ordering::AcqRel) {
            replication.handle_connected(now());
        }
        if self.changed.load(Ordering::Acquire) {
            replication.handle_change(now());
        }
        // Mail comes first, so that nobody is thought silent whose messages are waiting.
        if !more && replication.poll_timeout() <= now() {
            // What changes from here on is told the next time.
            self.changed.store(false, Ordering::Release);
            replication.handle_timeout(trackers, now());
            self.send(post, replication, trackers);
        }
        more
    }

    fn send(&self, post: &Post, replication: &mut Replication, trackers: &mut Trackers) {
        let Counters {
            nodes,
            unreadable,
            refused,
            ..
        } = &self.counters;
        while let Some(output) = replication.poll_output(trackers) {
            match &output {
                Output::Event(ReplicaEvent::Unreadable(..)) => {
                    unreadable.fetch_add(1, Ordering::Relaxed);
                }
                Output::Event(ReplicaEvent::Refused(_, metas)) => {
                    refused.fetch_add(*metas as u64, Ordering::Relaxed);
                }
                // Who hears of one coming or going finds it counted.
                Output::Event(_) => nodes.store(replication.nodes().count(), Ordering::Relaxed),
                Output::ToAll(_) | Output::ToNode(..) => {}
            }
            post.send(output);
        }
    }
}

/// The way out.
struct Post {
    cluster: Cluster,
    /// The last start of each node, by which the bus knows it.
    nodes: HashMap<Arc<str>, NodeId>,
    report: Box<dyn Fn(ReplicaEvent) + Send>,
}

impl Post {
    fn know(&mut self, node: NodeId) {
        if self.nodes.len() >= NODES_MAX {
            self.nodes.clear();
        }
        match self.nodes.get_mut(node.name.as_str()) {
            Some(known) => *known = node,
            None => drop(self.nodes.insert(node.name.as_str().into(), node)),
        }
    }

    fn send(&self, output: Output) {
        match output {
            Output::ToAll(message) => self.cluster.send_to_all(ServiceTag::PRESENCE, &message),
            Output::ToNode(name, message) => {
                if let Some(node) = self.nodes.get(&name) {
                    self.cluster.send_to(node, ServiceTag::PRESENCE, &message);
                }
            }
            Output::Event(event) => (self.report)(event),
        }
    }
}

/// The runtime's clock, which tests can stop.
fn now() -> std::time::Instant {
    Instant::now().into_std()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Gossip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gossip").finish_non_exhaustive()
    }
}
