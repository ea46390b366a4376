//! What it costs to join: allocations and bytes, which are the same on every machine.

use std::time::{Duration, Instant};

use allocation_counter::AllocationInfo;
use bennu_pubsub::tracker::{Meta, Output, Owner, PresenceOptions, Replica, Replication, Tracker};
use serde_json::json;

use crate::script::tracker;

const MEMBERS: u64 = 10_000;

/// Has one after the other join one topic, and measures each; `key` makes a key.
fn joins(options: PresenceOptions, key: impl Fn(u64) -> String) -> (Tracker, Vec<AllocationInfo>) {
    let now = Instant::now();
    let mut tracker = tracker(options);
    let meta = Meta::new(&json!({"status": "online"})).unwrap();
    let topic = "t".into();
    let costs = (0..MEMBERS).map(|n| {
        let key = key(n);
        allocation_counter::measure(|| {
            tracker.track(Owner(n), &topic, &key, &meta, now).unwrap();
            let told = tracker
                .poll_diff()
                .map(|it| serde_json::to_string(&it).unwrap());
            assert!(told.is_none_or(|it| it.len() < 120), "a diff grows");
        })
    });
    let costs = costs.collect();
    (tracker, costs)
}

/// The most common number of allocations among a hundred joins: now and then a table or a list grows.
fn usual(costs: &[AllocationInfo]) -> u64 {
    let mut counts: Vec<_> = costs.iter().map(|it| it.count_total).collect();
    counts.sort_unstable();
    counts[counts.len() / 2]
}

fn check(options: PresenceOptions, key: impl Fn(u64) -> String) {
    let (_, costs) = joins(options, key);
    let (hundredth, last) = (usual(&costs[50..150]), usual(&costs[9900..]));
    assert_eq!(
        hundredth, last,
        "allocations of the hundredth join and of the last"
    );
    let total: u64 = costs.iter().map(|it| it.bytes_total).sum();
    assert!(
        total < 3_000 * MEMBERS,
        "with all that grew, a join allocates {} bytes",
        total / MEMBERS
    );
}

#[test]
fn the_ten_thousandth_join_costs_what_the_hundredth_does() {
    let at_once = PresenceOptions::new().window(Duration::ZERO);
    check(at_once.clone(), |n| format!("user-{n}"));
    check(at_once, |_| "anonymous".to_owned());
}

#[test]
fn a_member_of_a_large_topic_takes_less_than_four_hundred_bytes() {
    let mut held = None;
    let info = allocation_counter::measure(|| {
        held = Some(
            joins(PresenceOptions::new().window(Duration::ZERO), |n| {
                format!("user-{n}")
            })
            .0,
        );
    });
    let bytes = info.bytes_current / MEMBERS as i64;
    println!("{bytes} bytes a member, of which its JSON is 56");
    assert!(bytes < 400, "{bytes} bytes a member");
    drop(held);
}

#[test]
fn leaving_a_large_key_allocates_the_same_for_all() {
    let (mut tracker, _) = joins(PresenceOptions::new().window(Duration::ZERO), |_| {
        "anonymous".to_owned()
    });
    let now = Instant::now();
    let costs: Vec<_> = (0..MEMBERS)
        .map(|n| {
            allocation_counter::measure(|| {
                assert_eq!(tracker.untrack_owner(Owner(n), now), 1);
                tracker.poll_diff();
            })
        })
        .collect();
    assert_eq!(usual(&costs[50..150]), usual(&costs[9800..9900]));
    assert_eq!(tracker.count_keys(&"t".into()), 0);
}

#[test]
fn a_storm_of_joins_is_told_once_a_window() {
    let (mut tracker, _) = joins(PresenceOptions::new(), |n| format!("user-{n}"));
    // The first hundred were told one by one; what followed waits for the end of the window.
    tracker.handle_timeout(tracker.poll_timeout().unwrap());
    let diff = tracker.poll_diff().unwrap();
    assert_eq!(diff.joins.len(), MEMBERS as usize - 100);
    assert!(tracker.poll_diff().is_none());
}

#[test]
fn a_member_on_another_node_takes_less_than_five_hundred_bytes_and_nothing_when_it_left() {
    let options = PresenceOptions::new().window(Duration::ZERO);
    let options = options.changes_max(2 * MEMBERS as usize);
    let now = Instant::now();
    let replica = |node: &str| Replica {
        node: node.into(),
        start: 1,
    };
    let replication = |node| Replication::new(&replica(node), "p", 1, &options, now);
    let mut ants = [Tracker::new(&replica("ant"), "0", options.clone())];
    let mut bees = [Tracker::new(&replica("bee"), "0", options.clone())];
    let (mut ant, mut bee) = (replication("ant"), replication("bee"));
    ants[0].replicate();
    bees[0].replicate();
    let meta = Meta::new(&json!({"status": "online"})).unwrap();
    let mut told = |ants: &mut [Tracker], later| {
        ant.handle_timeout(ants, now + Duration::from_secs(later));
        let outputs = std::iter::from_fn(|| ant.poll_output(ants));
        let messages = outputs.filter_map(|it| match it {
            Output::ToAll(message) => Some(message),
            Output::ToNode(..) | Output::Event(_) => None,
        });
        messages.collect::<Vec<_>>()
    };
    let mut hear = |bees: &mut [Tracker], messages: &[bytes::Bytes]| {
        for message in messages {
            bee.handle_message("ant", message, bees, now);
            while bee.poll_output(bees).is_some() {}
            while bees[0].poll_diff().is_some() {}
        }
    };
    // They meet first.
    let messages = told(&mut ants, 0);
    hear(&mut bees, &messages);
    for n in 0..MEMBERS {
        let key = format!("user-{n}");
        let tracked = ants[0].track(Owner(n), &"t".into(), &key, &meta, now);
        tracked.unwrap();
    }
    let messages = told(&mut ants, 2);
    let sent: usize = messages.iter().map(|it| it.len()).sum();
    let info = allocation_counter::measure(|| hear(&mut bees, &messages));
    assert_eq!(bees[0].count(&"t".into()), MEMBERS as usize);
    let (bytes, sent) = (info.bytes_current / MEMBERS as i64, sent / MEMBERS as usize);
    println!("{bytes} bytes a member, of which its JSON is 56, and {sent} on the way");
    assert!(bytes < 500, "{bytes} bytes a member");
    assert!(sent < 50, "{sent} bytes on the way");

    for n in 0..MEMBERS {
        ants[0].untrack_owner(Owner(n), now);
    }
    let messages = told(&mut ants, 4);
    let left = allocation_counter::measure(|| hear(&mut bees, &messages));
    let kept = info.bytes_current + left.bytes_current;
    assert!(kept < 5_000, "{kept} bytes are kept for nobody");
}
