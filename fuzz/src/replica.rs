//! Nodes that tell each other of their presences.

use std::time::{Duration, Instant};

use bennu_pubsub::tracker::{Output, PresenceOptions};
use bytes::Bytes;

use crate::{
    Input,
    node::{Act, KEYS, Node, OWNERS, SHARDS, TOPICS, View},
};

const NAMES: &[&str] = &["ant", "bee", "cow"];
/// What one message may set off, besides events: changes, a heartbeat, and an answer or a question.
const ANSWERS_MAX: usize = 3;
/// Metas of other nodes that one tracker may keep, in bytes; and what each counts beside its texts.
const REMOTE_BYTES_MAX: usize = 4_096;
const REMOTE_BYTES_EACH: usize = 280;
/// Operations of one input.
const STEPS_MAX: usize = 200;

/// Topic, key, and what the meta says.
type Place = (String, String, u64);

/// Has an owner do something.
fn act(node: &mut Node, input: &mut Input<'_>, n: u64, now: Instant) {
    let act = match input.below(8) {
        0..4 => Act::Track,
        4 => Act::Update,
        5 | 6 => Act::Untrack,
        _ => Act::End,
    };
    let owner = input.below(OWNERS as usize) as u64;
    let place = (owner, input.below(TOPICS.len()), input.below(KEYS.len()));
    node.act(act, place, n, now);
}

fn hear(node: &mut Node, from: &str, bytes: &[u8], now: Instant) {
    node.replication
        .handle_message(from, bytes, &mut node.trackers[..], now);
}

/// What it has to say, to whom (all, where there is no name).
fn outputs(node: &mut Node) -> Vec<(Option<String>, Bytes)> {
    let outputs =
        std::iter::from_fn(|| node.replication.poll_output(&mut node.trackers[..])).take(1_000);
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
fn follow(node: &mut Node) {
    let diffs = node.poll_diffs();
    if diffs.is_empty() {
        return;
    }
    for diff in diffs {
        node.follow(&diff, true);
    }
    let list = node.list();
    assert_eq!(
        node.followed, list,
        "what the diffs of {} add up to",
        node.name
    );
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
        hear(&mut bee, from, message, now);
        let said = outputs(&mut bee);
        assert!(said.len() <= ANSWERS_MAX, "{said:?}");
        assert!(bee.mirrored() <= SHARDS * REMOTE_BYTES_MAX / REMOTE_BYTES_EACH);
        follow(&mut bee);
        now += Duration::from_millis(u64::from(input.byte()) * 16);
        bee.handle_timeout(now);
        outputs(&mut bee);
        follow(&mut bee);
    }
    // In steps, since a node that slept waits for what others have said meanwhile.
    for _ in 0..12 {
        now += Duration::from_secs(1);
        bee.handle_timeout(now);
        outputs(&mut bee);
        follow(&mut bee);
    }
    assert_eq!(bee.list().len(), 0, "who said it is gone");
    assert_eq!(bee.mirrored(), 0, "nothing of it is kept");
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
                    act(node, &mut input, n, now);
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
        truth.extend(node.truth().map(|((topic, key, _), n)| (topic, key, n)));
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
    let Some(name) = nodes.get(from).map(|it| it.name.clone()) else {
        return;
    };
    if let Some(node) = nodes.get_mut(to) {
        hear(node, &name, message, now);
    }
}

/// Has all do what is due, and takes what they have to say.
fn collect(nodes: &mut [Node], mail: &mut Vec<(usize, usize, Bytes)>, now: Instant) {
    let names: Vec<String> = nodes.iter().map(|it| it.name.clone()).collect();
    for (from, node) in nodes.iter_mut().enumerate() {
        node.handle_timeout(now);
        for (name, message) in outputs(node) {
            let others = names
                .iter()
                .enumerate()
                .filter(|(to, it)| *to != from && name.as_ref().is_none_or(|name| name == *it));
            mail.extend(others.map(|(to, _)| (from, to, message.clone())));
        }
        follow(node);
    }
    // A bus that is slower than its nodes loses what is oldest.
    if mail.len() > 200 {
        mail.drain(..mail.len() - 200);
    }
}
