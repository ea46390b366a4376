//! Scripts: what happens to a client (`>`) and what it then does (`<`), at times of our own.

mod channels;
mod chaos;
mod links;

use std::fmt::Write;

use bennu_wire::Frame as WireFrame;

use super::*;
use crate::Status;

/// Runs the lines that begin with `>`, and compares what comes of them with the lines that follow.
#[track_caller]
fn check(options: Options, script: &str) {
    let script: Vec<_> = script.lines().map(str::trim).collect();
    let mut now = Instant::now();
    let mut machine = Machine::new(options, 7, now);
    let mut transcript = String::new();
    outputs(&mut machine, &mut transcript);
    for line in &script {
        let Some(input) = line.strip_prefix("> ") else {
            continue;
        };
        writeln!(transcript, "{line}").unwrap();
        let (verb, rest) = input.split_once(' ').unwrap_or((input, ""));
        match verb {
            "wait" => now += Duration::from_millis(rest.parse().unwrap()),
            // The next thing is due.
            "due" => now = machine.deadline().unwrap(),
            _ => machine.handle(parsed(verb, rest, now), now),
        }
        machine.expire(now);
        outputs(&mut machine, &mut transcript);
    }
    let expected: String = script
        .iter()
        .filter(|line| !line.is_empty())
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(transcript, expected, "\n{transcript}");
}

fn parsed(verb: &str, rest: &str, now: Instant) -> Input<&'static str> {
    let words: Vec<_> = rest.split(' ').collect();
    let name = |at: usize| -> Option<&'static str> {
        let word = words.get(at)?.to_string();
        Some(Box::leak(word.into_boxed_str()))
    };
    let id = || ChannelId(words[0].parse().unwrap());
    match verb {
        "opened" => Input::Opened,
        "hear" => {
            let frame = WireFrame::Text(rest);
            Input::Heard(Response::decode(Serializer::V2, frame).unwrap())
        }
        "lost" => Input::Lost(ConnectionError::Closed {
            code: words[0].parse().unwrap(),
            reason: words[1..].join(" "),
        }),
        "refused" => Input::Lost(ConnectionError::Refused {
            status: rest.parse().unwrap(),
        }),
        "unreachable" => Input::Lost(ConnectionError::Failed("unreachable".to_owned())),
        "disconnect" => Input::Disconnect,
        "join" => Input::Join {
            id: id(),
            topic: words[1].into(),
            params: Arc::new(Payload::empty),
            timeout: Duration::from_secs(10),
            rejoin: match words.get(3).copied() {
                Some("never") => Rejoin::Never,
                Some("unless-refused") => Rejoin::UnlessRefused,
                _ => Rejoin::Always,
            },
            token: name(2).unwrap(),
        },
        "push" => Input::Push {
            id: id(),
            event: words[1].to_owned(),
            payload: Payload::empty(),
            deadline: now + Duration::from_secs(10),
            bytes: 9,
            token: name(2),
        },
        "leave" => Input::Leave {
            id: id(),
            token: name(1),
        },
        "ping" => Input::Ping {
            deadline: now + Duration::from_secs(10),
            token: name(0).unwrap(),
        },
        _ => panic!("no such verb: {verb}"),
    }
}

fn outputs(machine: &mut Machine<&'static str>, transcript: &mut String) {
    while let Some(output) = machine.poll_output() {
        let text = match output {
            Output::Connect(transport) => format!("connect {transport:?}"),
            Output::Send {
                frame: Frame::Text(text),
                bytes: 0,
            } => format!("send {text}"),
            Output::Send {
                frame: Frame::Text(text),
                bytes,
            } => format!("send {text} and release {bytes}"),
            Output::Send { frame, .. } => format!("send {frame:?}"),
            Output::Release(bytes) => format!("release {bytes}"),
            Output::HangUp(why) => format!("hang up: {why}"),
            Output::Finish => "finish".to_owned(),
            Output::Settle(token, Ok(reply)) => {
                format!("{token}: {} {}", reply.status, shown(&reply.response))
            }
            Output::Settle(token, Err(error)) => format!("{token}: {error}"),
            Output::Joined(ChannelId(id), reply) => format!("{id} joined {}", shown(&reply)),
            Output::Event(ChannelId(id), event, payload) => {
                format!("{id} hears {event} {}", shown(&payload))
            }
            Output::Channel(ChannelId(id), status) => match status {
                ChannelStatus::Errored { said: Some(said) } => {
                    format!("{id} errored {}", shown(&said))
                }
                ChannelStatus::Errored { said: None } => format!("{id} errored"),
                ChannelStatus::Joining => format!("{id} joining"),
                ChannelStatus::Joined => format!("{id} joined"),
                ChannelStatus::Closed => format!("{id} closed"),
            },
            Output::Status(Status::Connecting) => "connecting".to_owned(),
            Output::Status(Status::Open { transport }) => format!("open {transport:?}"),
            Output::Status(Status::Waiting { error, .. }) => format!("waiting: {error}"),
            Output::Status(Status::Closed { error }) => format!("closed: {error}"),
        };
        writeln!(transcript, "< {text}").unwrap();
    }
}

fn shown(payload: &Payload) -> &str {
    payload.as_json().unwrap()
}

/// With waits that jitter can't reorder.
fn options() -> Options {
    Options {
        reconnect_after: [100, 1000].map(Duration::from_millis).into(),
        ..Options::default()
    }
}
