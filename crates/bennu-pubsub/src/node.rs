//! One topic's subscribers and the order of its broadcasts.
//!
//! The subscribers stand in a slab, so that one comes and goes in constant time. The lock around the slab is
//! what gives a topic its one order: a broadcast is delivered to everyone under it. Holding it for a million
//! deliveries would stop everyone who joins or broadcasts meanwhile, so a slab is cut into ranges of
//! [`RANGE`] slots. Past one range a broadcast goes into a backlog, each range has a cursor into that, and a
//! task moves the cursors on, a range at a time, letting go of the lock and yielding in between. The
//! broadcaster's own range is brought up to date at once: what it broadcasts stands in its own outbox before
//! whatever it sends next.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use bennu_wire::Broadcast;

use crate::Subscriber;

/// Subscribers that hear a broadcast under one hold of the lock.
pub(crate) const RANGE: usize = 2048;

/// Broadcasts that may wait for ranges to be served. The broadcaster that exceeds it serves the oldest itself.
const BACKLOG_MESSAGES_MAX: usize = 16;

#[derive(Default)]
pub(crate) struct Subscribers {
    slots: Vec<Slot>,
    /// The head of the list of free slots, as index + 1; 0 when there is none.
    free: u32,
    /// Only while a large topic has broadcasts under way.
    backlog: Option<Box<Backlog>>,
}

enum Slot {
    Free {
        next: u32,
    },
    Taken {
        subscriber: Arc<dyn Subscriber>,
        key: u64,
    },
}

struct Backlog {
    /// What some range hasn't heard yet, oldest first.
    queue: VecDeque<Arc<Broadcast>>,
    /// Deliveries since it began.
    delivered: usize,
    /// For each range, how many of `queue` it has heard.
    heard: Vec<usize>,
}

/// How far a broadcast has come when [`Subscribers::broadcast`] returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Everyone has heard it: so many.
    Delivered(usize),
    /// Somebody has to call [`Subscribers::step`] until it says that all is done.
    Begun,
    /// Somebody does already.
    Queued,
}

/// Where a broadcast comes from.
#[derive(Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) slot: u32,
    /// Whether the broadcaster hears it too.
    pub(crate) echo: bool,
}

impl Subscribers {
    pub(crate) fn insert(&mut self, subscriber: Arc<dyn Subscriber>, key: u64) -> u32 {
        let taken = Slot::Taken { subscriber, key };
        let index = (self.free as usize).wrapping_sub(1);
        if let Some(slot) = self.slots.get_mut(index) {
            if let Slot::Free { next } = *slot {
                self.free = next;
            }
            // What was broadcast before this subscriber came isn't for it.
            self.catch_up(index / RANGE, None);
            if let Some(slot) = self.slots.get_mut(index) {
                *slot = taken;
            }
            return index as u32;
        }
        // `Vec` would start with room for four; most topics of a large server have one subscriber.
        if self.slots.len() == self.slots.capacity() {
            self.slots.reserve_exact(self.slots.len().max(1));
        }
        let index = self.slots.len();
        if let Some(backlog) = &mut self.backlog
            && backlog.heard.len() <= index / RANGE
        {
            backlog.heard.push(backlog.queue.len());
        }
        self.catch_up(index / RANGE, None);
        self.slots.push(taken);
        index as u32
    }

    /// Frees a slot. The subscriber is handed back so that it isn't dropped under the lock.
    pub(crate) fn remove(&mut self, slot: u32) -> Option<Arc<dyn Subscriber>> {
        let at = self.slots.get_mut(slot as usize)?;
        match std::mem::replace(at, Slot::Free { next: self.free }) {
            Slot::Taken { subscriber, .. } => {
                self.free = slot + 1;
                Some(subscriber)
            }
            free @ Slot::Free { .. } => {
                *at = free;
                None
            }
        }
    }

    /// Delivers to everyone, or, where there are many, to the origin's range, and puts the rest into the
    /// backlog.
    pub(crate) fn broadcast(
        &mut self,
        broadcast: &Arc<Broadcast>,
        origin: Option<Origin>,
    ) -> Progress {
        if self.slots.len() <= RANGE && self.backlog.is_none() {
            return Progress::Delivered(self.deliver(0..self.slots.len(), broadcast, origin));
        }
        let started = self.backlog.is_none();
        let ranges = self.slots.len().div_ceil(RANGE);
        let backlog = self.backlog.get_or_insert_with(|| {
            Box::new(Backlog {
                queue: VecDeque::new(),
                delivered: 0,
                heard: vec![0; ranges],
            })
        });
        backlog.queue.push_back(broadcast.clone());
        let over = backlog.queue.len() > BACKLOG_MESSAGES_MAX;
        if let Some(origin) = origin {
            self.catch_up(origin.slot as usize / RANGE, Some(origin));
        }
        if over {
            let oldest =
                self.backlog.as_ref().map_or(0, |it| it.queue.len()) - BACKLOG_MESSAGES_MAX;
            for _ in 0..oldest {
                while !self.step_oldest() {}
            }
        }
        if started {
            Progress::Begun
        } else {
            Progress::Queued
        }
    }

    /// Serves one range with one broadcast of the backlog. When nothing is left to do it says how many
    /// deliveries the backlog took.
    pub(crate) fn step(&mut self) -> Option<usize> {
        if self.backlog.as_ref().is_some_and(|it| !it.queue.is_empty()) {
            self.step_oldest();
        }
        let done = self.backlog.take_if(|it| it.queue.is_empty());
        match (done, &self.backlog) {
            (Some(done), _) => Some(done.delivered),
            (None, None) => Some(0),
            (None, Some(_)) => None,
        }
    }

    /// Serves one range with the oldest broadcast, and takes that off the backlog when no range needs it any
    /// more; then true.
    fn step_oldest(&mut self) -> bool {
        let Some(backlog) = &mut self.backlog else {
            return true;
        };
        let Some(oldest) = backlog.queue.front().cloned() else {
            return true;
        };
        if let Some(range) = backlog.heard.iter().position(|heard| *heard == 0) {
            if let Some(heard) = backlog.heard.get_mut(range) {
                *heard = 1;
            }
            self.deliver_late(range, &oldest, None);
            return false;
        }
        backlog.queue.pop_front();
        for heard in &mut backlog.heard {
            *heard -= 1;
        }
        true
    }

    /// Delivers to one range what it hasn't heard. `origin` belongs to the newest broadcast.
    fn catch_up(&mut self, range: usize, origin: Option<Origin>) {
        let Some(backlog) = &mut self.backlog else {
            return;
        };
        let Some(heard) = backlog.heard.get_mut(range) else {
            return;
        };
        let from = std::mem::replace(heard, backlog.queue.len());
        let missed: Vec<_> = backlog.queue.iter().skip(from).cloned().collect();
        let newest = missed.len().wrapping_sub(1);
        for (at, broadcast) in missed.iter().enumerate() {
            self.deliver_late(range, broadcast, origin.filter(|_| at == newest));
        }
    }

    fn slots_of(&self, range: usize) -> Range<usize> {
        (range * RANGE).min(self.slots.len())..((range + 1) * RANGE).min(self.slots.len())
    }

    fn deliver_late(&mut self, range: usize, broadcast: &Arc<Broadcast>, origin: Option<Origin>) {
        let delivered = self.deliver(self.slots_of(range), broadcast, origin);
        if let Some(backlog) = &mut self.backlog {
            backlog.delivered += delivered;
        }
    }

    fn deliver(
        &self,
        slots: Range<usize>,
        broadcast: &Arc<Broadcast>,
        origin: Option<Origin>,
    ) -> usize {
        let mut delivered = 0;
        let skipped = origin.filter(|it| !it.echo).map(|it| it.slot as usize);
        for (index, slot) in slots.clone().zip(self.slots.get(slots).unwrap_or_default()) {
            if let Slot::Taken { subscriber, key } = slot
                && Some(index) != skipped
            {
                subscriber.deliver(*key, broadcast);
                delivered += 1;
            }
        }
        delivered
    }
}
