//! Prints what it takes to be one more among many: `cargo run --release -p bennu-pubsub --example presence_cost`.
//! Nobody listens; it's the tracker alone.
#![expect(clippy::print_stdout, reason = "it is there to print")]

use std::time::{Duration, Instant};

use bennu_pubsub::tracker::{Meta, Owner, PresenceError, PresenceOptions, Replica, Tracker};
use bennu_wire::Topic;

/// Members that come and go at each size.
const CHANGES: u64 = 2_000;

fn main() -> Result<(), PresenceError> {
    println!(
        "{:>9} {:>16} {:>9} {:>9} {:>11}",
        "members", "keys", "join ns", "leave ns", "list us"
    );
    for (name, keys) in [("one each", u64::MAX), ("one for all", 1)] {
        for members in [100, 10_000, 100_000] {
            measure(name, keys, members)?;
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "it is there to print")]
fn measure(name: &str, keys: u64, members: u64) -> Result<(), PresenceError> {
    let replica = Replica {
        node: "a".into(),
        start: 1,
    };
    let at_once = PresenceOptions::new().window(Duration::ZERO);
    let mut tracker = Tracker::new(&replica, "", at_once);
    let topic = Topic::from("room:1");
    let meta = Meta::new(
        &[("status", "online")]
            .into_iter()
            .collect::<std::collections::BTreeMap<_, _>>(),
    )?;
    let join = |tracker: &mut Tracker, n: u64| {
        let key = format!("user-{}", n % keys);
        let tracked = tracker.track(Owner(n), &topic, &key, &meta, Instant::now());
        tracker.poll_diff();
        tracked
    };
    for n in 0..members {
        join(&mut tracker, n)?;
    }
    let began = Instant::now();
    for n in members..members + CHANGES {
        join(&mut tracker, n)?;
    }
    let joining = began.elapsed();
    // The oldest go, which stand at the beginning of what is sorted by age.
    let leaving = members.min(CHANGES);
    let began = Instant::now();
    for n in 0..leaving {
        tracker.untrack_owner(Owner(n), Instant::now());
        tracker.poll_diff();
    }
    let left = began.elapsed();
    let began = Instant::now();
    let listed = serde_json::to_string(&tracker.listing(&topic)).map_or(0, |it| it.len());
    let listing = began.elapsed();
    println!(
        "{members:>9} {name:>16} {:>9} {:>9} {:>11}   ({listed} bytes)",
        joining.as_nanos() / u128::from(CHANGES),
        left.as_nanos() / u128::from(leaving),
        listing.as_micros(),
    );
    Ok(())
}
