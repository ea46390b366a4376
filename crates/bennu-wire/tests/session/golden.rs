//! The session as a running Phoenix was seen to hold it, with the smallest of runtimes on our side.

use std::collections::HashMap;

use bennu_wire::{
    Action, Broadcast, ChannelId, Frame, Message, Name, NameRef, Outgoing, Payload, Ref,
    Serializer, Session,
};
use serde_json::Value;

use super::{LIMITS, text};

/// Runs each channel at once: no event is ever pending when the next message comes.
struct Runtime {
    session: Session,
    join_refs: HashMap<ChannelId, Ref>,
    left: HashMap<ChannelId, Name>,
    /// The join of `room:late`, whose verdict the script gives.
    late: Option<ChannelId>,
    sent: Vec<String>,
}

impl Runtime {
    fn receive(&mut self, line: &str) {
        let message = Serializer::V2.decode(Frame::Text(line)).unwrap();
        let first = self
            .session
            .receive(message, |topic| topic.starts_with("room:"));
        if let Some(action) = first {
            self.act(action);
        }
        self.act_all();
    }

    fn act_all(&mut self) {
        while let Some(action) = self.session.poll_action() {
            self.act(action);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Send(outbound) => self.sent.push(text(&outbound.as_outgoing())),
            Action::Join {
                id,
                join_ref,
                topic,
                ..
            } => {
                self.join_refs.insert(id, join_ref);
                if topic.as_str() == "room:late" && self.late.is_none() {
                    self.late = Some(id);
                    return;
                }
                self.session.joined(id, Payload::empty());
            }
            Action::Joined { .. } => {}
            Action::Deliver { id, message } => self.handle_in(id, &message),
            Action::Leave { id, message } => {
                self.session.left(id, &message);
                self.left.insert(id, message.topic);
            }
            Action::Ended { id } => {
                let Some(topic) = self.left.remove(&id) else {
                    return;
                };
                self.sent.push(text(&Outgoing::Push {
                    join_ref: &self.join_refs[&id],
                    r#ref: &Ref::NULL,
                    topic: (&topic).into(),
                    event: "terminated",
                    payload: &Payload::empty(),
                }));
            }
            Action::Abandon { id } => assert!(self.join_refs.remove(&id).is_some()),
            Action::Close { code, reason } => panic!("closed with {code} {reason}"),
        }
    }

    fn handle_in(&mut self, id: ChannelId, message: &Message) {
        let topic = NameRef::from(&message.topic);
        let reply = |response| {
            text(&Outgoing::Reply {
                join_ref: &self.join_refs[&id],
                r#ref: &message.r#ref,
                topic,
                status: "ok",
                response,
            })
        };
        match message.event.as_str() {
            Some("echo") => self.sent.push(reply(&message.payload)),
            Some("bc") => {
                let broadcast = Broadcast::new(
                    message.topic.as_str().unwrap(),
                    "bced",
                    message.payload.clone(),
                );
                let reply = reply(&Payload::empty());
                self.sent.push(text(&Outgoing::Broadcast(&broadcast)));
                self.sent.push(reply);
            }
            Some("boom") => self.session.failed(id),
            event => panic!("no such event: {event:?}"),
        }
    }
}

/// Each message of the client, and at once all that it brings about. Order of keys is free.
#[track_caller]
fn check(golden: &str) {
    let mut runtime = Runtime {
        session: Session::new(LIMITS),
        join_refs: HashMap::new(),
        left: HashMap::new(),
        late: None,
        sent: Vec::new(),
    };
    let mut expected = Vec::new();
    for line in golden
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        let (side, json) = line.split_once(' ').unwrap();
        match side {
            "C" => {
                assert_same(&runtime.sent, &expected);
                runtime.receive(json);
            }
            "join" => {
                assert_same(&runtime.sent, &expected);
                runtime
                    .session
                    .joined(runtime.late.unwrap(), Payload::empty());
                runtime.act_all();
            }
            _ => expected.push(json),
        }
    }
    assert_same(&runtime.sent, &expected);
}

#[track_caller]
fn assert_same(sent: &[String], expected: &[&str]) {
    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let sent: Vec<_> = sent.iter().map(|text| value(text)).collect();
    let expected: Vec<_> = expected.iter().map(|text| value(text)).collect();
    assert_eq!(sent, expected);
}

#[test]
fn the_golden_session() {
    check(
        r#"
        C [null,"1","phoenix","heartbeat",{}]
        S [null,"1","phoenix","phx_reply",{"response":{},"status":"ok"}]
        C ["1","3","nope:1","phx_join",{}]
        S [null,"3","nope:1","phx_reply",{"response":{"reason":"unmatched topic"},"status":"error"}]
        C ["1","5","room:1","phx_leave",{}]
        S ["1","5","room:1","phx_reply",{"response":{},"status":"ok"}]
        C ["5","6","room:a","phx_join",{"z":1}]
        S ["5","6","room:a","phx_reply",{"response":{},"status":"ok"}]
        C ["5",8,"room:a","echo","strpayload"]
        S ["5",8,"room:a","phx_reply",{"response":"strpayload","status":"ok"}]
        C ["stale","12","room:a","echo",{}]
        C [null,"13","room:a","echo",{}]
        S ["5","13","room:a","phx_reply",{"response":{},"status":"ok"}]
        C ["5","15","room:a","bc",{"m":1}]
        S [null,null,"room:a","bced",{"m":1}]
        S ["5","15","room:a","phx_reply",{"response":{},"status":"ok"}]
        C ["6","2","room:a","phx_join",{}]
        S ["6","2","room:a","phx_reply",{"response":{},"status":"ok"}]
        S ["5","5","room:a","phx_close",{}]
        C ["6","3","room:a","boom",{}]
        S ["6","6","room:a","phx_error",{"reason":"channel_crash"}]
        C ["6","4","room:a","ok",{}]
        S [null,"4","room:a","phx_reply",{"response":{"reason":"unmatched topic"},"status":"error"}]
        "#,
    );
}

#[test]
fn a_leave_and_a_join_in_one_go() {
    check(
        r#"
        C ["5","1","room:a","phx_join",{}]
        S ["5","1","room:a","phx_reply",{"response":{},"status":"ok"}]
        C ["5","2","room:a","phx_leave",{}]
        S ["5","2","room:a","phx_reply",{"response":{},"status":"ok"}]
        S ["5","5","room:a","phx_close",{}]
        S ["5",null,"room:a","terminated",{}]
        C ["6","3","room:a","phx_join",{}]
        S ["6","3","room:a","phx_reply",{"response":{},"status":"ok"}]
        "#,
    );
}

#[test]
fn a_join_without_join_ref() {
    check(
        r#"
        C [null,"1","room:a","phx_join",{}]
        S [null,"1","room:a","phx_reply",{"response":{},"status":"ok"}]
        C [null,"2","room:a","echo",{}]
        S ["1","2","room:a","phx_reply",{"response":{},"status":"ok"}]
        C [null,"3","room:a","phx_leave",{}]
        S [null,"3","room:a","phx_reply",{"response":{},"status":"ok"}]
        S [null,null,"room:a","phx_close",{}]
        S ["1",null,"room:a","terminated",{}]
        "#,
    );
}

#[test]
fn a_leave_and_a_join_that_waited_for_a_join_are_taken_one_after_the_other() {
    check(
        r#"
        C ["5","1","room:late","phx_join",{}]
        C ["5","2","room:late","phx_leave",{}]
        C ["6","3","room:late","phx_join",{}]
        C ["6","4","room:late","echo",{}]
        join ok
        S ["5","1","room:late","phx_reply",{"response":{},"status":"ok"}]
        S ["5","2","room:late","phx_reply",{"response":{},"status":"ok"}]
        S ["5","5","room:late","phx_close",{}]
        S ["5",null,"room:late","terminated",{}]
        S ["6","3","room:late","phx_reply",{"response":{},"status":"ok"}]
        S ["6","4","room:late","phx_reply",{"response":{},"status":"ok"}]
        "#,
    );
}
