//! What nodes tell each other about requests, as bytes.
//!
//! ```text
//! version u8 = 1 | kind u8 | number u64 | more, by kind
//! from the node that has the client's request:
//!   1 ask       what u8 (0 a poll, 1 a post), bytes of the body u32,
//!               mount, token, content type (each: length u16, UTF-8)
//!   2 body      where it stands u32, bytes
//!   7 sent      the answer has left as a whole
//!   8 received  the answer arrived, for all that can be known
//!   9 lost      the request is gone, or its answer
//! from the node that has the session:
//!   3 accepted  | 4 gone: there is no such session | 10 busy
//!   5 nothing   a poll waited in vain
//!   6 handled   a post was: status u16, why (the rest, UTF-8)
//!   11 messages bytes of them u32; they follow
//!   12 part     where it stands u32, bytes of a JSON array of strings
//!   13 closed   why the session was closed, ahead of 4, 5, 6 or 11: close code u16, reason (the rest, UTF-8)
//! ```
//!
//! Numbers are big-endian; the request's is chosen by the node that asks. What is longer than a part follows in several,
//! in order.

use bytes::{Buf, BufMut, Bytes, BytesMut};

const VERSION: u8 = 1;
const ASK: u8 = 1;
const BODY: u8 = 2;
const ACCEPTED: u8 = 3;
const GONE: u8 = 4;
const NOTHING: u8 = 5;
const HANDLED: u8 = 6;
const RECEIVED: u8 = 8;
const LOST: u8 = 9;
const BUSY: u8 = 10;
const MESSAGES: u8 = 11;
const PART: u8 = 12;
const CLOSED: u8 = 13;

/// Version, kind, number and one more number.
const HEAD_BYTES: usize = 14;

/// One message about the request of a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) number: u64,
    pub(super) what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Said(Said),
    Told(Told),
}

/// What the node that has the client's request says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    Ask(Ask),
    Body(Part),
    Received,
    Lost,
}

/// What it's told by the node that has the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    Accepted,
    Gone,
    Busy,
    Nothing,
    Handled(u16, String),
    Messages(usize),
    Part(Part),
    /// Nodes of older releases let it pass.
    Closed(u16, String),
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) is_post: bool,
    pub(super) body_bytes: usize,
    pub(super) mount: String,
    pub(super) token: String,
    pub(super) content_type: String,
}

/// A piece of something that is longer than a message may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) at: usize,
    pub(super) bytes: Bytes,
}

impl Message {
    /// `None` when it's no message of ours, or of a release that this one doesn't know.
    pub(super) fn decode(mut message: Bytes) -> Option<Self> {
        let version = message.try_get_u8().ok()?;
        let kind = message.try_get_u8().ok()?;
        let number = message.try_get_u64().ok()?;
        if version != VERSION {
            return None;
        }
        let what = match kind {
            ASK => What::Said(Said::Ask(Ask {
                is_post: match message.try_get_u8().ok()? {
                    0 => false,
                    1 => true,
                    _ => return None,
                },
                body_bytes: length(&mut message)?,
                mount: text(&mut message)?,
                token: text(&mut message)?,
                content_type: text(&mut message)?,
            })),
            BODY => What::Said(Said::Body(part(message)?)),
            RECEIVED => What::Said(Said::Received),
            LOST => What::Said(Said::Lost),
            ACCEPTED => What::Told(Told::Accepted),
            GONE => What::Told(Told::Gone),
            BUSY => What::Told(Told::Busy),
            NOTHING => What::Told(Told::Nothing),
            HANDLED => {
                let (status, why) = number_and_text(message)?;
                What::Told(Told::Handled(status, why))
            }
            CLOSED => {
                let (code, reason) = number_and_text(message)?;
                What::Told(Told::Closed(code, reason))
            }
            MESSAGES => What::Told(Told::Messages(length(&mut message)?)),
            PART => What::Told(Told::Part(part(message)?)),
            _ => return None,
        };
        Some(Self { number, what })
    }

    /// `None` when a length doesn't fit.
    pub(super) fn encode(&self) -> Option<Bytes> {
        let begin = |kind, more| {
            let mut bytes = BytesMut::with_capacity(HEAD_BYTES + more);
            bytes.put_u8(VERSION);
            bytes.put_u8(kind);
            bytes.put_u64(self.number);
            bytes
        };
        let bytes = match &self.what {
            What::Said(Said::Ask(ask)) => {
                let mut bytes = begin(ASK, 256);
                bytes.put_u8(u8::from(ask.is_post));
                bytes.put_u32(u32::try_from(ask.body_bytes).ok()?);
                for text in [&ask.mount, &ask.token, &ask.content_type] {
                    bytes.put_u16(u16::try_from(text.len()).ok()?);
                    bytes.put_slice(text.as_bytes());
                }
                bytes
            }
            What::Said(Said::Body(part)) => put_part(begin(BODY, part.bytes.len()), part)?,
            What::Said(Said::Received) => begin(RECEIVED, 0),
            What::Said(Said::Lost) => begin(LOST, 0),
            What::Told(Told::Accepted) => begin(ACCEPTED, 0),
            What::Told(Told::Gone) => begin(GONE, 0),
            What::Told(Told::Busy) => begin(BUSY, 0),
            What::Told(Told::Nothing) => begin(NOTHING, 0),
            What::Told(Told::Handled(status, why)) => {
                put_number_and_text(begin(HANDLED, why.len()), *status, why)
            }
            What::Told(Told::Closed(code, reason)) => {
                put_number_and_text(begin(CLOSED, reason.len()), *code, reason)
            }
            What::Told(Told::Messages(length)) => {
                let mut bytes = begin(MESSAGES, 0);
                bytes.put_u32(u32::try_from(*length).ok()?);
                bytes
            }
            What::Told(Told::Part(part)) => put_part(begin(PART, part.bytes.len()), part)?,
        };
        Some(bytes.freeze())
    }
}

fn length(message: &mut Bytes) -> Option<usize> {
    usize::try_from(message.try_get_u32().ok()?).ok()
}

fn text(message: &mut Bytes) -> Option<String> {
    let length = usize::from(message.try_get_u16().ok()?);
    if length > message.len() {
        return None;
    }
    let text = message.split_to(length);
    Some(str::from_utf8(&text).ok()?.to_owned())
}

fn number_and_text(mut message: Bytes) -> Option<(u16, String)> {
    let number = message.try_get_u16().ok()?;
    let text = str::from_utf8(&message).ok()?;
    Some((number, text.to_owned()))
}

fn put_number_and_text(mut message: BytesMut, number: u16, text: &str) -> BytesMut {
    message.put_u16(number);
    message.put_slice(text.as_bytes());
    message
}

/// A part without bytes would cost nobody anything, so there is none.
fn part(mut message: Bytes) -> Option<Part> {
    let at = length(&mut message)?;
    let bytes = message;
    (!bytes.is_empty()).then_some(Part { at, bytes })
}

fn put_part(mut message: BytesMut, part: &Part) -> Option<BytesMut> {
    message.put_u32(u32::try_from(part.at).ok()?);
    message.put_slice(&part.bytes);
    Some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<(What, &'static [u8])> {
        let part = |bytes| Part {
            at: 258,
            bytes: Bytes::from_static(bytes),
        };
        let ask = Ask {
            is_post: true,
            body_bytes: 3,
            mount: "/s".to_owned(),
            token: "t".to_owned(),
            content_type: String::new(),
        };
        vec![
            (
                What::Said(Said::Ask(ask)),
                b"\x01\x01\0\0\0\0\0\0\x01\x02\x01\0\0\0\x03\0\x02/s\0\x01t\0\0",
            ),
            (
                What::Said(Said::Body(part(b"hi"))),
                b"\x01\x02\0\0\0\0\0\0\x01\x02\0\0\x01\x02hi",
            ),
            (What::Told(Told::Accepted), b"\x01\x03\0\0\0\0\0\0\x01\x02"),
            (What::Told(Told::Gone), b"\x01\x04\0\0\0\0\0\0\x01\x02"),
            (What::Told(Told::Nothing), b"\x01\x05\0\0\0\0\0\0\x01\x02"),
            (
                What::Told(Told::Handled(413, "why".to_owned())),
                b"\x01\x06\0\0\0\0\0\0\x01\x02\x01\x9dwhy",
            ),
            (What::Said(Said::Received), b"\x01\x08\0\0\0\0\0\0\x01\x02"),
            (What::Said(Said::Lost), b"\x01\x09\0\0\0\0\0\0\x01\x02"),
            (What::Told(Told::Busy), b"\x01\x0a\0\0\0\0\0\0\x01\x02"),
            (
                What::Told(Told::Messages(7)),
                b"\x01\x0b\0\0\0\0\0\0\x01\x02\0\0\0\x07",
            ),
            (
                What::Told(Told::Part(part(b"[]"))),
                b"\x01\x0c\0\0\0\0\0\0\x01\x02\0\0\x01\x02[]",
            ),
            (
                What::Told(Told::Closed(1012, "draining".to_owned())),
                b"\x01\x0d\0\0\0\0\0\0\x01\x02\x03\xf4draining",
            ),
        ]
    }

    #[test]
    fn messages_have_the_bytes_they_always_had() {
        for (what, golden) in all() {
            let message = Message { number: 258, what };
            assert_eq!(&message.encode().unwrap()[..], golden, "{message:?}");
            assert_eq!(Message::decode(Bytes::from_static(golden)), Some(message));
        }
    }

    #[test]
    fn what_is_no_message_is_none() {
        let check = |bytes: &'static [u8]| {
            assert_eq!(
                Message::decode(Bytes::from_static(bytes)),
                None,
                "{bytes:?}"
            );
        };
        check(b"");
        check(b"\x02\x03\0\0\0\0\0\0\x01\x02");
        check(b"\x01\x0d\0\0\0\0\0\0\x01\x02\x03");
        check(b"\x01\x0d\0\0\0\0\0\0\x01\x02\x03\xf4\xff");
        check(b"\x01\x63\0\0\0\0\0\0\x01\x02");
        check(b"\x01\x0c\0\0\0\0\0\0\x01\x02\0\0\x01\x02");
        check(b"\x01\x01\0\0\0\0\0\0\x01\x02\x02\0\0\0\x03\0\x02/s\0\x01t\0\0");
        check(b"\x01\x01\0\0\0\0\0\0\x01\x02\x01\0\0\0\x03\xff\xff/s\0\x01t\0\0");
        check(b"\x01\x01\0\0\0\0\0\0\x01\x02\x01\0\0\0\x03\0\x02\xff\xfe\0\x01t\0\0");
    }

    #[test]
    fn any_bytes_at_all_are_survived() {
        // A small generator is random enough here, and the same on each run.
        let mut state = 1_u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as usize
        };
        for (_, golden) in all() {
            for _ in 0..5_000 {
                let mut bytes = golden.to_vec();
                for _ in 0..=next() % 4 {
                    let at = next() % bytes.len();
                    bytes[at] = next() as u8;
                }
                bytes.truncate(next() % (golden.len() * 2));
                if let Some(message) = Message::decode(Bytes::from(bytes)) {
                    assert!(message.encode().is_some());
                }
            }
        }
    }
}
