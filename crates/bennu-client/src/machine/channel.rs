//! Channels: joined, joined again, left.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use bennu_wire::{Intent, Payload, Ref, Request, Topic};

use super::{Asked, ChannelId, Machine, Output, Params, Push, Reply, Timer, text};
use crate::{ChannelStatus, PushError, Rejoin, backoff::Backoff, options::Options};

pub(super) struct Channel<T> {
    pub(super) topic: Topic,
    params: Params,
    timeout: Duration,
    rejoin: Rejoin,
    pub(super) state: State,
    /// Who waits for the first join. None once that has succeeded.
    first: Option<T>,
    backoff: Backoff,
    /// Pushes that wait until it's joined.
    pub(super) buffer: VecDeque<u64>,
    /// When its timer is due.
    due: Option<Instant>,
}

/// With the join ref, where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// For a connection.
    Waiting,
    Joining(u64),
    Joined(u64),
    /// To be joined again after a while.
    Errored,
}

impl<T> Channel<T> {
    pub(super) fn new(
        topic: Topic,
        params: Params,
        timeout: Duration,
        rejoin: Rejoin,
        token: T,
        options: &Options,
    ) -> Self {
        Self {
            topic,
            params,
            timeout,
            rejoin,
            state: State::Waiting,
            first: Some(token),
            backoff: Backoff::new(&options.rejoin_after),
            buffer: VecDeque::new(),
            due: None,
        }
    }

    /// Whether it is joined, and a message with this join ref is for this join.
    pub(super) fn is_joined_as(&self, join_ref: &Ref) -> bool {
        match self.state {
            State::Joined(own) => join_ref.is_null() || *join_ref == text(own),
            State::Waiting | State::Joining(_) | State::Errored => false,
        }
    }
}

impl<T> Machine<T> {
    pub(super) fn add(&mut self, id: ChannelId, channel: Channel<T>, now: Instant) {
        if self.is_over() {
            self.status(id, ChannelStatus::Closed);
            if let Some(token) = channel.first {
                self.settle(token, Err(PushError::Closed));
            }
            return;
        }
        // A topic is joined once in a connection, so an earlier handle of it gives way.
        if let Some(earlier) = self.topics.get(&channel.topic).copied() {
            self.leave(earlier, None, now);
        }
        let due = now + channel.timeout;
        self.topics.insert(channel.topic.clone(), id);
        self.channels.insert(id, channel);
        self.set_timer(id, Some(due));
        self.status(id, ChannelStatus::Joining);
        if self.is_open() {
            self.join(id, now);
        }
    }

    /// Sends the join. The first one's time runs since it was asked for, that of others from now on.
    fn join(&mut self, id: ChannelId, now: Instant) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        let r#ref = self.requests.add(Asked::Join(id), None);
        channel.state = State::Joining(r#ref);
        let (topic, params) = (channel.topic.clone(), channel.params.clone());
        if channel.first.is_none() {
            let due = now + channel.timeout;
            self.set_timer(id, Some(due));
            self.status(id, ChannelStatus::Joining);
        }
        let payload = catch_unwind(AssertUnwindSafe(|| params())).unwrap_or_else(|_| {
            tracing::error!(topic = &*topic, "the params of a join panicked");
            Payload::empty()
        });
        let request = Request {
            join_ref: &text(r#ref),
            r#ref: &text(r#ref),
            topic: &topic,
            intent: Intent::Join,
            payload: &payload,
        };
        if let Err(error) = self.send(&request, 0) {
            self.requests.take(r#ref);
            self.close(id, error);
        }
    }

    /// All that wait for a connection.
    pub(super) fn join_all(&mut self, now: Instant) {
        let mut ids: Vec<_> = self.channels.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            self.join(id, now);
        }
    }

    pub(super) fn join_answered(&mut self, id: ChannelId, r#ref: u64, reply: Reply, now: Instant) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        if channel.state != State::Joining(r#ref) {
            return;
        }
        match reply.into_result() {
            Ok(reply) => {
                channel.state = State::Joined(r#ref);
                channel.backoff.reset();
                let first = channel.first.take();
                let buffer = std::mem::take(&mut channel.buffer);
                self.set_timer(id, None);
                self.outputs
                    .push_back(Output::Joined(id, reply.response.clone()));
                if let Some(token) = first {
                    self.settle(token, Ok(reply));
                }
                for r#ref in buffer {
                    self.send_push(id, r#ref);
                }
            }
            Err(error)
                if channel.first.is_some()
                    || channel.rejoin == Rejoin::UnlessRefused
                    || is_for_good(&error) =>
            {
                self.close(id, error);
            }
            Err(error) => {
                let said = error.refusal().map(|it| it.response.clone());
                self.rejoin_later(id, said, now);
            }
        }
    }

    /// The channel failed while there is a connection.
    pub(super) fn rejoin_later(&mut self, id: ChannelId, said: Option<Payload>, now: Instant) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        if channel.rejoin == Rejoin::Never {
            return self.close(id, PushError::Closed);
        }
        channel.state = State::Errored;
        let due = now + channel.backoff.next(&mut self.random);
        self.set_timer(id, Some(due));
        self.status(id, ChannelStatus::Errored { said });
    }

    /// The connection is lost: all wait for the next one.
    pub(super) fn suspend_all(&mut self) {
        let mut ids: Vec<_> = self.channels.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let Some(channel) = self.channels.get_mut(&id) else {
                continue;
            };
            let was = channel.state;
            channel.state = State::Waiting;
            if channel.first.is_some() {
                continue;
            }
            if channel.rejoin == Rejoin::Never {
                self.close(id, PushError::Closed);
                continue;
            }
            channel.backoff.reset();
            self.set_timer(id, None);
            if matches!(was, State::Joined(_) | State::Joining(_)) {
                self.status(id, ChannelStatus::Errored { said: None });
            }
        }
    }

    pub(super) fn channel_timer(&mut self, id: ChannelId, now: Instant) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        channel.due = None;
        let (state, is_first) = (channel.state, channel.first.is_some());
        if let State::Joining(r#ref) = state {
            self.requests.take(r#ref);
            // It may have succeeded, and nobody would know.
            self.send_leave(id);
        }
        match state {
            _ if is_first => self.close(id, PushError::Timeout),
            State::Joining(_) => self.rejoin_later(id, None, now),
            State::Errored => self.join(id, now),
            State::Waiting | State::Joined(_) => {}
        }
    }

    pub(super) fn push(&mut self, push: Push<T>, deadline: Instant, now: Instant) {
        let Some(channel) = self.channels.get(&push.channel) else {
            return self.settle_push(push, Err(PushError::Closed));
        };
        if deadline <= now {
            return self.settle_push(push, Err(PushError::Timeout));
        }
        let (id, joined) = (push.channel, matches!(channel.state, State::Joined(_)));
        let r#ref = self.requests.add(Asked::Push(push), Some(deadline));
        self.timers.add(deadline, Timer::Request(r#ref));
        if joined {
            self.send_push(id, r#ref);
        } else if let Some(channel) = self.channels.get_mut(&id) {
            channel.buffer.push_back(r#ref);
        }
    }

    fn send_push(&mut self, id: ChannelId, r#ref: u64) {
        let Some((topic, join_ref)) = self
            .channels
            .get(&id)
            .and_then(|it| Some((it.topic.clone(), it.state.join_ref()?)))
        else {
            return;
        };
        let Some(push) = self.requests.push_mut(r#ref) else {
            return;
        };
        let Some((event, payload)) = push.unsent.take() else {
            return;
        };
        // Nobody waits for a cast: it is over once it's written. A ref it has all the same, since some channels
        // can't do with messages that have none.
        let cast = push.token.is_none();
        let bytes = if cast {
            std::mem::take(&mut push.bytes)
        } else {
            0
        };
        let request = Request {
            join_ref: &join_ref,
            r#ref: &text(r#ref),
            topic: &topic,
            intent: Intent::Push(&event),
            payload: &payload,
        };
        let sent = self.send(&request, bytes);
        if cast || sent.is_err() {
            self.forget(r#ref, sent.err(), bytes);
        }
    }

    /// A push that is over before it's answered.
    fn forget(&mut self, r#ref: u64, error: Option<PushError>, bytes: usize) {
        let Some((asked, deadline)) = self.requests.take(r#ref) else {
            return;
        };
        if let Some(deadline) = deadline {
            self.timers.remove(deadline, Timer::Request(r#ref));
        }
        if let (Asked::Push(mut push), Some(error)) = (asked, error) {
            push.bytes += bytes;
            self.settle_push(push, Err(error));
        }
    }

    pub(super) fn leave(&mut self, id: ChannelId, token: Option<T>, now: Instant) {
        let Some(channel) = self.channels.get(&id) else {
            if let Some(token) = token {
                self.settle(token, Err(PushError::Closed));
            }
            return;
        };
        let timeout = channel.timeout;
        let sent = self.send_leave(id);
        self.remove(id, PushError::Closed);
        match sent {
            Some(r#ref) => {
                let deadline = now + timeout;
                self.requests.put(r#ref, Asked::Leave(id, token), deadline);
                self.timers.add(deadline, Timer::Request(r#ref));
            }
            None => self.left(id, token),
        }
    }

    /// Says that a channel which is joined, or may be, isn't needed any more.
    fn send_leave(&mut self, id: ChannelId) -> Option<u64> {
        let channel = self.channels.get(&id)?;
        let (topic, join_ref) = (channel.topic.clone(), channel.state.join_ref()?);
        let r#ref = self.requests.unasked();
        self.send_bare(&join_ref, r#ref, &topic, Intent::Leave);
        Some(r#ref)
    }

    /// The server has let it go. What was sent before and isn't answered by now never will be.
    pub(super) fn left(&mut self, id: ChannelId, token: Option<T>) {
        self.fail_sent(id);
        if let Some(token) = token {
            let reply = Reply {
                status: "ok".to_owned(),
                response: Payload::empty(),
            };
            self.settle(token, Ok(reply));
        }
    }

    /// It is gone, and nobody has to be told but its owner.
    pub(super) fn close(&mut self, id: ChannelId, error: PushError) {
        self.fail_sent(id);
        self.remove(id, error);
    }

    fn remove(&mut self, id: ChannelId, error: PushError) {
        self.set_timer(id, None);
        let Some(channel) = self.channels.remove(&id) else {
            return;
        };
        if self.topics.get(&channel.topic) == Some(&id) {
            self.topics.remove(&channel.topic);
        }
        if let State::Joining(r#ref) = channel.state {
            self.requests.take(r#ref);
        }
        for r#ref in channel.buffer {
            self.forget(r#ref, Some(PushError::Closed), 0);
        }
        if let Some(token) = channel.first {
            self.settle(token, Err(error));
        }
        self.status(id, ChannelStatus::Closed);
    }

    pub(super) fn fail_sent(&mut self, id: ChannelId) {
        let sent = self.requests.take_if(
            |asked| matches!(asked, Asked::Push(push) if push.channel == id && push.unsent.is_none()),
        );
        for (r#ref, asked, deadline) in sent {
            if let Some(deadline) = deadline {
                self.timers.remove(deadline, Timer::Request(r#ref));
            }
            if let Asked::Push(push) = asked {
                self.settle_push(push, Err(PushError::Disconnected));
            }
        }
    }

    fn set_timer(&mut self, id: ChannelId, due: Option<Instant>) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        if let Some(was) = std::mem::replace(&mut channel.due, due) {
            self.timers.remove(was, Timer::Channel(id));
        }
        if let Some(due) = due {
            self.timers.add(due, Timer::Channel(id));
        }
    }
}

/// Whether a refused join is not to be tried again: the server says `"final": true`.
fn is_for_good(error: &PushError) -> bool {
    #[derive(serde::Deserialize)]
    struct Refused {
        #[serde(default)]
        r#final: bool,
    }
    let refusal = error.refusal().map(|it| it.response.decode::<Refused>());
    matches!(refusal, Some(Ok(Refused { r#final: true })))
}
