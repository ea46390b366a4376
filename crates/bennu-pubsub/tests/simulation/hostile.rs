//! Bytes that nobody sent, and messages in any order.

use std::time::Duration;

use bennu_pubsub::tracker::{Message, Output, PresenceOptions};
use bytes::Bytes;

use crate::{
    node::{Act, KEYS, Node, OWNERS, TOPICS},
    random::Random,
    world::World,
};

fn options() -> PresenceOptions {
    PresenceOptions::new().window(Duration::ZERO)
}

/// What a node says while it tracks this and that.
fn story(random: &mut Random, node: &mut Node, steps: u64, world: &World) -> Vec<Bytes> {
    let mut said = Vec::new();
    let mut now = world.instant();
    for n in 0..steps {
        let act = random.pick(&[Act::Track, Act::Track, Act::Update, Act::Untrack]);
        let place = (
            random.below(OWNERS),
            random.below(TOPICS.len() as u64) as usize,
            random.below(KEYS.len() as u64) as usize,
        );
        node.act(act, place, n, now);
        now += Duration::from_millis(random.below(200));
        node.handle_timeout(now);
        said.extend(outputs(node).into_iter().filter_map(|it| match it {
            Output::ToAll(message) => Some(message),
            Output::ToNode(..) | Output::Event(_) => None,
        }));
        for diff in node.poll_diffs() {
            node.follow(&diff, true);
        }
    }
    now += Duration::from_secs(3);
    node.handle_timeout(now);
    said.extend(outputs(node).into_iter().filter_map(|it| match it {
        Output::ToAll(message) => Some(message),
        Output::ToNode(..) | Output::Event(_) => None,
    }));
    said
}

fn outputs(node: &mut Node) -> Vec<Output> {
    std::iter::from_fn(|| node.replication.poll_output(&mut node.trackers[..])).collect()
}

#[test]
fn any_bytes_are_refused_or_taken_and_nothing_breaks() {
    let mut random = Random::new(7);
    let world = World::new(7, options());
    let mut ant = Node::new("ant", 5, &options(), world.instant());
    let mut said = story(&mut random, &mut ant, 60, &world);
    said.push(ant.replication.bye());
    let now = world.instant();
    let (mut refused, mut taken) = (0, 0);
    for _ in 0..60 {
        let mut bee = Node::new("bee", 6, &options(), now);
        for _ in 0..60 {
            let whole = &said[random.below(said.len() as u64) as usize];
            let mut bytes = whole.to_vec();
            for _ in 0..random.below(4) {
                let at = random.below(bytes.len() as u64) as usize;
                match random.below(3) {
                    0 => bytes[at] = random.next() as u8,
                    1 => bytes.truncate(at),
                    _ => bytes.insert(at, random.next() as u8),
                }
                if bytes.is_empty() {
                    break;
                }
            }
            match Message::decode(&bytes) {
                Ok(_) => taken += 1,
                Err(_) => refused += 1,
            }
            let from = random.pick(&["ant", "asp", "bee"]);
            bee.replication
                .handle_message(from, &bytes, &mut bee.trackers[..], now);
            let sent = outputs(&mut bee);
            let events = |it: &&Output| matches!(it, Output::Event(_));
            assert!(
                sent.len() - sent.iter().filter(events).count() <= 3,
                "{sent:?}"
            );
            for diff in bee.poll_diffs() {
                bee.follow(&diff, true);
            }
        }
        let list = bee.list();
        assert_eq!(bee.followed, list);
    }
    assert!(refused > 100 && taken > 100, "{refused} and {taken}");
}

#[test]
fn messages_in_any_order_and_any_number_lead_to_the_same() {
    for seed in 0..100 {
        let mut random = Random::new(seed);
        let options = options().changes_max(random.pick(&[5, 8_192]));
        let mut world = World::new(seed, options.clone());
        let ant = world.start("ant", 1_000);
        let mut node = Node::new(
            "ant",
            world.nodes[ant].replica.start,
            &options,
            world.instant(),
        );
        let said = story(&mut random, &mut node, 80, &world);
        world.nodes[ant] = node;
        let bees = [world.start("bee", 1_000), world.start("wasp", 1_000)];
        let now = world.instant();
        for bee in bees {
            for _ in 0..3 * said.len() {
                let message = &said[random.below(said.len() as u64) as usize];
                let bee = &mut world.nodes[bee];
                bee.replication
                    .handle_message("ant", message, &mut bee.trackers[..], now);
            }
            world.drain(bee);
        }
        let end = world.now + 30_000_000;
        world.run_until(end);
        assert_eq!(world.disagreement(), None, "seed {seed}");
        world.check_followed();
    }
}
