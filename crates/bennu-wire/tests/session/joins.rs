//! Joins, and what waits for them.

use super::{LIMITS, Limits, check, check_within};

#[test]
fn a_join_is_answered_with_whatever_it_says() {
    check(
        r#"
        < ["3","4","room:a","phx_join",null]
        join 0 room:a "3" null
        ok 0 "a string"
        > ["3","4","room:a","phx_reply",{"status":"ok","response":"a string"}]
        joined 0
        < ["5","6","room:b","phx_join",{}]
        join 1 room:b "5" {}
        no 1 {"reason":"full"}
        > ["5","6","room:b","phx_reply",{"status":"error","response":{"reason":"full"}}]
        < ["5","7","room:b","phx_join",{}]
        join 2 room:b "5" {}
        crash 2
        > ["5","7","room:b","phx_reply",{"status":"error","response":{"reason":"join crashed"}}]
        < ["5","8","room:b","hi",{}]
        > [null,"8","room:b","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]
        "#,
    );
}

#[test]
fn a_join_without_join_ref_lends_its_ref_to_the_channel_only() {
    check(
        r#"
        < [null,"1","room:a","phx_join",{}]
        join 0 room:a "1" {}
        ok 0
        > [null,"1","room:a","phx_reply",{"status":"ok","response":{}}]
        joined 0
        < ["1","2","room:a","with the ref",{}]
        < [null,"3","room:a","with null",{}]
        in 0 with null {}
        fail 0
        > [null,null,"room:a","phx_error",{"reason":"channel_crash"}]
        < [null,null,"room:b","phx_join",{}]
        join 1 room:b null {}
        ok 1
        > [null,null,"room:b","phx_reply",{"status":"ok","response":{}}]
        joined 1
        < [null,"4","room:b","phx_join",{}]
        abandon 1
        join 2 room:b "4" {}
        ok 2
        > [null,"4","room:b","phx_reply",{"status":"ok","response":{}}]
        > [null,null,"room:b","phx_close",{}]
        joined 2
        "#,
    );
}

#[test]
fn other_topics_do_not_wait_for_a_join() {
    check(
        r#"
        < ["1","1","room:a","phx_join",{}]
        join 0 room:a "1" {}
        < ["2","2","room:b","phx_join",{}]
        join 1 room:b "2" {}
        < [null,"3","phoenix","heartbeat",{}]
        > [null,"3","phoenix","phx_reply",{"status":"ok","response":{}}]
        ok 1
        > ["2","2","room:b","phx_reply",{"status":"ok","response":{}}]
        joined 1
        < ["2","4","room:b","hi",{}]
        in 1 hi {}
        < ["2","5","room:b","phx_leave",{}]
        leave 1
        ok 0
        > ["1","1","room:a","phx_reply",{"status":"ok","response":{}}]
        joined 0
        "#,
    );
}

#[test]
fn what_came_during_a_join_follows_it() {
    check(
        r#"
        < ["1","1","room:a","phx_join",{}]
        join 0 room:a "1" {}
        < ["1","2","room:a","first",{}]
        < ["0","3","room:a","stale",{}]
        < ["1","4","room:a","phx_leave",{}]
        ok 0
        > ["1","1","room:a","phx_reply",{"status":"ok","response":{}}]
        joined 0
        in 0 first {}
        leave 0
        left 0
        > ["1","4","room:a","phx_reply",{"status":"ok","response":{}}]
        > ["1","1","room:a","phx_close",{}]
        ended 0
        "#,
    );
}

#[test]
fn what_came_during_a_join_that_is_refused_finds_nothing_joined() {
    check(
        r#"
        < ["1","1","room:a","phx_join",{}]
        join 0 room:a "1" {}
        < ["1","2","room:a","hi",{}]
        < ["1","3","room:a","phx_leave",{}]
        no 0
        > ["1","1","room:a","phx_reply",{"status":"error","response":{}}]
        > [null,"2","room:a","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]
        > ["1","3","room:a","phx_reply",{"status":"ok","response":{}}]
        "#,
    );
}

#[test]
fn a_join_queued_behind_a_join_replaces_it_and_takes_the_rest_of_the_queue() {
    check(
        r#"
        < ["1","1","room:a","phx_join",{}]
        join 0 room:a "1" {}
        < ["1","2","room:a","old",{}]
        < ["3","3","room:a","phx_join",{"n":2}]
        < ["3","4","room:a","new",{}]
        ok 0
        > ["1","1","room:a","phx_reply",{"status":"ok","response":{}}]
        joined 0
        in 0 old {}
        abandon 0
        join 1 room:a "3" {"n":2}
        ok 0
        ok 1
        > ["3","3","room:a","phx_reply",{"status":"ok","response":{}}]
        > ["1","1","room:a","phx_close",{}]
        joined 1
        in 1 new {}
        "#,
    );
}

#[test]
fn a_join_queued_behind_one_that_is_refused_starts_afresh_even_at_the_limit() {
    check_within(
        Limits {
            channels_max: 1,
            joining_channels_max: 1,
            ..LIMITS
        },
        r#"
        < ["1","1","room:a","phx_join",{}]
        join 0 room:a "1" {}
        < ["2","2","room:a","phx_join",{}]
        < ["3","3","room:a","phx_join",{}]
        < ["3","4","room:a","hi",{}]
        crash 0
        > ["1","1","room:a","phx_reply",{"status":"error","response":{"reason":"join crashed"}}]
        join 1 room:a "2" {}
        no 1
        > ["2","2","room:a","phx_reply",{"status":"error","response":{}}]
        join 2 room:a "3" {}
        ok 2
        > ["3","3","room:a","phx_reply",{"status":"ok","response":{}}]
        joined 2
        in 2 hi {}
        "#,
    );
}
