//! The session: what each message of a connection means, given the channels it has joined.
//!
//! Messages and the runtime's verdicts go in, [`Action`]s come out: the first that a message leads to at once, all else
//! by [`Session::poll_action`] until there is none after each call. The one `match` in [`Session::receive`] is the table of the protocol's socket level
//! (`Phoenix.Socket.__in__/2`), with one difference: Phoenix lets a join hold up the whole connection, here only its
//! own topic waits.

mod actions;
mod channels;
mod joining;

use std::{borrow::Cow, collections::VecDeque};

pub use actions::Action;
use actions::Actions;
pub use channels::ChannelId;
use channels::{Channel, Channels, Phase};
use joining::Load;

use crate::{Message, Name, Outbound, Payload, Ref, Reply, Topic};

/// The event of replies.
pub(crate) const PHX_REPLY: &str = "phx_reply";
pub(crate) const PHX_JOIN: &str = "phx_join";
pub(crate) const PHX_LEAVE: &str = "phx_leave";
pub(crate) const PHX_CLOSE: &str = "phx_close";
pub(crate) const PHX_ERROR: &str = "phx_error";
pub(crate) const HEARTBEAT: &str = "heartbeat";
/// The topic of heartbeats, and otherwise one like any other.
pub(crate) const PHOENIX: &str = "phoenix";

const OK: &str = "ok";
const ERROR: &str = "error";
const TOO_MANY_QUEUED: &str = "too many messages queued";
const TOO_MANY_JOINING: &str = "too many joins at once";

/// What one connection may have. Numbers of channels beyond 65,535 count as that, and the others beyond `u32::MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Channels joined, joining or leaving; a join beyond is refused. 100 by default.
    pub channels_max: usize,
    /// Channels whose join is not decided yet; a join beyond is refused. 100 by default.
    pub joining_channels_max: usize,
    /// Messages that wait for joins to be decided, over all of them. Beyond, an event gets an error reply, and a join or
    /// leave closes the connection with 1008. 1,024 by default.
    pub joining_messages_max: usize,
    /// Bytes that these messages occupy, with the same consequences. 16 MiB by default.
    pub joining_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            channels_max: 100,
            joining_channels_max: 100,
            joining_messages_max: 1_024,
            joining_bytes_max: 16 * 1_024 * 1_024,
        }
    }
}

/// One connection's channels, as a value.
///
/// ```
/// use bennu_wire::{Action, Frame, Limits, Payload, Serializer, Session};
///
/// let mut session = Session::new(Limits::default());
/// let join = Serializer::V2.decode(Frame::Text(r#"["3","3","room:a","phx_join",{}]"#))?;
/// let action = session.receive(join, |topic| topic.starts_with("room:"));
///
/// let Some(Action::Join { id, topic, .. }) = action else { panic!("asked to join") };
/// assert_eq!(topic.subtopic(), "a");
///
/// // The runtime has run the channel's join, which said ok:
/// session.joined(id, Payload::empty());
/// assert!(matches!(session.poll_action(), Some(Action::Send(_))));
/// assert!(matches!(session.poll_action(), Some(Action::Joined { .. })));
/// assert!(session.poll_action().is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Session {
    channels: Channels,
    actions: Actions,
    waiting: Option<Box<Waiting>>,
    limits: Load,
    channels_max: u16,
    joining_channels_max: u16,
    next_id: u32,
}

/// What there is only where messages came for a topic while it was being joined.
#[derive(Debug, Default)]
struct Waiting {
    /// What all the joining channels' queues and `replay` hold together.
    load: Load,
    /// What waited for joins that are decided now, to be taken once more.
    replay: VecDeque<Message>,
}

/// What a message finds under its topic.
enum Found<'a> {
    Nothing,
    Joining(&'a mut Channel),
    Joined {
        channel: &'a mut Channel,
        current: bool,
    },
    Leaving(&'a mut Channel),
}

impl<'a> Found<'a> {
    fn in_channels(channels: &'a mut Channels, message: &Message) -> Self {
        let Some(channel) = message
            .topic
            .as_str()
            .and_then(|topic| channels.get_mut(topic))
        else {
            return Self::Nothing;
        };
        match channel.phase() {
            Phase::Joining => Self::Joining(channel),
            Phase::Leaving => Self::Leaving(channel),
            Phase::Joined => {
                let current = channel.is_meant_by(&message.join_ref);
                Self::Joined { channel, current }
            }
        }
    }
}

impl Session {
    /// What a joined channel takes here, beside the allocation of its topic's text.
    pub const CHANNEL_BYTES: usize = size_of::<Channel>();

    /// A connection that has joined nothing.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            channels: Channels::default(),
            actions: Actions::default(),
            waiting: None,
            limits: Load {
                messages: clamp(limits.joining_messages_max),
                bytes: clamp(limits.joining_bytes_max),
            },
            channels_max: few(limits.channels_max),
            joining_channels_max: few(limits.joining_channels_max),
            next_id: 0,
        }
    }

    /// Takes a message from the client, and says what is to be done first. `routed` says whether some channel serves a
    /// topic; it is asked for joins only.
    #[must_use]
    pub fn receive(
        &mut self,
        message: Message,
        routed: impl FnOnce(&str) -> bool,
    ) -> Option<Action> {
        // A join is rare, so the channels are counted when there is one.
        let event = message.event.as_str().unwrap_or_default();
        let joinable = event != PHX_JOIN || self.joinable();
        let found = Found::in_channels(&mut self.channels, &message);
        match (event, found) {
            (HEARTBEAT, _) if message.topic.as_str() == Some(PHOENIX) => {
                self.actions.reply(Ref::NULL, message, OK, Payload::empty());
            }
            // It isn't known yet what this means.
            (_, Found::Joining(channel)) => {
                match load(&mut self.waiting).add(&message, self.limits) {
                    Ok(()) => channel.queue(message),
                    Err(()) if event == PHX_JOIN || event == PHX_LEAVE => {
                        self.actions.push(Action::Close {
                            code: 1008,
                            reason: TOO_MANY_QUEUED,
                        });
                    }
                    Err(()) => self.actions.decline(message, TOO_MANY_QUEUED),
                }
            }
            (PHX_JOIN, Found::Joined { .. } | Found::Leaving(_)) if !joinable => {
                self.actions.decline(message, TOO_MANY_JOINING);
            }
            // The old channel makes room, so neither route nor number of channels is asked for.
            (PHX_JOIN, Found::Joined { channel, .. } | Found::Leaving(channel)) => {
                let Some(id) = next_id(&mut self.next_id, &mut self.actions) else {
                    return self.actions.pop();
                };
                self.actions.push(Action::Abandon { id: channel.id });
                channel.replace(id, &message);
                self.actions.join(channel, message);
            }
            (PHX_JOIN, Found::Nothing) => match &message.topic {
                Name::Text(topic) if routed(topic) => {
                    let topic = Topic::from_text(topic);
                    self.join(topic, message);
                }
                _ => self.actions.refuse(Ref::NULL, message, "unmatched topic"),
            },
            (PHX_LEAVE, Found::Nothing) => {
                self.actions
                    .reply(message.join_ref.clone(), message, OK, Payload::empty());
            }
            (_, Found::Nothing) => self.actions.refuse(Ref::NULL, message, "unmatched topic"),
            // Meant for a channel that a newer join replaced.
            (_, Found::Joined { current: false, .. }) => {}
            // Behind the leave it would never be read.
            (_, Found::Leaving(_)) => {}
            (
                PHX_LEAVE,
                Found::Joined {
                    channel,
                    current: true,
                },
            ) => {
                channel.set_leaving();
                self.actions.push(Action::Leave {
                    id: channel.id,
                    message,
                });
            }
            (
                _,
                Found::Joined {
                    channel,
                    current: true,
                },
            ) => {
                // As nearly always; the others take a way that allocates.
                let id = channel.id;
                return Some(Action::Deliver { id, message });
            }
        }
        self.actions.pop()
    }

    /// A channel's topic as somebody else has it already: from here they have one text between them, where it's long.
    pub fn share(&mut self, id: ChannelId, topic: &Topic) {
        if let Some(channel) = self.channels.get_by_id_mut(id)
            && channel.topic == *topic
        {
            channel.topic = topic.clone();
        }
    }

    /// The channel's join said ok. Sends the reply, and then what has waited for it takes its course.
    pub fn joined(&mut self, id: ChannelId, response: Payload) {
        let Some(channel) = self.channels.get_by_id_mut(id) else {
            return;
        };
        let Some(joining) = channel.take_joining() else {
            return;
        };
        self.actions.verdict(channel, &joining, OK, response);
        self.actions.push(Action::Joined { id });
        self.replay(joining.queue);
    }

    /// The channel's join said no, with what the client is to be told.
    pub fn refused(&mut self, id: ChannelId, response: Payload) {
        let Some(joining) = self
            .channels
            .get_by_id_mut(id)
            .and_then(Channel::take_joining)
        else {
            return;
        };
        let Some(channel) = self.channels.remove(id) else {
            return;
        };
        self.actions.verdict(&channel, &joining, ERROR, response);
        self.replay(joining.queue);
    }

    /// The channel's join panicked, or gave no verdict.
    pub fn join_crashed(&mut self, id: ChannelId) {
        self.refused(id, Payload::reason("join crashed"));
    }

    /// The channel has read all that came before the leave. It is forgotten at once, so the topic may be joined anew
    /// while the channel still terminates.
    pub fn left(&mut self, id: ChannelId, leave: &Message) {
        let Some(channel) = self.channels.remove_joined(id) else {
            return;
        };
        self.actions.push(Action::Send(Outbound::Reply(Reply {
            join_ref: leave.join_ref.clone(),
            r#ref: leave.r#ref.clone(),
            topic: Name::from(&channel.topic),
            status: Cow::Borrowed(OK),
            response: Payload::empty(),
        })));
        self.actions.close(&channel);
    }

    /// The channel stopped of its own accord. One that is still joining counts as crashed.
    pub fn stopped(&mut self, id: ChannelId) {
        match self.channels.remove_joined(id) {
            Some(channel) => self.actions.close(&channel),
            None => self.join_crashed(id),
        }
    }

    /// The channel panicked, or stopped with an error. One that is still joining counts as crashed.
    pub fn failed(&mut self, id: ChannelId) {
        match self.channels.remove_joined(id) {
            Some(channel) => {
                self.actions.end(
                    channel.sent_join_ref(),
                    &channel.topic,
                    PHX_ERROR,
                    Payload::reason("channel_crash"),
                );
            }
            None => self.join_crashed(id),
        }
    }

    /// What is to be done next, or nothing more; in this order, and before the next call of anything else.
    ///
    /// What waited for a join is taken once more here, a message at a time: what the runtime says of one, that the channel
    /// left for example, is known when the next is looked at.
    pub fn poll_action(&mut self) -> Option<Action> {
        loop {
            if let Some(action) = self.actions.pop() {
                return Some(action);
            }
            let waiting = self.waiting.as_mut()?;
            let Some(message) = waiting.replay.pop_front() else {
                if waiting.load == Load::default() {
                    self.waiting = None;
                }
                return None;
            };
            waiting.load.remove(&message);
            // A topic that was routed once is routed again.
            if let Some(action) = self.receive(message, |_| true) {
                return Some(action);
            }
        }
    }

    /// An event could not be queued behind the ones its channel has not read yet: the client is told so.
    pub fn overflowed(&mut self, message: Message) {
        self.actions.decline(message, TOO_MANY_QUEUED);
    }

    /// The client sends more often than it may. An event or a join is refused with `reason`. Anything else is heard all
    /// the same: it costs no more than saying no, and a leave or a heartbeat that isn't heard costs the client more.
    #[must_use]
    pub fn throttled(&mut self, message: Message, reason: &str) -> Option<Action> {
        match (message.event.as_str(), message.topic.as_str()) {
            (Some(PHX_LEAVE), _) | (Some(HEARTBEAT), Some(PHOENIX)) => {
                self.receive(message, |_| false)
            }
            _ => {
                self.actions.decline(message, reason);
                self.actions.pop()
            }
        }
    }

    /// How many channels there are, joining and leaving ones among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.channels.len()
    }

    /// Whether there is no channel.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the messages that wait for joins to be decided.
    #[must_use]
    pub fn joining_bytes(&self) -> usize {
        self.waiting.as_ref().map_or(0, |it| it.load.bytes as usize)
    }

    /// The channels, in no particular order, and whether each is joined: neither joining nor leaving.
    pub fn channels(&self) -> impl Iterator<Item = (ChannelId, &Topic, bool)> {
        self.channels
            .iter()
            .map(|channel| (channel.id, &channel.topic, channel.phase() == Phase::Joined))
    }

    /// What a channel's replies and pushes carry: the join ref that the client sent with its join, or the join's ref where
    /// that was null.
    #[must_use]
    pub fn join_ref(&self, id: ChannelId) -> Option<&Ref> {
        self.channels.get_by_id(id).map(|it| &it.join_ref)
    }

    /// A channel's topic, while the session knows the channel.
    #[must_use]
    pub fn topic(&self, id: ChannelId) -> Option<&Topic> {
        self.channels.get_by_id(id).map(|channel| &channel.topic)
    }

    fn replay(&mut self, queue: VecDeque<Message>) {
        if !queue.is_empty() {
            self.waiting.get_or_insert_default().replay.extend(queue);
        }
    }

    /// Whether one more join may be undecided.
    fn joinable(&self) -> bool {
        let joining = |it: &&Channel| it.phase() == Phase::Joining;
        let max = self.joining_channels_max;
        // There can't be more of them than channels.
        few(self.channels.len()) < max || few(self.channels.iter().filter(joining).count()) < max
    }

    fn join(&mut self, topic: Topic, message: Message) {
        if few(self.channels.len()) >= self.channels_max {
            return self.actions.decline(message, "too many channels joined");
        }
        if !self.joinable() {
            return self.actions.decline(message, TOO_MANY_JOINING);
        }
        let Some(id) = next_id(&mut self.next_id, &mut self.actions) else {
            return;
        };
        let channel = Channel::joining(id, topic, &message);
        self.actions.join(&channel, message);
        self.channels.insert(channel);
    }
}

fn load(waiting: &mut Option<Box<Waiting>>) -> &mut Load {
    &mut waiting.get_or_insert_default().load
}

/// Four thousand million joins over one connection, and its numbers have run out: the client may come again.
fn next_id(next: &mut u32, actions: &mut Actions) -> Option<ChannelId> {
    let id = ChannelId::new(*next);
    match next.checked_add(1) {
        Some(after) => {
            *next = after;
            Some(id)
        }
        None => {
            actions.push(Action::Close {
                code: 1012,
                reason: "too many joins",
            });
            None
        }
    }
}

fn clamp(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn few(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Frame, Serializer};

    fn receive(session: &mut Session, text: &str) -> Option<Action> {
        session.receive(Serializer::V2.decode(Frame::Text(text)).unwrap(), |_| true)
    }

    fn close() -> Option<Action> {
        Some(Action::Close {
            code: 1012,
            reason: "too many joins",
        })
    }

    #[test]
    fn a_channel_id_is_never_used_again() {
        let mut session = Session::new(Limits::default());
        session.next_id = u32::MAX - 1;
        let Some(Action::Join { id, .. }) = receive(&mut session, r#"["1","1","a","phx_join",{}]"#)
        else {
            panic!("there is one number left")
        };
        assert_eq!(id.get(), u32::MAX - 1);
        session.joined(id, Payload::empty());
        while session.poll_action().is_some() {}
        assert_eq!(
            receive(&mut session, r#"["2","2","b","phx_join",{}]"#),
            close()
        );
        assert_eq!(
            receive(&mut session, r#"["3","3","a","phx_join",{}]"#),
            close()
        );
        assert_eq!(session.topic(id).map(Topic::as_str), Some("a"));
    }

    #[test]
    fn an_idle_session_is_small() {
        assert_eq!((size_of::<Session>(), Session::CHANNEL_BYTES), (56, 48));
        let mut session = Session::new(Limits::default());
        for n in 1..=3 {
            let Some(Action::Join { id, .. }) =
                receive(&mut session, &format!(r#"["1","1","{n}","phx_join",{{}}]"#))
            else {
                panic!("{n} joins")
            };
            session.joined(id, Payload::empty());
            while session.poll_action().is_some() {}
            assert_eq!(
                session.channels.capacity(),
                n,
                "no room for channels that may never come"
            );
            assert!(session.actions.is_idle());
        }
    }
}
