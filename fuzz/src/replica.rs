//! Nodes that tell each other of their presences.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bennu_pubsub::tracker::{
    Meta, Output, Owner, PresenceDiff, PresenceOptions, Presences, Replica, Replication, Tracker,
};
use bytes::Bytes;
use serde_json::json;

use crate::Input;

/// Two trackers suffice to tell them apart.
const SHARDS: usize = 2;
const TOPICS: [&str; 3] = ["room:1", "lobby", ""];
const KEYS: [&str; 3] = ["ana", "", "\"ключ\\"];
const OWNERS: usize = 4;
const NAMES: &[&str] = &["ant", "bee", "cow"];
/// What one message may set off, besides events: changes, a heartbeat, and an answer or a question.
const ANSWERS_MAX: usize = 3;
/// Metas of other nodes that one tracker may keep, in bytes; and what each counts beside its texts.
const REMOTE_BYTES_MAX: usize = 4_096;
const REMOTE_BYTES_EACH: usize = 280;
/// Operations of one input.
const STEPS_MAX: usize = 200;

/// Metas by topic, key and ref.
type View = BTreeMap<(String, String, String), String>;
/// Topic, key, and what the meta says.
type Place = (String, String, u64);

/// One node, and what a client of it knows that heard every diff.
struct Node {
    name: &'static str,
    trackers: Vec<Tracker>,
    replication: Replication,
    /// Whether something is tracked under owner, topic and key, and what it says.
    tracked: BTreeMap<(usize, usize, usize), u64>,
    followed: View,
}

impl Node {
    fn new(name: &'static str, start: u64, options: &PresenceOptions, now: Instant) -> Self {
        let replica = Replica {
            node: name.into(),
            start,
        };
        let tracker = |shard: usize| {
            let mut tracker = Tracker::new(&replica, &shard.to_string(), options.clone());
            tracker.replicate();
            tracker
        };
        Self {
            name,
            trackers: (0..SHARDS).map(tracker).collect(),
            replication: Replication::new(&replica, "p", SHARDS, options, now),
            tracked: BTreeMap::new(),
            followed: View::new(),
        }
    }

    fn tracker(&mut self, topic: usize) -> Option<&mut Tracker> {
        self.trackers.get_mut(topic % SHARDS)
    }

    /// Has an owner do something, in the trackers and in the truth.
    fn act(&mut self, input: &mut Input<'_>, n: u64, now: Instant) {
        let act = input.below(8);
        let place @ (owner, topic, key) = (
            input.below(OWNERS),
            input.below(TOPICS.len()),
            input.below(KEYS.len()),
        );
        let known = self.tracked.contains_key(&place);
        let owner = Owner(owner as u64);
        let (Some(name), Some(key)) = (TOPICS.get(topic), KEYS.get(key)) else {
            return;
        };
        let Ok(meta) = Meta::new(&json!({ "n": n })) else {
            return;
        };
        let name = (*name).into();
        let Some(tracker) = self.tracker(topic) else {
            return;
        };
        match act {
            0..4 => {
                let tracked = tracker.track(owner, &name, key, &meta, now);
                assert_eq!(tracked.is_ok(), !known);
                if !known {
                    self.tracked.insert(place, n);
                }
            }
            4 => {
                assert_eq!(tracker.update(owner, &name, key, &meta, now).is_ok(), known);
                if known {
                    self.tracked.insert(place, n);
                }
            }
            5 | 6 => {
                assert_eq!(tracker.untrack(owner, &name, key, now), known);
                self.tracked.remove(&place);
            }
            _ => {
                for tracker in &mut self.trackers {
                    tracker.untrack_owner(owner, now);
                }
                self.tracked.retain(|it, _| it.0 as u64 != owner.0);
            }
        }
        self.replication.handle_change(now);
    }

    fn hear(&mut self, from: &str, bytes: &[u8], now: Instant) {
        self.replication
            .handle_message(from, bytes, &mut self.trackers[..], now);
    }

    fn wait(&mut self, now: Instant) {
        for tracker in &mut self.trackers {
            tracker.handle_timeout(now);
        }
        if self.replication.poll_timeout() <= now {
            self.replication.handle_timeout(&mut self.trackers[..], now);
        }
    }

    /// What it has to say, to whom (all, where there is no name).
    fn outputs(&mut self) -> Vec<(Option<String>, Bytes)> {
        let outputs =
            std::iter::from_fn(|| self.replication.poll_output(&mut self.trackers[..])).take(1_000);
        let outputs: Vec<_> = outputs
            .filter_map(|it| match it {
                Output::ToAll(message) => Some((None, message)),
                Output::ToNode(name, message) => Some((Some(name.to_string()), message)),
                Output::Event(_) => None,
            })
            .collect();
        assert!(outputs.len() < 1_000, "there is no end to it");
        outputs
    }

    /// A client that adds up all diffs knows what the node shows.
    fn follow(&mut self) {
        let mut changed = false;
        while let Some(diff) = self.trackers.iter_mut().find_map(Tracker::poll_diff) {
            self.add(&diff);
            changed = true;
        }
        if !changed {
            return;
        }
        let list = self.list();
        assert_eq!(
            self.followed, list,
            "what the diffs of {} add up to",
            self.name
        );
        let mirrored: usize = self.trackers.iter().map(Tracker::mirrored).sum();
        assert!(mirrored <= SHARDS * REMOTE_BYTES_MAX / REMOTE_BYTES_EACH);
    }

    fn add(&mut self, diff: &PresenceDiff) {
        for (at, json) in metas(&diff.topic, &diff.joins) {
            let known = self.followed.insert(at.clone(), json);
            assert!(known.is_none(), "{at:?} joined twice");
        }
        for (at, _) in metas(&diff.topic, &diff.leaves) {
            assert!(self.followed.remove(&at).is_some(), "{at:?} left twice");
        }
    }

    fn list(&mut self) -> View {
        let mut topics: Vec<String> = TOPICS.iter().map(|it| (*it).to_owned()).collect();
        topics.extend(self.followed.keys().map(|it| it.0.clone()));
        topics.sort();
        topics.dedup();
        let mut list = View::new();
        for topic in topics {
            // Another node may say of a topic that it's in any shard.
            for tracker in &mut self.trackers {
                let name = topic.as_str().into();
                let shown = tracker.list(&name);
                let metas: Vec<_> = metas(&topic, &shown).collect();
                assert_eq!(tracker.count(&name), metas.len());
                assert_eq!(tracker.count_keys(&name), shown.len());
                list.extend(metas);
            }
        }
        list
    }
}

fn metas(
    topic: &str,
    presences: &Presences,
) -> impl Iterator<Item = ((String, String, String), String)> {
    presences.iter().flat_map(move |(key, entry)| {
        entry.metas().iter().map(move |meta| {
            let phx_ref = meta.phx_ref().to_string();
            assert!(meta.as_json().contains(&phx_ref), "a meta has its own ref");
            let at = (topic.to_owned(), key.to_owned(), phx_ref);
            (at, meta.as_json().to_owned())
        })
    })
}

fn options() -> PresenceOptions {
    PresenceOptions::new()
        .window(Duration::ZERO)
        .remote_bytes_max(REMOTE_BYTES_MAX)
        .gone_after(Duration::from_secs(8))
        .changes_max(8)
        .message_bytes_max(256)
}

/// Bytes as messages of nodes, some of which are none: what is shown is what was told, it has an end, and it's gone with
/// who told it. An input is messages: who says it, how long it is (two bytes), and its bytes.
pub(crate) fn bytes(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut now = Instant::now();
    let mut bee = Node::new("bee", 6, &options(), now);
    let mut messages = 0;
    while !input.is_empty() && messages < STEPS_MAX {
        messages += 1;
        let from = input.one(NAMES).unwrap_or_default();
        let length = usize::from(input.byte()) | usize::from(input.byte()) << 8;
        let message = input.take(length);
        bee.hear(from, message, now);
        let said = bee.outputs();
        assert!(said.len() <= ANSWERS_MAX, "{said:?}");
        bee.follow();
        now += Duration::from_millis(u64::from(input.byte()) * 16);
        bee.wait(now);
        bee.outputs();
        bee.follow();
    }
    // In steps, since a node that slept waits for what others have said meanwhile.
    for _ in 0..12 {
        now += Duration::from_secs(1);
        bee.wait(now);
        bee.outputs();
        bee.follow();
    }
    assert_eq!(bee.list().len(), 0, "who said it is gone");
    let mirrored: usize = bee.trackers.iter().map(Tracker::mirrored).sum();
    assert_eq!(mirrored, 0, "nothing of it is kept");
}

/// Three nodes that track this and that, whose messages are delivered in any order, any number of times, or never: in
/// the end they agree with the truth.
pub(crate) fn operations(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut now = Instant::now();
    let options = PresenceOptions::new()
        .window(Duration::ZERO)
        .changes_max(8)
        .message_bytes_max(256);
    let mut nodes: Vec<Node> = NAMES
        .iter()
        .zip(1..)
        .map(|(name, start)| Node::new(name, start, &options, now))
        .collect();
    // From whom, to whom, and what.
    let mut mail: Vec<(usize, usize, Bytes)> = Vec::new();
    for n in 0..STEPS_MAX as u64 {
        if input.is_empty() {
            break;
        }
        match input.below(8) {
            0..3 => {
                let at = input.below(nodes.len());
                if let Some(node) = nodes.get_mut(at) {
                    node.act(&mut input, n, now);
                }
            }
            3 | 4 if !mail.is_empty() => {
                let (from, to, message) = mail.swap_remove(input.below(mail.len()));
                deliver(&mut nodes, from, to, &message, now);
            }
            // Twice.
            5 if !mail.is_empty() => {
                if let Some((from, to, message)) = mail.get(input.below(mail.len())).cloned() {
                    deliver(&mut nodes, from, to, &message, now);
                }
            }
            // Never.
            6 if !mail.is_empty() => drop(mail.swap_remove(input.below(mail.len()))),
            _ => now += Duration::from_millis(10 * u64::from(input.byte())),
        }
        collect(&mut nodes, &mut mail, now);
    }
    // Everything that is still on its way comes, late; and then all is well for a while.
    let mut rounds = 0;
    while rounds % 10 != 0 || rounds == 0 || disagreement(&mut nodes).is_some() {
        rounds += 1;
        assert!(rounds < 300, "{:?} after 30 s", disagreement(&mut nodes));
        for (from, to, message) in std::mem::take(&mut mail) {
            deliver(&mut nodes, from, to, &message, now);
        }
        now += Duration::from_millis(100);
        collect(&mut nodes, &mut mail, now);
    }
}

/// What is tracked, if the nodes don't all show that, and what they show.
fn disagreement(nodes: &mut [Node]) -> Option<(Vec<Place>, Vec<View>)> {
    let mut truth: Vec<Place> = Vec::new();
    for node in &*nodes {
        truth.extend(node.tracked.iter().filter_map(|(place, n)| {
            Some((
                TOPICS.get(place.1)?.to_string(),
                KEYS.get(place.2)?.to_string(),
                *n,
            ))
        }));
    }
    truth.sort_unstable();
    let lists: Vec<View> = nodes.iter_mut().map(Node::list).collect();
    let says = |json: &str| {
        let meta: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
        meta.get("n").and_then(serde_json::Value::as_u64)
    };
    let (list, others) = lists.split_first()?;
    let mut shown: Vec<Place> = list
        .iter()
        .filter_map(|((topic, key, _), json)| Some((topic.clone(), key.clone(), says(json)?)))
        .collect();
    shown.sort_unstable();
    (shown != truth || others.iter().any(|it| it != list)).then_some((truth, lists))
}

fn deliver(nodes: &mut [Node], from: usize, to: usize, message: &[u8], now: Instant) {
    let Some(name) = nodes.get(from).map(|it| it.name) else {
        return;
    };
    if let Some(node) = nodes.get_mut(to) {
        node.hear(name, message, now);
    }
}

/// Has all do what is due, and takes what they have to say.
fn collect(nodes: &mut [Node], mail: &mut Vec<(usize, usize, Bytes)>, now: Instant) {
    let names: Vec<&str> = nodes.iter().map(|it| it.name).collect();
    for (from, node) in nodes.iter_mut().enumerate() {
        node.wait(now);
        for (name, message) in node.outputs() {
            let others = names
                .iter()
                .enumerate()
                .filter(|(to, it)| *to != from && name.as_ref().is_none_or(|name| *name == **it));
            mail.extend(others.map(|(to, _)| (from, to, message.clone())));
        }
        node.follow();
    }
    // A bus that is slower than its nodes loses what is oldest.
    if mail.len() > 200 {
        mail.drain(..mail.len() - 200);
    }
}
