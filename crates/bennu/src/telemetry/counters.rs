//! What happens on a mount, counted without locks.
//!
//! Nothing here knows how counts are shown: they are read when somebody asks.

use std::{
    array,
    cell::Cell,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use super::Transport;
use crate::runtime::{TOO_MANY_EVENTS, TOO_MANY_UNHANDLED};

/// Cells for what is counted with nearly every message: threads that share none don't wait for each other.
const CELLS: usize = 16;
/// One event in as many is timed: reading the clock for each would cost more than all else here.
const EVENTS_PER_TIMING: u32 = 16;

/// The counts of one mount.
#[derive(Debug)]
pub(crate) struct Counters {
    /// Connections refused, by [`Refused`].
    pub(crate) refused: Tally,
    /// Joins, by what came of them.
    pub(crate) joins: Tally,
    /// What the session or a channel's join refused, by its reason.
    pub(crate) refusals: Tally,
    /// Clients refused because there were too many connections.
    pub(crate) connections_refused: Counter,
    /// Clients refused because `connect` took too long.
    pub(crate) connects_timed_out: Counter,
    /// Connections closed because their client was silent.
    pub(crate) idle_closed: Counter,
    /// Connections closed because of a frame.
    pub(crate) frames_refused: Counter,
    /// Connections closed because of a frame that was no message.
    pub(crate) messages_undecodable: Counter,
    /// Messages that the session answered with an error.
    pub(crate) messages_refused: Counter,
    /// Messages that came too often.
    pub(crate) events_throttled: Counter,
    /// Messages dropped because an outbox was full.
    pub(crate) overflow_dropped: Counter,
    /// Connections closed because their outbox was full.
    pub(crate) overflow_closed: Counter,
    /// Messages to channels dropped because too many waited.
    pub(crate) mail_dropped: Counter,
    /// Broadcasts that a subscriber's serializer couldn't carry, and any message that long-polling couldn't.
    pub(crate) broadcasts_skipped: Counter,
    /// Events without a ref that didn't decode.
    pub(crate) events_undecodable: Counter,
    /// Panics of callbacks.
    pub(crate) panics: Counter,
    /// How long joins took.
    pub(crate) join_durations: Histogram,
    /// How long `handle_in` took, of some events.
    pub(crate) handle_in_durations: Histogram,
    transports: [Lives; 2],
    cells: Box<[Share]>,
}

/// The connections of one transport.
#[derive(Debug)]
pub(crate) struct Lives {
    pub(crate) opened: Counter,
    /// Connections closed, by [`why`](crate::runtime::Close::why).
    pub(crate) closed: Tally,
}

/// Whether the next event of this thread is one of those to be timed.
pub(crate) fn is_timed() -> bool {
    thread_local! {
        static EVENTS: Cell<u32> = const { Cell::new(0) };
    }
    let event = EVENTS.get();
    EVENTS.set(event.wrapping_add(1));
    event.is_multiple_of(EVENTS_PER_TIMING)
}

/// What came and went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

/// On cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Share {
    received: [Flow; 2],
    sent: [Flow; 2],
}

#[derive(Debug, Default)]
struct Flow {
    messages: Counter,
    bytes: Counter,
}

impl Flow {
    fn add(&self, messages: usize, bytes: usize) {
        self.messages.add(messages as u64);
        self.bytes.add(bytes as u64);
    }
}

/// What became of joins.
pub(crate) const JOINS: &[&str] = &["ok", "error", "crashed"];
/// Why something is refused in an error reply of the session.
const REFUSALS: &[&str] = &[
    "unmatched topic",
    "too many channels joined",
    TOO_MANY_QUEUED,
    "too many joins at once",
    "join crashed",
    TOO_MANY_EVENTS,
    "refused",
];
const TOO_MANY_QUEUED: &str = "too many messages queued";
/// Why a connection is closed. The last is what an application says with words of its own.
const CLOSES: &[&str] = &[
    "client",
    "lost",
    "idle",
    "disconnected",
    "slow consumer",
    "draining",
    TOO_MANY_QUEUED,
    TOO_MANY_EVENTS,
    TOO_MANY_UNHANDLED,
    "protocol error",
    "invalid data",
    "too big",
    "policy",
    "internal error",
    "application",
];

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Draining,
    BadRequest,
    Origin,
    Subprotocol,
    Vsn,
    Params,
    /// The socket's `connect` refused it.
    Connect,
    /// The socket's `connect` failed.
    Failed,
    Panicked,
    /// The mount has as many connections as it may.
    Full,
    /// The client's address has.
    PeerFull,
    /// Its query is too long.
    TooLong,
    /// The socket's `connect` took too long.
    TimedOut,
    TooManySessions,
}

const REFUSED: &[&str] = &[
    "draining",
    "bad request",
    "origin",
    "subprotocol",
    "vsn",
    "params",
    "refused",
    "error",
    "panicked",
    "full",
    "too many of one address",
    "too long",
    "timed out",
    "too many sessions",
];

impl Counters {
    pub(crate) fn lives(&self, transport: Transport) -> &Lives {
        let [websocket, longpoll] = &self.transports;
        transport.pick(websocket, longpoll)
    }

    pub(crate) fn refuse(&self, why: Refused) {
        self.refused.add_at(why as usize);
    }

    /// Messages came from a client. To be called once for many where that's possible.
    pub(crate) fn receive(&self, transport: Transport, messages: usize, bytes: usize) {
        let [websocket, longpoll] = &self.cell().received;
        transport.pick(websocket, longpoll).add(messages, bytes);
    }

    /// Messages went to a client.
    pub(crate) fn send(&self, transport: Transport, messages: usize, bytes: usize) {
        let [websocket, longpoll] = &self.cell().sent;
        transport.pick(websocket, longpoll).add(messages, bytes);
    }

    pub(crate) fn received(&self, transport: Transport) -> Traffic {
        self.traffic(|cell| {
            let [websocket, longpoll] = &cell.received;
            transport.pick(websocket, longpoll)
        })
    }

    pub(crate) fn sent(&self, transport: Transport) -> Traffic {
        self.traffic(|cell| {
            let [websocket, longpoll] = &cell.sent;
            transport.pick(websocket, longpoll)
        })
    }

    fn traffic(&self, flow: impl Fn(&Share) -> &Flow) -> Traffic {
        let flows = self.cells.iter().map(flow);
        flows.fold(Traffic::default(), |sum, it| Traffic {
            messages: sum.messages + it.messages.get(),
            bytes: sum.bytes + it.bytes.get(),
        })
    }

    /// The thread's.
    fn cell(&self) -> &Share {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static CELL: usize = THREADS.fetch_add(1, Ordering::Relaxed) % CELLS;
        }
        // A thread that ends has no such variable any more.
        let at = CELL.try_with(|it| *it).unwrap_or_default();
        match self.cells.get(at) {
            Some(cell) => cell,
            None => unreachable!("{at} of {CELLS} cells"),
        }
    }
}

impl Default for Counters {
    fn default() -> Self {
        let lives = || Lives {
            opened: Counter::default(),
            closed: Tally::new(CLOSES),
        };
        Self {
            refused: Tally::new(REFUSED),
            joins: Tally::new(JOINS),
            refusals: Tally::new(REFUSALS),
            connections_refused: Counter::default(),
            connects_timed_out: Counter::default(),
            idle_closed: Counter::default(),
            frames_refused: Counter::default(),
            messages_undecodable: Counter::default(),
            messages_refused: Counter::default(),
            events_throttled: Counter::default(),
            overflow_dropped: Counter::default(),
            overflow_closed: Counter::default(),
            mail_dropped: Counter::default(),
            broadcasts_skipped: Counter::default(),
            events_undecodable: Counter::default(),
            panics: Counter::default(),
            join_durations: Histogram::default(),
            handle_in_durations: Histogram::default(),
            transports: [lives(), lives()],
            cells: (0..CELLS).map(|_| Share::default()).collect(),
        }
    }
}

/// A count that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts by a label, of a few known beforehand: what peers send never makes a new one.
#[derive(Debug)]
pub(crate) struct Tally {
    labels: &'static [&'static str],
    counts: Box<[Counter]>,
}

impl Tally {
    pub(crate) fn new(labels: &'static [&'static str]) -> Self {
        Self {
            labels,
            counts: labels.iter().map(|_| Counter::default()).collect(),
        }
    }

    /// Counts under the last label what has no label of its own.
    pub(crate) fn add(&self, label: &str) {
        let at = self.labels.iter().position(|it| *it == label);
        self.add_at(at.unwrap_or(self.labels.len() - 1));
    }

    /// Counts under the label that stands there.
    pub(crate) fn add_at(&self, at: usize) {
        debug_assert!(at < self.counts.len());
        if let Some(count) = self.counts.get(at) {
            count.add(1);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.counts.iter().map(Counter::get);
        self.labels.iter().copied().zip(counts)
    }
}

/// Durations by size.
#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: [Counter; BUCKETS.len()],
    count: Counter,
    nanos: Counter,
}

/// The upper bounds of a histogram's buckets. The numbers are seconds.
const BUCKETS: [(Duration, f64); 10] = [
    (Duration::from_micros(10), 0.000_01),
    (Duration::from_micros(50), 0.000_05),
    (Duration::from_micros(250), 0.000_25),
    (Duration::from_millis(1), 0.001),
    (Duration::from_millis(5), 0.005),
    (Duration::from_millis(25), 0.025),
    (Duration::from_millis(100), 0.1),
    (Duration::from_millis(500), 0.5),
    (Duration::from_millis(2500), 2.5),
    (Duration::from_secs(10), 10.0),
];

impl Histogram {
    pub(crate) fn add(&self, duration: Duration) {
        let fitting = BUCKETS
            .iter()
            .zip(&self.buckets)
            .find(|((bound, _), _)| duration <= *bound);
        if let Some((_, bucket)) = fitting {
            bucket.add(1);
        }
        self.count.add(1);
        self.nanos
            .add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// How many lasted at most so many seconds.
    pub(crate) fn cumulated(&self) -> impl Iterator<Item = (f64, u64)> {
        let buckets = BUCKETS.iter().zip(&self.buckets);
        buckets.scan(0, |sum, ((_, seconds), bucket)| {
            *sum += bucket.get();
            Some((*seconds, *sum))
        })
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.get()
    }

    pub(crate) fn seconds(&self) -> f64 {
        Duration::from_nanos(self.nanos.get()).as_secs_f64()
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: array::from_fn(|_| Counter::default()),
            count: Counter::default(),
            nanos: Counter::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_count_apart_and_are_read_together() {
        let counters = Counters::default();
        std::thread::scope(|scope| {
            for _ in 0..2 * CELLS {
                scope.spawn(|| {
                    counters.receive(Transport::WebSocket, 2, 100);
                    counters.send(Transport::LongPoll, 1, 10);
                });
            }
        });
        let all = 2 * CELLS as u64;
        let traffic = |messages, bytes| Traffic { messages, bytes };
        let received = counters.received(Transport::WebSocket);
        assert_eq!(received, traffic(2 * all, 100 * all));
        assert_eq!(counters.received(Transport::LongPoll), traffic(0, 0));
        assert_eq!(counters.sent(Transport::LongPoll), traffic(all, 10 * all));
    }

    #[test]
    fn one_event_in_sixteen_is_timed() {
        let timed: Vec<_> = (0..64).filter(|_| is_timed()).collect();
        assert_eq!(timed.len(), 4);
        assert!(timed.is_sorted_by(|a, b| b - a == 16));
    }

    #[test]
    fn what_has_no_label_counts_under_the_last() {
        let tally = Tally::new(&["a", "other"]);
        tally.add("a");
        tally.add("b");
        tally.add("c");
        assert_eq!(tally.iter().collect::<Vec<_>>(), [("a", 1), ("other", 2)]);
        // Each reason to refuse a connection has its place.
        assert_eq!(REFUSED.len(), Refused::TooManySessions as usize + 1);
    }

    #[test]
    fn a_histogram_counts_what_is_at_most_a_bound() {
        let histogram = Histogram::default();
        for micros in [1, 10, 11, 1_000, 60_000_000] {
            histogram.add(Duration::from_micros(micros));
        }
        let counts: Vec<_> = histogram.cumulated().map(|(_, count)| count).collect();
        assert_eq!(counts, [2, 3, 3, 4, 4, 4, 4, 4, 4, 4]);
        assert_eq!(histogram.count(), 5);
        assert!((histogram.seconds() - 60.001_022).abs() < 1e-9);
        // Bounds are said twice.
        assert!(
            BUCKETS
                .iter()
                .all(|(bound, seconds)| bound.as_secs_f64() == *seconds)
        );
    }
}
