//! Who is where: presences of topics, as a state that is told of events and of the time.
//!
//! A [`Tracker`] reads no clock and sends nothing: it is told what to track and what time it is, and is asked
//! for [`PresenceDiff`]s to publish and for the next time to call back. A [`Roster`] drives several of them.
//!
//! Every change has a *version*, a number that only grows, and every tracker is the only one to make its
//! versions. So what changed between two versions can be cut out for other nodes: a [`Replication`] keeps the
//! trackers of many nodes alike.

mod diff;
mod dot;
mod draft;
mod gossip;
mod log;
mod members;
mod message;
mod meta;
mod metas;
mod options;
mod peer;
mod pending;
mod remote;
mod replication;
mod roster;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque, btree_map::Entry},
    fmt,
    ops::Bound,
    sync::Arc,
    time::Instant,
};

use bennu_wire::Topic;

pub(crate) use gossip::Hub;
pub use gossip::RosterStats;

pub use diff::{PresenceDiff, PresenceEntry, Presences};
pub use members::Listing;
pub use message::{Message, MessageError};
pub use meta::{Meta, PresenceMeta, PresenceRef, Replica};
pub use options::{PresenceError, PresenceOptions};
pub use replication::{Output, ReplicaEvent, Replication, Shards};
pub use roster::{Member, Roster};

use dot::{Dot, Stamps};
use log::Change;
use members::{Members, entry, tracked};
use meta::Stamp;
use metas::Metas;
use remote::Remote;

/// Who tracks: what an owner tracks ends with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner(pub u64);

/// The presences of some topics, as pure state. Phoenix's `Phoenix.Tracker.State` and `Shard`.
///
/// ```
/// use std::time::Instant;
/// use bennu_pubsub::tracker::{Meta, Owner, PresenceOptions, Replica, Tracker};
///
/// let now = Instant::now();
/// let replica = Replica { node: "a".into(), start: 1 };
/// let mut tracker = Tracker::new(&replica, "", PresenceOptions::new());
/// let online = Meta::new(&serde_json::json!({"status": "online"}))?;
/// let phx_ref = tracker.track(Owner(1), &"room:7".into(), "ana", &online, now)?;
///
/// let diff = tracker.poll_diff().unwrap();
/// assert_eq!(
///     serde_json::to_string(&diff)?,
///     format!(r#"{{"joins":{{"ana":{{"metas":[{{"status":"online","phx_ref":"{phx_ref}"}}]}}}},"leaves":{{}}}}"#)
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Tracker {
    stamps: Stamps,
    stream: Box<str>,
    options: PresenceOptions,
    /// The version of the newest change.
    version: u64,
    /// How many metas came so far, whoever tracks them.
    came: u64,
    topics: HashMap<Topic, Members>,
    /// Which version an owner has under a key. In one tree for all owners, since most own one key: a map or a
    /// list for each would cost more than what's in it.
    places: BTreeMap<Place, u64>,
    /// When windows end, soonest first: all are equally long. One that was ended before its time stays here.
    deadlines: VecDeque<(Instant, Topic)>,
    /// To be published, in this order.
    diffs: VecDeque<PresenceDiff>,
    /// Topics with changes for which there was no room among the diffs, and when that was.
    late: VecDeque<(Instant, Topic)>,
    /// Only where there are other nodes: nothing of it is paid for by a node that is alone.
    remote: Option<Box<Remote>>,
}

type Place = (Owner, Topic, Arc<str>);

/// Diffs that wait to be published. Beyond, changes wait in their topics, where those of one cancel out.
const DIFFS_MAX: usize = 64;

impl Tracker {
    /// A tracker without presences. `stream` tells the trackers of one replica apart: no two of them make the
    /// same refs.
    #[must_use]
    pub fn new(replica: &Replica, stream: &str, options: PresenceOptions) -> Self {
        Self {
            stamps: Stamps::new(Stamp::new(replica, stream)),
            stream: stream.into(),
            options,
            version: 0,
            came: 0,
            topics: HashMap::new(),
            places: BTreeMap::new(),
            deadlines: VecDeque::new(),
            diffs: VecDeque::new(),
            late: VecDeque::new(),
            remote: None,
        }
    }

    /// Adds a presence of `owner` under `key`. Phoenix's `track/5`.
    ///
    /// # Errors
    /// When the owner has one there, or key or meta are too long.
    pub fn track(
        &mut self,
        owner: Owner,
        topic: &Topic,
        key: &str,
        meta: &Meta,
        now: Instant,
    ) -> Result<PresenceRef, PresenceError> {
        self.check(key, meta)?;
        let members = self.topics.entry(topic.clone()).or_default();
        let shared = members
            .keys
            .get_key_value(key)
            .map_or_else(|| key.into(), |(key, _)| key.clone());
        let version = self.version + 1;
        match self.places.entry((owner, topic.clone(), shared.clone())) {
            Entry::Occupied(_) => return Err(PresenceError::AlreadyTracked),
            Entry::Vacant(place) => place.insert(version),
        };
        self.version = version;
        self.came += 1;
        let dot = Dot::own(version);
        let phx_ref = self.stamps.of(dot);
        if let Some(remote) = &mut self.remote {
            remote.log(Change::Added(topic.clone(), shared.clone()));
        }
        members.add(shared, dot, 0, meta.stamped(phx_ref, None), self.came);
        self.settle(topic, now);
        Ok(phx_ref)
    }

    /// Replaces the meta of a presence, which becomes the newest of its key. Phoenix's `update/5`.
    ///
    /// # Errors
    /// When the owner has none there, or the meta is too long.
    pub fn update(
        &mut self,
        owner: Owner,
        topic: &Topic,
        key: &str,
        meta: &Meta,
        now: Instant,
    ) -> Result<PresenceRef, PresenceError> {
        self.check(key, meta)?;
        let (members, place) =
            find(&mut self.topics, owner, topic, key).ok_or(PresenceError::NotTracked)?;
        let at = self
            .places
            .get_mut(&place)
            .ok_or(PresenceError::NotTracked)?;
        self.version += 1;
        let version = self.version;
        self.came += 1;
        let replaced = std::mem::replace(at, version);
        let stamps = &self.stamps;
        let prev = members.take(&place.2, Dot::own(replaced), stamps);
        let prev = prev.unwrap_or(0);
        let phx_ref = stamps.of(Dot::own(version));
        let prev_ref = (prev != 0).then(|| stamps.of(Dot::own(prev)));
        if let Some(remote) = &mut self.remote {
            remote.log(Change::Replaced(topic.clone(), place.2.clone(), replaced));
        }
        let json = meta.stamped(phx_ref, prev_ref);
        members.add(place.2, Dot::own(version), prev, json, self.came);
        self.settle(topic, now);
        Ok(phx_ref)
    }

    /// Removes a presence; true when there was one. Phoenix's `untrack/4`.
    pub fn untrack(&mut self, owner: Owner, topic: &Topic, key: &str, now: Instant) -> bool {
        let Some((_, place)) = find(&mut self.topics, owner, topic, key) else {
            return false;
        };
        let there = self.remove(&place);
        self.settle(topic, now);
        there
    }

    /// Removes all presences of an owner and says how many there were: one diff for each of its topics.
    /// Phoenix's `untrack/2`, and what happens when a tracked process ends.
    pub fn untrack_owner(&mut self, owner: Owner, now: Instant) -> usize {
        let first: Place = (owner, "".into(), "".into());
        let places: Vec<Place> = self
            .places
            .range((Bound::Included(first), Bound::Unbounded))
            .map(|(place, _)| place)
            .take_while(|place| place.0 == owner)
            .cloned()
            .collect();
        // The places are sorted by topic.
        for of_topic in places.chunk_by(|a, b| a.1 == b.1) {
            for place in of_topic {
                self.remove(place);
            }
            if let Some((_, topic, _)) = of_topic.first() {
                self.settle(topic, now);
            }
        }
        places.len()
    }

    /// What is present in a topic. Phoenix's `list/2`.
    ///
    /// It takes `&mut self` since the tracker notes what it has shown: a presence that was listed and goes
    /// before its window ends is among the leaves all the same.
    pub fn list(&mut self, topic: &Topic) -> Presences {
        let mut presences = Presences::default();
        if let (Some(members), stamps) = self.shown(topic) {
            for (key, metas) in &members.keys {
                presences.insert(key.clone(), entry(metas, stamps));
            }
        }
        presences
    }

    /// As [`list`](Self::list), as a value that serializes without having been copied.
    pub fn listing(&mut self, topic: &Topic) -> Listing<'_> {
        let (members, stamps) = self.shown(topic);
        Listing::new(members, stamps)
    }

    /// What is present under one key. Phoenix's `get_by_key/3`.
    pub fn get_by_key(&mut self, topic: &Topic, key: &str) -> Option<PresenceEntry> {
        let (members, stamps) = self.shown(topic);
        Some(entry(members?.keys.get(key)?, stamps))
    }

    /// How many metas are tracked here, in all topics together; those of other nodes don't count. It costs the same for any number.
    #[must_use]
    pub fn presences(&self) -> usize {
        self.places.len()
    }

    /// How many metas a topic has.
    #[must_use]
    pub fn count(&self, topic: &Topic) -> usize {
        self.topics.get(topic).map_or(0, |it| it.len)
    }

    /// How many keys a topic has.
    #[must_use]
    pub fn count_keys(&self, topic: &Topic) -> usize {
        self.topics.get(topic).map_or(0, |it| it.keys.len())
    }

    /// How many metas a key has.
    #[must_use]
    pub fn count_key(&self, topic: &Topic, key: &str) -> usize {
        self.topics
            .get(topic)
            .and_then(|it| it.keys.get(key))
            .map_or(0, Metas::len)
    }

    /// The next diff to publish.
    ///
    /// While 64 wait, further changes of a topic become one diff: whoever publishes is slower than those who change.
    pub fn poll_diff(&mut self) -> Option<PresenceDiff> {
        let diff = self.diffs.pop_front();
        while self.diffs.len() < DIFFS_MAX
            && let Some((since, topic)) = self.late.pop_front()
        {
            self.tell(&topic, since);
        }
        if self.diffs.is_empty() {
            self.diffs = VecDeque::new();
            self.late = VecDeque::new();
        }
        diff
    }

    /// When to call [`handle_timeout`](Self::handle_timeout). `None` while no window is open.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.front().map(|(deadline, _)| *deadline)
    }

    /// Ends the windows whose time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        while self.poll_timeout().is_some_and(|it| it <= now) {
            let Some((deadline, topic)) = self.deadlines.pop_front() else {
                return;
            };
            let Some(members) = self.topics.get_mut(&topic) else {
                continue;
            };
            let Some(pending) = members
                .pending
                .as_mut()
                .filter(|it| it.until == Some(deadline))
            else {
                continue;
            };
            pending.until = None;
            // A window in which nothing happened isn't followed by another one.
            if pending.is_empty() && !pending.late {
                members.pending = None;
                self.forget(&topic);
            } else {
                self.settle(&topic, now);
            }
        }
    }

    fn check(&self, key: &str, meta: &Meta) -> Result<(), PresenceError> {
        let limits = [
            ("key_bytes_max", self.options.key_bytes_max, key.len()),
            ("meta_bytes_max", self.options.meta_bytes_max, meta.len()),
        ];
        match limits.into_iter().find(|(_, max, found)| found > max) {
            Some((name, max, found)) => Err(PresenceError::Limit(name, max, found)),
            None => Ok(()),
        }
    }

    fn remove(&mut self, place: &Place) -> bool {
        let Some(version) = self.places.remove(place) else {
            return false;
        };
        // Its end is a change as well.
        self.version += 1;
        if let Some(remote) = &mut self.remote {
            remote.log(Change::Removed(version));
        }
        if let Some(members) = self.topics.get_mut(&place.1) {
            members.take(&place.2, Dot::own(version), &self.stamps);
            members.forget_key(&place.2);
        }
        true
    }

    /// After changes to a topic: puts them into a diff, unless they are to wait for others or the end of a window.
    fn settle(&mut self, topic: &Topic, now: Instant) {
        if self.diffs.len() < DIFFS_MAX && self.late.is_empty() {
            return self.tell(topic, now);
        }
        if let Some(members) = self.topics.get_mut(topic)
            && let Some(pending) = &mut members.pending
            && !pending.late
        {
            pending.late = true;
            self.late.push_back((now, topic.clone()));
        }
        self.forget(topic);
    }

    /// Puts the changes of a topic into a diff, unless they are to wait for the end of a window.
    fn tell(&mut self, topic: &Topic, now: Instant) {
        let Some(members) = self.topics.get_mut(topic) else {
            return;
        };
        if let Some(pending) = &mut members.pending {
            pending.late = false;
        }
        let large =
            members.len >= self.options.window_members_min && !self.options.window.is_zero();
        if let Some(pending) = &mut members.pending
            && !pending.is_empty()
            && !(large && pending.until.is_some())
        {
            let joins = std::mem::take(&mut pending.joins);
            let leaves = std::mem::take(&mut pending.leaves);
            let mut diff = PresenceDiff {
                topic: topic.clone(),
                joins: Presences::default(),
                leaves: Presences::default(),
                after: Presences::default(),
            };
            let mut back = HashSet::new();
            for (dot, (key, _)) in joins {
                if let Some((_, json)) = members.keys.get(&key).and_then(|it| it.get(dot)) {
                    let meta = tracked(&self.stamps, dot, json);
                    if pending.back {
                        back.insert(meta.phx_ref());
                    }
                    diff.joins.push(&key, meta);
                }
            }
            pending.back = false;
            for (key, meta) in leaves {
                if !back.contains(&meta.phx_ref()) {
                    diff.leaves.push(&key, meta);
                }
            }
            if self.options.after {
                for key in diff.joins.keys().chain(diff.leaves.keys()) {
                    if let Some((key, metas)) = members.keys.get_key_value(key) {
                        diff.after.insert(key.clone(), entry(metas, &self.stamps));
                    }
                }
            }
            self.diffs.push_back(diff);
            // A topic is told of at once again when it has become small.
            let until = large.then(|| now + self.options.window);
            if let Some(until) = until {
                self.deadlines.push_back((until, topic.clone()));
            }
            pending.until = until;
        }
        members.pending.take_if(|it| it.until.is_none());
        self.forget(topic);
    }

    /// A topic without members and without a window is none.
    fn forget(&mut self, topic: &Topic) {
        if self
            .topics
            .get(topic)
            .is_some_and(|it| it.len == 0 && it.pending.is_none())
        {
            self.topics.remove(topic);
        }
    }

    fn shown(&mut self, topic: &Topic) -> (Option<&Members>, &Stamps) {
        let members = self.topics.get_mut(topic);
        let members = members.map(|it| {
            if let Some(pending) = &mut it.pending {
                pending.shown = self.came;
            }
            &*it
        });
        (members, &self.stamps)
    }
}

/// A topic, and the place of `owner` there under `key`, if the key is present at all.
fn find<'a>(
    topics: &'a mut HashMap<Topic, Members>,
    owner: Owner,
    topic: &Topic,
    key: &str,
) -> Option<(&'a mut Members, Place)> {
    let members = topics.get_mut(topic)?;
    let key = members.keys.get_key_value(key)?.0.clone();
    Some((members, (owner, topic.clone(), key)))
}

impl fmt::Debug for Tracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracker")
            .field("topics", &self.topics.len())
            .field("presences", &self.places.len())
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}
