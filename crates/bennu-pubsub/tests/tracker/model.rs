//! Random events, a naive model beside the tracker, and clients that come at random times and follow.

use std::time::{Duration, Instant};

use bennu_pubsub::tracker::{Meta, Owner, PresenceDiff, PresenceMeta, PresenceOptions, Tracker};
use serde_json::{Value, json};

use crate::{
    client::{Client, State},
    script::tracker,
};

const TOPICS: [&str; 3] = ["t", "u", "v"];
const KEYS: [&str; 5] = ["ana", "bob", "__proto__", "", "\"ключ\\"];
const OWNERS: u64 = 8;
const STEPS: usize = 400;
const SEEDS: u64 = 200;

/// What is tracked, oldest first: owner, topic, key, meta as a client sees it.
type Truth = Vec<(u64, usize, &'static str, Value)>;

struct World {
    random: u64,
    now: Instant,
    tracker: Tracker,
    truth: Truth,
    /// Topic and client.
    clients: Vec<(usize, Client)>,
    /// Of one topic each, not told yet: as when somebody publishes slowly.
    late: Vec<PresenceDiff>,
}

#[test]
fn clients_that_follow_agree_with_the_truth() {
    for seed in 1..=SEEDS {
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.step();
        }
        world.settle();
        world.check(seed);
        for owner in 0..OWNERS {
            world.end(owner);
        }
        world.settle();
        world.check(seed);
        assert!(world.clients.iter().all(|(_, it)| it.state.is_empty()));
        assert_eq!(world.tracker.poll_timeout(), None);
        let left = format!("{:?}", world.tracker);
        assert!(left.contains("topics: 0, presences: 0"), "{left}");
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let options = PresenceOptions::new()
            .window(Duration::from_millis(10))
            .window_members_min((seed % 6) as usize);
        Self {
            random: seed,
            now: Instant::now(),
            tracker: tracker(options),
            truth: Truth::new(),
            clients: Vec::new(),
            late: Vec::new(),
        }
    }

    fn step(&mut self) {
        let (owner, topic, key) = (
            self.below(OWNERS),
            self.below(3) as usize,
            self.below(5) as usize,
        );
        let key = KEYS[key];
        match self.below(20) {
            0..8 => self.track(owner, topic, key),
            8..12 => self.update(owner, topic, key),
            12..14 => self.untrack(owner, topic, key),
            14 => self.end(owner),
            15..17 => {
                let passed = Duration::from_millis(self.below(8));
                self.now += passed;
                self.tracker.handle_timeout(self.now);
            }
            17 => self.clients.push((topic, Client::joined())),
            18 if !self.clients.is_empty() => {
                let at = self.below(self.clients.len() as u64) as usize;
                let (topic, client) = &mut self.clients[at];
                client.presence_state(&listed(&mut self.tracker, *topic));
            }
            _ => {
                let _ = self.tracker.get_by_key(&TOPICS[topic].into(), key);
            }
        }
        while let Some(diff) = self.tracker.poll_diff() {
            // A queue that is full merges.
            match self.late.last_mut() {
                Some(last) if last.topic == diff.topic && self.random.is_multiple_of(3) => {
                    last.merge(diff)
                }
                _ => self.late.push(diff),
            }
        }
        if self.below(3) == 0 {
            self.publish();
        }
    }

    fn track(&mut self, owner: u64, topic: usize, key: &'static str) {
        let n = self.random;
        let tracked = self
            .truth
            .iter()
            .any(|it| (it.0, it.1, it.2) == (owner, topic, key));
        let meta = Meta::new(&json!({ "n": n })).unwrap();
        let done = self
            .tracker
            .track(Owner(owner), &TOPICS[topic].into(), key, &meta, self.now);
        assert_eq!(done.is_err(), tracked);
        if let Ok(phx_ref) = done {
            let meta = json!({"n": n, "phx_ref": phx_ref.as_str()});
            self.truth.push((owner, topic, key, meta));
        }
    }

    fn update(&mut self, owner: u64, topic: usize, key: &'static str) {
        let n = self.random;
        let at = self
            .truth
            .iter()
            .position(|it| (it.0, it.1, it.2) == (owner, topic, key));
        let meta = Meta::new(&json!({ "n": n })).unwrap();
        let done = self
            .tracker
            .update(Owner(owner), &TOPICS[topic].into(), key, &meta, self.now);
        assert_eq!(done.is_ok(), at.is_some());
        if let (Ok(phx_ref), Some(at)) = (done, at) {
            self.truth.remove(at);
            let meta = json!({"n": n, "phx_ref": phx_ref.as_str()});
            self.truth.push((owner, topic, key, meta));
        }
    }

    fn untrack(&mut self, owner: u64, topic: usize, key: &'static str) {
        let before = self.truth.len();
        self.truth
            .retain(|it| (it.0, it.1, it.2) != (owner, topic, key));
        let there = self
            .tracker
            .untrack(Owner(owner), &TOPICS[topic].into(), key, self.now);
        assert_eq!(there, self.truth.len() < before);
    }

    fn end(&mut self, owner: u64) {
        self.truth.retain(|it| it.0 != owner);
        self.tracker.untrack_owner(Owner(owner), self.now);
    }

    fn publish(&mut self) {
        for diff in std::mem::take(&mut self.late) {
            let told = serde_json::to_value(&diff).unwrap();
            for (key, entry) in diff.leaves.iter() {
                let joined = diff.joins.get(key).map_or(&[][..], |it| it.metas());
                let both =
                    |left: &PresenceMeta| joined.iter().any(|it| it.phx_ref() == left.phx_ref());
                assert!(!entry.metas().iter().any(both), "joined and left: {told}");
            }
            for (topic, client) in &mut self.clients {
                if *TOPICS[*topic] == *diff.topic {
                    client.presence_diff(&told);
                }
            }
        }
    }

    /// Who waits for a state gets it, all windows end and all diffs are told.
    fn settle(&mut self) {
        for (topic, client) in self.clients.iter_mut().filter(|it| it.1.waits()) {
            client.presence_state(&listed(&mut self.tracker, *topic));
        }
        while let Some(deadline) = self.tracker.poll_timeout() {
            self.now = self.now.max(deadline);
            self.tracker.handle_timeout(self.now);
        }
        self.late
            .extend(std::iter::from_fn(|| self.tracker.poll_diff()));
        self.publish();
    }

    fn check(&mut self, seed: u64) {
        for (index, topic) in TOPICS.iter().enumerate() {
            let mut truth = State::new();
            for (.., key, meta) in self.truth.iter().filter(|it| it.1 == index) {
                truth
                    .entry((*key).to_owned())
                    .or_default()
                    .push(meta.clone());
            }
            assert_eq!(
                self.tracker.count(&(*topic).into()),
                truth.values().map(Vec::len).sum::<usize>()
            );
            assert_eq!(self.tracker.count_keys(&(*topic).into()), truth.len());
            let mut fresh = Client::joined();
            fresh.presence_state(&listed(&mut self.tracker, index));
            assert_eq!(
                bare(&fresh.state),
                truth,
                "seed {seed}: the list of {topic}"
            );
            let followers = self.clients.iter().filter(|it| it.0 == index);
            for (at, (_, client)) in followers.enumerate() {
                assert_eq!(
                    client.state, fresh.state,
                    "seed {seed}: client {at} of {topic}"
                );
            }
        }
    }

    /// Less than `end`: a xorshift generator.
    fn below(&mut self, end: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) % end
    }
}

#[test]
fn diffs_of_who_left_and_came_back_merge_into_a_join() {
    let now = Instant::now();
    let mut tracker = tracker(PresenceOptions::new());
    let meta = Meta::new(&json!({})).unwrap();
    tracker
        .track(Owner(1), &"t".into(), "ana", &meta, now)
        .unwrap();
    let back = tracker.poll_diff().unwrap();
    let left = PresenceDiff {
        joins: back.leaves.clone(),
        leaves: back.joins.clone(),
        ..back.clone()
    };
    let merged = |mut first: PresenceDiff, then: &PresenceDiff| {
        first.merge(then.clone());
        (first.joins.len(), first.leaves.len())
    };
    assert_eq!(merged(left.clone(), &back), (1, 0));
    assert_eq!(merged(back, &left), (0, 1));
}

fn listed(tracker: &mut Tracker, topic: usize) -> Value {
    serde_json::to_value(tracker.listing(&TOPICS[topic].into())).unwrap()
}

/// Without `phx_ref_prev`: what a meta replaced depends on what was told in between.
fn bare(state: &State) -> State {
    let mut state = state.clone();
    for meta in state.values_mut().flatten() {
        meta.as_object_mut().unwrap().remove("phx_ref_prev");
    }
    state
}
