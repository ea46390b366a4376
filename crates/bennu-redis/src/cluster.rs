//! A Redis Cluster: one connection to each server that has slots, and sharded pub/sub, so that a message goes to the
//! server of its channel and no other.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bennu_pubsub::{Backoff, BusHub, NotConnected, Outage, Registration, Subject};
use bytes::Bytes;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, RedisError, Value};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};

use crate::{
    RedisOptions,
    names::{Name, Names},
    shard::{Flavour, Shard, now},
    slots::{Slots, slot},
};

/// How often the cluster is asked where its slots are when nothing hints that they moved.
const REFRESH: Duration = Duration::from_secs(30);

pub(crate) struct RedisCluster {
    seeds: Vec<ConnectionInfo>,
    names: Arc<Names>,
    options: RedisOptions,
    hub: Arc<BusHub>,
    map: RwLock<Map>,
    /// Woken when slots may have moved.
    moved: Arc<Notify>,
    phase: watch::Sender<Phase>,
    /// Lost because nobody knew where to, and by servers that are none any more.
    lost: AtomicU64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Unknown,
    Known,
    /// No server of it could be reached yet.
    Away,
    Ended,
}

#[derive(Default)]
struct Map {
    slots: Option<Slots>,
    /// Who has the slots, by their ranges' places.
    holders: Vec<Option<Arc<Shard>>>,
    shards: HashMap<(String, u16), Running>,
    /// What is to be subscribed to, and where it is.
    wanted: HashMap<Arc<str>, Option<Arc<Shard>>>,
}

struct Running {
    shard: Arc<Shard>,
    task: JoinHandle<()>,
}

impl RedisCluster {
    pub(crate) fn new(
        seeds: Vec<ConnectionInfo>,
        names: Arc<Names>,
        options: RedisOptions,
        hub: Arc<BusHub>,
    ) -> Self {
        Self {
            seeds,
            names,
            options,
            hub,
            map: RwLock::default(),
            moved: Arc::new(Notify::new()),
            phase: watch::Sender::default(),
            lost: AtomicU64::new(0),
        }
    }

    pub(crate) fn publish(&self, subject: &Subject, message: Bytes) {
        let slot = self.names.name(subject).slot;
        match self.read().shard(slot) {
            Some(shard) => shard.publish(subject, message),
            None => {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn want(self: &Arc<Self>, name: &Name) -> Registration {
        if let Some(registration) = self.want_now(name) {
            return registration;
        }
        // Nobody knows yet where it is. It's noted, and asked for when it's known.
        let (this, name) = (self.clone(), name.clone());
        let mut phase = self.phase.subscribe();
        Box::pin(async move {
            match phase.wait_for(|it| *it != Phase::Unknown).await {
                Ok(phase) if *phase == Phase::Known => {}
                Ok(_) | Err(_) => return Err(NotConnected),
            }
            let registration = this.want_now(&name);
            registration.ok_or(NotConnected)?.await
        })
    }

    fn want_now(&self, name: &Name) -> Option<Registration> {
        let mut map = self.write();
        let shard = map.shard(name.slot).cloned();
        map.wanted.insert(name.text.clone(), shard.clone());
        shard.map(|it| it.want(&name.text))
    }

    pub(crate) fn unwant(&self, channel: &str) {
        if let Some(Some(shard)) = self.write().wanted.remove(channel) {
            shard.unwant(channel);
        }
    }

    pub(crate) fn lost(&self) -> u64 {
        let map = self.read();
        let lost: u64 = map.shards.values().map(|it| it.shard.queue.lost()).sum();
        lost + self.lost.load(Ordering::Relaxed)
    }

    pub(crate) fn queued_bytes(&self) -> usize {
        let map = self.read();
        map.shards.values().map(|it| it.shard.queue.bytes()).sum()
    }

    /// Has all connections send what waits and end, and hands over their tasks.
    pub(crate) fn end(&self) -> Vec<JoinHandle<()>> {
        self.phase.send_replace(Phase::Ended);
        let mut map = self.write();
        map.slots = None;
        map.holders.clear();
        let shards = map.shards.drain().map(|(_, running)| running);
        let ended = shards.map(|Running { shard, task }| {
            shard.end();
            self.lost.fetch_add(shard.queue.lost(), Ordering::Relaxed);
            task
        });
        ended.collect()
    }

    /// Keeps to where the slots are, until the end.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut backoff = Backoff::new(self.options.backoff_max);
        let mut outage = Outage::default();
        let mut ending = self.phase.subscribe();
        loop {
            let found = tokio::select! {
                found = self.find() => found,
                _ = ending.wait_for(|it| *it == Phase::Ended) => return,
            };
            match found {
                Ok(slots) => {
                    backoff.reset();
                    if let Some(away) = outage.over(now()) {
                        let seconds = away.as_secs_f32();
                        tracing::info!("slots of the Redis cluster are known after {seconds:.1} s");
                    }
                    self.apply(slots);
                    tokio::select! {
                        () = self.moved.notified() => {}
                        () = tokio::time::sleep(REFRESH) => {}
                        _ = ending.wait_for(|it| *it == Phase::Ended) => return,
                    }
                }
                Err(why) => {
                    self.phase.send_if_modified(|it| {
                        let first = *it == Phase::Unknown;
                        if first {
                            *it = Phase::Away;
                        }
                        first
                    });
                    let text = "no server of the Redis cluster says where its slots are";
                    match outage.failed(now()) {
                        Some(times) => tracing::warn!(why, times, "{text}"),
                        None => tracing::debug!(why, "{text}"),
                    }
                    self.hub.failed(format!("{text}; {why}"));
                }
            }
            // Hints come in crowds.
            tokio::time::sleep(backoff.pause()).await;
        }
    }

    /// Asks one server after the other where the slots are. The error is that of the last one.
    async fn find(&self) -> Result<Slots, String> {
        let known = self.read().slots.as_ref().map(Slots::servers);
        let known = known.into_iter().flatten().filter_map(|it| self.info(&it));
        let mut why = String::new();
        for info in known.chain(self.seeds.iter().cloned()) {
            let name = info.addr().to_string();
            match ask(info, &self.options).await {
                Ok(Some(slots)) => return Ok(slots),
                Ok(None) => why = format!("{name}: it isn't part of a Redis cluster"),
                Err(error) => why = format!("{name}: {error}"),
            }
            tracing::debug!(why, "failed to ask for slots");
        }
        Err(why)
    }

    /// How to connect to a server that the cluster has named: as to the first one that we were told of.
    fn info(&self, (host, port): &(String, u16)) -> Option<ConnectionInfo> {
        let seed = self.seeds.first()?.clone();
        let addr = match seed.addr() {
            ConnectionAddr::TcpTls {
                insecure,
                tls_params,
                ..
            } => ConnectionAddr::TcpTls {
                host: host.clone(),
                port: *port,
                insecure: *insecure,
                tls_params: tls_params.clone(),
            },
            _ => ConnectionAddr::Tcp(host.clone(), *port),
        };
        Some(seed.set_addr(addr))
    }

    /// Connects to new servers, lets go of those that have no slots any more, and takes channels along.
    fn apply(&self, slots: Slots) {
        let mut map = self.write();
        if *self.phase.borrow() == Phase::Ended {
            return;
        }
        let servers = slots.servers();
        for server in &servers {
            if map.shards.contains_key(server) {
                continue;
            }
            let (names, options) = (self.names.clone(), self.options.clone());
            let (hub, moved) = (self.hub.clone(), self.moved.clone());
            let shard = self.info(server).map(|info| {
                Shard::new(info, Flavour::Sharded, names, options, hub, moved).map(Arc::new)
            });
            match shard {
                Some(Ok(shard)) => {
                    self.hub.expect(1);
                    let task = tokio::spawn(shard.clone().run());
                    map.shards.insert(server.clone(), Running { shard, task });
                }
                Some(Err(error)) => tracing::error!(?server, %error, "failed to use a server"),
                None => {}
            }
        }
        map.shards.retain(|server, running| {
            let stays = servers.contains(server);
            if !stays {
                running.shard.end();
                self.lost
                    .fetch_add(running.shard.queue.lost(), Ordering::Relaxed);
                self.hub.dismiss();
            }
            stays
        });
        let holder = |it| Some(map.shards.get(it)?.shard.clone());
        let holders = slots.holders().map(holder).collect();
        map.holders = holders;
        map.slots = Some(slots);
        let channels: Vec<_> = map.wanted.keys().cloned().collect();
        for channel in channels {
            let shard = map.shard(slot(&channel)).cloned();
            let Some(before) = map.wanted.insert(channel.clone(), shard.clone()) else {
                continue;
            };
            let same = match (&before, &shard) {
                (Some(before), Some(shard)) => Arc::ptr_eq(before, shard),
                (None, None) => true,
                _ => false,
            };
            if same {
                continue;
            }
            if let Some(before) = before {
                before.unwant(&channel);
            }
            if let Some(shard) = shard {
                // It's made good by the connection. Who waits asks for itself.
                drop(shard.want(&channel));
            }
        }
        drop(map);
        self.phase.send_replace(Phase::Known);
    }

    fn read(&self) -> RwLockReadGuard<'_, Map> {
        self.map.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Map> {
        self.map.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Map {
    fn shard(&self, slot: u16) -> Option<&Arc<Shard>> {
        let range = self.slots.as_ref()?.range(slot)?;
        self.holders.get(range)?.as_ref()
    }
}

/// `None` when it answers something else.
async fn ask(info: ConnectionInfo, options: &RedisOptions) -> Result<Option<Slots>, RedisError> {
    let host = match info.addr() {
        ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host.clone(),
        _ => return Ok(None),
    };
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(options.answer_time_max))
        .set_response_timeout(Some(options.answer_time_max));
    let client = Client::open(info)?;
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&config)
        .await?;
    let mut slots = redis::cmd("CLUSTER");
    slots.arg("SLOTS");
    let answer: Value = slots.query_async(&mut connection).await?;
    Ok(Slots::parse(&answer, &host))
}
