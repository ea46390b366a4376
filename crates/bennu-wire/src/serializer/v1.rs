//! V1: `{"topic":...,"event":...,"payload":...,"ref":...}`, with a `join_ref` on the way in if the client likes.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    DecodeLimits,
    json::{self, check, write_name, write_raw, write_ref, write_response, write_str},
};
use crate::{DecodeError, Message, Name, NameRef, Outgoing, Payload, Ref, session::PHX_REPLY};

pub(super) fn decode(text: &str, limits: &DecodeLimits) -> Result<Message, DecodeError> {
    check(text, limits)?;
    let Members {
        join_ref,
        r#ref,
        topic,
        event,
        payload,
    } = json::parse(text)?;
    Ok(Message {
        join_ref: join_ref.map_or(Ok(Ref::NULL), Ref::from_raw)?,
        r#ref: Ref::from_raw(r#ref)?,
        topic: Name::from_raw(topic)?,
        event: Name::from_raw(event)?,
        payload: Payload::Json(payload.to_owned()),
    })
}

/// The members that matter. Serde's derive refuses a member that comes twice; Phoenix takes the last one.
struct Members<'a> {
    join_ref: Option<&'a RawValue>,
    r#ref: &'a RawValue,
    topic: &'a RawValue,
    event: &'a RawValue,
    payload: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Key {
    JoinRef,
    Ref,
    Topic,
    Event,
    Payload,
    #[serde(other)]
    Other,
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with topic, event, payload and ref")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Members<'de>, A::Error> {
        let (mut join_ref, mut r#ref, mut topic, mut event, mut payload) =
            (None, None, None, None, None);
        while let Some(key) = members.next_key()? {
            let place = match key {
                Key::JoinRef => &mut join_ref,
                Key::Ref => &mut r#ref,
                Key::Topic => &mut topic,
                Key::Event => &mut event,
                Key::Payload => &mut payload,
                Key::Other => {
                    members.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *place = Some(members.next_value()?);
        }
        let missing = <A::Error as de::Error>::missing_field;
        Ok(Members {
            join_ref,
            r#ref: r#ref.ok_or_else(|| missing("ref"))?,
            topic: topic.ok_or_else(|| missing("topic"))?,
            event: event.ok_or_else(|| missing("event"))?,
            payload: payload.ok_or_else(|| missing("payload"))?,
        })
    }
}

/// A join ref is never sent: these clients know none.
pub(super) fn encode(outgoing: &Outgoing<'_>, payload: &RawValue, buffer: &mut Vec<u8>) {
    match outgoing {
        Outgoing::Push {
            r#ref,
            topic,
            event,
            ..
        } => {
            write_head(*topic, event, buffer);
            write_raw(payload, buffer);
            write_tail(r#ref, buffer);
        }
        Outgoing::Reply {
            r#ref,
            topic,
            status,
            ..
        } => {
            write_head(*topic, PHX_REPLY, buffer);
            write_response(status, payload, buffer);
            write_tail(r#ref, buffer);
        }
        Outgoing::Broadcast(broadcast) => {
            write_head(broadcast.topic().into(), broadcast.event(), buffer);
            write_raw(payload, buffer);
            write_tail(&Ref::NULL, buffer);
        }
    }
}

fn write_head(topic: NameRef<'_>, event: &str, buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(br#"{"topic":"#);
    write_name(topic, buffer);
    buffer.extend_from_slice(br#","event":"#);
    write_str(event, buffer);
    buffer.extend_from_slice(br#","payload":"#);
}

fn write_tail(r#ref: &Ref, buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(br#","ref":"#);
    write_ref(r#ref, buffer);
    buffer.push(b'}');
}
