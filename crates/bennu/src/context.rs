//! What a channel can do.

use std::{
    any::{Any, type_name},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU8, Ordering},
    },
};

use bennu_pubsub::{PubSub, Subscription};
use bennu_wire::{Broadcast, ChannelId, EncodeError, Outgoing, Payload, Ref, Topic};
use bytes::Bytes;
use serde::Serialize;

use crate::{
    Channel,
    reply::{Answer, Reply},
    routes::Route,
    runtime::{Conn, Mail, Relay, encode},
};

/// What a channel can do while one of its callbacks runs, and what it knows of its place.
///
/// Everything takes effect at once, in the order written: a broadcast before a reply reaches the client
/// before the reply. In [`Channel::join`] it's held back until the join's reply is sent.
///
/// ```
/// # use bennu::{Channel, Context}; use serde_json::json;
/// # fn example<C: Channel>(cx: &Context<C>) {
/// cx.push("hello", &json!({"topic": cx.topic().as_str()}));  // to this client
/// cx.broadcast("joined", &json!({"n": 1}));                  // to everybody in the topic
/// cx.broadcast_from("typing", &json!({}));                   // to everybody else
/// # }
/// ```
pub struct Context<C: Channel> {
    conn: Arc<Conn>,
    socket: Arc<C::Socket>,
    route: Arc<Route<C::Socket>>,
    topic: Topic,
    /// The channel's own join_ref: what its replies and pushes carry.
    join_ref: Ref,
    /// The ref of the event being handled.
    r#ref: Ref,
    id: ChannelId,
    ending: AtomicU8,
    subscription: Option<Subscription>,
    /// Only while joining, or with subscriptions to further topics.
    extra: Mutex<Option<Box<Extra>>>,
}

#[derive(Default)]
struct Extra {
    /// What the join callback wants sent, until the join is replied to.
    held: Option<Vec<Effect>>,
    relays: Vec<Subscription>,
}

enum Effect {
    Push(Bytes),
    Broadcast {
        broadcast: Arc<Broadcast>,
        echo: bool,
    },
}

/// What a callback decided about its channel's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    None,
    Stop,
    Fail,
}

impl<C: Channel> Context<C> {
    pub(crate) fn joining(
        conn: Arc<Conn>,
        socket: Arc<C::Socket>,
        route: Arc<Route<C::Socket>>,
        topic: Topic,
        join_ref: Ref,
        id: ChannelId,
    ) -> Self {
        let extra = Extra {
            held: Some(Vec::new()),
            relays: Vec::new(),
        };
        Self {
            conn,
            socket,
            route,
            topic,
            join_ref,
            r#ref: Ref::NULL,
            id,
            ending: AtomicU8::new(0),
            subscription: None,
            extra: Mutex::new(Some(Box::new(extra))),
        }
    }

    /// The socket of this channel's connection.
    #[must_use]
    pub fn socket(&self) -> &C::Socket {
        &self.socket
    }

    /// The topic that was joined.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// What the route of this channel was given by [`Routes::channel_with`](crate::Routes::channel_with), if
    /// it was given a `T`.
    #[must_use]
    pub fn assigns<T: Any>(&self) -> Option<&T> {
        self.route
            .assigns
            .as_deref()
            .and_then(|it| it.downcast_ref())
    }

    /// Sends an event to this client. `payload` is anything that serializes, or `Bytes` for a binary frame.
    ///
    /// A payload that can't be encoded (it fails to serialize; it is binary and the client speaks serializer
    /// V1, or topic or event are longer than 255 bytes) ends the channel with `phx_error`, as in Phoenix.
    pub fn push(&self, event: &str, payload: &(impl Serialize + ?Sized)) {
        let frame = Payload::new(payload).and_then(|payload| {
            let (topic, r#ref) = (self.topic.as_str().into(), &Ref::NULL);
            encode(
                self.conn.encoding(),
                &Outgoing::Push {
                    join_ref: &self.join_ref,
                    r#ref,
                    topic,
                    event,
                    payload: &payload,
                },
            )
        });
        match frame {
            Ok(frame) => self.apply(Effect::Push(frame)),
            Err(error) => self.unencodable(event, &error),
        }
    }

    /// Sends an event to everybody in this topic, on every node, this client included.
    ///
    /// The payload is encoded before anyone gets it. One that fails to serialize ends the channel as with
    /// [`push`](Self::push); a client whose serializer can't carry it is skipped and counted.
    pub fn broadcast(&self, event: &str, payload: &(impl Serialize + ?Sized)) {
        self.broadcast_as(event, payload, true);
    }

    /// Sends an event to everybody in this topic but this channel.
    pub fn broadcast_from(&self, event: &str, payload: &(impl Serialize + ?Sized)) {
        self.broadcast_as(event, payload, false);
    }

    /// Also listens to another topic: its broadcasts go to [`Channel::handle_out`]. A second subscription to
    /// the same topic changes nothing.
    pub fn subscribe(&self, topic: impl Into<Topic>) {
        let topic = topic.into();
        let mut extra = self.extra();
        let extra = extra.get_or_insert_default();
        if extra.relays.iter().all(|it| *it.topic() != topic) {
            let relay = Arc::new(Relay::all(self.conn.clone()));
            extra.relays.push(
                self.conn
                    .pubsub()
                    .subscribe(topic, relay, u64::from(self.id.get())),
            );
        }
    }

    /// Ends a subscription made by [`subscribe`](Self::subscribe).
    pub fn unsubscribe(&self, topic: &str) {
        if let Some(extra) = self.extra().as_mut() {
            extra.relays.retain(|it| it.topic().as_str() != topic);
        }
    }

    /// Answers the event being handled later, from any task, any number of times.
    ///
    /// `None` when the client didn't ask for a reply (the event has no ref), and outside of
    /// [`Channel::handle_in`]. Phoenix's `socket_ref/1`.
    #[must_use]
    pub fn reply_to(&self) -> Option<ReplyTo> {
        (!self.r#ref.is_null()).then(|| ReplyTo {
            conn: self.conn.clone(),
            join_ref: self.join_ref.clone(),
            r#ref: self.r#ref.clone(),
            topic: self.topic.clone(),
        })
    }

    /// Reaches this channel from other tasks.
    #[must_use]
    pub fn handle(&self) -> Handle<C> {
        Handle {
            conn: Arc::downgrade(&self.conn),
            id: self.id,
            info: std::marker::PhantomData,
        }
    }

    /// Ends the channel after this callback and its reply: the client gets `phx_close` and doesn't rejoin.
    pub fn stop(&self) {
        self.end(Ending::Stop);
    }

    /// Ends the channel after this callback and its reply as a failure: the client gets `phx_error` and
    /// rejoins.
    pub fn fail(&self) {
        self.end(Ending::Fail);
    }

    fn broadcast_as(&self, event: &str, payload: &(impl Serialize + ?Sized), echo: bool) {
        match Payload::new(payload) {
            Ok(payload) => {
                let broadcast = Arc::new(Broadcast::new(
                    self.topic.clone(),
                    event.to_owned(),
                    payload,
                ));
                self.apply(Effect::Broadcast { broadcast, echo });
            }
            Err(error) => self.unencodable(event, &error),
        }
    }

    fn apply(&self, effect: Effect) {
        // Only the join callback finds the lock's content set to held effects, and nobody else has a context
        // of a joining channel.
        if let Some(held) = self.extra().as_mut().and_then(|it| it.held.as_mut()) {
            held.push(effect);
            return;
        }
        match (effect, &self.subscription) {
            (Effect::Push(frame), _) => self.conn.send(frame),
            (
                Effect::Broadcast {
                    broadcast,
                    echo: true,
                },
                Some(place),
            ) => place.broadcast(&broadcast),
            (
                Effect::Broadcast {
                    broadcast,
                    echo: false,
                },
                Some(place),
            ) => place.broadcast_from(&broadcast),
            // In `terminate` the channel has left its topic already.
            (Effect::Broadcast { broadcast, .. }, None) => self.conn.pubsub().broadcast(&broadcast),
        }
    }

    fn unencodable(&self, event: &str, error: &EncodeError) {
        tracing::error!(channel = type_name::<C>(), topic = %self.topic, event, %error, "failed to encode a payload");
        self.fail();
    }

    fn end(&self, ending: Ending) {
        // A failure isn't made good by a stop.
        self.ending.fetch_max(ending as u8, Ordering::Relaxed);
    }

    fn extra(&self) -> MutexGuard<'_, Option<Box<Extra>>> {
        self.extra.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The runtime's side of a context.
impl<C: Channel> Context<C> {
    pub(crate) fn ending(&self) -> Ending {
        match self.ending.load(Ordering::Relaxed) {
            0 => Ending::None,
            1 => Ending::Stop,
            _ => Ending::Fail,
        }
    }

    pub(crate) fn handling(&mut self, r#ref: Ref) {
        self.r#ref = r#ref;
    }

    /// The join was replied to: the channel hears its topic, and what the join held back goes out.
    pub(crate) fn joined(&mut self, pubsub: &PubSub) {
        let key = u64::from(self.id.get());
        self.subscription = Some(match C::INTERCEPT {
            [] => pubsub.subscribe(self.topic.clone(), self.conn.clone(), key),
            events => pubsub.subscribe(
                self.topic.clone(),
                Arc::new(Relay::some(self.conn.clone(), events)),
                key,
            ),
        });
        let held = {
            let extra = self.extra.get_mut().unwrap_or_else(PoisonError::into_inner);
            let held = extra.as_mut().and_then(|it| it.held.take());
            if extra.as_ref().is_some_and(|it| it.relays.is_empty()) {
                *extra = None;
            }
            held
        };
        for effect in held.into_iter().flatten() {
            self.apply(effect);
        }
    }

    /// The channel hears nothing any more.
    pub(crate) fn unsubscribed(&mut self) {
        self.subscription = None;
        *self.extra() = None;
    }

    /// Sends what `handle_in` answered to the event being handled.
    pub(crate) fn reply(&self, Answer { status, response }: Answer) {
        let sent = response.and_then(|response| {
            self.conn.push(&Outgoing::Reply {
                join_ref: &self.join_ref,
                r#ref: &self.r#ref,
                topic: self.topic.as_str().into(),
                status: &status,
                response: &response,
            })
        });
        if let Err(error) = sent {
            self.unencodable("a reply", &error);
        }
    }

    /// An event without a ref made no sense: nobody else will tell of it.
    pub(crate) fn event_lost(&self) {
        self.conn.mount().counters.events_undecodable.add(1);
    }

    pub(crate) fn wants_reply(&self) -> bool {
        !self.r#ref.is_null()
    }
}

/// Answers one event of a client later: see [`Context::reply_to`].
#[derive(Clone)]
pub struct ReplyTo {
    conn: Arc<Conn>,
    join_ref: Ref,
    r#ref: Ref,
    topic: Topic,
}

impl ReplyTo {
    /// Sends `reply`. Nothing happens when the connection is gone; a response that can't be encoded is logged.
    pub fn reply(&self, reply: Reply) {
        let Some(Answer { status, response }) = reply.0 else {
            return;
        };
        let sent = response.and_then(|response| {
            self.conn.push(&Outgoing::Reply {
                join_ref: &self.join_ref,
                r#ref: &self.r#ref,
                topic: self.topic.as_str().into(),
                status: &status,
                response: &response,
            })
        });
        if let Err(error) = sent {
            tracing::error!(topic = %self.topic, %error, "failed to encode a reply");
        }
    }
}

/// Sends `Info` to a channel from any task: see [`Context::handle`]. It doesn't keep the connection alive.
pub struct Handle<C: Channel> {
    conn: Weak<Conn>,
    id: ChannelId,
    info: std::marker::PhantomData<fn(C::Info)>,
}

impl<C: Channel> Handle<C> {
    /// Sends `info` to [`Channel::handle_info`].
    ///
    /// # Errors
    ///
    /// The connection is gone, or too much waits for it already. A channel that ended on a connection that
    /// lives takes the message without effect.
    pub fn send(&self, info: C::Info) -> Result<(), SendError> {
        let conn = self.conn.upgrade().ok_or(SendError::Gone)?;
        conn.mail(Mail::Info(self.id, Box::new(info)))
    }
}

impl<C: Channel> Clone for Handle<C> {
    fn clone(&self) -> Self {
        Self {
            conn: self.conn.clone(),
            id: self.id,
            info: std::marker::PhantomData,
        }
    }
}

/// Why a [`Handle`] could not send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The connection is gone.
    Gone,
    /// As many messages as the limit `queue_messages_max` allows wait for the connection already.
    Full,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gone => "the connection is gone",
            Self::Full => "too many messages wait for the connection",
        })
    }
}

impl std::error::Error for SendError {}

impl<C: Channel> fmt::Debug for Context<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("topic", &self.topic)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ReplyTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyTo")
            .field("topic", &self.topic)
            .field("ref", &self.r#ref)
            .finish_non_exhaustive()
    }
}

impl<C: Channel> fmt::Debug for Handle<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
