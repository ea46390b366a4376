//! What a machine asks for.

use bennu_wire::{Kind, Payload};
use bytes::Bytes;

use super::ChannelId;
use crate::{ChannelStatus, PushError, Refusal, Status, Transport};

/// A message as it goes over the wire, or came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Text(String),
    Binary(Bytes),
}

impl Frame {
    pub(super) fn new(kind: Kind, buffer: Vec<u8>) -> Self {
        match kind {
            Kind::Binary => Self::Binary(buffer.into()),
            // The serializer's text is UTF-8, so nothing is ever replaced.
            Kind::Text => Self::Text(
                String::from_utf8(buffer)
                    .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
            ),
        }
    }
}

/// What the server answered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: String,
    pub(crate) response: Payload,
}

impl Reply {
    /// All but "ok" is a refusal.
    pub(super) fn into_result(self) -> Result<Self, PushError> {
        if self.status == "ok" {
            return Ok(self);
        }
        let Self { status, response } = self;
        Err(PushError::Refused(Refusal { status, response }))
    }
}

/// What is to be done.
#[derive(Debug, PartialEq)]
pub(crate) enum Output<T> {
    /// Make a connection; one that there was is to be forgotten.
    Connect(Transport),
    /// Send this, and release so many bytes of the queue once it's written.
    Send { frame: Frame, bytes: usize },
    /// Release so many bytes of the queue.
    Release(usize),
    /// Close the connection at once, or give the attempt up.
    HangUp(&'static str),
    /// Write what waits, then close the connection: it is over.
    Finish,
    /// Tell who waits.
    Settle(T, Result<Reply, PushError>),
    /// A channel is joined, for the first time or again; the response of its join.
    Joined(ChannelId, Payload),
    /// An event came for a channel.
    Event(ChannelId, String, Payload),
    /// A channel isn't joined, or not any more.
    Channel(ChannelId, ChannelStatus),
    /// The socket's own status.
    Status(Status),
}
