//! A connection that the library keeps: what is published over it, what is heard, and how it is.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_nats::{Client, Event, PublishErrorKind, RequestErrorKind};
use bennu_pubsub::{BusHub, BusQueue, Outage, Parcel, PerPartition, Subject, SubjectNames};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};

use crate::{NatsOptions, interest::Interest, refusals::Refusals};

/// What is handed over in one piece, at most. One message may be longer.
const BATCH_MESSAGES_MAX: usize = 1024;
const BATCH_BYTES_MAX: usize = 1 << 20;
/// How long messages to one subject become when they are put together.
const PARCEL_BYTES_MAX: usize = 32 * 1024;

pub(crate) struct Connection {
    pub(crate) names: SubjectNames,
    pub(crate) options: NatsOptions,
    pub(crate) hub: BusHub,
    /// What partitions are called, made once.
    partitions: PerPartition<async_nats::Subject>,
    pub(crate) queue: BusQueue<Subject>,
    interest: Mutex<Interest>,
    wake: Notify,
    state: watch::Sender<State>,
    /// The server doesn't let us say or hear something. Until the next connection this counts as one that isn't there.
    denied: AtomicBool,
    /// That there is no connection, and that the server refuses the same, isn't logged each time.
    outage: Mutex<Outage>,
    refusals: Mutex<Refusals>,
    pub(crate) ending: watch::Sender<bool>,
}

/// How the connection is, as far as the library has told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct State {
    /// Counts the connections.
    epoch: u64,
    connected: bool,
    /// The subscriptions hold, and the others were told.
    announced: bool,
}

impl Connection {
    pub(crate) fn new(names: SubjectNames, options: NatsOptions) -> Self {
        Self {
            names,
            hub: BusHub::default(),
            partitions: PerPartition::new(),
            queue: BusQueue::new(options.queue_messages_max, options.queue_bytes_max),
            options,
            interest: Mutex::default(),
            wake: Notify::new(),
            state: watch::Sender::default(),
            denied: AtomicBool::new(false),
            outage: Mutex::default(),
            refusals: Mutex::default(),
            ending: watch::Sender::new(false),
        }
    }

    pub(crate) fn interest(&self) -> MutexGuard<'_, Interest> {
        self.interest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn name(&self, subject: &Subject) -> async_nats::Subject {
        let make = || self.names.name(subject).into();
        match subject {
            Subject::Partition(number) => self.partitions.get_or_make(*number, make).clone(),
            Subject::Node(_) | Subject::Gossip => make(),
        }
    }

    /// Interest has changed.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// What the library tells.
    pub(crate) fn told(&self, event: &Event) {
        match event {
            Event::Connected => {
                self.state.send_modify(|state| {
                    state.epoch += 1;
                    state.connected = true;
                });
                if self.denied.swap(false, Ordering::Relaxed) {
                    self.hub.dismiss();
                }
                self.wake();
            }
            Event::Disconnected | Event::Closed => self.lost(event),
            // An attempt to connect failed.
            Event::ClientError(_) => self.lost(event),
            Event::SlowConsumer(_) => self.queue.count_lost(1),
            Event::ServerError(error) => {
                let error = error.to_string();
                match lock(&self.refusals).refused(&error, now()) {
                    Some(times) => tracing::warn!(error, times, "NATS refused something"),
                    None => tracing::debug!(error, "NATS refused something"),
                }
                self.refused(&error);
            }
            Event::LameDuckMode | Event::Draining => {}
        }
    }

    /// `Permissions Violation for Publish to "bennu.p.7"`, or something that doesn't matter: what only we subscribe to, to
    /// hear whether subscriptions hold, needn't be allowed.
    fn refused(&self, why: &str) {
        let ours = format!("\"{}.", self.options.prefix);
        if !why.to_lowercase().contains("permissions violation")
            || !why.contains(&ours)
            || why.contains(".nobody\"")
        {
            return;
        }
        if why.contains(" Publish ") {
            // At least one: it doesn't say which.
            self.queue.count_lost(1);
        }
        if !self.denied.swap(true, Ordering::Relaxed) {
            self.hub.expect(1);
        }
        self.hub.failed(format!("nats: {why}"));
    }

    fn lost(&self, why: &Event) {
        let mut announced = false;
        self.state.send_modify(|state| {
            announced = state.announced;
            state.connected = false;
            state.announced = false;
        });
        self.interest().away();
        self.queue.close();
        let why = match why {
            Event::ClientError(error) => error.to_string(),
            why => format!("nats: {why}"),
        };
        let what = if announced {
            "lost the connection to NATS"
        } else {
            "there is no connection to NATS"
        };
        match lock(&self.outage).failed(now()) {
            Some(times) => tracing::warn!(why, times, "{what}"),
            None => tracing::debug!(why, "{what}"),
        }
        if announced {
            self.hub.turned(false);
        }
        self.hub.failed(why);
    }

    /// Subscribes to what is wanted, and tells when all of it holds, until the end.
    pub(crate) async fn subscribe(self: Arc<Self>, client: Client) {
        loop {
            let changes = self.interest().changes();
            for subject in &changes {
                let Ok(mut messages) = client.subscribe(self.name(subject)).await else {
                    // The client has ended.
                    return;
                };
                let (this, heard) = (self.clone(), subject.clone());
                let reader = tokio::spawn(async move {
                    while let Some(message) = messages.next().await {
                        this.hub.receive(&heard, message.payload);
                    }
                });
                self.interest().read(subject, reader.abort_handle());
            }
            let state = *self.state.borrow();
            if state.connected && (!changes.is_empty() || !state.announced) {
                let mut changed = self.state.subscribe();
                tokio::select! {
                    () = self.round_trip(&client) => self.confirm(&changes, state.epoch),
                    _ = changed.wait_for(|it| it.epoch != state.epoch || !it.connected) => {
                        // What was asked for is asked again with the connection.
                        let mut interest = self.interest();
                        changes.iter().for_each(|it| interest.confirm(it));
                    }
                }
                continue;
            }
            // While there is no connection the library remembers what it was told.
            {
                let mut interest = self.interest();
                changes.iter().for_each(|it| interest.confirm(it));
            }
            self.wake.notified().await;
        }
    }

    /// Has the server answer something, which it does after all that it was told before.
    async fn round_trip(&self, client: &Client) {
        // Nobody listens to this, and the server says so.
        let subject = format!("{}.nobody", self.names.name(&Subject::Gossip));
        let request = client.request(subject, Bytes::new());
        let why = match timeout(self.options.answer_time_max, request).await {
            Ok(Ok(_)) => return,
            Ok(Err(error)) if error.kind() == RequestErrorKind::NoResponders => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer".to_owned(),
        };
        let what = "NATS doesn't confirm subscriptions";
        match lock(&self.refusals).refused(&why, now()) {
            Some(times) => tracing::warn!(why, times, "{what}"),
            None => tracing::debug!(why, "{what}"),
        }
        // Not again at once.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    fn confirm(&self, changes: &[Subject], epoch: u64) {
        let mut again = None;
        {
            let mut interest = self.interest();
            // The state changes with the interest's lock held by nobody, so it's looked at again.
            self.state.send_if_modified(|state| {
                if state.epoch == epoch && state.connected {
                    interest.connected();
                    if !state.announced {
                        state.announced = true;
                        again = Some(epoch > 1);
                    }
                }
                again.is_some()
            });
            changes.iter().for_each(|it| interest.confirm(it));
        }
        if let Some(again) = again {
            if !*self.ending.borrow() {
                self.queue.open();
            }
            let away = lock(&self.outage).over(now());
            match away.map(|it| it.as_secs_f32()) {
                Some(seconds) => tracing::info!("connected to NATS after {seconds:.1} s"),
                None if again => tracing::debug!("connected to NATS again"),
                None => tracing::info!("connected to NATS"),
            }
            if again {
                self.hub.count_reconnect();
            }
            self.hub.turned(true);
        }
    }

    /// Publishes what is queued, until the end.
    pub(crate) async fn publish(self: Arc<Self>, client: Client) {
        let mut ending = self.ending.subscribe();
        loop {
            let messages = self.queue.take(BATCH_MESSAGES_MAX, BATCH_BYTES_MAX);
            if !messages.is_empty() {
                self.send(&client, messages).await;
                continue;
            }
            if *ending.borrow_and_update() {
                return;
            }
            tokio::select! {
                () = self.queue.wait() => {}
                _ = ending.changed() => {}
            }
        }
    }

    async fn send(&self, client: &Client, messages: Vec<(Subject, Bytes)>) {
        let count = messages.len();
        // A server that takes less than that is asked for less.
        let bytes_max = client.server_info().max_payload;
        let parcels = Parcel::pack(messages, PARCEL_BYTES_MAX.min(bytes_max));
        let mut state = self.state.subscribe();
        let epoch = state.borrow_and_update().epoch;
        let send = async {
            let mut refused = 0;
            for parcel in parcels {
                let bytes = parcel.bytes.len();
                match client.publish(self.name(&parcel.to), parcel.bytes).await {
                    Ok(()) => {}
                    Err(error) if error.kind() == PublishErrorKind::Send => return None,
                    Err(error) => {
                        tracing::warn!(%error, bytes, "a message for other nodes can't be sent");
                        refused += parcel.messages;
                    }
                }
            }
            client.flush().await.ok().map(|()| refused)
        };
        let refused = tokio::select! {
            refused = send => refused,
            _ = state.wait_for(|it| it.epoch != epoch || !it.connected) => None,
        };
        // What was written when the connection broke may have arrived or not.
        let lost = refused.unwrap_or(count);
        self.queue.count_lost(lost);
        self.hub.count_published(count - lost);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The runtime's clock, which tests can stop.
fn now() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}
