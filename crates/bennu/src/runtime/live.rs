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

use super::{Conn, running::Run};
use crate::{
    Channel, Context, Error, Reason, Result, Socket,
    context::Ending,
    params, refuse,
    reply::{Answer, Reply},
    routes::Route,
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
    let cx = Context::joining(conn, socket, route, topic.clone(), join_ref, id);
    Box::pin(async move {
        let joined = match params {
            Ok(params) => C::join(&topic, params, &cx).await,
            Err(error) => Err(refuse(error.to_string())),
        };
        let response = joined.and_then(|it| match it.answer.map(|it| it.response).transpose() {
            Ok(response) => Ok((it.channel, response.unwrap_or_else(Payload::empty))),
            Err(error) => Err(Error::from(error)),
        });
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
                let event = match &event {
                    Name::Text(event) => {
                        decode_event::<C::In>(event, &payload).map_err(|it| it.to_string())
                    }
                    Name::Json(_) => Err("event must be a string".to_owned()),
                };
                Box::pin(async move {
                    match event {
                        Ok(event) => {
                            let result = self.channel.handle_in(event, &self.cx).await;
                            self.answer(result);
                        }
                        Err(why) => self.undecodable(why),
                    }
                    self.cx.handling(Ref::NULL);
                    self.done()
                })
            }
            Job::Out(broadcast) => Box::pin(async move {
                let result = self.channel.handle_out(&broadcast, &self.cx).await;
                self.log("handle_out", result);
                self.done()
            }),
            Job::Info(info) => Box::pin(async move {
                if let Ok(info) = info.downcast::<C::Info>() {
                    let result = self.channel.handle_info(*info, &self.cx).await;
                    self.log("handle_info", result);
                }
                self.done()
            }),
            Job::Terminate(reason) => Box::pin(async move {
                self.channel.terminate(reason, &self.cx).await;
                self.done()
            }),
            Job::Leave(_) => Box::pin(std::future::ready(self.done())),
        }
    }
}

impl<C: Channel> Channeled<C> {
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
