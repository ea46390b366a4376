//! Messages between nodes, as bytes.
//!
//! ```text
//! version u8 = 1 | kind u8 | header length u32 | header | body
//! header:   start u64, name (length u8, UTF-8)              who sent it
//!           kind 1, a broadcast: what the body is u8 (0 JSON, 1 binary),
//!                   topic (length u32, UTF-8), event (length u32, UTF-8)
//!           kind 2, of a service: its tag u8, start u64 of the node it's for (0: of any)
//!           more, which is skipped
//! ```
//!
//! Numbers are big-endian. A release that adds to the header changes nothing for older ones; one that changes more
//! takes the next version, and is written only by releases whose predecessors read it. Messages of versions and kinds
//! that a node doesn't know are skipped and counted.

use std::sync::Arc;

use bennu_wire::{Broadcast, Payload, Topic};
use bytes::{BufMut, Bytes, BytesMut};

use crate::{NodeId, NodeName};

const VERSION: u8 = 1;
const BROADCAST: u8 = 1;
const SERVICE: u8 = 2;
const JSON: u8 = 0;
const BINARY: u8 = 1;
/// Version, kind and the header's length.
const FIXED_BYTES: usize = 6;

/// A message that came in, its lengths checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub(crate) start: u64,
    pub(crate) name: &'a str,
    pub(crate) body: Body<'a>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Body<'a> {
    Broadcast(Remote<'a>),
    Service {
        tag: u8,
        /// The start of the node that it's for; 0 for any.
        to: u64,
        body: Bytes,
    },
}

/// A broadcast of another node. Its payload is looked at when somebody wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remote<'a> {
    pub(crate) topic: &'a str,
    event: &'a str,
    is_json: bool,
    payload: &'a [u8],
    /// All of it, which bytes are a part of.
    message: &'a Bytes,
}

/// Why a message isn't taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Undecodable {
    /// A version or kind that this release doesn't know.
    Unknown,
    /// No message of ours.
    Malformed,
}

impl<'a> Message<'a> {
    pub(crate) fn decode(message: &'a Bytes) -> Result<Self, Undecodable> {
        let mut outer = Reader(message);
        let version = outer.byte()?;
        if version != VERSION {
            return Err(Undecodable::Unknown);
        }
        let kind = outer.byte()?;
        let mut header = Reader(outer.long()?);
        let body = outer.0;
        let start = header.number()?;
        let name = header.short_text()?;
        let body = match kind {
            BROADCAST => {
                let is_json = match header.byte()? {
                    JSON => true,
                    BINARY => false,
                    _ => return Err(Undecodable::Unknown),
                };
                Body::Broadcast(Remote {
                    topic: header.text()?,
                    event: header.text()?,
                    is_json,
                    payload: body,
                    message,
                })
            }
            SERVICE => Body::Service {
                tag: header.byte()?,
                to: header.number()?,
                body: message.slice_ref(body),
            },
            _ => return Err(Undecodable::Unknown),
        };
        Ok(Self { start, name, body })
    }
}

impl Remote<'_> {
    /// The broadcast, if its payload is what it says. The topic is handed in: where it has subscribers it's there
    /// already.
    pub(crate) fn broadcast(&self, topic: Topic) -> Result<Arc<Broadcast>, Undecodable> {
        debug_assert_eq!(topic.as_str(), self.topic);
        let payload = if self.is_json {
            let json = serde_json::from_slice(self.payload);
            Payload::Json(json.map_err(|_| Undecodable::Malformed)?)
        } else {
            // The message it's a part of goes when it goes, so nothing else is kept.
            Payload::Binary(self.message.slice_ref(self.payload))
        };
        let broadcast = Broadcast::new(topic, self.event.to_owned(), payload);
        Ok(Arc::new(broadcast))
    }
}

/// `None` when a length doesn't fit.
pub(crate) fn broadcast(from: &NodeId, broadcast: &Broadcast) -> Option<Bytes> {
    let (kind, payload) = match broadcast.payload() {
        Payload::Json(json) => (JSON, json.get().as_bytes()),
        Payload::Binary(bytes) => (BINARY, &**bytes),
    };
    let (topic, event) = (broadcast.topic().as_str(), broadcast.event());
    let more = 1 + 4 + topic.len() + 4 + event.len();
    let mut message = begin(from, BROADCAST, more, payload.len())?;
    message.put_u8(kind);
    for text in [topic, event] {
        message.put_u32(u32::try_from(text.len()).ok()?);
        message.put_slice(text.as_bytes());
    }
    message.put_slice(payload);
    Some(message.freeze())
}

/// `to` is the start of the node that it's for; 0 for any.
pub(crate) fn service(from: &NodeId, tag: u8, to: u64, body: &[u8]) -> Option<Bytes> {
    let mut message = begin(from, SERVICE, 9, body.len())?;
    message.put_u8(tag);
    message.put_u64(to);
    message.put_slice(body);
    Some(message.freeze())
}

/// A message up to the sender, with room for `more` bytes of header and for the body.
fn begin(from: &NodeId, kind: u8, more: usize, body: usize) -> Option<BytesMut> {
    let NodeId { name, start } = from;
    let name = name.as_str().as_bytes();
    let header = 8 + 1 + name.len() + more;
    let mut message = BytesMut::with_capacity(FIXED_BYTES + header + body);
    message.put_u8(VERSION);
    message.put_u8(kind);
    message.put_u32(u32::try_from(header).ok()?);
    message.put_u64(*start);
    message.put_u8(u8::try_from(name.len()).ok()?);
    message.put_slice(name);
    Some(message)
}

impl Message<'_> {
    /// Whether it comes from this very start of this node.
    pub(crate) fn is_from(&self, node: &NodeId) -> bool {
        self.start == node.start && self.name == node.name.as_str()
    }

    pub(crate) fn from(&self) -> Result<NodeId, Undecodable> {
        let name = NodeName::parse(self.name).map_err(|_| Undecodable::Malformed)?;
        Ok(NodeId {
            name,
            start: self.start,
        })
    }
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Undecodable> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or(Undecodable::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Undecodable> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| Undecodable::Malformed)
    }

    fn byte(&mut self) -> Result<u8, Undecodable> {
        self.array().map(|[byte]| byte)
    }

    fn number(&mut self) -> Result<u64, Undecodable> {
        self.array().map(u64::from_be_bytes)
    }

    /// As many bytes as the number in front of them says.
    fn long(&mut self) -> Result<&'a [u8], Undecodable> {
        let count = u32::from_be_bytes(self.array()?);
        self.take(usize::try_from(count).map_err(|_| Undecodable::Malformed)?)
    }

    fn text(&mut self) -> Result<&'a str, Undecodable> {
        let bytes = self.long()?;
        str::from_utf8(bytes).map_err(|_| Undecodable::Malformed)
    }

    fn short_text(&mut self) -> Result<&'a str, Undecodable> {
        let count = self.byte()?;
        let bytes = self.take(usize::from(count))?;
        str::from_utf8(bytes).map_err(|_| Undecodable::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> NodeId {
        NodeId {
            name: NodeName::parse("a1").unwrap(),
            start: 0x0102,
        }
    }

    fn json() -> Broadcast {
        Broadcast::new("room:1", "new", Payload::new(&[7]).unwrap())
    }

    /// Nodes of two releases talk to each other: these bytes may never change.
    const GOLDEN_JSON: &[u8] = b"\x01\x01\0\0\0\x1d\0\0\0\0\0\0\x01\x02\x02a1\
        \0\0\0\0\x06room:1\0\0\0\x03new[7]";
    const GOLDEN_BINARY: &[u8] = b"\x01\x01\0\0\0\x17\0\0\0\0\0\0\x01\x02\x02a1\
        \x01\0\0\0\x02\xc3\xa9\0\0\0\x01x\0\xff";
    const GOLDEN_SERVICE: &[u8] = b"\x01\x02\0\0\0\x14\0\0\0\0\0\0\x01\x02\x02a1\
        \x07\0\0\0\0\0\0\0\x09hi";

    #[test]
    fn messages_have_the_bytes_they_always_had() {
        let binary = Broadcast::new("é", "x", Bytes::from_static(b"\0\xff").into());
        assert_eq!(&broadcast(&node(), &json()).unwrap()[..], GOLDEN_JSON);
        assert_eq!(&broadcast(&node(), &binary).unwrap()[..], GOLDEN_BINARY);
        assert_eq!(&service(&node(), 7, 9, b"hi").unwrap()[..], GOLDEN_SERVICE);
    }

    #[test]
    fn broadcasts_arrive_as_they_were() {
        let check = |golden: &'static [u8], topic: &str, event: &str, payload: Payload| {
            let bytes = Bytes::from_static(golden);
            let message = Message::decode(&bytes).unwrap();
            assert!(message.is_from(&node()));
            assert_eq!(message.from(), Ok(node()));
            let Body::Broadcast(remote) = message.body else {
                panic!("{message:?}");
            };
            assert_eq!(remote.topic, topic);
            let broadcast = remote.broadcast(Topic::from(topic)).unwrap();
            assert_eq!(broadcast.topic().as_str(), topic);
            assert_eq!((broadcast.event(), broadcast.payload()), (event, &payload));
        };
        check(GOLDEN_JSON, "room:1", "new", Payload::new(&[7]).unwrap());
        check(
            GOLDEN_BINARY,
            "é",
            "x",
            Bytes::from_static(b"\0\xff").into(),
        );
    }

    #[test]
    fn messages_of_services_arrive_as_they_were() {
        let bytes = Bytes::from_static(GOLDEN_SERVICE);
        let expected = Body::Service {
            tag: 7,
            to: 9,
            body: Bytes::from_static(b"hi"),
        };
        assert_eq!(Message::decode(&bytes).unwrap().body, expected);
    }

    #[test]
    fn what_a_later_release_adds_to_the_header_is_skipped() {
        let mut later = GOLDEN_SERVICE.to_vec();
        later[5] += 3;
        later.splice(26..26, *b"new");
        let bytes = Bytes::from(later);
        let Body::Service { body, .. } = Message::decode(&bytes).unwrap().body else {
            panic!("{bytes:?}");
        };
        assert_eq!(body, "hi");
    }

    #[test]
    fn what_is_no_message_of_ours_is_told_apart_from_what_is_of_another_release() {
        let check = |bytes: &[u8], expected| {
            let bytes = Bytes::copy_from_slice(bytes);
            assert_eq!(Message::decode(&bytes).map(drop), expected, "{bytes:?}");
        };
        check(GOLDEN_JSON, Ok(()));
        check(b"", Err(Undecodable::Malformed));
        check(b"\x02anything", Err(Undecodable::Unknown));
        let change = |at: usize, byte: u8| {
            let mut bytes = GOLDEN_JSON.to_vec();
            bytes[at] = byte;
            bytes
        };
        check(&change(1, 9), Err(Undecodable::Unknown));
        // A header of four billion bytes, a name, a topic and an event beyond the header's end.
        check(&change(2, 0xff), Err(Undecodable::Malformed));
        check(&change(14, 200), Err(Undecodable::Malformed));
        check(&change(17, 2), Err(Undecodable::Unknown));
        check(&change(18, 0xff), Err(Undecodable::Malformed));
        check(&change(31, 4), Err(Undecodable::Malformed));
        // What isn't UTF-8.
        check(&change(22, 0xff), Err(Undecodable::Malformed));
        check(&change(15, 0xff), Err(Undecodable::Malformed));
    }

    #[test]
    fn no_part_of_a_message_is_taken_for_the_whole() {
        for golden in [GOLDEN_JSON, GOLDEN_BINARY, GOLDEN_SERVICE] {
            let header = FIXED_BYTES + usize::from(golden[5]);
            for end in 0..header {
                let bytes = Bytes::copy_from_slice(&golden[..end]);
                assert_eq!(Message::decode(&bytes), Err(Undecodable::Malformed));
            }
        }
    }

    #[test]
    fn a_payload_that_is_not_one_json_value_is_refused() {
        let check = |payload: &[u8], expected: bool| {
            let header = FIXED_BYTES + usize::from(GOLDEN_JSON[5]);
            let bytes = Bytes::from([&GOLDEN_JSON[..header], payload].concat());
            let Body::Broadcast(remote) = Message::decode(&bytes).unwrap().body else {
                panic!("{bytes:?}");
            };
            let topic = Topic::from(remote.topic);
            assert_eq!(remote.broadcast(topic).is_ok(), expected, "{payload:?}");
        };
        check(b"{\"a\":[1,2]}", true);
        check(b" 7 ", true);
        check(b"", false);
        check(b"{}]", false);
        check(b"{},[1]", false);
        check(b"\"\xff\"", false);
        check(&b"[".repeat(200_000), false);
    }

    #[test]
    fn whatever_is_written_is_read_the_same() {
        let texts = ["", "a", "room:1", "räum:é", "*.> \r\n", &"x".repeat(70_000)];
        let payloads = [
            Payload::empty(),
            Payload::new(&texts).unwrap(),
            Bytes::new().into(),
            Bytes::from_static(b"\0\xff\x01\x01").into(),
        ];
        for (name, start) in [("a", 0), (&*"é".repeat(32), u64::MAX)] {
            let name = NodeName::parse(name).unwrap();
            let node = NodeId { name, start };
            for ((topic, event), payload) in texts
                .iter()
                .flat_map(|topic| texts.map(|event| (*topic, event)))
                .flat_map(|it| payloads.each_ref().map(|payload| (it, payload)))
            {
                let said = Broadcast::new(topic, event.to_owned(), payload.clone());
                let bytes = broadcast(&node, &said).unwrap();
                let message = Message::decode(&bytes).unwrap();
                assert_eq!(message.from(), Ok(node.clone()));
                let Body::Broadcast(remote) = message.body else {
                    panic!("{message:?}");
                };
                let heard = remote.broadcast(Topic::from(remote.topic)).unwrap();
                assert_eq!(heard.topic().as_str(), topic);
                assert_eq!((heard.event(), heard.payload()), (event, payload));
            }
            for (tag, to) in [(0, 0), (255, u64::MAX)] {
                let bytes = service(&node, tag, to, b"\0hi").unwrap();
                let message = Bytes::from_static(b"\0hi");
                let expected = Body::Service {
                    tag,
                    to,
                    body: message,
                };
                assert_eq!(Message::decode(&bytes).unwrap().body, expected);
            }
        }
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
        for golden in [GOLDEN_JSON, GOLDEN_BINARY, GOLDEN_SERVICE] {
            for _ in 0..20_000 {
                let mut bytes = golden.to_vec();
                for _ in 0..=next() % 4 {
                    let at = next() % bytes.len();
                    bytes[at] = next() as u8;
                }
                bytes.truncate(next() % (golden.len() * 2));
                let bytes = Bytes::from(bytes);
                if let Ok(message) = Message::decode(&bytes) {
                    let _ = message.from();
                    if let Body::Broadcast(remote) = message.body {
                        let topic = Topic::from(remote.topic);
                        let _ = remote.broadcast(topic);
                    }
                }
            }
        }
    }
}
