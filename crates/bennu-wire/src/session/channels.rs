//! The channels of one connection: few, looked up often, and small.

use super::joining::Joining;
use crate::{Message, Ref, Topic};

/// Names one channel of a session. Never used again there, so a late verdict about a channel that was replaced can't be
/// taken for one about its successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelId(u32);

impl ChannelId {
    /// The channel of that number.
    #[must_use]
    pub const fn new(id: u32) -> Self {
        Self(id)
    }

    /// The number: 0 for the first join of a connection, and so on.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// One channel.
#[derive(Debug)]
pub(super) struct Channel {
    /// The topic's, above a bit that says whether the client named a join ref. One number, since there are many channels.
    hash: u32,
    pub(super) id: ChannelId,
    pub(super) topic: Topic,
    /// The channel's own: the one that the client sent with its join, or the join's ref where that was null.
    pub(super) join_ref: Ref,
    /// Nothing while it is joined, which is nearly always.
    transition: Option<Box<Transition>>,
}

#[derive(Debug)]
enum Transition {
    Joining(Joining),
    Leaving,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Joining,
    Joined,
    Leaving,
}

impl Channel {
    pub(super) fn joining(id: ChannelId, topic: Topic, join: &Message) -> Self {
        Self {
            hash: hash(&topic) | u32::from(!join.join_ref.is_null()),
            id,
            topic,
            join_ref: own_join_ref(join).clone(),
            transition: Some(Box::new(Transition::Joining(Joining::new(join, None)))),
        }
    }

    /// Another channel takes this one's place.
    pub(super) fn replace(&mut self, id: ChannelId, join: &Message) {
        let replaced = self.sent_join_ref();
        self.id = id;
        self.hash = self.topic_hash() | u32::from(!join.join_ref.is_null());
        self.join_ref = own_join_ref(join).clone();
        self.transition = Some(Box::new(Transition::Joining(Joining::new(
            join,
            Some(replaced),
        ))));
    }

    /// As the client sent it with its join, null if it was.
    pub(super) fn sent_join_ref(&self) -> Ref {
        if self.is_named() {
            self.join_ref.clone()
        } else {
            Ref::NULL
        }
    }

    /// Whether a message with this join ref is for this channel, and not for one before it. Strict and typed: "5" is not
    /// 5. Where the join had null, only null passes.
    pub(super) fn is_meant_by(&self, join_ref: &Ref) -> bool {
        join_ref.is_null() || self.is_named() && *join_ref == self.join_ref
    }

    fn is_named(&self) -> bool {
        self.hash & 1 == 1
    }

    fn topic_hash(&self) -> u32 {
        self.hash & !1
    }

    pub(super) fn phase(&self) -> Phase {
        match self.transition.as_deref() {
            None => Phase::Joined,
            Some(Transition::Joining(_)) => Phase::Joining,
            Some(Transition::Leaving) => Phase::Leaving,
        }
    }

    pub(super) fn set_leaving(&mut self) {
        self.transition = Some(Box::new(Transition::Leaving));
    }

    pub(super) fn queue(&mut self, message: Message) {
        if let Some(joining) = self.joining_mut() {
            joining.queue.push_back(message);
        }
    }

    pub(super) fn joining_mut(&mut self) -> Option<&mut Joining> {
        match self.transition.as_deref_mut() {
            Some(Transition::Joining(joining)) => Some(joining),
            Some(Transition::Leaving) | None => None,
        }
    }

    /// The join is decided: from here the channel counts as joined.
    pub(super) fn take_joining(&mut self) -> Option<Joining> {
        match self.transition.take().map(|it| *it) {
            Some(Transition::Joining(joining)) => Some(joining),
            other => {
                self.transition = other.map(Box::new);
                None
            }
        }
    }
}

/// All channels, sorted by the hash of their topic. A client that finds topics of one hash has its own lookups walk
/// along those, and `channels_max` bounds how many there are.
#[derive(Debug, Default)]
pub(super) struct Channels(Vec<Channel>);

/// Up to so many channels the storage grows one by one, then by an eighth: most connections join a few and keep them.
const GROWN_ONE_BY_ONE: usize = 32;

impl Channels {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.0.capacity()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Channel> {
        self.0.iter()
    }

    pub(super) fn get_mut(&mut self, topic: &str) -> Option<&mut Channel> {
        let hash = hash(topic);
        let start = self.0.partition_point(|it| it.topic_hash() < hash);
        self.0
            .get_mut(start..)?
            .iter_mut()
            .take_while(|it| it.topic_hash() == hash)
            .find(|it| *it.topic == *topic)
    }

    pub(super) fn get_by_id(&self, id: ChannelId) -> Option<&Channel> {
        self.0.iter().find(|it| it.id == id)
    }

    pub(super) fn get_by_id_mut(&mut self, id: ChannelId) -> Option<&mut Channel> {
        self.0.iter_mut().find(|it| it.id == id)
    }

    pub(super) fn insert(&mut self, channel: Channel) {
        if self.0.len() == self.0.capacity() {
            let more = match self.0.len() {
                ..GROWN_ONE_BY_ONE => 1,
                len => len / 8,
            };
            self.0.reserve_exact(more);
        }
        let hash = channel.topic_hash();
        let at = self.0.partition_point(|it| it.topic_hash() < hash);
        self.0.insert(at, channel);
    }

    pub(super) fn remove(&mut self, id: ChannelId) -> Option<Channel> {
        let at = self.0.iter().position(|it| it.id == id)?;
        let channel = self.0.remove(at);
        if self.0.len() <= self.0.capacity() / 4 {
            self.0.shrink_to(self.0.len() * 2);
        }
        Some(channel)
    }

    /// Removes a channel whose join is decided.
    pub(super) fn remove_joined(&mut self, id: ChannelId) -> Option<Channel> {
        let channel = self.get_by_id(id)?;
        if channel.phase() == Phase::Joining {
            None
        } else {
            self.remove(id)
        }
    }
}

/// What the replies and pushes of a channel carry that begins with this join.
fn own_join_ref(join: &Message) -> &Ref {
    if join.join_ref.is_null() {
        &join.r#ref
    } else {
        &join.join_ref
    }
}

/// FNV-1a, 32 bits but the lowest.
fn hash(topic: &str) -> u32 {
    let hash = topic.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    hash & !1
}
