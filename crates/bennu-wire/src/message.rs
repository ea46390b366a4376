//! The messages of the protocol: what came, what goes, and what is broadcast.

use std::borrow::Cow;

use crate::{Broadcast, Name, NameRef, Payload, Ref};

/// A message from the client, or one the session sends of its own accord (`phx_close`, `phx_error`).
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Which join of the topic it belongs to.
    pub join_ref: Ref,
    /// What a reply to it carries.
    pub r#ref: Ref,
    /// The topic as it came.
    pub topic: Name,
    /// The event as it came.
    pub event: Name,
    /// The payload, unparsed.
    pub payload: Payload,
}

impl Message {
    /// Bytes it occupies while it waits in a queue, to count against a limit.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let refs = self.join_ref.as_json().len() + self.r#ref.as_json().len();
        size_of::<Self>() + refs + self.topic.len() + self.event.len() + self.payload.len()
    }
}

/// The answer to a message; on the wire an event `phx_reply` (`Phoenix.Socket.Reply`).
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// Which join of the topic it belongs to.
    pub join_ref: Ref,
    /// The ref of the message it answers.
    pub r#ref: Ref,
    /// The topic as it came.
    pub topic: Name,
    /// `ok`, `error`, or a word of the channel's own.
    pub status: Cow<'static, str>,
    /// The response.
    pub response: Payload,
}

/// What a [`Session`](crate::Session) asks to have sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Outbound {
    /// A message of the session's own.
    Message(Message),
    /// An answer.
    Reply(Reply),
}

impl Outbound {
    /// Whether it's the answer "error".
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Reply(reply) if reply.status == "error")
    }

    /// The same, borrowed, ready for [`Serializer::encode`](crate::Serializer::encode).
    #[must_use]
    pub fn as_outgoing(&self) -> Outgoing<'_> {
        match self {
            Self::Message(it) => Outgoing::Push {
                join_ref: &it.join_ref,
                r#ref: &it.r#ref,
                topic: (&it.topic).into(),
                // A session's own events are text.
                event: NameRef::from(&it.event).to_text(),
                payload: &it.payload,
            },
            Self::Reply(it) => Outgoing::Reply {
                join_ref: &it.join_ref,
                r#ref: &it.r#ref,
                topic: (&it.topic).into(),
                status: &it.status,
                response: &it.response,
            },
        }
    }
}

/// What a serializer encodes, borrowed, so that sending clones nothing.
#[derive(Clone, Copy, Debug)]
pub enum Outgoing<'a> {
    /// From a channel to its client.
    Push {
        /// The channel's own join ref.
        join_ref: &'a Ref,
        /// Null, other than for `phx_close` and `phx_error`. A binary frame has no place for it.
        r#ref: &'a Ref,
        /// The channel's topic.
        topic: NameRef<'a>,
        /// The event.
        event: &'a str,
        /// The payload.
        payload: &'a Payload,
    },
    /// An answer to a message.
    Reply {
        /// The channel's own join ref, or as the protocol says for answers of the session.
        join_ref: &'a Ref,
        /// The ref of the message answered.
        r#ref: &'a Ref,
        /// The topic of the message answered.
        topic: NameRef<'a>,
        /// `ok`, `error`, or a word of the channel's own.
        status: &'a str,
        /// The response.
        response: &'a Payload,
    },
    /// To every subscriber of a topic; its refs are null.
    Broadcast(&'a Broadcast),
}
