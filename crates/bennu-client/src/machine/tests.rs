//! Scripts: what happens to a client (`>`) and what it then does (`<`), at times of our own.

use std::fmt::Write;

use bennu_wire::Frame as WireFrame;

use super::*;
use crate::{OnRefused, Status, Transport, options::Carriage};

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

#[test]
fn a_channel_is_joined_used_and_left() {
    check(
        options(),
        r#"< connect WebSocket
           < connecting
           > join 1 room:a j
           < 1 joining
           > opened
           < open WebSocket
           < send ["1","1","room:a","phx_join",{}]
           > hear ["1","1","room:a","phx_reply",{"status":"ok","response":{"n":1}}]
           < 1 joined {"n":1}
           < j: ok {"n":1}
           > push 1 ping p
           < send ["1","2","room:a","ping",{}]
           > push 1 typing
           < send ["1","3","room:a","typing",{}] and release 9
           > hear ["1","2","room:a","phx_reply",{"status":"ok","response":7}]
           < release 9
           < p: ok 7
           > hear ["1","3","room:a","phx_reply",{"status":"ok","response":{}}]
           > hear [null,null,"room:a","shout",{"x":1}]
           < 1 hears shout {"x":1}
           > hear ["1",null,"room:a","notice",{}]
           < 1 hears notice {}
           > leave 1 l
           < send ["1","4","room:a","phx_leave",{}]
           < 1 closed
           > hear ["1","4","room:a","phx_reply",{"status":"ok","response":{}}]
           < l: ok {}
           > hear ["1","1","room:a","phx_close",{}]
           > push 1 ping q
           < release 9
           < q: the channel is closed"#,
    );
}

#[test]
fn what_is_of_no_join_is_dropped() {
    check(
        options(),
        r#"< connect WebSocket
           < connecting
           > opened
           < open WebSocket
           > join 1 room:a j
           < 1 joining
           < send ["1","1","room:a","phx_join",{}]
           > hear [null,null,"room:a","too_early",{}]
           > hear ["1","1","room:a","phx_reply",{"status":"ok","response":{}}]
           < 1 joined {}
           < j: ok {}
           > hear ["0",null,"room:a","stale",{}]
           > hear [null,null,"room:b","not ours",{}]
           > hear ["0","0","room:a","phx_close",{}]
           > hear ["1","99","room:a","phx_reply",{"status":"ok","response":{}}]
           > hear [null,{"odd":1},"room:a","phx_reply",{"status":"ok","response":{}}]
           > hear ["1","1","room:a","phx_reply",{"status":"ok","response":{}}]"#,
    );
}

#[test]
fn a_join_that_is_refused_is_the_callers_affair() {
    check(
        options(),
        r#"< connect WebSocket
           < connecting
           > opened
           < open WebSocket
           > join 1 room:a j
           < 1 joining
           < send ["1","1","room:a","phx_join",{}]
           > push 1 early p
           > hear [null,"1","room:a","phx_reply",{"status":"error","response":{"reason":"no"}}]
           < release 9
           < p: the channel is closed
           < j: the server refused (error: no)
           < 1 closed"#,
    );
}

#[test]
fn a_join_that_takes_too_long_is_undone() {
    check(
        options(),
        r#"< connect WebSocket
           < connecting
           > opened
           < open WebSocket
           > join 1 room:a j
           < 1 joining
           < send ["1","1","room:a","phx_join",{}]
           > due
           < send ["1","2","room:a","phx_leave",{}]
           < j: no answer came in time
           < 1 closed
           > hear ["1","1","room:a","phx_reply",{"status":"ok","response":{}}]"#,
    );
}

#[test]
fn the_time_of_a_first_join_includes_waiting_for_a_connection() {
    check(
        options(),
        r#"< connect WebSocket
           < connecting
           > wait 500
           > join 1 room:a j
           < 1 joining
           > unreachable
           < waiting: unreachable
           > wait 1500
           < connect WebSocket
           < connecting
           > wait 8500
           < j: no answer came in time
           < 1 closed"#,
    );
}

#[test]
fn a_lost_connection_is_made_again_and_its_channels_joined() {
    check(
        options(),
        r#"< connect WebSocket
           < connecting
           > opened
           < open WebSocket
           > join 1 room:a j
           < 1 joining
           < send ["1","1","room:a","phx_join",{}]
           > join 2 room:b k
           < 2 joining
           < send ["2","2","room:b","phx_join",{}]
           > hear ["1","1","room:a","phx_reply",{"status":"ok","response":{}}]
           < 1 joined {}
           < j: ok {}
           > push 1 sent p
           < send ["1","3","room:a","sent",{}]
           > lost 1006
           < release 9
           < p: the connection ended before an answer came
           < 1 errored
           < waiting: the connection was closed with code 1006
           > push 1 held q
           > push 1 cast
           > due
           < connect WebSocket
           < connecting
           > opened
           < open WebSocket
           < 1 joining
           < send ["6","6","room:a","phx_join",{}]
           < send ["7","7","room:b","phx_join",{}]
           > hear ["6","6","room:a","phx_reply",{"status":"ok","response":{}}]
           < 1 joined {}
           < send ["6","4","room:a","held",{}]
           < send ["6","5","room:a","cast",{}] and release 9
           > hear ["7","7","room:b","phx_reply",{"status":"ok","response":{}}]
           < 2 joined {}
           < k: ok {}
           > hear ["6","4","room:a","phx_reply",{"status":"error","response":{}}]
           < release 9
           < q: the server refused (error: {})"#,
    );
}

#[test]
fn a_push_that_waits_too_long_is_never_sent() {
    check(
        options(),
        r#"< connect WebSocket
           < connecting
           > opened
           < open WebSocket
           > join 1 room:a j
           < 1 joining
           < send ["1","1","room:a","phx_join",{}]
           > hear ["1","1","room:a","phx_reply",{"status":"ok","response":{}}]
           < 1 joined {}
           < j: ok {}
           > hear ["1","1","room:a","phx_error",{"reason":"channel_crash"}]
           < 1 errored {"reason":"channel_crash"}
           > push 1 held p
           > push 1 cast
           > due
           < 1 joining
           < send ["4","4","room:a","phx_join",{}]
           > wait 9000
           < release 9
           < p: no answer came in time
           < release 9
           > hear ["4","4","room:a","phx_reply",{"status":"ok","response":{}}]
           < 1 joined {}"#,
    );
}

#[test]
fn a_channel_that_fails_is_joined_again_and_one_that_ends_is_not() {
    check(
        options(),
        r#"< connect WebSocket
           < connecting
           > opened
           < open WebSocket
           > join 1 room:a j
           < 1 joining
           < send ["1","1","room:a","phx_join",{}]
           > hear ["1","1","room:a","phx_reply",{"status":"ok","response":{}}]
           < 1 joined {}
           < j: ok {}
           > push 1 crash p
           < send ["1","2","room:a","crash",{}]
           > hear ["1","1","room:a","phx_error",{}]
           < release 9
           < p: the connection ended before an answer came
           < 1 errored {}
           > due
           < 1 joining
           < send ["3","3","room:a","phx_join",{}]
           > hear ["3","3","room:a","phx_reply",{"status":"error","response":{"reason":"full"}}]
           < 1 errored {"reason":"full"}
           > due
           < 1 joining
           < send ["4","4","room:a","phx_join",{}]
           > hear ["4","4","room:a","phx_reply",{"status":"ok","response":{}}]
           < 1 joined {}
           > hear ["4","4","room:a","phx_close",{}]
           < 1 closed"#,
    );
}

#[test]
fn a_rejoin_that_takes_too_long_is_undone_and_tried_again() {
    check(
        options(),
        r#"< connect WebSocket
           < connecting
           > opened
           < open WebSocket
           > join 1 room:a j
           < 1 joining
           < send ["1","1","room:a","phx_join",{}]
           > hear ["1","1","room:a","phx_reply",{"status":"ok","response":{}}]
           < 1 joined {}
           < j: ok {}
           > hear ["1","1","room:a","phx_error",{}]
           < 1 errored {}
           > due
           < 1 joining
           < send ["2","2","room:a","phx_join",{}]
           > due
           < send ["2","3","room:a","phx_leave",{}]
           < 1 errored
           > hear ["2","2","room:a","phx_reply",{"status":"ok","response":{}}]
           > due
           < 1 joining
           < send ["4","4","room:a","phx_join",{}]"#,
    );
}

#[test]
fn a_channel_comes_back_as_often_as_its_owner_likes() {
    let joined = r#"< connect WebSocket
           < connecting
           > opened
           < open WebSocket
           > join 1 room:a j POLICY
           < 1 joining
           < send ["1","1","room:a","phx_join",{}]
           > hear ["1","1","room:a","phx_reply",{"status":"ok","response":{}}]
           < 1 joined {}
           < j: ok {}
           "#;
    let never = joined.replace("POLICY", "never");
    check(
        options(),
        &(never.clone()
            + r#"> hear ["1","1","room:a","phx_error",{}]
           < 1 closed"#),
    );
    check(
        options(),
        &(never
            + r#"> lost 1006
           < 1 closed
           < waiting: the connection was closed with code 1006"#),
    );
    check(
        options(),
        &(joined.replace("POLICY", "unless-refused")
            + r#"> hear ["1","1","room:a","phx_error",{}]
           < 1 errored {}
           > due
           < 1 joining
           < send ["2","2","room:a","phx_join",{}]
           > hear ["2","2","room:a","phx_reply",{"status":"error","response":{}}]
           < 1 closed"#),
    );
}

#[test]
fn a_topic_is_joined_once() {
    check(
        options(),
        r#"< connect WebSocket
           < connecting
           > opened
           < open WebSocket
           > join 1 room:a j
           < 1 joining
           < send ["1","1","room:a","phx_join",{}]
           > hear ["1","1","room:a","phx_reply",{"status":"ok","response":{}}]
           < 1 joined {}
           < j: ok {}
           > join 2 room:a k
           < send ["1","2","room:a","phx_leave",{}]
           < 1 closed
           < 2 joining
           < send ["3","3","room:a","phx_join",{}]
           > hear ["1","2","room:a","phx_reply",{"status":"ok","response":{}}]
           > hear ["1","1","room:a","phx_close",{}]
           > hear ["3","3","room:a","phx_reply",{"status":"ok","response":{}}]
           < 2 joined {}
           < k: ok {}
           > leave 1
           > hear [null,null,"room:a","x",{}]
           < 2 hears x {}"#,
    );
}

#[test]
fn a_server_that_answers_no_heartbeat_is_lost() {
    check(
        options(),
        r#"< connect WebSocket
           < connecting
           > opened
           < open WebSocket
           > wait 30000
           < send [null,"1","phoenix","heartbeat",{}]
           > hear [null,"1","phoenix","phx_reply",{"status":"ok","response":{}}]
           > wait 30000
           < send [null,"2","phoenix","heartbeat",{}]
           > wait 29999
           > wait 1
           < hang up: heartbeat timeout
           < waiting: the server answered no heartbeat
           > due
           < connect WebSocket
           < connecting"#,
    );
}

#[test]
fn a_ping_is_answered_or_not() {
    check(
        options(),
        r#"< connect WebSocket
           < connecting
           > ping a
           < a: the connection ended before an answer came
           > opened
           < open WebSocket
           > ping b
           < send [null,"1","phoenix","heartbeat",{}]
           > hear [null,"1","phoenix","phx_reply",{"status":"ok","response":{}}]
           < b: ok {}
           > ping c
           < send [null,"2","phoenix","heartbeat",{}]
           > wait 10000
           < c: no answer came in time
           > ping d
           < send [null,"3","phoenix","heartbeat",{}]
           > lost 1006
           < d: the connection ended before an answer came
           < waiting: the connection was closed with code 1006"#,
    );
}

#[test]
fn an_attempt_that_takes_too_long_is_given_up() {
    check(
        options(),
        r#"< connect WebSocket
           < connecting
           > wait 10000
           < hang up: no connection in time
           < waiting: the server took too long to answer
           > due
           < connect WebSocket
           < connecting
           > opened
           < open WebSocket"#,
    );
}

#[test]
fn a_refusal_is_met_as_the_policy_says() {
    let at_first = |on_refused, retried: bool| {
        let options = Options {
            on_refused,
            ..options()
        };
        let after = if retried {
            "< waiting: the server refused with HTTP status 403"
        } else {
            "< closed: the server refused with HTTP status 403\n< finish"
        };
        let script = "< connect WebSocket\n< connecting\n> refused 403\n".to_owned();
        check(options.clone(), &(script + after));
    };
    at_first(OnRefused::StopAtFirst, false);
    at_first(OnRefused::Stop, false);
    at_first(OnRefused::Retry, true);

    let later = |on_refused, retried: bool| {
        let options = Options {
            on_refused,
            ..options()
        };
        let after = if retried {
            "< waiting: the server refused with HTTP status 403"
        } else {
            "< closed: the server refused with HTTP status 403\n< finish"
        };
        let script = "< connect WebSocket
            < connecting
            > opened
            < open WebSocket
            > lost 1006
            < waiting: the connection was closed with code 1006
            > due
            < connect WebSocket
            < connecting
            > refused 403\n";
        check(options, &(script.to_owned() + after));
    };
    later(OnRefused::StopAtFirst, true);
    later(OnRefused::Stop, false);
    later(OnRefused::Retry, true);
}

#[test]
fn a_server_that_is_busy_is_tried_again_unless_the_first_attempt_has_to_succeed() {
    for status in [408, 429, 500, 502, 503] {
        let script = format!(
            "< connect WebSocket
             < connecting
             > refused {status}
             < waiting: the server refused with HTTP status {status}"
        );
        check(options(), &script);
    }
    let fail_fast = Options {
        fail_fast: true,
        ..options()
    };
    check(
        fail_fast.clone(),
        "< connect WebSocket
         < connecting
         > refused 503
         < closed: the server refused with HTTP status 503
         < finish",
    );
    check(
        fail_fast,
        "< connect WebSocket
         < connecting
         > opened
         < open WebSocket
         > lost 1006
         < waiting: the connection was closed with code 1006
         > due
         < connect WebSocket
         < connecting
         > unreachable
         < waiting: unreachable",
    );
}

#[test]
fn a_close_with_1000_is_meant_and_others_are_not() {
    check(
        options(),
        "< connect WebSocket
         < connecting
         > opened
         < open WebSocket
         > lost 1000 bye
         < closed: the connection was closed with code 1000 (bye)
         < finish",
    );
    for close in ["1001 disconnected", "1012 draining", "1013 slow consumer"] {
        let (code, reason) = close.split_once(' ').unwrap();
        let script = format!(
            "< connect WebSocket
             < connecting
             > opened
             < open WebSocket
             > lost {close}
             < waiting: the connection was closed with code {code} ({reason})"
        );
        check(options(), &script);
    }
}

#[test]
fn a_disconnect_ends_everything() {
    check(
        options(),
        r#"< connect WebSocket
           < connecting
           > opened
           < open WebSocket
           > join 1 room:a j
           < 1 joining
           < send ["1","1","room:a","phx_join",{}]
           > hear ["1","1","room:a","phx_reply",{"status":"ok","response":{}}]
           < 1 joined {}
           < j: ok {}
           > join 2 room:b k
           < 2 joining
           < send ["2","2","room:b","phx_join",{}]
           > push 1 sent p
           < send ["1","3","room:a","sent",{}]
           > push 2 held q
           > ping r
           < send [null,"5","phoenix","heartbeat",{}]
           > disconnect
           < release 9
           < p: the channel is closed
           < release 9
           < q: the channel is closed
           < r: the channel is closed
           < 1 closed
           < k: the channel is closed
           < 2 closed
           < closed: this client has disconnected
           < finish
           > join 3 room:c l
           < 3 closed
           < l: the channel is closed
           > lost 1006
           > disconnect
           > opened"#,
    );
}

#[test]
fn long_polling_has_no_heartbeats_and_says_that_it_leaves() {
    let options = Options {
        carriage: Carriage::Only(Transport::LongPoll),
        ..options()
    };
    check(
        options,
        r#"< connect LongPoll
           < connecting
           > opened
           < open LongPoll
           > wait 100000
           > join 1 room:a j
           < 1 joining
           < send ["1","1","room:a","phx_join",{}]
           > hear ["1","1","room:a","phx_reply",{"status":"ok","response":{}}]
           < 1 joined {}
           < j: ok {}
           > disconnect
           < send ["1","2","room:a","phx_leave",{}]
           < 1 closed
           < closed: this client has disconnected
           < finish"#,
    );
}

#[test]
fn a_websocket_that_does_not_work_is_fallen_back_from() {
    let options = || Options {
        carriage: Carriage::Fallback(Duration::from_millis(2500)),
        ..options()
    };
    for failure in ["unreachable", "refused 403", "lost 1006"] {
        let script = format!(
            "< connect WebSocket
             < connecting
             > {failure}
             < connect LongPoll
             < connecting"
        );
        check(options(), &script);
    }
    check(
        options(),
        "< connect WebSocket
         < connecting
         > wait 2500
         < hang up: no connection in time
         < connect LongPoll
         < connecting
         > opened
         < open LongPoll
         > lost 1006
         < waiting: the connection was closed with code 1006
         > due
         < connect LongPoll
         < connecting",
    );
    check(
        options(),
        r#"< connect WebSocket
         < connecting
         > wait 2000
         > opened
         < open WebSocket
         < send [null,"1","phoenix","heartbeat",{}]
         > wait 2500
         < hang up: no answer to the first ping
         < connect LongPoll
         < connecting"#,
    );
    // One that has worked is never fallen back from.
    check(
        options(),
        r#"< connect WebSocket
         < connecting
         > opened
         < open WebSocket
         < send [null,"1","phoenix","heartbeat",{}]
         > hear [null,"1","phoenix","phx_reply",{"status":"ok","response":{}}]
         > wait 2500
         > lost 1006
         < waiting: the connection was closed with code 1006
         > due
         < connect WebSocket
         < connecting
         > unreachable
         < waiting: unreachable"#,
    );
}

/// How long the machine waits after each of these losses, in milliseconds.
fn waits(losses: &[(u64, &str)]) -> Vec<u64> {
    let mut now = Instant::now();
    let mut machine = Machine::new(options(), 7, now);
    let mut waits = Vec::new();
    for (lasted_ms, loss) in losses {
        machine.handle(Input::Opened, now);
        now += Duration::from_millis(*lasted_ms);
        let (verb, rest) = loss.split_once(' ').unwrap();
        machine.handle(parsed(verb, rest, now), now);
        while let Some(output) = machine.poll_output() {
            if let Output::Status(Status::Waiting { retry_in, .. }) = output {
                waits.push(u64::try_from(retry_in.as_millis()).unwrap());
            }
        }
        now = machine.deadline().unwrap();
        machine.expire(now);
    }
    waits
}

#[test]
fn waits_grow_until_a_connection_lasts() {
    let waits = waits(&[
        (0, "lost 1006 "),
        (0, "lost 1006 "),
        (0, "lost 1006 "),
        (1000, "lost 1006 "),
    ]);
    for (wait, step) in waits.iter().zip([100, 1000, 1000, 100]) {
        assert!((step / 2..=step * 3 / 2).contains(wait), "{waits:?}");
    }
    assert_eq!(waits.len(), 4);
}

#[test]
fn a_server_that_drains_says_how_long_to_wait() {
    let waits = waits(&[
        (0, "lost 1012 draining retry_ms=777"),
        (0, "lost 1012 draining retry_ms=0"),
        (0, "lost 1001 retry_ms=777"),
    ]);
    assert_eq!(waits[..2], [777, 0]);
    assert!((50..=150).contains(&waits[2]), "{waits:?}");
}

#[test]
fn params_that_panic_cost_nothing_but_themselves() {
    let now = Instant::now();
    let mut machine = Machine::new(options(), 7, now);
    machine.handle(Input::Opened, now);
    let join = Input::Join {
        id: ChannelId(1),
        topic: "room:a".into(),
        params: Arc::new(|| panic!("asked to")),
        timeout: Duration::from_secs(1),
        rejoin: Rejoin::Always,
        token: "j",
    };
    machine.handle(join, now);
    let mut transcript = String::new();
    outputs(&mut machine, &mut transcript);
    assert!(transcript.ends_with("< send [\"1\",\"1\",\"room:a\",\"phx_join\",{}]\n"));
}

/// Whatever happens in whatever order: every push is settled once, all of the queue's bytes come back, no timer stays.
#[test]
fn nothing_is_lost_or_kept_whatever_happens() {
    for seed in 0..300 {
        let mut random = Rng::with_seed(seed);
        let mut now = Instant::now();
        let carriage = match seed % 3 {
            0 => Carriage::Only(Transport::LongPoll),
            1 => Carriage::Fallback(Duration::from_secs(2)),
            _ => Carriage::Only(Transport::WebSocket),
        };
        let options = Options {
            carriage,
            ..options()
        };
        let mut machine = Machine::<u64>::new(options, seed, now);
        let (mut asked, mut settled) = (0_u64, std::collections::HashSet::new());
        let (mut taken, mut released) = (0, 0);
        for step in 0..200 {
            let mut token = || {
                asked += 1;
                asked - 1
            };
            let id = ChannelId(random.u64(0..6));
            let r#ref = random.u64(0..80);
            let heard = |text: String| {
                let frame = WireFrame::Text(&text);
                Input::Heard(Response::decode(Serializer::V2, frame).unwrap())
            };
            let input = match random.u8(0..14) {
                0 => Input::Join {
                    id: ChannelId(step),
                    topic: format!("room:{}", id.0).into(),
                    params: Arc::new(Payload::empty),
                    timeout: Duration::from_secs(10),
                    rejoin: [Rejoin::Always, Rejoin::UnlessRefused, Rejoin::Never]
                        [random.usize(0..3)],
                    token: token(),
                },
                1..=3 => {
                    taken += 9;
                    Input::Push {
                        id: ChannelId(random.u64(0..step + 1)),
                        event: "e".to_owned(),
                        payload: Payload::empty(),
                        deadline: now + Duration::from_secs(random.u64(0..12)),
                        bytes: 9,
                        token: random.bool().then(&mut token),
                    }
                }
                4 => Input::Leave {
                    id: ChannelId(random.u64(0..step + 1)),
                    token: random.bool().then(&mut token),
                },
                5 => Input::Ping {
                    deadline: now + Duration::from_secs(10),
                    token: token(),
                },
                6 | 7 => Input::Opened,
                8 if random.u8(0..5) == 0 => Input::Lost(ConnectionError::Timeout),
                9 => heard(format!(
                    r#"["{}","1","room:{}","phx_{}",{{}}]"#,
                    r#ref,
                    id.0,
                    ["close", "error"][random.usize(0..2)]
                )),
                10 | 11 => {
                    now += Duration::from_millis(random.u64(0..8000));
                    machine.expire(now);
                    continue;
                }
                _ => heard(format!(
                    r#"["{ref}","{ref}","room:{}","phx_reply",{{"status":"{}","response":{{}}}}]"#,
                    id.0,
                    ["ok", "ok", "error"][random.usize(0..3)]
                )),
            };
            machine.handle(input, now);
        }
        machine.handle(Input::Disconnect, now);
        while let Some(output) = machine.poll_output() {
            match output {
                Output::Settle(token, _) => assert!(settled.insert(token), "seed {seed}"),
                Output::Send { bytes, .. } | Output::Release(bytes) => released += bytes,
                _ => {}
            }
        }
        assert_eq!(settled.len() as u64, asked, "seed {seed}");
        assert_eq!(released, taken, "seed {seed}");
        assert_eq!(machine.deadline(), None, "seed {seed}");
    }
}
