//! The other side of the protocol: what a client sends and what it hears.
//!
//! A server's messages and a client's aren't the same: a client's binary push has a ref and the server's has none, and
//! only the server replies. So a client has an encoder and a decoder of its own, in terms of what a message means to it.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    Cause, DecodeError, DecodeLimits, EncodeError, Frame, Kind, Name, NameRef, Outgoing, Payload,
    Ref, Serializer,
    serializer::{decode_binary, encode_binary},
    session::{HEARTBEAT, PHOENIX, PHX_CLOSE, PHX_ERROR, PHX_JOIN, PHX_LEAVE, PHX_REPLY},
};

/// What a client wants of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent<'a> {
    /// To join the topic; the payload is the params.
    Join,
    /// To leave it.
    Leave,
    /// To show that it's alive. It has no topic of its own: whatever is given is not sent.
    Heartbeat,
    /// An event of the application's.
    Push(&'a str),
}

/// A message from a client to the server.
///
/// ```
/// use bennu_wire::{Intent, Kind, Payload, Ref, Request, Serializer};
///
/// let mut frame = Vec::new();
/// let join = Request {
///     join_ref: &Ref::text("1"),
///     r#ref: &Ref::text("1"),
///     topic: "room:a",
///     intent: Intent::Join,
///     payload: &Payload::empty(),
/// };
/// assert_eq!(join.encode(Serializer::V2, &mut frame)?, Kind::Text);
/// assert_eq!(frame, br#"["1","1","room:a","phx_join",{}]"#);
/// # Ok::<(), bennu_wire::EncodeError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Which join of the topic it belongs to: the ref of that join. Null for a heartbeat.
    pub join_ref: &'a Ref,
    /// What the reply will carry. Null when none is wanted.
    pub r#ref: &'a Ref,
    /// The topic.
    pub topic: &'a str,
    /// What is wanted.
    pub intent: Intent<'a>,
    /// The payload.
    pub payload: &'a Payload,
}

impl Request<'_> {
    /// Appends the message to a buffer, and says in what kind of frame it goes.
    ///
    /// # Errors
    /// When a binary payload goes to V1, or a ref, topic or event beside one has more than 255 bytes. The buffer is
    /// then as it was.
    pub fn encode(
        &self,
        serializer: Serializer,
        buffer: &mut Vec<u8>,
    ) -> Result<Kind, EncodeError> {
        let (topic, event) = match self.intent {
            Intent::Join => (self.topic, PHX_JOIN),
            Intent::Leave => (self.topic, PHX_LEAVE),
            Intent::Heartbeat => (PHOENIX, HEARTBEAT),
            Intent::Push(event) => (self.topic, event),
        };
        if let (Serializer::V2, Payload::Binary(bytes)) = (serializer, self.payload) {
            let fields = [
                ("join_ref", &*self.join_ref.to_text()),
                ("ref", &*self.r#ref.to_text()),
                ("topic", topic),
                ("event", event),
            ];
            encode_binary(0, &fields, bytes, buffer)?;
            return Ok(Kind::Binary);
        }
        // In text both sides say the same.
        let outgoing = Outgoing::Push {
            join_ref: self.join_ref,
            r#ref: self.r#ref,
            topic: NameRef::Text(topic),
            event,
            payload: self.payload,
        };
        serializer.encode(&outgoing, buffer)
    }
}

/// A message from the server to its client.
///
/// ```
/// use bennu_wire::{Frame, Heard, Ref, Response, Serializer};
///
/// let frame = Frame::Text(r#"["1","2","room:a","phx_reply",{"status":"ok","response":7}]"#);
/// let response = Response::decode(Serializer::V2, frame)?;
/// assert_eq!(response.heard, Heard::Reply { r#ref: Ref::text("2"), status: "ok".to_owned() });
/// assert_eq!(response.payload.decode::<u8>()?, 7);
/// # Ok::<(), bennu_wire::DecodeError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// Which join of the topic it belongs to. Null for a broadcast, for what the transport answers itself, and for
    /// nearly all that V1 says.
    pub join_ref: Ref,
    /// The topic.
    pub topic: Name,
    /// What it is.
    pub heard: Heard,
    /// What was pushed, or a reply's response.
    pub payload: Payload,
}

/// What the server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// An event of the application's, pushed or broadcast.
    Push {
        /// Its name.
        event: String,
    },
    /// The answer to a request.
    Reply {
        /// The request's ref.
        r#ref: Ref,
        /// `ok`, `error`, or a word of the application's own.
        status: String,
    },
    /// The channel has ended, and that's that.
    Closed,
    /// The channel has failed: it is gone, and may be joined again.
    Failed,
}

/// What a reply in text has for a payload.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    status: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    response: &'a RawValue,
}

impl Response {
    /// Reads a frame with the default [`DecodeLimits`].
    ///
    /// # Errors
    /// When the frame is no message.
    pub fn decode(serializer: Serializer, frame: Frame<'_>) -> Result<Self, DecodeError> {
        Self::decode_within(serializer, &DecodeLimits::default(), frame)
    }

    /// Reads a frame with limits of one's own.
    ///
    /// # Errors
    /// When the frame is no message, or goes beyond the limits.
    pub fn decode_within(
        serializer: Serializer,
        limits: &DecodeLimits,
        frame: Frame<'_>,
    ) -> Result<Self, DecodeError> {
        if let (Serializer::V2, Frame::Binary(bytes)) = (serializer, frame) {
            return Self::decode_binary(bytes);
        }
        let message = serializer.decode_within(limits, frame)?;
        let (heard, payload) = match (message.event.as_str(), message.payload) {
            (Some(PHX_REPLY), payload) => {
                let json = payload.as_json().unwrap_or_default();
                let answer: Answer<'_> = serde_json::from_str(json)
                    .map_err(|error| DecodeError::new(Cause::Shape, error.to_string()))?;
                let heard = Heard::Reply {
                    r#ref: message.r#ref,
                    status: answer.status.into_owned(),
                };
                (heard, Payload::Json(answer.response.to_owned()))
            }
            (Some(PHX_CLOSE), payload) => (Heard::Closed, payload),
            (Some(PHX_ERROR), payload) => (Heard::Failed, payload),
            (Some(event), payload) => (
                Heard::Push {
                    event: event.to_owned(),
                },
                payload,
            ),
            (None, _) => {
                return Err(DecodeError::new(
                    Cause::Shape,
                    "expected an event that is a string",
                ));
            }
        };
        Ok(Self {
            join_ref: message.join_ref,
            topic: message.topic,
            heard,
            payload,
        })
    }

    fn decode_binary(frame: &[u8]) -> Result<Self, DecodeError> {
        let kind = frame.first().copied();
        let (join_ref, topic, heard, payload) = match kind {
            Some(0) => {
                let ([join_ref, topic, event], payload) = decode_binary(frame)?;
                let event = event.to_owned();
                (join_ref, topic, Heard::Push { event }, payload)
            }
            Some(1) => {
                let ([join_ref, r#ref, topic, status], payload) = decode_binary(frame)?;
                let heard = Heard::Reply {
                    r#ref: Ref::text(r#ref),
                    status: status.to_owned(),
                };
                (join_ref, topic, heard, payload)
            }
            Some(2) => {
                let ([topic, event], payload) = decode_binary(frame)?;
                let event = event.to_owned();
                ("", topic, Heard::Push { event }, payload)
            }
            Some(kind) => {
                return Err(DecodeError::new(
                    Cause::Frame,
                    format!("expected a push, a reply or a broadcast (0, 1, 2), found kind {kind}"),
                ));
            }
            None => {
                return Err(DecodeError::new(Cause::Frame, "found an empty frame"));
            }
        };
        Ok(Self {
            // Nothing stands for null here.
            join_ref: match join_ref {
                "" => Ref::NULL,
                text => Ref::text(text),
            },
            topic: Name::from(topic),
            heard,
            payload: Payload::Binary(Bytes::copy_from_slice(payload)),
        })
    }
}
