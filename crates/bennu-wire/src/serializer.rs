//! Serializers: between frames and messages.

mod json;
mod v1;
mod v2_binary;
mod v2_text;
mod vsn;

use std::str;

pub(crate) use v2_binary::{fields as decode_binary, write as encode_binary};
pub use vsn::VsnError;

use crate::{Cause, DecodeError, EncodeError, Message, Outgoing, Payload};

/// A version of the message format. Both ends keep to the one that was negotiated when the connection was made.
///
/// ```
/// use bennu_wire::{Frame, Kind, Outgoing, Serializer};
///
/// let message = Serializer::V2.decode(Frame::Text(r#"["5","6","room:a","new_msg",{"body":"hi"}]"#))?;
/// assert_eq!(message.topic.as_str(), Some("room:a"));
///
/// let mut reply = Vec::new();
/// let kind = Serializer::V2.encode(
///     &Outgoing::Reply {
///         join_ref: &message.join_ref,
///         r#ref: &message.r#ref,
///         topic: (&message.topic).into(),
///         status: "ok",
///         response: &message.payload,
///     },
///     &mut reply,
/// )?;
/// assert_eq!(kind, Kind::Text);
/// assert_eq!(reply, br#"["5","6","room:a","phx_reply",{"status":"ok","response":{"body":"hi"}}]"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Serializer {
    /// Objects in text (`Phoenix.Socket.V1.JSONSerializer`), `vsn` 1.0.x.
    V1,
    /// Arrays in text, and binary frames (`Phoenix.Socket.V2.JSONSerializer`), `vsn` 2.0.x.
    V2,
}

/// A frame as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A text frame, or an entry of a long-poll body.
    Text(&'a str),
    /// A binary frame.
    Binary(&'a [u8]),
}

/// The kind of frame to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A text frame.
    Text,
    /// A binary frame.
    Binary,
}

/// What a message may have. Whoever goes beyond is disconnected: with 1009 for a size, 1007 for a depth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Bytes of a topic, unescaped; 1,024 by default.
    pub topic_bytes_max: usize,
    /// Bytes of an event, unescaped; 1,024 by default.
    pub event_bytes_max: usize,
    /// Bytes of a ref or join ref as JSON; 1,024 by default.
    pub ref_bytes_max: usize,
    /// Arrays and objects inside each other, the message's own among them; 128 by default, which is as deep as
    /// serde_json reads a payload later.
    pub depth_max: usize,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self {
            topic_bytes_max: 1_024,
            event_bytes_max: 1_024,
            ref_bytes_max: 1_024,
            depth_max: 128,
        }
    }
}

impl DecodeLimits {
    /// Whether JSON text from elsewhere may go on to clients: it's nested no deeper than `depth_max`, and no string in it
    /// has half of a surrogate pair. That it is JSON isn't looked at.
    ///
    /// ```
    /// use bennu_wire::{Cause, DecodeLimits};
    ///
    /// let limits = DecodeLimits { depth_max: 2, ..DecodeLimits::default() };
    /// assert!(limits.check_json(r#"{"a":[1]}"#).is_ok());
    /// assert_eq!(limits.check_json(r#"{"a":[[]]}"#).unwrap_err().cause(), Cause::Depth);
    /// ```
    ///
    /// # Errors
    /// When it may not: [`Cause::Depth`] or [`Cause::Json`].
    pub fn check_json(&self, text: &str) -> Result<(), DecodeError> {
        json::check(text, self)
    }

    fn check(&self, message: &Message, frame: Frame<'_>) -> Result<(), DecodeError> {
        let least = self
            .ref_bytes_max
            .min(self.topic_bytes_max)
            .min(self.event_bytes_max);
        if let Frame::Text(text) = frame
            && text.len() <= least
        {
            // As nearly always. Nothing in it can be longer than all of it: as a ref is counted, it has no escape that JSON
            // didn't need before.
            return Ok(());
        }
        for (field, bytes, bytes_max) in [
            (
                "join_ref",
                message.join_ref.as_json().len(),
                self.ref_bytes_max,
            ),
            ("ref", message.r#ref.as_json().len(), self.ref_bytes_max),
            ("topic", message.topic.len(), self.topic_bytes_max),
            ("event", message.event.len(), self.event_bytes_max),
        ] {
            if bytes > bytes_max {
                return Err(DecodeError::new(
                    Cause::Size,
                    format!("a {field} may have {bytes_max} bytes, this one has {bytes}"),
                ));
            }
        }
        Ok(())
    }
}

impl Serializer {
    /// The serializer for a `vsn` parameter, V1 where there is none.
    ///
    /// ```
    /// use bennu_wire::Serializer;
    ///
    /// assert_eq!(Serializer::negotiate(None), Ok(Serializer::V1));
    /// assert_eq!(Serializer::negotiate(Some("2.0.5")), Ok(Serializer::V2));
    /// assert!(Serializer::negotiate(Some("2.1.0")).is_err());
    /// ```
    ///
    /// # Errors
    /// When it is not a full version (`major.minor.patch`), or not one of 1.0.x and 2.0.x.
    pub fn negotiate(vsn: Option<&str>) -> Result<Self, VsnError> {
        vsn.map_or(Ok(Self::V1), vsn::negotiate)
    }

    /// Reads a frame with the default [`DecodeLimits`].
    ///
    /// # Errors
    /// When the frame is no message. [`DecodeError::cause`] knows with what to close the connection.
    pub fn decode(self, frame: Frame<'_>) -> Result<Message, DecodeError> {
        self.decode_within(&DecodeLimits::default(), frame)
    }

    /// Reads a frame with limits of one's own.
    ///
    /// # Errors
    /// When the frame is no message, or goes beyond the limits.
    pub fn decode_within(
        self,
        limits: &DecodeLimits,
        frame: Frame<'_>,
    ) -> Result<Message, DecodeError> {
        let decoded = match (self, frame) {
            (Self::V1, Frame::Text(text)) => v1::decode(text, limits),
            // V1 looks at no opcode.
            (Self::V1, Frame::Binary(bytes)) => v1::decode(utf8(bytes)?, limits),
            (Self::V2, Frame::Text(text)) => v2_text::decode(text, limits),
            (Self::V2, Frame::Binary(bytes)) => v2_binary::decode(bytes),
        };
        if let Ok(message) = &decoded {
            limits.check(message, frame)?;
        }
        decoded
    }

    /// Appends a message to a buffer, and says in what kind of frame it goes.
    ///
    /// # Errors
    /// When a binary payload goes to V1, or a ref, topic, event or status beside one has more than 255 bytes. The
    /// buffer is then as it was.
    pub fn encode(
        self,
        outgoing: &Outgoing<'_>,
        buffer: &mut Vec<u8>,
    ) -> Result<Kind, EncodeError> {
        let payload = match outgoing {
            Outgoing::Push { payload, .. } => payload,
            Outgoing::Reply { response, .. } => response,
            Outgoing::Broadcast(broadcast) => broadcast.payload(),
        };
        match (self, payload) {
            (Self::V1, Payload::Json(raw)) => v1::encode(outgoing, raw, buffer),
            (Self::V1, Payload::Binary(_)) => return Err(EncodeError::BINARY),
            (Self::V2, Payload::Json(raw)) => v2_text::encode(outgoing, raw, buffer),
            (Self::V2, Payload::Binary(bytes)) => {
                v2_binary::encode(outgoing, bytes, buffer)?;
                return Ok(Kind::Binary);
            }
        }
        Ok(Kind::Text)
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, DecodeError> {
    str::from_utf8(bytes).map_err(|error| DecodeError::new(Cause::Utf8, error.to_string()))
}
