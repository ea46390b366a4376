//! What a replica makes of messages is a merge: in which order those of two nodes come, how often one comes, and how
//! changes are cut into messages makes no difference.

use std::time::Duration;

use bennu_pubsub::tracker::{Output, PresenceOptions};
use bytes::Bytes;

use crate::{
    node::{Act, KEYS, Node, OWNERS, TOPICS, View},
    random::Random,
    world::World,
};

const SEEDS: u64 = 200;
const ACTS: u64 = 40;

/// A node that did this and that, in one order for one seed.
struct Teller {
    name: &'static str,
    /// Its first heartbeat, after which its changes are listened to.
    hello: Bytes,
    said: Vec<Bytes>,
    list: View,
}

impl Teller {
    /// It says what it did after so many acts.
    fn new(world: &World, name: &'static str, seed: u64, acts: u64) -> Self {
        let mut now = world.instant();
        let mut node = Node::new(name, 5, &options(), now);
        node.handle_timeout(now);
        let hello = to_all(&mut node).pop().unwrap();
        let mut random = Random::new(seed);
        let mut said = Vec::new();
        for n in 1..=ACTS {
            let act = random.pick(&[Act::Track, Act::Track, Act::Update, Act::Untrack, Act::End]);
            let place = (
                random.below(OWNERS),
                random.below(TOPICS.len() as u64) as usize,
                random.below(KEYS.len() as u64) as usize,
            );
            node.act(act, place, n, now);
            // Longer than changes wait for others.
            now += Duration::from_millis(150);
            if n % acts == 0 {
                node.handle_timeout(now);
                said.extend(to_all(&mut node));
            }
        }
        Self {
            name,
            hello,
            said,
            list: node.list(),
        }
    }
}

/// What a node says to all.
fn to_all(node: &mut Node) -> Vec<Bytes> {
    let outputs = std::iter::from_fn(|| node.replication.poll_output(&mut node.trackers[..]));
    let messages = outputs.filter_map(|it| match it {
        Output::ToAll(message) => Some(message),
        Output::ToNode(..) | Output::Event(_) => None,
    });
    messages.collect()
}

fn options() -> PresenceOptions {
    PresenceOptions::new().window(Duration::ZERO)
}

/// What a node shows that has heard these, and that its diffs have told of each change once.
fn heard<'a>(
    world: &World,
    tellers: &[&'a Teller],
    messages: impl IntoIterator<Item = (&'static str, &'a Bytes)>,
) -> View {
    let mut bee = Node::new("bee", 6, &options(), world.instant());
    let hellos = tellers.iter().map(|it| (it.name, &it.hello));
    for (from, message) in hellos.chain(messages) {
        let now = world.instant();
        bee.replication
            .handle_message(from, message, &mut bee.trackers[..], now);
        to_all(&mut bee);
        for diff in bee.poll_diffs() {
            bee.follow(&diff, true);
        }
    }
    let list = bee.list();
    assert_eq!(bee.followed, list);
    list
}

fn of(teller: &Teller) -> impl Iterator<Item = (&'static str, &Bytes)> {
    teller.said.iter().map(|it| (teller.name, it))
}

#[test]
fn changes_lead_to_the_same_however_they_are_cut_into_messages_and_how_often_they_come() {
    for seed in 0..SEEDS {
        let world = World::new(seed, options());
        let fine = Teller::new(&world, "ant", seed, 1);
        let coarse = Teller::new(&world, "ant", seed, ACTS);
        assert!(fine.said.len() > coarse.said.len());
        assert_eq!(fine.list, coarse.list);
        let twice = fine.said.iter().flat_map(|it| [("ant", it); 2]);
        for (what, found) in [
            ("one by one", heard(&world, &[&fine], of(&fine))),
            ("together", heard(&world, &[&fine], of(&coarse))),
            ("each twice", heard(&world, &[&fine], twice)),
            (
                "together, and then one by one",
                heard(&world, &[&fine], of(&coarse).chain(of(&fine))),
            ),
            (
                "one by one, and then together",
                heard(&world, &[&fine], of(&fine).chain(of(&coarse))),
            ),
        ] {
            assert_eq!(found, fine.list, "seed {seed}: {what}");
        }
    }
}

#[test]
fn messages_of_two_nodes_lead_to_the_same_whichever_comes_first() {
    for seed in 0..SEEDS {
        let world = World::new(seed, options());
        let ant = Teller::new(&world, "ant", seed, 2);
        let cow = Teller::new(&world, "cow", seed + SEEDS, 5);
        let tellers = [&ant, &cow];
        let mut both = ant.list.clone();
        both.extend(cow.list.clone());
        // What a bus may do: the order of each sender is kept.
        let mut random = Random::new(seed);
        let (mut ants, mut cows) = (of(&ant).peekable(), of(&cow).peekable());
        let mut mixed = Vec::new();
        while ants.peek().is_some() || cows.peek().is_some() {
            let first = random.chance(500);
            let next = if first { ants.next() } else { cows.next() };
            mixed.extend(next);
        }
        for (what, found) in [
            (
                "ant first",
                heard(&world, &tellers, of(&ant).chain(of(&cow))),
            ),
            (
                "cow first",
                heard(&world, &tellers, of(&cow).chain(of(&ant))),
            ),
            ("mixed", heard(&world, &tellers, mixed)),
        ] {
            assert_eq!(found, both, "seed {seed}: {what}");
        }
    }
}
