//! V2 in text: `[join_ref, ref, topic, event, payload]`.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    DecodeLimits,
    json::{self, write_name, write_raw, write_ref, write_response, write_str},
};
use crate::{DecodeError, Message, Name, Outgoing, Payload, Ref, session::PHX_REPLY};

pub(super) fn decode(text: &str, limits: &DecodeLimits) -> Result<Message, DecodeError> {
    let Elements([join_ref, r#ref, topic, event, payload]) = json::parse(text, limits)?;
    Ok(Message {
        join_ref: Ref::from_raw(join_ref)?,
        r#ref: Ref::from_raw(r#ref)?,
        topic: Name::from_raw(topic)?,
        event: Name::from_raw(event)?,
        payload: Payload::Json(payload.to_owned()),
    })
}

/// The first five; Phoenix takes no notice of more.
struct Elements<'a>([&'a RawValue; 5]);

impl<'de: 'a, 'a> Deserialize<'de> for Elements<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ElementsVisitor)
    }
}

struct ElementsVisitor;

impl<'de> Visitor<'de> for ElementsVisitor {
    type Value = Elements<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array [join_ref, ref, topic, event, payload]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Elements<'de>, A::Error> {
        let mut five = [RawValue::NULL; 5];
        for (found, element) in five.iter_mut().enumerate() {
            *element = elements
                .next_element()?
                .ok_or_else(|| de::Error::invalid_length(found, &self))?;
        }
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Elements(five))
    }
}

pub(super) fn encode(outgoing: &Outgoing<'_>, payload: &RawValue, buffer: &mut Vec<u8>) {
    match outgoing {
        Outgoing::Push {
            join_ref,
            r#ref,
            topic,
            event,
            ..
        } => {
            buffer.push(b'[');
            write_ref(join_ref, buffer);
            buffer.push(b',');
            write_ref(r#ref, buffer);
            buffer.push(b',');
            write_name(*topic, buffer);
            buffer.push(b',');
            write_str(event, buffer);
            buffer.push(b',');
            write_raw(payload, buffer);
        }
        Outgoing::Reply {
            join_ref,
            r#ref,
            topic,
            status,
            ..
        } => {
            buffer.push(b'[');
            write_ref(join_ref, buffer);
            buffer.push(b',');
            write_ref(r#ref, buffer);
            buffer.push(b',');
            write_name(*topic, buffer);
            buffer.push(b',');
            write_str(PHX_REPLY, buffer);
            buffer.push(b',');
            write_response(status, payload, buffer);
        }
        Outgoing::Broadcast(broadcast) => {
            buffer.extend_from_slice(b"[null,null,");
            write_str(broadcast.topic(), buffer);
            buffer.push(b',');
            write_str(broadcast.event(), buffer);
            buffer.push(b',');
            write_raw(payload, buffer);
        }
    }
    buffer.push(b']');
}
