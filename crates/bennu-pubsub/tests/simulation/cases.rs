//! What is promised of single events, in clusters on a good network.

use std::time::Duration;

use bennu_pubsub::tracker::{Meta, Owner, PresenceOptions, ReplicaEvent};
use serde_json::json;

use crate::{
    node::{Act, KEYS, SHARDS, TOPICS, shard},
    world::{DOWN, HEARTBEAT, SECOND, World},
};

/// How long a message takes at most.
const DELAY: u64 = SECOND / 50;
const CLOCK: u64 = 1_000 * SECOND;

/// Changes are told at once, and metas hidden by nobody else.
fn options() -> PresenceOptions {
    PresenceOptions::new().window(Duration::ZERO)
}

/// A cluster of nodes that know each other, each with one presence in the first topic.
fn cluster(nodes: &[&str], options: PresenceOptions) -> World {
    let mut world = World::new(1, options);
    for name in nodes {
        let number = world.start(name, CLOCK);
        world.act(number, Act::Track, (0, 0, 0));
    }
    world.run_until(2 * SECOND);
    assert_eq!(world.disagreement(), None);
    world
}

fn shown(world: &mut World, number: usize) -> usize {
    world.nodes[number].list().len()
}

fn said(world: &World, of: impl Fn(&ReplicaEvent) -> bool) -> usize {
    world.events.iter().filter(|(_, event)| of(event)).count()
}

/// Whether all nodes show the same.
fn alike(world: &mut World) -> bool {
    let alive = world.alive();
    let orders: Vec<_> = alive.iter().map(|it| world.nodes[*it].orders()).collect();
    orders.windows(2).all(|it| it[0] == it[1])
}

/// Tracks so many on a node, of which the truth isn't told.
fn track_many(world: &mut World, number: usize, count: u64) {
    let meta = Meta::new(&json!({"status": "online", "device": "phone"})).unwrap();
    let now = world.instant();
    let node = &mut world.nodes[number];
    for n in 0..count {
        let topic = TOPICS[n as usize % TOPICS.len()];
        let tracker = &mut node.trackers[shard(n as usize % TOPICS.len())];
        let key = format!("user-{n}");
        let tracked = tracker.track(Owner(100 + n), &topic.into(), &key, &meta, now);
        tracked.unwrap();
    }
    node.replication.handle_change(now);
    world.drain(number);
}

#[test]
fn a_change_is_seen_everywhere_at_once_and_a_burst_after_a_tenth_of_a_second() {
    let mut world = cluster(&["a", "b", "c"], options());
    let now = world.now;
    world.act(0, Act::Track, (1, 1, 1));
    world.run_until(now + DELAY);
    assert_eq!([1, 2].map(|it| shown(&mut world, it)), [4, 4]);
    world.act(0, Act::Track, (2, 2, 2));
    world.act(0, Act::Untrack, (1, 1, 1));
    world.run_until(now + SECOND / 10 + DELAY);
    assert_eq!(world.disagreement(), None);
}

#[test]
fn who_crashed_is_down_after_six_seconds_and_gone_after_twenty_minutes() {
    let mut world = cluster(&["a", "b", "c"], options());
    let crash = world.now;
    world.end(1, false);
    world.run_until(crash + DOWN - HEARTBEAT - DELAY);
    assert_eq!(shown(&mut world, 0), 3, "it may be just slow");
    world.run_until(crash + DOWN + DELAY);
    assert_eq!(world.disagreement(), None);
    assert_eq!(world.nodes[0].mirrored(), 2, "it's remembered");
    world.run_until(crash + 20 * 60 * SECOND + DELAY);
    assert_eq!(world.nodes[0].mirrored(), 1, "it's forgotten");
    assert_eq!(said(&world, |it| matches!(it, ReplicaEvent::Gone(_))), 2);
}

#[test]
fn who_was_out_of_reach_is_back_when_it_is_heard_without_being_sent_again() {
    let mut world = cluster(&["a", "b"], options());
    track_many(&mut world, 0, 1_000);
    let cut = world.now;
    world.outage_until = cut + 60 * SECOND;
    world.run_until(world.outage_until);
    assert_eq!([0, 1].map(|it| shown(&mut world, it)), [1_001, 1]);
    world.sent.clear();
    world.run_until(cut + 60 * SECOND + HEARTBEAT + 3 * DELAY);
    assert!(alike(&mut world));
    // Changes were made just before the cut, so those were asked for; nothing else was.
    let cut = world.now;
    world.outage_until = cut + 60 * SECOND;
    world.run_until(world.outage_until);
    assert_eq!(shown(&mut world, 1), 1);
    world.sent.clear();
    world.run_until(cut + 60 * SECOND + HEARTBEAT + 3 * DELAY);
    assert!(alike(&mut world));
    assert!(world.sent.iter().all(|(_, kind)| *kind == b'H'));
}

#[test]
fn who_changed_while_out_of_reach_comes_back_as_it_is_now() {
    let mut world = cluster(&["a", "b"], options());
    world.act(0, Act::Track, (1, 0, 1));
    world.run_until(world.now + SECOND);
    world.outage_until = world.now + 20 * SECOND;
    world.run_until(world.now + 10 * SECOND);
    world.act(0, Act::Untrack, (1, 0, 1));
    world.act(0, Act::Track, (2, 0, 2));
    world.run_until(world.outage_until);
    assert_eq!([0, 1].map(|it| shown(&mut world, it)), [2, 1]);
    world.diffs = 0;
    world.run_until(world.now + 2 * HEARTBEAT);
    assert_eq!(world.disagreement(), None);
    // Nobody is shown who has left meanwhile: one diff each has all.
    assert_eq!(world.diffs, 2);
}

#[test]
fn who_was_out_of_reach_within_one_window_is_there_after_it() {
    let window = Duration::from_secs(30);
    let mut world = cluster(&["a", "b"], options().window(window).window_members_min(1));
    // Told once more of who they know, clients don't mind.
    world.strict = false;
    let now = world.now;
    world.outage_until = now + 8 * SECOND;
    world.run_until(now + 7 * SECOND);
    assert_eq!([0, 1].map(|it| shown(&mut world, it)), [1, 1]);
    world.run_until(now + 10 * SECOND);
    assert_eq!([0, 1].map(|it| shown(&mut world, it)), [2, 2]);
    world.run_until(now + 70 * SECOND);
    world.check_followed();
}

#[test]
fn who_says_goodbye_is_gone_at_once() {
    let mut world = cluster(&["a", "b", "c"], options());
    let now = world.now;
    world.end(1, true);
    world.run_until(now + DELAY);
    assert_eq!(world.disagreement(), None);
}

#[test]
fn who_starts_again_replaces_what_it_was_at_once() {
    let mut world = cluster(&["a", "b", "c"], options());
    let now = world.now;
    world.end(1, false);
    let again = world.start("b", CLOCK + now);
    world.run_until(now + DELAY);
    assert_eq!(shown(&mut world, 0), 2);
    assert_eq!(shown(&mut world, 2), 2);
    world.act(again, Act::Track, (1, 1, 1));
    world.run_until(now + 4 * DELAY + SECOND / 10);
    assert_eq!(world.disagreement(), None);
}

#[test]
fn who_starts_again_with_its_clock_set_back_is_believed_when_the_other_was_silent_for_long() {
    let mut world = cluster(&["a", "b", "c"], options());
    let now = world.now;
    world.end(1, false);
    let again = world.start("b", CLOCK - 3_600);
    world.act(again, Act::Track, (1, 1, 1));
    world.run_until(now + DOWN - 2 * HEARTBEAT);
    assert_eq!(shown(&mut world, 0), 3, "the other one is still believed");
    world.run_until(now + DOWN + HEARTBEAT + 4 * DELAY);
    assert_eq!(world.disagreement(), None);
}

#[test]
fn of_two_nodes_of_one_name_the_later_is_seen_and_all_are_told() {
    let mut world = cluster(&["a", "b", "c"], options());
    let later = world.start("b", CLOCK + world.now);
    world.act(later, Act::Track, (1, 1, 1));
    world.events.clear();
    let end = world.now + 60 * SECOND;
    world.run_until(end);
    for number in [0, 2] {
        let list = world.nodes[number].list();
        let keys: Vec<_> = list.keys().map(|(_, key, _)| key.as_str()).collect();
        assert_eq!(keys, [KEYS[0], KEYS[0], KEYS[1]], "at #{number}");
    }
    let told = |number| {
        let mut events = world.events.iter().filter(|(it, _)| *it == number);
        events.any(|(_, event)| matches!(event, ReplicaEvent::NameTaken(_)))
    };
    assert!(told(1) && told(later), "{:?}", world.events);
    let changed = said(&world, |it| {
        matches!(
            it,
            ReplicaEvent::Up(_) | ReplicaEvent::Down(_) | ReplicaEvent::Gone(_)
        )
    });
    // Once a and c took the one for the other, and the new one met them.
    assert!(changed <= 6, "{:?}", world.events);
}

#[test]
fn who_slept_judges_nobody_before_it_has_listened() {
    let mut world = cluster(&["a", "b", "c"], options());
    let now = world.now;
    world.stall(0, 20 * SECOND);
    world.outage_until = now + 20 * SECOND;
    world.run_until(now + 20 * SECOND - SECOND);
    world.events.clear();
    world.run_until(now + 30 * SECOND);
    let by_sleeper = world.events.iter().filter(|(it, _)| *it == 0);
    assert_eq!(by_sleeper.count(), 0, "{:?}", world.events);
    assert_eq!(world.disagreement(), None);
}

/// Ten thousand on one node, seen by one that is there and by one that comes.
fn ten_thousand(options: PresenceOptions, within: u64) -> World {
    let mut world = cluster(&["a", "b"], options);
    let now = world.now;
    track_many(&mut world, 0, 10_000);
    world.run_until(now + within);
    assert_eq!(shown(&mut world, 1), 10_002);
    let comes = world.start("c", CLOCK + world.now);
    let now = world.now;
    world.run_until(now + within);
    assert_eq!(shown(&mut world, comes), 10_002);
    assert_eq!(world.nodes[comes].orders(), world.nodes[0].orders());
    world
}

#[test]
fn ten_thousand_are_seen_within_three_seconds_and_cost_heartbeats_nothing() {
    let heartbeats = |world: &mut World| {
        // Nothing is on its way any more.
        world.run_until(world.now + SECOND);
        world.sent.clear();
        world.run_until(world.now + 2 * HEARTBEAT);
        assert!(world.sent.iter().all(|(_, kind)| *kind == b'H'));
        let bytes = world.sent.iter().map(|(bytes, _)| *bytes).max().unwrap();
        (world.sent.len() / world.alive().len().pow(2), bytes)
    };
    let mut small = cluster(&["a", "b", "c"], options());
    let mut large = ten_thousand(options(), 3 * SECOND);
    let (small, large) = (heartbeats(&mut small), heartbeats(&mut large));
    assert_eq!(small.0, large.0, "as many");
    // Versions have a digit more.
    assert!(large.1 <= small.1 + SHARDS, "{small:?} and {large:?}");
}

#[test]
fn what_is_not_in_the_log_any_more_comes_in_pieces_of_limited_size() {
    let options = options().changes_max(100).message_bytes_max(20_000);
    let world = ten_thousand(options, 5 * SECOND);
    let largest = world.sent.iter().map(|(bytes, _)| *bytes).max();
    assert!(largest.unwrap() < 21_000, "{largest:?}");
    let logged = world.nodes[0].trackers.iter().map(|it| it.logged()).max();
    assert_eq!(logged, Some(100));
}

#[test]
fn changes_are_forgotten_after_a_while() {
    let mut world = cluster(&["a", "b"], options());
    track_many(&mut world, 0, 1_000);
    let now = world.now;
    world.run_until(now + 20 * HEARTBEAT);
    assert!(
        world
            .nodes
            .iter()
            .all(|it| it.trackers.iter().all(|it| it.logged() == 0))
    );
    world.start("c", CLOCK);
    world.run_until(now + 21 * HEARTBEAT);
    assert!(alike(&mut world));
}

#[test]
fn what_others_track_takes_no_more_than_is_allowed_and_it_is_said() {
    let mut world = cluster(&["a", "b"], options().remote_bytes_max(100_000));
    track_many(&mut world, 0, 10_000);
    let now = world.now;
    world.run_until(now + 5 * SECOND);
    let mirrored = world.nodes[1].mirrored();
    assert!((500..=700).contains(&mirrored), "{mirrored}");
    let refused = world.events.iter().filter_map(|(_, it)| match it {
        ReplicaEvent::Refused(_, metas) => Some(*metas),
        _ => None,
    });
    assert_eq!(refused.sum::<usize>() + mirrored, 10_001);
    // What is left out isn't asked for again and again.
    world.sent.clear();
    world.run_until(now + 10 * SECOND);
    assert!(world.sent.iter().all(|(_, kind)| *kind == b'H'));
    // What goes makes room, and what couldn't be shown leaves no trace.
    for owner in 0..10_000 {
        let now = world.instant();
        for tracker in &mut world.nodes[0].trackers {
            tracker.untrack_owner(Owner(100 + owner), now);
        }
    }
    let now = world.instant();
    world.nodes[0].replication.handle_change(now);
    world.drain(0);
    let end = world.now + 5 * SECOND;
    world.run_until(end);
    assert_eq!(world.disagreement(), None);
}
