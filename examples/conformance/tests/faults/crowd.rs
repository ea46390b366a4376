//! All clients, what they know, and what is wrong with it.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, interval, sleep_until},
};

use crate::{client::live, cluster::NODES};

/// What would hide the first complaints helps nobody.
const COMPLAINTS_MAX: usize = 20;

/// How large and how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    pub(crate) is_long: bool,
    clients: usize,
    /// Clients that share a room and a lobby, from all nodes.
    group: usize,
    /// One group in so many has speakers: one client of each node.
    speaking: usize,
    pub(crate) speaks_every: Duration,
}

impl Scale {
    pub(crate) fn of_this_run() -> Self {
        let is_long = std::env::var("BENNU_FAULTS").is_ok_and(|it| it == "long");
        let (clients, group, speaking, ms) = match is_long {
            true => (9_000, 30, 10, 500),
            false => (240, 12, 2, 200),
        };
        Self {
            is_long,
            clients,
            group,
            speaking,
            speaks_every: Duration::from_millis(ms),
        }
    }

    pub(crate) fn seconds(self, long: u64, short: u64) -> Duration {
        Duration::from_secs(if self.is_long { long } else { short })
    }
}

pub(crate) struct Crowd {
    pub(crate) scale: Scale,
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) members: Vec<Member>,
    /// When a meta was first shown as gone.
    gone: Mutex<HashMap<String, Instant>>,
    /// By who said it, to whom, and its number.
    losses: Mutex<HashMap<(usize, usize, u64), Loss>>,
    /// How late a task of this process ran at most, in milliseconds, since all were there: what clients notice may be as late.
    late_ms: AtomicU64,
    complaints: Mutex<Vec<String>>,
}

/// What is known of one client.
#[derive(Default)]
pub(crate) struct Member {
    pub(crate) joined: AtomicBool,
    /// Where it is, or was.
    pub(crate) node: AtomicUsize,
    /// How often a connection ended.
    pub(crate) closes: AtomicUsize,
    /// How many others it sees, itself included, and how many of them more than once.
    pub(crate) present: AtomicUsize,
    pub(crate) doubled: AtomicUsize,
    pub(crate) joins_seen: AtomicUsize,
    pub(crate) leaves_seen: AtomicUsize,
    /// The number of its next message.
    pub(crate) next: AtomicU64,
    said: Mutex<Vec<Said>>,
    heard_at: Mutex<HashMap<usize, Instant>>,
    lives: Mutex<Vec<Life>>,
}

/// A message: since when it's on its way, and whether the server has acknowledged it.
#[derive(Clone, Copy)]
struct Said {
    at: Instant,
    acknowledged: bool,
}

/// One time of being there.
struct Life {
    reference: String,
    ended: Option<Instant>,
}

/// A message that a client in the room didn't hear, though it heard those before and after.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Loss {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) n: u64,
    /// Whether both were on one node.
    pub(crate) is_local: bool,
}

impl Crowd {
    /// Has all clients connect, and waits until everybody sees everybody.
    pub(crate) async fn gather(addresses: &[SocketAddr]) -> (Arc<Self>, JoinSet<()>) {
        let scale = Scale::of_this_run();
        let crowd = Arc::new(Self {
            scale,
            addresses: addresses.to_vec(),
            members: (0..scale.clients).map(|_| Member::default()).collect(),
            gone: Mutex::default(),
            losses: Mutex::default(),
            late_ms: AtomicU64::new(0),
            complaints: Mutex::default(),
        });
        let mut clients = JoinSet::new();
        for id in 0..scale.clients {
            clients.spawn(live(crowd.clone(), id));
        }
        let took = crowd
            .until("all are there", Duration::from_secs(60), |_, it| {
                crowd.is_whole(it)
            })
            .await;
        println!("{} clients have gathered in {took:.1?}", scale.clients);
        crowd.pause().await;
        clients.spawn(watch_the_clock(crowd.clone()));
        (crowd, clients)
    }

    /// Lets everybody speak for a while, to be heard before what is to come.
    pub(crate) async fn pause(&self) {
        self.all_hear(Instant::now(), Duration::from_secs(20), |_, _| true)
            .await;
    }

    /// Waits until `condition` holds for all members, and says how long that took.
    pub(crate) async fn until(
        &self,
        what: &str,
        time_max: Duration,
        condition: impl Fn(usize, &Member) -> bool,
    ) -> Duration {
        let began = Instant::now();
        let mut ticks = interval(Duration::from_millis(20));
        loop {
            let all = self.members.iter().enumerate();
            let not_yet = all.filter(|(id, it)| !condition(*id, it)).count();
            if not_yet == 0 {
                return began.elapsed();
            }
            if began.elapsed() > time_max {
                self.check();
                panic!("after {time_max:?} not yet for {not_yet}: {what}");
            }
            ticks.tick().await;
        }
    }

    /// Waits until everybody in the rooms that are spoken in has heard each speaker that `matters` to them, saying
    /// something after `since`.
    pub(crate) async fn all_hear(
        &self,
        since: Instant,
        time_max: Duration,
        matters: impl Fn(&Member, &Member) -> bool,
    ) -> Duration {
        let heard = |id: usize, it: &Member| {
            let heard_at = it.heard_at.lock().unwrap();
            let group = self.group(id) * self.scale.group;
            let speakers = (group..group + self.scale.group).filter(|it| self.is_speaker(*it));
            speakers
                .filter(|speaker| matters(it, &self.members[*speaker]))
                .all(|speaker| heard_at.get(&speaker).is_some_and(|at| *at > since))
        };
        self.until("all hear what is said", time_max, heard).await
    }

    /// Whether a client is there, and sees everybody in its group exactly once.
    pub(crate) fn is_whole(&self, member: &Member) -> bool {
        member.joined.load(Ordering::Relaxed)
            && member.present.load(Ordering::Relaxed) == self.scale.group
            && member.doubled.load(Ordering::Relaxed) == 0
    }

    /// Panics if anything was heard twice, out of order or from nowhere, or else was wrong.
    pub(crate) fn check(&self) {
        let complaints = self.complaints.lock().unwrap();
        assert!(complaints.is_empty(), "{complaints:#?}");
    }

    /// Panics if something was lost that `may_be` says can't be. Given are the loss, when its message was said, and
    /// whether it was acknowledged.
    pub(crate) fn check_losses(&self, may_be: impl Fn(&Loss, Instant, bool) -> bool) {
        self.check();
        let losses = self.losses.lock().unwrap();
        let wrong: Vec<_> = losses
            .values()
            .filter(|loss| {
                let said = self.members[loss.from].said.lock().unwrap();
                let Said { at, acknowledged } = said[loss.n as usize];
                !may_be(loss, at, acknowledged)
            })
            .collect();
        assert!(wrong.is_empty(), "{} were lost: {wrong:#?}", wrong.len());
        println!(
            "{} deliveries were lost; the clients' own process was up to {} ms late",
            losses.len(),
            self.late_ms.load(Ordering::Relaxed)
        );
    }

    /// Of all metas that ended: how long after that they were shown as gone, at most. `None` while some aren't.
    pub(crate) fn shown_as_gone_after(&self) -> Option<Duration> {
        let gone = self.gone.lock().unwrap();
        let mut longest = Duration::ZERO;
        for member in &self.members {
            for life in member.lives.lock().unwrap().iter() {
                if let Some(ended) = life.ended {
                    let after = gone.get(&life.reference)?.saturating_duration_since(ended);
                    longest = longest.max(after);
                }
            }
        }
        Some(longest)
    }

    /// Panics if somebody was shown as gone whose connection lived.
    pub(crate) fn check_nobody_was_gone_who_is_there(&self) {
        let gone = self.gone.lock().unwrap();
        for (id, member) in self.members.iter().enumerate() {
            for life in member.lives.lock().unwrap().iter() {
                let Some(gone) = gone.get(&life.reference) else {
                    continue;
                };
                // The client may learn of its own end a bit later than others.
                let after = life.ended.map(|it| it.saturating_duration_since(*gone));
                let in_time = after.is_some_and(|it| it <= Duration::from_secs(2));
                assert!(
                    in_time,
                    "{id} was shown as gone and was there: it ended {after:?} later"
                );
            }
        }
    }

    /// How many a client sees when it sees everybody.
    pub(crate) fn group_len(&self) -> usize {
        self.scale.group
    }

    pub(crate) fn closes(&self) -> usize {
        let closes = self
            .members
            .iter()
            .map(|it| it.closes.load(Ordering::Relaxed));
        closes.sum()
    }

    pub(crate) fn gone(&self, reference: &str) {
        let mut gone = self.gone.lock().unwrap();
        gone.entry(reference.to_owned())
            .or_insert_with(Instant::now);
    }

    pub(crate) fn lose(&self, loss: Loss) {
        let key = (loss.from, loss.to, loss.n);
        self.losses.lock().unwrap().insert(key, loss);
    }

    /// It wasn't lost, but late.
    pub(crate) fn found(&self, from: usize, to: usize, n: u64) {
        self.losses.lock().unwrap().remove(&(from, to, n));
    }

    pub(crate) fn complain(&self, id: usize, what: &str) {
        let mut complaints = self.complaints.lock().unwrap();
        if complaints.len() < COMPLAINTS_MAX {
            complaints.push(format!("{id} {what}"));
        }
    }

    pub(crate) fn group(&self, id: usize) -> usize {
        id / self.scale.group
    }

    pub(crate) fn is_speaker(&self, id: usize) -> bool {
        id % self.scale.group < NODES && self.group(id).is_multiple_of(self.scale.speaking)
    }

    pub(crate) fn key(id: usize) -> String {
        format!("member-{id}")
    }

    /// Whom a key is of, if that is one whom `watcher` may see.
    pub(crate) fn member(&self, key: &str, watcher: usize) -> Option<usize> {
        let id = key.strip_prefix("member-")?.parse().ok()?;
        (self.group(id) == self.group(watcher)).then_some(id)
    }
}

async fn watch_the_clock(crowd: Arc<Crowd>) {
    loop {
        let due = Instant::now() + Duration::from_millis(20);
        sleep_until(due).await;
        let late = due.elapsed().as_millis() as u64;
        crowd.late_ms.fetch_max(late, Ordering::Relaxed);
    }
}

impl Member {
    /// The number of what it's about to say.
    pub(crate) fn say(&self) -> u64 {
        self.said.lock().unwrap().push(Said {
            at: Instant::now(),
            acknowledged: false,
        });
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn said_at(&self, n: u64) -> Instant {
        self.said.lock().unwrap()[n as usize].at
    }

    /// The server has handled what was said.
    pub(crate) fn acknowledge(&self, n: u64) {
        self.said.lock().unwrap()[n as usize].acknowledged = true;
    }

    pub(crate) fn hear(&self, from: usize) {
        self.heard_at.lock().unwrap().insert(from, Instant::now());
    }

    /// It sees itself by this ref.
    pub(crate) fn begin(&self, reference: &str) {
        let mut lives = self.lives.lock().unwrap();
        if !lives.iter().any(|it| it.reference == reference) {
            lives.push(Life {
                reference: reference.to_owned(),
                ended: None,
            });
        }
    }

    /// Whether others were told that its first meta is gone.
    pub(crate) fn has_gone(&self, crowd: &Crowd) -> bool {
        let gone = crowd.gone.lock().unwrap();
        let lives = self.lives.lock().unwrap();
        lives
            .first()
            .is_some_and(|it| gone.contains_key(&it.reference))
    }

    pub(crate) fn end(&self) {
        for life in self.lives.lock().unwrap().iter_mut() {
            life.ended.get_or_insert_with(Instant::now);
        }
    }
}
