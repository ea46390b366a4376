//! The metas of one key, oldest first.

use serde_json::value::RawValue;

/// Below this many, a gap is closed at once.
const GAPS_MIN: usize = 8;

/// Metas by version. Versions only grow, so a new one goes to the end and the list is sorted by age.
///
/// A meta that goes leaves a gap, and gaps are closed when half of the list is gaps. So removing costs the same
/// for two metas as for ten thousand, as when all guests of a site go by one key.
#[derive(Default)]
pub(super) struct Metas {
    slots: Vec<Slot>,
    len: usize,
}

struct Slot {
    version: u64,
    /// The version it replaced; 0 when it replaced none.
    prev: u64,
    json: Option<Box<RawValue>>,
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

    /// Adds the newest.
    pub(super) fn push(&mut self, version: u64, prev: u64, json: Box<RawValue>) {
        // `Vec` would start with room for four; nearly all keys have one meta.
        if self.slots.len() == self.slots.capacity() {
            self.slots.reserve_exact(self.slots.len().max(1));
        }
        let json = Some(json);
        self.slots.push(Slot {
            version,
            prev,
            json,
        });
        self.len += 1;
    }

    pub(super) fn get(&self, version: u64) -> Option<&RawValue> {
        self.slots.get(self.find(version)?)?.json.as_deref()
    }

    pub(super) fn take(&mut self, version: u64) -> Option<Taken> {
        let at = self.find(version)?;
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

    /// Version and text of each, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &RawValue)> {
        self.slots
            .iter()
            .filter_map(|it| Some((it.version, it.json.as_deref()?)))
    }

    fn find(&self, version: u64) -> Option<usize> {
        self.slots
            .binary_search_by_key(&version, |it| it.version)
            .ok()
    }
}
