//! How many messages a second pass from one node to another over a Redis, beside the bare library in the same run.
//!
//! `cargo run --release -p bennu-redis --example bus_rate -- redis://127.0.0.1:6379`
#![expect(clippy::print_stdout, reason = "it's what it's for")]

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bennu_pubsub::{Adapter, ClusterOptions, PubSub, Subscriber};
use bennu_redis::RedisBus;
use bennu_wire::{Broadcast, Payload};
use bytes::Bytes;
use redis::{AsyncConnectionConfig, PushInfo, PushKind, aio::ConnectionLike};

const MESSAGES: usize = 200_000;
const BATCH: usize = 1_000;
const TEXT: &str = "a message of the length that people write to one another in a chat, or a little longer than that";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned());
    for _ in 0..3 {
        let bare = bare(&url).await?;
        let bus = bus(&url).await?;
        println!(
            "bare library {bare:8.0} messages/s   bus {bus:8.0} messages/s   {:.2}",
            bus / bare
        );
    }
    Ok(())
}

/// Pipelines of publishes on one connection, and a subscription on another that counts.
async fn bare(url: &str) -> Result<f64, Box<dyn Error>> {
    let client = redis::Client::open(format!("{url}?protocol=resp3"))?;
    let heard = Arc::new(AtomicUsize::new(0));
    let count = heard.clone();
    let config = AsyncConnectionConfig::new().set_push_sender(move |push: PushInfo| {
        if push.kind == PushKind::Message {
            count.fetch_add(1, Ordering::Relaxed);
        }
        Ok::<(), ()>(())
    });
    let mut subscriber = client
        .get_multiplexed_async_connection_with_config(&config)
        .await?;
    subscriber.subscribe("bare").await?;
    let mut publisher = client.get_multiplexed_async_connection().await?;
    let began = Instant::now();
    for _ in 0..MESSAGES / BATCH {
        let mut pipeline = redis::Pipeline::with_capacity(BATCH);
        for _ in 0..BATCH {
            pipeline.cmd("PUBLISH").arg("bare").arg(TEXT);
        }
        publisher.req_packed_commands(&pipeline, 0, BATCH).await?;
    }
    arrived(&heard, MESSAGES).await;
    Ok(MESSAGES as f64 / began.elapsed().as_secs_f64())
}

struct Counter(AtomicUsize);

impl Subscriber for Counter {
    fn deliver(&self, _: u64, _: &Arc<Broadcast>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Broadcasts of one node, each delivered to a subscriber on another.
async fn bus(url: &str) -> Result<f64, Box<dyn Error>> {
    let node = || -> Result<_, Box<dyn Error>> {
        let bus = Arc::new(RedisBus::new(url)?);
        Ok((bus.clone(), PubSub::clustered(bus, ClusterOptions::new())))
    };
    let ((adapter, here), (_, there)) = (node()?, node()?);
    let counter = Arc::new(Counter(AtomicUsize::new(0)));
    let interest = there.interest("room:1").ok_or("there is no cluster")?;
    interest.registered().await;
    let _subscription = there.subscribe("room:1", counter.clone(), 0);
    let Some(cluster) = here.cluster() else {
        return Err("there is no cluster".into());
    };
    if !cluster.ready().await {
        return Err("the bus can't be reached".into());
    }
    let payload = Payload::new(&Bytes::from_static(TEXT.as_bytes()))?;
    let began = Instant::now();
    for _ in 0..MESSAGES / BATCH {
        for _ in 0..BATCH {
            let broadcast = Broadcast::new("room:1", "new_msg", payload.clone());
            here.broadcast(&Arc::new(broadcast));
        }
        while adapter.health().queued_bytes > 8 << 20 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::task::yield_now().await;
    }
    arrived(&counter.0, MESSAGES).await;
    let rate = MESSAGES as f64 / began.elapsed().as_secs_f64();
    println!("{:?} {:?}", here.adapter_health(), there.adapter_health());
    Ok(rate)
}

async fn arrived(heard: &AtomicUsize, count: usize) {
    while heard.load(Ordering::Relaxed) < count {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
