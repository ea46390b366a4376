//! Who is present in one topic, by key.

use std::{collections::HashMap, fmt, sync::Arc};

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::{
    PresenceEntry, PresenceMeta,
    dot::{Dot, Stamps},
    metas::Metas,
    pending::Pending,
};

/// Below this many keys a map's storage isn't given back.
const KEYS_KEPT: usize = 64;

/// One topic.
#[derive(Default)]
pub(super) struct Members {
    pub(super) keys: HashMap<Arc<str>, Metas>,
    /// Metas of all keys.
    pub(super) len: usize,
    /// Only while there's something to publish, or a window is open.
    pub(super) pending: Option<Box<Pending>>,
}

impl Members {
    /// Adds a meta; `now` counts what came to the tracker, this included.
    pub(super) fn add(
        &mut self,
        key: Arc<str>,
        dot: Dot,
        prev: u64,
        json: Box<RawValue>,
        now: u64,
    ) {
        if self
            .keys
            .entry(key.clone())
            .or_default()
            .add(dot, prev, json)
        {
            self.len += 1;
            let pending = self.pending.get_or_insert_default();
            pending.joins.insert(dot, (key, now));
        }
    }

    /// Takes a meta out, and returns what its successor replaces.
    pub(super) fn take(&mut self, key: &Arc<str>, dot: Dot, stamps: &Stamps) -> Option<u64> {
        let taken = self.keys.get_mut(key)?.take(dot)?;
        self.len -= 1;
        let pending = self.pending.get_or_insert_default();
        let untold = pending.joins.remove(&dot);
        if untold.is_some_and(|(_, came)| came > pending.shown) {
            // Nobody knows of it: it's as if its predecessor had been replaced, or nothing had.
            return Some(taken.prev);
        }
        let meta = PresenceMeta {
            json: taken.json,
            phx_ref: stamps.of(dot),
        };
        pending.leaves.push((key.clone(), meta));
        Some(dot.version())
    }

    pub(super) fn forget_key(&mut self, key: &str) {
        if self.keys.get(key).is_some_and(|it| it.len() == 0) {
            self.keys.remove(key);
        }
        if self.keys.capacity() > KEYS_KEPT.max(4 * self.keys.len()) {
            self.keys.shrink_to(2 * self.keys.len());
        }
    }
}

pub(super) fn tracked(stamps: &Stamps, dot: Dot, json: &RawValue) -> PresenceMeta {
    PresenceMeta {
        json: json.to_owned(),
        phx_ref: stamps.of(dot),
    }
}

pub(super) fn entry(metas: &Metas, stamps: &Stamps) -> PresenceEntry {
    let metas = metas.sorted(stamps);
    PresenceEntry::new(
        metas
            .map(|(dot, json)| tracked(stamps, dot, json))
            .collect(),
    )
}

/// What is present in a topic, borrowed: see [`Tracker::listing`](super::Tracker::listing).
#[derive(Clone, Copy)]
pub struct Listing<'a>(Option<&'a Members>, &'a Stamps);

struct Listed<'a>(&'a Metas, &'a Stamps);
struct ListedMetas<'a>(&'a Metas, &'a Stamps);

impl<'a> Listing<'a> {
    pub(super) fn new(members: Option<&'a Members>, stamps: &'a Stamps) -> Self {
        Self(members, stamps)
    }
}

impl Serialize for Listing<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let keys = self.0.into_iter().flat_map(|it| &it.keys);
        serializer.collect_map(keys.map(|(key, metas)| (&**key, Listed(metas, self.1))))
    }
}

impl Serialize for Listed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([("metas", ListedMetas(self.0, self.1))])
    }
}

impl Serialize for ListedMetas<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.sorted(self.1).map(|(_, json)| json))
    }
}

impl fmt::Debug for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listing")
            .field("len", &self.0.map_or(0, |it| it.len))
            .finish_non_exhaustive()
    }
}
