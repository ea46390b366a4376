//! Presences as values: what is listed, and what joined and left.

use std::{
    collections::{BTreeMap, btree_map},
    fmt,
    sync::Arc,
};

use bennu_wire::{Payload, Topic};
use serde::{Serialize, Serializer, de::DeserializeOwned, ser::SerializeMap};
use serde_json::value::RawValue;

use super::{PresenceError, PresenceMeta};

/// Presences by key, in the order of their keys. It serializes to `{"<key>": {"metas": [...], ...}}`.
#[derive(Clone, Debug, Default)]
pub struct Presences(BTreeMap<Arc<str>, PresenceEntry>);

impl Presences {
    /// One key's presences.
    #[must_use]
    pub fn one(key: &str, entry: PresenceEntry) -> Self {
        Self(BTreeMap::from([(key.into(), entry)]))
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is present under `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&PresenceEntry> {
        self.0.get(key)
    }

    /// The keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|it| &**it)
    }

    /// Keys and what is present under them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &PresenceEntry)> {
        self.0.iter().map(|(key, entry)| (&**key, entry))
    }

    /// As [`iter`](Self::iter), to add fields to the entries.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut PresenceEntry)> {
        self.0.iter_mut().map(|(key, entry)| (&**key, entry))
    }

    /// Removes the keys for which `keep` is false.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &mut PresenceEntry) -> bool) {
        self.0.retain(|key, entry| keep(key, entry));
    }

    pub(super) fn push(&mut self, key: &Arc<str>, meta: PresenceMeta) {
        match self.0.entry(key.clone()) {
            btree_map::Entry::Occupied(entry) => entry.into_mut().metas.push(meta),
            btree_map::Entry::Vacant(entry) => {
                entry.insert(PresenceEntry::default()).metas.push(meta)
            }
        }
    }

    pub(super) fn insert(&mut self, key: Arc<str>, entry: PresenceEntry) {
        self.0.insert(key, entry);
    }

    fn append(&mut self, other: Self) {
        for (key, entry) in other.0 {
            self.0.entry(key).or_default().metas.extend(entry.metas);
        }
    }

    /// Removes the metas that `other` has as well, and the keys left without metas.
    fn remove(&mut self, other: &Self) {
        for (key, gone) in &other.0 {
            let Some(entry) = self.0.get_mut(key) else {
                continue;
            };
            let refs: std::collections::HashSet<_> =
                gone.metas.iter().map(PresenceMeta::phx_ref).collect();
            entry.metas.retain(|it| !refs.contains(&it.phx_ref));
            if entry.metas.is_empty() {
                self.0.remove(key);
            }
        }
    }
}

impl Serialize for Presences {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

/// What is present under one key: a meta for each time it was tracked, oldest first, and what `fetch` added.
#[derive(Clone, Debug, Default)]
pub struct PresenceEntry {
    metas: Vec<PresenceMeta>,
    fields: BTreeMap<Box<str>, Box<RawValue>>,
}

impl PresenceEntry {
    pub(super) fn new(metas: Vec<PresenceMeta>) -> Self {
        Self {
            metas,
            fields: BTreeMap::new(),
        }
    }

    /// The metas, oldest first.
    #[must_use]
    pub fn metas(&self) -> &[PresenceMeta] {
        &self.metas
    }

    /// Adds a field beside `metas`, or replaces it.
    ///
    /// # Errors
    /// When the value has no JSON form, or the field is called `metas`.
    pub fn put<T: Serialize + ?Sized>(
        &mut self,
        field: &str,
        value: &T,
    ) -> Result<(), PresenceError> {
        if field == "metas" {
            return Err(PresenceError::Field("`metas` is taken".to_owned()));
        }
        let json = serde_json::value::to_raw_value(value)
            .map_err(|error| PresenceError::Field(error.to_string()))?;
        self.fields.insert(field.into(), json);
        Ok(())
    }

    /// Deserializes a field that was put. `None` when there's none of that type.
    #[must_use]
    pub fn field<T: DeserializeOwned>(&self, field: &str) -> Option<T> {
        Payload::Json(self.fields.get(field)?.clone()).decode().ok()
    }
}

impl Serialize for PresenceEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.fields.len() + 1))?;
        map.serialize_entry("metas", &self.metas)?;
        for (field, value) in &self.fields {
            map.serialize_entry(field, value)?;
        }
        map.end()
    }
}

/// What changed in one topic. It serializes to `{"joins": {...}, "leaves": {...}}`.
#[derive(Clone)]
pub struct PresenceDiff {
    /// Where.
    pub topic: Topic,
    /// Metas that are there now.
    pub joins: Presences,
    /// Metas that are gone. A meta that was replaced is here, and its successor in `joins`.
    pub leaves: Presences,
    /// The keys of both, with all the metas they have now: for a tracker that was asked for it by
    /// [`PresenceOptions::after`](super::PresenceOptions::after).
    pub after: Presences,
}

impl PresenceDiff {
    /// Adds what changed later. What came and went in between is in `leaves` alone: who was told of it by a
    /// list forgets it, and others ignore it. What went and came back, as when the node that tracks it was out of
    /// reach, is in `joins` alone.
    pub fn merge(&mut self, later: Self) {
        self.joins.remove(&later.leaves);
        self.leaves.remove(&later.joins);
        self.joins.append(later.joins);
        for key in later.leaves.keys() {
            self.after.0.remove(key);
        }
        self.leaves.append(later.leaves);
        self.after.0.extend(later.after.0);
    }
}

impl Serialize for PresenceDiff {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("joins", &self.joins)?;
        map.serialize_entry("leaves", &self.leaves)?;
        map.end()
    }
}

impl fmt::Debug for PresenceDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresenceDiff")
            .field("topic", &self.topic)
            .field("joins", &self.joins)
            .field("leaves", &self.leaves)
            .finish_non_exhaustive()
    }
}
