//! The adapter: which server a subject is on.

use std::{
    error, fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bennu_pubsub::{
    Adapter, AdapterHealth, BusHub, Link, NameError, Registration, Subject, SubjectNames,
};
use bytes::Bytes;
use redis::{ConnectionInfo, IntoConnectionInfo, RedisError};
use tokio::{sync::Notify, task::JoinHandle};

use crate::{
    RedisOptions,
    rendezvous::choose,
    shard::{Flavour, Shard, ended},
};

/// A bus over Redis or Valkey.
///
/// One connection to each server carries what is published and what is heard. What is published while another piece
/// is under way goes out with the next one. A connection that breaks is made anew, with pauses that grow and vary;
/// what was under way counts as lost, since it can't be known whether it arrived.
///
/// ```
/// use bennu_redis::{RedisBus, RedisOptions};
///
/// let one = RedisBus::new("redis://127.0.0.1:6379")?;
/// let with_options = RedisBus::servers(
///     ["redis://127.0.0.1:6379", "redis://127.0.0.1:6380"],
///     RedisOptions::new().prefix("chat"),
/// )?;
/// assert!(RedisBus::new("nonsense").is_err());
/// # Ok::<(), bennu_redis::RedisBusError>(())
/// ```
pub struct RedisBus {
    names: SubjectNames,
    hub: Arc<BusHub>,
    shards: Vec<Arc<Shard>>,
    /// In the order of the shards.
    addresses: Vec<String>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    options: RedisOptions,
}

impl RedisBus {
    /// A bus over one server, with the default options.
    ///
    /// # Errors
    ///
    /// When the URL is none.
    pub fn new(url: impl IntoConnectionInfo) -> Result<Self, RedisBusError> {
        Self::servers([url], RedisOptions::new())
    }

    /// A bus over several servers that know nothing of each other: each carries a part of the partitions. All nodes must
    /// name the same servers by the same addresses; their order doesn't matter. While one is gone its partitions don't
    /// reach other nodes.
    ///
    /// # Errors
    ///
    /// When there is none, a URL is none, one is named twice, or the prefix can't be one.
    pub fn servers<U: IntoConnectionInfo>(
        urls: impl IntoIterator<Item = U>,
        options: RedisOptions,
    ) -> Result<Self, RedisBusError> {
        let names = SubjectNames::new(&options.prefix).map_err(RedisBusError::Prefix)?;
        let infos = urls
            .into_iter()
            .map(IntoConnectionInfo::into_connection_info);
        let infos: Vec<ConnectionInfo> = infos
            .collect::<Result<_, _>>()
            .map_err(RedisBusError::Url)?;
        let hub = Arc::new(BusHub::default());
        hub.expect(infos.len());
        let shard = |info| {
            let (names, options, hub) = (names.clone(), options.clone(), hub.clone());
            Shard::new(
                info,
                Flavour::Plain,
                names,
                options,
                hub,
                Arc::new(Notify::new()),
            )
        };
        let shards = infos.into_iter().map(|info| shard(info).map(Arc::new));
        let shards: Vec<_> = shards
            .collect::<Result<_, _>>()
            .map_err(RedisBusError::Url)?;
        let addresses: Vec<String> = shards.iter().map(|it| it.name.clone()).collect();
        let mut distinct = addresses.clone();
        distinct.sort_unstable();
        distinct.dedup();
        if addresses.is_empty() || distinct.len() < addresses.len() {
            return Err(RedisBusError::Servers(addresses.len()));
        }
        Ok(Self {
            names,
            hub,
            shards,
            addresses,
            tasks: Mutex::default(),
            options,
        })
    }

    fn shard(&self, channel: &str) -> Option<&Arc<Shard>> {
        self.shards.get(choose(&self.addresses, channel))
    }

    fn tasks(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Adapter for RedisBus {
    fn start(&self, link: Arc<dyn Link>) {
        self.hub.start(link);
        let tasks = self.shards.iter().map(|it| tokio::spawn(it.clone().run()));
        self.tasks().extend(tasks);
    }

    fn publish(&self, subject: &Subject, message: Bytes) {
        let channel = self.names.name(subject);
        if let Some(shard) = self.shard(&channel) {
            shard.publish(channel.into(), message);
        }
    }

    fn subscribe(&self, subject: &Subject) -> Registration {
        let channel: Arc<str> = self.names.name(subject).into();
        match self.shard(&channel) {
            Some(shard) => shard.want(&channel),
            None => Box::pin(async { Err(bennu_pubsub::NotConnected) }),
        }
    }

    fn unsubscribe(&self, subject: &Subject) {
        let channel = self.names.name(subject);
        if let Some(shard) = self.shard(&channel) {
            shard.unwant(&channel);
        }
    }

    fn health(&self) -> AdapterHealth {
        let lost = self.shards.iter().map(|it| it.queue.lost()).sum();
        let queued_bytes = self.shards.iter().map(|it| it.queue.bytes()).sum();
        self.hub.health(lost, queued_bytes)
    }

    fn shutdown(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        for shard in &self.shards {
            shard.end();
        }
        let tasks = std::mem::take(&mut *self.tasks());
        let time_max = self.options.answer_time_max;
        Box::pin(async move {
            for task in tasks {
                ended(task, time_max).await;
            }
        })
    }
}

impl Drop for RedisBus {
    fn drop(&mut self) {
        for task in self.tasks().drain(..) {
            task.abort();
        }
    }
}

impl fmt::Debug for RedisBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBus")
            .field("servers", &self.addresses)
            .field("connected", &self.hub.is_connected())
            .finish_non_exhaustive()
    }
}

/// Why there is no bus.
#[derive(Debug)]
#[non_exhaustive]
pub enum RedisBusError {
    /// A URL that Redis can't be at.
    Url(RedisError),
    /// A prefix that can't be one.
    Prefix(NameError),
    /// No servers, or the same one twice: so many were named.
    Servers(usize),
}

impl fmt::Display for RedisBusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(error) => write!(f, "no URL of Redis: {error}"),
            Self::Prefix(error) => write!(f, "no prefix of channels: {error}"),
            Self::Servers(0) => f.write_str("no server was named"),
            Self::Servers(count) => write!(f, "{count} servers were named, some of them twice"),
        }
    }
}

impl error::Error for RedisBusError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Url(error) => Some(error),
            Self::Prefix(error) => Some(error),
            Self::Servers(_) => None,
        }
    }
}
