//! A joined channel with its context, behind one type for all channels.
//!
//! A channel is owned in and owned out: running a job consumes the box, and its future gives the box back. So
//! a future exists only while a callback runs, and an idle channel is plain data.

use std::{
    any::{Any, type_name},
    sync::Arc,
};

use bennu_pubsub::PubSub;
use bennu_wire::{Broadcast, ChannelId, Message, Name, Payload, Ref, Topic, decode_event};

use tokio::time::Instant;
use tracing::{Level, Span};

use super::{Conn, running::Run};
use crate::{
    Channel, Context, Error, Reason, Result, Socket,
    context::Ending,
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
    /// What it counts for in a queue.
    pub(crate) fn bytes(&self) -> u32 {
        match self {
            Self::In(message) => u32::try_from(message.payload.len()).unwrap_or(u32::MAX),
            Self::Out(_) | Self::Info(_) | Self::Leave(_) | Self::Terminate(_) => 0,
        }
    }
}

/// What came of it.
pub(crate) enum Ran {
    Joined(Box<dyn Live>, Payload),
    Refused(Payload),
    Done(Box<dyn Live>, Ending),
}

/// A joined channel of any type.
pub(crate) trait Live: Send {
    /// The join was replied to.
    fn joined(&mut self, pubsub: &PubSub);
    /// What its callbacks decided about its life.
    fn ending(&self) -> Ending;
    /// Ends its subscriptions.
    fn unsubscribed(&mut self);
    fn run(self: Box<Self>, job: Job) -> Run;
}

/// A join to be decided by the channel.
pub(crate) struct Request<S: Socket> {
    pub(crate) conn: Arc<Conn>,
    pub(crate) socket: Arc<S>,
    pub(crate) route: Arc<Route<S>>,
    pub(crate) id: ChannelId,
    pub(crate) topic: Topic,
    pub(crate) join_ref: Ref,
    pub(crate) payload: Payload,
}

pub(crate) type JoinFn<S> = fn(Request<S>) -> Run;

struct Channeled<C: Channel> {
    channel: C,
    cx: Context<C>,
}

/// Runs the join of a `C`.
pub(crate) fn join<C: Channel>(request: Request<C::Socket>) -> Run {
    let Request {
        conn,
        socket,
        route,
        id,
        topic,
        join_ref,
        payload,
    } = request;
    let params = params::from_payload(&payload);
    let began = Instant::now();
    let line = log::enabled_in(C::LOG_JOIN, &topic)
        .map(|level| (level, conn.mount().options.filter_parameters.show(&payload)));
    drop(payload);
    let span = trace::span!(
        info_span, "join", conn, channel = type_name::<C>(), topic = %Plain(&topic)
    );
    let mut cx = Context::joining(conn, socket, route, topic.clone(), join_ref, id);
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
            Ok((channel, response)) => Ran::Joined(Box::new(Channeled { channel, cx }), response),
            Err(error) => {
                if !error.is_refusal() {
                    tracing::error!(channel = type_name::<C>(), %topic, %error, "failed to join");
                }
                Ran::Refused(error.into_payload())
            }
        }
    })
}

impl<C: Channel> Live for Channeled<C> {
    fn joined(&mut self, pubsub: &PubSub) {
        self.cx.joined(pubsub);
    }

    fn ending(&self) -> Ending {
        self.cx.ending()
    }

    fn unsubscribed(&mut self) {
        self.cx.unsubscribed();
    }

    fn run(mut self: Box<Self>, job: Job) -> Run {
        match job {
            Job::In(message) => {
                let Message {
                    r#ref,
                    event,
                    payload,
                    ..
                } = message;
                self.cx.handling(r#ref);
                let handling = Handling::begin::<C>(&self.cx, &event, &payload);
                let span = trace::span!(
                    debug_span, "handle_in", self.cx.conn(),
                    channel = type_name::<C>(), topic = %Plain(self.cx.topic()),
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
                            let result = self.channel.handle_in(event, &self.cx).await;
                            if let Some(handling) = handling {
                                handling.end(&self.cx);
                            }
                            self.answer(result);
                        }
                        Err(why) => self.undecodable(why),
                    }
                    self.cx.handling(Ref::NULL);
                    self.done()
                })
            }
            Job::Out(broadcast) => within(self.span("handle_out"), async move {
                let result = self.channel.handle_out(&broadcast, &self.cx).await;
                self.log("handle_out", result);
                self.done()
            }),
            Job::Info(info) => within(self.span("handle_info"), async move {
                if let Ok(info) = info.downcast::<C::Info>() {
                    let result = self.channel.handle_info(*info, &self.cx).await;
                    self.log("handle_info", result);
                }
                self.done()
            }),
            Job::Terminate(reason) => within(self.span("terminate"), async move {
                self.channel.terminate(reason, &self.cx).await;
                self.done()
            }),
            Job::Leave(_) => Box::pin(std::future::ready(self.done())),
        }
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

impl<C: Channel> Channeled<C> {
    fn span(&self, callback: &'static str) -> Span {
        trace::span!(
            debug_span, "callback", self.cx.conn(),
            callback, channel = type_name::<C>(), topic = %Plain(self.cx.topic())
        )
    }

    fn done(self: Box<Self>) -> Ran {
        let ending = self.cx.ending();
        Ran::Done(self, ending)
    }

    fn answer(&self, result: Result<Reply>) {
        match result {
            Ok(Reply(Some(answer))) => self.cx.reply(answer),
            Ok(Reply(None)) => {}
            Err(error) => {
                if !error.is_refusal() {
                    tracing::error!(
                        channel = type_name::<C>(), topic = %self.cx.topic(), %error, "failed to handle an event"
                    );
                }
                self.cx.reply(Answer {
                    status: "error".into(),
                    response: Ok(error.into_payload()),
                });
            }
        }
    }

    /// A client's event made no sense to the channel.
    fn undecodable(&self, why: String) {
        if self.cx.wants_reply() {
            self.answer(Err(refuse(why)));
        } else {
            tracing::warn!(channel = type_name::<C>(), topic = %self.cx.topic(), why, "an event was not understood");
            self.cx.event_lost();
        }
    }

    fn log(&self, callback: &str, result: Result<()>) {
        if let Err(error) = result {
            tracing::error!(
                channel = type_name::<C>(), topic = %self.cx.topic(), callback, %error, "a callback failed"
            );
        }
    }
}
