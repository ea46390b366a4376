//! Every row of the connection's table.

use super::{LIMITS, Limits, check, check_within};

#[test]
fn a_heartbeat_is_answered_without_its_join_ref() {
    check(
        r#"
        < [null,"1","phoenix","heartbeat",{}]
        > [null,"1","phoenix","phx_reply",{"status":"ok","response":{}}]
        < ["7",2,"phoenix","heartbeat","anything"]
        > [null,2,"phoenix","phx_reply",{"status":"ok","response":{}}]
        "#,
    );
}

#[test]
fn the_topic_of_heartbeats_is_otherwise_like_any_other() {
    check(
        r#"
        < ["1","1","phoenix","hello",{}]
        > [null,"1","phoenix","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]
        < ["2","2","phoenix","phx_join",{}]
        join 0 phoenix "2" {}
        < [null,"3","phoenix","heartbeat",{}]
        > [null,"3","phoenix","phx_reply",{"status":"ok","response":{}}]
        ok 0
        > ["2","2","phoenix","phx_reply",{"status":"ok","response":{}}]
        joined 0
        < ["2","4","phoenix","hello",{}]
        in 0 hello {}
        < ["2","5","phoenix","heartbeat",{}]
        > [null,"5","phoenix","phx_reply",{"status":"ok","response":{}}]
        < ["2","6","phoenix","phx_leave",{}]
        leave 0
        < ["2","7","phoenix","heartbeat",{}]
        > [null,"7","phoenix","phx_reply",{"status":"ok","response":{}}]
        "#,
    );
}

#[test]
fn heartbeat_is_an_event_like_any_other_on_other_topics() {
    check(
        r#"
        < [null,"1","room:a","heartbeat",{}]
        > [null,"1","room:a","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]
        "#,
    );
}

#[test]
fn a_join_nobody_serves_is_refused_without_its_join_ref() {
    check(
        r#"
        < ["1","3","nope:1","phx_join",{}]
        > [null,"3","nope:1","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]
        "#,
    );
}

#[test]
fn a_join_beyond_the_channels_allowed_is_refused_with_its_join_ref() {
    check(
        r#"
        < ["1","1","room:a","phx_join",{}]
        join 0 room:a "1" {}
        ok 0
        > ["1","1","room:a","phx_reply",{"status":"ok","response":{}}]
        joined 0
        < ["2","2","room:b","phx_join",{}]
        join 1 room:b "2" {}
        < ["3","3","room:c","phx_join",{}]
        > ["3","3","room:c","phx_reply",{"status":"error","response":{"reason":"too many channels joined"}}]
        < ["4","4","nope:c","phx_join",{}]
        > [null,"4","nope:c","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]
        no 1
        > ["2","2","room:b","phx_reply",{"status":"error","response":{}}]
        < ["5","5","room:c","phx_join",{}]
        join 2 room:c "5" {}
        "#,
    );
}

#[test]
fn a_leaving_channel_counts_until_it_has_left() {
    check_within(
        Limits {
            channels_max: 1,
            joining_channels_max: 1,
            ..LIMITS
        },
        r#"
        < ["1","1","room:a","phx_join",{}]
        join 0 room:a "1" {}
        ok 0
        > ["1","1","room:a","phx_reply",{"status":"ok","response":{}}]
        joined 0
        < ["1","2","room:a","phx_leave",{}]
        leave 0
        < ["3","3","room:b","phx_join",{}]
        > ["3","3","room:b","phx_reply",{"status":"error","response":{"reason":"too many channels joined"}}]
        left 0
        > ["1","2","room:a","phx_reply",{"status":"ok","response":{}}]
        > ["1","1","room:a","phx_close",{}]
        ended 0
        < ["4","4","room:b","phx_join",{}]
        join 1 room:b "4" {}
        "#,
    );
}

#[test]
fn no_channels_may_be_allowed_at_all() {
    check_within(
        Limits {
            channels_max: 0,
            joining_channels_max: 0,
            ..LIMITS
        },
        r#"
        < ["1","1","room:a","phx_join",{}]
        > ["1","1","room:a","phx_reply",{"status":"error","response":{"reason":"too many channels joined"}}]
        "#,
    );
}

#[test]
fn a_duplicate_join_replaces_the_channel_and_closes_it_after_its_own_reply() {
    check_within(
        Limits {
            channels_max: 1,
            joining_channels_max: 1,
            ..LIMITS
        },
        r#"
        < ["5","6","room:a","phx_join",{}]
        join 0 room:a "5" {}
        ok 0
        > ["5","6","room:a","phx_reply",{"status":"ok","response":{}}]
        joined 0
        < ["6","2","room:a","phx_join",{"again":true}]
        abandon 0
        join 1 room:a "6" {"again":true}
        ok 1
        > ["6","2","room:a","phx_reply",{"status":"ok","response":{}}]
        > ["5","5","room:a","phx_close",{}]
        joined 1
        < ["5","7","room:a","stale",{}]
        < ["6","8","room:a","new",{}]
        in 1 new {}
        "#,
    );
}

#[test]
fn a_duplicate_join_that_is_refused_still_closes_the_channel_it_replaced() {
    check(
        r#"
        < ["5","6","room:a","phx_join",{}]
        join 0 room:a "5" {}
        ok 0
        > ["5","6","room:a","phx_reply",{"status":"ok","response":{}}]
        joined 0
        < ["6","7","room:a","phx_join",{}]
        abandon 0
        join 1 room:a "6" {}
        no 1 {"reason":"full"}
        > ["6","7","room:a","phx_reply",{"status":"error","response":{"reason":"full"}}]
        > ["5","5","room:a","phx_close",{}]
        < ["6","8","room:a","hi",{}]
        > [null,"8","room:a","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]
        "#,
    );
}

#[test]
fn a_duplicate_join_of_a_leaving_channel_replaces_it_as_well() {
    check(
        r#"
        < ["5","6","room:a","phx_join",{}]
        join 0 room:a "5" {}
        ok 0
        > ["5","6","room:a","phx_reply",{"status":"ok","response":{}}]
        joined 0
        < ["5","7","room:a","phx_leave",{}]
        leave 0
        < ["8","8","room:a","phx_join",{}]
        abandon 0
        join 1 room:a "8" {}
        left 0
        crash 1
        > ["8","8","room:a","phx_reply",{"status":"error","response":{"reason":"join crashed"}}]
        > ["5","5","room:a","phx_close",{}]
        "#,
    );
}

#[test]
fn a_leave_of_what_is_not_joined_is_fine() {
    check(
        r#"
        < ["1","5","room:1","phx_leave",{}]
        > ["1","5","room:1","phx_reply",{"status":"ok","response":{}}]
        < [null,6,"nope:1","phx_leave",{}]
        > [null,6,"nope:1","phx_reply",{"status":"ok","response":{}}]
        "#,
    );
}

#[test]
fn a_leave_is_answered_behind_the_channels_events_and_then_it_is_closed() {
    check(
        r#"
        < ["5","6","room:a","phx_join",{}]
        join 0 room:a "5" {}
        ok 0
        > ["5","6","room:a","phx_reply",{"status":"ok","response":{}}]
        joined 0
        < ["5","24","room:a","last",{}]
        in 0 last {}
        < ["5","25","room:a","phx_leave",{}]
        leave 0
        < ["5","26","room:a","too late",{}]
        < [null,"27","room:a","too late",{}]
        < ["5","28","room:a","phx_leave",{}]
        left 0
        > ["5","25","room:a","phx_reply",{"status":"ok","response":{}}]
        > ["5","5","room:a","phx_close",{}]
        ended 0
        < ["5","29","room:a","hi",{}]
        > [null,"29","room:a","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]
        < ["30","30","room:a","phx_join",{}]
        join 1 room:a "30" {}
        "#,
    );
}

#[test]
fn a_leave_may_have_no_join_ref_and_a_stale_one_is_ignored() {
    check(
        r#"
        < ["5","6","room:a","phx_join",{}]
        join 0 room:a "5" {}
        ok 0
        > ["5","6","room:a","phx_reply",{"status":"ok","response":{}}]
        joined 0
        < ["4","7","room:a","phx_leave",{}]
        < [null,"8","room:a","phx_leave",{}]
        leave 0
        left 0
        > [null,"8","room:a","phx_reply",{"status":"ok","response":{}}]
        > ["5","5","room:a","phx_close",{}]
        ended 0
        "#,
    );
}

#[test]
fn an_event_passes_if_its_join_ref_is_null_or_exactly_the_joins() {
    check(
        r#"
        < ["5","6","room:a","phx_join",{}]
        join 0 room:a "5" {}
        ok 0
        > ["5","6","room:a","phx_reply",{"status":"ok","response":{}}]
        joined 0
        < ["5","7","room:a","same",1]
        in 0 same 1
        < ["\u0035","8","room:a","escaped",[ 1, 2 ]]
        in 0 escaped [ 1, 2 ]
        < [null,"9","room:a","null",null]
        in 0 null null
        < [5,"10","room:a","a number",{}]
        < ["","11","room:a","empty",{}]
        < ["stale","12","room:a","stale",{}]
        < [["5"],"13","room:a","an array",{}]
        < ["5","14","room:A","another topic",{}]
        > [null,"14","room:A","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]
        "#,
    );
}

#[test]
fn refs_of_any_type_are_echoed() {
    check(
        r#"
        < [{"a":1},[2],"room:a","phx_join",{}]
        join 0 room:a {"a":1} {}
        ok 0
        > [{"a":1},[2],"room:a","phx_reply",{"status":"ok","response":{}}]
        joined 0
        < [{"a":1},3,"room:a","same",{}]
        in 0 same {}
        stop 0
        > [{"a":1},{"a":1},"room:a","phx_close",{}]
        ended 0
        "#,
    );
}

#[test]
fn names_that_are_no_text_are_echoed_or_handed_on() {
    check(
        r#"
        < ["1","1",42,"phx_join",{}]
        > [null,"1",42,"phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]
        < ["1","2",{"a":[]},"hi",{}]
        > [null,"2",{"a":[]},"phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]
        < ["1","3",null,"phx_leave",{}]
        > ["1","3",null,"phx_reply",{"status":"ok","response":{}}]
        < ["1","4","room:a",null,{}]
        > [null,"4","room:a","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]
        < ["5","5","room:a","phx_join",{}]
        join 0 room:a "5" {}
        ok 0
        > ["5","5","room:a","phx_reply",{"status":"ok","response":{}}]
        joined 0
        < ["5","6","room:a",{"e":1},{}]
        in 0 {"e":1} {}
        "#,
    );
}

#[test]
fn the_protocols_own_events_are_ordinary_when_a_client_sends_them() {
    check(
        r#"
        < ["5","5","room:a","phx_join",{}]
        join 0 room:a "5" {}
        ok 0
        > ["5","5","room:a","phx_reply",{"status":"ok","response":{}}]
        joined 0
        < ["5","6","room:a","phx_close",{}]
        in 0 phx_close {}
        < ["5","7","room:a","phx_error",{}]
        in 0 phx_error {}
        < ["5","8","room:a","phx_reply",{}]
        in 0 phx_reply {}
        "#,
    );
}
