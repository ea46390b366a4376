//! The connection: made, kept alive, lost, made again, or by another transport.

use std::time::Instant;

use bennu_wire::{Intent, Ref};
use fastrand::Rng;

use super::{Asked, Machine, Output, State, Timer};
use crate::{
    ConnectionError, OnRefused, PushError, Status, Transport,
    backoff::{Backoff, retry_hint},
    options::{Carriage, Options},
};

/// How the connection is.
#[derive(Debug)]
pub(super) struct Link {
    stage: Stage,
    transport: Transport,
    backoff: Backoff,
    /// There was one at least once.
    was_open: bool,
    /// No fallback is needed, or it has been taken.
    proven: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Connecting,
    Open {
        since: Instant,
        /// A heartbeat is on its way.
        beating: bool,
    },
    Waiting,
    Over,
}

impl Link {
    pub(super) fn new(options: &Options) -> Self {
        let (transport, proven) = match options.carriage {
            Carriage::Only(transport) => (transport, true),
            Carriage::Fallback(_) => (Transport::WebSocket, false),
        };
        Self {
            stage: Stage::Connecting,
            transport,
            backoff: Backoff::new(&options.reconnect_after),
            was_open: false,
            proven,
        }
    }

    /// When to try again.
    fn retry_in(&mut self, error: &ConnectionError, random: &mut Rng) -> std::time::Duration {
        let hint = match error {
            ConnectionError::Closed { code: 1012, reason } => retry_hint(reason),
            _ => None,
        };
        hint.unwrap_or_else(|| self.backoff.next(random))
    }
}

impl<T> Machine<T> {
    pub(super) fn is_open(&self) -> bool {
        matches!(self.link.stage, Stage::Open { .. })
    }

    pub(super) fn is_over(&self) -> bool {
        self.link.stage == Stage::Over
    }

    pub(super) fn connect(&mut self, now: Instant) {
        self.link.stage = Stage::Connecting;
        let limit = match self.options.carriage {
            Carriage::Fallback(after) if !self.link.proven => after.min(self.options.timeout),
            Carriage::Fallback(_) | Carriage::Only(_) => self.options.timeout,
        };
        self.timers.add(now + limit, Timer::Connect);
        self.outputs.push_back(Output::Connect(self.link.transport));
        self.outputs.push_back(Output::Status(Status::Connecting));
    }

    pub(super) fn connect_timer(&mut self, now: Instant) {
        match self.link.stage {
            Stage::Connecting => {
                self.hang_up("no connection in time");
                self.lost(ConnectionError::Timeout, now);
            }
            Stage::Waiting => self.connect(now),
            Stage::Open { .. } | Stage::Over => {}
        }
    }

    pub(super) fn opened(&mut self, now: Instant) {
        if self.link.stage != Stage::Connecting {
            return;
        }
        self.timers.remove_links();
        self.link.was_open = true;
        self.link.stage = Stage::Open {
            since: now,
            beating: false,
        };
        let transport = self.link.transport;
        self.outputs
            .push_back(Output::Status(Status::Open { transport }));
        if transport == Transport::WebSocket {
            self.timers
                .add(now + self.options.heartbeat, Timer::Heartbeat);
        }
        if let (Carriage::Fallback(after), false) = (self.options.carriage, self.link.proven) {
            self.beat();
            self.timers.add(now + after, Timer::Proof);
        }
        self.join_all(now);
    }

    /// It's due a while after the last one: who hasn't answered that by now is gone.
    pub(super) fn heartbeat_timer(&mut self, now: Instant) {
        let Stage::Open { beating, .. } = self.link.stage else {
            return;
        };
        if beating {
            self.hang_up("heartbeat timeout");
            return self.lost(ConnectionError::HeartbeatTimeout, now);
        }
        self.beat();
        self.timers
            .add(now + self.options.heartbeat, Timer::Heartbeat);
    }

    fn beat(&mut self) {
        if let Stage::Open { beating, .. } = &mut self.link.stage {
            *beating = true;
        }
        let r#ref = self.requests.add(Asked::Heartbeat, None);
        self.send_bare(Ref::null(), r#ref, "", Intent::Heartbeat);
    }

    pub(super) fn alive(&mut self) {
        if let Stage::Open { since, beating } = &mut self.link.stage {
            *beating = false;
            if !self.link.proven {
                self.link.proven = true;
                if let Carriage::Fallback(after) = self.options.carriage {
                    self.timers.remove(*since + after, Timer::Proof);
                }
            }
        }
    }

    pub(super) fn ping(&mut self, token: T, deadline: Instant) {
        if !self.is_open() {
            return self.settle(token, Err(PushError::Disconnected));
        }
        let r#ref = self.requests.add(Asked::Ping(token), Some(deadline));
        self.timers.add(deadline, Timer::Request(r#ref));
        self.send_bare(Ref::null(), r#ref, "", Intent::Heartbeat);
    }

    pub(super) fn hang_up(&mut self, why: &'static str) {
        self.outputs.push_back(Output::HangUp(why));
    }

    pub(super) fn lost(&mut self, error: ConnectionError, now: Instant) {
        let was = self.link.stage;
        if self.is_over() || was == Stage::Waiting {
            return;
        }
        self.timers.remove_links();
        if self.is_final(&error, was) {
            return self.end(error);
        }
        let falls_back = !self.link.proven;
        self.link.stage = Stage::Waiting;
        self.fail_all_sent();
        self.suspend_all();
        if falls_back {
            self.link.transport = Transport::LongPoll;
            self.link.proven = true;
            return self.connect(now);
        }
        // A server that lets clients in and drops them at once isn't to be hammered: only a connection that lasted
        // begins the waits anew.
        if let Stage::Open { since, .. } = was
            && now.duration_since(since) >= self.link.backoff.last()
        {
            self.link.backoff.reset();
        }
        let retry_in = self.link.retry_in(&error, &mut self.random);
        self.timers.add(now + retry_in, Timer::Connect);
        self.outputs
            .push_back(Output::Status(Status::Waiting { error, retry_in }));
    }

    fn is_final(&self, error: &ConnectionError, was: Stage) -> bool {
        let never_open = !self.link.was_open;
        match error {
            ConnectionError::Invalid(_) => true,
            // As in phoenix.js: a server that says "normal" wants no more of this client.
            ConnectionError::Closed { code: 1000, .. } => matches!(was, Stage::Open { .. }),
            // As `@bennu/client` reads it.
            ConnectionError::Closed { reason, .. } if reason.ends_with("retry=never") => true,
            _ if !self.link.proven => false,
            _ if self.options.fail_fast && never_open => true,
            _ if error.is_refusal() => match self.options.on_refused {
                OnRefused::StopAtFirst => never_open,
                OnRefused::Stop => true,
                OnRefused::Retry => false,
            },
            _ => false,
        }
    }

    /// For good.
    pub(super) fn end(&mut self, error: ConnectionError) {
        if self.is_over() {
            return;
        }
        if self.is_open() && self.link.transport == Transport::LongPoll {
            // A session that isn't polled any more lives on for half a minute, and so would its channels.
            self.leave_all();
        }
        self.link.stage = Stage::Over;
        self.fail_everything();
        self.timers.clear();
        self.outputs
            .push_back(Output::Status(Status::Closed { error }));
        self.outputs.push_back(Output::Finish);
    }

    /// What was sent over a connection that is lost will never be answered.
    fn fail_all_sent(&mut self) {
        let sent = self.requests.take_if(|asked| match asked {
            Asked::Push(push) => push.unsent.is_none(),
            Asked::Join(_) | Asked::Leave(..) | Asked::Heartbeat | Asked::Ping(_) => true,
        });
        for (r#ref, asked, deadline) in sent {
            if let Some(deadline) = deadline {
                self.timers.remove(deadline, Timer::Request(r#ref));
            }
            self.fail(asked, PushError::Disconnected);
        }
    }

    fn fail_everything(&mut self) {
        for (_, asked, _) in self.requests.take_if(|_| true) {
            self.fail(asked, PushError::Closed);
        }
        let mut ids: Vec<_> = self.channels.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            self.close(id, PushError::Closed);
        }
    }

    fn fail(&mut self, asked: Asked<T>, error: PushError) {
        match asked {
            Asked::Push(push) => self.settle_push(push, Err(error)),
            Asked::Ping(token) => self.settle(token, Err(error)),
            Asked::Leave(id, token) => self.left(id, token),
            // A channel knows by itself that its join came to nothing.
            Asked::Join(_) | Asked::Heartbeat => {}
        }
    }

    fn leave_all(&mut self) {
        let mut joined: Vec<_> = self.channels.values().collect();
        joined.sort_unstable_by(|a, b| a.topic.cmp(&b.topic));
        let joined: Vec<_> = joined
            .into_iter()
            .filter(|it| matches!(it.state, State::Joined(_)))
            .filter_map(|it| Some((it.topic.clone(), it.state.join_ref()?)))
            .collect();
        for (topic, join_ref) in joined {
            let r#ref = self.requests.unasked();
            self.send_bare(&join_ref, r#ref, &topic, Intent::Leave);
        }
    }
}
