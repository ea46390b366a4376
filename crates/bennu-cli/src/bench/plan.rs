//! What is to be done, as all workers are told it.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::scenario::Scenario;
use super::target::Target;

/// What stands for a number in topics and params.
pub(crate) const NUMBER: &str = "{n}";
/// What stands for the filler in a payload.
pub(crate) const BODY: &str = "{body}";

/// Everything about a run that its scenarios share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) target: Target,
    pub(crate) addr: SocketAddr,
    pub(crate) insecure: bool,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) vsn: Vsn,
    pub(crate) connections: u64,
    pub(crate) topics_per_connection: u64,
    pub(crate) join_params: Value,
    /// JSON in which `{body}` is replaced.
    pub(crate) payload: String,
    pub(crate) payload_bytes: usize,
    /// Pushes in flight on one connection.
    pub(crate) depth: usize,
    /// Connects a second, of all workers.
    pub(crate) connect_rate: f64,
    pub(crate) warmup: Duration,
    pub(crate) duration: Duration,
    pub(crate) timeout: Duration,
    pub(crate) heartbeat: Duration,
    pub(crate) storms: u32,
    /// Source addresses, used in turn; empty for the kernel's choice.
    pub(crate) sources: Vec<IpAddr>,
    pub(crate) tick: Duration,
}

/// The serializer's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub(crate) enum Vsn {
    /// JSON objects
    #[value(name = "1.0.0")]
    #[serde(rename = "1.0.0")]
    V1,
    /// JSON arrays
    #[value(name = "2.0.0")]
    #[serde(rename = "2.0.0")]
    V2,
}

/// How fast pushes are made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PushRate {
    /// So many a second in all, by a schedule that waits for nobody.
    Fixed(f64),
    /// Each as soon as an earlier one of its connection is through.
    Max,
}

/// One scenario with what is its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Course {
    pub(crate) scenario: Scenario,
    /// A topic, with `{n}` for its number.
    pub(crate) topic: String,
    /// How many different topics there are.
    pub(crate) topics: u64,
    /// The event that is pushed.
    pub(crate) event: String,
    pub(crate) push_rate: PushRate,
    /// What each connection says of itself, with `{n}` for its number.
    pub(crate) params: Map<String, Value>,
}

/// The part of the connections that one worker has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Share {
    pub(crate) first: u64,
    pub(crate) count: u64,
    /// Of the runtime, where the worker is a process of its own.
    pub(crate) threads: usize,
}

/// When a scenario runs, in nanoseconds on the shared clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Window {
    pub(crate) begin_ns: u64,
    /// From here on it's measured.
    pub(crate) warm_ns: u64,
    pub(crate) end_ns: u64,
}

impl Vsn {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::V1 => "1.0.0",
            Self::V2 => "2.0.0",
        }
    }
}

impl Share {
    pub(crate) fn connections(&self) -> Range<u64> {
        self.first..self.first + self.count
    }

    /// `count` connections, as evenly as can be.
    pub(crate) fn split(connections: u64, workers: u64, threads: usize) -> Vec<Self> {
        let edge = |n: u64| connections * n / workers.max(1);
        let share = |n| Self {
            first: edge(n),
            count: edge(n + 1) - edge(n),
            threads,
        };
        (0..workers).map(share).collect()
    }
}

impl Course {
    /// The topics that the `n`th connection joins.
    pub(crate) fn topics_of(&self, n: u64, per_connection: u64) -> impl Iterator<Item = String> {
        let first = n * per_connection;
        (first..first + per_connection).map(|it| fill(&self.topic, it % self.topics.max(1)))
    }

    /// How many of `connections` join the topic that the `n`th connection's `at`th is.
    pub(crate) fn members(&self, connections: u64, per_connection: u64, n: u64, at: u64) -> u64 {
        let topics = self.topics.max(1);
        let topic = (n * per_connection + at) % topics;
        let joins = connections * per_connection;
        joins / topics + u64::from(topic < joins % topics)
    }

    /// How many connections push, the first ones: one for each topic where what is pushed goes to all of a topic.
    pub(crate) fn pushers(&self, connections: u64, per_connection: u64) -> u64 {
        match self.scenario {
            Scenario::Echo | Scenario::Presence => connections,
            Scenario::FanOut => self.topics.div_ceil(per_connection.max(1)).min(connections),
            Scenario::Idle | Scenario::ReconnectStorm => 0,
        }
    }
}

impl Window {
    pub(crate) fn is_measured(&self, at_ns: u64) -> bool {
        (self.warm_ns..self.end_ns).contains(&at_ns)
    }
}

/// `{n}` replaced.
pub(crate) fn fill(text: &str, n: u64) -> String {
    text.replace(NUMBER, &n.to_string())
}

#[cfg(test)]
impl Plan {
    /// Two connections to nowhere, with one push in flight each.
    pub(crate) fn example() -> Self {
        Self {
            target: Target::parse("ws://127.0.0.1:1/socket").unwrap(),
            addr: "127.0.0.1:1".parse().unwrap(),
            insecure: false,
            headers: Vec::new(),
            vsn: Vsn::V2,
            connections: 2,
            topics_per_connection: 1,
            join_params: Value::Null,
            payload: format!(r#"{{"b":"{BODY}"}}"#),
            payload_bytes: 0,
            depth: 1,
            connect_rate: 1.0,
            warmup: Duration::ZERO,
            duration: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            heartbeat: Duration::from_secs(1),
            storms: 1,
            sources: Vec::new(),
            tick: Duration::from_secs(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_all_of_it_and_nothing_twice() {
        let check = |connections, workers, expected: &[u64]| {
            let shares = Share::split(connections, workers, 1);
            let counts: Vec<_> = shares.iter().map(|it| it.count).collect();
            assert_eq!(counts, expected);
            let all: Vec<_> = shares.iter().flat_map(Share::connections).collect();
            assert_eq!(all, (0..connections).collect::<Vec<_>>());
        };
        check(10, 1, &[10]);
        check(10, 3, &[3, 3, 4]);
        check(1, 2, &[0, 1]);
    }

    #[test]
    fn members_of_a_topic_are_those_who_join_it() {
        let check = |connections, per_connection, topics| {
            let course = Course {
                scenario: Scenario::FanOut,
                topic: "room:{n}".into(),
                topics,
                event: String::new(),
                push_rate: PushRate::Max,
                params: Map::new(),
            };
            let joins: Vec<String> = (0..connections)
                .flat_map(|n| course.topics_of(n, per_connection))
                .collect();
            for n in 0..connections {
                for (at, topic) in (0..).zip(course.topics_of(n, per_connection)) {
                    let members = joins.iter().filter(|it| **it == topic).count();
                    let found = course.members(connections, per_connection, n, at);
                    assert_eq!(found, members as u64, "{topic}");
                }
            }
            let pushers = course.pushers(connections, per_connection);
            let reached: std::collections::BTreeSet<String> = (0..pushers)
                .flat_map(|n| course.topics_of(n, per_connection))
                .collect();
            let all: std::collections::BTreeSet<String> = joins.into_iter().collect();
            assert_eq!(reached, all);
        };
        check(10, 1, 1);
        check(10, 1, 3);
        check(10, 2, 3);
        check(7, 3, 21);
        check(7, 3, 100);
    }
}
