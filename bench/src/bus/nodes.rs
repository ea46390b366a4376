//! Two nodes in one process, and a broker between them.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use bennu::Bytes;
use bennu_nats::NatsBus;
use bennu_pubsub::{
    Adapter, ClusterOptions, Link, NodeName, NotConnected, PubSub, Registration, Subject,
    SubjectNames, Subscriber, Subscription,
};
use bennu_redis::RedisBus;
use bennu_wire::{Broadcast, Payload};
use serde::Serialize;

use super::{Heard, Kind, Way};
use crate::{Result, child};

/// Messages go to these in turn: most are in partitions of their own.
const TOPICS: usize = 64;
const BODY: &str = "a message of the length that people write to one another in a chat";

/// A broadcast, and what becomes of it on the bus.
pub(super) struct Post {
    broadcast: Arc<Broadcast>,
    pub(super) channel: String,
    pub(super) bytes: Bytes,
}

/// The broadcasts that are measured, with the very bytes that a node makes of them.
pub(super) fn posts() -> Result<Vec<Post>> {
    #[derive(Serialize)]
    struct NewMsg {
        from: &'static str,
        body: &'static str,
    }
    let message = NewMsg {
        from: "ana",
        body: BODY,
    };
    let payload = Payload::new(&message)?;
    let catcher = Arc::new(Catcher::default());
    let node = PubSub::clustered(catcher.clone(), options("web-1")?);
    let names = SubjectNames::new("bennu")?;
    let post = |n| {
        let topic = format!("room:{n}");
        let broadcast = Arc::new(Broadcast::new(topic, "new_msg", payload.clone()));
        node.broadcast(&broadcast);
        let caught = catcher
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let (subject, bytes) = caught.ok_or("a node published nothing")?;
        Ok(Post {
            broadcast,
            channel: names.name(&subject),
            bytes,
        })
    };
    (0..TOPICS).map(post).collect()
}

/// An adapter to nowhere, which shows what is published.
#[derive(Debug, Default)]
struct Catcher(Mutex<Option<(Subject, Bytes)>>);

impl Adapter for Catcher {
    fn start(&self, _: Arc<dyn Link>) {}

    fn publish(&self, subject: &Subject, message: Bytes) {
        let mut caught = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *caught = Some((subject.clone(), message));
    }

    fn subscribe(&self, _: &Subject) -> Registration {
        Box::pin(async { Err(NotConnected) })
    }

    fn unsubscribe(&self, _: &Subject) {}

    fn shutdown(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async {})
    }
}

pub(crate) fn options(name: &str) -> Result<ClusterOptions> {
    Ok(ClusterOptions::new().node_name(NodeName::parse(name)?))
}

fn adapter(kind: Kind, url: &str) -> Result<Arc<dyn Adapter>> {
    Ok(match kind {
        Kind::Redis => Arc::new(RedisBus::new(url)?),
        Kind::Nats => Arc::new(NatsBus::new(url)?),
    })
}

struct Counter(Arc<Heard>);

impl Subscriber for Counter {
    fn deliver(&self, _: u64, _: &Arc<Broadcast>) {
        self.0.add();
    }
}

/// One that broadcasts, and one whose subscribers hear it.
pub(super) struct Nodes {
    posts: Vec<Post>,
    next: AtomicUsize,
    here: PubSub,
    _there: PubSub,
    _subscriptions: Vec<Subscription>,
    heard: Arc<Heard>,
}

impl Nodes {
    pub(super) async fn connect(kind: Kind, url: &str, posts: Vec<Post>) -> Result<Self> {
        let here = PubSub::clustered(adapter(kind, url)?, options("web-1")?);
        let there = PubSub::clustered(adapter(kind, url)?, options("web-2")?);
        let heard = Arc::<Heard>::default();
        let mut subscriptions = Vec::new();
        for post in &posts {
            let topic = post.broadcast.topic();
            let interest = there.interest(topic).ok_or("there is no cluster")?;
            interest.registered().await;
            let counter = Arc::new(Counter(heard.clone()));
            subscriptions.push(there.subscribe(topic.clone(), counter, 0));
        }
        for node in [&here, &there] {
            if !node.cluster().ok_or("there is no cluster")?.ready().await {
                return Err(format!("no node reaches {url}").into());
            }
        }
        Ok(Self {
            posts,
            next: AtomicUsize::new(0),
            here,
            _there: there,
            _subscriptions: subscriptions,
            heard,
        })
    }
}

impl Way for Nodes {
    fn heard(&self) -> &Heard {
        &self.heard
    }

    async fn publish(&self, count: usize) -> Result<()> {
        let from = self.next.fetch_add(count, Ordering::Relaxed) % self.posts.len();
        for post in self.posts.iter().cycle().skip(from).take(count) {
            self.here.broadcast(&post.broadcast);
        }
        Ok(())
    }
}

/// Resident bytes for each topic that has one subscriber.
pub(super) async fn topics(count: usize, url: Option<String>) -> Result<f64> {
    let node = match &url {
        None => PubSub::new(),
        Some(url) => PubSub::clustered(adapter(Kind::Redis, url)?, options("web-1")?),
    };
    if let Some(cluster) = node.cluster()
        && !cluster.ready().await
    {
        return Err("the node doesn't reach the others".into());
    }
    let subscriber = Arc::new(Counter(Arc::default()));
    let mut subscriptions = Vec::with_capacity(count);
    // What is there for any number of topics isn't any topic's: all partitions have been used.
    let warm: Vec<_> = (0..1_000)
        .map(|n| node.subscribe(format!("warm:{n}"), subscriber.clone(), 0))
        .collect();
    let before = child::rss(std::process::id())?;
    for n in 0..count {
        subscriptions.push(node.subscribe(format!("room:{n}"), subscriber.clone(), 0));
    }
    // The places of those who subscribed are theirs.
    let places = size_of_val(&*subscriptions);
    let after = child::rss(std::process::id())?;
    if let Some(interest) = node.interest("room:0") {
        interest.registered().await;
    }
    drop(warm);
    Ok((after as f64 - before as f64 - places as f64) / count as f64)
}
