//! What a channel can do.

mod handle;
mod presence;
mod reply_to;

use std::{
    any::{Any, type_name},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
};

use bennu_pubsub::{Interest, NodeName, PubSub, Subscription, tracker::Member};
use bennu_wire::{Broadcast, ChannelId, EncodeError, Outgoing, Payload, Ref, Topic};
use bytes::Bytes;
use serde::Serialize;

use crate::{
    Broadcaster, Channel, Presence, Socket,
    presence::Change,
    reply::Answer,
    routes::Route,
    runtime::{Conn, Gate, Place, Relay, encode},
};

pub use handle::{Handle, SendError};
pub use reply_to::ReplyTo;
use reply_to::reply;

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
    /// While the channel is joined: also where its topic is.
    subscription: Option<Subscription>,
    /// The channel's own join_ref: what its replies and pushes carry.
    join_ref: Ref,
    /// The ref of the event being handled.
    r#ref: Ref,
    /// What few channels have, or only for a short time.
    rest: OnceLock<Box<Rest>>,
    id: ChannelId,
    ending: AtomicU8,
}

#[derive(Default)]
struct Rest {
    /// While the channel isn't subscribed to it: before it has joined, and when it ends.
    topic: Option<Topic>,
    /// What the join callback wants sent, until the join is replied to.
    held: Mutex<Option<Vec<Effect>>>,
    /// The channel's own topic, heard before the join is replied to.
    early: Mutex<Option<Box<Early>>>,
    /// Subscriptions to further topics.
    relays: Mutex<Vec<Subscription>>,
    /// What the channel tracks, for each presence it tracks with: nearly always there's one. It leaves with
    /// this.
    members: Mutex<Vec<Arc<Member>>>,
    /// Keeps the topic heard from the end of the join until it's subscribed to.
    interest: Option<Interest>,
    /// Once the session has forgotten the channel.
    join_ref: Ref,
    /// What the join callback decided, until the join is replied to.
    ending: Ending,
}

/// What a channel keeps between its callbacks. All else it's lent while it runs.
#[derive(Default)]
pub(crate) struct Kept {
    subscription: Option<Subscription>,
    rest: Option<Box<Rest>>,
}

struct Early {
    subscription: Subscription,
    gate: Arc<Gate>,
}

enum Effect {
    Push(Bytes),
    Broadcast(Arc<Broadcast>, Reach),
    Presence(Presence, Change),
}

/// Who hears a broadcast.
#[derive(Debug, Clone)]
enum Reach {
    /// Everybody in the channel's topic.
    All,
    /// Everybody in the channel's topic but the channel.
    Others,
    /// Everybody in another topic.
    Elsewhere,
    /// Everybody in the channel's topic on this node.
    Local,
    /// Everybody in the channel's topic on this node but the channel.
    LocalOthers,
    /// Everybody in another topic on one node.
    Node(NodeName),
}

/// What a callback decided about its channel's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Ending {
    #[default]
    None,
    Stop,
    Fail,
}

impl<C: Channel> Context<C> {
    pub(crate) fn joining(place: Place<C::Socket>, topic: Topic) -> Self {
        let rest = Rest {
            topic: Some(topic),
            held: Mutex::new(Some(Vec::new())),
            ..Rest::default()
        };
        let kept = Kept {
            subscription: None,
            rest: Some(Box::new(rest)),
        };
        Self::resuming(place, kept)
    }

    /// The context of a callback that begins.
    pub(crate) fn resuming(place: Place<C::Socket>, kept: Kept) -> Self {
        let Place {
            conn,
            socket,
            route,
            id,
            join_ref,
        } = place;
        let Kept { subscription, rest } = kept;
        let (own, ending) = match rest.as_deref() {
            Some(rest) => (rest.join_ref.clone(), rest.ending),
            None => (Ref::NULL, Ending::None),
        };
        Self {
            conn,
            socket,
            route,
            subscription,
            join_ref: join_ref.unwrap_or(own),
            r#ref: Ref::NULL,
            rest: rest.map_or_else(OnceLock::new, OnceLock::from),
            id,
            ending: AtomicU8::new(ending as u8),
        }
    }

    /// What is left of it after a callback.
    pub(crate) fn into_kept(self) -> Kept {
        let ending = self.ending();
        let mut rest = self.rest.into_inner();
        if ending != Ending::None {
            rest.get_or_insert_default().ending = ending;
        }
        Kept {
            subscription: self.subscription,
            rest,
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
        let rest = || self.rest.get().and_then(|it| it.topic.as_ref());
        match self
            .subscription
            .as_ref()
            .map(Subscription::topic)
            .or_else(rest)
        {
            Some(topic) => topic,
            None => unreachable!("a channel has its topic from its subscription or keeps it"),
        }
    }

    /// What the endpoint was made with: it needn't be a field of the socket.
    ///
    /// ```
    /// use bennu::{Channel, Context, Reply, Result, Socket};
    ///
    /// struct App { motd: String }
    ///
    /// fn motd<C: Channel<Socket: Socket<App = App>>>(cx: &Context<C>) -> Result {
    ///     Ok(Reply::with(&cx.app().motd))
    /// }
    /// ```
    #[must_use]
    pub fn app(&self) -> &Arc<<C::Socket as Socket>::App> {
        &self.route.app
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
            let (topic, r#ref) = (self.topic().as_str().into(), Ref::null());
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
        self.broadcast_as(self.topic().clone(), event, payload, Reach::All);
    }

    /// Sends an event to everybody in this topic but this channel.
    pub fn broadcast_from(&self, event: &str, payload: &(impl Serialize + ?Sized)) {
        self.broadcast_as(self.topic().clone(), event, payload, Reach::Others);
    }

    /// Sends an event to everybody in another topic, on every node. With a socket's id as topic and `disconnect`
    /// as event it closes that socket's connections.
    pub fn broadcast_to(
        &self,
        topic: impl Into<Topic>,
        event: &str,
        payload: &(impl Serialize + ?Sized),
    ) {
        self.broadcast_as(topic.into(), event, payload, Reach::Elsewhere);
    }

    /// In [`Channel::join`]: hears the channel's topic from now on, in place of from the reply on. What is broadcast
    /// until then reaches the client right after the reply, in its order. Elsewhere it does nothing.
    ///
    /// For joins that reply with what is kept somewhere: called before that is read, nothing falls between what was
    /// read and what is heard, from this node or another: it waits until the bus to the others, if there is one,
    /// brings the topic. What was stored and broadcast in between comes twice, so number it. More than
    /// [`queue_messages_max`](crate::SocketOptions::queue_messages_max) broadcasts in one join close the connection,
    /// as a slow consumer's.
    ///
    /// ```
    /// use bennu::{Channel, Context, Joined, Result};
    ///
    /// async fn join<C: Channel>(channel: C, cx: &Context<C>) -> Result<Joined<C>> {
    ///     cx.listen().await;
    ///     let kept = read_from_the_database().await?;
    ///     Ok(Joined::with_reply(channel, kept))
    /// }
    /// # async fn read_from_the_database() -> Result<Vec<u32>> { Ok(Vec::new()) }
    /// ```
    pub async fn listen(&self) {
        let Some(rest) = self.rest.get() else { return };
        if lock(&rest.held).is_none() {
            return;
        }
        let interest = self.conn.pubsub().interest(self.topic());
        if let Some(interest) = &interest {
            interest.registered().await;
        }
        lock(&rest.early).get_or_insert_with(|| {
            let gate = Arc::new(Gate::new(self.conn.clone(), C::INTERCEPT));
            let key = u64::from(self.id.get());
            let topic = self.topic().clone();
            let subscription = self.conn.pubsub().subscribe(topic, gate.clone(), key);
            Box::new(Early { subscription, gate })
        });
    }

    /// To broadcast from a task that outlives the callback, or the channel. Nothing is held back in
    /// [`Channel::join`]: whoever hears the topic by then gets it.
    ///
    /// ```
    /// use bennu::{Channel, Context};
    ///
    /// fn tell_later<C: Channel>(cx: &Context<C>) {
    ///     let (broadcaster, topic) = (cx.broadcaster(), cx.topic().clone());
    ///     tokio::spawn(async move {
    ///         // What takes its time, and is told of whatever becomes of this client.
    ///         broadcaster.broadcast(topic, "told", "done");
    ///     });
    /// }
    /// ```
    #[must_use]
    pub fn broadcaster(&self) -> Broadcaster {
        Broadcaster::new(self.conn.pubsub())
    }

    /// The topics of the endpoint, to listen to them, or for broadcasts that are encoded already.
    #[must_use]
    pub fn pubsub(&self) -> &PubSub {
        self.conn.pubsub()
    }

    /// As [`broadcast`](Self::broadcast), on this node only.
    pub fn local_broadcast(&self, event: &str, payload: &(impl Serialize + ?Sized)) {
        self.broadcast_as(self.topic().clone(), event, payload, Reach::Local);
    }

    /// As [`broadcast_from`](Self::broadcast_from), on this node only.
    pub fn local_broadcast_from(&self, event: &str, payload: &(impl Serialize + ?Sized)) {
        self.broadcast_as(self.topic().clone(), event, payload, Reach::LocalOthers);
    }

    /// As [`broadcast_to`](Self::broadcast_to), on one node only. Nobody hears it when there is none of that name.
    pub fn direct_broadcast(
        &self,
        node: &NodeName,
        topic: impl Into<Topic>,
        event: &str,
        payload: &(impl Serialize + ?Sized),
    ) {
        self.broadcast_as(topic.into(), event, payload, Reach::Node(node.clone()));
    }

    /// Also listens to another topic: its broadcasts go to [`Channel::handle_out`]. A second subscription to
    /// the same topic changes nothing.
    pub fn subscribe(&self, topic: impl Into<Topic>) {
        let topic = topic.into();
        let mut relays = lock(&self.rest.get_or_init(Box::default).relays);
        if relays.iter().all(|it| *it.topic() != topic) {
            let relay = Arc::new(Relay::all(self.conn.clone()));
            relays.push(
                self.conn
                    .pubsub()
                    .subscribe(topic, relay, u64::from(self.id.get())),
            );
        }
    }

    /// Ends a subscription made by [`subscribe`](Self::subscribe).
    pub fn unsubscribe(&self, topic: &str) {
        if let Some(rest) = self.rest.get() {
            lock(&rest.relays).retain(|it| it.topic().as_str() != topic);
        }
    }

    /// Answers the event being handled later, from any task, any number of times.
    ///
    /// `None` when the client didn't ask for a reply (the event has no ref), and outside of
    /// [`Channel::handle_in`]. Phoenix's `socket_ref/1`.
    #[must_use]
    pub fn reply_to(&self) -> Option<ReplyTo> {
        let to = || {
            ReplyTo::new(
                self.conn.clone(),
                self.join_ref.clone(),
                self.r#ref.clone(),
                self.topic().clone(),
            )
        };
        (!self.r#ref.is_null()).then(to)
    }

    /// Reaches this channel from other tasks.
    #[must_use]
    pub fn handle(&self) -> Handle<C> {
        Handle::new(Arc::downgrade(&self.conn), self.id)
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

    fn broadcast_as(
        &self,
        topic: Topic,
        event: &str,
        payload: &(impl Serialize + ?Sized),
        reach: Reach,
    ) {
        match Payload::new(payload) {
            Ok(payload) => {
                let broadcast = Arc::new(Broadcast::new(topic, event.to_owned(), payload));
                self.apply(Effect::Broadcast(broadcast, reach));
            }
            Err(error) => self.unencodable(event, &error),
        }
    }

    fn apply(&self, effect: Effect) {
        if let Some(rest) = self.rest.get()
            && let Some(held) = &mut *lock(&rest.held)
        {
            return held.push(effect);
        }
        match effect {
            Effect::Push(frame) => self.conn.send(frame),
            Effect::Presence(presence, change) => self.changed(&presence, change),
            Effect::Broadcast(broadcast, reach) => match (reach, &self.subscription) {
                (Reach::All, Some(place)) => place.broadcast(&broadcast),
                (Reach::Others, Some(place)) => place.broadcast_from(&broadcast),
                (Reach::Local, Some(place)) => place.local_broadcast(&broadcast),
                (Reach::LocalOthers, Some(place)) => place.local_broadcast_from(&broadcast),
                (Reach::Node(node), _) => self.conn.pubsub().direct_broadcast(&node, &broadcast),
                // In `terminate` the channel has left its topic already.
                (Reach::Local | Reach::LocalOthers, None) => {
                    self.conn.pubsub().local_broadcast(&broadcast);
                }
                (Reach::Elsewhere, _) | (Reach::All | Reach::Others, None) => {
                    self.conn.pubsub().broadcast(&broadcast);
                }
            },
        }
    }

    fn unencodable(&self, event: &str, error: &EncodeError) {
        tracing::error!(channel = type_name::<C>(), topic = %self.topic(), event, %error, "failed to encode a payload");
        self.fail();
    }

    fn end(&self, ending: Ending) {
        // A failure isn't made good by a stop.
        self.ending.fetch_max(ending as u8, Ordering::Relaxed);
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

    pub(crate) fn conn(&self) -> &Conn {
        &self.conn
    }

    /// The join is accepted: waits until the bus to other nodes, if there is one, brings what is broadcast to the
    /// topic. What it answers is kept until the channel has subscribed.
    pub(crate) async fn registered(&mut self) {
        let Some(interest) = self.conn.pubsub().interest(self.topic()) else {
            return;
        };
        if !interest.is_registered() {
            interest.registered().await;
        }
        if let Some(rest) = self.rest.get_mut() {
            rest.interest = Some(interest);
        }
    }

    pub(crate) fn handling(&mut self, r#ref: Ref) {
        self.r#ref = r#ref;
    }

    /// The join was replied to: the channel hears its topic, and what the join held back goes out.
    pub(crate) fn joined(&mut self) {
        let (key, topic) = (u64::from(self.id.get()), self.topic().clone());
        let pubsub = self.conn.pubsub();
        let early = self.rest.get().and_then(|it| lock(&it.early).take());
        self.subscription = Some(match (early, C::INTERCEPT) {
            (Some(early), _) => {
                early.gate.open(key);
                early.subscription
            }
            (None, []) => pubsub.subscribe(topic, self.conn.clone(), key),
            (None, events) => {
                pubsub.subscribe(topic, Arc::new(Relay::some(self.conn.clone(), events)), key)
            }
        });
        let Some(mut rest) = self.rest.take() else {
            return;
        };
        rest.topic = None;
        rest.interest = None;
        let held = lock(&rest.held).take();
        if !lock(&rest.relays).is_empty() {
            self.rest = OnceLock::from(rest);
        }
        for effect in held.into_iter().flatten() {
            self.apply(effect);
        }
    }

    /// Sends what `handle_in` answered to the event being handled.
    pub(crate) fn reply(&self, answer: Answer) {
        if let Err(error) = reply(
            &self.conn,
            &self.join_ref,
            &self.r#ref,
            self.topic(),
            answer,
        ) {
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

impl Kept {
    /// The channel hears nothing any more.
    pub(crate) fn unsubscribe(&mut self, join_ref: Option<&Ref>) {
        let Self { subscription, rest } = std::mem::take(self);
        let subscribed = subscription.as_ref().map(|it| it.topic().clone());
        // Before its presences leave: it doesn't hear of that.
        drop(subscription);
        let (kept, own) = rest.map_or((None, Ref::NULL), |it| (it.topic, it.join_ref));
        self.rest = Some(Box::new(Rest {
            topic: subscribed.or(kept),
            join_ref: join_ref.cloned().unwrap_or(own),
            ..Rest::default()
        }));
    }
}

impl<C: Channel> fmt::Debug for Context<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("topic", self.topic())
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
