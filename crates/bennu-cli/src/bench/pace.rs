//! The clock that pushes and heartbeats are made by: a thread of its own, since a runtime's timers tick in
//! milliseconds, and a schedule that waits for nobody, so that a server that stalls isn't asked less meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use super::clock::{now_ns, ns, until};
use super::member::Command;
use super::plan::{PushRate, Window};
use super::scenario::Scenario;
use super::shared::Shared;

/// How long the thread sleeps at most before it looks whether it's to end.
const NAP: Duration = Duration::from_millis(20);
/// How long somebody who left stays away.
const AWAY_NS: f64 = 100e6;

/// A thread that tells connections when to speak. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Pacer {
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Turns of `all` connections at an even pace, of which some are this worker's: the `k`th turn is connection
/// `k % all`'s.
#[derive(Clone, Debug)]
struct Turns {
    begin_ns: u64,
    period_ns: f64,
    all: u64,
    first: u64,
    count: u64,
    /// Of this worker's turns.
    taken: u64,
}

impl Turns {
    /// When the next turn of this worker is, and which of its connections has it.
    fn peek(&self) -> Option<(u64, u64)> {
        let (round, at) = (self.taken.checked_div(self.count)?, self.taken % self.count);
        let turn = round * self.all + self.first + at;
        let after_ns = (turn as f64 * self.period_ns) as u64;
        Some((self.begin_ns.saturating_add(after_ns), at))
    }
}

impl Pacer {
    /// Pushes by the plan's rate until the window's end, and heartbeats until it's dropped. `clients` are this
    /// worker's, in order.
    pub(crate) fn start(
        shared: Arc<Shared>,
        clients: Vec<UnboundedSender<Command>>,
        window: Window,
    ) -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let stopped = stopped.clone();
            move || run(&shared, &clients, window, &stopped)
        });
        Self {
            stopped,
            thread: Some(thread),
        }
    }
}

impl Drop for Pacer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It has nothing to say.
            drop(thread.join());
        }
    }
}

/// Turns, and what they are for.
#[derive(Clone, Debug)]
struct Beat {
    turns: Turns,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Push,
    Leave,
    Come,
    Heartbeat,
}

fn run(
    shared: &Shared,
    clients: &[UnboundedSender<Command>],
    window: Window,
    stopped: &AtomicBool,
) {
    sleep_precisely();
    let mut beats = beats(shared, window);
    while !stopped.load(Ordering::Relaxed) {
        let end_ns = shared.window().end_ns;
        let due = beats.iter_mut().filter_map(|beat| {
            let (due_ns, at) = beat.turns.peek()?;
            let is_over = beat.kind != Kind::Heartbeat && due_ns >= end_ns;
            (!is_over).then_some((due_ns, at, beat))
        });
        let Some((due_ns, at, beat)) = due.min_by_key(|it| it.0) else {
            shared.told_ns.store(u64::MAX, Ordering::Release);
            thread::park_timeout(NAP);
            continue;
        };
        // Pushes due before the end are told before any heartbeat due after it.
        shared.told_ns.store(due_ns, Ordering::Release);
        if due_ns > now_ns() {
            thread::park_timeout(until(due_ns).min(NAP));
            continue;
        }
        beat.turns.taken += 1;
        let command = match beat.kind {
            Kind::Push => Command::Push(due_ns),
            Kind::Leave => Command::Change(due_ns, false),
            Kind::Come => Command::Change(due_ns, true),
            Kind::Heartbeat => Command::Heartbeat(due_ns),
        };
        let client = usize::try_from(at).ok().and_then(|at| clients.get(at));
        let told = client.is_some_and(|it| it.send(command).is_ok());
        if told && shared.is_counted(command) {
            shared.told.fetch_add(1, Ordering::Release);
        } else if shared.is_counted(command) {
            shared.recorder.page(at).count(|it| it.skipped += 1);
        }
    }
}

/// Has the kernel wake this thread when it asked for it, not up to 50 us later.
fn sleep_precisely() {
    #[cfg(target_os = "linux")]
    // Without it the generator is a little later, which is measured.
    let _ = nix::sys::prctl::set_timerslack(1);
}

fn beats(shared: &Shared, window: Window) -> Vec<Beat> {
    let (plan, share) = (&shared.plan, &shared.share);
    let beat = |kind, all: u64, begin_ns, period_ns| Beat {
        turns: Turns {
            begin_ns,
            period_ns,
            all,
            first: share.first,
            count: all.clamp(share.first, share.first + share.count) - share.first,
            taken: 0,
        },
        kind,
    };
    let begin_ns = window.begin_ns;
    let period_ns = ns(plan.heartbeat) as f64 / plan.connections.max(1) as f64;
    let heartbeats = beat(Kind::Heartbeat, plan.connections, begin_ns, period_ns);
    let PushRate::Fixed(rate) = shared.course.push_rate else {
        return vec![heartbeats];
    };
    let all = shared
        .course
        .pushers(plan.connections, plan.topics_per_connection);
    let period_ns = 1e9 / rate;
    if shared.course.scenario != Scenario::Presence {
        return vec![beat(Kind::Push, all, begin_ns, period_ns), heartbeats];
    }
    // Who leaves comes back a little later, so that nearly all are there nearly always.
    let away_ns = AWAY_NS.max(period_ns).min(all as f64 * period_ns);
    let come_ns = begin_ns.saturating_add(away_ns as u64);
    vec![
        beat(Kind::Leave, all, begin_ns, 2.0 * period_ns),
        beat(Kind::Come, all, come_ns, 2.0 * period_ns),
        heartbeats,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_share_one_schedule() {
        let turns = |first, count| Turns {
            begin_ns: 100,
            period_ns: 10.0,
            all: 5,
            first,
            count,
            taken: 0,
        };
        let take = |mut turns: Turns, n: usize| -> Vec<_> {
            let next = std::iter::from_fn(move || {
                let next = turns.peek();
                turns.taken += 1;
                next
            });
            next.take(n).collect()
        };
        assert_eq!(
            take(turns(0, 2), 4),
            [(100, 0), (110, 1), (150, 0), (160, 1)]
        );
        assert_eq!(
            take(turns(2, 3), 4),
            [(120, 0), (130, 1), (140, 2), (170, 0)]
        );
        assert_eq!(take(turns(5, 0), 4), []);
    }
}
