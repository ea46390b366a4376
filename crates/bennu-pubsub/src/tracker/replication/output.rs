//! What a replication works on, and what it wants to be done.

use std::{fmt, sync::Arc};

use bytes::Bytes;

use crate::tracker::{MessageError, Tracker};

/// The trackers that a [`Replication`](super::Replication) keeps alike, which may be behind locks.
pub trait Shards {
    /// Has `act` see and change one of them. `None` when there's none of that number.
    fn with<R>(&mut self, shard: usize, act: impl FnOnce(&mut Tracker) -> R) -> Option<R>;
}

impl Shards for [Tracker] {
    fn with<R>(&mut self, shard: usize, act: impl FnOnce(&mut Tracker) -> R) -> Option<R> {
        self.get_mut(shard).map(act)
    }
}

/// What a [`Replication`](super::Replication) wants to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this to all other nodes.
    ToAll(Bytes),
    /// Send this to the node of that name.
    ToNode(Arc<str>, Bytes),
    /// Something happened that people may want to know.
    Event(ReplicaEvent),
}

/// What happened among nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplicaEvent {
    /// A node is there, for the first time or again.
    Up(Arc<str>),
    /// A node was silent for too long; what it tracks has left.
    Down(Arc<str>),
    /// A node said goodbye, was silent for very long, or started anew; nothing of it is kept.
    Gone(Arc<str>),
    /// Another node that runs has the name of this one, and that start number. Of two of one name others see
    /// the one that started last.
    NameTaken(u64),
    /// A node sent what can't be understood.
    Unreadable(Arc<str>, MessageError),
    /// So many metas of a node were left out: there was no room for them
    /// ([`PresenceOptions::remote_bytes_max`](crate::tracker::PresenceOptions::remote_bytes_max)), or they were beyond what
    /// this node's own may be
    /// ([`key_bytes_max`](crate::tracker::PresenceOptions::key_bytes_max),
    /// [`meta_bytes_max`](crate::tracker::PresenceOptions::meta_bytes_max), and what makes a
    /// [`Meta`](crate::tracker::Meta)).
    Refused(Arc<str>, usize),
}

impl fmt::Display for ReplicaEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up(node) => write!(f, "node {node} is up"),
            Self::Down(node) => write!(f, "node {node} is down: it hasn't been heard for a while"),
            Self::Gone(node) => write!(f, "node {node} is gone"),
            Self::NameTaken(start) => write!(
                f,
                "another node has this one's name, and the start number {start}"
            ),
            Self::Unreadable(node, error) => write!(f, "node {node} sent nonsense: {error}"),
            Self::Refused(node, metas) => write!(f, "{metas} metas of node {node} were left out"),
        }
    }
}
