//! The client's side of the protocol as a value: what the caller, the connection and the clock do goes in, what is to be
//! done comes out. It has no socket, no clock and no task of its own; randomness is a seed.
//!
//! `T` is what answers are for: the driver's is a channel to who waits, a test's is a name.

mod channel;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod link;
mod output;
mod requests;
#[cfg(test)]
mod tests;
mod timers;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use bennu_wire::{Heard, Intent, Payload, Ref, Request, Response, Serializer, Topic};
use fastrand::Rng;

pub(crate) use self::output::{Frame, Output, Reply};
use self::{
    channel::{Channel, State},
    link::Link,
    requests::{Asked, Push, Requests},
    timers::{Timer, Timers},
};
use crate::{ChannelStatus, ConnectionError, PushError, Rejoin, options::Options};

/// One handle's channel. A later one of the same topic is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ChannelId(pub(crate) u64);

/// The params of a join, made anew for each.
pub(crate) type Params = Arc<dyn Fn() -> Payload + Send + Sync>;

/// What happens to a client.
pub(crate) enum Input<T> {
    /// The caller joins a topic, and is told with the token.
    Join {
        id: ChannelId,
        topic: Topic,
        params: Params,
        timeout: Duration,
        rejoin: Rejoin,
        token: T,
    },
    /// The caller pushes an event, which counts `bytes` against the queue. Without a token nobody waits for the reply.
    Push {
        id: ChannelId,
        event: String,
        payload: Payload,
        deadline: Instant,
        bytes: usize,
        token: Option<T>,
    },
    /// The caller leaves a channel.
    Leave { id: ChannelId, token: Option<T> },
    /// The caller wants to know whether the server answers.
    Ping { deadline: Instant, token: T },
    /// The caller ends it all.
    Disconnect,
    /// The connection that was asked for is there.
    Opened,
    /// A message came.
    Heard(Response),
    /// The connection that was asked for failed, or the one there was is lost.
    Lost(ConnectionError),
}

/// All that is known of a client.
pub(crate) struct Machine<T> {
    options: Options,
    random: Rng,
    link: Link,
    channels: HashMap<ChannelId, Channel<T>>,
    /// The present channel of each topic.
    topics: HashMap<Topic, ChannelId>,
    requests: Requests<T>,
    timers: Timers,
    outputs: VecDeque<Output<T>>,
}

impl<T> Machine<T> {
    /// A client that makes its first connection now.
    pub(crate) fn new(options: Options, seed: u64, now: Instant) -> Self {
        let mut it = Self {
            random: Rng::with_seed(seed),
            link: Link::new(&options),
            options,
            channels: HashMap::new(),
            topics: HashMap::new(),
            requests: Requests::new(),
            timers: Timers::default(),
            outputs: VecDeque::new(),
        };
        it.connect(now);
        it
    }

    /// What is to be done next, in order.
    pub(crate) fn poll_output(&mut self) -> Option<Output<T>> {
        self.outputs.pop_front()
    }

    /// When [`expire`](Self::expire) is to be called.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.timers.first()
    }

    /// The specification of a client: what each thing that happens means.
    pub(crate) fn handle(&mut self, input: Input<T>, now: Instant) {
        match input {
            Input::Join {
                id,
                topic,
                params,
                timeout,
                rejoin,
                token,
            } => {
                let channel = Channel::new(topic, params, timeout, rejoin, token, &self.options);
                self.add(id, channel, now);
            }
            Input::Push {
                id,
                event,
                payload,
                deadline,
                bytes,
                token,
            } => {
                let push = Push {
                    channel: id,
                    unsent: Some((event, payload)),
                    bytes,
                    token,
                };
                self.push(push, deadline, now);
            }
            Input::Leave { id, token } => self.leave(id, token, now),
            Input::Ping { deadline, token } => self.ping(token, deadline),
            Input::Disconnect => self.end(ConnectionError::Disconnected),
            Input::Opened => self.opened(now),
            Input::Heard(response) => self.hear(response, now),
            Input::Lost(error) => self.lost(error, now),
        }
    }

    /// Time has passed.
    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some(timer) = self.timers.pop(now) {
            match timer {
                Timer::Connect => self.connect_timer(now),
                Timer::Heartbeat => self.heartbeat_timer(now),
                Timer::Proof => {
                    self.hang_up("no answer to the first ping");
                    self.lost(ConnectionError::Timeout, now);
                }
                Timer::Channel(id) => self.channel_timer(id, now),
                Timer::Request(r#ref) => self.request_timer(r#ref),
            }
        }
    }

    fn hear(&mut self, response: Response, now: Instant) {
        let Response {
            join_ref,
            topic,
            heard,
            payload,
        } = response;
        if let Heard::Reply { r#ref, status } = heard {
            let reply = Reply {
                status,
                response: payload,
            };
            return self.replied(&r#ref, reply, now);
        }
        let Some(&id) = topic.as_str().and_then(|topic| self.topics.get(topic)) else {
            return;
        };
        let Some(channel) = self.channels.get(&id) else {
            return;
        };
        // What belongs to an earlier join, or comes before the reply to this one, concerns nobody.
        if !channel.is_joined_as(&join_ref) {
            return;
        }
        match heard {
            Heard::Push { event } => self.outputs.push_back(Output::Event(id, event, payload)),
            Heard::Closed => self.close(id, PushError::Closed),
            Heard::Failed => {
                self.fail_sent(id);
                self.rejoin_later(id, Some(payload), now);
            }
            Heard::Reply { .. } => {}
        }
    }

    /// Refs are given out once, so a ref says what was asked.
    fn replied(&mut self, r#ref: &Ref, reply: Reply, now: Instant) {
        let Ok(r#ref) = r#ref.to_text().parse::<u64>() else {
            return;
        };
        let Some((asked, deadline)) = self.requests.take(r#ref) else {
            return;
        };
        if let Some(deadline) = deadline {
            self.timers.remove(deadline, Timer::Request(r#ref));
        }
        match asked {
            Asked::Join(id) => self.join_answered(id, r#ref, reply, now),
            Asked::Push(push) => self.settle_push(push, reply.into_result()),
            Asked::Leave(id, token) => self.left(id, token),
            Asked::Heartbeat => self.alive(),
            Asked::Ping(token) => self.settle(token, Ok(reply)),
        }
    }

    fn request_timer(&mut self, r#ref: u64) {
        match self.requests.take(r#ref) {
            Some((Asked::Push(push), _)) => {
                if let Some(channel) = self.channels.get_mut(&push.channel) {
                    channel.buffer.retain(|it| *it != r#ref);
                }
                self.settle_push(push, Err(PushError::Timeout));
            }
            Some((Asked::Leave(id, token), _)) => self.left(id, token),
            Some((Asked::Ping(token), _)) => self.settle(token, Err(PushError::Timeout)),
            // Joins and heartbeats are timed by who sends them.
            Some((Asked::Join(_) | Asked::Heartbeat, _)) | None => {}
        }
    }

    fn settle(&mut self, token: T, result: Result<Reply, PushError>) {
        self.outputs.push_back(Output::Settle(token, result));
    }

    fn settle_push(&mut self, push: Push<T>, result: Result<Reply, PushError>) {
        if push.bytes > 0 {
            self.outputs.push_back(Output::Release(push.bytes));
        }
        if let Some(token) = push.token {
            self.settle(token, result);
        }
    }

    fn status(&mut self, id: ChannelId, status: ChannelStatus) {
        self.outputs.push_back(Output::Channel(id, status));
    }

    /// Encodes, and asks to have it sent. `bytes` are released once it is written.
    fn send(&mut self, request: &Request<'_>, bytes: usize) -> Result<(), PushError> {
        let mut buffer = Vec::new();
        let kind = request.encode(Serializer::V2, &mut buffer)?;
        let frame = Frame::new(kind, buffer);
        self.outputs.push_back(Output::Send { frame, bytes });
        Ok(())
    }

    /// A message without params, which always has a form.
    fn send_bare(&mut self, join_ref: &Ref, r#ref: u64, topic: &str, intent: Intent<'_>) {
        let request = Request {
            join_ref,
            r#ref: &text(r#ref),
            topic,
            intent,
            payload: &Payload::empty(),
        };
        if let Err(error) = self.send(&request, 0) {
            tracing::error!(%error, "failed to encode a message of the client's own");
        }
    }
}

fn text(r#ref: u64) -> Ref {
    Ref::text(&r#ref.to_string())
}

impl State {
    fn join_ref(&self) -> Option<Ref> {
        match self {
            Self::Joining(join_ref) | Self::Joined(join_ref) => Some(text(*join_ref)),
            Self::Waiting | Self::Errored => None,
        }
    }
}
