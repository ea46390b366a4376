//! Closing the connections of a mount before its server goes down.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::{Close, Mount};
use crate::{
    Drainer,
    telemetry::log::{self, Draining},
};

/// Between two handfuls of closes.
const TICK: Duration = Duration::from_millis(10);
/// The most that a client is asked to wait before it comes back.
const RETRY_MS_MAX: u64 = 1000;

/// Lets nobody in, closes who is there, and waits until they are gone or the time is over.
pub(crate) async fn drain(mount: &Arc<Mount>) {
    let Some(drainer) = mount.options.drainer else {
        return;
    };
    let deadline = Instant::now() + drainer.shutdown;
    if mount.start_draining() {
        // Who was let in just before is in the list now or finds the mount draining.
        tokio::select! {
            () = close_all(mount, drainer) => {}
            () = sleep_until(deadline) => {}
        }
    }
    let mut ticks = interval(TICK);
    while mount.len() > 0 && Instant::now() < deadline {
        ticks.tick().await;
    }
    let left = mount.len();
    if left > 0 {
        tracing::warn!(
            path = mount.path,
            left,
            "connections are still open after draining"
        );
    }
}

async fn close_all(mount: &Mount, drainer: Drainer) {
    let connections = mount.connections();
    let total = connections.len();
    if total == 0 {
        return;
    }
    let at_once = closed_per_tick(total, drainer);
    let hasher = RandomState::new();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut closed, mut told) = (0, 0);
    for handful in connections.chunks(at_once) {
        ticks.tick().await;
        for (n, conn) in handful.iter().enumerate() {
            // Any spread will do, and a hash is one.
            let retry_ms = hasher.hash_one(closed + n) % RETRY_MS_MAX;
            conn.close(Close::new(1012, format!("draining retry_ms={retry_ms}")));
        }
        let batch_size = drainer.batch_size.max(1);
        let round = closed / batch_size + 1;
        // The beginning of a round, which needn't be that of a handful.
        if round > told
            && let Some(level) = log::enabled(drainer.log)
        {
            told = round;
            let draining = Draining {
                mount: &mount.path,
                count: batch_size.min(total - closed),
                total,
                interval: drainer.batch_interval,
                round,
                rounds: total.div_ceil(batch_size),
            };
            draining.log(level);
        }
        closed += handful.len();
    }
}

/// The batch's share of a tick, or what it takes to leave half of the time for the clients to go.
fn closed_per_tick(
    total: usize,
    Drainer {
        batch_size,
        batch_interval,
        shutdown,
        ..
    }: Drainer,
) -> usize {
    let share = |count: usize, of: Duration| {
        let ticks = of.as_millis().max(1).div_ceil(TICK.as_millis());
        count.div_ceil(usize::try_from(ticks).unwrap_or(usize::MAX))
    };
    share(batch_size, batch_interval)
        .max(share(total, shutdown / 2))
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closes_are_spread_over_the_interval_unless_time_runs_out() {
        let drainer = Drainer::default();
        assert_eq!(closed_per_tick(1, drainer), 50);
        assert_eq!(closed_per_tick(75_000, drainer), 50);
        assert_eq!(closed_per_tick(750_000, drainer), 500);
        let at_once = Drainer {
            shutdown: Duration::ZERO,
            ..drainer
        };
        assert_eq!(closed_per_tick(1_000, at_once), 1_000);
    }
}
