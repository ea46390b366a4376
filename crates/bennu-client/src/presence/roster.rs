//! The algorithm by which a client's list follows the server's, as a value.

use std::collections::{BTreeMap, HashSet};

use bennu_wire::Payload;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Meta, PresenceChange, Present};

/// Who is there, as far as the server has said.
#[derive(Debug)]
pub(super) struct Roster {
    list: BTreeMap<String, Present>,
    /// Of the list, about.
    bytes: usize,
    bytes_max: usize,
    /// Diffs that came before the state of this join: a diff that is part of it may overtake it. `None` once it has come.
    /// They're kept as they came, since that is smaller.
    early: Option<Vec<Payload>>,
    early_bytes: usize,
    incomplete: bool,
}

type Keys = BTreeMap<String, Present>;

#[derive(Debug)]
struct Diff {
    joins: Keys,
    leaves: Keys,
}

impl Roster {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            list: BTreeMap::new(),
            bytes: 0,
            bytes_max,
            early: Some(Vec::new()),
            early_bytes: 0,
            incomplete: false,
        }
    }

    pub(super) fn list(&self) -> &BTreeMap<String, Present> {
        &self.list
    }

    /// As it was counted, and as it is.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn bytes(&self) -> usize {
        let list = self.list.iter();
        let bytes = list.map(|(key, it)| entry_bytes(key, it)).sum::<usize>();
        assert_eq!(self.bytes, bytes);
        bytes
    }

    pub(super) fn is_incomplete(&self) -> bool {
        self.incomplete
    }

    /// A join: what is known stays until the server tells the state anew.
    pub(super) fn joined(&mut self) {
        self.early = Some(Vec::new());
        self.early_bytes = 0;
        self.incomplete = false;
    }

    /// All who are there. What isn't in it has left.
    pub(super) fn state(&mut self, payload: &Payload) -> Vec<PresenceChange> {
        let Some(new) = self.parsed(keys(payload)) else {
            return Vec::new();
        };
        let mut diff = Diff {
            joins: Keys::new(),
            leaves: Keys::new(),
        };
        for (key, present) in &self.list {
            let kept = new.get(key).map(refs).unwrap_or_default();
            let gone = without(present, &kept);
            if !gone.metas.is_empty() {
                diff.leaves.insert(key.clone(), gone);
            }
        }
        for (key, present) in new {
            let known = self.list.get(&key).map(refs).unwrap_or_default();
            let came = without(&present, &known);
            if !came.metas.is_empty() {
                diff.joins.insert(key, came);
            } else {
                self.update(&key, present.fields);
            }
        }
        let mut changes = Vec::new();
        self.apply(diff, &mut changes);
        self.early_bytes = 0;
        for diff in self.early.take().unwrap_or_default() {
            changes.extend(self.diff(&diff));
        }
        changes
    }

    /// Who came and went since.
    pub(super) fn diff(&mut self, payload: &Payload) -> Vec<PresenceChange> {
        let mut changes = Vec::new();
        if let Some(early) = &mut self.early {
            self.early_bytes += size_of::<Payload>() + payload.len();
            // A server that never tells the state shall not fill our memory with its changes.
            if self.early_bytes > self.bytes_max {
                self.incomplete = true;
            } else {
                early.push(payload.clone());
            }
        } else if let Some(diff) = self.parsed(Diff::parse(payload)) {
            self.apply(diff, &mut changes);
        }
        changes
    }

    fn parsed<T>(&mut self, parsed: Option<T>) -> Option<T> {
        if parsed.is_none() {
            self.incomplete = true;
        }
        parsed
    }

    fn apply(&mut self, diff: Diff, changes: &mut Vec<PresenceChange>) {
        for (key, joined) in diff.joins {
            self.join(key, joined, changes);
        }
        for (key, left) in diff.leaves {
            self.leave(key, &left, changes);
        }
    }

    /// The fields beside a key's metas, when these are as they were.
    fn update(&mut self, key: &str, new: BTreeMap<String, Payload>) {
        let Some(present) = self.list.get_mut(key) else {
            return;
        };
        let bytes = self.bytes - fields_bytes(&present.fields) + fields_bytes(&new);
        if bytes > self.bytes_max {
            self.incomplete = true;
            return;
        }
        self.bytes = bytes;
        present.fields = new;
    }

    /// The new metas come behind those that are known and not among them.
    fn join(&mut self, key: String, joined: Present, changes: &mut Vec<PresenceChange>) {
        let bytes = entry_bytes(&key, &joined);
        if self.bytes + bytes > self.bytes_max {
            self.incomplete = true;
            return;
        }
        self.bytes += bytes;
        let old = self.list.remove(&key);
        let first = old.is_none();
        let new = refs(&joined);
        let known = old.as_ref().map(refs).unwrap_or_default();
        let came = without(&joined, &known).metas;
        let mut metas = old.as_ref().map(|it| without(it, &new).metas);
        drop((new, known));
        self.bytes -= old.as_ref().map_or(0, |it| entry_bytes(&key, it));
        self.bytes += metas.iter().flatten().map(Meta::bytes).sum::<usize>();
        let Present {
            metas: joined,
            fields,
        } = joined;
        let metas = match metas.take() {
            Some(mut metas) => {
                metas.extend(joined);
                metas
            }
            None => joined,
        };
        self.list.insert(key.clone(), Present { metas, fields });
        if !came.is_empty() {
            changes.push(PresenceChange::Joined {
                key,
                metas: came,
                first,
            });
        }
    }

    fn leave(&mut self, key: String, left: &Present, changes: &mut Vec<PresenceChange>) {
        let Some(present) = self.list.get_mut(&key) else {
            return;
        };
        let gone = refs(left);
        let (left, stay): (Vec<_>, Vec<_>) = std::mem::take(&mut present.metas)
            .into_iter()
            .partition(|it| gone.contains(&*it.phx_ref));
        self.bytes -= left.iter().map(Meta::bytes).sum::<usize>();
        let last = stay.is_empty();
        present.metas = stay;
        if last && let Some(present) = self.list.remove(&key) {
            self.bytes -= entry_bytes(&key, &present);
        }
        if !left.is_empty() {
            changes.push(PresenceChange::Left {
                key,
                metas: left,
                last,
            });
        }
    }
}

fn refs(present: &Present) -> HashSet<&str> {
    present.metas.iter().map(|it| &*it.phx_ref).collect()
}

fn without(present: &Present, refs: &HashSet<&str>) -> Present {
    let metas = present.metas.iter();
    Present {
        metas: metas
            .filter(|it| !refs.contains(&*it.phx_ref))
            .cloned()
            .collect(),
        fields: present.fields.clone(),
    }
}

/// What an entry of the list occupies, about.
fn entry_bytes(key: &str, present: &Present) -> usize {
    let metas: usize = present.metas.iter().map(Meta::bytes).sum();
    size_of::<(String, Present)>() + key.len() + metas + fields_bytes(&present.fields)
}

fn fields_bytes(fields: &BTreeMap<String, Payload>) -> usize {
    let fields = fields.iter();
    let fields = fields.map(|(name, it)| size_of::<(String, Payload)>() + name.len() + it.len());
    fields.sum()
}

impl Diff {
    fn parse(payload: &Payload) -> Option<Self> {
        #[derive(Deserialize)]
        struct Raw {
            joins: Box<RawValue>,
            leaves: Box<RawValue>,
        }
        let Raw { joins, leaves } = payload.decode().ok()?;
        Some(Self {
            joins: keys(&joins.into())?,
            leaves: keys(&leaves.into())?,
        })
    }
}

fn keys(payload: &Payload) -> Option<Keys> {
    let raw: BTreeMap<String, BTreeMap<String, Box<RawValue>>> = payload.decode().ok()?;
    raw.into_iter()
        .map(|(key, fields)| Some((key, present(fields)?)))
        .collect()
}

fn present(mut fields: BTreeMap<String, Box<RawValue>>) -> Option<Present> {
    #[derive(Deserialize)]
    struct Named {
        phx_ref: String,
    }
    let metas = Payload::from(fields.remove("metas")?);
    let metas: Vec<Box<RawValue>> = metas.decode().ok()?;
    let metas = metas.into_iter().map(|raw| {
        let payload = Payload::from(raw);
        let Named { phx_ref } = payload.decode().ok()?;
        Some(Meta { phx_ref, payload })
    });
    Some(Present {
        metas: metas.collect::<Option<_>>()?,
        fields: fields
            .into_iter()
            .map(|(name, raw)| (name, raw.into()))
            .collect(),
    })
}
