//! What a session wants done.

use std::{borrow::Cow, collections::VecDeque};

use super::{ChannelId, ERROR, channels::Channel, joining::Joining};
use crate::{Message, Name, Outbound, Payload, Ref, Reply, Topic};

/// What is to be done next, by whoever runs the channels and writes to the transport.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Encode it and write it to the client.
    Send(Outbound),
    /// Run a channel's join; to be answered with `joined`, `refused` or `join_crashed`.
    Join {
        /// The new channel.
        id: ChannelId,
        /// Its topic.
        topic: Topic,
        /// The channel's own join ref, for its replies and pushes: the one given, or the join's ref where that was null.
        join_ref: Ref,
        /// The join's parameters.
        payload: Payload,
    },
    /// The client knows that it joined: subscribe the channel, and send what its join held back. Messages that waited
    /// for the verdict come right after.
    Joined {
        /// The channel.
        id: ChannelId,
    },
    /// Give the channel an event, behind those it has not read yet. An event that is no text is for the runtime to
    /// refuse.
    Deliver {
        /// The channel.
        id: ChannelId,
        /// The event.
        message: Message,
    },
    /// Have the channel leave, behind the events it has not read yet; to be answered with `left`.
    Leave {
        /// The channel.
        id: ChannelId,
        /// What asked for it, to be given back to `left`.
        message: Message,
    },
    /// The client knows that the channel left or stopped: what its `terminate` pushes may follow.
    Ended {
        /// The channel, which the session has forgotten.
        id: ChannelId,
    },
    /// A newer join replaced the channel: end it where it is. Nothing is sent for it, its `terminate` doesn't run.
    Abandon {
        /// The channel, which the session has forgotten.
        id: ChannelId,
    },
    /// Close the connection: the client has gone beyond what is bearable.
    Close {
        /// The WebSocket close code.
        code: u16,
        /// The reason to be given with it.
        reason: &'static str,
    },
}

/// Actions not taken yet. Nearly always there is one at a time, and none while the connection idles: then this is a
/// null pointer.
#[derive(Debug, Default)]
pub(super) struct Actions(Option<Box<Waiting>>);

#[derive(Debug)]
struct Waiting {
    first: Option<Action>,
    rest: VecDeque<Action>,
}

impl Actions {
    pub(super) fn push(&mut self, action: Action) {
        match &mut self.0 {
            Some(waiting) => waiting.rest.push_back(action),
            None => {
                self.0 = Some(Box::new(Waiting {
                    first: Some(action),
                    rest: VecDeque::new(),
                }))
            }
        }
    }

    pub(super) fn pop(&mut self) -> Option<Action> {
        let waiting = self.0.as_deref_mut()?;
        let action = waiting.first.take().or_else(|| waiting.rest.pop_front());
        if waiting.rest.is_empty() {
            self.0 = None;
        }
        action
    }

    /// Whether it takes no memory but its own pointer.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.0.is_none()
    }

    /// Answers a message.
    pub(super) fn reply(
        &mut self,
        join_ref: Ref,
        to: Message,
        status: &'static str,
        response: Payload,
    ) {
        self.push(Action::Send(Outbound::Reply(Reply {
            join_ref,
            r#ref: to.r#ref,
            topic: to.topic,
            status: Cow::Borrowed(status),
            response,
        })));
    }

    /// Answers a message with an error.
    pub(super) fn refuse(&mut self, join_ref: Ref, to: Message, reason: &str) {
        self.reply(join_ref, to, ERROR, Payload::reason(reason));
    }

    /// Refuses a message that is meant for its channel, and says so to that.
    pub(super) fn decline(&mut self, to: Message, reason: &str) {
        self.refuse(to.join_ref.clone(), to, reason);
    }

    /// Has a channel's join run.
    pub(super) fn join(&mut self, channel: &Channel, message: Message) {
        self.push(Action::Join {
            id: channel.id,
            topic: channel.topic.clone(),
            join_ref: channel.join_ref.clone(),
            payload: message.payload,
        });
    }

    /// Answers a join; the channel it replaced is closed for the client right after, not before.
    pub(super) fn verdict(
        &mut self,
        channel: &Channel,
        joining: &Joining,
        status: &'static str,
        response: Payload,
    ) {
        self.push(Action::Send(Outbound::Reply(Reply {
            join_ref: channel.sent_join_ref(),
            r#ref: joining.r#ref.clone(),
            topic: Name::from(&channel.topic),
            status: Cow::Borrowed(status),
            response,
        })));
        if let Some(replaced) = &joining.replaced {
            self.end(
                replaced.clone(),
                &channel.topic,
                super::PHX_CLOSE,
                Payload::empty(),
            );
        }
    }

    /// Closes a channel that left or stopped.
    pub(super) fn close(&mut self, channel: &Channel) {
        self.end(
            channel.sent_join_ref(),
            &channel.topic,
            super::PHX_CLOSE,
            Payload::empty(),
        );
        self.push(Action::Ended { id: channel.id });
    }

    /// Tells the client that a channel is over. Both refs are the join ref as the client sent it, null if it was.
    pub(super) fn end(&mut self, join_ref: Ref, topic: &Topic, event: &str, payload: Payload) {
        self.push(Action::Send(Outbound::Message(Message {
            r#ref: join_ref.clone(),
            join_ref,
            topic: Name::from(topic),
            event: Name::from(event),
            payload,
        })));
    }
}
