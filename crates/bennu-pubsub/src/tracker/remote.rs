//! The part of a tracker that knows of other nodes: what to tell them, and what they track.
//!
//! Which messages to believe isn't decided here; that is [`Peer`](super::peer::Peer)'s.

use std::{
    collections::{BTreeMap, HashSet},
    ops::Bound,
    sync::Arc,
    time::Instant,
};

use bennu_wire::Topic;
use serde_json::value::RawValue;

use super::{
    Replica, Tracker,
    dot::{Dot, Origin},
    draft::{ChangesDraft, Draft},
    log::{Change, Log},
    members::Members,
    message::{Changes, Span, Told, ToldMeta},
    meta::{Meta, Stamp, unstamped},
};

/// What a mirrored meta costs beside its texts, roughly.
const META_BYTES: usize = 280;

/// What a tracker has for the sake of other nodes.
#[derive(Debug)]
pub(super) struct Remote {
    log: Log,
    /// What other replicas track, by origin.
    mirrors: BTreeMap<Origin, Mirror>,
    /// What all mirrors cost.
    bytes: usize,
    /// Metas that were left out: there was no room for them, or they weren't what this node's own have to be.
    refused: usize,
}

/// What one other replica tracks, by version.
type Mirror = BTreeMap<u64, Mirrored>;

#[derive(Debug)]
struct Mirrored {
    topic: Topic,
    key: Arc<str>,
    bytes: usize,
    /// The meta, while its node is out of reach and it isn't among the topic's members: with the version it
    /// replaced.
    hidden: Option<(u64, Box<RawValue>)>,
}

impl Remote {
    pub(super) fn log(&mut self, change: Change) {
        self.log.push(change);
    }
}

impl Tracker {
    /// Has the tracker remember its newest changes, so that a [`Replication`](super::Replication) can tell other
    /// nodes of them, and take in what they track.
    pub fn replicate(&mut self) {
        self.remote.get_or_insert_with(|| {
            Box::new(Remote {
                log: Log::new(self.version, self.options.changes_max),
                mirrors: BTreeMap::new(),
                bytes: 0,
                refused: 0,
            })
        });
    }

    /// How many changes are remembered for other nodes: not more than
    /// [`PresenceOptions::changes_max`](super::PresenceOptions::changes_max).
    #[must_use]
    pub fn logged(&self) -> usize {
        self.remote.as_ref().map_or(0, |it| it.log.len())
    }

    /// How many metas of other nodes are known, whether they are shown or not.
    #[must_use]
    pub fn mirrored(&self) -> usize {
        let remote = self.remote.iter();
        remote
            .flat_map(|it| it.mirrors.values().map(BTreeMap::len))
            .sum()
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn trim_log(&mut self) {
        if let Some(remote) = &mut self.remote {
            remote.log.trim();
        }
    }

    /// Writes what changed after `from` until there are `bytes_max`, and says up to which version that is.
    /// `None` when it isn't known any more what changed.
    pub(super) fn write_delta(
        &self,
        shard: u64,
        from: u64,
        bytes_max: usize,
        draft: &mut Draft,
    ) -> Option<u64> {
        let mut to = from;
        let mut changes = ChangesDraft::new(from);
        for (version, change) in self.remote.as_ref()?.log.since(from)? {
            if changes.len() >= bytes_max {
                break;
            }
            let (gone, meta) = match change {
                Change::Added(topic, key) => (None, self.told(topic, key, version)),
                Change::Replaced(topic, key, gone) => (Some(*gone), self.told(topic, key, version)),
                Change::Removed(gone) => (Some(*gone), None),
            };
            if gone.is_some() || meta.is_some() {
                changes.push(Told {
                    version,
                    gone,
                    meta,
                });
            }
            to = version;
        }
        if to > from {
            draft.section(shard, Span::Delta { from, to }, &changes);
        }
        Some(to)
    }

    /// Writes what is there of versions above `after`, until there are `bytes_max`.
    pub(super) fn write_range(&self, shard: u64, after: u64, bytes_max: usize, draft: &mut Draft) {
        let places = self.places.iter().filter(|(_, version)| **version > after);
        let mut places: Vec<_> = places.map(|(place, version)| (*version, place)).collect();
        places.sort_unstable_by_key(|(version, _)| *version);
        let mut changes = ChangesDraft::new(after);
        let at = self.version;
        let mut upto = at;
        let mut last = after;
        for (version, (_, topic, key)) in places {
            if changes.len() >= bytes_max {
                upto = last;
                break;
            }
            let meta = self.told(topic, key, version);
            changes.push(Told {
                version,
                gone: None,
                meta,
            });
            last = version;
        }
        draft.section(shard, Span::Range { after, upto, at }, &changes);
    }

    fn told<'a>(&'a self, topic: &'a Topic, key: &'a str, version: u64) -> Option<ToldMeta<'a>> {
        let metas = self.topics.get(topic)?.keys.get(key)?;
        let (prev, json) = metas.get(Dot::own(version))?;
        Some(ToldMeta {
            prev,
            topic,
            key,
            members: unstamped(json.get(), prev != 0)?,
        })
    }

    /// From now on `origin` is this replica.
    pub(super) fn begin_mirror(&mut self, origin: Origin, replica: &Replica) {
        self.stamps.set(origin, Stamp::new(replica, &self.stream));
    }

    /// Takes in what changed at a replica after `have`, and shows what was `hidden`. The versions that are no more are
    /// put into `gone`.
    pub(super) fn apply_delta(
        &mut self,
        (origin, hidden): (Origin, bool),
        have: u64,
        changes: Changes<'_>,
        mut gone: Option<&mut HashSet<u64>>,
        now: Instant,
    ) {
        self.apply(origin, now, |edit| {
            edit.show_all(hidden);
            for told in changes.flatten().filter(|it| it.version > have) {
                if let Some(version) = told.gone {
                    edit.remove(version);
                    if let Some(gone) = &mut gone {
                        gone.insert(version);
                    }
                }
                if let Some(meta) = told.meta {
                    edit.add(told.version, meta);
                }
            }
        });
    }

    /// Takes in all that a replica has of versions above `after` and up to `upto`, but for what is `gone` since,
    /// and shows what was `hidden`.
    pub(super) fn apply_range(
        &mut self,
        (origin, hidden): (Origin, bool),
        (after, upto): (u64, u64),
        changes: Changes<'_>,
        gone: &HashSet<u64>,
        now: Instant,
    ) {
        self.apply(origin, now, |edit| {
            edit.show_all(hidden);
            let mut stale = edit.versions(after, upto).into_iter().peekable();
            for told in changes.flatten() {
                while let Some(version) = stale.next_if(|it| *it < told.version) {
                    edit.remove(version);
                }
                stale.next_if_eq(&told.version);
                if let Some(meta) = told.meta.filter(|_| !gone.contains(&told.version)) {
                    edit.add(told.version, meta);
                }
            }
            for version in stale {
                edit.remove(version);
            }
        });
    }

    /// Takes what a replica tracks from its topics, but keeps it.
    pub(super) fn hide(&mut self, origin: Origin, now: Instant) {
        self.apply(origin, now, |edit| {
            for version in edit.versions(0, u64::MAX) {
                edit.hide(version);
            }
        });
    }

    /// Puts back what was hidden.
    pub(super) fn show(&mut self, origin: Origin, now: Instant) {
        self.apply(origin, now, |edit| edit.show_all(true));
    }

    /// Forgets what a replica tracks.
    pub(super) fn end_mirror(&mut self, origin: Origin, now: Instant) {
        self.apply(origin, now, |edit| {
            for version in edit.versions(0, u64::MAX) {
                edit.remove(version);
            }
        });
        if let Some(remote) = &mut self.remote {
            remote.mirrors.remove(&origin);
        }
    }

    /// Forgets what a replica tracks by versions above `after`.
    pub(super) fn drop_after(&mut self, origin: Origin, after: u64, now: Instant) {
        self.apply(origin, now, |edit| {
            for version in edit.versions(after, u64::MAX) {
                edit.remove(version);
            }
        });
    }

    /// How many metas were left out since this was asked last.
    pub(super) fn take_refused(&mut self) -> usize {
        let remote = self.remote.as_mut();
        remote.map_or(0, |it| std::mem::take(&mut it.refused))
    }

    fn apply(&mut self, origin: Origin, now: Instant, change: impl FnOnce(&mut Edit<'_>)) {
        let Some(mut remote) = self.remote.take() else {
            return;
        };
        let mirror = remote.mirrors.remove(&origin).unwrap_or_default();
        let mut edit = Edit {
            tracker: self,
            remote: &mut remote,
            mirror,
            origin,
            touched: Vec::new(),
        };
        change(&mut edit);
        let Edit {
            mirror,
            mut touched,
            ..
        } = edit;
        if !mirror.is_empty() {
            remote.mirrors.insert(origin, mirror);
        }
        self.remote = Some(remote);
        touched.sort_unstable();
        touched.dedup();
        for topic in touched {
            self.settle(&topic, now);
        }
    }
}

/// A mirror that is being changed, and the members of topics with it.
struct Edit<'a> {
    tracker: &'a mut Tracker,
    remote: &'a mut Remote,
    mirror: Mirror,
    origin: Origin,
    /// Topics that have changed.
    touched: Vec<Topic>,
}

impl Edit<'_> {
    fn versions(&self, after: u64, upto: u64) -> Vec<u64> {
        let bounds = (Bound::Excluded(after), Bound::Included(upto.max(after + 1)));
        let versions = self.mirror.range(bounds).map(|(version, _)| *version);
        versions.filter(|it| *it <= upto).collect()
    }

    fn add(&mut self, version: u64, told: ToldMeta<'_>) {
        if self.mirror.contains_key(&version) {
            return;
        }
        let bytes = META_BYTES + told.topic.len() + told.key.len() + told.members.len();
        let Some(meta) = self.admit(told, bytes) else {
            self.remote.refused += 1;
            return;
        };
        let dot = Dot::new(self.origin, version);
        let stamps = &self.tracker.stamps;
        let prev = (told.prev != 0).then(|| stamps.of(Dot::new(self.origin, told.prev)));
        let json = meta.stamped(stamps.of(dot), prev);
        let topics = &self.tracker.topics;
        let topic = topics.get_key_value(told.topic);
        let topic = topic.map_or_else(|| told.topic.into(), |(topic, _)| topic.clone());
        let members = self.tracker.topics.entry(topic.clone()).or_default();
        let key = members.keys.get_key_value(told.key);
        let key: Arc<str> = key.map_or_else(|| told.key.into(), |(key, _)| key.clone());
        self.tracker.came += 1;
        members.add(key.clone(), dot, told.prev, json, self.tracker.came);
        self.remote.bytes += bytes;
        self.touch(&topic);
        let mirrored = Mirrored {
            topic,
            key,
            bytes,
            hidden: None,
        };
        self.mirror.insert(version, mirrored);
    }

    /// The meta that a node told of, if there's room for it and it keeps to what holds for those of this node.
    ///
    /// One that doesn't is left out by itself. If the message were dropped, what else is in it would be missing, and be
    /// asked for again and again.
    fn admit(&self, told: ToldMeta<'_>, bytes: usize) -> Option<Meta> {
        let options = &self.tracker.options;
        if self.remote.bytes + bytes > options.remote_bytes_max
            || told.members.len() > options.meta_bytes_max
        {
            return None;
        }
        let meta = Meta::from_members(told.members)?;
        self.tracker.check(told.key, &meta).ok()?;
        Some(meta)
    }

    fn remove(&mut self, version: u64) {
        let Some(gone) = self.mirror.remove(&version) else {
            return;
        };
        self.remote.bytes = self.remote.bytes.saturating_sub(gone.bytes);
        if let Some(members) = self.tracker.topics.get_mut(&gone.topic) {
            let dot = Dot::new(self.origin, version);
            members.take(&gone.key, dot, &self.tracker.stamps);
            members.forget_key(&gone.key);
            self.touch(&gone.topic);
        }
    }

    fn hide(&mut self, version: u64) {
        let dot = Dot::new(self.origin, version);
        let Some(mirrored) = self.mirror.get_mut(&version) else {
            return;
        };
        let Some(members) = self.tracker.topics.get_mut(&mirrored.topic) else {
            return;
        };
        let Some((prev, json)) = meta(members, &mirrored.key, dot) else {
            return;
        };
        mirrored.hidden = Some((prev, json.to_owned()));
        members.take(&mirrored.key, dot, &self.tracker.stamps);
        members.forget_key(&mirrored.key);
        let topic = mirrored.topic.clone();
        self.touch(&topic);
    }

    fn show_all(&mut self, hidden: bool) {
        let versions = if hidden {
            self.versions(0, u64::MAX)
        } else {
            Vec::new()
        };
        for version in versions {
            self.show(version);
        }
    }

    fn show(&mut self, version: u64) {
        let Some(mirrored) = self.mirror.get_mut(&version) else {
            return;
        };
        let Some((prev, json)) = mirrored.hidden.take() else {
            return;
        };
        let (topic, key) = (mirrored.topic.clone(), mirrored.key.clone());
        let members = self.tracker.topics.entry(topic.clone()).or_default();
        self.tracker.came += 1;
        let dot = Dot::new(self.origin, version);
        members.add(key, dot, prev, json, self.tracker.came);
        if let Some(pending) = &mut members.pending {
            pending.back = true;
        }
        self.touch(&topic);
    }

    fn touch(&mut self, topic: &Topic) {
        if self.touched.last() != Some(topic) {
            self.touched.push(topic.clone());
        }
    }
}

fn meta<'a>(members: &'a Members, key: &str, dot: Dot) -> Option<(u64, &'a RawValue)> {
    members.keys.get(key)?.get(dot)
}
