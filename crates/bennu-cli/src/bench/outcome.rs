//! What a run came to: the figures of `--json`, which `--compare` reads again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::format::{count, plural};
use super::measure::Histogram;
use super::plan::PushRate;
use super::scenario::Scenario;

/// Of the figures' form. What reads them can tell that they are of its time.
pub(crate) const SCHEMA: u32 = 1;
/// Points of a curve for each factor of ten that is left.
const POINTS_PER_DECADE: u32 = 8;
const DECADES_MAX: u32 = 6;

/// All figures of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) schema: u32,
    /// The version of this program.
    pub(crate) bennu: String,
    /// Seconds since 1970, when it began.
    pub(crate) at: u64,
    pub(crate) url: String,
    /// Whether it ended early.
    pub(crate) interrupted: bool,
    pub(crate) settings: Settings,
    pub(crate) scenarios: Vec<Row>,
}

/// How it was run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) connections: u64,
    pub(crate) processes: u64,
    pub(crate) topics_per_connection: u64,
    pub(crate) vsn: String,
    pub(crate) connect_rate: f64,
    pub(crate) payload_bytes: usize,
    pub(crate) depth: usize,
    pub(crate) warmup_s: f64,
    pub(crate) duration_s: f64,
    pub(crate) heartbeat_s: f64,
    /// Cores of the machine that made the load.
    pub(crate) cores: usize,
}

/// The figures of one scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) scenario: Scenario,
    pub(crate) topics: u64,
    /// What was asked for.
    pub(crate) push_rate: PushRate,
    pub(crate) opened: u64,
    pub(crate) failed: u64,
    pub(crate) dropped: u64,
    pub(crate) joined: u64,
    pub(crate) refused: u64,
    /// Until all were connected and had joined, or had failed.
    pub(crate) connect_s: f64,
    /// When the measured time began, and how long it was; seconds since the scenario began.
    pub(crate) measured_from_s: f64,
    pub(crate) measured_s: f64,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// What should have been received.
    pub(crate) expected: u64,
    pub(crate) errors: u64,
    pub(crate) skipped: u64,
    /// Connections that never came about, that ended by themselves, or that were cut and didn't come back.
    #[serde(default)]
    pub(crate) lost_connections: u64,
    pub(crate) sent_rate: f64,
    pub(crate) received_rate: f64,
    /// What was timed, by name: connect, join, latency, service, lag, heartbeat, state.
    pub(crate) times: BTreeMap<String, Times>,
    /// Why connections failed.
    pub(crate) causes: BTreeMap<String, u64>,
    pub(crate) server: Option<Server>,
    pub(crate) course: Vec<Point>,
}

/// A distribution of times, in microseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Times {
    pub(crate) count: u64,
    pub(crate) mean_us: f64,
    pub(crate) p50_us: f64,
    pub(crate) p90_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) max_us: f64,
    /// Shares of all, and the time that they are at or below.
    pub(crate) curve: Vec<(f64, f64)>,
}

/// What the server's process used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Server {
    /// While it was measured: 100 is one core.
    pub(crate) cpu_percent: f64,
    /// CPU for each message received, in microseconds.
    pub(crate) cpu_us_each: Option<f64>,
    /// Resident memory before any connection, with all of them, and at the end.
    pub(crate) rss_before_bytes: u64,
    pub(crate) rss_connected_bytes: u64,
    pub(crate) rss_end_bytes: u64,
    pub(crate) bytes_each: Option<f64>,
    pub(crate) samples: Vec<Sample>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Seconds since the scenario began.
    pub(crate) t_s: f64,
    pub(crate) cpu_percent: f64,
    pub(crate) rss_bytes: u64,
}

/// What happened up to a point in time, since the one before.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Point {
    /// Seconds since the scenario began.
    pub(crate) t_s: f64,
    /// Connections that have joined.
    pub(crate) open: u64,
    pub(crate) opened_rate: f64,
    pub(crate) failed_rate: f64,
    pub(crate) sent_rate: f64,
    pub(crate) received_rate: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) max_us: f64,
}

impl Outcome {
    /// In one line, why these figures aren't those of what was asked for.
    pub(crate) fn shortfall(&self) -> Option<String> {
        let is_empty = |row: &&Row| row.is_empty();
        // Who ends a run early may have been too early for some of it, but not for all.
        let nothing = match self.interrupted {
            true if self.scenarios.iter().any(|row| !row.is_empty()) => None,
            true => return Some("interrupted before anything was measured".to_owned()),
            false => self.scenarios.iter().find(is_empty),
        };
        let lost = self.scenarios.iter().filter(|it| it.lost_connections > 0);
        let mut lines: Vec<String> = lost
            .map(|row| {
                let (name, lost) = (row.scenario.name(), count(row.lost_connections));
                let of = plural(self.settings.connections, "connection", "connections");
                let mut causes: Vec<_> = row.causes.iter().collect();
                causes.sort_by_key(|it| std::cmp::Reverse(*it.1));
                let why = causes
                    .first()
                    .map(|it| format!(", mostly because {}", it.0));
                format!("{name} lost {lost} of {of}{}", why.unwrap_or_default())
            })
            .collect();
        if let Some(row) = nothing {
            let (sent, received) = row.scenario.units();
            let (name, n) = (row.scenario.name(), count(row.sent));
            lines.push(format!(
                "{name} measured nothing: {n} {sent} and no {received} in the measured time"
            ));
        }
        (!lines.is_empty()).then(|| lines.join("; "))
    }
}

impl Row {
    /// Whether nothing came that could be measured. Who is idle, and has no heartbeat due meanwhile, is measured by being
    /// there.
    const fn is_empty(&self) -> bool {
        let is_quiet = matches!(self.scenario, Scenario::Idle) && self.expected == 0;
        self.received == 0 && !(is_quiet && self.measured_s > 0.0)
    }

    pub(crate) fn times(&self, name: &str) -> Option<&Times> {
        self.times.get(name)
    }

    /// What was expected and never came.
    pub(crate) const fn lost(&self) -> u64 {
        self.expected.saturating_sub(self.received)
    }
}

impl Times {
    pub(crate) fn new(histogram: &Histogram) -> Self {
        let us = |quantile| histogram.quantile_us(quantile);
        let count = histogram.count();
        // As far as there is more than one value beyond.
        let last = 1.0 - 1.0 / count.max(2) as f64;
        let steps = (0..=POINTS_PER_DECADE * DECADES_MAX)
            .map(|it| 1.0 - 10_f64.powf(-f64::from(it) / f64::from(POINTS_PER_DECADE)))
            .take_while(|it| *it <= last);
        Self {
            count,
            mean_us: histogram.mean_us(),
            p50_us: us(0.5),
            p90_us: us(0.9),
            p99_us: us(0.99),
            p999_us: us(0.999),
            max_us: us(1.0),
            curve: steps.map(|it| (it, us(it))).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_goes_as_far_as_there_are_values() {
        let mut histogram = Histogram::default();
        for n in 1..=1000 {
            histogram.record(n * 1_000_000);
        }
        let times = Times::new(&histogram);
        assert_eq!(times.count, 1000);
        assert!((times.p99_us / 990_000.0 - 1.0).abs() < 0.002);
        let last = times.curve.last().unwrap();
        assert!((0.998..0.9991).contains(&last.0), "{last:?}");
        assert!(times.curve.is_sorted());
        assert_eq!(times.curve[0].0, 0.0);
    }

    fn row(scenario: Scenario, received: u64, lost_connections: u64) -> Row {
        let json = serde_json::json!({
            "scenario": scenario, "topics": 1, "push_rate": "max", "opened": 20, "failed": 0, "dropped": 0,
            "joined": 20, "refused": 0, "connect_s": 1.0, "measured_from_s": 1.0, "measured_s": 1.0, "sent": 7,
            "received": received, "expected": received, "errors": 0, "skipped": 0, "sent_rate": 0.0,
            "received_rate": 0.0, "times": {}, "causes": {"rust": 1, "weather": 3}, "server": null, "course": [],
        });
        Row {
            lost_connections,
            // As an older version has written it, without that figure.
            ..serde_json::from_value(json).unwrap()
        }
    }

    #[test]
    fn a_run_falls_short_when_connections_are_lost_or_nothing_was_measured() {
        let check = |interrupted, rows: &[Row], expected: Option<&str>| {
            let outcome = Outcome {
                schema: SCHEMA,
                bennu: String::new(),
                at: 0,
                url: String::new(),
                interrupted,
                settings: serde_json::from_value(serde_json::json!({
                    "connections": 2000, "processes": 1, "topics_per_connection": 1, "vsn": "2.0.0",
                    "connect_rate": 1.0, "payload_bytes": 1, "depth": 1, "warmup_s": 0.0, "duration_s": 1.0,
                    "heartbeat_s": 1.0, "cores": 1,
                }))
                .unwrap(),
                scenarios: rows.to_vec(),
            };
            assert_eq!(outcome.shortfall().as_deref(), expected);
        };
        let (sound, silent) = (row(Scenario::FanOut, 9, 0), row(Scenario::Echo, 0, 0));
        let (idle, lossy) = (row(Scenario::Idle, 0, 0), row(Scenario::Echo, 5, 1500));
        let measured_nothing =
            "echo measured nothing: 7 pushes and no replies in the measured time";
        let lost = "echo lost 1,500 of 2,000 connections, mostly because weather";
        check(false, &[sound.clone(), idle], None);
        check(
            false,
            &[sound.clone(), silent.clone()],
            Some(measured_nothing),
        );
        check(false, &[sound.clone(), lossy.clone()], Some(lost));
        let both = format!("{lost}; {measured_nothing}");
        check(false, &[lossy.clone(), silent.clone()], Some(&both));
        check(true, &[sound, silent.clone()], None);
        check(true, &[lossy], Some(lost));
        for rows in [&[][..], &[silent]] {
            let early = "interrupted before anything was measured";
            check(true, rows, Some(early));
        }
    }
}
