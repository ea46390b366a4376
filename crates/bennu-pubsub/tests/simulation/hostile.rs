//! Bytes that nobody sent, and messages in any order.

use std::time::Duration;

use bennu_pubsub::tracker::{Message, Output, PresenceOptions, ReplicaEvent};
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

/// A hundred million, and the change of the version after those known: somebody appears.
const FAR: &[u8] = b"\x80\xc2\xd7\x2f";
const GHOST: &[u8] = b"\x01\x02\x00\x07room:1\x05ghost\x00";

/// Three nodes, of which the first has a presence in one of its two trackers.
fn three() -> World {
    let mut world = World::new(1, options());
    // Who is made to believe that somebody has left says so.
    world.strict = false;
    for name in ["ant", "bee", "wasp"] {
        world.start(name, 1_000);
    }
    world.act(0, Act::Track, (0, 0, 0));
    let soon = world.now + 2_000_000;
    world.run_until(soon);
    assert_eq!(world.disagreement(), None);
    world.sent.clear();
    world.events.clear();
    world
}

/// The others hear something in the first node's name, its start number included.
fn forge(world: &mut World, kind: u8, body: &[u8]) {
    let mut bytes = vec![1, kind, 1, b'p'];
    bytes.extend(world.nodes[0].replica.start.to_be_bytes());
    bytes.extend(body);
    assert!(Message::decode(&bytes).is_ok());
    let now = world.instant();
    for number in [1, 2] {
        let node = &mut world.nodes[number];
        node.replication
            .handle_message("ant", &bytes, &mut node.trackers[..], now);
        world.drain(number);
    }
}

fn sent(world: &World, kind: u8) -> Vec<usize> {
    let sent = world.sent.iter().filter(|it| it.1 == kind);
    sent.map(|it| it.0).collect()
}

#[test]
fn who_hears_of_what_a_node_never_did_asks_it_and_is_told_how_it_is() {
    let heartbeat = |versions: [&[u8]; 2]| (b'H', versions.concat());
    let state = |answer: u8, shard: u8, section: &[&[u8]]| {
        let section = section.concat();
        let head = [answer, shard, section.len() as u8];
        (b'S', [&head, &section[..]].concat())
    };
    let forgeries = [
        heartbeat([FAR, b"\x00"]),
        heartbeat([FAR, FAR]),
        state(0, 0, &[b"\x00\x01", FAR, GHOST]),
        state(1, 0, &[b"\x00\x01", FAR, GHOST]),
        state(0, 1, &[b"\x00\x00", FAR, GHOST]),
        state(1, 0, &[b"\x01\x00", FAR, FAR, b"\x02", &GHOST[1..]]),
        state(0, 0, &[b"\x01\x00\x02", FAR, GHOST]),
    ];
    for (kind, body) in forgeries {
        let what = format!("{} {}", kind as char, body.escape_ascii());
        let mut world = three();
        forge(&mut world, kind, &body);
        let end = world.now + 5_000_000;
        world.run_until(end);
        assert_eq!(world.disagreement(), None, "{what}");
        assert!(!sent(&world, b'A').is_empty(), "{what}");
        // It's over.
        world.sent.clear();
        world.run_until(end + 10_000_000);
        assert!(sent(&world, b'A').is_empty(), "{what}");
        assert!(sent(&world, b'S').is_empty(), "{what}");
        for topic in [0, 1] {
            world.act(0, Act::Track, (1, topic, 1));
        }
        let end = world.now + 200_000;
        world.run_until(end);
        assert_eq!(world.disagreement(), None, "{what}");
        world.check_followed();
    }
}

#[test]
fn a_flood_in_a_nodes_name_has_it_asked_twice_a_second_and_its_answers_are_short() {
    let mut world = three();
    let began = world.now;
    for n in 1..=500 {
        world.run_until(began + n * 10_000);
        forge(&mut world, b'H', &[FAR, FAR].concat());
    }
    // Each message counts once when it's sent, and once for whom it's sent to.
    let asked = sent(&world, b'A').len();
    assert!((2 * 5..=2 * 11).contains(&asked), "asked {asked} times");
    let answers = sent(&world, b'S');
    assert_eq!(answers.len(), asked);
    assert!(answers.iter().all(|it| *it < 50), "{answers:?}");
    world.run_until(began + 10_000_000);
    world.sent.clear();
    world.run_until(began + 20_000_000);
    assert!(sent(&world, b'A').is_empty());
    assert_eq!(world.disagreement(), None);
}

/// A number as messages have it.
fn number(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

#[test]
fn metas_of_other_nodes_are_held_to_what_this_nodes_own_are() {
    let nested = |depth: usize| {
        // The meta itself is one.
        let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
        format!("\"a\":{open}{close}")
    };
    let long = |bytes: usize| format!("\"a\":\"{}\"", "x".repeat(bytes - r#"{"a":""}"#.len()));
    let metas = [
        // Who is there already.
        (KEYS[0].to_owned(), String::new(), true),
        ("k".repeat(1_024), String::new(), true),
        ("l".repeat(1_025), String::new(), false),
        ("longest".to_owned(), long(65_536), true),
        ("longer".to_owned(), long(65_537), false),
        ("far too long".to_owned(), long(1 << 20), false),
        ("deepest".to_owned(), nested(128), true),
        ("deeper".to_owned(), nested(129), false),
        ("abyss".to_owned(), nested(50_000), false),
        ("half".to_owned(), r#""a":"\ud83d""#.to_owned(), false),
        ("whole".to_owned(), r#""a":"\ud83d\ude00""#.to_owned(), true),
        ("nothing".to_owned(), "\"a\"".to_owned(), false),
        ("bob".to_owned(), String::new(), true),
    ];
    let mut section = [&[0, 1][..], &number(1 + metas.len())].concat();
    for (key, members, _) in &metas {
        section.extend(b"\x01\x02\x00\x07room:1");
        for text in [key, members] {
            section.extend(number(text.len()));
            section.extend(text.as_bytes());
        }
    }
    let mut world = three();
    let body = [&[0, 0][..], &number(section.len()), &section].concat();
    forge(&mut world, b'S', &body);
    let room = "room:1".into();
    let mut expected: Vec<&str> = metas.iter().filter(|it| it.2).map(|it| &*it.0).collect();
    expected.sort_unstable();
    for node in &mut world.nodes[1..] {
        let list = node.trackers[0].list(&room);
        let mut shown: Vec<_> = list.keys().collect();
        shown.sort_unstable();
        // Texts of a megabyte aren't shown when this fails.
        assert!(shown == expected, "{} keys", shown.len());
    }
    let refused = metas.iter().filter(|it| !it.2).count();
    let said = ReplicaEvent::Refused("ant".into(), refused);
    assert_eq!(world.events, [(1, said.clone()), (2, said)]);
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
