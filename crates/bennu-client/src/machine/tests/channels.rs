//! Channels: joined, joined again, left.

use super::{check, options};

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
    // The server says that it's for good.
    check(
        options(),
        &(joined.replace("POLICY", "always")
            + r#"> hear ["1","1","room:a","phx_error",{}]
           < 1 errored {}
           > due
           < 1 joining
           < send ["2","2","room:a","phx_join",{}]
           > hear ["2","2","room:a","phx_reply",{"status":"error","response":{"final":true}}]
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
