//! The adapter: which server a subject is on.

use std::{
    error, fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bennu_pubsub::{
    Adapter, AdapterHealth, BusHub, Link, NameError, NotConnected, Registration, Subject,
    SubjectNames,
};
use bytes::Bytes;
use redis::{ConnectionInfo, IntoConnectionInfo, RedisError};
use tokio::{sync::Notify, task::JoinHandle};

use crate::{
    RedisOptions,
    cluster::RedisCluster,
    names::{Name, Names},
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
    names: Arc<Names>,
    hub: Arc<BusHub>,
    servers: Servers,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    options: RedisOptions,
}

enum Servers {
    Independent(Vec<Arc<Shard>>),
    Cluster(Arc<RedisCluster>),
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
        let infos = infos(urls, &options)?;
        let addresses: Vec<String> = infos.iter().map(|it| it.addr().to_string()).collect();
        let mut distinct = addresses.clone();
        distinct.sort_unstable();
        distinct.dedup();
        if addresses.is_empty() || distinct.len() < addresses.len() {
            return Err(RedisBusError::Servers(addresses.len()));
        }
        let names = Arc::new(Names::new(names, addresses));
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
        Ok(Self {
            names,
            hub,
            servers: Servers::Independent(shards),
            tasks: Mutex::default(),
            options,
        })
    }

    /// A bus over a Redis Cluster of version 7 or newer, with sharded pub/sub: a message goes to the server that has its
    /// partition's slot, and to no other. Any servers of it will do; the first one's credentials and TLS are used for
    /// all.
    ///
    /// # Errors
    ///
    /// When there is none, a URL is none, or the prefix can't be one.
    pub fn cluster<U: IntoConnectionInfo>(
        urls: impl IntoIterator<Item = U>,
        options: RedisOptions,
    ) -> Result<Self, RedisBusError> {
        let names = SubjectNames::new(&options.prefix).map_err(RedisBusError::Prefix)?;
        let infos = infos(urls, &options)?;
        if infos.is_empty() {
            return Err(RedisBusError::Servers(0));
        }
        let names = Arc::new(Names::new(names, Vec::new()));
        let hub = Arc::new(BusHub::default());
        let cluster = RedisCluster::new(infos, names.clone(), options.clone(), hub.clone());
        Ok(Self {
            names,
            hub,
            servers: Servers::Cluster(Arc::new(cluster)),
            tasks: Mutex::default(),
            options,
        })
    }

    fn tasks(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Adapter for RedisBus {
    fn start(&self, link: Arc<dyn Link>) {
        self.hub.start(link);
        match &self.servers {
            Servers::Independent(shards) => {
                let tasks = shards.iter().map(|it| tokio::spawn(it.clone().run()));
                self.tasks().extend(tasks);
            }
            Servers::Cluster(cluster) => self.tasks().push(tokio::spawn(cluster.clone().run())),
        }
    }

    fn publish(&self, subject: &Subject, message: Bytes) {
        match &self.servers {
            Servers::Independent(shards) => {
                if let Some(shard) = shard(shards, &self.names.name(subject)) {
                    shard.publish(subject, message);
                }
            }
            Servers::Cluster(cluster) => cluster.publish(subject, message),
        }
    }

    fn subscribe(&self, subject: &Subject) -> Registration {
        let name = self.names.name(subject);
        match &self.servers {
            Servers::Independent(shards) => match shard(shards, &name) {
                Some(shard) => shard.want(&name.text),
                None => Box::pin(async { Err(NotConnected) }),
            },
            Servers::Cluster(cluster) => cluster.want(&name),
        }
    }

    fn unsubscribe(&self, subject: &Subject) {
        let name = self.names.name(subject);
        match &self.servers {
            Servers::Independent(shards) => {
                if let Some(shard) = shard(shards, &name) {
                    shard.unwant(&name.text);
                }
            }
            Servers::Cluster(cluster) => cluster.unwant(&name.text),
        }
    }

    fn health(&self) -> AdapterHealth {
        let (lost, queued_bytes) = match &self.servers {
            Servers::Independent(shards) => (
                shards.iter().map(|it| it.queue.lost()).sum(),
                shards.iter().map(|it| it.queue.bytes()).sum(),
            ),
            Servers::Cluster(cluster) => (cluster.lost(), cluster.queued_bytes()),
        };
        self.hub.health(lost, queued_bytes)
    }

    fn shutdown(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut tasks = std::mem::take(&mut *self.tasks());
        match &self.servers {
            Servers::Independent(shards) => shards.iter().for_each(|it| it.end()),
            Servers::Cluster(cluster) => tasks.extend(cluster.end()),
        }
        let time_max = self.options.answer_time_max;
        Box::pin(async move {
            for task in tasks {
                ended(task, time_max).await;
            }
        })
    }
}

/// The one of several independent servers that a channel is on.
fn shard<'a>(shards: &'a [Arc<Shard>], name: &Name) -> Option<&'a Arc<Shard>> {
    shards.get(name.server)
}

fn infos<U: IntoConnectionInfo>(
    urls: impl IntoIterator<Item = U>,
    options: &RedisOptions,
) -> Result<Vec<ConnectionInfo>, RedisBusError> {
    let info = |url: U| options.trusting(url.into_connection_info()?);
    let infos = urls.into_iter().map(info).collect::<Result<_, _>>();
    infos.map_err(RedisBusError::Url)
}

impl Drop for RedisBus {
    fn drop(&mut self) {
        let mut tasks = std::mem::take(&mut *self.tasks());
        if let Servers::Cluster(cluster) = &self.servers {
            tasks.extend(cluster.end());
        }
        for task in tasks {
            task.abort();
        }
    }
}

impl fmt::Debug for RedisBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBus")
            .field("prefix", &self.options.prefix)
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
