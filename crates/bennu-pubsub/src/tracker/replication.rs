//! Keeps the trackers of several nodes alike.

mod exchange;
mod nodes;
mod output;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{
    PresenceOptions, Replica, Tracker,
    draft::Draft,
    message::{Body, Message},
    peer::{Peer, Status},
};
pub use output::{Output, ReplicaEvent, Shards};

/// How long changes wait when others were told just before.
const CHANGES_MS_MIN: u64 = 100;
/// Longer periods are taken as this one, so that no clock runs over.
const PERIOD_MAX: Duration = Duration::from_secs(365 * 24 * 3_600);
/// After so many heartbeats changes are forgotten that were there so many before.
const TRIM_BEATS: u64 = 10;

/// What one node has to say and to hear so that its trackers show what all nodes track, as pure state: it is told
/// of messages, of changes and of the time, and asked for [`Output`]s and for the next time to call back.
///
/// Each node is the only one to change what it tracks; others mirror it. A change is told to all, together with
/// the versions it stands between, so that who missed one sees the gap and asks for what is in it. Heartbeats
/// show gaps after which nothing came. In the role of Phoenix's `Phoenix.Tracker.Shard`; how it works stands in
/// `docs/presence.md`.
///
/// ```
/// use std::time::{Duration, Instant};
/// use bennu_pubsub::tracker::{Meta, Output, Owner, PresenceOptions, Replica, Replication, Tracker};
///
/// let now = Instant::now();
/// let options = PresenceOptions::new();
/// let node = |name: &str| {
///     let replica = Replica { node: name.into(), start: 1 };
///     let mut tracker = Tracker::new(&replica, "0", options.clone());
///     tracker.replicate();
///     ([tracker], Replication::new(&replica, "lobby", 1, &options, now))
/// };
/// let (mut ants, mut ant) = node("ant");
/// let (mut bees, mut bee) = node("bee");
///
/// ants[0].track(Owner(1), &"room:7".into(), "ana", &Meta::new(&())?, now)?;
/// ant.handle_change(now);
/// ant.handle_timeout(&mut ants[..], now);
/// while let Some(output) = ant.poll_output(&mut ants[..]) {
///     if let Output::ToAll(message) = output {
///         bee.handle_message("ant", &message, &mut bees[..], now);
///     }
/// }
/// // Bee hadn't heard of ant, so the heartbeat told it what to ask for.
/// while let Some(output) = bee.poll_output(&mut bees[..]) {
///     if let Output::ToNode(_, message) = output {
///         ant.handle_message("bee", &message, &mut ants[..], now);
///     }
/// }
/// while let Some(output) = ant.poll_output(&mut ants[..]) {
///     if let Output::ToNode(_, message) = output {
///         bee.handle_message("ant", &message, &mut bees[..], now);
///     }
/// }
/// assert_eq!(bees[0].count(&"room:7".into()), 1);
/// # Ok::<(), bennu_pubsub::tracker::PresenceError>(())
/// ```
#[derive(Debug)]
pub struct Replication {
    name: Box<str>,
    replica: Replica,
    heartbeat: Duration,
    down_after: Duration,
    gone_after: Duration,
    message_bytes_max: usize,
    peers: BTreeMap<Arc<str>, Peer>,
    /// Of each shard, the version that others were told of.
    told: Vec<u64>,
    next_heartbeat: Instant,
    heartbeats: u64,
    /// When to tell of changes next.
    next_changes: Option<Instant>,
    last_changes: Option<Instant>,
    /// The shard whose changes are to be told next, while some are.
    telling: Option<usize>,
    /// Whether a heartbeat is to follow the changes.
    beat: bool,
    name_taken: Option<Instant>,
    outputs: VecDeque<Output>,
}

impl Replication {
    /// What `replica` says of the presence called `name`, which has so many `shards`. Its first heartbeat is
    /// due at once.
    #[must_use]
    pub fn new(
        replica: &Replica,
        name: &str,
        shards: usize,
        options: &PresenceOptions,
        now: Instant,
    ) -> Self {
        let heartbeat = options.heartbeat;
        let heartbeat = heartbeat.clamp(Duration::from_millis(1), PERIOD_MAX);
        let down_after = options.down_after.clamp(2 * heartbeat, 2 * PERIOD_MAX);
        Self {
            name: name.into(),
            replica: replica.clone(),
            heartbeat,
            down_after,
            gone_after: options.gone_after.clamp(down_after, 2 * PERIOD_MAX),
            message_bytes_max: options.message_bytes_max,
            peers: BTreeMap::new(),
            told: vec![0; shards],
            next_heartbeat: now,
            heartbeats: 0,
            next_changes: None,
            last_changes: None,
            telling: None,
            beat: false,
            name_taken: None,
            outputs: VecDeque::new(),
        }
    }

    /// The other nodes that are there.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        let up = self.peers.iter();
        up.filter(|(_, peer)| peer.status == Status::Up)
            .map(|(node, _)| &**node)
    }

    /// Tells it that a tracker has changed. Others hear of it at once, or 100 ms after they heard of changes
    /// last.
    pub fn handle_change(&mut self, now: Instant) {
        let pause = Duration::from_millis(CHANGES_MS_MIN);
        let earliest = self.last_changes.map_or(now, |it| it + pause);
        let due = earliest.max(now);
        self.next_changes.get_or_insert(due);
    }

    /// Tells it that other nodes can be reached, for the first time or again: a heartbeat is due.
    pub fn handle_connected(&mut self, now: Instant) {
        self.next_heartbeat = now;
    }

    /// Tells it what a node sent, whose name the bus knows. Messages about other presences are ignored.
    pub fn handle_message<S: Shards + ?Sized>(
        &mut self,
        from: &str,
        bytes: &[u8],
        shards: &mut S,
        now: Instant,
    ) {
        let message = match Message::decode(bytes) {
            Ok(message) => message,
            Err(error) => return self.event(ReplicaEvent::Unreadable(from.into(), error)),
        };
        if message.presence != &*self.name {
            return;
        }
        if *from == *self.replica.node {
            return self.hear_own_name(message.start, now);
        }
        let start = message.start;
        match message.body {
            Body::Heartbeat(versions) => self.hear_heartbeat(from, start, versions, shards, now),
            Body::State { answer, sections } => {
                if self.hear(from, start, now) {
                    self.take_in(from, answer, sections, shards, now);
                    self.ask(from, now);
                }
            }
            Body::Ask { start: own, wants } => {
                self.hear(from, start, now);
                if own == self.replica.start {
                    self.answer(from, wants, shards);
                }
            }
            Body::Bye => {
                // Also one that wasn't known: something that it said before may still come.
                if self.hear(from, start, now) || self.admit(from, start, shards, now) {
                    self.forget(from, shards, now);
                }
            }
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    #[must_use]
    pub fn poll_timeout(&self) -> Instant {
        let silent = self.peers.values().map(|it| match it.status {
            Status::Up => it.heard + self.down_after,
            Status::Down | Status::Left => it.heard + self.gone_after,
        });
        let timeouts = self.next_changes.into_iter().chain(silent);
        timeouts.fold(self.next_heartbeat, Instant::min)
    }

    /// Does what is due by now.
    pub fn handle_timeout<S: Shards + ?Sized>(&mut self, shards: &mut S, now: Instant) {
        let late = now.saturating_duration_since(self.poll_timeout());
        if late >= self.heartbeat {
            // This node slept. What others said meanwhile may still be on its way, so none is judged before the
            // next heartbeat.
            let until = now + self.heartbeat;
            for peer in self.peers.values_mut() {
                let left = until.saturating_duration_since(peer.heard + self.down_after);
                if peer.status == Status::Up {
                    peer.heard = (peer.heard + left).min(now);
                }
            }
        }
        self.judge_silence(shards, now);
        if self.next_changes.is_some_and(|it| it <= now) {
            self.tell_changes(now);
        }
        if self.next_heartbeat <= now {
            self.next_heartbeat = now + self.heartbeat;
            self.tell_changes(now);
            self.beat = true;
            self.heartbeats += 1;
            if self.heartbeats.is_multiple_of(TRIM_BEATS) {
                for shard in 0..self.told.len() {
                    shards.with(shard, Tracker::trim_log);
                }
            }
        }
    }

    /// What to do next.
    pub fn poll_output<S: Shards + ?Sized>(&mut self, shards: &mut S) -> Option<Output> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        if let Some(changes) = self.changes_message(shards) {
            return Some(Output::ToAll(changes));
        }
        if std::mem::take(&mut self.beat) {
            return Some(Output::ToAll(self.own_heartbeat()));
        }
        None
    }

    /// The last message to all: what is tracked here has left at once.
    #[must_use]
    pub fn bye(&self) -> Bytes {
        Draft::bye(&self.name, self.replica.start).finish().into()
    }

    fn own_heartbeat(&self) -> Bytes {
        let told = self.told.iter().copied();
        let heartbeat = Draft::heartbeat(&self.name, self.replica.start, told);
        heartbeat.finish().into()
    }

    fn tell_changes(&mut self, now: Instant) {
        self.next_changes = None;
        self.last_changes = Some(now);
        self.telling = Some(0);
    }

    fn event(&mut self, event: ReplicaEvent) {
        self.outputs.push_back(Output::Event(event));
    }
}
