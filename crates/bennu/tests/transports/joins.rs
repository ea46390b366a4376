//! Joining: verdicts, replies, duplicates, the cap, and slow joins.

use crate::{
    client::Transport,
    script::{check, run},
    server::Server,
};

#[tokio::test]
async fn a_join_is_answered_with_what_the_channel_says() {
    check(
        r#"
        > ["1","1","room:a","phx_join",{"reply":"welcome"}]
        < ["1","1","room:a","phx_reply",{"response":"welcome","status":"ok"}]
        > ["2","2","room:b","phx_join",{"reply":[1,null]}]
        < ["2","2","room:b","phx_reply",{"response":[1,null],"status":"ok"}]
        > ["3","3","room:c","phx_join",{"refuse":"not you"}]
        < ["3","3","room:c","phx_reply",{"response":{"reason":"not you"},"status":"error"}]
        > ["4","4","room:c","phx_join",{"refuse":{"code":7}}]
        < ["4","4","room:c","phx_reply",{"response":{"code":7},"status":"error"}]
        > ["5","5","room:c","phx_join",{"panic":true}]
        < ["5","5","room:c","phx_reply",{"response":{"reason":"join crashed"},"status":"error"}]
        > ["5","6","room:c","echo",{}]
        < [null,"6","room:c","phx_reply",{"response":{"reason":"unmatched topic"},"status":"error"}]
        > ["7","7","room:c","phx_join",null]
        < ["7","7","room:c","phx_reply",{"response":{},"status":"ok"}]
        "#,
    )
    .await;
}

#[tokio::test]
async fn the_reply_to_a_join_comes_before_what_the_join_pushes_and_broadcasts() {
    check(
        r#"
        a > ["1","1","room:a","phx_join",{}]
        a < ["1","1","room:a","phx_reply",{"response":{},"status":"ok"}]
        b > ["2","2","room:a","phx_join",{"push":true,"reply":"hi"}]
        b < ["2","2","room:a","phx_reply",{"response":"hi","status":"ok"}]
        b < [null,null,"room:a","from_join",{"topic":"room:a"}]
        b < ["2",null,"room:a","pushed_in_join",{}]
        a < [null,null,"room:a","from_join",{"topic":"room:a"}]
        "#,
    )
    .await;
}

#[tokio::test]
async fn a_join_that_is_refused_pushes_and_broadcasts_nothing() {
    check(
        r#"
        a > ["1","1","room:a","phx_join",{}]
        a < ["1","1","room:a","phx_reply",{"response":{},"status":"ok"}]
        b > ["2","2","room:a","phx_join",{"push":true,"refuse":"no"}]
        b < ["2","2","room:a","phx_reply",{"response":{"reason":"no"},"status":"error"}]
        "#,
    )
    .await;
}

#[tokio::test]
async fn a_second_join_of_a_topic_replaces_the_first() {
    check(
        r#"
        > ["1","1","room:a","phx_join",{"farewell":true}]
        < ["1","1","room:a","phx_reply",{"response":{},"status":"ok"}]
        > ["1","2","room:a","count",{}]
        < ["1","2","room:a","phx_reply",{"response":1,"status":"ok"}]
        > ["2","3","room:a","phx_join",{"push":true}]
        < ["2","3","room:a","phx_reply",{"response":{},"status":"ok"}]
        < ["1","1","room:a","phx_close",{}]
        < [null,null,"room:a","from_join",{"topic":"room:a"}]
        < ["2",null,"room:a","pushed_in_join",{}]
        > ["1","4","room:a","count",{}]
        > ["2","5","room:a","count",{}]
        < ["2","5","room:a","phx_reply",{"response":1,"status":"ok"}]
        > ["2","6","room:a","bc",{}]
        < [null,null,"room:a","bced",{}]
        < ["2","6","room:a","phx_reply",{"response":{},"status":"ok"}]
        "#,
    )
    .await;
}

#[tokio::test]
async fn a_second_join_stops_a_callback_where_it_is() {
    check(
        r#"
        > ["1","1","room:a","phx_join",{}]
        < ["1","1","room:a","phx_reply",{"response":{},"status":"ok"}]
        > ["1","2","room:a","gated",{"gate":"g"}]
        @ noted room:a is at g
        > ["2","3","room:a","phx_join",{}]
        < ["2","3","room:a","phx_reply",{"response":{},"status":"ok"}]
        < ["1","1","room:a","phx_close",{}]
        @ open g
        > ["2","4","room:a","gated",{"gate":"g"}]
        @ noted room:a is at g
        < ["2","4","room:a","phx_reply",{"response":{},"status":"ok"}]
        "#,
    )
    .await;
}

#[tokio::test]
async fn a_slow_join_holds_up_its_own_topic_alone() {
    check(
        r#"
        > ["1","1","room:slow","phx_join",{"gate":"g"}]
        @ noted room:slow is at g
        > ["1","2","room:slow","count",{}]
        > ["1","3","room:slow","count",{}]
        > ["2","4","room:quick","phx_join",{}]
        < ["2","4","room:quick","phx_reply",{"response":{},"status":"ok"}]
        > [null,"5","phoenix","heartbeat",{}]
        < [null,"5","phoenix","phx_reply",{"response":{},"status":"ok"}]
        > ["2","6","room:quick","count",{}]
        < ["2","6","room:quick","phx_reply",{"response":1,"status":"ok"}]
        @ open g
        < ["1","1","room:slow","phx_reply",{"response":{},"status":"ok"}]
        < ["1","2","room:slow","phx_reply",{"response":1,"status":"ok"}]
        < ["1","3","room:slow","phx_reply",{"response":2,"status":"ok"}]
        "#,
    )
    .await;
}

#[tokio::test]
async fn what_waits_for_a_join_that_is_refused_finds_no_channel() {
    check(
        r#"
        > ["1","1","room:a","phx_join",{"gate":"g","refuse":"no"}]
        @ noted room:a is at g
        > ["1","2","room:a","echo",{}]
        > ["1","3","room:a","phx_leave",{}]
        > ["2","4","room:a","phx_join",{}]
        > ["2","5","room:a","count",{}]
        @ open g
        < ["1","1","room:a","phx_reply",{"response":{"reason":"no"},"status":"error"}]
        < [null,"2","room:a","phx_reply",{"response":{"reason":"unmatched topic"},"status":"error"}]
        < ["1","3","room:a","phx_reply",{"response":{},"status":"ok"}]
        < ["2","4","room:a","phx_reply",{"response":{},"status":"ok"}]
        < ["2","5","room:a","phx_reply",{"response":1,"status":"ok"}]
        "#,
    )
    .await;
}

#[tokio::test]
async fn the_first_pattern_that_matches_serves_a_topic_with_what_its_route_assigns() {
    check(
        r#"
        > ["1","1","assigned:a","phx_join",{}]
        < ["1","1","assigned:a","phx_reply",{"response":{},"status":"ok"}]
        > ["1","2","assigned:a","assigns",{}]
        < ["1","2","assigned:a","phx_reply",{"response":"by the route","status":"ok"}]
        > ["2","3","room:","phx_join",{}]
        < ["2","3","room:","phx_reply",{"response":{},"status":"ok"}]
        > ["2","4","room:","assigns",{}]
        < ["2","4","room:","phx_reply",{"response":null,"status":"ok"}]
        > ["3","5","room","phx_join",{}]
        < [null,"5","room","phx_reply",{"response":{"reason":"unmatched topic"},"status":"error"}]
        > ["3","6","information","phx_join",{}]
        < [null,"6","information","phx_reply",{"response":{"reason":"unmatched topic"},"status":"error"}]
        "#,
    )
    .await;
}

#[tokio::test]
async fn a_connection_may_join_a_hundred_channels() {
    let mut script = String::new();
    for n in 0..100 {
        script += &format!(
            "> [\"{n}\",\"{n}\",\"room:{n}\",\"phx_join\",{{}}]\n\
             < [\"{n}\",\"{n}\",\"room:{n}\",\"phx_reply\",{{\"response\":{{}},\"status\":\"ok\"}}]\n"
        );
    }
    script += r#"
        > ["100","100","room:100","phx_join",{}]
        < ["100","100","room:100","phx_reply",{"response":{"reason":"too many channels joined"},"status":"error"}]
        > ["100","101","nope:100","phx_join",{}]
        < [null,"101","nope:100","phx_reply",{"response":{"reason":"unmatched topic"},"status":"error"}]
    "#;
    check(&script).await;
}

#[tokio::test]
async fn at_the_limit_a_topic_may_be_joined_again_and_a_place_is_freed_by_leaving() {
    let script = r#"
        = /two?vsn=2.0.0
        > ["1","1","room:1","phx_join",{}]
        < ["1","1","room:1","phx_reply",{"response":{},"status":"ok"}]
        > ["2","2","room:refused","phx_join",{"refuse":"no"}]
        < ["2","2","room:refused","phx_reply",{"response":{"reason":"no"},"status":"error"}]
        > ["3","3","room:3","phx_join",{}]
        < ["3","3","room:3","phx_reply",{"response":{},"status":"ok"}]
        > ["4","4","room:4","phx_join",{}]
        < ["4","4","room:4","phx_reply",{"response":{"reason":"too many channels joined"},"status":"error"}]
        > ["5","5","room:3","phx_join",{}]
        < ["5","5","room:3","phx_reply",{"response":{},"status":"ok"}]
        < ["3","3","room:3","phx_close",{}]
        > ["1","6","room:1","phx_leave",{}]
        < ["1","6","room:1","phx_reply",{"response":{},"status":"ok"}]
        < ["1","1","room:1","phx_close",{}]
        > ["7","7","room:4","phx_join",{}]
        < ["7","7","room:4","phx_reply",{"response":{},"status":"ok"}]
    "#;
    for transport in Transport::ALL {
        run(transport, &Server::start().await, script).await;
    }
}
