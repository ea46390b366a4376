//! What came over the bus for one request, and what all of it may take.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::Part;

/// Bodies and answers that have come from other nodes and aren't used up, all together, beyond what each request may
/// have. What is beyond is lost, and its request with it.
pub(super) const BYTES_MAX: usize = 64 << 20;
/// What each request may have beside the others, so that those who say little are heard whoever says much.
pub(super) const FREE_BYTES: usize = 16 * 1024;
/// What a message takes however little it says, or many that say nothing would cost nobody anything.
const MESSAGE_BYTES: usize = 64;

/// The way to whoever works on a request. Dropped, it's the end of the request.
pub(super) struct Inbox<T> {
    sender: UnboundedSender<Heard<T>>,
    received_bytes: usize,
}

/// Something that came, and its share of the memory.
#[derive(Debug)]
pub(super) struct Heard<T> {
    pub(super) what: T,
    pub(super) room: Room,
}

impl<T> Inbox<T> {
    pub(super) fn new() -> (Self, UnboundedReceiver<Heard<T>>) {
        let (sender, receiver) = unbounded_channel();
        let inbox = Self {
            sender,
            received_bytes: 0,
        };
        (inbox, receiver)
    }

    /// False when there is no room for it.
    #[must_use]
    pub(super) fn put(&mut self, what: T, bytes: usize, memory: &Memory) -> bool {
        let paid = |received: usize| received.saturating_sub(FREE_BYTES);
        let before = paid(self.received_bytes);
        self.received_bytes += MESSAGE_BYTES + bytes;
        let Some(room) = memory.take(paid(self.received_bytes) - before) else {
            return false;
        };
        // Whoever worked on it may have gone away just now.
        let _ = self.sender.send(Heard { what, room });
        true
    }
}

/// What all requests of a node have together.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory(Arc<AtomicUsize>);

/// A share of it, which is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Room {
    bytes: usize,
    memory: Memory,
}

impl Memory {
    /// How much is taken.
    pub(super) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// `None` when so much isn't left. Nothing is always left.
    pub(super) fn take(&self, bytes: usize) -> Option<Room> {
        let before = self.0.fetch_add(bytes, Ordering::Relaxed);
        let memory = self.clone();
        let room = Room { bytes, memory };
        (bytes == 0 || before + bytes <= BYTES_MAX).then_some(room)
    }
}

impl Room {
    fn join(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.memory.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Puts the parts of something together.
#[derive(Debug)]
pub(super) struct Pieces {
    pub(super) bytes: Vec<u8>,
    pub(super) total: usize,
    room: Option<Room>,
}

impl Pieces {
    /// Nothing is allocated for what is only said to come.
    pub(super) fn new(total: usize) -> Self {
        Self {
            bytes: Vec::new(),
            total,
            room: None,
        }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.bytes.len() == self.total
    }

    /// False when something is missing before it, or it's more than was said to come.
    #[must_use]
    pub(super) fn add(&mut self, part: &Part, room: Room) -> bool {
        let fits = part.at == self.bytes.len() && part.bytes.len() <= self.total - part.at;
        if fits {
            self.bytes.extend_from_slice(&part.bytes);
            match &mut self.room {
                Some(all) => all.join(room),
                none => *none = Some(room),
            }
        }
        fits
    }

    /// All of it, and the memory that it takes while the room isn't dropped.
    pub(super) fn into_parts(self) -> (Vec<u8>, Option<Room>) {
        (self.bytes, self.room)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn what_came_counts_until_it_is_used_up() {
        let memory = Memory::default();
        let (mut inbox, mut receiver) = Inbox::new();
        let mut pieces = Pieces::new(100_000);
        for at in [0, 50_000] {
            let part = Part {
                at,
                bytes: Bytes::from(vec![b'x'; 50_000]),
            };
            assert!(inbox.put(part, 50_000, &memory));
        }
        let all = 2 * (50_000 + MESSAGE_BYTES) - FREE_BYTES;
        assert_eq!(memory.bytes(), all);
        while let Ok(Heard { what, room }) = receiver.try_recv() {
            assert!(pieces.add(&what, room));
        }
        assert!(pieces.is_whole());
        let (_, room) = pieces.into_parts();
        assert_eq!(memory.bytes(), all);
        drop(room);
        assert_eq!(memory.bytes(), 0);
    }

    #[test]
    fn a_full_memory_has_room_for_little_ones_alone() {
        let memory = Memory::default();
        let all = memory.take(BYTES_MAX).unwrap();
        let check = |bytes: usize, expected: bool| {
            let (mut inbox, _receiver) = Inbox::new();
            assert_eq!(inbox.put((), bytes, &memory), expected, "{bytes}");
        };
        check(0, true);
        check(FREE_BYTES - MESSAGE_BYTES, true);
        check(FREE_BYTES - MESSAGE_BYTES + 1, false);
        // What had no room takes none.
        assert_eq!(memory.bytes(), BYTES_MAX);
        drop(all);
        check(1_000_000, true);
    }

    #[test]
    fn saying_nothing_isnt_free_for_ever() {
        let memory = Memory::default();
        let _all = memory.take(BYTES_MAX).unwrap();
        let (mut inbox, _receiver) = Inbox::new();
        let told = (0..).take_while(|_| inbox.put((), 0, &memory)).count();
        assert_eq!(told, FREE_BYTES / MESSAGE_BYTES);
    }
}
