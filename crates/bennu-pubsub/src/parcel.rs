//! Messages to one subject that waited together, as one message of the bus.
//!
//! ```text
//! mark u8 = 0xbe | length u32, message | length u32, message | ...
//! ```
//!
//! A broker and its client library ask as much for a short message as for one ten times as long. So what waits while
//! the broker is busy goes out in parcels. Nothing waits for others to come: where there is no backlog each message
//! goes as it is. One that begins with the mark by itself goes in a parcel of its own.

use std::{collections::HashMap, hash::Hash};

use bytes::{BufMut, Bytes, BytesMut};

/// No message of a [`Cluster`](crate::Cluster) begins with it: those begin with their version.
const MARK: u8 = 0xbe;
const LENGTH_BYTES: usize = 4;
/// No parcel of several messages is longer. All nodes of all releases must agree on it.
const PARCEL_BYTES_MAX: usize = 64 * 1024;
/// What goes over the bus in one piece. For those who write adapters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel<S> {
    /// Where to.
    pub to: S,
    /// What [`BusHub::receive`](crate::BusHub::receive) takes apart.
    pub bytes: Bytes,
    /// How many messages are in it.
    pub messages: usize,
}

impl<S: Clone + Eq + Hash> Parcel<S> {
    /// Puts messages to the same subject together, up to so many bytes and never more than 64 KiB; a longer message goes
    /// alone. The order of those to one subject is kept. 32 KiB is a good limit: well below what brokers take, and one
    /// that is lost is no great loss.
    ///
    /// ```
    /// use bennu_pubsub::Parcel;
    ///
    /// let messages = vec![("a", "1".into()), ("b", "2".into()), ("a", "3".into())];
    /// let parcels = Parcel::pack(messages, 32 * 1024);
    /// let counts: Vec<_> = parcels.iter().map(|it| (it.to, it.messages)).collect();
    /// assert_eq!(counts, [("a", 2), ("b", 1)]);
    /// ```
    #[must_use]
    pub fn pack(messages: Vec<(S, Bytes)>, bytes_max: usize) -> Vec<Self> {
        let bytes_max = bytes_max.min(PARCEL_BYTES_MAX);
        let mut parcels: Vec<Open<S>> = Vec::new();
        // The newest parcel to each subject.
        let mut newest: HashMap<S, usize> = HashMap::new();
        for (to, message) in messages {
            let bytes = LENGTH_BYTES + message.len();
            if let Some(open) = newest.get(&to).and_then(|it| parcels.get_mut(*it))
                && open.bytes + bytes <= bytes_max
            {
                open.bytes += bytes;
                open.messages.push(message);
                continue;
            }
            newest.insert(to.clone(), parcels.len());
            let messages = vec![message];
            parcels.push(Open {
                to,
                messages,
                bytes: 1 + bytes,
            });
        }
        parcels.into_iter().map(Open::close).collect()
    }
}

/// What is being put together for one subject.
struct Open<S> {
    to: S,
    messages: Vec<Bytes>,
    bytes: usize,
}

impl<S> Open<S> {
    fn close(self) -> Parcel<S> {
        let count = self.messages.len();
        let bytes = match &*self.messages {
            [message] if !message.starts_with(&[MARK]) => message.clone(),
            messages => {
                let mut bytes = BytesMut::with_capacity(self.bytes);
                bytes.put_u8(MARK);
                for message in messages {
                    // One that is longer than four billion bytes waits in no queue.
                    bytes.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
                    bytes.put_slice(message);
                }
                bytes.freeze()
            }
        };
        Parcel {
            to: self.to,
            bytes,
            messages: count,
        }
    }
}

/// Takes a message of the bus apart. What begins as a parcel and is none is handed over as it came, from where it makes no
/// sense on: whoever gets it says so.
pub(crate) fn unpack(bytes: Bytes, mut each: impl FnMut(Bytes)) {
    let Some((&MARK, mut rest)) = bytes.split_first() else {
        return each(bytes);
    };
    let mut is_first = true;
    while let Some((length, after)) = rest.split_first_chunk::<LENGTH_BYTES>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).ok();
        let Some((message, after)) = length.and_then(|it| after.split_at_checked(it)) else {
            break;
        };
        // Millions of empty ones would keep us busy for long.
        if !after.is_empty() && bytes.len() > PARCEL_BYTES_MAX {
            break;
        }
        // A copy: who keeps one message for long shouldn't keep all of them.
        each(Bytes::copy_from_slice(message));
        is_first = false;
        rest = after;
    }
    if is_first {
        each(bytes);
    } else if !rest.is_empty() {
        each(Bytes::copy_from_slice(rest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES_MAX: usize = 32 * 1024;

    fn parcels(messages: &[(u8, &[u8])]) -> Vec<(u8, Vec<u8>, usize)> {
        let messages = messages
            .iter()
            .map(|(to, it)| (*to, Bytes::copy_from_slice(it)));
        let parcels = Parcel::pack(messages.collect(), BYTES_MAX);
        let parcel = |it: Parcel<u8>| (it.to, it.bytes.to_vec(), it.messages);
        parcels.into_iter().map(parcel).collect()
    }

    fn messages(bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        unpack(Bytes::copy_from_slice(bytes), |it| {
            messages.push(it.to_vec())
        });
        messages
    }

    /// Nodes of two releases talk to each other: these bytes may never change.
    const GOLDEN: &[u8] = b"\xbe\0\0\0\x02hi\0\0\0\0\0\0\0\x01\xbe";

    #[test]
    fn messages_to_one_subject_go_together_and_others_as_they_are() {
        assert_eq!(
            parcels(&[(1, b"hi"), (2, b"alone"), (1, b""), (1, b"\xbe")]),
            [(1, GOLDEN.to_vec(), 3), (2, b"alone".to_vec(), 1)]
        );
        assert_eq!(messages(GOLDEN), [&b"hi"[..], b"", b"\xbe"]);
        assert_eq!(messages(b"alone"), [b"alone"]);
        assert_eq!(parcels(&[]), []);
    }

    #[test]
    fn any_single_message_arrives_as_it_was() {
        for message in [&b""[..], b"\0", b"\xbe", b"\xbe\0\0\0\x01a", GOLDEN] {
            let [(1, bytes, 1)] = &parcels(&[(1, message)])[..] else {
                panic!("{message:?}");
            };
            assert_eq!(messages(bytes), [message]);
        }
    }

    #[test]
    fn a_parcel_has_its_limit_and_order_is_kept_over_several() {
        let long = vec![7; BYTES_MAX / 3];
        let huge = vec![8; BYTES_MAX * 3];
        let order = [&long[..], &long, b"a", &long, b"b", &huge, b"c", b"d"];
        let sent: Vec<_> = order.iter().map(|it| (1, *it)).collect();
        let parcels = parcels(&sent);
        let counts: Vec<_> = parcels.iter().map(|(_, _, count)| *count).collect();
        assert_eq!(counts, [3, 2, 1, 2]);
        let arrived: Vec<_> = parcels.iter().flat_map(|(_, it, _)| messages(it)).collect();
        assert!(arrived == order);
    }

    #[test]
    fn what_is_no_parcel_is_handed_over_from_where_it_makes_no_sense() {
        let check = |bytes: &[u8], expected: &[&[u8]]| assert_eq!(messages(bytes), expected);
        check(b"\xbe", &[b"\xbe"]);
        check(b"\xbe\0\0", &[b"\xbe\0\0"]);
        check(b"\xbe\xff\xff\xff\xffhi", &[b"\xbe\xff\xff\xff\xffhi"]);
        check(b"\xbe\0\0\0\x02hi\0\0", &[b"hi", b"\0\0"]);
        check(b"\xbe\0\0\0\x02hi\0\0\0\x02x", &[b"hi", b"\0\0\0\x02x"]);
        let empty = [&[MARK][..], &vec![0; PARCEL_BYTES_MAX]].concat();
        check(&empty, &[&empty]);
        assert_eq!(
            messages(&empty[..PARCEL_BYTES_MAX - 3]).len(),
            PARCEL_BYTES_MAX / 4 - 1
        );
        for end in 0..GOLDEN.len() {
            let all: usize = messages(&GOLDEN[..end]).iter().map(Vec::len).sum();
            assert!(all <= end);
        }
    }
}
