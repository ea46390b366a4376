//! The ends of channels.

use super::check;

#[test]
fn a_channel_that_stops_is_closed_and_one_that_fails_is_an_error() {
    check(
        r#"
        < ["5","6","room:a","phx_join",{}]
        join 0 room:a "5" {}
        ok 0
        > ["5","6","room:a","phx_reply",{"status":"ok","response":{}}]
        joined 0
        stop 0
        > ["5","5","room:a","phx_close",{}]
        ended 0
        < ["7","7","room:b","phx_join",{}]
        join 1 room:b "7" {}
        ok 1
        > ["7","7","room:b","phx_reply",{"status":"ok","response":{}}]
        joined 1
        fail 1
        > ["7","7","room:b","phx_error",{"reason":"channel_crash"}]
        < ["7","8","room:b","hi",{}]
        > [null,"8","room:b","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]
        "#,
    );
}

#[test]
fn a_channel_that_ends_before_its_leave_comes_up_is_closed_once() {
    check(
        r#"
        < ["5","6","room:a","phx_join",{}]
        join 0 room:a "5" {}
        ok 0
        > ["5","6","room:a","phx_reply",{"status":"ok","response":{}}]
        joined 0
        < ["5","7","room:a","phx_leave",{}]
        leave 0
        fail 0
        > ["5","5","room:a","phx_error",{"reason":"channel_crash"}]
        left 0
        stop 0
        fail 0
        "#,
    );
}

#[test]
fn a_channel_that_ends_while_joining_has_crashed() {
    for end in ["stop", "fail"] {
        check(&format!(
            r#"
            < ["5","6","room:a","phx_join",{{}}]
            join 0 room:a "5" {{}}
            {end} 0
            > ["5","6","room:a","phx_reply",{{"status":"error","response":{{"reason":"join crashed"}}}}]
            "#
        ));
    }
}

#[test]
fn verdicts_about_channels_that_are_gone_change_nothing() {
    check(
        r#"
        < ["5","6","room:a","phx_join",{}]
        join 0 room:a "5" {}
        ok 0
        > ["5","6","room:a","phx_reply",{"status":"ok","response":{}}]
        joined 0
        ok 0
        no 0
        crash 0
        < ["7","7","room:a","phx_join",{}]
        abandon 0
        join 1 room:a "7" {}
        ok 0
        no 0
        crash 0
        stop 0
        fail 0
        ok 1
        > ["7","7","room:a","phx_reply",{"status":"ok","response":{}}]
        > ["5","5","room:a","phx_close",{}]
        joined 1
        "#,
    );
}
