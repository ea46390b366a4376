//! Whatever happens, in whatever order.

use std::collections::HashSet;

use bennu_wire::Frame as WireFrame;

use super::*;
use crate::{Transport, options::Carriage};

/// A client to which anything happens, and what was asked of it.
struct Run {
    random: Rng,
    now: Instant,
    asked: u64,
    /// Bytes of the queue that pushes took.
    taken: usize,
}

impl Run {
    fn token(&mut self) -> u64 {
        self.asked += 1;
        self.asked
    }

    fn some_token(&mut self) -> Option<u64> {
        self.random.bool().then(|| self.token())
    }

    /// Whatever comes to mind. `None` is time that passes.
    fn input(&mut self, step: u64) -> Option<Input<u64>> {
        let room = self.random.u64(0..6);
        let id = ChannelId(self.random.u64(0..=step));
        let r#ref = self.random.u64(0..80);
        Some(match self.random.u8(0..14) {
            0 => Input::Join {
                id: ChannelId(step),
                topic: format!("room:{room}").into(),
                params: Arc::new(Payload::empty),
                timeout: Duration::from_secs(10),
                rejoin: [Rejoin::Always, Rejoin::UnlessRefused, Rejoin::Never]
                    [self.random.usize(0..3)],
                token: self.token(),
            },
            1..=3 => {
                self.taken += 9;
                Input::Push {
                    id,
                    event: "e".to_owned(),
                    payload: Payload::empty(),
                    deadline: self.now + Duration::from_secs(self.random.u64(0..12)),
                    bytes: 9,
                    token: self.some_token(),
                }
            }
            4 => Input::Leave {
                id,
                token: self.some_token(),
            },
            5 => Input::Ping {
                deadline: self.now + Duration::from_secs(10),
                token: self.token(),
            },
            6 | 7 => Input::Opened,
            8 if self.random.u8(0..5) == 0 => Input::Lost(ConnectionError::Timeout),
            9 => {
                let event = ["close", "error"][self.random.usize(0..2)];
                heard(&format!(
                    r#"["{ref}","1","room:{room}","phx_{event}",{{}}]"#
                ))
            }
            10 | 11 => return None,
            _ => {
                let status = ["ok", "ok", "error"][self.random.usize(0..3)];
                heard(&format!(
                    r#"["{ref}","{ref}","room:{room}","phx_reply",{{"status":"{status}","response":{{}}}}]"#
                ))
            }
        })
    }
}

fn heard(text: &str) -> Input<u64> {
    Input::Heard(Response::decode(Serializer::V2, WireFrame::Text(text)).unwrap())
}

/// Every token is settled once, all of the queue's bytes come back, no timer stays.
#[test]
fn nothing_is_lost_or_kept_whatever_happens() {
    for seed in 0..300 {
        let mut run = Run {
            random: Rng::with_seed(seed),
            now: Instant::now(),
            asked: 0,
            taken: 0,
        };
        let carriage = match seed % 3 {
            0 => Carriage::Only(Transport::LongPoll),
            1 => Carriage::Fallback(Duration::from_secs(2)),
            _ => Carriage::Only(Transport::WebSocket),
        };
        let options = Options {
            carriage,
            ..options()
        };
        let mut machine = Machine::<u64>::new(options, seed, run.now);
        for step in 0..200 {
            match run.input(step) {
                Some(input) => machine.handle(input, run.now),
                None => {
                    run.now += Duration::from_millis(run.random.u64(0..8000));
                    machine.expire(run.now);
                }
            }
        }
        machine.handle(Input::Disconnect, run.now);
        let (mut settled, mut released) = (HashSet::new(), 0);
        while let Some(output) = machine.poll_output() {
            match output {
                Output::Settle(token, _) => assert!(settled.insert(token), "seed {seed}"),
                Output::Send { bytes, .. } | Output::Release(bytes) => released += bytes,
                _ => {}
            }
        }
        assert_eq!(settled.len() as u64, run.asked, "seed {seed}");
        assert_eq!(released, run.taken, "seed {seed}");
        assert_eq!(machine.deadline(), None, "seed {seed}");
    }
}
