//! Events, replies and pushes of a channel.

use crate::script::check;

const JOIN: &str = r#"
    > ["1","1","room:a","phx_join",{}]
    < ["1","1","room:a","phx_reply",{"response":{},"status":"ok"}]
"#;

async fn check_joined(script: &str) {
    check(&format!("{JOIN}{script}")).await;
}

#[tokio::test]
async fn an_event_is_answered_with_any_status_and_any_json() {
    check_joined(
        r#"
        > ["1","2","room:a","echo",{"a":[1,2.5,true,null,"x",{}]}]
        < ["1","2","room:a","phx_reply",{"response":{"a":[1,2.5,true,null,"x",{}]},"status":"ok"}]
        > ["1","3","room:a","echo",null]
        < ["1","3","room:a","phx_reply",{"response":null,"status":"ok"}]
        > ["1","4","room:a","no",{"why":1}]
        < ["1","4","room:a","phx_reply",{"response":{"why":1},"status":"error"}]
        > ["1","5","room:a","refuse",{}]
        < ["1","5","room:a","phx_reply",{"response":{"reason":"because"},"status":"error"}]
        > ["1","6","room:a","fault",{}]
        < ["1","6","room:a","phx_reply",{"response":{"reason":"internal error"},"status":"error"}]
        > ["1","7","room:a","weird",{}]
        < ["1","7","room:a","phx_reply",{"response":[1,2],"status":"weird"}]
        > ["1","8","room:a","quiet",{}]
        > ["1","9","room:a","sum",{"a":20,"b":22,"c":"is ignored"}]
        < ["1","9","room:a","phx_reply",{"response":42,"status":"ok"}]
        "#,
    )
    .await;
}

#[tokio::test]
async fn a_number_too_large_for_any_type_passes_unharmed() {
    check_joined(
        r#"
        > ["1","2","room:a","echo",{"n":123456789012345678901234567890}]
        < ["1","2","room:a","phx_reply",{"response":{"n":123456789012345678901234567890},"status":"ok"}]
        "#,
    )
    .await;
}

#[tokio::test]
async fn an_event_may_be_answered_more_than_once() {
    check_joined(
        r#"
        > ["1","2","room:a","twice",{}]
        < ["1","2","room:a","phx_reply",{"response":1,"status":"ok"}]
        < ["1","2","room:a","phx_reply",{"response":2,"status":"ok"}]
        "#,
    )
    .await;
}

/// Where Phoenix's channel crashes: see the list of differences.
#[tokio::test]
async fn an_event_that_makes_no_sense_is_answered_with_a_reason_and_costs_no_state() {
    check_joined(
        r#"
        > ["1","2","room:a","count",{}]
        < ["1","2","room:a","phx_reply",{"response":1,"status":"ok"}]
        > ["1","3","room:a","no_such_event",{}]
        < ["1","3","room:a","phx_reply",{"response":{"reason":"*"},"status":"error"}]
        > ["1","4","room:a","sum",{"a":"one","b":2}]
        < ["1","4","room:a","phx_reply",{"response":{"reason":"*"},"status":"error"}]
        > ["1","5","room:a","sum",{"a":1}]
        < ["1","5","room:a","phx_reply",{"response":{"reason":"*"},"status":"error"}]
        > ["1",null,"room:a","no_such_event",{}]
        > ["1","6","room:a","count",{}]
        < ["1","6","room:a","phx_reply",{"response":2,"status":"ok"}]
        "#,
    )
    .await;
}

#[tokio::test]
async fn pushes_carry_the_join_ref_and_come_in_order_before_the_reply() {
    check_joined(
        r#"
        > ["1","2","room:a","push_many",{"n":3}]
        < ["1",null,"room:a","pushed",{"n":0}]
        < ["1",null,"room:a","pushed",{"n":1}]
        < ["1",null,"room:a","pushed",{"n":2}]
        < ["1","2","room:a","phx_reply",{"response":{},"status":"ok"}]
        > ["1","3","room:a","later",{"n":7}]
        < ["1",null,"room:a","info",{"n":7}]
        "#,
    )
    .await;
}

#[tokio::test]
async fn events_of_one_channel_wait_for_each_other_and_for_no_other_channel() {
    check_joined(
        r#"
        > ["2","2","room:b","phx_join",{}]
        < ["2","2","room:b","phx_reply",{"response":{},"status":"ok"}]
        > ["1","3","room:a","gated",{"gate":"g"}]
        @ noted room:a is at g
        > ["1","4","room:a","count",{}]
        > ["2","5","room:b","count",{}]
        < ["2","5","room:b","phx_reply",{"response":1,"status":"ok"}]
        @ open g
        < ["1","3","room:a","phx_reply",{"response":{},"status":"ok"}]
        < ["1","4","room:a","phx_reply",{"response":1,"status":"ok"}]
        "#,
    )
    .await;
}

#[tokio::test]
async fn each_connection_has_channels_of_its_own() {
    check(
        r#"
        a > ["1","1","room:a","phx_join",{}]
        a < ["1","1","room:a","phx_reply",{"response":{},"status":"ok"}]
        b > ["1","1","room:a","phx_join",{}]
        b < ["1","1","room:a","phx_reply",{"response":{},"status":"ok"}]
        a > ["1","2","room:a","count",{}]
        a < ["1","2","room:a","phx_reply",{"response":1,"status":"ok"}]
        b > ["1","2","room:a","count",{}]
        b < ["1","2","room:a","phx_reply",{"response":1,"status":"ok"}]
        a > ["1","3","room:a","push",{}]
        a < ["1",null,"room:a","pushed",{}]
        a < ["1","3","room:a","phx_reply",{"response":{},"status":"ok"}]
        "#,
    )
    .await;
}

#[tokio::test]
async fn a_message_of_a_megabyte_passes_both_ways() {
    let text = "0123456789abcdef".repeat(65_536);
    check_joined(&format!(
        "> [\"1\",\"2\",\"room:a\",\"echo\",\"{text}\"]\n\
         < [\"1\",\"2\",\"room:a\",\"phx_reply\",{{\"response\":\"{text}\",\"status\":\"ok\"}}]"
    ))
    .await;
}
