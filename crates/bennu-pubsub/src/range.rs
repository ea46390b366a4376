//! As many of a topic's subscribers as hear a broadcast under one hold of its lock.

use std::sync::Arc;

use bennu_wire::Broadcast;

use crate::Subscriber;

/// The most subscribers in a range: as many tasks as a thread of tokio's holds ready for itself, and few enough that what a
/// delivery fetched from memory is still in the cache when the subscriber's task runs.
pub(crate) const RANGE: usize = if cfg!(shuttle) { 2 } else { 256 };

/// The slots grow by a fourth.
const GROWTH: usize = 4;

/// A slab of subscribers: one comes and goes in constant time, and keeps its place meanwhile.
#[derive(Default)]
pub(crate) struct Range {
    slots: Vec<Slot>,
    /// The head of the list of free slots, as place + 1; 0 when there is none.
    free: u16,
    taken: u16,
    /// How many of the topic's backlog it has heard.
    pub(crate) heard: usize,
}

enum Slot {
    Free {
        next: u16,
    },
    Taken {
        subscriber: Arc<dyn Subscriber>,
        key: u64,
    },
}

impl Range {
    /// An empty range, which has heard so many broadcasts of the backlog.
    pub(crate) fn new(heard: usize) -> Self {
        Self {
            heard,
            ..Self::default()
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        usize::from(self.taken) == RANGE
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.taken == 0
    }

    /// Adds a subscriber to a range that isn't full, and says where.
    pub(crate) fn insert(&mut self, subscriber: Arc<dyn Subscriber>, key: u64) -> usize {
        debug_assert!(!self.is_full());
        self.taken += 1;
        let taken = Slot::Taken { subscriber, key };
        let free = usize::from(self.free).wrapping_sub(1);
        if let Some(slot) = self.slots.get_mut(free) {
            if let Slot::Free { next } = *slot {
                self.free = next;
            }
            *slot = taken;
            return free;
        }
        // `Vec` would start with room for four and then double; most topics of a large server have one subscriber.
        if self.slots.len() == self.slots.capacity() {
            let room = RANGE - self.slots.len();
            self.slots
                .reserve_exact(room.min(1 + self.slots.len() / GROWTH));
        }
        self.slots.push(taken);
        self.slots.len() - 1
    }

    pub(crate) fn remove(&mut self, place: usize) -> Option<Arc<dyn Subscriber>> {
        let slot = self.slots.get_mut(place)?;
        match std::mem::replace(slot, Slot::Free { next: self.free }) {
            Slot::Taken { subscriber, .. } => {
                self.free = place as u16 + 1;
                self.taken -= 1;
                if self.is_empty() {
                    self.slots = Vec::new();
                    self.free = 0;
                }
                Some(subscriber)
            }
            free @ Slot::Free { .. } => {
                *slot = free;
                None
            }
        }
    }

    /// Delivers to all but one, and says how many deliveries that was. Each hears all of it before the next one does:
    /// what belongs to a subscriber is fetched from memory once.
    pub(crate) fn deliver(&self, broadcasts: &[Arc<Broadcast>], skipped: Option<usize>) -> usize {
        if self.is_empty() {
            return 0;
        }
        let mut delivered = 0;
        for (place, slot) in self.slots.iter().enumerate() {
            if let Slot::Taken { subscriber, key } = slot
                && Some(place) != skipped
            {
                for broadcast in broadcasts {
                    subscriber.deliver(*key, broadcast);
                }
                delivered += broadcasts.len();
            }
        }
        delivered
    }
}
