//! Keeps the trackers of several nodes alike.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{
    MessageError, PresenceOptions, Replica, Tracker,
    dot::Origin,
    draft::Draft,
    message::{Body, Message, Sections, Versions, Wants},
    peer::{Peer, Progress, Status, Step},
};

/// How long changes wait when others were told just before.
const CHANGES_MS_MIN: u64 = 100;
/// How long an answer is waited for before more is asked for, if something says that more is missing.
const ANSWER_MS_MAX: u64 = 500;
/// After so many heartbeats changes are forgotten that were there so many before.
const TRIM_BEATS: u64 = 10;
/// Nodes that are remembered. Beyond, those that are silent longest are forgotten.
const PEERS_MAX: usize = 1_024;
/// How often it's said that somebody else has this node's name.
const NAME_TAKEN_MS_MIN: u64 = 60_000;

/// The trackers that a [`Replication`] keeps alike, which may be behind locks.
pub trait Shards {
    /// Has `act` see and change one of them. `None` when there's none of that number.
    fn with<R>(&mut self, shard: usize, act: impl FnOnce(&mut Tracker) -> R) -> Option<R>;
}

impl Shards for [Tracker] {
    fn with<R>(&mut self, shard: usize, act: impl FnOnce(&mut Tracker) -> R) -> Option<R> {
        self.get_mut(shard).map(act)
    }
}

/// What a [`Replication`] wants to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this to all other nodes.
    ToAll(Bytes),
    /// Send this to the node of that name.
    ToNode(Arc<str>, Bytes),
    /// Something happened that people may want to know.
    Event(ReplicaEvent),
}

/// What happened among nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplicaEvent {
    /// A node is there, for the first time or again.
    Up(Arc<str>),
    /// A node was silent for too long; what it tracks has left.
    Down(Arc<str>),
    /// A node said goodbye, was silent for very long, or started anew; nothing of it is kept.
    Gone(Arc<str>),
    /// Another node that runs has the name of this one, and that start number. Of two of one name others see
    /// the one that started last.
    NameTaken(u64),
    /// A node sent what can't be understood.
    Unreadable(Arc<str>, MessageError),
    /// So many metas of a node were left out: there was no room for them
    /// ([`PresenceOptions::remote_bytes_max`]), or they were no JSON objects.
    Refused(Arc<str>, usize),
}

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
        let heartbeat = options.heartbeat.max(Duration::from_millis(1));
        let down_after = options.down_after.max(2 * heartbeat);
        Self {
            name: name.into(),
            replica: replica.clone(),
            heartbeat,
            down_after,
            gone_after: options.gone_after.max(down_after),
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
        if let Some(changes) = self.next_changes(shards) {
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

    /// A message of changes that others weren't told of yet, while there are some.
    fn next_changes<S: Shards + ?Sized>(&mut self, shards: &mut S) -> Option<Bytes> {
        let mut draft = Draft::state(&self.name, self.replica.start, false);
        let empty = draft.len();
        let mut next = self.telling?;
        while let Some(told) = self.told.get_mut(next) {
            let room = room(self.message_bytes_max, draft.len() - empty);
            let upto = shards.with(next, |tracker| {
                let version = tracker.version();
                if *told == version {
                    return (version, true);
                }
                match tracker.write_delta(next as u64, *told, room, &mut draft) {
                    Some(upto) => (upto, upto == version),
                    // There were too many: others will see it by the next heartbeat, and ask.
                    None => (version, true),
                }
            });
            let (upto, all) = upto.unwrap_or((*told, true));
            *told = upto;
            if !all || draft.len() - empty >= self.message_bytes_max {
                break;
            }
            next += 1;
        }
        self.telling = (next < self.told.len()).then_some(next);
        (draft.len() > empty).then(|| draft.finish().into())
    }

    /// Marks a node as heard; false when it isn't the replica that is believed to be that node.
    fn hear(&mut self, from: &str, start: u64, now: Instant) -> bool {
        let Some(peer) = self.peers.get_mut(from) else {
            return false;
        };
        if peer.start != start || peer.status == Status::Left {
            return false;
        }
        peer.heard = now;
        if peer.status == Status::Down {
            peer.status = Status::Up;
            self.greet(from);
        }
        true
    }

    /// Tells a node that has just been heard of what there is here, so that it needn't wait for it.
    fn greet(&mut self, node: &str) {
        let node: Arc<str> = node.into();
        self.event(ReplicaEvent::Up(node.clone()));
        let heartbeat = self.own_heartbeat();
        self.outputs.push_back(Output::ToNode(node, heartbeat));
    }

    fn hear_heartbeat<S: Shards + ?Sized>(
        &mut self,
        from: &str,
        start: u64,
        versions: Versions<'_>,
        shards: &mut S,
        now: Instant,
    ) {
        if versions.count() != self.told.len() {
            let error = MessageError::Unexpected("number of shards");
            return self.event(ReplicaEvent::Unreadable(from.into(), error));
        }
        if !self.hear(from, start, now) && !self.admit(from, start, shards, now) {
            return;
        }
        let Some(peer) = self.peers.get_mut(from) else {
            return;
        };
        for ((shard, progress), version) in peer.shards.iter_mut().enumerate().zip(versions) {
            progress.target = progress.target.max(version.unwrap_or(0));
            if progress.want(shard).is_none() {
                show(shard, progress, peer.origin, shards, now);
            }
        }
        self.ask(from, now);
    }

    /// A replica that isn't believed to be its node so far: whether it is from now on.
    ///
    /// Of two replicas of one node the one that started later is the node. One that says it started earlier is
    /// believed when nothing was heard of the other for long: then it is its clock that is wrong.
    fn admit<S: Shards + ?Sized>(
        &mut self,
        from: &str,
        start: u64,
        shards: &mut S,
        now: Instant,
    ) -> bool {
        if let Some(known) = self.peers.get(from) {
            let silent = known.heard + self.down_after <= now;
            if start == known.start || start < known.start && !silent {
                return false;
            }
            if known.status != Status::Left {
                self.forget(from, shards, now);
            }
            self.peers.remove(from);
        }
        if self.peers.len() >= PEERS_MAX && !self.make_room(shards, now) {
            return false;
        }
        let Some(origin) = self.free_origin() else {
            return false;
        };
        let replica = Replica {
            node: from.into(),
            start,
        };
        for shard in 0..self.told.len() {
            shards.with(shard, |it| it.begin_mirror(origin, &replica));
        }
        let peer = Peer {
            start,
            origin,
            status: Status::Up,
            heard: now,
            asked: None,
            shards: self.told.iter().map(|_| Progress::default()).collect(),
        };
        self.peers.insert(from.into(), peer);
        self.greet(from);
        true
    }

    /// Forgets the node that is silent longest, if any is.
    fn make_room<S: Shards + ?Sized>(&mut self, shards: &mut S, now: Instant) -> bool {
        let silent = self.peers.iter().filter(|(_, it)| it.status != Status::Up);
        let Some((node, peer)) = silent.min_by_key(|(_, it)| it.heard) else {
            return false;
        };
        let (node, status) = (node.clone(), peer.status);
        if status != Status::Left {
            self.forget(&node, shards, now);
        }
        self.peers.remove(&node).is_some()
    }

    fn free_origin(&self) -> Option<Origin> {
        let taken: Vec<_> = self.peers.values().map(|it| it.origin).collect();
        (1..Origin::MAX).find(|it| !taken.contains(it))
    }

    /// Another node that says it's this one, or an echo.
    fn hear_own_name(&mut self, start: u64, now: Instant) {
        let pause = Duration::from_millis(NAME_TAKEN_MS_MIN);
        let said = self.name_taken.is_some_and(|it| now < it + pause);
        if start != self.replica.start && !said {
            self.name_taken = Some(now);
            self.event(ReplicaEvent::NameTaken(start));
        }
    }

    fn judge_silence<S: Shards + ?Sized>(&mut self, shards: &mut S, now: Instant) {
        let silent: Vec<_> = self
            .peers
            .iter()
            .filter(|(_, it)| it.heard + self.down_after <= now)
            .map(|(node, peer)| (node.clone(), peer.status, peer.heard))
            .collect();
        for (node, status, heard) in silent {
            let gone = heard + self.gone_after <= now;
            match status {
                Status::Up => {
                    let Some(peer) = self.peers.get_mut(&node) else {
                        continue;
                    };
                    peer.status = Status::Down;
                    for (shard, progress) in peer.shards.iter_mut().enumerate() {
                        progress.hidden = true;
                        shards.with(shard, |it| it.hide(peer.origin, now));
                    }
                    self.event(ReplicaEvent::Down(node));
                }
                Status::Down if gone => {
                    self.forget(&node, shards, now);
                    self.peers.remove(&node);
                }
                Status::Left if gone => drop(self.peers.remove(&node)),
                Status::Down | Status::Left => {}
            }
        }
    }

    /// Drops what a node tracks. That it was there is remembered, since messages of its may still be on their
    /// way.
    fn forget<S: Shards + ?Sized>(&mut self, node: &str, shards: &mut S, now: Instant) {
        let Some(peer) = self.peers.get_mut(node) else {
            return;
        };
        peer.status = Status::Left;
        peer.shards = Vec::new();
        let origin = std::mem::take(&mut peer.origin);
        for shard in 0..self.told.len() {
            shards.with(shard, |it| it.end_mirror(origin, now));
        }
        self.event(ReplicaEvent::Gone(node.into()));
    }

    fn take_in<S: Shards + ?Sized>(
        &mut self,
        from: &str,
        answer: bool,
        sections: Sections<'_>,
        shards: &mut S,
        now: Instant,
    ) {
        let Some(peer) = self.peers.get_mut(from) else {
            return;
        };
        let origin = peer.origin;
        let mut refused = 0;
        for section in sections.flatten() {
            let shard = usize::try_from(section.shard).unwrap_or(usize::MAX);
            let Some(progress) = peer.shards.get_mut(shard) else {
                continue;
            };
            let hidden = progress.hidden;
            let (span, changes) = (section.span, section.changes);
            let taken = match progress.step(span) {
                Step::Ignore => None,
                Step::Delta { have, gone } => shards.with(shard, |it| {
                    it.apply_delta((origin, hidden), have, changes, gone, now);
                    it.take_refused()
                }),
                Step::Range { after, upto, gone } => shards.with(shard, |it| {
                    it.apply_range((origin, hidden), (after, upto), changes, gone, now);
                    it.take_refused()
                }),
            };
            let Some(left_out) = taken else { continue };
            refused += left_out;
            progress.end(span);
            if answer {
                peer.asked = None;
            }
        }
        if refused > 0 {
            self.event(ReplicaEvent::Refused(from.into(), refused));
        }
    }

    /// Asks a node for what is missing, unless it was asked just before.
    fn ask(&mut self, node: &str, now: Instant) {
        let Some((node, peer)) = self.peers.get_key_value(node) else {
            return;
        };
        let patience = Duration::from_millis(ANSWER_MS_MAX);
        if peer.asked.is_some_and(|it| now < it + patience) {
            return;
        }
        let progress = peer.shards.iter().enumerate();
        let mut wants = progress.filter_map(|(shard, it)| it.want(shard)).peekable();
        if wants.peek().is_none() {
            return;
        }
        let ask = Draft::ask(&self.name, self.replica.start, peer.start, wants);
        let node = node.clone();
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.asked = Some(now);
        }
        let ask = Output::ToNode(node, ask.finish().into());
        self.outputs.push_back(ask);
    }

    /// Sends a node some of what it lacks: one message, and when that has come it asks for more.
    fn answer<S: Shards + ?Sized>(&mut self, node: &str, wants: Wants<'_>, shards: &mut S) {
        let mut draft = Draft::state(&self.name, self.replica.start, true);
        let empty = draft.len();
        for want in wants.flatten() {
            let Ok(shard) = usize::try_from(want.shard) else {
                continue;
            };
            if draft.len() - empty >= self.message_bytes_max {
                break;
            }
            shards.with(shard, |it| {
                let room = |draft: &Draft| room(self.message_bytes_max, draft.len() - empty);
                let bytes = room(&draft);
                let delta = it.write_delta(want.shard, want.have, bytes, &mut draft);
                let after = if delta.is_some() {
                    want.cursor
                } else {
                    Some(0)
                };
                if let Some(after) = after {
                    let bytes = room(&draft);
                    it.write_range(want.shard, after, bytes, &mut draft);
                }
            });
        }
        if draft.len() > empty {
            let answer = Output::ToNode(node.into(), draft.finish().into());
            self.outputs.push_back(answer);
        }
    }

    fn event(&mut self, event: ReplicaEvent) {
        self.outputs.push_back(Output::Event(event));
    }
}

/// How many bytes a message has room for: always for one change.
fn room(max: usize, used: usize) -> usize {
    max.saturating_sub(used).max(1)
}

/// Shows what was hidden of one shard of a node.
fn show<S: Shards + ?Sized>(
    shard: usize,
    progress: &mut Progress,
    origin: Origin,
    shards: &mut S,
    now: Instant,
) {
    if std::mem::take(&mut progress.hidden) {
        shards.with(shard, |it| it.show(origin, now));
    }
}

impl fmt::Display for ReplicaEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up(node) => write!(f, "node {node} is up"),
            Self::Down(node) => write!(f, "node {node} is down: it hasn't been heard for a while"),
            Self::Gone(node) => write!(f, "node {node} is gone"),
            Self::NameTaken(start) => write!(
                f,
                "another node has this one's name, and the start number {start}"
            ),
            Self::Unreadable(node, error) => write!(f, "node {node} sent nonsense: {error}"),
            Self::Refused(node, metas) => write!(f, "{metas} metas of node {node} were left out"),
        }
    }
}
