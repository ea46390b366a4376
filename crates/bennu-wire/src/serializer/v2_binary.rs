//! V2 in binary frames. Every field but the payload has one byte for its length, and these lengths come first.
//!
//! ```text
//! push in        0 | join_ref ref topic event   | ... | payload
//! push out       0 | join_ref topic event       | ... | payload
//! reply out      1 | join_ref ref topic status  | ... | payload
//! broadcast out  2 | topic event                | ... | payload
//! ```

use bytes::Bytes;

use super::utf8;
use crate::{Cause, DecodeError, EncodeError, Message, Name, Outgoing, Payload, Ref};

const PUSH: u8 = 0;
const REPLY: u8 = 1;
const BROADCAST: u8 = 2;

pub(super) fn decode(frame: &[u8]) -> Result<Message, DecodeError> {
    if let Some(&kind) = frame.first().filter(|&&kind| kind != PUSH) {
        return Err(DecodeError::new(
            Cause::Frame,
            format!("expected a push (kind 0), found kind {kind}"),
        ));
    }
    let ([join_ref, r#ref, topic, event], payload) = fields(frame)?;
    Ok(Message {
        // Always strings here: an empty one is not null, and so belongs to no join there is.
        join_ref: Ref::text(join_ref),
        r#ref: Ref::text(r#ref),
        topic: Name::from(topic),
        event: Name::from(event),
        payload: Payload::Binary(Bytes::copy_from_slice(payload)),
    })
}

/// The fields of a frame, whatever its kind, and what follows them.
pub(crate) fn fields<const N: usize>(frame: &[u8]) -> Result<([&str; N], &[u8]), DecodeError> {
    let Some((lengths, mut rest)) = frame.get(1..).and_then(|it| it.split_at_checked(N)) else {
        return Err(DecodeError::new(
            Cause::Frame,
            format!("a header has {} bytes, found {}", N + 1, frame.len()),
        ));
    };
    let mut fields = [""; N];
    for (field, length) in fields.iter_mut().zip(lengths) {
        let Some((bytes, after)) = rest.split_at_checked(usize::from(*length)) else {
            let found = rest.len();
            return Err(DecodeError::new(
                Cause::Frame,
                format!("a field has {length} bytes, found {found}"),
            ));
        };
        *field = utf8(bytes)?;
        rest = after;
    }
    Ok((fields, rest))
}

pub(super) fn encode(
    outgoing: &Outgoing<'_>,
    payload: &[u8],
    buffer: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    match outgoing {
        Outgoing::Push {
            join_ref,
            topic,
            event,
            ..
        } => {
            let fields = [
                ("join_ref", &*join_ref.to_text()),
                ("topic", topic.to_text()),
                ("event", event),
            ];
            write(PUSH, &fields, payload, buffer)
        }
        Outgoing::Reply {
            join_ref,
            r#ref,
            topic,
            status,
            ..
        } => {
            let fields = [
                ("join_ref", &*join_ref.to_text()),
                ("ref", &*r#ref.to_text()),
                ("topic", topic.to_text()),
                ("status", status),
            ];
            write(REPLY, &fields, payload, buffer)
        }
        Outgoing::Broadcast(broadcast) => {
            let fields = [
                ("topic", broadcast.topic().as_str()),
                ("event", broadcast.event()),
            ];
            write(BROADCAST, &fields, payload, buffer)
        }
    }
}

/// A frame of any kind; the buffer is as it was when a field is too long.
pub(crate) fn write(
    kind: u8,
    fields: &[(&'static str, &str)],
    payload: &[u8],
    buffer: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let start = buffer.len();
    buffer.push(kind);
    for (name, text) in fields {
        let Ok(length) = u8::try_from(text.len()) else {
            buffer.truncate(start);
            return Err(EncodeError::long(name, text.len()));
        };
        buffer.push(length);
    }
    for (_, text) in fields {
        buffer.extend_from_slice(text.as_bytes());
    }
    buffer.extend_from_slice(payload);
    Ok(())
}
