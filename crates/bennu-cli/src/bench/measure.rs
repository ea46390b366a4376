//! What is counted and timed, in a form that adds up over connections, threads and processes.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

/// Latencies in nanoseconds, three digits of each: from a microsecond to five minutes.
const LOW_NS: u64 = 1_000;
const HIGH_NS: u64 = 300_000_000_000;
const DIGITS: u8 = 3;
/// Different causes of failure that are told apart; more than these are one.
const CAUSES_MAX: usize = 32;
const OTHER_CAUSES: &str = "other causes";

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Timed {
    /// From the first SYN to the end of the handshake.
    Connect,
    /// From a join to its reply.
    Join,
    /// What the scenario is about, from the moment it was meant to begin.
    Latency,
    /// The same, from the moment it did begin.
    Service,
    /// How late the generator was itself.
    Lag,
    /// From a heartbeat, when it was due, to its reply.
    Heartbeat,
    /// From a join to the state of presence.
    State,
}

/// A histogram that goes over a pipe as the values it has and how often it has them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Histogram(Option<hdrhistogram::Histogram<u64>>);

/// What is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// Handshakes that came to an end, and those that didn't.
    pub(crate) opened: u64,
    pub(crate) failed: u64,
    /// Connections that ended without being asked to.
    pub(crate) dropped: u64,
    /// Topics joined, and joins refused.
    pub(crate) joined: u64,
    pub(crate) refused: u64,
    /// Pushes (or changes of presence) of the measured time, and what came of them.
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// What should have come of them.
    pub(crate) expected: u64,
    /// Replies with another status than "ok".
    pub(crate) errors: u64,
    /// Pushes that were due and never sent: their connection was gone, or too far behind.
    pub(crate) skipped: u64,
    /// What came while it was measured, whenever it was sent.
    pub(crate) arrived: u64,
}

/// All of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Measure {
    pub(crate) counts: Counts,
    pub(crate) times: BTreeMap<Timed, Histogram>,
    /// Why connections failed, and how many did.
    pub(crate) causes: BTreeMap<String, u64>,
}

/// What happened since the tick before.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tick {
    /// Nanoseconds on the shared clock.
    pub(crate) at_ns: u64,
    /// Connections that are open now.
    pub(crate) open: u64,
    pub(crate) opened: u64,
    pub(crate) failed: u64,
    pub(crate) sent: u64,
    pub(crate) arrived: u64,
    pub(crate) latency: Histogram,
}

/// Where connections write down what they measure: several pages, so that threads seldom meet.
#[derive(Debug)]
pub(crate) struct Recorder {
    first: Mutex<Page>,
    rest: Vec<Mutex<Page>>,
}

#[derive(Debug, Default)]
pub(crate) struct Page {
    total: Measure,
    tick: Tick,
}

impl Histogram {
    pub(crate) fn record(&mut self, value_ns: u64) {
        self.record_n(value_ns, 1);
    }

    fn record_n(&mut self, value_ns: u64, count: u64) {
        if self.0.is_none() {
            self.0 = hdrhistogram::Histogram::new_with_bounds(LOW_NS, HIGH_NS, DIGITS).ok();
        }
        if let Some(it) = &mut self.0 {
            it.saturating_record_n(value_ns, count);
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        match (&mut self.0, &other.0) {
            (_, None) => {}
            (it @ None, Some(other)) => *it = Some(other.clone()),
            // All have the same bounds, so that this can't fail.
            (Some(it), Some(other)) => drop(it.add(other)),
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.as_ref().map_or(0, hdrhistogram::Histogram::len)
    }

    pub(crate) fn mean_us(&self) -> f64 {
        self.0.as_ref().map_or(0.0, |it| it.mean() / 1e3)
    }

    /// The value that this share of all is at or below, in microseconds; 0 where there is none.
    pub(crate) fn quantile_us(&self, quantile: f64) -> f64 {
        let it = self.0.as_ref();
        it.map_or(0.0, |it| it.value_at_quantile(quantile) as f64 / 1e3)
    }
}

impl Serialize for Histogram {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let recorded = self.0.iter().flat_map(|it| it.iter_recorded());
        serializer.collect_seq(
            recorded.map(|it| (it.value_iterated_to(), it.count_since_last_iteration())),
        )
    }
}

impl<'de> Deserialize<'de> for Histogram {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut histogram = Self::default();
        for (value, count) in Vec::<(u64, u64)>::deserialize(deserializer)? {
            histogram.record_n(value, count);
        }
        Ok(histogram)
    }
}

impl Counts {
    fn add(&mut self, other: &Self) {
        for (it, more) in [
            (&mut self.opened, other.opened),
            (&mut self.failed, other.failed),
            (&mut self.dropped, other.dropped),
            (&mut self.joined, other.joined),
            (&mut self.refused, other.refused),
            (&mut self.sent, other.sent),
            (&mut self.received, other.received),
            (&mut self.expected, other.expected),
            (&mut self.errors, other.errors),
            (&mut self.skipped, other.skipped),
            (&mut self.arrived, other.arrived),
        ] {
            *it = it.saturating_add(more);
        }
    }
}

impl Measure {
    pub(crate) fn add(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        for (timed, histogram) in &other.times {
            self.times.entry(*timed).or_default().add(histogram);
        }
        for (cause, count) in &other.causes {
            self.blame(cause, *count);
        }
    }

    /// The histogram of what was timed, if anything was.
    pub(crate) fn timed(&self, timed: Timed) -> Option<&Histogram> {
        self.times.get(&timed).filter(|it| it.count() > 0)
    }

    fn blame(&mut self, cause: &str, count: u64) {
        let cause = match self.causes.contains_key(cause) || self.causes.len() < CAUSES_MAX {
            true => cause,
            false => OTHER_CAUSES,
        };
        *self.causes.entry(cause.to_owned()).or_default() += count;
    }
}

impl Tick {
    pub(crate) fn add(&mut self, other: &Self) {
        self.at_ns = self.at_ns.max(other.at_ns);
        self.open += other.open;
        self.opened += other.opened;
        self.failed += other.failed;
        self.sent += other.sent;
        self.arrived += other.arrived;
        self.latency.add(&other.latency);
    }
}

impl Page {
    pub(crate) fn count(&mut self, count: impl FnOnce(&mut Counts)) {
        count(&mut self.total.counts);
    }

    pub(crate) fn time(&mut self, timed: Timed, value_ns: u64) {
        self.total.times.entry(timed).or_default().record(value_ns);
    }

    pub(crate) fn blame(&mut self, cause: &str) {
        self.total.blame(cause, 1);
    }

    /// For the course over time, whether it's measured or not.
    pub(crate) fn tick(&mut self, note: impl FnOnce(&mut Tick)) {
        note(&mut self.tick);
    }
}

impl Recorder {
    pub(crate) fn new(pages: usize) -> Self {
        Self {
            first: Mutex::default(),
            rest: (1..pages).map(|_| Mutex::default()).collect(),
        }
    }

    fn pages(&self) -> impl Iterator<Item = MutexGuard<'_, Page>> {
        let pages = std::iter::once(&self.first).chain(&self.rest);
        pages.map(|it| it.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The page for the `n`th connection.
    pub(crate) fn page(&self, n: u64) -> MutexGuard<'_, Page> {
        // One beyond the rest is the first.
        let at = n as usize % (self.rest.len() + 1);
        let page = self.rest.get(at).unwrap_or(&self.first);
        page.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happened since this was asked before.
    pub(crate) fn take_tick(&self) -> Tick {
        let mut tick = Tick::default();
        for mut page in self.pages() {
            tick.add(&std::mem::take(&mut page.tick));
        }
        tick
    }

    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for page in self.pages() {
            counts.add(&page.total.counts);
        }
        counts
    }

    /// All that was measured; the recorder is empty then.
    pub(crate) fn take(&self) -> Measure {
        let mut measure = Measure::default();
        for mut page in self.pages() {
            measure.add(&std::mem::take(&mut page.total));
        }
        measure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measure_survives_a_pipe_and_adds_up() {
        let recorder = Recorder::new(3);
        for n in 0..1000 {
            let mut page = recorder.page(n);
            page.count(|it| it.sent += 1);
            page.time(Timed::Latency, (n + 1) * 1_000_000);
            page.blame(&format!("cause {}", n % 2));
        }
        let measure = recorder.take();
        let line = serde_json::to_string(&measure).unwrap();
        let mut twice: Measure = serde_json::from_str(&line).unwrap();
        twice.add(&measure);
        assert_eq!(twice.counts.sent, 2000);
        assert_eq!(twice.causes["cause 1"], 1000);
        let latency = twice.timed(Timed::Latency).unwrap();
        assert_eq!(latency.count(), 2000);
        for (quantile, ms) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = latency.quantile_us(quantile) / 1e3;
            assert!((found / ms - 1.0).abs() < 0.002, "{quantile}: {found}");
        }
        assert!(twice.timed(Timed::Join).is_none());
        assert_eq!(recorder.take().counts, Counts::default());
    }

    #[test]
    fn values_out_of_bounds_count_as_the_bounds() {
        let mut histogram = Histogram::default();
        histogram.record(0);
        histogram.record(u64::MAX);
        assert_eq!(histogram.count(), 2);
        assert!(histogram.quantile_us(1.0) >= 299e6);
    }

    #[test]
    fn causes_are_bounded() {
        let mut measure = Measure::default();
        for n in 0..1000 {
            measure.blame(&n.to_string(), 1);
        }
        assert_eq!(measure.causes.len(), CAUSES_MAX + 1);
        assert_eq!(measure.causes[OTHER_CAUSES], 1000 - CAUSES_MAX as u64);
    }
}
