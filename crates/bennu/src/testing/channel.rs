//! One channel of a client, and what it pushes.

use std::{fmt, sync::Arc};

use bennu_wire::Payload;
use serde::Serialize;

use super::{
    Broadcasts, Client,
    inbox::Inbox,
    link::Link,
    wire::{Kind, LEAVE, Received},
};

/// A topic that a client has joined: the client's side of a [`Channel`](crate::Channel).
///
/// Dropping it doesn't leave the topic.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/testing/doc.rs")); fn main() { run(async {
/// # use bennu::testing::{Ended, assert_payload, assert_reply, connect};
/// # use serde_json::json;
/// # let client = connect(&endpoint(), "/socket", json!({"name": "ada"})).await?;
/// let room = client.join("room:1", json!({})).await?;
/// assert_payload!(room.joined(), {"name": "ada"});          // what `join` replied
/// assert_reply!(room.push("ping", json!({"n": 1})), "ok", {"n": 1});
/// assert_reply!(room.leave(), "ok");
/// assert_eq!(room.ended().await, Some(Ended::Closed));
/// # Ok(()) }) }
/// ```
pub struct ClientChannel {
    client: Client,
    topic: String,
    join_ref: String,
    joined: Payload,
    pub(super) broadcasts: Option<Broadcasts>,
}

/// How a channel ended, as its client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// As it should: it was left, or [stopped](crate::Context::stop). The client doesn't join again.
    Closed,
    /// It panicked or [failed](crate::Context::fail). A client would join again.
    Crashed,
}

impl ClientChannel {
    pub(super) fn new(
        client: Client,
        topic: String,
        join_ref: String,
        joined: Payload,
        broadcasts: Option<Broadcasts>,
    ) -> Self {
        Self {
            client,
            topic,
            join_ref,
            joined,
            broadcasts,
        }
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// What the server replied to the join.
    #[must_use]
    pub fn joined(&self) -> &Payload {
        &self.joined
    }

    /// The client.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Sends an event with any JSON value, or `Bytes`. Returns at once; what it returns is asked for the reply by
    /// [`assert_reply!`](crate::assert_reply).
    ///
    /// A real message is made of it, and where the channel or the connection has ended the server answers that, or
    /// nobody.
    ///
    /// # Panics
    ///
    /// When the payload can't be encoded: it fails to serialize, or is binary and the client speaks serializer V1.
    #[track_caller]
    pub fn push(&self, event: &str, payload: impl Serialize) -> Pushed {
        let (join_ref, r#ref) = (Some(&*self.join_ref), self.client.inbox().next_ref());
        self.client
            .send(join_ref, &r#ref, &self.topic, event, payload)
    }

    /// Leaves the topic.
    pub fn leave(&self) -> Pushed {
        self.push(LEAVE, ())
    }

    /// Waits until the channel has ended, and says how. `None` when it hasn't after the client's
    /// [timeout](Client::set_timeout), or when its connection ended first.
    pub async fn ended(&self) -> Option<Ended> {
        let ended = |it: &Received| match it.kind {
            Kind::Ended { crashed: false } if self.is_ours(it) => Some(Ended::Closed),
            Kind::Ended { crashed: true } if self.is_ours(it) => Some(Ended::Crashed),
            _ => None,
        };
        self.client.inbox().take(ended).await
    }

    pub(super) fn inbox(&self) -> &Inbox {
        self.client.inbox()
    }

    /// Broadcasts have no join ref, and V1 has none at all.
    pub(super) fn is_ours(&self, it: &Received) -> bool {
        let of_this_join = it.join_ref.as_ref().is_none_or(|it| *it == self.join_ref);
        it.topic == self.topic && of_this_join
    }
}

impl fmt::Debug for ClientChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientChannel")
            .field("topic", &self.topic)
            .field("join_ref", &self.join_ref)
            .finish_non_exhaustive()
    }
}

/// An event that was sent: what [`assert_reply!`](crate::assert_reply) asks for its reply. Phoenix's ref.
#[derive(Clone)]
pub struct Pushed {
    pub(super) link: Arc<Link>,
    pub(super) r#ref: String,
    /// For reports.
    pub(super) what: String,
}

impl fmt::Debug for Pushed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pushed")
            .field("what", &self.what)
            .field("ref", &self.r#ref)
            .finish_non_exhaustive()
    }
}
