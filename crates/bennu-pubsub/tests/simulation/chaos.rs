//! Random clusters, one from each seed.

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use bennu_pubsub::tracker::PresenceOptions;

use crate::{
    node::{Act, KEYS, OWNERS, TOPICS},
    random::Random,
    world::{HEARTBEAT, Network, SECOND, World},
};

const SEEDS: u64 = 2_000;
/// When all that still runs agrees at the latest after the network is whole again: messages may be eight seconds
/// late, it takes six to notice that a node is silent, and what was missed is asked for piece by piece.
const AGREE: u64 = 60 * SECOND;
/// What a wall clock says when the simulation begins.
const CLOCK: u64 = 1_000 * SECOND;

#[test]
fn when_the_network_heals_all_nodes_agree_with_the_truth() {
    if let Some(seed) = number("SIMULATION_SEED") {
        return simulate(seed, true);
    }
    let seeds = number("SIMULATION_SEEDS").unwrap_or(SEEDS);
    let threads = thread::available_parallelism().map_or(1, usize::from) as u64;
    let next = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..threads.min(8) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        break;
                    }
                    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| simulate(seed, false))) {
                        println!("seed {seed} failed; SIMULATION_SEED={seed} tells how");
                        next.store(seeds, Ordering::Relaxed);
                        resume_unwind(panic);
                    }
                }
            });
        }
    });
}

fn number(variable: &str) -> Option<u64> {
    let value = env::var(variable).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{variable} is {value}, expected a number")),
    )
}

fn simulate(seed: u64, trace: bool) {
    let mut chaos = Chaos::new(seed, trace);
    let end = chaos.world.random.between(6, 18) * SECOND;
    while chaos.world.now < end {
        chaos.step();
    }
    chaos.heal();
    chaos.agree();
    chaos.be_quiet();
}

struct Chaos {
    world: World,
    /// Names, and how wrong each one's wall clock is.
    names: Vec<(String, i64)>,
    /// When each kind of fault ends.
    whole_at: u64,
    hearing_at: u64,
    /// How often something goes wrong, and how long until somebody does something.
    faults_permille: u64,
    pause_max: u64,
}

impl Chaos {
    fn new(seed: u64, trace: bool) -> Self {
        let mut random = Random::new(seed ^ 0x5eed);
        let changes_max = random.pick(&[0, 3, 20, 100, 8_192, 8_192]);
        let strict = random.chance(700);
        let window = if strict { 0 } else { 200 };
        let options = PresenceOptions::new()
            .window(Duration::from_millis(window))
            .window_members_min(random.below(6) as usize)
            .changes_max(changes_max)
            .message_bytes_max(random.pick(&[1, 100, 1_000, 256 * 1024]));
        let mut world = World::new(seed, options);
        world.trace = trace;
        world.changes_max = changes_max;
        world.strict = strict;
        world.network = Network {
            loss_permille: random.pick(&[0, 10, 100, 300]),
            twice_permille: random.pick(&[0, 50, 300]),
            late_permille: random.pick(&[0, 50, 300]),
            late_max: random.pick(&[SECOND / 5, 2 * SECOND, 8 * SECOND]),
            echo_permille: random.pick(&[0, 500]),
        };
        let names = 3 + random.below(7);
        let names = (0..names).map(|it| {
            let skew = random.pick(&[0, 0, 1, -1, 3_600]) * SECOND as i64;
            (format!("node-{it}"), skew)
        });
        let mut chaos = Self {
            names: names.collect(),
            world,
            whole_at: 0,
            hearing_at: 0,
            faults_permille: random.pick(&[0, 10, 40, 100]),
            pause_max: random.pick(&[40_000, 150_000, 500_000]),
        };
        // Most are there from the beginning.
        for name in 0..chaos.names.len() {
            if random.chance(800) {
                chaos.start(name);
            }
        }
        chaos
    }

    fn step(&mut self) {
        let pause = self.world.random.below(self.pause_max);
        let now = self.world.now + pause;
        self.world.run_until(now);
        if self.whole_at <= now && !self.world.sides.is_empty() {
            self.world.say(|| "the network is one again".to_owned());
            self.world.sides.clear();
        }
        if self.hearing_at <= now {
            self.world.deaf.clear();
        }
        if self.world.random.chance(self.faults_permille) {
            self.fail();
        }
        let alive = self.world.alive();
        if !alive.is_empty() {
            let number = self.world.random.pick(&alive);
            let burst = self.world.random.chance(20);
            for _ in 0..if burst { 40 } else { 1 } {
                self.act(number);
            }
        }
        if self.world.strict && self.world.random.chance(20) {
            self.world.check_followed();
        }
    }

    fn act(&mut self, number: usize) {
        let random = &mut self.world.random;
        let act = match random.below(20) {
            0..9 => Act::Track,
            9..14 => Act::Update,
            14..19 => Act::Untrack,
            _ => Act::End,
        };
        let place = (
            random.below(OWNERS),
            random.below(TOPICS.len() as u64) as usize,
            random.below(KEYS.len() as u64) as usize,
        );
        self.world.act(number, act, place);
    }

    fn fail(&mut self) {
        let alive = self.world.alive();
        let some = (!alive.is_empty()).then(|| self.world.random.pick(&alive));
        let now = self.world.now;
        match (self.world.random.below(8), some) {
            (0, _) => {
                let random = &mut self.world.random;
                self.whole_at = now + random.between(SECOND / 2, 15 * SECOND);
                let sides = random.between(2, 4);
                let sides = self.names.iter().map(|(name, _)| {
                    let side = random.below(sides);
                    (name.clone(), side)
                });
                self.world.sides = sides.collect();
                self.world
                    .say(|| format!("the network falls apart: {:?}", self.world.sides));
            }
            (1, _) => {
                let random = &mut self.world.random;
                self.hearing_at = now + random.between(SECOND / 2, 15 * SECOND);
                let from = random.below(self.names.len() as u64) as usize;
                let to = random.below(self.names.len() as u64) as usize;
                let pair = (self.names[from].0.clone(), self.names[to].0.clone());
                self.world
                    .say(|| format!("{} doesn't hear {}", pair.1, pair.0));
                self.world.deaf.insert(pair);
            }
            (2, _) => {
                let outage = self.world.random.between(SECOND / 10, 9 * SECOND);
                self.world
                    .say(|| format!("the bus is away for {outage} us"));
                self.world.outage_until = now + outage;
            }
            (3, Some(number)) => self.world.end(number, false),
            (4, Some(number)) => self.world.end(number, true),
            (5, Some(number)) => {
                let stall = self.world.random.between(SECOND / 10, 12 * SECOND);
                self.world.stall(number, stall);
            }
            (6, Some(number)) => {
                // At once, while the other still runs, as when servers are replaced one by one.
                let name = self.world.nodes[number].name.clone();
                let name = self.names.iter().position(|it| it.0 == name).unwrap();
                let ends_first = self.world.random.chance(700);
                let goodbye = self.world.random.chance(500);
                if ends_first {
                    self.world.end(number, goodbye);
                }
                if self.world.random.chance(300) {
                    let back = self.world.random.between(1, 30) * SECOND;
                    self.names[name].1 -= back as i64;
                }
                self.start(name);
            }
            _ => {
                let name = self.world.random.below(self.names.len() as u64) as usize;
                if !self.runs(name) {
                    self.start(name);
                }
            }
        }
    }

    fn runs(&self, name: usize) -> bool {
        let mut nodes = self.world.nodes.iter();
        nodes.any(|it| it.alive && it.name == self.names[name].0)
    }

    fn start(&mut self, name: usize) {
        let (name, skew) = self.names[name].clone();
        let clock = (CLOCK + self.world.now) as i64 + skew + 7_200 * SECOND as i64;
        self.world.start(&name, clock as u64);
    }

    /// Nothing goes wrong any more, and of those that have one name only the last goes on.
    fn heal(&mut self) {
        self.world.say(|| "healed".to_owned());
        self.world.network = Network {
            twice_permille: 50,
            ..Network::default()
        };
        self.world.sides.clear();
        self.world.deaf.clear();
        self.world.outage_until = 0;
        for number in self.world.alive() {
            let name = self.world.nodes[number].name.clone();
            let mut later = self.world.nodes.iter().skip(number + 1);
            if later.any(|it| it.alive && it.name == name) {
                let goodbye = self.world.random.chance(500);
                self.world.end(number, goodbye);
            }
            let stalled = &mut self.world.nodes[number].stalled_until;
            *stalled = (*stalled).min(self.world.now + 1);
        }
    }

    fn agree(&mut self) {
        let latest = self.world.now + AGREE;
        loop {
            let next = self.world.now + 2 * SECOND;
            self.world.run_until(next);
            match self.world.disagreement() {
                None => break,
                Some(why) if self.world.now >= latest => panic!("{why}"),
                Some(_) => {}
            }
        }
    }

    /// A cluster in which nothing happens says nothing but heartbeats, of one size.
    fn be_quiet(&mut self) {
        // What is late still comes.
        let settled = self.world.now + 10 * SECOND;
        self.world.run_until(settled);
        if let Some(why) = self.world.disagreement() {
            panic!("{why}, though all had agreed");
        }
        self.world.check_followed();
        self.world.sent.clear();
        self.world.diffs = 0;
        let beats = 4;
        let end = self.world.now + beats * HEARTBEAT;
        self.world.run_until(end);
        assert_eq!(self.world.diffs, 0, "diffs though nothing happened");
        let nodes = self.world.alive().len() as u64;
        // Each is sent to all others, and counted once more as such.
        let expected = nodes * nodes * beats;
        let sent = &self.world.sent;
        assert!(sent.iter().all(|(_, kind)| *kind == b'H'), "{sent:?}");
        assert_eq!(sent.len() as u64, expected, "messages of {nodes} nodes");
        assert!(sent.iter().all(|(bytes, _)| *bytes < 40), "{sent:?}");
    }
}
