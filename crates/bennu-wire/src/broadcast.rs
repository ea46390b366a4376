//! Broadcasts: one message for many, encoded at most once for all who read the same encoding.

use std::{borrow::Cow, fmt, sync::OnceLock};

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::{DecodeError, EncodeError, Payload, Serializer, Topic};

/// A message to every subscriber of a topic (`Phoenix.Socket.Broadcast`), shared behind an `Arc`.
///
/// ```
/// use bennu_wire::{Broadcast, Encoding, Framing, Outgoing, Payload, Serializer};
///
/// let broadcast = Broadcast::new("room:7", "typing", Payload::new(&"ana")?);
/// let encoding = Encoding { serializer: Serializer::V2, framing: Framing::LongPoll };
/// let encode = |broadcast: &Broadcast| {
///     let mut text = Vec::new();
///     encoding.serializer.encode(&Outgoing::Broadcast(broadcast), &mut text)?;
///     Ok(text.into())
/// };
/// let first = broadcast.encoded(encoding, encode).unwrap().clone();
/// let second = broadcast.encoded(encoding, |_| unreachable!("it is encoded already")).unwrap();
/// assert_eq!(&first, second);
/// assert_eq!(first, &br#"[null,null,"room:7","typing","ana"]"#[..]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Broadcast {
    topic: Topic,
    event: Cow<'static, str>,
    payload: Payload,
    /// A chain in the order in which encodings were first asked for. Nearly always there is one, and it needs no
    /// allocation of its own.
    encoded: OnceLock<Encoded>,
}

/// The broadcast in one encoding, and the next one somebody asked for.
struct Encoded {
    encoding: Encoding,
    frame: Result<Bytes, EncodeError>,
    next: OnceLock<Box<Self>>,
}

/// Everything that tells one subscriber's bytes from another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Encoding {
    /// The format negotiated.
    pub serializer: Serializer,
    /// What the transport wraps it in.
    pub framing: Framing,
}

/// What a transport wraps a message in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// A WebSocket frame.
    WebSocket,
    /// A WebSocket frame with permessage-deflate.
    WebSocketDeflate,
    /// An entry of a long-poll answer: a text as a JSON string. Bytes don't fit in.
    LongPoll,
    /// The same for clients that asked for it: bytes are entries in Base64.
    LongPollBase64,
}

impl Broadcast {
    /// A broadcast that nobody has encoded yet.
    #[must_use]
    pub fn new(
        topic: impl Into<Topic>,
        event: impl Into<Cow<'static, str>>,
        payload: Payload,
    ) -> Self {
        Self {
            topic: topic.into(),
            event: event.into(),
            payload,
            encoded: OnceLock::new(),
        }
    }

    /// The topic it goes to.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> &str {
        &self.event
    }

    /// The payload, unparsed.
    #[must_use]
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// The payload as a type of one's own.
    ///
    /// # Errors
    /// When the payload is not of that type.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        self.payload.decode()
    }

    /// The bytes in this encoding, made by `encode` unless somebody made them before; an error is kept too, so a
    /// broadcast that can't be encoded is not tried again for each subscriber.
    ///
    /// Who asks for an encoding that another thread is just making waits until it is made.
    ///
    /// # Errors
    /// What `encode` said, when this encoding was first asked for.
    pub fn encoded(
        &self,
        encoding: Encoding,
        encode: impl FnOnce(&Self) -> Result<Bytes, EncodeError>,
    ) -> Result<&Bytes, &EncodeError> {
        let mut encode = Some(encode);
        let mut make = || Encoded {
            encoding,
            // Called once at most: what it makes has the encoding we look for, and ends the search.
            frame: encode
                .take()
                .map_or(Err(EncodeError::BINARY), |encode| encode(self)),
            next: OnceLock::new(),
        };
        let mut it = self.encoded.get_or_init(&mut make);
        while it.encoding != encoding {
            it = it.next.get_or_init(|| Box::new(make()));
        }
        it.frame.as_ref()
    }
}

impl fmt::Debug for Broadcast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broadcast")
            .field("topic", &self.topic)
            .field("event", &self.event)
            .field("payload", &self.payload)
            .finish_non_exhaustive()
    }
}
