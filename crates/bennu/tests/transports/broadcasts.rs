//! Broadcasts: who gets them, and before what.

use crate::script::check;

const JOIN: &str = r#"
    a > ["1","1","room:a","phx_join",{}]
    a < ["1","1","room:a","phx_reply",{"response":{},"status":"ok"}]
    b > ["2","2","room:a","phx_join",{}]
    b < ["2","2","room:a","phx_reply",{"response":{},"status":"ok"}]
"#;

async fn check_joined(script: &str) {
    check(&format!("{JOIN}{script}")).await;
}

#[tokio::test]
async fn a_broadcast_reaches_everybody_in_the_topic_and_its_sender_before_the_reply() {
    check_joined(
        r#"
        c > ["3","3","room:other","phx_join",{}]
        c < ["3","3","room:other","phx_reply",{"response":{},"status":"ok"}]
        a > ["1","4","room:a","bc",{"n":1}]
        a < [null,null,"room:a","bced",{"n":1}]
        a < ["1","4","room:a","phx_reply",{"response":{},"status":"ok"}]
        b < [null,null,"room:a","bced",{"n":1}]
        "#,
    )
    .await;
}

#[tokio::test]
async fn broadcast_from_leaves_out_its_sender() {
    check_joined(
        r#"
        a > ["1","4","room:a","bc_from",{"n":1}]
        a < ["1","4","room:a","phx_reply",{"response":{},"status":"ok"}]
        b < [null,null,"room:a","bced",{"n":1}]
        "#,
    )
    .await;
}

#[tokio::test]
async fn an_intercepted_event_goes_to_handle_out_and_behind_the_reply() {
    check_joined(
        r#"
        a > ["1","4","room:a","special",{"n":1}]
        a < ["1","4","room:a","phx_reply",{"response":{},"status":"ok"}]
        a < ["1",null,"room:a","special",{"from":"room:a","payload":{"n":1}}]
        b < ["2",null,"room:a","special",{"from":"room:a","payload":{"n":1}}]
        "#,
    )
    .await;
}

#[tokio::test]
async fn a_broadcast_may_come_from_outside_any_channel() {
    check_joined(
        r#"
        @ broadcast room:a news {"n":1}
        @ broadcast room:nobody news {"n":2}
        @ broadcast room:a news {"n":3}
        a < [null,null,"room:a","news",{"n":1}]
        a < [null,null,"room:a","news",{"n":3}]
        b < [null,null,"room:a","news",{"n":1}]
        b < [null,null,"room:a","news",{"n":3}]
        "#,
    )
    .await;
}

#[tokio::test]
async fn each_serializer_gets_a_broadcast_its_own_way() {
    check(
        r#"
        a = /socket?vsn=1.0.0
        a > {"topic":"room:a","event":"phx_join","payload":{},"ref":"1"}
        a < {"topic":"room:a","event":"phx_reply","payload":{"response":{},"status":"ok"},"ref":"1"}
        b > ["2","2","room:a","phx_join",{}]
        b < ["2","2","room:a","phx_reply",{"response":{},"status":"ok"}]
        b > ["2","3","room:a","bc",{"text":"\"é\"\n"}]
        b < [null,null,"room:a","bced",{"text":"\"é\"\n"}]
        b < ["2","3","room:a","phx_reply",{"response":{},"status":"ok"}]
        a < {"topic":"room:a","event":"bced","payload":{"text":"\"é\"\n"},"ref":null}
        "#,
    )
    .await;
}

#[tokio::test]
async fn a_channel_may_listen_to_other_topics() {
    check_joined(
        r#"
        a > ["1","4","room:a","subscribe",{"topic":"news"}]
        a < ["1","4","room:a","phx_reply",{"response":{},"status":"ok"}]
        a > ["1","5","room:a","subscribe",{"topic":"news"}]
        a < ["1","5","room:a","phx_reply",{"response":{},"status":"ok"}]
        @ broadcast news item {"n":1}
        a < ["1",null,"room:a","item",{"from":"news","payload":{"n":1}}]
        a > ["1","6","room:a","unsubscribe",{"topic":"news"}]
        a < ["1","6","room:a","phx_reply",{"response":{},"status":"ok"}]
        @ broadcast news item {"n":2}
        "#,
    )
    .await;
}

#[tokio::test]
async fn who_left_hears_nothing_more() {
    check_joined(
        r#"
        a > ["1","4","room:a","phx_leave",{}]
        a < ["1","4","room:a","phx_reply",{"response":{},"status":"ok"}]
        a < ["1","1","room:a","phx_close",{}]
        b > ["2","5","room:a","bc",{}]
        b < [null,null,"room:a","bced",{}]
        b < ["2","5","room:a","phx_reply",{"response":{},"status":"ok"}]
        "#,
    )
    .await;
}

#[tokio::test]
async fn a_channel_at_work_doesnt_hold_up_what_is_broadcast_to_its_client() {
    check_joined(
        r#"
        a > ["1","4","room:a","gated",{"gate":"g"}]
        @ noted room:a is at g
        @ broadcast room:a news {"n":1}
        a < [null,null,"room:a","news",{"n":1}]
        b < [null,null,"room:a","news",{"n":1}]
        @ open g
        a < ["1","4","room:a","phx_reply",{"response":{},"status":"ok"}]
        "#,
    )
    .await;
}
