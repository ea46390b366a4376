//! The session, given messages and verdicts in any order.

use std::collections::BTreeMap;

use bennu_wire::{Action, ChannelId, Frame, Limits, Message, Payload, Serializer, Session};

use crate::Input;

const LIMITS: Limits = Limits {
    channels_max: 4,
    joining_channels_max: 3,
    joining_messages_max: 5,
    joining_bytes_max: 2_000,
};
/// The answers to one message, and what they let loose.
const ACTIONS_MAX: usize = 100;

const TOPICS: &[&str] = &["a", "b", "c", "d", "e", "f", "phoenix", "unrouted"];
const EVENTS: &[&str] = &[
    "phx_join",
    "phx_leave",
    "phx_close",
    "phx_error",
    "heartbeat",
    "x",
    "y",
];
const REFS: &[&str] = &["null", "\"1\"", "\"2\"", "1", "{}"];

/// What the runtime knows of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Joining,
    /// The verdict was told, and not yet acted upon.
    Decided,
    Joined,
    Gone,
}

/// A runtime that does whatever the bytes say, but nothing that a runtime may not do.
#[derive(Default)]
struct Runtime {
    channels: BTreeMap<ChannelId, Phase>,
    leaving: Vec<(ChannelId, Message)>,
    closed: bool,
}

/// No action names a channel that can't be meant, limits hold, and there is an end to what one message sets off.
pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut session = Session::new(LIMITS);
    let mut runtime = Runtime::default();
    while !input.is_empty() && !runtime.closed {
        let mut first = None;
        match input.below(8) {
            0..4 => {
                if let Some(message) = message(&mut input) {
                    first = session.receive(message, |topic| topic != "unrouted");
                }
            }
            4 => {
                if let Some(id) = runtime.pick(&mut input, Phase::Joining) {
                    runtime.channels.insert(id, Phase::Decided);
                    match input.below(3) {
                        0 => session.joined(id, Payload::empty()),
                        1 => session.refused(id, Payload::reason("no")),
                        _ => session.join_crashed(id),
                    }
                }
            }
            5 => {
                if let Some(id) = runtime.pick(&mut input, Phase::Joined) {
                    match input.below(2) {
                        0 => session.stopped(id),
                        _ => session.failed(id),
                    }
                }
            }
            6 => {
                let at = input.below(runtime.leaving.len());
                if at < runtime.leaving.len() {
                    let (id, leave) = runtime.leaving.swap_remove(at);
                    session.left(id, &leave);
                }
            }
            // A verdict on a channel that may not be there any more.
            _ => {
                let id = ChannelId::new(u32::from(input.byte()) % 16);
                if !matches!(
                    runtime.channels.get(&id),
                    Some(Phase::Joining | Phase::Decided)
                ) {
                    session.stopped(id);
                }
            }
        }
        runtime.act(first, &mut session);
    }
}

fn message(input: &mut Input<'_>) -> Option<Message> {
    let (join_ref, r#ref) = (input.one(REFS)?, input.one(REFS)?);
    let (topic, event) = (input.one(TOPICS)?, input.one(EVENTS)?);
    let text = format!(r#"[{join_ref},{ref},"{topic}","{event}",{{}}]"#);
    Serializer::V2.decode(Frame::Text(&text)).ok()
}

impl Runtime {
    fn pick(&self, input: &mut Input<'_>, phase: Phase) -> Option<ChannelId> {
        let mut ids = self.channels.iter().filter(|(_, it)| **it == phase);
        let count = ids.clone().count();
        ids.nth(input.below(count)).map(|(id, _)| *id)
    }

    fn act(&mut self, first: Option<Action>, session: &mut Session) {
        let mut actions = 0;
        let mut next = first;
        while let Some(action) = next.take().or_else(|| session.poll_action()) {
            actions += 1;
            assert!(actions <= ACTIONS_MAX, "there is no end to it");
            self.take(action);
        }
        assert!(session.len() <= LIMITS.channels_max);
        let mut topics: Vec<_> = session.channels().map(|(_, topic, _)| topic).collect();
        let count = topics.len();
        topics.sort();
        topics.dedup();
        assert_eq!(topics.len(), count, "a topic is joined once");
        for (id, ..) in session.channels() {
            assert_ne!(self.channels.get(&id), Some(&Phase::Gone), "{id:?} is gone");
        }
    }

    fn take(&mut self, action: Action) {
        match action {
            Action::Send(outbound) => {
                let encoded = Serializer::V2.encode(&outbound.as_outgoing(), &mut Vec::new());
                assert!(encoded.is_ok());
            }
            Action::Join { id, .. } => {
                let newest = self.channels.keys().next_back();
                assert!(newest.is_none_or(|it| *it < id), "{id:?} was there before");
                self.channels.insert(id, Phase::Joining);
            }
            Action::Joined { id } => {
                assert_eq!(
                    self.channels.insert(id, Phase::Joined),
                    Some(Phase::Decided)
                );
            }
            Action::Deliver { id, .. } => {
                assert_eq!(self.channels.get(&id), Some(&Phase::Joined));
            }
            Action::Leave { id, message } => {
                assert_eq!(self.channels.get(&id), Some(&Phase::Joined));
                self.leaving.push((id, message));
            }
            Action::Ended { id } | Action::Abandon { id } => {
                let before = self.channels.insert(id, Phase::Gone);
                assert!(
                    before.is_some_and(|it| it != Phase::Gone),
                    "{id:?} ends twice"
                );
            }
            Action::Close { code, reason } => {
                assert!(code == 1008 && !reason.is_empty());
                self.closed = true;
            }
        }
    }
}
