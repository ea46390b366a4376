//! The session as a dialogue: what comes in, what the runtime says, and everything that follows from it.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails this way"
)]

mod connection;
mod ends;
mod golden;
mod joins;
mod limits;

use std::collections::HashMap;

use bennu_wire::{
    Action, ChannelId, Frame, Limits, Message, Outgoing, Payload, Serializer, Session,
};
use serde_json::value::RawValue;

/// Room for two channels, and for three messages that wait for joins.
const LIMITS: Limits = Limits {
    channels_max: 2,
    joining_channels_max: 2,
    joining_messages_max: 3,
    joining_bytes_max: 10_000,
};

/// Plays the lines that go in, and expects exactly the other ones, in order.
///
/// ```text
/// < message           the client sends it          > message          it is sent to the client
/// ! message           it comes too often
/// ok 0 response       channel 0's join says ok     join 0 topic join_ref params
/// no 0 response       it says no                   joined 0
/// crash 0             it crashes                   in 0 event payload
/// left 0              its leave's turn has come    leave 0
/// stop 0              it stops                     abandon 0
/// fail 0              it crashes                   close code reason
/// ```
#[track_caller]
fn check(dialogue: &str) {
    check_within(LIMITS, dialogue);
}

#[track_caller]
fn check_within(limits: Limits, dialogue: &str) {
    let expected: Vec<&str> = dialogue
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let mut stage = Stage {
        session: Session::new(limits),
        ids: HashMap::new(),
        leaves: HashMap::new(),
    };
    let mut heard = Vec::new();
    for line in &expected {
        if let Some(first) = stage.play(line) {
            heard.push((*line).to_owned());
            heard.extend(first.into_iter().map(|action| stage.describe(action)));
            while let Some(action) = stage.session.poll_action() {
                heard.push(stage.describe(action));
            }
        }
    }
    assert_eq!(heard, expected, "\nheard:\n{}\n", heard.join("\n"));
}

struct Stage {
    session: Session,
    ids: HashMap<u32, ChannelId>,
    leaves: HashMap<ChannelId, Message>,
}

impl Stage {
    /// What's to be done at once, if the line was one that goes in.
    fn play(&mut self, line: &str) -> Option<Vec<Action>> {
        let (verb, rest) = line.split_once(' ').unwrap();
        if verb == "<" {
            let message = Serializer::V2.decode(Frame::Text(rest)).unwrap();
            let first = self
                .session
                .receive(message, |topic| !topic.starts_with("nope"));
            return Some(first.into_iter().collect());
        }
        if verb == "!" {
            let message = Serializer::V2.decode(Frame::Text(rest)).unwrap();
            let first = self.session.throttled(message, "too many events");
            return Some(first.into_iter().collect());
        }
        let (number, response) = rest.split_once(' ').unwrap_or((rest, "{}"));
        let id = || self.ids[&number.parse().unwrap()];
        let response = || Payload::Json(RawValue::from_string(response.to_owned()).unwrap());
        match verb {
            "ok" => self.session.joined(id(), response()),
            "no" => self.session.refused(id(), response()),
            "crash" => self.session.join_crashed(id()),
            "left" => self.session.left(id(), &self.leaves[&id()]),
            "stop" => self.session.stopped(id()),
            "fail" => self.session.failed(id()),
            _ => return None,
        }
        Some(Vec::new())
    }

    fn describe(&mut self, action: Action) -> String {
        match action {
            Action::Send(outbound) => format!("> {}", text(&outbound.as_outgoing())),
            Action::Join {
                id,
                topic,
                join_ref,
                payload,
            } => {
                self.ids.insert(id.get(), id);
                format!(
                    "join {} {topic} {join_ref:?} {}",
                    id.get(),
                    payload.as_json().unwrap()
                )
            }
            Action::Joined { id } => format!("joined {}", id.get()),
            Action::Deliver { id, message } => {
                format!(
                    "in {} {} {}",
                    id.get(),
                    message.event,
                    message.payload.as_json().unwrap()
                )
            }
            Action::Leave { id, message } => {
                self.leaves.insert(id, message);
                format!("leave {}", id.get())
            }
            Action::Abandon { id } => format!("abandon {}", id.get()),
            Action::Ended { id } => format!("ended {}", id.get()),
            Action::Close { code, reason } => format!("close {code} {reason}"),
        }
    }
}

fn text(outgoing: &Outgoing<'_>) -> String {
    let mut text = Vec::new();
    Serializer::V2.encode(outgoing, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}
