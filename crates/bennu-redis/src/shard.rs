//! One server: a connection that is always wanted, what is published over it, and what is heard.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bennu_pubsub::{Backoff, BusHub, BusQueue, Outage, Parcel, Registration, Subject};
use bytes::Bytes;
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, ProtocolVersion, PushInfo, PushKind, RedisError,
    Value,
    aio::{ConnectionLike, MultiplexedConnection},
};
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};

use crate::{
    RedisOptions,
    channels::{Change, Channels},
    names::Names,
};

/// What goes to the server in one piece, at most. One message may be longer.
const BATCH_MESSAGES_MAX: usize = 1024;
const BATCH_BYTES_MAX: usize = 1 << 20;
/// How long messages to one subject become when they are put together.
const PARCEL_BYTES_MAX: usize = 32 * 1024;
/// How long a server may take to let us in.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);

/// The names of commands, which differ where channels belong to slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    Plain,
    Sharded,
}

pub(crate) struct Shard {
    /// Host and port, for logs; no password.
    pub(crate) name: String,
    client: Client,
    flavour: Flavour,
    names: Arc<Names>,
    options: RedisOptions,
    hub: Arc<BusHub>,
    pub(crate) queue: BusQueue<Subject>,
    channels: Mutex<Channels>,
    wake: Notify,
    outage: Mutex<Outage>,
    ending: watch::Sender<bool>,
    /// Woken when channels may have moved to other servers.
    moved: Arc<Notify>,
}

/// Why a connection ended.
enum Broken {
    Redis(RedisError),
    /// It's there, and won't do what it's told: there is no permission, no memory, no quorum.
    Refused(RedisError),
    /// The other end is gone; or it ended a subscription by itself, as when a slot moves. The library takes that for the
    /// answer to something else, so nothing that this connection says can be relied on.
    Gone,
    /// It's for another server.
    Moved,
}

impl Shard {
    pub(crate) fn new(
        info: ConnectionInfo,
        flavour: Flavour,
        names: Arc<Names>,
        options: RedisOptions,
        hub: Arc<BusHub>,
        moved: Arc<Notify>,
    ) -> Result<Self, RedisError> {
        let settings = info.redis_settings().clone();
        let settings = settings.set_protocol(ProtocolVersion::RESP3);
        // Else the end of a piece may wait until its beginning was acknowledged, which takes the other side 40 ms.
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        let info = info.set_redis_settings(settings).set_tcp_settings(tcp);
        Ok(Self {
            name: info.addr().to_string(),
            client: Client::open(info)?,
            flavour,
            names,
            queue: BusQueue::new(options.queue_messages_max, options.queue_bytes_max),
            options,
            hub,
            channels: Mutex::new(Channels::new()),
            wake: Notify::new(),
            outage: Mutex::default(),
            ending: watch::Sender::new(false),
            moved,
        })
    }

    pub(crate) fn publish(&self, subject: &Subject, message: Bytes) {
        self.queue.push(subject.clone(), message);
    }

    pub(crate) fn want(&self, channel: &Arc<str>) -> Registration {
        let registration = self.channels().want(channel);
        self.wake.notify_one();
        registration
    }

    pub(crate) fn unwant(&self, channel: &str) {
        self.channels().unwant(channel);
        self.wake.notify_one();
    }

    /// Has [`run`](Self::run) send what waits and end.
    pub(crate) fn end(&self) {
        self.queue.seal();
        self.ending.send_replace(true);
    }

    /// Connects, again and again, until the end.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut backoff = Backoff::new(self.options.backoff_max);
        let mut ending = self.ending.subscribe();
        let mut connections = 0_u64;
        while !*ending.borrow() {
            let broken = Arc::new(Notify::new());
            let connected = tokio::select! {
                connected = self.connect(&broken) => connected,
                _ = ending.wait_for(|it| *it) => break,
            };
            match connected {
                Ok(connection) => {
                    let mut served = Served {
                        shard: &self,
                        up: false,
                    };
                    let result = served.serve(connection, &broken, connections > 0).await;
                    if served.up {
                        connections += 1;
                    }
                    if served.up && !matches!(result, Err(Broken::Refused(_))) {
                        backoff.reset();
                    }
                    drop(served);
                    match result {
                        Ok(()) => break,
                        Err(why) => self.lost(&why),
                    }
                }
                Err(error) => {
                    self.channels().away();
                    self.failed(&error.to_string(), "failed to connect to Redis");
                    self.moved.notify_one();
                }
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.pause()) => {}
                _ = ending.wait_for(|it| *it) => break,
            }
        }
        self.channels().away();
        self.queue.close();
    }

    fn lost(&self, why: &Broken) {
        const LOST: &str = "lost the connection to Redis";
        match why {
            Broken::Redis(error) => self.failed(&error.to_string(), LOST),
            Broken::Refused(error) => self.failed(&error.to_string(), "Redis refused something"),
            Broken::Gone => self.failed("the connection was lost", LOST),
            Broken::Moved => {
                tracing::info!(server = self.name, "channels moved to other servers");
            }
        }
        self.moved.notify_one();
    }

    /// Has the health say why, and the log, where it hasn't just been said.
    fn failed(&self, error: &str, what: &str) {
        self.hub.failed(format!("{}: {error}", self.name));
        let server = &*self.name;
        match self.outage().failed(now()) {
            Some(times) => tracing::warn!(server, error, times, "{what}"),
            None => tracing::debug!(server, error, "{what}"),
        }
    }

    async fn connect(
        self: &Arc<Self>,
        broken: &Arc<Notify>,
    ) -> Result<MultiplexedConnection, RedisError> {
        let (shard, notify) = (Arc::downgrade(self), broken.clone());
        let heard = move |push: PushInfo| {
            let Some(shard) = shard.upgrade() else {
                return Err(());
            };
            if !shard.heard(push) {
                notify.notify_one();
            }
            Ok(())
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIME_MAX))
            .set_response_timeout(Some(self.options.answer_time_max))
            .set_push_sender(heard);
        self.client
            .get_multiplexed_async_connection_with_config(&config)
            .await
    }

    /// What the server says unasked, where the connection is read: so a node that is slow is sent less. False when the
    /// connection is of no use any more.
    fn heard(&self, PushInfo { kind, data }: PushInfo) -> bool {
        match kind {
            PushKind::Message | PushKind::SMessage => {
                let mut data = data.into_iter();
                if let (Some(Value::BulkString(name)), Some(Value::BulkString(message))) =
                    (data.next(), data.next())
                    && let Some(subject) = self.names.subject(&name)
                {
                    self.hub.receive(&subject, message.into());
                }
                true
            }
            PushKind::Unsubscribe | PushKind::SUnsubscribe => match data.first() {
                Some(Value::BulkString(name)) => {
                    let name = str::from_utf8(name).unwrap_or_default();
                    !self.channels().is_held(name)
                }
                _ => false,
            },
            PushKind::Disconnection => false,
            _ => true,
        }
    }

    fn channels(&self) -> MutexGuard<'_, Channels> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outage(&self) -> MutexGuard<'_, Outage> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The runtime's clock, which tests can stop.
pub(crate) fn now() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}

/// A connection that is served. Whatever ends it, also that nobody polls it any more, nothing hangs.
struct Served<'a> {
    shard: &'a Arc<Shard>,
    up: bool,
}

impl Served<'_> {
    /// Subscribes, publishes, and asks now and then whether the server is there, until it isn't or the end. One piece is
    /// under way at a time; meanwhile the next one grows.
    async fn serve(
        &mut self,
        mut connection: MultiplexedConnection,
        broken: &Notify,
        again: bool,
    ) -> Result<(), Broken> {
        let shard = self.shard;
        let mut ending = shard.ending.subscribe();
        shard.channels().connected();
        loop {
            let changes = shard.channels().changes(BATCH_MESSAGES_MAX);
            if changes.is_empty() && !self.up {
                self.announce(again);
            }
            let messages = shard.queue.take(BATCH_MESSAGES_MAX, BATCH_BYTES_MAX);
            if !changes.is_empty() || !messages.is_empty() {
                let parcels = Parcel::pack(messages, PARCEL_BYTES_MAX);
                self.send(&mut connection, &changes, &parcels, broken)
                    .await?;
                continue;
            }
            if *ending.borrow_and_update() {
                return Ok(());
            }
            tokio::select! {
                () = shard.wake.notified() => {}
                () = shard.queue.wait() => {}
                () = broken.notified() => return Err(Broken::Gone),
                _ = ending.changed() => {}
                () = tokio::time::sleep(shard.options.answer_time_max) => {
                    let ping = redis::cmd("PING");
                    let answer = connection.req_packed_command(&ping).await;
                    answer.map_err(Broken::Redis)?;
                }
            }
        }
    }

    /// All subscriptions hold: the others may rely on it.
    fn announce(&mut self, again: bool) {
        let shard = self.shard;
        self.up = true;
        if !*shard.ending.borrow() {
            shard.queue.open();
        }
        let server = &*shard.name;
        let away = shard.outage().over(now());
        match away.map(|it| it.as_secs_f32()) {
            Some(seconds) => tracing::info!(server, "connected to Redis after {seconds:.1} s"),
            None if again => tracing::debug!(server, "connected to Redis again"),
            None => tracing::info!(server, "connected to Redis"),
        }
        if again {
            shard.hub.count_reconnect();
        }
        shard.hub.turned(true);
    }

    async fn send(
        &self,
        connection: &mut MultiplexedConnection,
        changes: &[Change],
        parcels: &[Parcel<Subject>],
        broken: &Notify,
    ) -> Result<(), Broken> {
        let shard = self.shard;
        let pipeline = pipeline(shard, changes, parcels);
        let count = changes.len() + parcels.len();
        let messages: usize = parcels.iter().map(|it| it.messages).sum();
        // What is under way when the connection breaks may have arrived or not. Sent again it might arrive twice.
        let mut lost = Lost {
            queue: &shard.queue,
            count: messages,
        };
        let answers = tokio::select! {
            answers = connection.req_packed_commands(&pipeline, 0, count) => answers.map_err(Broken::Redis)?,
            () = broken.notified() => return Err(Broken::Gone),
        };
        let mut refused = None;
        let mut answers = answers.into_iter();
        for change in changes {
            match answers.next() {
                Some(Value::ServerError(error)) => refused = Some(error),
                _ => shard.channels().confirm(change),
            }
        }
        lost.count = 0;
        for (answer, parcel) in answers.zip(parcels) {
            if let Value::ServerError(error) = answer {
                lost.count += parcel.messages;
                refused = Some(error);
            }
        }
        shard.hub.count_published(messages - lost.count);
        match refused {
            None => Ok(()),
            Some(error) if error.code() == "MOVED" => Err(Broken::Moved),
            // To come again later may help, and the log says what it's about.
            Some(error) => Err(Broken::Refused(error.into())),
        }
    }
}

impl Drop for Served<'_> {
    fn drop(&mut self) {
        self.shard.channels().away();
        self.shard.queue.close();
        if self.up {
            self.shard.hub.turned(false);
        }
    }
}

/// Messages that are under way.
struct Lost<'a> {
    queue: &'a BusQueue<Subject>,
    count: usize,
}

impl Drop for Lost<'_> {
    fn drop(&mut self) {
        self.queue.count_lost(self.count);
    }
}

fn pipeline(shard: &Shard, changes: &[Change], parcels: &[Parcel<Subject>]) -> redis::Pipeline {
    let (subscribe, unsubscribe, publish) = match shard.flavour {
        Flavour::Plain => ("SUBSCRIBE", "UNSUBSCRIBE", "PUBLISH"),
        Flavour::Sharded => ("SSUBSCRIBE", "SUNSUBSCRIBE", "SPUBLISH"),
    };
    let mut pipeline = redis::Pipeline::with_capacity(changes.len() + parcels.len());
    for change in changes {
        match change {
            Change::Subscribe(name) => pipeline.cmd(subscribe).arg(&**name),
            Change::Unsubscribe(name) => pipeline.cmd(unsubscribe).arg(&**name),
        };
    }
    for parcel in parcels {
        let name = shard.names.name(&parcel.to);
        let bytes = publish.len() + name.text.len() + parcel.bytes.len();
        let mut command = redis::Cmd::with_capacity(3, bytes);
        command.arg(publish).arg(&*name.text).arg(&*parcel.bytes);
        pipeline.add_command(command);
    }
    pipeline
}

/// Waits for a connection's task to end, but not for ever.
pub(crate) async fn ended(task: tokio::task::JoinHandle<()>, time_max: Duration) {
    let _ = timeout(time_max, task).await;
}
