//! Connections: made, kept alive, lost, given up.

use super::*;
use crate::{OnRefused, Transport, options::Carriage};

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
        check(options, &(script + after));
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
fn a_server_may_say_not_to_come_back() {
    check(
        options(),
        r#"< connect WebSocket
           < connecting
           > opened
           < open WebSocket
           > lost 1008 banned retry=never
           < closed: the connection was closed with code 1008 (banned retry=never)
           < finish"#,
    );
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
