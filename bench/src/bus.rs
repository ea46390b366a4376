//! What the bus between nodes costs, beside the client library alone: the same bytes to the same channels of the same
//! broker, in turns within one process.

mod bare;
pub(crate) mod broker;
mod nodes;

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use clap::{Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::{
    Plan, Result, child,
    control::cpu_ns,
    presence_nodes,
    table::{Table, median},
};
use bare::Bare;
use broker::Broker;
use nodes::Nodes;
pub(crate) use nodes::options as node_options;

pub(crate) const TITLES: [&str; 2] = [
    "The bus: broadcasts from one node to another",
    "The bus: memory of a topic with a subscriber",
];

const MESSAGES: usize = 200_000;
const ROUND_TRIPS: usize = 2_000;
const TOPICS: usize = 100_000;
/// Messages that are published in one go.
const BATCH: usize = 1_000;
/// Messages that are on their way, at most: no broker and no library drops any of so few.
const UNDER_WAY_MAX: usize = 8_000;
/// Longer than any message takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whose bus it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    Redis,
    Nats,
}

/// What this binary is to itself, for the bus.
#[derive(Debug, Subcommand)]
pub(crate) enum BusChild {
    /// Becomes a broker, which ends with its parent.
    Broker {
        kind: Kind,
        port: u16,
    },
    Rates {
        kind: Kind,
        url: String,
        messages: usize,
        round_trips: usize,
    },
    Topics {
        count: usize,
        url: Option<String>,
    },
    Presence {
        url: String,
        entries: usize,
        beats: u32,
    },
}

/// What came of one turn.
#[derive(Debug, Serialize, Deserialize)]
struct Rates {
    bare: Rate,
    bus: Rate,
}

#[derive(Debug, Serialize, Deserialize)]
struct Rate {
    a_second: f64,
    /// Of this process: who publishes and who hears, without the broker.
    cpu_us: f64,
    p50_us: f64,
    p99_us: f64,
}

pub(crate) fn run(plan: &Plan) -> Result<Vec<Table>> {
    Ok(vec![rates(plan)?, topics(plan)?])
}

pub(crate) fn be(child: BusChild, threads: usize) -> Result<()> {
    match child {
        BusChild::Broker { kind, port } => broker::become_one(kind, port),
        BusChild::Rates {
            kind,
            url,
            messages,
            round_trips,
        } => crate::answer(threads, measure(kind, url, messages, round_trips)),
        BusChild::Topics { count, url } => crate::answer(threads, nodes::topics(count, url)),
        BusChild::Presence {
            url,
            entries,
            beats,
        } => crate::answer(threads, presence_nodes::measure(url, entries, beats)),
    }
}

/// Broker and process share two cores, and the process has two nodes in it.
pub(crate) const THREADS: &str = "2";

fn rates(plan: &Plan) -> Result<Table> {
    let columns = [
        "a second",
        "ratio to bare",
        "CPU us",
        "p50 us, one at a time",
        "p99 us",
        "added at p50",
    ];
    let mut table = Table::new(TITLES[0], &columns);
    for (kind, name) in [(Kind::Redis, "Redis"), (Kind::Nats, "NATS")] {
        plan.say(&format!("the bus over {name}"));
        let broker = Broker::start(kind)?;
        let counts = [plan.scaled(MESSAGES), plan.scaled(ROUND_TRIPS)].map(|it| it.to_string());
        let [messages, round_trips] = counts.each_ref().map(String::as_str);
        let args = ["bus-child", "--threads", THREADS, "rates", kind.name()];
        let args = [&args[..], &[&broker.url, messages, round_trips]].concat();
        let repeats = if plan.quick { 1 } else { plan.repeats };
        let turns = (0..repeats).map(|_| child::outcome::<Rates>(&args));
        let turns = turns.collect::<Result<Vec<_>>>()?;
        let of = |value: fn(&Rates) -> f64| median(turns.iter().map(value));
        table.row(
            format!("{name}, bare library"),
            &[
                of(|it| it.bare.a_second),
                Some(1.0),
                of(|it| it.bare.cpu_us),
                of(|it| it.bare.p50_us),
                of(|it| it.bare.p99_us),
                None,
            ],
        );
        table.row(
            format!("{name}, Bennu's nodes"),
            &[
                of(|it| it.bus.a_second),
                of(|it| it.bus.a_second / it.bare.a_second),
                of(|it| it.bus.cpu_us),
                of(|it| it.bus.p50_us),
                of(|it| it.bus.p99_us),
                of(|it| it.bus.p50_us - it.bare.p50_us),
            ],
        );
    }
    Ok(table)
}

fn topics(plan: &Plan) -> Result<Table> {
    let mut table = Table::new(TITLES[1], &["topics", "bytes each"]);
    let count = plan.scaled(TOPICS);
    plan.say(&format!("{count} topics with and without a cluster"));
    let broker = Broker::start(Kind::Redis)?;
    let text = count.to_string();
    let args = ["bus-child", "topics", &text];
    for (case, args) in [
        ("a node alone", args.to_vec()),
        ("a node of a cluster", [&args[..], &[&broker.url]].concat()),
    ] {
        let bytes = child::outcome::<f64>(&args)?;
        table.row(case, &[Some(count as f64), Some(bytes)]);
    }
    Ok(table)
}

/// What the process for one turn does, in a runtime.
async fn measure(kind: Kind, url: String, messages: usize, round_trips: usize) -> Result<Rates> {
    let posts = nodes::posts()?;
    // One after the other: both would hear what either publishes.
    let bare = Bare::connect(kind, &url, &posts).await?;
    bare.measure(messages / 10, 1).await?;
    let rate = bare.measure(messages, round_trips).await?;
    drop(bare);
    let nodes = Nodes::connect(kind, &url, posts).await?;
    nodes.measure(messages / 10, 1).await?;
    Ok(Rates {
        bare: rate,
        bus: nodes.measure(messages, round_trips).await?,
    })
}

/// Messages that arrived, and who waits for one.
#[derive(Debug, Default)]
struct Heard {
    count: AtomicUsize,
    one: Notify,
}

impl Heard {
    fn add(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.one.notify_one();
    }

    /// Waits until all but a few have arrived.
    async fn all_but(&self, sent: usize, few: usize) -> Result<()> {
        let start = Instant::now();
        while self.count.load(Ordering::Relaxed) + few < sent {
            if start.elapsed() > PATIENCE {
                let count = self.count.load(Ordering::Relaxed);
                return Err(format!("{sent} messages were sent, {count} came").into());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }
}

/// A way from one node to another.
trait Way {
    fn heard(&self) -> &Heard;

    /// Publishes so many, as fast as that goes.
    async fn publish(&self, count: usize) -> Result<()>;

    async fn measure(&self, messages: usize, round_trips: usize) -> Result<Rate> {
        let heard = self.heard();
        heard.count.store(0, Ordering::Relaxed);
        let (cpu, start) = (cpu_ns()?, Instant::now());
        let mut sent = 0;
        while sent < messages {
            let count = BATCH.min(messages - sent);
            self.publish(count).await?;
            sent += count;
            heard.all_but(sent, UNDER_WAY_MAX).await?;
        }
        heard.all_but(sent, 0).await?;
        let took = start.elapsed();
        let cpu_us = (cpu_ns()? - cpu) as f64 / 1e3 / messages as f64;

        let mut times = Vec::with_capacity(round_trips);
        for _ in 0..round_trips {
            // The last one's, and any of those before.
            let before = heard.count.load(Ordering::Relaxed);
            let start = Instant::now();
            self.publish(1).await?;
            while heard.count.load(Ordering::Relaxed) == before {
                tokio::time::timeout(PATIENCE, heard.one.notified()).await?;
            }
            times.push(start.elapsed().as_secs_f64() * 1e6);
        }
        times.sort_by(f64::total_cmp);
        let at = |share: usize| times.get(times.len() * share / 100).copied();
        Ok(Rate {
            a_second: messages as f64 / took.as_secs_f64(),
            cpu_us,
            p50_us: at(50).unwrap_or_default(),
            p99_us: at(99).unwrap_or_default(),
        })
    }
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Nats => "nats",
        }
    }
}
