//! Who is in which topic.

mod handler;

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use bennu_pubsub::{
    Outage, PubSub,
    tracker::{
        Member, Meta, PresenceDiff, PresenceEntry, PresenceError, PresenceOptions, Presences,
        Replica, ReplicaEvent, Roster,
    },
};
use bennu_wire::{Broadcast, Payload, Topic};
use serde::Serialize;

pub use handler::PresenceHandler;

use crate::{Channel, Context};
use handler::{Erased, Workers, fetched};

/// The event that carries a topic's presences to one client.
pub(crate) const STATE: &str = "presence_state";
/// The event that carries changes to all of a topic's clients.
const DIFF: &str = "presence_diff";

/// Who is present in which topic, and since when, with which metas. Clones share the same presences.
///
/// An endpoint has one, [`Endpoint::presence`](crate::Endpoint::presence), which channels use by
/// [`Context::track`] and its companions. More can be made, each with its own presences. Clients get
/// `presence_state` when a channel says so, and `presence_diff` whenever somebody in their topic comes, goes or
/// changes. Phoenix's `Phoenix.Presence`. A topic's presences are those of all nodes where the endpoint has an
/// [`adapter`](crate::Endpoint::adapter).
///
/// ```
/// use bennu::{Endpoint, PubSub};
/// use serde_json::json;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let endpoint = Endpoint::new(());
/// let presence = endpoint.presence();
///
/// let robot = presence.member();
/// robot.track("room:7", "robot", &json!({"status": "online"}))?;
/// assert_eq!(presence.count("room:7"), 1);
/// let present = presence.list("room:7").await;
/// assert_eq!(present.keys().collect::<Vec<_>>(), ["robot"]);
///
/// drop(robot); // who is gone isn't present
/// assert_eq!(presence.count("room:7"), 0);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Presence {
    roster: Roster,
    setup: Arc<Setup>,
}

/// What a presence is made of, so that it can be made anew for another pubsub.
#[derive(Clone)]
struct Setup {
    name: String,
    options: PresenceOptions,
    handler: Option<Arc<dyn Erased>>,
}

impl Presence {
    /// Presences whose diffs go to the topics of `pubsub`. `name` tells several of one server apart.
    #[must_use]
    pub fn new(name: &str, pubsub: &PubSub, options: PresenceOptions) -> Self {
        Self::set_up(
            Setup {
                name: name.to_owned(),
                options,
                handler: None,
            },
            pubsub,
        )
    }

    /// As [`new`](Self::new), with a handler that adds to what clients see, or follows it.
    #[must_use]
    pub fn with_handler(
        name: &str,
        pubsub: &PubSub,
        options: PresenceOptions,
        handler: impl PresenceHandler,
    ) -> Self {
        Self::new(name, pubsub, options).handled_by(handler, pubsub)
    }

    fn set_up(setup: Setup, pubsub: &PubSub) -> Self {
        let tell_of = pubsub.clone();
        let roster = match &setup.handler {
            None => roster(&setup, &setup.options, pubsub, move |diff| {
                tell(&tell_of, &diff)
            }),
            Some(handler) => {
                let workers = Arc::new(Workers::new(tell_of, handler.clone()));
                let options = setup.options.clone().after(true);
                roster(&setup, &options, pubsub, move |diff| workers.take(diff))
            }
        };
        Self {
            roster,
            setup: Arc::new(setup),
        }
    }

    pub(crate) fn on(&self, pubsub: &PubSub) -> Self {
        Self::set_up((*self.setup).clone(), pubsub)
    }

    pub(crate) fn with_options(&self, options: PresenceOptions, pubsub: &PubSub) -> Self {
        let setup = Setup {
            options,
            ..(*self.setup).clone()
        };
        Self::set_up(setup, pubsub)
    }

    pub(crate) fn handled_by(&self, handler: impl PresenceHandler, pubsub: &PubSub) -> Self {
        let setup = Setup {
            handler: Some(Arc::new(handler)),
            ..(*self.setup).clone()
        };
        Self::set_up(setup, pubsub)
    }

    /// What is present in a topic, with what [`PresenceHandler::fetch`] adds. Phoenix's `list/1`.
    pub async fn list(&self, topic: impl Into<Topic>) -> Presences {
        let topic = topic.into();
        let mut presences = self.roster.list(&topic);
        if let Some(handler) = &self.setup.handler {
            fetched(&**handler, &topic, &mut presences).await;
        }
        presences
    }

    /// What is present under one key, with what [`PresenceHandler::fetch`] adds. Phoenix's `get_by_key/2`.
    pub async fn get_by_key(&self, topic: impl Into<Topic>, key: &str) -> Option<PresenceEntry> {
        let topic = topic.into();
        let entry = self.roster.get_by_key(&topic, key)?;
        let Some(handler) = &self.setup.handler else {
            return Some(entry);
        };
        let mut presences = Presences::one(key, entry);
        fetched(&**handler, &topic, &mut presences).await;
        presences.get(key).cloned()
    }

    /// How many metas are tracked on this node, in all topics together. It costs the same for any number.
    #[must_use]
    pub fn size(&self) -> usize {
        self.roster.presences()
    }

    /// How many metas a topic has: who is there twice counts twice. It costs the same for any number.
    #[must_use]
    pub fn count(&self, topic: impl Into<Topic>) -> usize {
        self.roster.count(&topic.into())
    }

    /// How many keys a topic has: who is there twice counts once. It costs the same for any number.
    #[must_use]
    pub fn count_keys(&self, topic: impl Into<Topic>) -> usize {
        self.roster.count_keys(&topic.into())
    }

    /// How many metas a key has. It costs the same for any number.
    #[must_use]
    pub fn count_key(&self, topic: impl Into<Topic>, key: &str) -> usize {
        self.roster.count_key(&topic.into(), key)
    }

    /// Somebody who isn't a channel, or a channel in topics of its choice. Phoenix's `track/4` with a pid.
    #[must_use]
    pub fn member(&self) -> PresenceMember {
        PresenceMember(self.roster.member())
    }

    /// [`Context::track`] with this presence.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn track<C: Channel>(
        &self,
        cx: &Context<C>,
        key: impl fmt::Display,
        meta: &(impl Serialize + ?Sized),
    ) -> Result<(), PresenceError> {
        cx.change(self, Change::Track(key.to_string(), Meta::new(meta)?))
    }

    /// [`Context::update`] with this presence.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn update<C: Channel>(
        &self,
        cx: &Context<C>,
        key: impl fmt::Display,
        meta: &(impl Serialize + ?Sized),
    ) -> Result<(), PresenceError> {
        cx.change(self, Change::Update(key.to_string(), Meta::new(meta)?))
    }

    /// [`Context::untrack`] with this presence.
    pub fn untrack<C: Channel>(&self, cx: &Context<C>, key: impl fmt::Display) {
        // It can't fail.
        let _ = cx.change(self, Change::Untrack(key.to_string()));
    }

    /// [`Context::untrack_all`] with this presence.
    pub fn untrack_all<C: Channel>(&self, cx: &Context<C>) {
        // It can't fail.
        let _ = cx.change(self, Change::UntrackAll);
    }

    /// [`Context::push_presence_state`] with this presence.
    pub fn push_state<C: Channel>(&self, cx: &Context<C>) {
        // It can't fail.
        let _ = cx.change(self, Change::PushState);
    }

    /// Has other nodes told that this one is there. It begins by itself with the first use; an endpoint's begins with
    /// [`Endpoint::router`](crate::Endpoint::router). Without other nodes, or a tokio runtime, nothing happens.
    pub fn begin(&self) {
        self.roster.begin();
    }

    /// Tells other nodes that all who are present here have left, as when this node ends; from then on it's told no
    /// more. [`Endpoint::leave_cluster`](crate::Endpoint::leave_cluster) does it. Phoenix's `graceful_permdown`.
    pub fn leave_cluster(&self) {
        self.roster.leave();
    }

    /// How many nodes have these presences in common, as far as this one hears of them: itself, and those that it has
    /// heard of within the last seconds ([`PresenceOptions::down_after`]). 1 where there are no others.
    #[must_use]
    pub fn nodes(&self) -> usize {
        1 + self.roster.stats().nodes
    }

    pub(crate) fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Whether a list has to be waited for.
    pub(crate) fn fetches(&self) -> bool {
        self.setup.handler.is_some()
    }
}

/// What a channel does to its presences.
pub(crate) enum Change {
    Track(String, Meta),
    Update(String, Meta),
    Untrack(String),
    UntrackAll,
    PushState,
}

/// Somebody who is present, by [`Presence::member`]: a task, a device, a robot. What it tracks ends when it is
/// dropped. Keep one in a channel to track in other topics than the channel's own.
#[derive(Debug)]
pub struct PresenceMember(Member);

impl PresenceMember {
    /// Adds a presence in any topic.
    ///
    /// # Errors
    ///
    /// As [`Context::track`].
    pub fn track(
        &self,
        topic: impl Into<Topic>,
        key: impl fmt::Display,
        meta: &(impl Serialize + ?Sized),
    ) -> Result<(), PresenceError> {
        let (key, meta) = (key.to_string(), Meta::new(meta)?);
        self.0.track(&topic.into(), &key, &meta).map(drop)
    }

    /// Replaces the meta of a presence.
    ///
    /// # Errors
    ///
    /// As [`Context::update`].
    pub fn update(
        &self,
        topic: impl Into<Topic>,
        key: impl fmt::Display,
        meta: &(impl Serialize + ?Sized),
    ) -> Result<(), PresenceError> {
        let (key, meta) = (key.to_string(), Meta::new(meta)?);
        self.0.update(&topic.into(), &key, &meta).map(drop)
    }

    /// Removes a presence; nothing happens when there is none.
    pub fn untrack(&self, topic: impl Into<Topic>, key: impl fmt::Display) {
        self.0.untrack(&topic.into(), &key.to_string());
    }

    /// Removes all presences of this member.
    pub fn untrack_all(&self) {
        self.0.untrack_all();
    }
}

/// What keeps the presences: of this node, or of all nodes of its cluster.
fn roster(
    setup: &Setup,
    options: &PresenceOptions,
    pubsub: &PubSub,
    publish: impl Fn(PresenceDiff) + Send + Sync + 'static,
) -> Roster {
    let name = setup.name.clone();
    if let Some(cluster) = pubsub.cluster() {
        let refusals = Mutex::default();
        let report = move |event| report(&name, &event, &refusals);
        return Roster::clustered(cluster, start(), &setup.name, options, publish, report);
    }
    let replica = Replica {
        node: "local".into(),
        start: start(),
    };
    Roster::new(&replica, &name, options, publish)
}

/// Tells each start of a presence from others of its node: by the time in microseconds, so that later ones have
/// larger numbers, by a number of this process, and by a count.
fn start() -> u64 {
    static STARTS: AtomicU64 = AtomicU64::new(0);
    static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0));
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    let micros = since_epoch.map_or(0, |it| it.as_micros() as u64);
    let count = STARTS.fetch_add(1, Ordering::Relaxed);
    (micros << 12) | (*PROCESS & 0xff) << 4 | (count & 0xf)
}

/// Says what happens among the nodes that have a presence in common.
fn report(presence: &str, event: &ReplicaEvent, refusals: &Mutex<Outage>) {
    match event {
        ReplicaEvent::Up(_) | ReplicaEvent::Gone(_) => {
            tracing::info!(presence, %event, "presence");
        }
        ReplicaEvent::Unreadable(..) => tracing::debug!(presence, %event, "presence"),
        ReplicaEvent::NameTaken(_) => tracing::error!(presence, %event, "presence"),
        // Each message of a node may have some.
        ReplicaEvent::Refused(..) => {
            let now = tokio::time::Instant::now().into_std();
            let mut refusals = refusals.lock().unwrap_or_else(PoisonError::into_inner);
            match refusals.failed(now) {
                Some(times) => tracing::warn!(presence, %event, times, "presence"),
                None => tracing::debug!(presence, %event, "presence"),
            }
        }
        _ => tracing::warn!(presence, %event, "presence"),
    }
}

/// Tells the clients of a topic, on this node.
fn tell(pubsub: &PubSub, diff: &PresenceDiff) {
    match Payload::new(diff) {
        Ok(payload) => {
            let broadcast = Broadcast::new(diff.topic.clone(), DIFF, payload);
            pubsub.local_broadcast(&Arc::new(broadcast));
        }
        Err(error) => {
            tracing::error!(topic = %diff.topic, %error, "failed to encode a presence diff")
        }
    }
}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presence")
            .field("name", &self.setup.name)
            .field("options", &self.setup.options)
            .finish_non_exhaustive()
    }
}
