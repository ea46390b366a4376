//! Messages that went over the bus together, and bytes that say they did.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use bennu_pubsub::{BusHub, Link, Parcel, Subject};
use bytes::Bytes;

use crate::Input;

/// What a parcel begins with, the length of a message in it, and how long one of several messages is at most: all nodes
/// of all releases agree on these.
const MARK: u8 = 0xbe;
const LENGTH_BYTES: usize = 4;
const PARCEL_BYTES_MAX: usize = 64 * 1024;

/// A message and its length, as often as there's room for one more than a parcel may have.
const LONG_BYTES: usize = PARCEL_BYTES_MAX + 1;
const MESSAGES_MAX: usize = 40;

/// Keeps what it's told.
#[derive(Default)]
struct Heard(Mutex<Vec<Bytes>>);

impl Link for Heard {
    fn receive(&self, _: &Subject, message: Bytes) {
        self.lock().push(message);
    }

    fn connected(&self) {}

    fn disconnected(&self) {}
}

impl Heard {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Bytes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What becomes of bytes from the bus.
fn unpack(bytes: &Bytes) -> Vec<Bytes> {
    let heard = Arc::new(Heard::default());
    let hub = BusHub::default();
    hub.start(heard.clone());
    hub.receive(&Subject::Gossip, bytes.clone());
    let messages = std::mem::take(&mut *heard.lock());
    assert_eq!(hub.health(0, 0).received, messages.len() as u64);
    messages
}

/// Any bytes are taken apart into no more than they are, and what was put together comes out as it was. The first byte
/// says which of both is tried.
pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.below(3) {
        0 => hostile(&Bytes::copy_from_slice(input.rest())),
        1 => match input.rest() {
            [] => {}
            rest => {
                let long: Vec<u8> = rest.iter().copied().cycle().take(LONG_BYTES).collect();
                hostile(&long.into());
            }
        },
        _ => packed(&mut input),
    }
}

/// The messages, with the lengths in front of those that are parts, are the bytes that came.
fn hostile(bytes: &Bytes) {
    let messages = unpack(bytes);
    let Some((last, parts)) = messages.split_last() else {
        panic!("what came is gone");
    };
    if parts.is_empty() && last == bytes {
        return;
    }
    assert_eq!(bytes.first(), Some(&MARK));
    let mut again = vec![MARK];
    for part in parts {
        put(&mut again, part);
    }
    let mut whole = again.clone();
    put(&mut whole, last);
    // The last one may be what makes no sense.
    again.extend_from_slice(last);
    assert!(
        whole == *bytes || again == *bytes,
        "{messages:?} of {bytes:?}"
    );
    assert!(parts.is_empty() || bytes.len() <= PARCEL_BYTES_MAX);
}

fn put(bytes: &mut Vec<u8>, message: &[u8]) {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    bytes.extend(length.to_be_bytes());
    bytes.extend_from_slice(message);
}

/// Messages to several subjects: of each subject all arrive, in their order, in parcels that keep to their limit.
fn packed(input: &mut Input<'_>) {
    // From nothing to beyond what is allowed.
    let bytes_max = match input.below(4) {
        0 => usize::from(input.byte()),
        1 => 32 * 1024,
        2 => 2 * PARCEL_BYTES_MAX,
        _ => 0,
    };
    let mut sent: Vec<(u8, Bytes)> = Vec::new();
    while !input.is_empty() && sent.len() < MESSAGES_MAX {
        let to = input.byte() % 4;
        let length = usize::from(input.byte());
        // Now and then one that is longer than a parcel of several may be.
        let message = if length == 255 {
            Bytes::from(vec![input.byte(); LONG_BYTES])
        } else {
            Bytes::copy_from_slice(input.take(length))
        };
        sent.push((to, message));
    }
    let mut arrived: HashMap<u8, Vec<Bytes>> = HashMap::new();
    for parcel in Parcel::pack(sent.clone(), bytes_max) {
        let messages = unpack(&parcel.bytes);
        assert_eq!(messages.len(), parcel.messages, "{parcel:?}");
        assert!(!messages.is_empty());
        let limit = bytes_max.min(PARCEL_BYTES_MAX);
        assert!(messages.len() == 1 || parcel.bytes.len() <= limit);
        let alone: usize = messages.iter().map(|it| LENGTH_BYTES + it.len()).sum();
        assert!(parcel.bytes.len() <= 1 + alone, "nothing else is in it");
        arrived.entry(parcel.to).or_default().extend(messages);
    }
    for to in 0..4 {
        let sent: Vec<_> = sent
            .iter()
            .filter(|it| it.0 == to)
            .map(|it| &it.1)
            .collect();
        let arrived: Vec<_> = arrived.get(&to).into_iter().flatten().collect();
        assert!(sent == arrived, "to {to}");
    }
}
