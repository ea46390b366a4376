//! A whole run: scenario after scenario, and the figures of each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::client::probe;
use super::clock::{now_ns, ns};
use super::crew::Crew;
use super::measure::{Counts, Measure, Tick, Timed};
use super::outcome::{Point, Row, Sample, Server, Times};
use super::plan::{Course, Plan, Share, Window};
use super::proc::{Process, Usage};
use super::progress::Progress;
use super::scenario::Scenario;
use super::shared::Shared;
use super::stream::Dialer;
use super::worker::Order;
use crate::error::{Failure, Result};

/// Workers are told beforehand when a scenario begins.
const LEAD: Duration = Duration::from_millis(100);
/// Ticks of different workers that belong together come within so many.
const LATE_TICKS_MAX: u64 = 5;
/// Memory that has to come with connections before a part of it is given to each: a server has some to spare.
const GROWN_BYTES_MIN: u64 = 1_000_000;
/// The least time that a share of CPU is given for.
const CPU_SPAN_NS: u64 = 450_000_000;

/// What the scenarios of a run share.
pub(crate) struct Run<'a> {
    pub(crate) plan: Arc<Plan>,
    pub(crate) crew: Crew,
    pub(crate) process: Option<Process>,
    pub(crate) progress: &'a Progress,
}

impl Run<'_> {
    /// Tries a scenario with one connection, so that what can't work ends in one line.
    pub(crate) async fn probe(&self, course: &Course, mut stop: watch::Receiver<bool>) -> Result {
        let share = Share {
            first: 0,
            count: 1,
            threads: 1,
        };
        let dialer = Dialer::new(self.plan.clone(), course.params.clone())?;
        let shared = Shared::new(self.plan.clone(), course.clone(), share);
        shared.set_window(Window {
            begin_ns: 0,
            warm_ns: 0,
            end_ns: u64::MAX,
        });
        let topic = course.topics_of(0, 1).next().unwrap_or_default();
        tokio::select! {
            probed = probe(&dialer, &shared) => {
                probed.map_err(|cause| Failure::new(cause.advice(&self.plan.target, &topic)))
            }
            _ = stop.wait_for(|it| *it) => Ok(()),
        }
    }

    /// Runs one scenario to its end.
    pub(crate) async fn scenario(&mut self, course: Course) -> Result<Row> {
        let begin_ns = now_ns();
        let watch = Watch::start(self.process.clone(), begin_ns, self.plan.tick);
        let mut ticks = Ticks::new(begin_ns, self.plan.tick);
        self.progress.connecting(&course, self.plan.connections);
        let progress = self.progress;
        let order = Order::Connect {
            course: course.clone(),
            begin_ns,
        };
        let connecting = self.crew.carry_out(order, |worker, k, tick| {
            ticks.add(worker, k, &tick);
            progress.connected(ticks.open());
        });
        let connected = connecting.await?;
        let mut measure = Measure::default();
        let connected_ns = now_ns();
        if connected.counts.joined == 0 && !self.crew.is_stopped() {
            let cause = connected.causes.keys().next().cloned().unwrap_or_default();
            return Err(Failure::new(format!(
                "no connection came about in {}: {cause}",
                course.scenario.name()
            )));
        }
        let mut window = Window {
            begin_ns: connected_ns,
            warm_ns: connected_ns,
            end_ns: connected_ns,
        };
        let mut measured_ns = 0;
        for turn in 0..self.turns(&course) {
            if self.crew.is_stopped() {
                break;
            }
            let next = self.window(&course);
            if turn == 0 {
                window = next;
            }
            self.progress.running(&course, next);
            let order = Order::Run { window: next };
            let ran = self.crew.carry_out(order, |worker, k, tick| {
                ticks.add(worker, k, &tick);
                progress.ran(next.begin_ns, ticks.last());
            });
            measure.add(&ran.await?);
            window.end_ns = self.crew.stopped_ns().min(next.end_ns).min(now_ns());
            measured_ns += window.end_ns.saturating_sub(next.warm_ns);
        }
        let samples = watch.stop();
        self.progress.closing();
        self.crew.carry_out(Order::Close, |_, _, _| {}).await?;
        let row = Figures {
            course: &course,
            begin_ns,
            connected_ns,
            window,
            measured_s: measured_ns as f64 / 1e9,
            is_stopped: self.crew.is_stopped(),
        };
        Ok(row.row(&connected, &measure, ticks.finish(), &samples))
    }

    fn turns(&self, course: &Course) -> u32 {
        match course.scenario {
            Scenario::ReconnectStorm => self.plan.storms,
            _ => 1,
        }
    }

    fn window(&self, course: &Course) -> Window {
        let begin_ns = now_ns() + ns(LEAD);
        let warm_ns = match course.scenario {
            Scenario::ReconnectStorm => begin_ns,
            _ => begin_ns + ns(self.plan.warmup),
        };
        Window {
            begin_ns,
            warm_ns,
            end_ns: warm_ns + ns(self.plan.duration),
        }
    }
}

/// What the figures of a scenario are made from, beside what was measured.
struct Figures<'a> {
    course: &'a Course,
    begin_ns: u64,
    connected_ns: u64,
    window: Window,
    measured_s: f64,
    /// Whether it was ended early.
    is_stopped: bool,
}

impl Figures<'_> {
    /// From what was measured while all connected, and from then on.
    fn row(
        &self,
        connected: &Measure,
        ran: &Measure,
        course: Vec<Point>,
        samples: &[(u64, Usage)],
    ) -> Row {
        let (first, counts) = (connected.counts, ran.counts);
        let seconds = |to_ns: u64| to_ns.saturating_sub(self.begin_ns) as f64 / 1e9;
        let rate = |count: u64| match self.measured_s {
            0.0 => 0.0,
            measured_s => count as f64 / measured_s,
        };
        let received_rate = rate(counts.arrived);
        let mut all = connected.clone();
        all.add(ran);
        let mut times: BTreeMap<String, Times> = BTreeMap::new();
        for (name, timed) in TIMED {
            // Joins and handshakes of later are part of what is measured then.
            if let Some(histogram) = connected.timed(timed).or_else(|| ran.timed(timed)) {
                times.insert(name.to_owned(), Times::new(histogram));
            }
        }
        Row {
            scenario: self.course.scenario,
            topics: self.course.topics,
            push_rate: self.course.push_rate,
            opened: first.opened,
            failed: first.failed + counts.failed,
            dropped: first.dropped + counts.dropped,
            joined: first.joined,
            refused: first.refused + counts.refused,
            connect_s: seconds(self.connected_ns),
            measured_from_s: seconds(self.window.warm_ns),
            measured_s: self.measured_s,
            sent: counts.sent,
            received: counts.received,
            expected: counts.expected,
            errors: counts.errors,
            skipped: counts.skipped,
            lost_connections: self.lost_connections(first, counts),
            sent_rate: rate(counts.sent),
            received_rate,
            times,
            causes: all.causes,
            server: self.server(samples, first.opened, received_rate),
            course,
        }
    }

    fn lost_connections(&self, first: Counts, then: Counts) -> u64 {
        let since = match self.course.scenario {
            // Tries to come back may fail, and who is cut in the end can't be back. One that ends before it's cut counts
            // twice: as one that ended, and as one that didn't come back.
            Scenario::ReconnectStorm if !self.is_stopped => then
                .dropped
                .max(then.expected.saturating_sub(then.received)),
            Scenario::ReconnectStorm => then.dropped,
            _ => then.dropped + then.failed,
        };
        first.failed + first.dropped + since
    }

    fn server(&self, samples: &[(u64, Usage)], opened: u64, received_rate: f64) -> Option<Server> {
        let (first, last) = (samples.first()?, samples.last()?);
        let cpu = |at_ns| cpu_at(samples, at_ns);
        let span_s = self.window.end_ns.saturating_sub(self.window.warm_ns) as f64 / 1e9;
        let used_s = cpu(self.window.end_ns) - cpu(self.window.warm_ns);
        let share = if span_s > 0.0 { used_s / span_s } else { 0.0 };
        let connected = samples.iter().find(|it| it.0 >= self.connected_ns);
        let connected = connected.unwrap_or(last).1.rss_bytes;
        let grown = connected.saturating_sub(first.1.rss_bytes);
        Some(Server {
            cpu_percent: share * 100.0,
            cpu_us_each: (received_rate > 0.0).then_some(share * 1e6 / received_rate),
            rss_before_bytes: first.1.rss_bytes,
            rss_connected_bytes: connected,
            rss_end_bytes: last.1.rss_bytes,
            bytes_each: (grown >= GROWN_BYTES_MIN && opened > 0)
                .then_some(grown as f64 / opened as f64),
            samples: points(samples, self.begin_ns),
        })
    }
}

/// What is timed, by its name in the figures.
const TIMED: [(&str, Timed); 7] = [
    ("connect", Timed::Connect),
    ("join", Timed::Join),
    ("latency", Timed::Latency),
    ("service", Timed::Service),
    ("lag", Timed::Lag),
    ("heartbeat", Timed::Heartbeat),
    ("state", Timed::State),
];

/// Seconds of CPU that were used up to a moment, on a line between two samples.
fn cpu_at(samples: &[(u64, Usage)], at_ns: u64) -> f64 {
    let behind = samples.partition_point(|it| it.0 < at_ns);
    let (before, after) = (behind.checked_sub(1), samples.get(behind));
    let before = before.and_then(|it| samples.get(it));
    let cpu = |it: &(u64, Usage)| it.1.cpu.as_secs_f64();
    match (before, after) {
        (Some(a), Some(b)) => {
            let way = (at_ns - a.0) as f64 / b.0.saturating_sub(a.0).max(1) as f64;
            cpu(a) + way * (cpu(b) - cpu(a))
        }
        (Some(it), None) | (None, Some(it)) => cpu(it),
        (None, None) => 0.0,
    }
}

/// The course of what was used. CPU comes in hundredths of a second, so over less than some of them it's no figure.
fn points(samples: &[(u64, Usage)], begin_ns: u64) -> Vec<Sample> {
    let mut points = Vec::new();
    let mut samples = samples.iter();
    let Some(mut from) = samples.next() else {
        return points;
    };
    for sample in samples {
        let span_ns = sample.0.saturating_sub(from.0);
        if span_ns < CPU_SPAN_NS {
            continue;
        }
        let used = sample.1.cpu.saturating_sub(from.1.cpu);
        points.push(Sample {
            t_s: sample.0.saturating_sub(begin_ns) as f64 / 1e9,
            cpu_percent: used.as_secs_f64() / (span_ns as f64 / 1e9) * 100.0,
            rss_bytes: sample.1.rss_bytes,
        });
        from = sample;
    }
    points
}

/// Ticks of all workers, put together to one course.
struct Ticks {
    tick: Duration,
    begin_ns: u64,
    /// Ticks that may not be complete yet.
    fresh: BTreeMap<u64, Tick>,
    /// Connections open, by worker.
    open: BTreeMap<usize, u64>,
    points: Vec<Point>,
}

impl Ticks {
    const fn new(begin_ns: u64, tick: Duration) -> Self {
        Self {
            tick,
            begin_ns,
            fresh: BTreeMap::new(),
            open: BTreeMap::new(),
            points: Vec::new(),
        }
    }

    fn add(&mut self, worker: usize, k: u64, tick: &Tick) {
        self.open.insert(worker, tick.open);
        let open = self.open();
        let sum = self.fresh.entry(k).or_default();
        sum.add(tick);
        sum.open = open;
        while let Some(first) = self.fresh.first_entry() {
            if first.key() + LATE_TICKS_MAX > k {
                break;
            }
            let (k, tick) = first.remove_entry();
            self.points.push(self.point(k, &tick));
        }
    }

    fn open(&self) -> u64 {
        self.open.values().sum()
    }

    /// The latest point, for who watches.
    fn last(&self) -> Option<Point> {
        self.fresh
            .last_key_value()
            .map(|(k, tick)| self.point(*k, tick))
    }

    fn finish(mut self) -> Vec<Point> {
        for (k, tick) in std::mem::take(&mut self.fresh) {
            self.points.push(self.point(k, &tick));
        }
        self.points
    }

    fn point(&self, k: u64, tick: &Tick) -> Point {
        let tick_s = self.tick.as_secs_f64();
        let rate = |count: u64| count as f64 / tick_s;
        let is_known = tick.at_ns >= self.begin_ns;
        Point {
            t_s: if is_known { k as f64 * tick_s } else { 0.0 },
            open: tick.open,
            opened_rate: rate(tick.opened),
            failed_rate: rate(tick.failed),
            sent_rate: rate(tick.sent),
            received_rate: rate(tick.arrived),
            p50_us: tick.latency.quantile_us(0.5),
            p99_us: tick.latency.quantile_us(0.99),
            max_us: tick.latency.quantile_us(1.0),
        }
    }
}

/// A task that reads what the server's process uses.
struct Watch {
    task: Option<JoinHandle<()>>,
    samples: Arc<Mutex<Vec<(u64, Usage)>>>,
}

impl Watch {
    fn start(process: Option<Process>, begin_ns: u64, every: Duration) -> Self {
        let samples: Arc<Mutex<Vec<(u64, Usage)>>> = Arc::default();
        let task = process.map(|process| {
            let samples = samples.clone();
            // Before any connection, so not in the task's own time.
            take_sample(&process, &samples, begin_ns);
            tokio::spawn(async move {
                let mut ticks = tokio::time::interval(every);
                loop {
                    ticks.tick().await;
                    take_sample(&process, &samples, now_ns());
                }
            })
        });
        Self { task, samples }
    }

    fn stop(self) -> Vec<(u64, Usage)> {
        if let Some(task) = &self.task {
            task.abort();
        }
        std::mem::take(&mut self.samples.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

fn take_sample(process: &Process, samples: &Mutex<Vec<(u64, Usage)>>, at_ns: u64) {
    if let Some(usage) = process.usage() {
        samples
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((at_ns, usage));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(cpu_ms: u64, rss_bytes: u64) -> Usage {
        Usage {
            cpu: Duration::from_millis(cpu_ms),
            rss_bytes,
        }
    }

    #[test]
    fn cpu_between_two_samples_lies_on_a_line() {
        let samples = [(100, usage(1000, 1)), (200, usage(3000, 1))];
        for (at_ns, expected) in [(0, 1.0), (100, 1.0), (150, 2.0), (200, 3.0), (999, 3.0)] {
            assert_eq!(cpu_at(&samples, at_ns), expected, "{at_ns}");
        }
        assert_eq!(cpu_at(&[], 5), 0.0);
    }

    #[test]
    fn ticks_of_workers_come_together() {
        let tick = |open, sent| Tick {
            open,
            sent,
            at_ns: 5,
            ..Tick::default()
        };
        let mut ticks = Ticks::new(0, Duration::from_millis(500));
        ticks.add(0, 1, &tick(10, 1));
        ticks.add(0, 2, &tick(20, 2));
        ticks.add(1, 1, &tick(5, 3));
        ticks.add(1, 2, &tick(6, 4));
        assert_eq!(ticks.open(), 26);
        assert_eq!(ticks.last().unwrap().sent_rate, 12.0);
        let points = ticks.finish();
        let found: Vec<_> = points
            .iter()
            .map(|it| (it.t_s, it.open, it.sent_rate))
            .collect();
        assert_eq!(found, [(0.5, 25, 8.0), (1.0, 26, 12.0)]);
    }
}
