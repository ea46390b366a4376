//! How channels and connections end.

use crate::{
    client::{Address, Client, Frame, Transport},
    script::{HOME, check, run},
    server::Server,
};

const JOIN: &str = r#"
    = /socket?vsn=2.0.0&user=ana
    > ["5","1","room:a","phx_join",{"farewell":true}]
    < ["5","1","room:a","phx_reply",{"response":{},"status":"ok"}]
"#;

async fn check_joined(script: &str) {
    check(&format!("{JOIN}{script}")).await;
}

const GONE: &str = r#"
    > ["5","90","room:a","echo",{}]
    < [null,"90","room:a","phx_reply",{"response":{"reason":"unmatched topic"},"status":"error"}]
"#;

#[tokio::test]
async fn a_leave_is_answered_then_closed_then_the_channel_says_farewell() {
    check_joined(&format!(
        r#"
        > ["5","2","room:a","phx_leave",{{}}]
        < ["5","2","room:a","phx_reply",{{"response":{{}},"status":"ok"}}]
        < ["5","5","room:a","phx_close",{{}}]
        < ["5",null,"room:a","farewell",{{}}]
        @ noted room:a ended: Left
        {GONE}
        "#
    ))
    .await;
}

#[tokio::test]
async fn a_leave_waits_for_what_came_before_it() {
    check_joined(
        r#"
        > ["5","2","room:a","gated",{"gate":"g"}]
        @ noted room:a is at g
        > ["5","3","room:a","count",{}]
        > ["5","4","room:a","phx_leave",{}]
        > ["5","6","room:a","count",{}]
        > [null,"7","phoenix","heartbeat",{}]
        < [null,"7","phoenix","phx_reply",{"response":{},"status":"ok"}]
        @ open g
        < ["5","2","room:a","phx_reply",{"response":{},"status":"ok"}]
        < ["5","3","room:a","phx_reply",{"response":1,"status":"ok"}]
        < ["5","4","room:a","phx_reply",{"response":{},"status":"ok"}]
        < ["5","5","room:a","phx_close",{}]
        < ["5",null,"room:a","farewell",{}]
        "#,
    )
    .await;
}

#[tokio::test]
async fn a_stale_leave_is_ignored() {
    check_joined(
        r#"
        > ["4","2","room:a","phx_leave",{}]
        > ["5","3","room:a","count",{}]
        < ["5","3","room:a","phx_reply",{"response":1,"status":"ok"}]
        > [null,"4","room:a","phx_leave",{}]
        < [null,"4","room:a","phx_reply",{"response":{},"status":"ok"}]
        < ["5","5","room:a","phx_close",{}]
        < ["5",null,"room:a","farewell",{}]
        "#,
    )
    .await;
}

#[tokio::test]
async fn a_topic_may_be_left_and_joined_again_in_one_breath() {
    check_joined(
        r#"
        > ["5","2","room:a","phx_leave",{}]
        > ["6","3","room:a","phx_join",{}]
        < ["5","2","room:a","phx_reply",{"response":{},"status":"ok"}]
        < ["5","5","room:a","phx_close",{}]
        < ["5",null,"room:a","farewell",{}]
        < ["6","3","room:a","phx_reply",{"response":{},"status":"ok"}]
        > ["6","4","room:a","count",{}]
        < ["6","4","room:a","phx_reply",{"response":1,"status":"ok"}]
        "#,
    )
    .await;
}

#[tokio::test]
async fn a_channel_that_stops_replies_then_closes_then_says_farewell() {
    check_joined(&format!(
        r#"
        > ["5","2","room:a","stop",{{}}]
        < ["5","2","room:a","phx_reply",{{"response":{{}},"status":"ok"}}]
        < ["5","5","room:a","phx_close",{{}}]
        < ["5",null,"room:a","farewell",{{}}]
        @ noted room:a ended: Stopped
        {GONE}
        "#
    ))
    .await;
}

#[tokio::test]
async fn a_channel_that_fails_says_farewell_before_its_error() {
    check_joined(&format!(
        r#"
        > ["5","2","room:a","fail",{{}}]
        < ["5","2","room:a","phx_reply",{{"response":{{}},"status":"ok"}}]
        < ["5",null,"room:a","farewell",{{}}]
        < ["5","5","room:a","phx_error",{{"reason":"channel_crash"}}]
        @ noted room:a ended: Failed
        {GONE}
        "#
    ))
    .await;
}

#[tokio::test]
async fn a_crash_costs_its_channel_alone() {
    check_joined(&format!(
        r#"
        > ["6","6","room:b","phx_join",{{}}]
        < ["6","6","room:b","phx_reply",{{"response":{{}},"status":"ok"}}]
        > ["6","7","room:b","count",{{}}]
        < ["6","7","room:b","phx_reply",{{"response":1,"status":"ok"}}]
        > ["5","8","room:a","boom",{{}}]
        < ["5","5","room:a","phx_error",{{"reason":"channel_crash"}}]
        {GONE}
        > ["6","9","room:b","count",{{}}]
        < ["6","9","room:b","phx_reply",{{"response":2,"status":"ok"}}]
        > ["7","10","room:a","phx_join",{{}}]
        < ["7","10","room:a","phx_reply",{{"response":{{}},"status":"ok"}}]
        > ["7","11","room:a","count",{{}}]
        < ["7","11","room:a","phx_reply",{{"response":1,"status":"ok"}}]
        "#
    ))
    .await;
}

#[tokio::test]
async fn events_behind_a_crash_find_no_channel_or_nothing() {
    check_joined(
        r#"
        > ["5","2","room:a","gated",{"gate":"g"}]
        @ noted room:a is at g
        > ["5","3","room:a","boom",{}]
        @ open g
        < ["5","2","room:a","phx_reply",{"response":{},"status":"ok"}]
        < ["5","5","room:a","phx_error",{"reason":"channel_crash"}]
        "#,
    )
    .await;
}

#[tokio::test]
async fn a_disconnect_closes_all_connections_of_that_id_and_ends_their_channels() {
    check_joined(
        r#"
        b = /socket?vsn=2.0.0&user=ben
        b > ["1","1","room:a","phx_join",{}]
        b < ["1","1","room:a","phx_reply",{"response":{},"status":"ok"}]
        @ broadcast user:ana anything {}
        @ broadcast user:ana disconnect {}
        ! 1001 disconnected
        @ noted room:a ended: Disconnected
        "#,
    )
    .await;
}

/// What the websocket transport does when its client closes; long-polling clients just don't come back.
#[tokio::test]
async fn channels_end_with_their_connection() {
    let transport = Transport::WebSocket;
    let server = Server::start().await;
    let mut client = Client::connect(transport, server.addr, &Address::new(HOME))
        .await
        .unwrap();
    let join = r#"["1","1","room:a","phx_join",{"farewell":true}]"#;
    client.send(Frame::Text(join.to_owned())).await;
    client.receive().await;
    drop(client);
    assert_eq!(server.note().await, "room:a ended: Closed");
    server.emptied().await;
}

#[tokio::test]
async fn a_server_that_goes_down_tells_its_clients() {
    for transport in Transport::ALL {
        let server = Server::start().await;
        let script = r#"
            > ["1","1","room:a","phx_join",{"farewell":true}]
            < ["1","1","room:a","phx_reply",{"response":{},"status":"ok"}]
        "#;
        run(transport, &server, script).await;
        let mut client = Client::connect(transport, server.addr, &Address::new(HOME))
            .await
            .unwrap();
        let endpoint = server.endpoint.clone();
        let drained = tokio::spawn(async move { endpoint.drain().await });
        let crate::client::Event::Closed(closed) = client.receive().await else {
            panic!("a message came");
        };
        // Of one that polls just then; another is refused, since the server goes down.
        if transport == Transport::WebSocket || closed.code.is_some() {
            assert_eq!(closed.code, Some(1012));
            assert!(
                closed.reason.starts_with("draining retry_ms="),
                "{closed:?}"
            );
        }
        drop(client);
        drained.await.unwrap();
        assert!(
            Client::connect(transport, server.addr, &Address::new(HOME))
                .await
                .is_err()
        );
    }
}
