//! Messages, the client's side of serializers V1 and V2.

use std::fmt;

use bennu_wire::{Payload, Serializer};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub(super) const JOIN: &str = "phx_join";
pub(super) const LEAVE: &str = "phx_leave";
const REPLY: &str = "phx_reply";
const CLOSED: &str = "phx_close";
const CRASHED: &str = "phx_error";

/// Bytes of a message that a report shows.
const SHOWN_BYTES_MAX: usize = 400;

/// A message to the server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent<'a> {
    pub(super) join_ref: Option<&'a str>,
    pub(super) r#ref: &'a str,
    pub(super) topic: &'a str,
    pub(super) event: &'a str,
    pub(super) payload: &'a Payload,
}

/// What a message travels in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Body {
    Text(String),
    Binary(Bytes),
}

/// A message from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Received {
    /// None for a broadcast, and for all of V1.
    pub(super) join_ref: Option<String>,
    pub(super) topic: String,
    pub(super) kind: Kind,
    /// A reply's response, or what was pushed.
    pub(super) payload: Payload,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Push {
        event: String,
    },
    Reply {
        r#ref: String,
        status: String,
    },
    /// The channel ended: as it should, or not.
    Ended {
        crashed: bool,
    },
}

/// Encodes for real, so that what a client can't say fails here.
pub(super) fn encode(serializer: Serializer, sent: &Sent<'_>) -> Result<Body, String> {
    let Sent {
        join_ref,
        r#ref,
        topic,
        event,
        payload,
    } = *sent;
    match (serializer, payload) {
        (Serializer::V2, Payload::Json(raw)) => json(&(join_ref, r#ref, topic, event, raw)),
        (Serializer::V1, Payload::Json(raw)) => json(&V1 {
            join_ref,
            r#ref: Some(r#ref),
            topic,
            event,
            payload: raw,
        }),
        (Serializer::V1, Payload::Binary(_)) => Err("serializer V1 carries no bytes".to_owned()),
        (Serializer::V2, Payload::Binary(bytes)) => {
            let fields = [join_ref.unwrap_or_default(), r#ref, topic, event];
            let mut frame = vec![0];
            for field in fields {
                let len = u8::try_from(field.len()).map_err(|_| {
                    format!(
                        "a binary message has no room for the {} bytes of {field:?}",
                        field.len()
                    )
                })?;
                frame.push(len);
            }
            frame.extend(fields.iter().flat_map(|it| it.bytes()));
            frame.extend_from_slice(bytes);
            Ok(Body::Binary(frame.into()))
        }
    }
}

fn json(message: &impl Serialize) -> Result<Body, String> {
    serde_json::to_string(message)
        .map(Body::Text)
        .map_err(|error| error.to_string())
}

#[derive(Serialize, Deserialize)]
struct V1<'a, T> {
    #[serde(skip_serializing_if = "Option::is_none")]
    join_ref: Option<T>,
    r#ref: Option<T>,
    topic: T,
    event: T,
    #[serde(borrow)]
    payload: &'a RawValue,
}

/// What a reply has for a payload.
#[derive(Deserialize)]
struct Answer {
    status: String,
    response: Box<RawValue>,
}

pub(super) fn decode(serializer: Serializer, body: &Body) -> Result<Received, String> {
    match (serializer, body) {
        (Serializer::V2, Body::Text(text)) => {
            let (join_ref, r#ref, topic, event, payload) =
                serde_json::from_str(text).map_err(|error| error.to_string())?;
            received(join_ref, r#ref, topic, event, payload)
        }
        (Serializer::V1, Body::Text(text)) => {
            let it: V1<'_, String> =
                serde_json::from_str(text).map_err(|error| error.to_string())?;
            received(it.join_ref, it.r#ref, it.topic, it.event, it.payload)
        }
        (Serializer::V2, Body::Binary(bytes)) => {
            binary(bytes).ok_or_else(|| "a binary message that is cut off".to_owned())
        }
        (Serializer::V1, Body::Binary(_)) => Err("a binary message to serializer V1".to_owned()),
    }
}

fn received(
    join_ref: Option<String>,
    r#ref: Option<String>,
    topic: String,
    event: String,
    payload: &RawValue,
) -> Result<Received, String> {
    let (kind, payload) = match event.as_str() {
        REPLY => {
            let answer: Answer =
                serde_json::from_str(payload.get()).map_err(|error| error.to_string())?;
            let kind = Kind::Reply {
                r#ref: r#ref.unwrap_or_default(),
                status: answer.status,
            };
            (kind, answer.response)
        }
        CLOSED => (Kind::Ended { crashed: false }, payload.to_owned()),
        CRASHED => (Kind::Ended { crashed: true }, payload.to_owned()),
        _ => (Kind::Push { event }, payload.to_owned()),
    };
    Ok(Received {
        join_ref,
        topic,
        kind,
        payload: Payload::Json(payload),
    })
}

/// `0` push, `1` reply, `2` broadcast: the lengths of the fields, the fields, the payload.
fn binary(bytes: &[u8]) -> Option<Received> {
    let (kind, rest) = bytes.split_first()?;
    let fields = match kind {
        0 => 3,
        1 => 4,
        2 => 2,
        _ => return None,
    };
    let (lens, mut rest) = rest.split_at_checked(fields)?;
    let mut texts = Vec::new();
    for len in lens {
        let (text, after) = rest.split_at_checked(usize::from(*len))?;
        texts.push(String::from_utf8(text.to_vec()).ok()?);
        rest = after;
    }
    let mut texts = texts.into_iter();
    let mut text = || texts.next().unwrap_or_default();
    let (join_ref, kind, topic) = match kind {
        0 => {
            let (join_ref, topic) = (text(), text());
            (Some(join_ref), Kind::Push { event: text() }, topic)
        }
        1 => {
            let (join_ref, r#ref, topic) = (text(), text(), text());
            let status = text();
            (Some(join_ref), Kind::Reply { r#ref, status }, topic)
        }
        _ => {
            let topic = text();
            (None, Kind::Push { event: text() }, topic)
        }
    };
    Some(Received {
        join_ref,
        topic,
        kind,
        payload: Payload::Binary(Bytes::copy_from_slice(rest)),
    })
}

/// As a report shows it.
impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Push { event } => write!(f, "push {event:?} {}", Shown(&self.payload))?,
            Kind::Reply { r#ref, status } => write!(
                f,
                "reply {status:?} {} to the event with ref {}",
                Shown(&self.payload),
                r#ref
            )?,
            Kind::Ended { crashed: false } => f.write_str("the channel's end")?,
            Kind::Ended { crashed: true } => f.write_str("the channel's crash")?,
        }
        write!(f, " on {:?}", self.topic)
    }
}

/// A payload as a report shows it.
pub(super) struct Shown<'a>(pub(super) &'a Payload);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Payload::Json(raw) => {
                let text = raw.get();
                let mut end = text.len().min(SHOWN_BYTES_MAX);
                while !text.is_char_boundary(end) {
                    end -= 1;
                }
                let rest = if end < text.len() { "..." } else { "" };
                write!(f, "{}{rest}", text.get(..end).unwrap_or_default())
            }
            Payload::Binary(bytes) => {
                write!(f, "{} bytes", bytes.len())?;
                for (byte, between) in bytes
                    .iter()
                    .take(32)
                    .zip([": "].into_iter().chain(std::iter::repeat(" ")))
                {
                    write!(f, "{between}{byte:02x}")?;
                }
                let rest = if bytes.len() > 32 { " ..." } else { "" };
                f.write_str(rest)
            }
        }
    }
}
