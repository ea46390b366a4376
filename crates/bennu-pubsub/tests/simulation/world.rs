//! Nodes, a network that isn't reliable, and what has to hold nevertheless.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashSet},
    time::Instant,
};

use bennu_pubsub::tracker::{Output, PresenceDiff, PresenceOptions, ReplicaEvent};
use bytes::Bytes;

use crate::{
    node::{Node, at},
    random::Random,
};

pub(crate) const SECOND: u64 = 1_000_000;
pub(crate) const HEARTBEAT: u64 = 1_500_000;
pub(crate) const DOWN: u64 = 6 * SECOND;

/// What the network does to messages.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Network {
    pub(crate) loss_permille: u64,
    pub(crate) twice_permille: u64,
    pub(crate) late_permille: u64,
    pub(crate) late_max: u64,
    pub(crate) echo_permille: u64,
}

pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) now: u64,
    base: Instant,
    pub(crate) options: PresenceOptions,
    pub(crate) changes_max: usize,
    /// Whether each change is told at once, so that each diff says exactly what changed.
    pub(crate) strict: bool,
    pub(crate) network: Network,
    /// Nobody hears anything until then.
    pub(crate) outage_until: u64,
    /// Names of different sides don't hear each other.
    pub(crate) sides: BTreeMap<String, u64>,
    /// The second doesn't hear the first.
    pub(crate) deaf: HashSet<(String, String)>,
    pub(crate) nodes: Vec<Node>,
    queue: BinaryHeap<Reverse<(u64, u64, Event)>>,
    queued: u64,
    n: u64,
    /// Length and kind of each message since this was cleared.
    pub(crate) sent: Vec<(usize, u8)>,
    /// Diffs since this was cleared.
    pub(crate) diffs: usize,
    /// Whose goodbye was heard, and by whom.
    left: HashSet<(usize, usize)>,
    /// What nodes reported.
    pub(crate) events: Vec<(usize, ReplicaEvent)>,
    pub(crate) trace: bool,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Deliver {
        from: usize,
        to: usize,
        message: Bytes,
    },
    Wake(usize),
}

impl World {
    pub(crate) fn new(seed: u64, options: PresenceOptions) -> Self {
        Self {
            random: Random::new(seed),
            now: 0,
            base: Instant::now(),
            options,
            changes_max: usize::MAX,
            strict: true,
            network: Network::default(),
            outage_until: 0,
            sides: BTreeMap::new(),
            deaf: HashSet::new(),
            nodes: Vec::new(),
            queue: BinaryHeap::new(),
            queued: 0,
            n: 0,
            sent: Vec::new(),
            diffs: 0,
            left: HashSet::new(),
            events: Vec::new(),
            trace: false,
        }
    }

    pub(crate) fn say(&self, what: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>10.6} {}", self.now as f64 / 1e6, what());
        }
    }

    /// Starts a node of that name; `clock` is what its wall clock says. Its number comes back.
    pub(crate) fn start(&mut self, name: &str, clock: u64) -> usize {
        let number = self.nodes.len();
        // No two starts of a name have the same number.
        let start = clock << 12 | number as u64;
        self.say(|| format!("start {name} as #{number}, start {start}"));
        let node = Node::new(name, start, &self.options, at(self.base, self.now));
        self.nodes.push(node);
        self.drain(number);
        number
    }

    /// Ends a node, with a goodbye or without.
    pub(crate) fn end(&mut self, number: usize, goodbye: bool) {
        self.say(|| format!("end #{number}, goodbye: {goodbye}"));
        if goodbye {
            let bye = self.nodes[number].replication.bye();
            self.send_to_all(number, &bye);
        }
        self.nodes[number].alive = false;
    }

    pub(crate) fn stall(&mut self, number: usize, micros: u64) {
        self.say(|| format!("stall #{number} for {micros} us"));
        self.nodes[number].stalled_until = self.now + micros;
    }

    pub(crate) fn alive(&self) -> Vec<usize> {
        (0..self.nodes.len())
            .filter(|it| self.nodes[*it].alive)
            .collect()
    }

    /// Has an owner of a node do something.
    pub(crate) fn act(&mut self, number: usize, act: crate::node::Act, place: (u64, usize, usize)) {
        if self.nodes[number].stalled_until > self.now {
            return;
        }
        self.n += 1;
        let (n, now) = (self.n, at(self.base, self.now));
        self.say(|| format!("#{number} {act:?} {place:?} n={n}"));
        self.nodes[number].act(act, place, n, now);
        self.drain(number);
    }

    /// Has time pass.
    pub(crate) fn run_until(&mut self, end: u64) {
        while let Some(Reverse((time, ..))) = self.queue.peek()
            && *time <= end
        {
            let Some(Reverse((time, _, event))) = self.queue.pop() else {
                break;
            };
            self.now = self.now.max(time);
            self.happen(event);
        }
        self.now = end;
    }

    fn happen(&mut self, event: Event) {
        let (Event::Deliver { to, .. } | Event::Wake(to)) = event;
        let node = &mut self.nodes[to];
        if !node.alive {
            return;
        }
        if node.stalled_until > self.now {
            // It looks at its mail first and then at the clock.
            let until = node.stalled_until.min(self.now + SECOND / 2);
            let until = until + u64::from(matches!(event, Event::Wake(_)));
            return self.enqueue(until, event);
        }
        let now = at(self.base, self.now);
        match event {
            Event::Deliver { from, message, .. } => {
                self.nodes[to].heard.insert(from, self.now);
                let name = self.nodes[from].name.clone();
                let kind = message.get(1).copied().unwrap_or(0) as char;
                self.say(|| format!("#{to} hears {kind} of #{from}"));
                if kind == 'B' {
                    self.left.insert((from, to));
                }
                let node = &mut self.nodes[to];
                node.replication
                    .handle_message(&name, &message, &mut node.trackers[..], now);
            }
            Event::Wake(_) => {
                node.woken_at = None;
                node.handle_timeout(now);
            }
        }
        self.drain(to);
    }

    pub(crate) fn instant(&self) -> Instant {
        at(self.base, self.now)
    }

    /// Takes what a node has to say.
    pub(crate) fn drain(&mut self, number: usize) {
        loop {
            let node = &mut self.nodes[number];
            let Some(output) = node.replication.poll_output(&mut node.trackers[..]) else {
                break;
            };
            match output {
                Output::ToAll(message) => self.send_to_all(number, &message),
                Output::ToNode(name, message) => {
                    for to in self.alive() {
                        if *self.nodes[to].name == *name {
                            self.send(number, to, &message);
                        }
                    }
                }
                Output::Event(event) => {
                    self.say(|| format!("#{number} says: {event}"));
                    self.events.push((number, event));
                }
            }
        }
        for diff in self.nodes[number].poll_diffs() {
            self.diffs += 1;
            self.say(|| format!("#{number} diff {}", serde_json::to_string(&diff).unwrap()));
            self.judge_joins(number, &diff);
            if self.strict {
                // Where diffs wait for a window the node may be heard again by now.
                self.judge_leaves(number, &diff);
            }
            self.nodes[number].follow(&diff, self.strict);
        }
        let node = &mut self.nodes[number];
        let logged: Vec<_> = node.trackers.iter().map(|it| it.logged()).collect();
        assert!(
            logged.iter().all(|it| *it <= self.changes_max),
            "{logged:?}"
        );
        let due = node.poll_timeout();
        let due = due.saturating_duration_since(self.base).as_micros() as u64;
        if node.woken_at.is_none_or(|it| it > due) {
            node.woken_at = Some(due);
            self.enqueue(due, Event::Wake(number));
        }
    }

    /// What is tracked all the time may only leave where its node wasn't heard for long.
    fn judge_leaves(&self, number: usize, diff: &PresenceDiff) {
        for (key, entry) in diff.leaves.iter() {
            for meta in entry.metas() {
                let phx_ref = meta.phx_ref();
                let Some((owner, node)) = self.owner(phx_ref.as_str()) else {
                    continue;
                };
                if !node.alive || !node.tracks(phx_ref.as_str()) {
                    continue;
                }
                // Of two that ran by one name the later one is believed, and clocks may have been set back.
                let starts = self.nodes.iter().filter(|it| it.name == node.name);
                if starts.map(|it| it.replica.start).max() != Some(node.replica.start) {
                    continue;
                }
                let heard = self.nodes[number].heard.get(&owner).copied();
                let silence = self.now - heard.unwrap_or(0);
                assert!(
                    silence >= DOWN,
                    "{key} of #{owner} left at #{number} after {silence} us of silence"
                );
            }
        }
    }

    /// On which node it was tracked, or is.
    fn owner(&self, phx_ref: &str) -> Option<(usize, &Node)> {
        let mut nodes = self.nodes.iter().enumerate();
        nodes.find(|(_, it)| it.refs.contains(phx_ref))
    }

    /// Who has said goodbye isn't there any more, whatever comes late.
    fn judge_joins(&self, number: usize, diff: &PresenceDiff) {
        for (key, entry) in diff.joins.iter() {
            for meta in entry.metas() {
                let owner = self.owner(meta.phx_ref().as_str());
                if let Some((owner, node)) = owner.filter(|it| self.left.contains(&(it.0, number)))
                {
                    // One that is older by its number and came later takes its place.
                    let mut later = self.nodes.iter().skip(owner + 1);
                    let replaced = later
                        .any(|it| it.name == node.name && it.replica.start < node.replica.start);
                    assert!(
                        replaced,
                        "{key} of #{owner} joined at #{number} after its goodbye"
                    );
                }
            }
        }
    }

    fn send_to_all(&mut self, from: usize, message: &Bytes) {
        self.sent.push((message.len(), message[1]));
        for to in self.alive() {
            if to != from || self.random.chance(self.network.echo_permille) {
                self.send(from, to, message);
            }
        }
    }

    fn send(&mut self, from: usize, to: usize, message: &Bytes) {
        self.sent.push((message.len(), message[1]));
        let names = (&self.nodes[from].name, &self.nodes[to].name);
        let side = |name| self.sides.get(name).copied().unwrap_or(0);
        let cut = side(names.0) != side(names.1)
            || self.deaf.contains(&(names.0.clone(), names.1.clone()))
            || self.now < self.outage_until;
        if cut || self.random.chance(self.network.loss_permille) {
            return;
        }
        let copies = if self.random.chance(self.network.twice_permille) {
            2
        } else {
            1
        };
        for _ in 0..copies {
            let mut delay = self.random.between(1_000, 20_000);
            if self.random.chance(self.network.late_permille) {
                delay += self.random.below(self.network.late_max.max(1));
            }
            let message = message.clone();
            let deliver = Event::Deliver { from, to, message };
            self.enqueue(self.now + delay, deliver);
        }
    }

    fn enqueue(&mut self, time: u64, event: Event) {
        self.queued += 1;
        self.queue.push(Reverse((time, self.queued, event)));
    }

    /// Why the nodes don't agree with the truth, if they don't.
    pub(crate) fn disagreement(&mut self) -> Option<String> {
        let alive = self.alive();
        let mut truth = BTreeMap::new();
        for number in &alive {
            truth.extend(self.nodes[*number].truth());
        }
        let mut orders: Option<String> = None;
        let mut names: Vec<_> = alive
            .iter()
            .map(|it| self.nodes[*it].name.clone())
            .collect();
        names.sort();
        for number in alive {
            let node = &mut self.nodes[number];
            let mut nodes: Vec<_> = node.replication.nodes().map(str::to_owned).collect();
            nodes.push(node.name.clone());
            nodes.sort();
            if nodes != names {
                return Some(format!("#{number} sees {nodes:?} of {names:?}"));
            }
            let list = node.list();
            for (at, json) in &list {
                match truth.get(at) {
                    None => return Some(format!("#{number} shows a ghost: {at:?} {json}")),
                    Some(n) if !json.starts_with(&format!("{{\"n\":{n},")) => {
                        return Some(format!("#{number} shows {json} for n={n}"));
                    }
                    Some(_) => {}
                }
            }
            if let Some((missing, n)) = truth.iter().find(|(at, _)| !list.contains_key(at)) {
                return Some(format!("#{number} lacks {missing:?} n={n}"));
            }
            let shown = node.orders();
            if orders.get_or_insert_with(|| shown.clone()) != &shown {
                return Some(format!("#{number} has another order: {shown}\n{orders:?}"));
            }
        }
        None
    }

    /// What the diffs of each node add up to is what it shows, once no window is open.
    pub(crate) fn check_followed(&mut self) {
        for number in self.alive() {
            let node = &mut self.nodes[number];
            let list = node.list();
            let followed = &node.followed;
            let ghosts: Vec<_> = followed
                .iter()
                .filter(|it| list.get(it.0) != Some(it.1))
                .collect();
            let missing: Vec<_> = list
                .keys()
                .filter(|it| !followed.contains_key(*it))
                .collect();
            assert!(
                ghosts.is_empty() && missing.is_empty(),
                "the diffs of #{number} add up to more than its list: {ghosts:?}; and to less: {missing:?}"
            );
        }
    }
}
