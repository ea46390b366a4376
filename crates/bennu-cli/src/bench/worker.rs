//! A worker: it has a share of the connections, does what it's ordered to, and reports what came of it. It is a task
//! of `bennu bench` itself or, where there are several, a process of its own that is talked with in lines of JSON.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{self, Receiver, Sender, UnboundedReceiver, UnboundedSender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

use super::client::{Life, News};
use super::clock::{now_ns, ns, until};
use super::measure::{Measure, Tick};
use super::member::Command;
use super::pace::Pacer;
use super::plan::{Course, Plan, PushRate, Share, Window};
use super::scenario::Scenario;
use super::shared::Shared;
use super::stream::Dialer;

/// Handshakes that one worker has under way at first, so that a server's backlog isn't what is measured.
const HANDSHAKES_MAX: usize = 256;
/// When nothing has come for so long after the end, nothing more will.
const QUIET: Duration = Duration::from_millis(500);
/// How often a worker looks whether all has come.
const SETTLING_STEP: Duration = Duration::from_millis(5);

/// What a worker is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// Open connections and join. Time counts from here.
    Connect { course: Course, begin_ns: u64 },
    /// Do what the scenario does.
    Run { window: Window },
    /// Say goodbye on all connections.
    Close,
    /// End what is under way.
    Stop,
}

/// What a worker says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    /// What happened in the `k`th tick.
    Tick { k: u64, tick: Tick },
    /// An order was carried out.
    Done(Box<Measure>),
    /// It couldn't be.
    Failed(String),
}

/// A share of connections.
struct Group {
    shared: Arc<Shared>,
    clients: Vec<UnboundedSender<Command>>,
    news: UnboundedReceiver<News>,
    /// Kept, so that waiting for news never ends.
    sender: UnboundedSender<News>,
    /// Connections that have a task, have joined at the moment, or never did.
    alive: u64,
    ready: u64,
    failed: u64,
    /// Those that ended by themselves, and those that were cut, since the scenario began.
    dropped: u64,
    cut: u64,
    begin_ns: u64,
    /// The tick that was reported last.
    ticked: u64,
}

/// Why waiting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Reached,
    Stopped,
    /// Nobody is there to be told.
    Alone,
}

/// Works until nobody gives orders any more.
pub(crate) async fn work(
    plan: Arc<Plan>,
    share: Share,
    mut orders: Receiver<Order>,
    reports: Sender<Report>,
) {
    let mut group: Option<Group> = None;
    while let Some(order) = orders.recv().await {
        let ended = match (order, &mut group) {
            (Order::Connect { course, begin_ns }, group) => {
                let params = course.params.clone();
                let dialer = match Dialer::new(plan.clone(), params) {
                    Ok(dialer) => Arc::new(dialer),
                    Err(failure) => {
                        let failed = Report::Failed(failure.to_string());
                        if reports.send(failed).await.is_err() {
                            return;
                        }
                        continue;
                    }
                };
                let shared = Arc::new(Shared::new(plan.clone(), course, share.clone()));
                let group = group.insert(Group::new(shared, begin_ns));
                group.connect(&dialer, &mut orders, &reports).await
            }
            (Order::Run { window }, Some(group)) => group.run(window, &mut orders, &reports).await,
            (Order::Close, Some(group)) => group.close(&mut orders, &reports).await,
            (Order::Run { .. } | Order::Close, None) => Ended::Reached,
            (Order::Stop, _) => continue,
        };
        let measure = group.as_ref().map(|it| it.shared.recorder.take());
        let done = Report::Done(Box::new(measure.unwrap_or_default()));
        if ended == Ended::Alone || reports.send(done).await.is_err() {
            return;
        }
    }
}

impl Group {
    fn new(shared: Arc<Shared>, begin_ns: u64) -> Self {
        let (sender, news) = mpsc::unbounded_channel();
        Self {
            shared,
            clients: Vec::new(),
            news,
            sender,
            alive: 0,
            ready: 0,
            failed: 0,
            dropped: 0,
            cut: 0,
            begin_ns,
            ticked: 0,
        }
    }

    async fn connect(
        &mut self,
        dialer: &Arc<Dialer>,
        orders: &mut Receiver<Order>,
        reports: &Sender<Report>,
    ) -> Ended {
        let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
        let period_ns = 1e9 / self.shared.plan.connect_rate;
        for (k, n) in self.shared.share.connections().enumerate() {
            self.catch_up(reports);
            // All workers together have the rate, each its part of it.
            let workers = self.shared.plan.connections as f64 / self.shared.share.count as f64;
            let due_ns = self.begin_ns + (k as f64 * workers * period_ns) as u64;
            let mut turn = None;
            let next = async {
                // A sleep of nothing lasts a millisecond; who is late goes on at once.
                if due_ns > now_ns() {
                    sleep(until(due_ns)).await;
                }
                turn = handshakes.clone().acquire_owned().await.ok();
            };
            let ended = self.meanwhile(next, orders, reports).await;
            if ended != Ended::Reached {
                return ended;
            }
            self.start(n, dialer, turn);
        }
        let count = self.shared.share.count;
        self.until(|it| it.ready + it.failed >= count, orders, reports)
            .await
    }

    fn start(&mut self, n: u64, dialer: &Arc<Dialer>, turn: Option<OwnedSemaphorePermit>) {
        let (client, inbox) = mpsc::unbounded_channel();
        let life = Life {
            n,
            dialer: dialer.clone(),
            shared: self.shared.clone(),
            inbox,
            news: self.sender.clone(),
        };
        tokio::spawn(life.live(turn));
        self.alive += 1;
        self.clients.push(client);
    }

    async fn run(
        &mut self,
        window: Window,
        orders: &mut Receiver<Order>,
        reports: &Sender<Report>,
    ) -> Ended {
        self.shared.set_window(window);
        if self.shared.course.scenario == Scenario::ReconnectStorm {
            return self.storm(window, orders, reports).await;
        }
        let pacer = Pacer::start(self.shared.clone(), self.clients.clone(), window);
        let begin = sleep(until(window.begin_ns));
        let mut ended = self.meanwhile(begin, orders, reports).await;
        if ended == Ended::Reached && self.shared.course.push_rate == PushRate::Max {
            self.fill();
        }
        if ended == Ended::Reached {
            let end = sleep(until(window.end_ns));
            ended = self.meanwhile(end, orders, reports).await;
        }
        self.shared.cut_window();
        if ended != Ended::Alone {
            let settled = self.settle(orders, reports).await;
            if ended == Ended::Reached {
                ended = settled;
            }
        }
        drop(pacer);
        ended
    }

    /// Has those who push keep pushes in flight.
    fn fill(&self) {
        let (plan, share) = (&self.shared.plan, &self.shared.share);
        let course = &self.shared.course;
        let pushers = course.pushers(plan.connections, plan.topics_per_connection);
        for (n, client) in share.connections().zip(&self.clients) {
            if n < pushers {
                // One that is gone pushes nothing.
                let _ = client.send(Command::Fill);
            }
        }
    }

    /// Waits for what is still to come.
    async fn settle(&mut self, orders: &mut Receiver<Order>, reports: &Sender<Report>) -> Ended {
        let shared = self.shared.clone();
        let all = async {
            let (end_ns, quiet_ns) = (now_ns(), ns(QUIET));
            let give_up_ns = end_ns + ns(shared.plan.timeout);
            let told_all = || {
                // In this order: more may be told until all is.
                if shared.told_ns.load(Ordering::Acquire) < shared.window().end_ns {
                    return false;
                }
                let told = shared.told.load(Ordering::Acquire);
                let counts = shared.recorder.counts();
                counts.sent + counts.skipped >= told
            };
            loop {
                let last_ns = shared.last_ns.load(Ordering::Relaxed).max(end_ns);
                let quiet = now_ns().saturating_sub(last_ns) > quiet_ns;
                let is_all = match shared.course.scenario {
                    Scenario::Echo => shared.in_flight.load(Ordering::Relaxed) <= 0,
                    Scenario::FanOut => {
                        let counts = shared.recorder.counts();
                        let is_alone = shared.share.count == shared.plan.connections;
                        quiet || (is_alone && counts.received >= counts.expected)
                    }
                    Scenario::Presence => quiet,
                    Scenario::Idle => {
                        let counts = shared.recorder.counts();
                        counts.received >= counts.expected
                    }
                    Scenario::ReconnectStorm => true,
                };
                if (told_all() && is_all) || now_ns() > give_up_ns {
                    return;
                }
                sleep(SETTLING_STEP).await;
            }
        };
        self.meanwhile(all, orders, reports).await
    }

    /// Cuts all, and waits for all to be back, at most until the window's end.
    async fn storm(
        &mut self,
        window: Window,
        orders: &mut Receiver<Order>,
        reports: &Sender<Report>,
    ) -> Ended {
        let there = self.ready;
        (self.cut, self.dropped) = (0, 0);
        for client in &self.clients {
            // One that has failed isn't there to be cut.
            let _ = client.send(Command::Cut(window.begin_ns));
        }
        self.shared.recorder.page(0).count(|it| {
            it.sent += there;
            it.expected += there;
        });
        let end = sleep(until(window.end_ns));
        let mut end = std::pin::pin!(end);
        while self.cut + self.dropped < there || self.ready + self.dropped < there {
            tokio::select! {
                () = &mut end => return Ended::Reached,
                ended = self.step(orders, reports) => if let Some(ended) = ended {
                    return ended;
                },
            }
        }
        Ended::Reached
    }

    async fn close(&mut self, orders: &mut Receiver<Order>, reports: &Sender<Report>) -> Ended {
        for client in self.clients.drain(..) {
            let _ = client.send(Command::Close);
        }
        self.until(|it| it.alive == 0, orders, reports).await
    }

    /// Takes in news and orders, and ticks, until it is so.
    async fn until(
        &mut self,
        is_so: impl Fn(&Self) -> bool,
        orders: &mut Receiver<Order>,
        reports: &Sender<Report>,
    ) -> Ended {
        while !is_so(self) {
            if let Some(ended) = self.step(orders, reports).await {
                return ended;
            }
        }
        Ended::Reached
    }

    /// The same, until that is over.
    async fn meanwhile(
        &mut self,
        until: impl Future<Output = ()>,
        orders: &mut Receiver<Order>,
        reports: &Sender<Report>,
    ) -> Ended {
        let mut until = std::pin::pin!(until);
        loop {
            tokio::select! {
                biased;
                () = &mut until => return Ended::Reached,
                ended = self.step(orders, reports) => if let Some(ended) = ended {
                    return ended;
                },
            }
        }
    }

    /// Waits for the next news, order or tick. It may be dropped at any time without losing one.
    async fn step(
        &mut self,
        orders: &mut Receiver<Order>,
        reports: &Sender<Report>,
    ) -> Option<Ended> {
        // At once where it's overdue: whoever waits for something else beside it may never wait for long.
        self.tick_when_due(reports);
        let next_ns = self.next_tick_ns();
        tokio::select! {
            news = self.news.recv() => self.hear(news?),
            order = orders.recv() => match order {
                None => return Some(Ended::Alone),
                Some(Order::Stop) => return Some(Ended::Stopped),
                // Orders come one after another.
                Some(_) => {}
            },
            () = sleep(until(next_ns)) => self.tick_when_due(reports),
        }
        None
    }

    /// Takes in what there is, without waiting.
    fn catch_up(&mut self, reports: &Sender<Report>) {
        while let Ok(news) = self.news.try_recv() {
            self.hear(news);
        }
        self.tick_when_due(reports);
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Ready => self.ready += 1,
            News::Failed => self.failed += 1,
            News::Dropped => {
                self.ready = self.ready.saturating_sub(1);
                self.dropped += 1;
            }
            News::Cut => {
                self.ready = self.ready.saturating_sub(1);
                self.cut += 1;
            }
            News::Gone => self.alive = self.alive.saturating_sub(1),
        }
    }

    fn tick_ns(&self) -> u64 {
        ns(self.shared.plan.tick).max(1)
    }

    fn next_tick_ns(&self) -> u64 {
        self.begin_ns + (self.ticked + 1) * self.tick_ns()
    }

    fn tick_when_due(&mut self, reports: &Sender<Report>) {
        let at_ns = now_ns();
        if at_ns < self.next_tick_ns() {
            return;
        }
        self.ticked = at_ns.saturating_sub(self.begin_ns) / self.tick_ns();
        let mut tick = self.shared.recorder.take_tick();
        (tick.at_ns, tick.open) = (at_ns, self.ready);
        let k = self.ticked;
        // A parent that is slow sees fewer ticks; one that is gone shows as no orders.
        drop(reports.try_send(Report::Tick { k, tick }));
    }
}
