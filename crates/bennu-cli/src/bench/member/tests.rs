//! One client, line by line.

use std::sync::Arc;

use bennu_websocket::{Config, Decoder, Event, Inflater};

use super::super::plan::{Course, Plan, Share, Window};
use super::*;

/// The first of two members, who has joined by the push with ref 1; measured from 100 to 1000.
struct Play {
    shared: Shared,
    member: Member,
}

impl Play {
    fn new(scenario: Scenario) -> Self {
        let course = Course {
            scenario,
            topic: "t".into(),
            topics: 1,
            event: "e".into(),
            push_rate: PushRate::Fixed(1.0),
            params: Default::default(),
        };
        let share = Share {
            first: 0,
            count: 2,
            threads: 1,
        };
        let shared = Shared::new(Arc::new(Plan::example()), course, share);
        shared.set_window(Window {
            begin_ns: 0,
            warm_ns: 100_000,
            end_ns: 1_000_000,
        });
        let member = Member::new(0, &shared);
        let mut play = Self { shared, member };
        let join = play.act(1, |it, desk| it.join(desk));
        assert_eq!(join, [r#"["1","1","t","phx_join",null]"#]);
        let ok = r#"["1","1","t","phx_reply",{"status":"ok","response":{}}]"#;
        assert_eq!(play.hear(2, ok), Ok(vec![]));
        assert!(play.member.is_ready());
        play
    }

    /// What it says when this happens at some microsecond.
    fn act<R>(
        &mut self,
        us: u64,
        act: impl FnOnce(&mut Member, &mut Desk<'_>) -> R,
    ) -> Vec<String> {
        let mut out = Vec::new();
        let mut desk = Desk {
            shared: &self.shared,
            page: &mut self.shared.recorder.page(0),
            now_ns: us * 1000,
            out: &mut out,
            scratch: &mut Scratch::default(),
        };
        act(&mut self.member, &mut desk);
        let (mut decoder, mut said) = (Decoder::default(), Vec::new());
        let mut rest = out.as_mut_slice();
        while !rest.is_empty() {
            let (config, inflater) = (&Config::default(), &mut Inflater::default());
            let (used, event) = decoder.decode(config, inflater, rest).unwrap();
            match event {
                Some(Event::Text(text)) => said.push(text.into_owned()),
                other => panic!("{other:?}"),
            }
            rest = &mut rest[used..];
        }
        said
    }

    fn tell(&mut self, us: u64, command: Command) -> Vec<String> {
        self.act(us, |it, desk| it.obey(command, desk))
    }

    fn hear(&mut self, us: u64, text: &str) -> Result<Vec<String>, Cause> {
        let mut heard = Ok(());
        let said = self.act(us, |it, desk| heard = it.receive(text, desk));
        heard.map(|()| said)
    }

    fn latencies_us(&self, timed: Timed) -> Vec<f64> {
        let measure = self.shared.recorder.take();
        let times = measure.timed(timed).cloned().unwrap_or_default();
        let all = (1..=times.count()).map(|it| it as f64 / times.count() as f64);
        all.map(|it| times.quantile_us(it).round()).collect()
    }
}

fn reply(n: u64) -> String {
    format!(r#"["1","{n}","t","phx_reply",{{"status":"ok","response":{{}}}}]"#)
}

#[test]
fn what_waits_for_its_turn_counts_from_when_it_was_due() {
    let mut play = Play::new(Scenario::Echo);
    let push = |n: u64, due: &str| format!(r#"["1","{n}","t","e",{{"b":"bennu:{due}"}}]"#);
    let first = play.tell(200, Command::Push(200_000));
    assert_eq!(first, [push(2, "0000000000030d40")]);
    // One may be in flight, so this one waits.
    assert!(play.tell(300, Command::Push(300_000)).is_empty());
    let second = play.hear(500, &reply(2)).unwrap();
    assert_eq!(second, [push(3, "00000000000493e0")]);
    assert_eq!(play.hear(600, &reply(3)), Ok(vec![]));
    let counts = play.shared.recorder.counts();
    assert_eq!((counts.sent, counts.received, counts.expected), (2, 2, 2));
    assert_eq!(play.shared.in_flight.load(Ordering::Relaxed), 0);
    assert_eq!(play.latencies_us(Timed::Latency), [300.0, 300.0]);
}

#[test]
fn what_was_due_before_or_after_isnt_measured() {
    let mut play = Play::new(Scenario::Echo);
    for (n, due_us) in [(2, 99), (3, 100), (4, 999), (5, 1000)] {
        assert_eq!(play.tell(due_us, Command::Push(due_us * 1000)).len(), 1);
        assert_eq!(play.hear(2000, &reply(n)), Ok(vec![]));
    }
    let counts = play.shared.recorder.counts();
    assert_eq!((counts.sent, counts.received, counts.arrived), (2, 2, 0));
    assert_eq!(play.latencies_us(Timed::Latency).len(), 2);
}

#[test]
fn a_broadcast_is_due_at_every_member_and_timed_by_its_stamp() {
    let mut play = Play::new(Scenario::FanOut);
    assert_eq!(play.tell(210, Command::Push(200_000)).len(), 1);
    let broadcast = r#"[null,null,"t","e",{"b":"bennu:0000000000030d40"}]"#;
    assert_eq!(play.hear(450, broadcast), Ok(vec![]));
    // One from the future isn't of this run.
    let later = r#"[null,null,"t","e",{"b":"bennu:00ffffffffffffff"}]"#;
    assert_eq!(play.hear(450, later), Ok(vec![]));
    let counts = play.shared.recorder.counts();
    assert_eq!((counts.sent, counts.expected, counts.received), (1, 2, 1));
    assert_eq!(play.latencies_us(Timed::Latency), [250.0]);
}

#[test]
fn who_leaves_comes_back_and_is_seen_in_diffs() {
    let mut play = Play::new(Scenario::Presence);
    let leave = play.tell(200, Command::Change(200_000, false));
    assert_eq!(leave, [r#"["1","2","t","phx_leave",{}]"#]);
    // It's out already.
    assert!(play.tell(210, Command::Change(210_000, false)).is_empty());
    assert_eq!(play.hear(220, &reply(2)), Ok(vec![]));
    let close = r#"["1","1","t","phx_close",{}]"#;
    assert_eq!(play.hear(220, close), Ok(vec![]));
    let join = play.tell(300, Command::Change(300_000, true));
    assert_eq!(join, [r#"["3","3","t","phx_join",null]"#]);
    let diff = |joins: &str, leaves: &str| {
        format!(r#"[null,null,"t","presence_diff",{{"joins":{{{joins}}},"leaves":{{{leaves}}}}}]"#)
    };
    let bench = r#""bench-0":{"metas":[]}"#;
    assert_eq!(play.hear(350, &diff("", bench)), Ok(vec![]));
    assert_eq!(play.hear(360, &diff(bench, "")), Ok(vec![]));
    let counts = play.shared.recorder.counts();
    assert_eq!((counts.sent, counts.received, counts.skipped), (2, 2, 1));
    assert_eq!(play.latencies_us(Timed::Latency), [60.0, 150.0]);
    // Nobody asked for this one.
    let ended = Cause::Ended { crashed: false };
    assert_eq!(play.hear(400, close), Err(ended));
}

#[test]
fn a_server_that_says_what_nobody_asked_is_borne_or_left() {
    let mut play = Play::new(Scenario::Echo);
    for text in [
        reply(99),
        r#"[null,null,"t","news",{}]"#.to_owned(),
        r#"[null,"x","t","phx_reply",{"status":"ok","response":{}}]"#.to_owned(),
    ] {
        assert_eq!(play.hear(200, &text), Ok(vec![]), "{text}");
    }
    assert!(matches!(play.hear(200, "[]"), Err(Cause::Protocol(_))));
    let crashed = r#"["1","1","t","phx_error",{}]"#;
    assert_eq!(play.hear(200, crashed), Err(Cause::Ended { crashed: true }));
}
