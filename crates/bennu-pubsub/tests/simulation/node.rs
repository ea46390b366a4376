//! One node of a simulated cluster, and what a client of it knows that heard every diff. The fuzzer has it as well.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    time::{Duration, Instant},
};

use bennu_pubsub::tracker::{
    Meta, Owner, PresenceDiff, PresenceOptions, Presences, Replica, Replication, Tracker,
};
use serde_json::json;

/// Two trackers suffice to tell them apart.
pub(crate) const SHARDS: usize = 2;
pub(crate) const TOPICS: [&str; 4] = ["room:1", "room:2", "lobby", ""];
pub(crate) const KEYS: [&str; 5] = ["ana", "bob", "", "__proto__", "\"ключ\\"];
pub(crate) const OWNERS: u64 = 6;

/// Metas by topic, key and ref.
pub(crate) type View = BTreeMap<(String, String, String), String>;

pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) replica: Replica,
    pub(crate) trackers: Vec<Tracker>,
    pub(crate) replication: Replication,
    /// What is tracked here: owner, topic, key; ref and what the meta says.
    pub(crate) tracked: BTreeMap<(u64, usize, usize), (String, u64)>,
    /// The refs of all that was ever tracked here.
    pub(crate) refs: HashSet<String>,
    /// What the diffs add up to.
    pub(crate) followed: View,
    /// Whether the node runs.
    pub(crate) alive: bool,
    /// Until then it does nothing: as when it's out of memory, or a laptop that sleeps.
    pub(crate) stalled_until: u64,
    /// When it's going to be woken.
    pub(crate) woken_at: Option<u64>,
    /// When it heard last of each node, by number.
    pub(crate) heard: HashMap<usize, u64>,
}

/// What an owner does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    Track,
    Update,
    Untrack,
    End,
}

pub(crate) fn shard(topic: usize) -> usize {
    topic % SHARDS
}

impl Node {
    pub(crate) fn new(name: &str, start: u64, options: &PresenceOptions, now: Instant) -> Self {
        let replica = Replica {
            node: name.into(),
            start,
        };
        let tracker = |shard: usize| {
            let mut tracker = Tracker::new(&replica, &shard.to_string(), options.clone());
            tracker.replicate();
            tracker
        };
        Self {
            name: name.to_owned(),
            trackers: (0..SHARDS).map(tracker).collect(),
            replication: Replication::new(&replica, "p", SHARDS, options, now),
            replica,
            tracked: BTreeMap::new(),
            refs: HashSet::new(),
            followed: View::new(),
            alive: true,
            stalled_until: 0,
            woken_at: None,
            heard: HashMap::new(),
        }
    }

    /// Has an owner do something, in the trackers and in the truth.
    pub(crate) fn act(&mut self, act: Act, place: (u64, usize, usize), n: u64, now: Instant) {
        let (owner, topic, key) = (Owner(place.0), TOPICS[place.1].into(), KEYS[place.2]);
        let tracker = &mut self.trackers[shard(place.1)];
        let meta = Meta::new(&json!({ "n": n })).unwrap();
        match act {
            Act::Track => {
                let tracked = tracker.track(owner, &topic, key, &meta, now);
                assert_eq!(tracked.is_ok(), !self.tracked.contains_key(&place));
                if let Ok(phx_ref) = tracked {
                    self.refs.insert(phx_ref.to_string());
                    self.tracked.insert(place, (phx_ref.to_string(), n));
                }
            }
            Act::Update => {
                let updated = tracker.update(owner, &topic, key, &meta, now);
                assert_eq!(updated.is_ok(), self.tracked.contains_key(&place));
                if let Ok(phx_ref) = updated {
                    self.refs.insert(phx_ref.to_string());
                    self.tracked.insert(place, (phx_ref.to_string(), n));
                }
            }
            Act::Untrack => {
                let gone = tracker.untrack(owner, &topic, key, now);
                assert_eq!(gone, self.tracked.remove(&place).is_some());
            }
            Act::End => {
                let trackers = self.trackers.iter_mut();
                let gone: usize = trackers.map(|it| it.untrack_owner(owner, now)).sum();
                let before = self.tracked.len();
                self.tracked.retain(|it, _| it.0 != place.0);
                assert_eq!(gone, before - self.tracked.len());
            }
        }
        self.replication.handle_change(now);
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        for tracker in &mut self.trackers {
            tracker.handle_timeout(now);
        }
        if self.replication.poll_timeout() <= now {
            self.replication.handle_timeout(&mut self.trackers[..], now);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Instant {
        let trackers = self.trackers.iter().filter_map(Tracker::poll_timeout);
        trackers.fold(self.replication.poll_timeout(), Instant::min)
    }

    pub(crate) fn poll_diffs(&mut self) -> Vec<PresenceDiff> {
        let trackers = self.trackers.iter_mut();
        trackers
            .flat_map(|it| std::iter::from_fn(|| it.poll_diff()))
            .collect()
    }

    /// Adds a diff up as the official client does. `strict`: each diff says exactly what changed.
    pub(crate) fn follow(&mut self, diff: &PresenceDiff, strict: bool) {
        for (at, json) in metas(&diff.topic, &diff.joins) {
            let known = self.followed.insert(at.clone(), json);
            assert!(!strict || known.is_none(), "{at:?} joined twice");
        }
        for (at, _) in metas(&diff.topic, &diff.leaves) {
            let known = self.followed.remove(&at);
            assert!(!strict || known.is_some(), "{at:?} left twice");
        }
    }

    /// What the node shows.
    pub(crate) fn list(&mut self) -> View {
        let followed = self.followed.keys().map(|(topic, ..)| topic.as_str());
        // Another node may say of any topic that it's in any shard.
        let topics: BTreeSet<_> = followed.chain(TOPICS).collect();
        let mut list = View::new();
        for name in topics {
            let topic = name.into();
            for tracker in &mut self.trackers {
                let shown = tracker.list(&topic);
                let metas: Vec<_> = metas(name, &shown).collect();
                assert_eq!(tracker.count(&topic), metas.len());
                assert_eq!(tracker.count_keys(&topic), shown.len());
                list.extend(metas);
            }
        }
        list
    }

    /// How many metas of other nodes it knows.
    pub(crate) fn mirrored(&self) -> usize {
        self.trackers.iter().map(Tracker::mirrored).sum()
    }

    /// The order in which a key's metas are shown.
    pub(crate) fn orders(&mut self) -> String {
        let mut orders = String::new();
        for (index, topic) in TOPICS.iter().enumerate() {
            let shown = self.trackers[shard(index)].list(&(*topic).into());
            orders.push_str(&serde_json::to_string(&shown).unwrap());
        }
        orders
    }

    /// What the node's owners say, as a list has it but for the refs inside of metas.
    pub(crate) fn truth(&self) -> impl Iterator<Item = ((String, String, String), u64)> {
        self.tracked.iter().map(|(place, (phx_ref, n))| {
            let (topic, key) = (TOPICS[place.1].to_owned(), KEYS[place.2].to_owned());
            ((topic, key, phx_ref.clone()), *n)
        })
    }

    pub(crate) fn tracks(&self, phx_ref: &str) -> bool {
        self.tracked.values().any(|(it, _)| it == phx_ref)
    }
}

fn metas(
    topic: &str,
    presences: &Presences,
) -> impl Iterator<Item = ((String, String, String), String)> {
    presences.iter().flat_map(move |(key, entry)| {
        entry.metas().iter().map(move |meta| {
            let phx_ref = meta.phx_ref().to_string();
            assert!(meta.as_json().contains(&phx_ref), "a meta has its own ref");
            let at = (topic.to_owned(), key.to_owned(), phx_ref);
            (at, meta.as_json().to_owned())
        })
    })
}

/// A point in simulated time, in microseconds.
pub(crate) fn at(base: Instant, micros: u64) -> Instant {
    base + Duration::from_micros(micros)
}
