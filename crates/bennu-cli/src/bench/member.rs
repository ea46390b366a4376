//! One client of the protocol, as a value: what it has joined, what it waits for, and what it says next.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use bennu_websocket::Opcode;
use bennu_websocket::client::frame;

use super::cause::Cause;
use super::measure::{Page, Timed};
use super::plan::PushRate;
use super::scenario::Scenario;
use super::shared::Shared;
use super::wire::{self, Received, quoted};

/// A mask has to be there; nobody's script chooses what is said here.
pub(crate) const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// Pushes that may be overdue on one connection; what is due beyond them is skipped.
const OVERDUE_MAX: usize = 10_000;

/// What a client is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Push, as was due at this time.
    Push(u64),
    /// Keep pushes in flight from now on.
    Fill,
    /// Come (or leave), as was due at this time.
    Change(u64, bool),
    /// Send a heartbeat, as was due at this time.
    Heartbeat(u64),
    /// Hang up, and come back; the time counts from here.
    Cut(u64),
    /// Say goodbye.
    Close,
}

/// One client.
#[derive(Debug)]
pub(crate) struct Member {
    n: u64,
    topics: Box<[Joined]>,
    joined: usize,
    last_ref: u64,
    waiting: VecDeque<(u64, Waiting)>,
    /// When pushes were due that the depth doesn't allow yet.
    overdue: VecDeque<u64>,
    /// Pushes that wait for a reply.
    in_flight: usize,
    /// Which topic is pushed to next.
    next_topic: usize,
    /// Each push that is through is followed by another one.
    fills: bool,
}

#[derive(Debug)]
struct Joined {
    /// A JSON string.
    topic: Box<str>,
    join_ref: u64,
    state: State,
    /// Farewells that are still to come for leaves that were asked for.
    leaves: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Out,
    Joining,
    In,
}

/// What an answer is for.
#[derive(Clone, Copy, Debug)]
enum Waiting {
    Join { at: usize, since_ns: u64 },
    Leave,
    Push { due_ns: u64, sent_ns: u64 },
    Heartbeat { due_ns: u64 },
}

/// What a member needs at hand to say or hear something.
pub(crate) struct Desk<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) page: &'a mut Page,
    pub(crate) now_ns: u64,
    /// Frames to be written.
    pub(crate) out: &'a mut Vec<u8>,
    pub(crate) scratch: &'a mut Scratch,
}

/// Text that is put together here, frame after frame.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    text: String,
    payload: String,
}

impl Member {
    pub(crate) fn new(n: u64, shared: &Shared) -> Self {
        let topics = shared
            .course
            .topics_of(n, shared.plan.topics_per_connection);
        let topics = topics.map(|it| Joined {
            topic: quoted(&it).into(),
            join_ref: 0,
            state: State::Out,
            leaves: 0,
        });
        Self {
            n,
            topics: topics.collect(),
            joined: 0,
            last_ref: 0,
            waiting: VecDeque::new(),
            overdue: VecDeque::new(),
            in_flight: 0,
            next_topic: 0,
            fills: false,
        }
    }

    /// Whether all topics are joined.
    pub(crate) fn is_ready(&self) -> bool {
        self.joined == self.topics.len()
    }

    /// Whether nothing that it asked is without an answer, and nothing else is to come.
    pub(crate) fn is_quiet(&self, shared: &Shared) -> bool {
        let scenario = shared.course.scenario;
        self.waiting.is_empty() && !matches!(scenario, Scenario::FanOut | Scenario::Presence)
    }

    /// Joins all topics.
    pub(crate) fn join(&mut self, desk: &mut Desk<'_>) {
        for at in 0..self.topics.len() {
            self.join_one(at, desk);
        }
    }

    /// Does as it's told, if it's something that is said to the server.
    pub(crate) fn obey(&mut self, command: Command, desk: &mut Desk<'_>) {
        match command {
            Command::Push(due_ns) => self.push_when_due(due_ns, desk),
            Command::Fill => {
                self.fills = true;
                for _ in 0..desk.shared.plan.depth {
                    self.push(desk.now_ns, desk);
                }
            }
            Command::Change(due_ns, joins) => self.change(due_ns, joins, desk),
            Command::Heartbeat(due_ns) => {
                if desk.shared.is_counted(command) {
                    desk.page.count(|it| {
                        it.sent += 1;
                        it.expected += 1;
                    });
                }
                let r#ref = self.ask(Waiting::Heartbeat { due_ns });
                say(desk, None, r#ref, "\"phoenix\"", "\"heartbeat\"", "{}");
            }
            Command::Cut(_) | Command::Close => {}
        }
    }

    /// Hears one message of text.
    pub(crate) fn receive(&mut self, text: &str, desk: &mut Desk<'_>) -> Result<(), Cause> {
        let scenario = desk.shared.course.scenario;
        let is_presence = scenario == Scenario::Presence;
        let received = wire::receive(desk.shared.plan.vsn, text, is_presence);
        match received.map_err(Cause::protocol)? {
            Received::Reply {
                r#ref,
                ok,
                response,
            } => self.answer(r#ref, ok, response, desk),
            Received::Ended { topic, crashed } => self.end(&topic, crashed),
            Received::Event { event, payload } if is_presence => {
                self.presence(&event, payload, desk);
                Ok(())
            }
            Received::Event { .. } | Received::Broadcast => {
                if scenario == Scenario::FanOut {
                    self.deliver(text, desk);
                }
                Ok(())
            }
        }
    }

    /// Lets go of what is in flight or overdue, when the connection has ended.
    pub(crate) fn abandon(&mut self, shared: &Shared) {
        let in_flight = std::mem::take(&mut self.in_flight) as i64;
        shared.in_flight.fetch_sub(in_flight, Ordering::Relaxed);
        let overdue = self.overdue.drain(..);
        let skipped = overdue
            .filter(|it| shared.window().is_measured(*it))
            .count() as u64;
        shared
            .recorder
            .page(self.n)
            .count(|it| it.skipped += skipped);
    }

    fn ask(&mut self, waiting: Waiting) -> u64 {
        self.last_ref += 1;
        self.waiting.push_back((self.last_ref, waiting));
        self.last_ref
    }

    fn join_one(&mut self, at: usize, desk: &mut Desk<'_>) {
        let since_ns = desk.now_ns;
        let r#ref = self.ask(Waiting::Join { at, since_ns });
        if let Some(it) = self.topics.get_mut(at) {
            it.join_ref = r#ref;
            it.state = State::Joining;
            let params = &desk.shared.join_params;
            say(desk, Some(r#ref), r#ref, &it.topic, wire::JOIN, params);
        }
    }

    fn push_when_due(&mut self, due_ns: u64, desk: &mut Desk<'_>) {
        let is_bounded = desk.shared.course.scenario == Scenario::Echo;
        if is_bounded && self.in_flight >= desk.shared.plan.depth {
            if self.overdue.len() < OVERDUE_MAX {
                self.overdue.push_back(due_ns);
            } else if desk.shared.window().is_measured(due_ns) {
                desk.page.count(|it| it.skipped += 1);
            }
            return;
        }
        self.push(due_ns, desk);
    }

    fn push(&mut self, due_ns: u64, desk: &mut Desk<'_>) {
        let at = self.next_topic % self.topics.len().max(1);
        self.next_topic = self.next_topic.wrapping_add(1);
        let sent_ns = desk.now_ns;
        let replied = desk.shared.course.scenario == Scenario::Echo;
        let r#ref = if replied {
            self.in_flight += 1;
            desk.shared.in_flight.fetch_add(1, Ordering::Relaxed);
            self.ask(Waiting::Push { due_ns, sent_ns })
        } else {
            self.last_ref += 1;
            self.last_ref
        };
        let Some(it) = self.topics.get(at) else {
            return;
        };
        let mut payload = std::mem::take(&mut desk.scratch.payload);
        desk.shared.payload.stamped(due_ns, &mut payload);
        let event = &desk.shared.event;
        say(desk, Some(it.join_ref), r#ref, &it.topic, event, &payload);
        desk.scratch.payload = payload;
        desk.page.tick(|it| it.sent += 1);
        if desk.shared.window().is_measured(due_ns) {
            let plan = &desk.shared.plan;
            let expected = match replied {
                true => 1,
                false => {
                    let (each, at) = (plan.topics_per_connection, at as u64);
                    let course = &desk.shared.course;
                    course.members(plan.connections, each, self.n, at)
                }
            };
            desk.page.count(|it| {
                it.sent += 1;
                it.expected += expected;
            });
            if desk.shared.course.push_rate != PushRate::Max {
                desk.page.time(Timed::Lag, sent_ns.saturating_sub(due_ns));
            }
        }
    }

    fn change(&mut self, due_ns: u64, joins: bool, desk: &mut Desk<'_>) {
        let Some(it) = self.topics.first_mut() else {
            return;
        };
        let measured = desk.shared.window().is_measured(due_ns);
        if it.state != if joins { State::Out } else { State::In } {
            // What it was told before isn't done yet.
            if measured {
                desk.page.count(|it| it.skipped += 1);
            }
            return;
        }
        desk.shared.note_change(self.n, joins, due_ns);
        if joins {
            self.join_one(0, desk);
        } else {
            it.state = State::Out;
            it.leaves += 1;
            self.joined -= 1;
            let (join_ref, topic) = (it.join_ref, it.topic.clone());
            let r#ref = self.ask(Waiting::Leave);
            say(desk, Some(join_ref), r#ref, &topic, wire::LEAVE, "{}");
        }
        desk.page.tick(|it| it.sent += 1);
        if measured {
            desk.page.count(|it| it.sent += 1);
            desk.page
                .time(Timed::Lag, desk.now_ns.saturating_sub(due_ns));
        }
    }

    fn answer(
        &mut self,
        r#ref: Option<u64>,
        ok: bool,
        response: &str,
        desk: &mut Desk<'_>,
    ) -> Result<(), Cause> {
        // Answers come in order, but for topics that wait for each other's.
        let at = self.waiting.iter().position(|it| Some(it.0) == r#ref);
        let Some((_, waiting)) = at.and_then(|at| self.waiting.remove(at)) else {
            if !ok {
                desk.page.count(|it| it.errors += 1);
            }
            return Ok(());
        };
        match waiting {
            Waiting::Join { .. } if !ok => {
                desk.page.count(|it| it.refused += 1);
                return Err(Cause::join(response));
            }
            Waiting::Join { at, since_ns } => {
                if let Some(it) = self.topics.get_mut(at) {
                    it.state = State::In;
                    self.joined += 1;
                }
                desk.page.count(|it| it.joined += 1);
                desk.page
                    .time(Timed::Join, desk.now_ns.saturating_sub(since_ns));
            }
            Waiting::Leave => {}
            Waiting::Heartbeat { due_ns } => {
                let latency = desk.now_ns.saturating_sub(due_ns);
                desk.page.time(Timed::Heartbeat, latency);
                if desk.shared.course.scenario == Scenario::Idle {
                    note(desk, due_ns, 0);
                }
            }
            Waiting::Push { due_ns, sent_ns } => {
                self.in_flight = self.in_flight.saturating_sub(1);
                desk.shared.in_flight.fetch_sub(1, Ordering::Relaxed);
                if !ok {
                    desk.page.count(|it| it.errors += 1);
                }
                note(desk, due_ns, sent_ns);
                if let Some(due_ns) = self.overdue.pop_front() {
                    self.push(due_ns, desk);
                } else if self.fills && desk.now_ns < desk.shared.window().end_ns {
                    self.push(desk.now_ns, desk);
                }
            }
        }
        Ok(())
    }

    fn deliver(&mut self, text: &str, desk: &mut Desk<'_>) {
        let Some(due_ns) = wire::stamp(text).filter(|it| *it <= desk.now_ns) else {
            return;
        };
        note(desk, due_ns, 0);
        if self.fills && desk.now_ns < desk.shared.window().end_ns {
            self.push(desk.now_ns, desk);
        }
    }

    fn presence(&self, event: &str, payload: &str, desk: &mut Desk<'_>) {
        match event {
            "presence_diff" => wire::diff_numbers(payload, |joins, n| {
                let due_ns = desk.shared.changed_ns(n, joins);
                if due_ns > 0 && due_ns <= desk.now_ns {
                    note(desk, due_ns, 0);
                }
            }),
            "presence_state" => {
                let due_ns = desk.shared.changed_ns(self.n, true);
                if desk.shared.window().is_measured(due_ns) {
                    desk.page
                        .time(Timed::State, desk.now_ns.saturating_sub(due_ns));
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, topic: &str, crashed: bool) -> Result<(), Cause> {
        let topic = quoted(topic);
        let it = self.topics.iter_mut().find(|it| *it.topic == *topic);
        match it {
            Some(it) if !crashed && it.leaves > 0 => {
                it.leaves -= 1;
                Ok(())
            }
            _ => Err(Cause::Ended { crashed }),
        }
    }
}

/// Notes that what was due at one time, and was sent at another (0 for unknown), has come.
fn note(desk: &mut Desk<'_>, due_ns: u64, sent_ns: u64) {
    let window = desk.shared.window();
    let latency = desk.now_ns.saturating_sub(due_ns);
    desk.page.tick(|it| {
        it.arrived += 1;
        it.latency.record(latency);
    });
    let arrived = window.is_measured(desk.now_ns);
    let measured = window.is_measured(due_ns);
    desk.page.count(|it| {
        it.arrived += u64::from(arrived);
        it.received += u64::from(measured);
    });
    if measured {
        desk.shared.last_ns.store(desk.now_ns, Ordering::Relaxed);
        desk.page.time(Timed::Latency, latency);
        if sent_ns > 0 {
            desk.page
                .time(Timed::Service, desk.now_ns.saturating_sub(sent_ns));
        }
    }
}

fn say(
    desk: &mut Desk<'_>,
    join_ref: Option<u64>,
    r#ref: u64,
    topic: &str,
    event: &str,
    payload: &str,
) {
    let text = &mut desk.scratch.text;
    text.clear();
    let vsn = desk.shared.plan.vsn;
    wire::push(vsn, join_ref, r#ref, topic, event, payload, text);
    frame(Opcode::Text, MASK, text.as_bytes(), desk.out);
}

#[cfg(test)]
mod tests;
