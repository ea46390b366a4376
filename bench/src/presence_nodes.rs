//! Presences of several nodes: how soon others see them, and what is said while nothing changes.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bennu::Bytes;
use bennu_pubsub::{
    Adapter, AdapterHealth, Link, PubSub, Registration, Subject,
    tracker::{Member, Meta, PresenceOptions, Roster},
};
use bennu_redis::RedisBus;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::{
    Plan, Result,
    bus::{Kind, THREADS, broker::Broker, node_options},
    child,
    table::Table,
};

pub(crate) const TITLE: &str = "Presence across nodes, over Redis";

const ENTRIES: [usize; 3] = [0, 1_000, 10_000];
const TOPICS: usize = 10;
/// As a roster has it by default.
const HEARTBEAT: Duration = Duration::from_millis(1_500);
/// Heartbeats that are listened to.
const BEATS: u32 = 4;
/// Longer than it should take.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// From the first entry tracked until a node that was there lists all.
    spreading_ms: f64,
    /// From its beginning until a node that comes later lists all.
    catching_up_ms: f64,
    /// Of each node, while nothing changes.
    quiet_bytes_a_second: f64,
}

pub(crate) fn run(plan: &Plan) -> Result<Vec<Table>> {
    let columns = [
        "ms until another node lists all",
        "ms until a new node does",
        "bytes/s of a quiet node",
    ];
    let mut table = Table::new(TITLE, &columns);
    let broker = Broker::start(Kind::Redis)?;
    for entries in ENTRIES {
        let entries = if entries == 0 {
            0
        } else {
            plan.scaled(entries)
        };
        plan.say(&format!("{entries} presences across nodes"));
        let (entries, beats) = (entries.to_string(), if plan.quick { 1 } else { BEATS });
        let beats = beats.to_string();
        let args = ["bus-child", "--threads", THREADS, "presence"];
        let args = [&args[..], &[&broker.url, &entries, &beats]].concat();
        let measured = child::outcome::<Measured>(&args)?;
        let some = entries != "0";
        table.row(
            format!("{entries} entries"),
            &[
                some.then_some(measured.spreading_ms),
                some.then_some(measured.catching_up_ms),
                Some(measured.quiet_bytes_a_second),
            ],
        );
    }
    Ok(vec![table])
}

/// What the process for one row does, in a runtime.
pub(crate) async fn measure(url: String, entries: usize, beats: u32) -> Result<Measured> {
    let (here, there) = (Node::begin(&url, "web-1")?, Node::begin(&url, "web-2")?);
    here.ready().await?;
    there.ready().await?;

    let start = Instant::now();
    let members = here.track(entries)?;
    there.lists(entries).await?;
    let spreading_ms = start.elapsed().as_secs_f64() * 1e3;

    let start = Instant::now();
    let late = Node::begin(&url, "web-3")?;
    late.lists(entries).await?;
    let catching_up_ms = start.elapsed().as_secs_f64() * 1e3;

    // What was asked for is answered by now, and what follows is heartbeats.
    sleep(HEARTBEAT * 2).await;
    let nodes = [&here, &there, &late];
    let said = || nodes.iter().map(|it| it.said()).sum::<u64>();
    let (before, start) = (said(), Instant::now());
    sleep(HEARTBEAT * beats).await;
    let bytes = (said() - before) as f64 / start.elapsed().as_secs_f64();
    drop(members);
    Ok(Measured {
        spreading_ms,
        catching_up_ms,
        quiet_bytes_a_second: bytes / nodes.len() as f64,
    })
}

struct Node {
    adapter: Arc<Counting>,
    pubsub: PubSub,
    roster: Roster,
}

impl Node {
    fn begin(url: &str, name: &str) -> Result<Self> {
        let adapter = Arc::new(Counting {
            inner: RedisBus::new(url)?,
            bytes: AtomicU64::new(0),
        });
        let pubsub = PubSub::clustered(adapter.clone(), node_options(name)?);
        let cluster = pubsub.cluster().ok_or("there is no cluster")?;
        let start = cluster.node().start;
        let options = PresenceOptions::new().heartbeat(HEARTBEAT);
        let roster = Roster::clustered(cluster, start, "presence", &options, drop, drop);
        roster.begin();
        Ok(Self {
            adapter,
            pubsub,
            roster,
        })
    }

    async fn ready(&self) -> Result<()> {
        let cluster = self.pubsub.cluster().ok_or("there is no cluster")?;
        match cluster.ready().await {
            true => Ok(()),
            false => Err("a node doesn't reach the others".into()),
        }
    }

    /// So many different people, a channel each.
    fn track(&self, entries: usize) -> Result<Vec<Member>> {
        let meta = Meta::new(&serde_json::json!({"online_at": 1_700_000_000, "typing": false}))?;
        let track = |n: usize| {
            let member = self.roster.member();
            member.track(&topic(n), &format!("user-{n}"), &meta)?;
            Ok(member)
        };
        (0..entries).map(track).collect()
    }

    async fn lists(&self, entries: usize) -> Result<()> {
        let start = Instant::now();
        loop {
            let listed: usize = (0..TOPICS).map(|n| self.roster.count(&topic(n))).sum();
            if listed == entries {
                return Ok(());
            }
            if start.elapsed() > PATIENCE {
                return Err(format!("{entries} presences were expected, found {listed}").into());
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    fn said(&self) -> u64 {
        self.adapter.bytes.load(Ordering::Relaxed)
    }
}

fn topic(n: usize) -> bennu::Topic {
    format!("lobby:{}", n % TOPICS).into()
}

/// Counts what its node publishes.
struct Counting {
    inner: RedisBus,
    bytes: AtomicU64,
}

impl Adapter for Counting {
    fn start(&self, link: Arc<dyn Link>) {
        self.inner.start(link);
    }

    fn publish(&self, subject: &Subject, message: Bytes) {
        self.bytes
            .fetch_add(message.len() as u64, Ordering::Relaxed);
        self.inner.publish(subject, message);
    }

    fn subscribe(&self, subject: &Subject) -> Registration {
        self.inner.subscribe(subject)
    }

    fn unsubscribe(&self, subject: &Subject) {
        self.inner.unsubscribe(subject);
    }

    fn health(&self) -> AdapterHealth {
        self.inner.health()
    }

    fn shutdown(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.inner.shutdown()
    }
}

impl fmt::Debug for Counting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
