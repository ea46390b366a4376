//! What `bennu bench` is asked.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value};

use super::limits;
use super::plan::{BODY, Course, NUMBER, Plan, PushRate, Share, Vsn};
use super::scenario::Scenario;
use super::target::Target;
use super::wire::BODY_BYTES_MIN;
use crate::error::{Failure, Result};

/// The least time between two points of a plot, and how many there are at most.
const TICK_MIN: Duration = Duration::from_millis(100);
const TICKS_MAX: u32 = 400;
/// Pushes a second, where nothing else is asked for.
const PUSH_RATE: f64 = 1000.0;
const PUSH_RATE_TO_MANY: f64 = 100.0;
/// Phoenix's limit on a message.
const PAYLOAD_BYTES_MAX: usize = 8_000_000;
const CONNECTIONS_MAX: u64 = 10_000_000;
const PROCESSES_MAX: u64 = 1_000;

/// Loads a server of Phoenix's channels, whoever made it, and measures it.
///
/// Opens connections, joins topics and runs scenarios one after another, each with connections of its own. Latency
/// counts from when a push was due, so that a server that stalls doesn't look better than it is.
/// docs/bench.md is the guide.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// The socket, such as ws://localhost:4000/socket (or wss, http, https)
    pub(super) url: String,
    /// What to run, separated by commas
    #[arg(
        short,
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "idle,echo,fan-out,presence,reconnect-storm"
    )]
    pub(super) scenario: Vec<Scenario>,
    /// Connections in all
    #[arg(short, long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=CONNECTIONS_MAX))]
    pub(super) connections: u64,
    /// Connects a second, in all
    #[arg(long, default_value = "1000", value_parser = rate)]
    rate: f64,
    /// Pushes a second in all (in `presence`: joins and leaves), or `max` for as many as are answered. By default 1000
    /// in `echo`, and 100 in `fan-out` and `presence`, where each goes to many
    #[arg(long, value_parser = push_rate)]
    push_rate: Option<PushRate>,
    /// How long each scenario is measured, such as 500ms, 10s, 2m
    #[arg(short, long, default_value = "10s", value_parser = duration)]
    duration: Duration,
    /// How long it runs before it's measured
    #[arg(long, default_value = "2s", value_parser = duration)]
    warmup: Duration,
    /// Storms of `reconnect-storm`; each ends when all are back, or after --duration
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    storms: u32,
    /// The topic; an n in braces is its number
    #[arg(long, default_value = "room:{n}")]
    topic: String,
    /// The topic of `presence`
    #[arg(long, default_value = "lobby:{n}")]
    presence_topic: String,
    /// Different topics in all. By default one for all in `fan-out` and `presence`, else each connection has its own
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    topics: Option<u64>,
    /// Topics that each connection joins
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    topics_per_connection: u64,
    /// The event of `echo`, which the server replies to
    #[arg(long, default_value = "ping")]
    event: String,
    /// The event of `fan-out`, which the server broadcasts to all on the topic, sender included
    #[arg(long, default_value = "shout")]
    broadcast_event: String,
    /// What is pushed; {body} is filler that carries the time, and has to come back in broadcasts
    #[arg(long, default_value = r#"{"body":"{body}"}"#)]
    payload: String,
    /// Bytes of the filler
    #[arg(long, default_value_t = 64)]
    payload_bytes: usize,
    /// Pushes of one connection that may wait for a reply
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    depth: u64,
    /// What connect is given, a JSON object; an n in braces is the connection's number. In `presence` a user_id of its own
    /// for each connection by default
    #[arg(long, value_parser = params)]
    params: Option<Map<String, Value>>,
    /// What each join is given, JSON
    #[arg(long, default_value = "{}", value_parser = json)]
    join_params: Value,
    /// A header of the handshake, such as 'origin: http://localhost'; may be given several times
    #[arg(long, value_parser = header)]
    header: Vec<(String, String)>,
    /// The serializer
    #[arg(long, value_enum, default_value = "2.0.0")]
    vsn: Vsn,
    /// Time between two heartbeats of a connection
    #[arg(long, default_value = "30s", value_parser = positive_duration)]
    heartbeat: Duration,
    /// How long an answer may take
    #[arg(long, default_value = "10s", value_parser = positive_duration)]
    timeout: Duration,
    /// Takes any certificate
    #[arg(long)]
    insecure: bool,
    /// Addresses to connect from, separated by commas; to a loopback address several are used by themselves
    #[arg(long, value_delimiter = ',')]
    source: Vec<IpAddr>,
    /// Processes to share the connections out to; by default as many as the limit on open files asks for
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=PROCESSES_MAX))]
    processes: Option<u64>,
    /// The server's process, on this machine: its CPU and memory are measured (Linux)
    #[arg(long)]
    pub(super) pid: Option<u32>,
    /// Prints the figures as JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Writes a page with plots: one file, nothing else is loaded
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    /// Figures of an earlier run (from --json) to stand beside
    #[arg(long, value_name = "FILE")]
    pub(super) compare: Option<PathBuf>,
    /// Shows no progress
    #[arg(short, long)]
    pub(super) quiet: bool,
}

impl Options {
    /// What all workers are told, once the server's address is known.
    pub(super) async fn plan(&self) -> Result<Plan> {
        let target = Target::parse(&self.url)?;
        let topics = [&self.topic, &self.presence_topic];
        let is_numbered = topics.iter().all(|it| it.contains(NUMBER));
        if self.topics_per_connection > 1 && !is_numbered {
            return Err(Failure::usage(format!(
                "several topics for each connection need a {NUMBER} in --topic, such as room:{NUMBER}"
            )));
        }
        if serde_json::from_str::<Value>(&self.payload.replace(BODY, "x")).is_err() {
            return Err(Failure::usage(format!(
                "--payload {:?} is no JSON; give some like {{\"body\":\"{BODY}\"}}",
                self.payload
            )));
        }
        if !(BODY_BYTES_MIN..=PAYLOAD_BYTES_MAX).contains(&self.payload_bytes) {
            return Err(Failure::usage(format!(
                "--payload-bytes takes {BODY_BYTES_MIN} (the time is in them) to {PAYLOAD_BYTES_MAX}"
            )));
        }
        if self.scenario.contains(&Scenario::FanOut) && !self.payload.contains(BODY) {
            return Err(Failure::usage(format!(
                "fan-out needs {BODY} in --payload: deliveries are known by the time in it"
            )));
        }
        let addr = target.resolve().await?;
        let total = self.warmup
            + self.duration
            + Duration::from_secs_f64(self.connections as f64 / self.rate);
        Ok(Plan {
            sources: limits::sources(
                self.connections,
                self.source.clone(),
                addr.ip(),
                limits::ports(),
            )?,
            target,
            addr,
            insecure: self.insecure,
            headers: self.header.clone(),
            vsn: self.vsn,
            connections: self.connections,
            topics_per_connection: self.topics_per_connection,
            join_params: self.join_params.clone(),
            payload: self.payload.clone(),
            payload_bytes: self.payload_bytes,
            depth: usize::try_from(self.depth).unwrap_or(usize::MAX),
            connect_rate: self.rate,
            warmup: self.warmup,
            duration: self.duration,
            timeout: self.timeout,
            heartbeat: self.heartbeat,
            storms: self.storms,
            tick: (total / TICKS_MAX).max(TICK_MIN),
        })
    }

    /// How the connections are shared out.
    pub(super) fn shares(&self, files_max: u64) -> Result<Vec<Share>> {
        let workers = limits::processes(self.connections, self.processes, files_max)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = cores / usize::try_from(workers).unwrap_or(cores);
        Ok(Share::split(self.connections, workers, threads.max(1)))
    }

    /// What is a scenario's own.
    pub(super) fn course(&self, scenario: Scenario) -> Result<Course> {
        let is_presence = scenario == Scenario::Presence;
        let topic = if is_presence {
            &self.presence_topic
        } else {
            &self.topic
        };
        let joins = self.connections * self.topics_per_connection;
        let topics = match (self.topics, scenario) {
            _ if !topic.contains(NUMBER) => 1,
            (Some(topics), _) => topics.min(joins),
            (None, Scenario::FanOut | Scenario::Presence) => self.topics_per_connection,
            (None, _) => joins,
        };
        if topics < self.topics_per_connection {
            return Err(Failure::usage(format!(
                "a connection can't join {} of {topics} topics: give --topics {} or more",
                self.topics_per_connection, self.topics_per_connection
            )));
        }
        let event = match scenario {
            Scenario::FanOut => &self.broadcast_event,
            _ => &self.event,
        };
        let numbered = || Map::from_iter([("user_id".to_owned(), Value::from("bench-{n}"))]);
        let params = match (&self.params, is_presence) {
            (Some(params), _) => params.clone(),
            (None, true) => numbered(),
            (None, false) => Map::new(),
        };
        let push_rate = match scenario {
            Scenario::FanOut | Scenario::Presence => PUSH_RATE_TO_MANY,
            _ => PUSH_RATE,
        };
        Ok(Course {
            push_rate: self.push_rate.unwrap_or(PushRate::Fixed(push_rate)),
            scenario,
            topic: topic.clone(),
            topics,
            event: event.clone(),
            params,
        })
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.001..=1e9).contains(&rate) => Ok(rate),
        _ => Err("expected a number above 0, so many a second".to_owned()),
    }
}

fn push_rate(text: &str) -> Result<PushRate, String> {
    match text {
        "max" => Ok(PushRate::Max),
        text => rate(text)
            .map(PushRate::Fixed)
            .map_err(|why| format!("{why}, or max")),
    }
}

/// `500ms`, `10s`, `2m`, `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|it: char| it.is_ascii_alphabetic());
    let (number, unit) = text.split_at(split.unwrap_or(text.len()));
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("expected a time like 500ms, 10s, 2m or 1h".to_owned()),
    };
    match number.parse::<f64>() {
        Ok(number) if (0.0..=1e6).contains(&(number * seconds)) => {
            Ok(Duration::from_secs_f64(number * seconds))
        }
        _ => Err("expected a time like 500ms, 10s, 2m or 1h".to_owned()),
    }
}

fn positive_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("expected a time above 0".to_owned()),
        duration => Ok(duration),
    }
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("expected JSON: {error}"))
}

fn params(text: &str) -> Result<Map<String, Value>, String> {
    let params: Map<String, Value> =
        serde_json::from_str(text).map_err(|error| format!("expected a JSON object: {error}"))?;
    match params.iter().find(|it| it.1.is_object() || it.1.is_array()) {
        Some((name, _)) => Err(format!("{name:?} is nested; expected strings and numbers")),
        None => Ok(params),
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once(':')
        .ok_or("expected a name and a value like 'origin: http://localhost'")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_unit() {
        let check = |text: &str, expected: Option<u64>| {
            let found = duration(text).ok().map(|it| it.as_millis() as u64);
            assert_eq!(found, expected, "{text}");
        };
        check("500ms", Some(500));
        check("1.5s", Some(1500));
        check("2m", Some(120_000));
        check("1h", Some(3_600_000));
        check("0s", Some(0));
        for text in ["", "5", "s", "-1s", "1d", "nans", "1e99h", "infs"] {
            check(text, None);
        }
    }

    #[test]
    fn what_is_given_as_json_is_checked() {
        assert!(params(r#"{"a":1,"b":"{n}"}"#).is_ok());
        assert!(params(r#"{"a":{"b":1}}"#).is_err());
        assert!(params("[]").is_err());
        assert_eq!(push_rate("max"), Ok(PushRate::Max));
        assert_eq!(push_rate("5"), Ok(PushRate::Fixed(5.0)));
        assert!(push_rate("0").is_err());
        assert!(header("origin").is_err());
    }
}
