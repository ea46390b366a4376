//! V2 in text: `[join_ref, ref, topic, event, payload]`.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    DecodeLimits,
    json::{
        self, check, is_plain, write_name, write_plain, write_raw, write_ref, write_response,
        write_str,
    },
};
use crate::{DecodeError, Message, Name, Outgoing, Payload, Ref, session::PHX_REPLY};

pub(super) fn decode(text: &str, limits: &DecodeLimits) -> Result<Message, DecodeError> {
    check(text, limits)?;
    if let Some(message) = plain(text) {
        return Ok(message);
    }
    let Elements([join_ref, r#ref, topic, event, payload]) = json::parse(text)?;
    Ok(Message {
        join_ref: Ref::from_raw(join_ref)?,
        r#ref: Ref::from_raw(r#ref)?,
        topic: Name::from_raw(topic)?,
        event: Name::from_raw(event)?,
        payload: Payload::Json(payload.to_owned()),
    })
}

/// What nearly every client sends: no blanks outside of the payload, and no escapes outside of it either. It's read with
/// half of the instructions; whatever else there may be, and what is wrong with it, is for serde_json to say.
fn plain(text: &str) -> Option<Message> {
    let elements = text.strip_prefix('[')?.strip_suffix(']')?;
    let (join_ref, elements) = plain_ref(elements)?;
    let (r#ref, elements) = plain_ref(elements)?;
    let (topic, elements) = plain_text(elements)?;
    let (event, elements) = plain_text(elements)?;
    // More than five elements, or fewer, are no JSON value from here on.
    let payload: &RawValue = serde_json::from_str(elements).ok()?;
    Some(Message {
        join_ref,
        r#ref,
        topic: topic.into(),
        event: event.into(),
        payload: Payload::Json(payload.to_owned()),
    })
}

/// A string or null with the comma behind it, and what follows.
fn plain_ref(elements: &str) -> Option<(Ref, &str)> {
    if let Some(rest) = elements.strip_prefix("null,") {
        return Some((Ref::NULL, rest));
    }
    let (text, rest) = plain_text(elements)?;
    // With its quotes.
    Some((Ref::from_plain(elements.get(..text.len() + 2)?), rest))
}

/// A string without escapes with the comma behind it, and what follows.
fn plain_text(elements: &str) -> Option<(&str, &str)> {
    let inner = elements.strip_prefix('"')?;
    let end = inner.bytes().position(|byte| !is_plain(byte))?;
    let (text, rest) = inner.split_at_checked(end)?;
    Some((text, rest.strip_prefix("\",")?))
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
            write_plain(PHX_REPLY, buffer);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_way_leads_where_the_long_one_does() {
        for (text, short) in [
            (r#"["1","2","room:a","new_msg",{"body":"hi"}]"#, true),
            (r#"[null,"2","phoenix","heartbeat",{}]"#, true),
            (r#"[null,null,"","",null]"#, true),
            (r#"["","é","räum","ö",["\"\\",1.5]]"#, true),
            (r#"["1","2","t","e", {"a" : 1} ]"#, true),
            (r#"["1","2","t","e","]"]"#, true),
            // Other values, blanks, escapes and more elements are for the long way.
            (r#"[1,{"a":1},["t"],true,{}]"#, false),
            (r#"[ "1","2","t","e",{}]"#, false),
            (r#"["1" ,"2","t","e",{}]"#, false),
            (r#"["1","2","t","e",{}] "#, false),
            (r#"["\u0031","2","t","e",{}]"#, false),
            (r#"["1","2","\"","e",{}]"#, false),
            (r#"["1","2","t","e",{},6]"#, false),
            // So is what's wrong.
            (r#"["1","2","t","e",{}"#, false),
            (r#"["1","2","t","e"]"#, false),
            (r#"["1","2","t","e",]"#, false),
            (r#"["1","2","t","e",{]]"#, false),
            (r#"["1","2","t","e",{}]]"#, false),
            (r#"["1","2","t,"e",{}]"#, false),
            ("[\"1\",\"2\",\"a\nb\",\"e\",{}]", false),
            ("[", false),
            ("[]", false),
            ("", false),
        ] {
            assert_eq!(plain(text).is_some(), short, "{text}");
            let long = text.replacen('[', "[ ", 1);
            assert!(plain(&long).is_none(), "{text}");
            let [a, b] = [text, &*long].map(|it| decode(it, &DecodeLimits::default()).ok());
            assert_eq!(a, b, "{text}");
            assert!(a.is_some() || !short, "{text}");
        }
    }
}
