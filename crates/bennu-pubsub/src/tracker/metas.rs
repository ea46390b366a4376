//! The metas of one key, by origin and age.

use serde_json::value::RawValue;

use super::dot::{Dot, Stamps};

/// Below this many, a gap is closed at once.
const GAPS_MIN: usize = 8;

/// Metas by dot. Versions only grow, so where all metas are tracked on one node a new one goes to the end and
/// the list is sorted by age.
///
/// A meta that goes leaves a gap, and gaps are closed when half of the list is gaps. So removing costs the same
/// for two metas as for ten thousand, as when all guests of a site go by one key.
#[derive(Default)]
pub(super) struct Metas {
    slots: Vec<Slot>,
    len: usize,
}

struct Slot {
    dot: Dot,
    /// The version it replaced; 0 when it replaced none.
    prev: u64,
    json: Option<Box<RawValue>>,
}

impl Slot {
    fn meta(&self) -> Option<(Dot, &RawValue)> {
        Some((self.dot, self.json.as_deref()?))
    }
}

/// A meta that was taken out.
pub(super) struct Taken {
    pub(super) prev: u64,
    pub(super) json: Box<RawValue>,
}

impl Metas {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds a meta, the newest of its origin as a rule. True when there was none of that dot.
    pub(super) fn add(&mut self, dot: Dot, prev: u64, json: Box<RawValue>) -> bool {
        let slot = Slot {
            dot,
            prev,
            json: Some(json),
        };
        if self.slots.last().is_none_or(|it| it.dot < dot) {
            self.make_room();
            self.slots.push(slot);
        } else {
            match self.find(dot) {
                Ok(at) => match self.slots.get_mut(at) {
                    // A gap: what was hidden comes back.
                    Some(gap) if gap.json.is_none() => *gap = slot,
                    _ => return false,
                },
                Err(at) => {
                    self.make_room();
                    self.slots.insert(at, slot);
                }
            }
        }
        self.len += 1;
        true
    }

    /// A meta, and the version it replaced.
    pub(super) fn get(&self, dot: Dot) -> Option<(u64, &RawValue)> {
        let slot = self.slots.get(self.find(dot).ok()?)?;
        Some((slot.prev, slot.json.as_deref()?))
    }

    pub(super) fn take(&mut self, dot: Dot) -> Option<Taken> {
        let at = self.find(dot).ok()?;
        let slot = self.slots.get_mut(at)?;
        let taken = Taken {
            prev: slot.prev,
            json: slot.json.take()?,
        };
        self.len -= 1;
        if self.slots.len() <= GAPS_MIN || self.slots.len() >= 2 * self.len {
            self.slots.retain(|it| it.json.is_some());
            if self.slots.capacity() > 4 * self.len.max(1) {
                self.slots.shrink_to(2 * self.len);
            }
        }
        Some(taken)
    }

    /// Dot and text of each, in the order that all nodes have: by replica, oldest first.
    pub(super) fn sorted(&self, stamps: &Stamps) -> impl Iterator<Item = (Dot, &RawValue)> {
        let (first, last) = (self.slots.first(), self.slots.last());
        let one_origin = first.map(|it| it.dot.origin()) == last.map(|it| it.dot.origin());
        let mut mixed = Vec::new();
        if !one_origin {
            mixed.extend(self.slots.iter().filter_map(Slot::meta));
            mixed.sort_unstable_by_key(|(dot, _)| stamps.order(*dot));
        }
        let unmixed: &[Slot] = if one_origin { &self.slots } else { &[] };
        mixed
            .into_iter()
            .chain(unmixed.iter().filter_map(Slot::meta))
    }

    /// `Vec` would start with room for four; nearly all keys have one meta.
    fn make_room(&mut self) {
        if self.slots.len() == self.slots.capacity() {
            self.slots.reserve_exact(self.slots.len().max(1));
        }
    }

    fn find(&self, dot: Dot) -> Result<usize, usize> {
        self.slots.binary_search_by_key(&dot, |it| it.dot)
    }
}
