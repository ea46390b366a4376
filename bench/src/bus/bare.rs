//! The client libraries alone: who publishes knows the bytes and the channels beforehand, who hears only counts.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bennu::Bytes;
use futures_util::StreamExt;
use redis::{
    AsyncConnectionConfig, IntoConnectionInfo, PushInfo, PushKind,
    aio::{ConnectionLike, MultiplexedConnection},
};
use tokio::task::JoinSet;

use super::{Heard, Kind, PATIENCE, Way, nodes::Post};
use crate::Result;

pub(super) enum Bare {
    Redis {
        messages: Vec<(String, Bytes)>,
        next: AtomicUsize,
        publisher: MultiplexedConnection,
        _subscriber: MultiplexedConnection,
        heard: Arc<Heard>,
    },
    Nats {
        messages: Vec<(async_nats::Subject, Bytes)>,
        next: AtomicUsize,
        publisher: async_nats::Client,
        _readers: JoinSet<()>,
        heard: Arc<Heard>,
    },
}

impl Bare {
    pub(super) async fn connect(kind: Kind, url: &str, posts: &[Post]) -> Result<Self> {
        let messages = posts
            .iter()
            .map(|it| (it.channel.clone(), it.bytes.clone()));
        let messages: Vec<_> = messages.collect();
        let heard = Arc::<Heard>::default();
        match kind {
            Kind::Redis => redis(url, messages, heard).await,
            Kind::Nats => nats(url, messages, heard).await,
        }
    }
}

async fn redis(url: &str, messages: Vec<(String, Bytes)>, heard: Arc<Heard>) -> Result<Bare> {
    // As the bus does it: one protocol, one kind of connection, pipelines.
    let info = format!("{url}?protocol=resp3").into_connection_info()?;
    let tcp = info.tcp_settings().clone().set_nodelay(true);
    let client = redis::Client::open(info.set_tcp_settings(tcp))?;
    let count = heard.clone();
    let patient = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
    let config = patient.clone().set_push_sender(move |push: PushInfo| {
        if push.kind == PushKind::Message {
            count.add();
        }
        Ok::<(), ()>(())
    });
    let mut subscriber = client
        .get_multiplexed_async_connection_with_config(&config)
        .await?;
    for (channel, _) in &messages {
        subscriber.subscribe(channel).await?;
    }
    Ok(Bare::Redis {
        messages,
        next: AtomicUsize::new(0),
        publisher: client
            .get_multiplexed_async_connection_with_config(&patient)
            .await?,
        _subscriber: subscriber,
        heard,
    })
}

async fn nats(url: &str, messages: Vec<(String, Bytes)>, heard: Arc<Heard>) -> Result<Bare> {
    let subscriber = async_nats::connect(url).await?;
    let mut readers = JoinSet::new();
    let mut named = Vec::new();
    for (channel, bytes) in messages {
        let subject = async_nats::Subject::from(channel);
        let mut messages = subscriber.subscribe(subject.clone()).await?;
        let heard = heard.clone();
        readers.spawn(async move {
            while messages.next().await.is_some() {
                heard.add();
            }
        });
        named.push((subject, bytes));
    }
    subscriber.flush().await?;
    Ok(Bare::Nats {
        messages: named,
        next: AtomicUsize::new(0),
        publisher: async_nats::connect(url).await?,
        _readers: readers,
        heard,
    })
}

impl Way for Bare {
    fn heard(&self) -> &Heard {
        match self {
            Self::Redis { heard, .. } | Self::Nats { heard, .. } => heard,
        }
    }

    async fn publish(&self, count: usize) -> Result<()> {
        match self {
            Self::Redis {
                messages,
                next,
                publisher,
                ..
            } => {
                let from = next.fetch_add(count, Ordering::Relaxed) % messages.len();
                let mut pipeline = redis::Pipeline::with_capacity(count);
                for (channel, bytes) in messages.iter().cycle().skip(from).take(count) {
                    pipeline.cmd("PUBLISH").arg(channel).arg(&**bytes);
                }
                let mut publisher = publisher.clone();
                publisher.req_packed_commands(&pipeline, 0, count).await?;
            }
            Self::Nats {
                messages,
                next,
                publisher,
                ..
            } => {
                let from = next.fetch_add(count, Ordering::Relaxed) % messages.len();
                for (subject, bytes) in messages.iter().cycle().skip(from).take(count) {
                    publisher.publish(subject.clone(), bytes.clone()).await?;
                }
                publisher.flush().await?;
            }
        }
        Ok(())
    }
}
