//! A client to which anything happens, in any order, and which is told anything: for the project's fuzzer.

use std::collections::HashSet;

use bennu_wire::Frame as WireFrame;

use super::*;
use crate::{Transport, options::Carriage};

/// Inputs of one run.
const STEPS_MAX: usize = 500;
/// What one input may set off, for each channel and each push that there may be.
const OUTPUTS_MAX: usize = 16 + 4 * STEPS_MAX;
const TOPICS: [&str; 3] = ["room:1", "room:2", "lobby"];
/// What each push counts.
const PUSH_BYTES: usize = 9;

/// Runs a client by these bytes: each token is settled once, all of the queue's bytes come back, no timer stays, and each
/// input leads to an end.
///
/// # Panics
/// When that isn't so.
pub fn machine(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let mut now = Instant::now();
    let carriage = match choices.byte() % 3 {
        0 => Carriage::Only(Transport::LongPoll),
        1 => Carriage::Fallback(Duration::from_secs(2)),
        _ => Carriage::Only(Transport::WebSocket),
    };
    let options = Options {
        carriage,
        ..Options::default()
    };
    let mut run = Run::default();
    let mut machine = Machine::<u64>::new(options, 7, now);
    for step in 0..STEPS_MAX as u64 {
        if choices.0.is_empty() {
            break;
        }
        match run.input(&mut choices, step, now) {
            Some(input) => machine.handle(input, now),
            None => {
                now += Duration::from_millis(32 * u64::from(choices.byte()));
                machine.expire(now);
            }
        }
        run.take(&mut machine);
    }
    machine.handle(Input::Disconnect, now);
    run.take(&mut machine);
    assert_eq!(run.settled.len() as u64, run.asked);
    assert_eq!(run.released, run.taken);
    assert_eq!(machine.deadline(), None);
}

/// The fuzzer's bytes, as choices. At their end all are 0.
struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    fn take(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte());
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn topic(&mut self) -> &'static str {
        let at = usize::from(self.byte()) % TOPICS.len();
        TOPICS.get(at).copied().unwrap_or_default()
    }
}

/// What was asked of a client, and what it did.
#[derive(Default)]
struct Run {
    asked: u64,
    settled: HashSet<u64>,
    /// Bytes of the queue that pushes took, and those it gave back.
    taken: usize,
    released: usize,
}

impl Run {
    fn token(&mut self) -> u64 {
        self.asked += 1;
        self.asked
    }

    /// `None` is time that passes.
    fn input(&mut self, choices: &mut Choices<'_>, step: u64, now: Instant) -> Option<Input<u64>> {
        let choice = choices.byte() % 12;
        let id = ChannelId(u64::from(choices.byte()) % (step + 1));
        Some(match choice {
            0 => Input::Join {
                id: ChannelId(step),
                topic: choices.topic().into(),
                params: Arc::new(Payload::empty),
                timeout: Duration::from_secs(10),
                rejoin: match choices.byte() % 3 {
                    0 => Rejoin::Always,
                    1 => Rejoin::UnlessRefused,
                    _ => Rejoin::Never,
                },
                token: self.token(),
            },
            1 => {
                self.taken += PUSH_BYTES;
                Input::Push {
                    id,
                    event: "e".to_owned(),
                    payload: Payload::empty(),
                    deadline: now + Duration::from_secs(u64::from(choices.byte() % 12)),
                    bytes: PUSH_BYTES,
                    token: choices.byte().is_multiple_of(2).then(|| self.token()),
                }
            }
            2 => Input::Leave {
                id,
                token: choices.byte().is_multiple_of(2).then(|| self.token()),
            },
            3 => Input::Ping {
                deadline: now + Duration::from_secs(10),
                token: self.token(),
            },
            4 | 5 => Input::Opened,
            6 => Input::Lost(match choices.byte() % 4 {
                0 => ConnectionError::Timeout,
                1 => ConnectionError::Refused { status: 403 },
                _ => ConnectionError::Closed {
                    code: 1000 + u16::from(choices.byte()),
                    reason: String::from_utf8_lossy(choices.take()).into_owned(),
                },
            }),
            7 => return None,
            // What a server may say, with a ref that is likely to be right.
            8 | 9 => {
                let (topic, r#ref) = (choices.topic(), choices.byte() % 32);
                let text = match choices.byte() % 8 {
                    0 => format!(r#"["{ref}",null,"{topic}","phx_close",{{}}]"#),
                    1 => format!(r#"["{ref}",null,"{topic}","phx_error",{{}}]"#),
                    2 => format!(r#"["{ref}",null,"{topic}","new",{{"a":1}}]"#),
                    3 => format!(r#"[null,null,"{topic}","new",7]"#),
                    4 => reply(topic, r#ref, "error"),
                    _ => reply(topic, r#ref, "ok"),
                };
                return heard(WireFrame::Text(&text));
            }
            10 => return heard(WireFrame::Text(str::from_utf8(choices.take()).ok()?)),
            _ => return heard(WireFrame::Binary(choices.take())),
        })
    }

    fn take(&mut self, machine: &mut Machine<u64>) {
        let mut outputs = 0;
        while let Some(output) = machine.poll_output() {
            outputs += 1;
            assert!(outputs <= OUTPUTS_MAX, "there is no end to it");
            match output {
                Output::Settle(token, _) => assert!(self.settled.insert(token), "{token} twice"),
                Output::Send { bytes, .. } | Output::Release(bytes) => self.released += bytes,
                _ => {}
            }
        }
    }
}

fn reply(topic: &str, r#ref: u8, status: &str) -> String {
    let payload = format!(r#"{{"status":"{status}","response":{{}}}}"#);
    format!(r#"["{ref}","{ref}","{topic}","phx_reply",{payload}]"#)
}

fn heard(frame: WireFrame<'_>) -> Option<Input<u64>> {
    Response::decode(Serializer::V2, frame)
        .ok()
        .map(Input::Heard)
}
