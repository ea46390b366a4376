//! A channel as its owner holds it.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bennu_wire::{DecodeError, Payload, Topic};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::watch;

use crate::{
    Changes, ChannelStatus, Event, Events, Presence, PushError, Rejoin,
    inbox::Inbox,
    machine::{ChannelId, Input, Params, Reply},
    options::InboxLimits,
    presence::Tracked,
    socket::Shared as SocketShared,
};

/// A channel that isn't joined yet; made by [`Socket::channel`](crate::Socket::channel).
#[must_use = "a channel does nothing until it's joined"]
pub struct Joining {
    held: Arc<Held>,
    params: Result<Params, PushError>,
    timeout: Duration,
    rejoin: Rejoin,
}

impl Joining {
    pub(crate) fn new(socket: &Arc<SocketShared>, topic: Topic) -> Self {
        let shared = Arc::new(Shared::new(topic, socket.options.inbox));
        Self {
            held: Arc::new(Held {
                id: socket.next_channel(),
                shared,
                socket: socket.clone(),
            }),
            params: Ok(Arc::new(Payload::empty)),
            timeout: socket.options.timeout,
            rejoin: Rejoin::default(),
        }
    }

    /// What the channel's `join` is given: any value with a JSON form, or `Bytes`. An empty object by default.
    pub fn params<T: Serialize + ?Sized>(mut self, params: &T) -> Self {
        self.params = Payload::new(params)
            .map(|payload| Arc::new(move || payload.clone()) as Params)
            .map_err(PushError::Encode);
        self
    }

    /// Params that are asked for at each join, the first and those after a reconnect: say, the number of the last
    /// message seen. What has no form counts as an empty object.
    pub fn params_with<T: Serialize>(
        mut self,
        params: impl Fn() -> T + Send + Sync + 'static,
    ) -> Self {
        self.params = Ok(Arc::new(move || {
            Payload::new(&params()).unwrap_or_else(|error| {
                tracing::error!(%error, "the params of a join have no form");
                Payload::empty()
            })
        }));
        self
    }

    /// How long a join may take: [`Client::timeout`](crate::Client::timeout), ten seconds, by default. The time of the first join
    /// includes that in which there's no connection.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Whether it comes back by itself once it was joined. [`Rejoin::Always`] by default.
    pub fn rejoin(mut self, rejoin: Rejoin) -> Self {
        self.rejoin = rejoin;
        self
    }

    /// The channel's presences, from the first on. They must be asked for before the join, since the server says who is
    /// there right after it.
    #[must_use]
    pub fn presence(&self) -> Presence {
        self.presence_named("presence_state", "presence_diff")
    }

    /// As [`presence`](Self::presence), where the server uses other names for the two events.
    #[must_use]
    pub fn presence_named(&self, state: &str, diff: &str) -> Presence {
        let options = &self.held.socket.options;
        let tracked = Tracked::new(state, diff, options.inbox, options.presence_bytes_max);
        let tracked = Arc::new(tracked);
        self.held.shared.lock().tracked.push(tracked.clone());
        Presence::new(tracked, self.held.clone())
    }

    /// Joins, and waits for the server's answer.
    ///
    /// # Errors
    /// [`PushError::Refused`] when the server doesn't let it in, [`PushError::Timeout`] when there was no answer (or no
    /// connection) in time, [`PushError::Closed`] when the socket is disconnected for good. The channel isn't tried
    /// again by itself then.
    pub async fn join(self) -> Result<Channel, PushError> {
        let Self {
            held,
            params,
            timeout,
            rejoin,
        } = self;
        let params = params?;
        let shared = held.shared.clone();
        let topic = shared.topic.clone();
        let result = held
            .socket
            .ask_join(&shared, |token| Input::Join {
                id: held.id,
                topic,
                params,
                timeout,
                rejoin,
                token,
            })
            .await;
        match result {
            Ok(_) => Ok(Channel { held }),
            Err(error) => {
                shared.close();
                Err(error)
            }
        }
    }
}

impl fmt::Debug for Joining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Joining")
            .field("topic", &self.held.shared.topic)
            .finish_non_exhaustive()
    }
}

/// A channel that is joined, and is joined again by itself when its connection was lost or the server has failed.
///
/// Clones are the same channel. It is left when the last of them, of its [`Events`] and of its [`Presence`]s is dropped.
///
/// What is pushed while the channel is away waits until it's back, for as long as the push's timeout.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); fn main() { run(async {
/// # let socket = bennu_client::Client::connect(&serve().await).start()?;
/// let room = socket.channel("room:lobby").join().await?;
/// let mut events = room.events();
///
/// let sent: u32 = room.push("new_msg", &serde_json::json!({"body": "hello"})).await?;
/// assert_eq!(sent, 1);
/// assert_eq!(events.next().await.map(|it| it.event), Some("new_msg".to_owned()));
///
/// let refused = room.push::<()>("nonsense", &()).await.unwrap_err();
/// assert!(refused.refusal().unwrap().reason().unwrap().starts_with("unknown event"));
/// room.leave().await;
/// assert_eq!(events.next().await, None);
/// # Ok(()) }) }
/// ```
#[derive(Clone)]
pub struct Channel {
    held: Arc<Held>,
}

impl Channel {
    /// Its topic.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.held.shared.topic
    }

    /// What the server answered to the latest join.
    #[must_use]
    pub fn reply(&self) -> Payload {
        self.held.shared.lock().reply.clone()
    }

    /// What the server answered to the latest join, as a type of one's own.
    ///
    /// # Errors
    /// When it isn't of that type.
    pub fn joined<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        self.reply().decode()
    }

    /// Pushes an event, and waits for the reply's response. A payload is any value with a JSON form, or `Bytes`, which go as a
    /// binary message; `()` stands for an empty object.
    ///
    /// It is sent at most once. While the channel is away it waits; while more waits than
    /// [`Client::queue_bytes_max`](crate::Client::queue_bytes_max) it waits for room.
    ///
    /// # Errors
    /// As [`PushError`] says.
    pub async fn push<T: DeserializeOwned>(
        &self,
        event: &str,
        payload: &(impl Serialize + ?Sized),
    ) -> Result<T, PushError> {
        let timeout = self.held.socket.options.timeout;
        let reply = self.push_for(timeout, event, payload).await?;
        Ok(reply.decode()?)
    }

    /// As [`push`](Self::push) with a timeout of its own, and the response unparsed.
    ///
    /// # Errors
    /// As [`PushError`] says.
    pub async fn push_for(
        &self,
        timeout: Duration,
        event: &str,
        payload: &(impl Serialize + ?Sized),
    ) -> Result<Payload, PushError> {
        let payload = self.encode(event, payload)?;
        let Reply { response, .. } = self
            .held
            .socket
            .push(self.held.id, event, payload, timeout)
            .await?;
        Ok(response)
    }

    /// Pushes an event and waits for nothing; whatever the server answers is dropped.
    ///
    /// # Errors
    /// [`PushError::Full`] when too much waits to be sent, [`PushError::Closed`] when the channel is closed,
    /// [`PushError::Encode`] when the payload has no form. What was accepted isn't sent when the channel stays away for longer than the
    /// timeout.
    pub fn cast(&self, event: &str, payload: &(impl Serialize + ?Sized)) -> Result<(), PushError> {
        let payload = self.encode(event, payload)?;
        if self.status() == ChannelStatus::Closed {
            return Err(PushError::Closed);
        }
        self.held.socket.cast(self.held.id, event, payload)
    }

    /// A binary message has a byte for the length of each name, and it's the caller who should hear of it.
    fn encode(
        &self,
        event: &str,
        payload: &(impl Serialize + ?Sized),
    ) -> Result<Payload, PushError> {
        let payload = Payload::new(payload)?;
        if let Payload::Binary(_) = payload {
            bennu_wire::Request {
                join_ref: bennu_wire::Ref::null(),
                r#ref: bennu_wire::Ref::null(),
                topic: self.topic(),
                intent: bennu_wire::Intent::Push(event),
                payload: &Payload::Binary(bytes::Bytes::new()),
            }
            .encode(bennu_wire::Serializer::V2, &mut Vec::new())?;
        }
        Ok(payload)
    }

    /// What the server pushes and broadcasts, presence's events among it. The first call gets all there was since the
    /// join, a later one what comes from then on.
    #[must_use]
    pub fn events(&self) -> Events {
        let inbox = self.held.shared.subscribe();
        Events {
            inbox,
            held: self.held.clone(),
        }
    }

    /// How it is.
    #[must_use]
    pub fn status(&self) -> ChannelStatus {
        self.held.shared.status.borrow().clone()
    }

    /// How it is, and how it will be.
    #[must_use]
    pub fn changes(&self) -> Changes<ChannelStatus> {
        Changes {
            watched: self.held.shared.status.subscribe(),
            is_last: |it| *it == ChannelStatus::Closed,
        }
    }

    /// Leaves, for all clones, and waits until the server has ended the channel, or can't any more.
    pub async fn leave(self) {
        let id = self.held.id;
        // Whatever comes of it, the channel is left.
        let _ = self
            .held
            .socket
            .ask(|token| Input::Leave {
                id,
                token: Some(token),
            })
            .await;
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("topic", self.topic())
            .field("status", &self.status())
            .finish()
    }
}

/// Somebody holds the channel. When nobody does any more, it is left.
pub(crate) struct Held {
    id: ChannelId,
    pub(crate) shared: Arc<Shared>,
    socket: Arc<SocketShared>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.socket.leave(self.id);
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Held").field(&self.shared.topic).finish()
    }
}

/// What the driver and the handles have of a channel.
pub(crate) struct Shared {
    topic: Topic,
    limits: InboxLimits,
    status: watch::Sender<ChannelStatus>,
    inner: Mutex<Inner>,
}

struct Inner {
    reply: Payload,
    inboxes: Vec<Arc<Inbox<Event>>>,
    /// The first of them isn't read by anybody yet.
    unread: bool,
    tracked: Vec<Arc<Tracked>>,
    closed: bool,
}

impl Shared {
    fn new(topic: Topic, limits: InboxLimits) -> Self {
        Self {
            topic,
            limits,
            status: watch::Sender::new(ChannelStatus::Joining),
            inner: Mutex::new(Inner {
                reply: Payload::empty(),
                inboxes: vec![Arc::new(Inbox::new(limits))],
                unread: true,
                tracked: Vec::new(),
                closed: false,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn subscribe(&self) -> Arc<Inbox<Event>> {
        let mut inner = self.lock();
        if std::mem::take(&mut inner.unread)
            && let Some(first) = inner.inboxes.first()
        {
            return first.clone();
        }
        let inbox = Arc::new(Inbox::new(self.limits));
        if inner.closed {
            inbox.close();
        } else {
            inner.inboxes.push(inbox.clone());
        }
        inbox
    }

    pub(crate) fn unsubscribe(&self, inbox: &Arc<Inbox<Event>>) {
        self.lock().inboxes.retain(|it| !Arc::ptr_eq(it, inbox));
    }

    pub(crate) fn untrack(&self, tracked: &Arc<Tracked>) {
        self.lock().tracked.retain(|it| !Arc::ptr_eq(it, tracked));
    }

    pub(crate) fn joined(&self, reply: Payload) {
        let tracked = {
            let mut inner = self.lock();
            inner.reply = reply;
            inner.tracked.clone()
        };
        for it in tracked {
            it.joined();
        }
        self.status.send_replace(ChannelStatus::Joined);
    }

    pub(crate) fn set_status(&self, status: ChannelStatus) {
        if status == ChannelStatus::Closed {
            return self.close();
        }
        self.status.send_replace(status);
    }

    pub(crate) fn heard(&self, event: Event) {
        let (inboxes, tracked) = {
            let inner = self.lock();
            (inner.inboxes.clone(), inner.tracked.clone())
        };
        for it in tracked {
            it.receive(&event.event, &event.payload);
        }
        let bytes = size_of::<Event>() + event.event.len() + event.payload.len();
        let Some((last, others)) = inboxes.split_last() else {
            return;
        };
        for inbox in others {
            inbox.push(event.clone(), bytes);
        }
        last.push(event, bytes);
    }

    pub(crate) fn close(&self) {
        let (inboxes, tracked) = {
            let mut inner = self.lock();
            inner.closed = true;
            (inner.inboxes.clone(), inner.tracked.clone())
        };
        self.status.send_replace(ChannelStatus::Closed);
        for inbox in inboxes {
            inbox.close();
        }
        for it in tracked {
            it.close();
        }
    }
}
