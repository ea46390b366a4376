//! A joined channel, behind one type for all channels.
//!
//! A channel is owned in and owned out: running a job consumes the box, and its future gives the box back. So
//! a future exists only while a callback runs, and an idle channel is plain data. What all channels of a connection have in
//! common, and what the session knows of each, is lent to it for the time it runs.

use std::{
    any::{Any, type_name},
    sync::Arc,
};

use bennu_wire::{Broadcast, ChannelId, Message, Name, Payload, Ref, Topic, decode_event};

use tokio::time::Instant;
use tracing::{Level, Span};

use super::{Conn, running::Run};
use crate::{
    Channel, Context, Error, Reason, Result, Socket,
    context::{Ending, Kept},
    params, refuse,
    reply::{Answer, Reply},
    routes::Route,
    telemetry::{
        is_timed,
        log::{self, Plain},
        trace::{self, within},
    },
};

/// What a channel is asked to do.
pub(crate) enum Job {
    /// An event from the client.
    In(Message),
    /// A broadcast for `handle_out`.
    Out(Arc<Broadcast>),
    /// A message of the channel's `Info` type.
    Info(Box<dyn Any + Send>),
    /// The client leaves. The channel doesn't run this one: the driver does when its turn comes.
    Leave(Message),
    /// The last one.
    Terminate(Reason),
}

impl Job {
    /// What it counts for in a queue: as a client's message.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::In(message) | Self::Leave(message) => message.bytes(),
            Self::Out(_) | Self::Info(_) | Self::Terminate(_) => 0,
        }
    }
}

/// What came of it.
pub(crate) enum Ran<S> {
    Joined(Box<dyn Live<S>>, Payload, Ending),
    Refused(Payload),
    Done(Box<dyn Live<S>>, Ending),
}

/// A joined channel of any type.
pub(crate) trait Live<S>: Send {
    /// The join was replied to. Says what it decided about the channel's life.
    fn joined(&mut self, place: Place<S>) -> Ending
    where
        S: Socket;

    /// Ends its subscriptions. From here it keeps its join ref itself, since the session is about to forget it.
    fn unsubscribed(&mut self, join_ref: Option<&Ref>);

    fn run(self: Box<Self>, job: Job, place: Place<S>) -> Run<S>
    where
        S: Socket;
}

/// What a channel is lent while it runs.
pub(crate) struct Place<S: Socket> {
    pub(crate) conn: Arc<Conn>,
    pub(crate) socket: Arc<S>,
    pub(crate) route: Arc<Route<S>>,
    pub(crate) id: ChannelId,
    /// `None` where the session has forgotten the channel, and it has kept it itself.
    pub(crate) join_ref: Option<Ref>,
}

/// A join to be decided by the channel.
pub(crate) struct Request<S: Socket> {
    pub(crate) place: Place<S>,
    pub(crate) topic: Topic,
    pub(crate) payload: Payload,
}

pub(crate) type JoinFn<S> = fn(Request<S>) -> Run<S>;

/// A channel between its callbacks.
struct Resting<C> {
    channel: C,
    kept: Kept,
}

/// Runs the join of a `C`.
pub(crate) fn join<C: Channel>(request: Request<C::Socket>) -> Run<C::Socket> {
    let Request {
        place,
        topic,
        payload,
    } = request;
    let params = params::from_payload(&payload);
    let began = Instant::now();
    let line = log::enabled_in(C::LOG_JOIN, &topic).map(|level| {
        (
            level,
            place.conn.mount().options.filter_parameters.show(&payload),
        )
    });
    drop(payload);
    let span = trace::span!(
        info_span, "join", place.conn, channel = type_name::<C>(), topic = %Plain(&topic)
    );
    let mut cx = Context::joining(place, topic.clone());
    within(span, async move {
        let joined = match params {
            Ok(params) => C::join(&topic, params, &cx).await,
            Err(error) => Err(refuse(error.to_string())),
        };
        let response = joined.and_then(|it| match it.answer.map(|it| it.response).transpose() {
            Ok(response) => Ok((it.channel, response.unwrap_or_else(Payload::empty))),
            Err(error) => Err(Error::from(error)),
        });
        if response.is_ok() && cx.conn().pubsub().cluster().is_some() {
            cx.registered().await;
        }
        let (took, ok) = (began.elapsed(), response.is_ok());
        let counters = &cx.conn().mount().counters;
        counters.join_durations.add(took);
        counters.joins.add(if ok { "ok" } else { "error" });
        if let Some((level, params)) = line {
            log::joined(level, ok, &topic, type_name::<C>(), &params, took);
        }
        match response {
            Ok((channel, response)) => {
                let (ending, kept) = (cx.ending(), cx.into_kept());
                Ran::Joined(Box::new(Resting { channel, kept }), response, ending)
            }
            Err(error) => {
                if !error.is_refusal() {
                    tracing::error!(channel = type_name::<C>(), %topic, %error, "failed to join");
                }
                Ran::Refused(error.into_payload())
            }
        }
    })
}

impl<C: Channel> Live<C::Socket> for Resting<C> {
    fn joined(&mut self, place: Place<C::Socket>) -> Ending {
        let mut cx = Context::<C>::resuming(place, std::mem::take(&mut self.kept));
        cx.joined();
        let ending = cx.ending();
        self.kept = cx.into_kept();
        ending
    }

    fn unsubscribed(&mut self, join_ref: Option<&Ref>) {
        self.kept.unsubscribe(join_ref);
    }

    fn run(mut self: Box<Self>, job: Job, place: Place<C::Socket>) -> Run<C::Socket> {
        let mut cx = Context::<C>::resuming(place, std::mem::take(&mut self.kept));
        match job {
            Job::In(message) => {
                let Message {
                    r#ref,
                    event,
                    payload,
                    ..
                } = message;
                cx.handling(r#ref);
                let handling = Handling::begin::<C>(&cx, &event, &payload);
                let span = trace::span!(
                    debug_span, "handle_in", cx.conn(),
                    channel = type_name::<C>(), topic = %Plain(cx.topic()),
                    event = %Plain(event.as_str().unwrap_or_default())
                );
                let event = match &event {
                    Name::Text(event) => {
                        decode_event::<C::In>(event, &payload).map_err(|it| it.to_string())
                    }
                    Name::Json(_) => Err("event must be a string".to_owned()),
                };
                within(span, async move {
                    match event {
                        Ok(event) => {
                            let result = self.channel.handle_in(event, &cx).await;
                            if let Some(handling) = handling {
                                handling.end(&cx);
                            }
                            answer(&cx, result);
                        }
                        Err(why) => undecodable(&cx, why),
                    }
                    self.done(cx)
                })
            }
            Job::Out(broadcast) => within(callback_span(&cx, "handle_out"), async move {
                let result = self.channel.handle_out(&broadcast, &cx).await;
                told(&cx, "handle_out", result);
                self.done(cx)
            }),
            Job::Info(info) => within(callback_span(&cx, "handle_info"), async move {
                if let Ok(info) = info.downcast::<C::Info>() {
                    let result = self.channel.handle_info(*info, &cx).await;
                    told(&cx, "handle_info", result);
                }
                self.done(cx)
            }),
            Job::Terminate(reason) => within(callback_span(&cx, "terminate"), async move {
                self.channel.terminate(reason, &cx).await;
                self.done(cx)
            }),
            Job::Leave(_) => Box::pin(std::future::ready(self.done(cx))),
        }
    }
}

impl<C: Channel> Resting<C> {
    fn done(mut self: Box<Self>, cx: Context<C>) -> Ran<C::Socket> {
        let ending = cx.ending();
        self.kept = cx.into_kept();
        Ran::Done(self, ending)
    }
}

/// An event that is timed, or that a log line will tell of.
struct Handling {
    began: Instant,
    timed: bool,
    line: Option<Line>,
}

struct Line {
    level: Level,
    event: String,
    params: String,
}

impl Handling {
    /// `None` for most events, when nobody reads the log: then not even the clock is read.
    fn begin<C: Channel>(cx: &Context<C>, event: &Name, payload: &Payload) -> Option<Box<Self>> {
        let mount = cx.conn().mount();
        let timed = is_timed();
        let line = log::enabled_in(C::LOG_HANDLE_IN, cx.topic()).map(|level| Line {
            level,
            event: event.as_str().unwrap_or_default().to_owned(),
            params: mount.options.filter_parameters.show(payload),
        });
        (timed || line.is_some()).then(|| {
            Box::new(Self {
                began: Instant::now(),
                timed,
                line,
            })
        })
    }

    fn end<C: Channel>(self, cx: &Context<C>) {
        let took = self.began.elapsed();
        if self.timed {
            let counters = &cx.conn().mount().counters;
            counters.handle_in_durations.add(took);
        }
        if let Some(Line {
            level,
            event,
            params,
        }) = self.line
        {
            log::handled(level, &event, cx.topic(), type_name::<C>(), &params, took);
        }
    }
}

fn callback_span<C: Channel>(cx: &Context<C>, callback: &'static str) -> Span {
    trace::span!(
        debug_span, "callback", cx.conn(),
        callback, channel = type_name::<C>(), topic = %Plain(cx.topic())
    )
}

fn answer<C: Channel>(cx: &Context<C>, result: Result<Reply>) {
    match result {
        Ok(Reply(Some(answer))) => cx.reply(answer),
        Ok(Reply(None)) => {}
        Err(error) => {
            if !error.is_refusal() {
                tracing::error!(
                    channel = type_name::<C>(), topic = %cx.topic(), %error, "failed to handle an event"
                );
            }
            cx.reply(Answer {
                status: "error".into(),
                response: Ok(error.into_payload()),
            });
        }
    }
}

/// A client's event made no sense to the channel.
fn undecodable<C: Channel>(cx: &Context<C>, why: String) {
    if cx.wants_reply() {
        answer(cx, Err(refuse(why)));
    } else {
        tracing::warn!(channel = type_name::<C>(), topic = %cx.topic(), why, "an event was not understood");
        cx.event_lost();
    }
}

/// What a callback that answers nobody said.
fn told<C: Channel>(cx: &Context<C>, callback: &str, result: Result<()>) {
    if let Err(error) = result {
        tracing::error!(
            channel = type_name::<C>(), topic = %cx.topic(), callback, %error, "a callback failed"
        );
    }
}
