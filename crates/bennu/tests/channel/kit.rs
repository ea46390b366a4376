//! The kit itself: encodings, faults, time.

use std::{net::SocketAddr, time::Duration};

use bennu::{
    Bytes, CheckOrigin, ConnectInfo, Endpoint, SocketOptions,
    testing::{
        Close, Connect, assert_broadcast, assert_push, assert_reply, refute_push, refute_reply,
    },
};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::room::{Stage, User};

#[tokio::test(start_paused = true)]
async fn serializer_v1_is_spoken_on_request() {
    let stage = Stage::new();
    let connect = Connect::new(&stage.endpoint, "/socket").params(json!({"user_id": 1}));
    let client = connect.v1().open().await.unwrap();
    let room = client
        .subscribe_and_join("room:1", json!([1]))
        .await
        .unwrap();
    assert_eq!(room.joined().as_json(), Some("[1]"));
    assert_reply!(room.push("reply", json!({"n": 1})), "ok", {"n": 1});
    room.push("broadcast", json!("x"));
    assert_push!(room, "broadcast", "x");
    assert_broadcast!(room, "broadcast", "x");
    assert_reply!(client.heartbeat(), "ok", {});
}

/// The client itself gets a status and nothing else.
#[tokio::test(start_paused = true)]
async fn a_test_is_told_why_a_client_was_refused() {
    let pages = CheckOrigin::list(["//example.com"]).unwrap();
    let asked = CheckOrigin::callback(|_| panic!("as the test has it"));
    let options = SocketOptions::new;
    let endpoint = Stage::new().endpoint;
    let endpoint = endpoint
        .socket_with::<User>("/pages", options().check_origin(pages))
        .socket_with::<User>("/asked", options().check_origin(asked))
        .socket_with::<User>("/full", options().connections_max(0))
        .socket_with::<User>("/polite", options().on_refused(|_| StatusCode::GONE));
    let check = async |path: &str, params: Value, status: u16, expected: &str| {
        let connect = Connect::new(&endpoint, path).params(params);
        let connect = connect.header("origin", "https://other.com");
        let refused = connect.open().await.unwrap_err();
        assert_eq!(refused.status, status, "{path}: {refused}");
        assert!(refused.to_string().contains(expected), "{path}: {refused}");
        assert_eq!(refused.reason.is_none(), status == 404, "{path}: {refused}");
    };
    let (nobody, ada) = (json!({"user_id": 0}), json!({"user_id": 1}));
    check(
        "/socket",
        json!({}),
        403,
        "403 Forbidden: params: missing field `user_id`",
    )
    .await;
    check(
        "/socket",
        nobody.clone(),
        403,
        r#"refused with {"reason":"nobody"}"#,
    )
    .await;
    check(
        "/polite",
        nobody,
        410,
        r#"refused with {"reason":"nobody"}"#,
    )
    .await;
    check(
        "/pages",
        ada.clone(),
        403,
        r#"its origin "https://other.com" isn't in"#,
    )
    .await;
    check("/asked", ada.clone(), 500, "the application panicked").await;
    check("/full", ada.clone(), 503, "the server is draining or full").await;
    check("/nowhere", ada, 404, "with status 404 Not Found").await;
}

#[tokio::test(start_paused = true)]
async fn bytes_go_both_ways() {
    let room = Stage::new().room().await;
    let bytes = Bytes::from_static(&[0, 159, 146, 150]);
    assert_reply!(room.push("reply", &bytes), "ok", bytes);
    room.push("push", &bytes);
    assert_push!(room, "pushed", &bytes);
    room.push("broadcast", &bytes);
    let heard: Bytes = assert_push!(room, "broadcast", let heard => heard);
    assert_eq!(bytes, heard);
    // Longer than a short frame, and than what one read brings.
    let long = Bytes::from(vec![7; 300_000]);
    assert_reply!(room.push("reply", &long), "ok", long);
}

#[tokio::test(start_paused = true)]
async fn messages_are_lost_on_request() {
    let room = Stage::new().room().await;
    room.client().drop_incoming(1);
    refute_reply!(room.push("status", ()));
    room.client().drop_outgoing(2);
    refute_reply!(room.push("status", ()));
    room.push("broadcast", 1);
    refute_push!(room, "broadcast");
    assert_reply!(room.push("status", ()), "ok");
}

#[tokio::test(start_paused = true)]
async fn messages_are_late_on_request_and_stay_in_order() {
    let room = Stage::new().room().await;
    let client = room.client();
    client.set_timeout(Duration::from_secs(5));
    let began = Instant::now();
    client.delay_outgoing(Duration::from_secs(2));
    room.push("push", 1);
    client.delay_outgoing(Duration::ZERO);
    room.push("push", 2);
    assert_push!(room, "pushed", 2);
    assert_eq!(began.elapsed().as_secs(), 2);
    client.delay_incoming(Duration::from_secs(1));
    assert_reply!(room.push("status", ()), "ok");
    assert_eq!(began.elapsed().as_secs(), 3);
    assert_push!(room, "pushed", 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stalls_is_a_slow_consumer() {
    let options = SocketOptions::new().queue_messages_max(10);
    let stage = Stage::with(options);
    let (slow, other) = (stage.room().await, stage.room().await);
    slow.client().stall();
    let long = "x".repeat(20_000);
    for _ in 0..30 {
        stage.endpoint.broadcast("room:1", "long", &long);
        assert_push!(other, "long");
    }
    assert_eq!(slow.client().closed().await, None);
    assert_eq!(stage.endpoint.stats().slow_consumers_closed, 1);
    slow.client().resume();
    let close = Close::new(1013, "slow consumer");
    assert_eq!(slow.client().closed().await, Some(close));
    // What was on its way had come before.
    assert_push!(slow, "long");
}

#[tokio::test(start_paused = true)]
async fn a_client_is_heard_for_as_long_as_it_is_there_unless_it_is_silent() {
    let stage = Stage::new();
    let room = stage.room().await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_reply!(room.push("status", ()), "ok");

    let connect = Connect::new(&stage.endpoint, "/socket").params(json!({"user_id": 1}));
    let silent = connect.silent().open().await.unwrap();
    silent.set_timeout(Duration::from_secs(100));
    assert_eq!(silent.closed().await, Some(Close::new(1001, "idle")));
}

#[tokio::test(start_paused = true)]
async fn a_client_is_heard_often_enough_for_its_mount_unless_the_test_says_how_often() {
    let idle_timeout = Duration::from_secs(2);
    let stage = Stage::with(SocketOptions::new().idle_timeout(idle_timeout));
    let connect = || Connect::new(&stage.endpoint, "/socket").params(json!({"user_id": 1}));
    let check = async |connect: Connect<_>, is_alive: bool| {
        let client = connect.open().await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        let idle = Some(Close::new(1001, "idle")).filter(|_| !is_alive);
        assert_eq!(client.closed().await, idle);
    };
    check(connect(), true).await;
    check(connect().silent(), false).await;
    check(connect().heartbeat_interval(Duration::from_secs(1)), true).await;
    check(connect().heartbeat_interval(Duration::from_secs(10)), false).await;
}

#[tokio::test(start_paused = true)]
async fn what_no_client_would_send_can_be_sent() {
    let stage = Stage::new();
    for (text, code) in [("{}", 1007), ("[1,2]", 1007), ("", 1007)] {
        let client = stage.client().await;
        client.send_text(text);
        assert_eq!(client.closed().await.unwrap().code, Some(code), "{text}");
    }
    let client = stage.client().await;
    client.send_binary(vec![9]);
    assert_eq!(client.closed().await.unwrap().code, Some(1002));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_client_is_a_lost_connection() {
    let mut stage = Stage::new();
    drop(stage.room().await);
    assert_eq!(stage.noted().await, "Closed");
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_was_replaced_is_told_so_and_not_the_other() {
    let room = Stage::new().room().await;
    let again = room.client().join("room:1", ()).await.unwrap();
    assert_eq!(again.ended().await, None);
    assert!(room.ended().await.is_some());
    again.push("push", "mine");
    refute_push!(room, "pushed");
    assert_push!(again, "pushed", "mine");
}

#[tokio::test(start_paused = true)]
async fn a_join_that_is_not_answered_says_why() {
    let client = Stage::new().client().await;
    let began = Instant::now();
    client.drop_outgoing(1);
    let late = client.join("room:1", ()).await.unwrap_err();
    assert_eq!(late.status, "timeout");
    assert_eq!(began.elapsed().as_secs(), 10);
    client.disconnect().await;
    let gone = client.join("room:1", ()).await.unwrap_err();
    assert_eq!(
        gone.to_string(),
        r#"the join got "closed" {"reason":"the client disconnected"}"#
    );
}

/// The clock runs here: assertions hold all the same, and refutations wait.
#[tokio::test]
async fn the_clock_need_not_be_paused() {
    let room = Stage::new().room().await;
    room.client().set_timeout(Duration::from_secs(10));
    assert_reply!(room.push("status", ()), "ok");
    room.client().set_timeout(Duration::from_millis(5));
    let began = std::time::Instant::now();
    refute_push!(room, "anything");
    assert!(began.elapsed() >= Duration::from_millis(5));
    room.client().close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threads_may_be_many() {
    let room = Stage::new().room().await;
    room.client().set_timeout(Duration::from_secs(10));
    for n in 0..100 {
        room.push("broadcast", n);
        assert_broadcast!(room, "broadcast", n);
        assert_push!(room, "broadcast", n);
    }
    room.client().close().await;
}

/// What `connect` was told of the request.
struct Told;

impl bennu::Socket for Told {
    type App = ();
    type Params = ();

    fn channels(routes: bennu::Routes<Self>) -> bennu::Routes<Self> {
        routes
    }

    async fn connect(_: &std::sync::Arc<()>, (): (), info: &ConnectInfo) -> bennu::Result<Self> {
        assert_eq!(info.auth_token(), Some("t/o?k"));
        assert_eq!(info.user_agent(), Some("a test"));
        assert_eq!(
            info.peer_addr(),
            Some(SocketAddr::from(([127, 0, 0, 9], 7)))
        );
        Ok(Self)
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_says_what_the_test_wants() {
    let options = SocketOptions::new()
        .auth_token(true)
        .websocket_path("ws/:shard");
    let endpoint = Endpoint::new(()).socket_with::<Told>("/of/:tenant", options);
    let connect = || {
        Connect::new(&endpoint, "/of/me/")
            .websocket_path("ws/3")
            .auth_token("t/o?k")
            .header("user-agent", "a test")
            .peer_addr(SocketAddr::from(([127, 0, 0, 9], 7)))
    };
    assert!(connect().open().await.is_ok());
    assert!(connect().socket::<Told>().await.is_ok());
}
