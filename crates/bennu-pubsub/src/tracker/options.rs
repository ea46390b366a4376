//! What a tracker allows, and when it tells of changes.

use std::{fmt, time::Duration};

/// Limits and windows of presences, with the defaults named at each method.
///
/// ```
/// use std::time::Duration;
/// use bennu_pubsub::tracker::PresenceOptions;
///
/// let options = PresenceOptions::new().window(Duration::from_secs(1)).window_members_min(1_000);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct PresenceOptions {
    pub(super) window: Duration,
    pub(super) window_members_min: usize,
    pub(super) key_bytes_max: usize,
    pub(super) meta_bytes_max: usize,
    pub(super) keys_max: usize,
    pub(super) after: bool,
    pub(super) heartbeat: Duration,
    pub(super) down_after: Duration,
    pub(super) gone_after: Duration,
    pub(super) remote_bytes_max: usize,
    pub(super) changes_max: usize,
    pub(super) message_bytes_max: usize,
}

impl PresenceOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            window: Duration::from_millis(250),
            window_members_min: 100,
            key_bytes_max: 1024,
            meta_bytes_max: 64 * 1024,
            keys_max: 1000,
            after: false,
            heartbeat: Duration::from_millis(1_500),
            down_after: Duration::from_secs(6),
            gone_after: Duration::from_secs(20 * 60),
            remote_bytes_max: 128 << 20,
            changes_max: 8_192,
            message_bytes_max: 256 * 1024,
        }
    }

    /// How often a large topic's members are told of changes, at most: every 250 ms. The first change after
    /// a quiet window is told at once, what follows is told in one diff when the window ends. Zero tells of
    /// every change at once.
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// How many metas make a topic large: 100. In smaller ones every change is told at once.
    pub fn window_members_min(mut self, members: usize) -> Self {
        self.window_members_min = members;
        self
    }

    /// The longest key: 1,024 bytes. A longer one isn't tracked.
    pub fn key_bytes_max(mut self, bytes: usize) -> Self {
        self.key_bytes_max = bytes;
        self
    }

    /// The longest meta: 65,536 bytes of JSON. A longer one isn't tracked.
    pub fn meta_bytes_max(mut self, bytes: usize) -> Self {
        self.meta_bytes_max = bytes;
        self
    }

    /// How many keys one channel, or one [`Member`](super::Member), may track: 1,000. More aren't tracked.
    pub fn keys_max(mut self, keys: usize) -> Self {
        self.keys_max = keys;
        self
    }

    /// Whether a diff says which metas its keys have afterwards: no. It costs a copy of these.
    pub fn after(mut self, after: bool) -> Self {
        self.after = after;
        self
    }

    /// How often a node says that it is there: every 1,500 ms. Phoenix's `broadcast_period`. Changes aren't
    /// told by heartbeats but at once, or 100 ms after those before.
    pub fn heartbeat(mut self, heartbeat: Duration) -> Self {
        self.heartbeat = heartbeat;
        self
    }

    /// How long a node may be silent until what it tracks has left: 6 s, and two heartbeats at least. It's
    /// kept, and comes back when the node does. Phoenix's `down_period`, which is 30 s.
    pub fn down_after(mut self, silence: Duration) -> Self {
        self.down_after = silence;
        self
    }

    /// How long a node may be silent until nothing of it is kept: 20 minutes. Phoenix's `permdown_period`.
    pub fn gone_after(mut self, silence: Duration) -> Self {
        self.gone_after = silence;
        self
    }

    /// How much of what other nodes track is mirrored in each of the 32 trackers of a [`Roster`](super::Roster):
    /// 128 MiB, about 400,000 metas. More isn't seen on this node, and that is said by a
    /// [`ReplicaEvent::Refused`](super::ReplicaEvent).
    pub fn remote_bytes_max(mut self, bytes: usize) -> Self {
        self.remote_bytes_max = bytes;
        self
    }

    /// How many of the newest changes each tracker remembers for other nodes: 8,192, and none that is older than
    /// twenty heartbeats. A node that missed older ones is sent all that is there instead.
    pub fn changes_max(mut self, changes: usize) -> Self {
        self.changes_max = changes;
        self
    }

    /// How large a message to other nodes is, about: 256 KiB. What doesn't fit goes into further ones; one meta
    /// isn't cut in two.
    pub fn message_bytes_max(mut self, bytes: usize) -> Self {
        self.message_bytes_max = bytes;
        self
    }
}

impl Default for PresenceOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// Why a presence wasn't tracked or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PresenceError {
    /// The same owner tracks this key in this topic already. Phoenix's `{:already_tracked, ...}`.
    AlreadyTracked,
    /// The owner doesn't track this key in this topic. Phoenix's `:nopresence`.
    NotTracked,
    /// The meta isn't a JSON object, or failed to serialize; the text says why.
    Meta(String),
    /// A field could not be put into an entry; the text says why.
    Field(String),
    /// The key is longer than [`PresenceOptions::key_bytes_max`], the meta than
    /// [`PresenceOptions::meta_bytes_max`], or [`PresenceOptions::keys_max`] are tracked: the limit's name,
    /// its value and what was found.
    Limit(&'static str, usize, usize),
}

impl fmt::Display for PresenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyTracked => f.write_str("the key is tracked already"),
            Self::NotTracked => f.write_str("the key isn't tracked"),
            Self::Meta(why) => write!(f, "the meta is no JSON object: {why}"),
            Self::Field(why) => write!(f, "the field can't be put: {why}"),
            Self::Limit(name, max, found) => write!(f, "{name} is {max}, found {found}"),
        }
    }
}

impl std::error::Error for PresenceError {}
