//! Clients that come too many, send too much, or leave others waiting.
#![expect(clippy::unwrap_used, reason = "a test says so by panicking")]

mod support;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bennu::{
    ConnectInfo, Endpoint, Flood, RawContext, RawMessage, RawSocket, Result, Routes, Socket,
    SocketOptions,
};
use futures_util::SinkExt;
use http::{Request, StatusCode};
use serde::Deserialize;
use serde_json::json;
use support::{Client, emptied, endpoint, reply};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    time::{Instant, sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

const ROOM: &str = "room:a";

/// Connects from an address. The stream is to be kept.
async fn connect<A: Send + Sync + 'static>(
    endpoint: &Endpoint<A>,
    peer: &str,
    query: &str,
) -> Result<DuplexStream, StatusCode> {
    let (client, server) = duplex(1 << 16);
    let mut request = Request::get(format!("/socket/websocket?{query}"))
        .body(())
        .unwrap();
    if !peer.is_empty() {
        let peer = SocketAddr::new(peer.parse().unwrap(), 4000);
        let peer = axum::extract::ConnectInfo(peer);
        request.extensions_mut().insert(peer);
    }
    endpoint.serve_upgraded(request, server).await?;
    Ok(client)
}

#[tokio::test]
async fn a_mount_has_so_many_connections_and_room_again_when_one_ends() {
    let endpoint = endpoint(SocketOptions::new().connections_max(2));
    let full = Some(StatusCode::SERVICE_UNAVAILABLE);
    let first = connect(&endpoint, "", "").await.unwrap();
    let _second = connect(&endpoint, "", "").await.unwrap();
    assert_eq!(connect(&endpoint, "", "").await.err(), full);
    drop(first);
    emptied(&endpoint, 1).await;
    let _third = connect(&endpoint, "", "").await.unwrap();
    assert_eq!(connect(&endpoint, "", "").await.err(), full);
    assert_eq!(endpoint.stats().connections_refused, 2);
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_room_again_when_one_ends() {
    let endpoint = endpoint(SocketOptions::new().connections_per_peer_max(1));
    let full = Some(StatusCode::TOO_MANY_REQUESTS);
    let first = connect(&endpoint, "10.0.0.1", "").await.unwrap();
    assert_eq!(connect(&endpoint, "10.0.0.1", "").await.err(), full);
    let _other = connect(&endpoint, "10.0.0.2", "").await.unwrap();
    // Where the address isn't known, there's nothing to count.
    let _unknown = [
        connect(&endpoint, "", "").await.unwrap(),
        connect(&endpoint, "", "").await.unwrap(),
    ];
    drop(first);
    emptied(&endpoint, 3).await;
    let _again = connect(&endpoint, "10.0.0.1", "").await.unwrap();
    assert_eq!(connect(&endpoint, "10.0.0.1", "").await.err(), full);
    assert_eq!(endpoint.stats().connections_refused, 2);
}

/// Lets nobody in, after a while.
struct Closed;

#[derive(Deserialize)]
struct After {
    after_s: Option<u64>,
}

impl Socket for Closed {
    type App = ();
    type Params = After;

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes
    }

    async fn connect(_: &Arc<()>, params: After, _: &ConnectInfo) -> Result<Self> {
        sleep(Duration::from_secs(params.after_s.unwrap())).await;
        Err(bennu::refuse("closed"))
    }
}

#[tokio::test(start_paused = true)]
async fn a_connect_that_takes_too_long_is_ended_and_its_seat_is_free() {
    let options = SocketOptions::new()
        .connections_max(1)
        .connect_timeout(Duration::from_secs(5));
    let endpoint = Endpoint::new(())
        .options(options)
        .socket::<Closed>("/socket");
    let began = Instant::now();
    let slow = connect(&endpoint, "", "after_s=60").await;
    assert_eq!(slow.err(), Some(StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(began.elapsed().as_secs(), 5);
    assert_eq!(endpoint.stats().connects_timed_out, 1);
    // Whoever is refused, or panics, holds no seat either.
    let refused = connect(&endpoint, "", "after_s=4").await;
    assert_eq!(refused.err(), Some(StatusCode::FORBIDDEN));
    let panicked = connect(&endpoint, "", "").await;
    assert_eq!(panicked.err(), Some(StatusCode::INTERNAL_SERVER_ERROR));
    // While one is asked there is no room for another.
    let (first, second) = tokio::join!(
        connect(&endpoint, "", "after_s=1"),
        connect(&endpoint, "", "after_s=1")
    );
    assert_eq!(first.err(), Some(StatusCode::FORBIDDEN));
    assert_eq!(second.err(), Some(StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(endpoint.stats().connections_refused, 1);
}

#[tokio::test]
async fn a_query_has_a_length() {
    let endpoint = endpoint(SocketOptions::new().query_bytes_max(9));
    let _fits = connect(&endpoint, "", "vsn=2.0.0").await.unwrap();
    let long = connect(&endpoint, "", "vsn=2.0.0&").await;
    assert_eq!(long.err(), Some(StatusCode::URI_TOO_LONG));
}

fn throttled(flood: Flood) -> SocketOptions {
    SocketOptions::new()
        .events_per_second_max(2)
        .events_at_once_max(3)
        .flood(flood)
}

#[tokio::test(start_paused = true)]
async fn events_too_many_are_refused_and_later_ones_are_not() {
    let endpoint = endpoint(throttled(Flood::Refuse));
    let mut client = Client::connect(&endpoint, 1 << 20).await;
    client.join(ROOM).await;
    let ping = async |client: &mut Client, r#ref: &str, expected: &str| {
        client.send(json!(["1", r#ref, ROOM, "ping", {}])).await;
        let response = match expected {
            "ok" => json!({}),
            _ => json!({"reason": "too many events"}),
        };
        assert_eq!(client.recv().await, reply(r#ref, ROOM, expected, response));
    };
    ping(&mut client, "2", "ok").await;
    ping(&mut client, "3", "ok").await;
    ping(&mut client, "4", "error").await;
    client
        .send(json!([null, "5", "phoenix", "heartbeat", {}]))
        .await;
    assert_eq!(client.recv().await[4]["status"], "ok");
    sleep(Duration::from_millis(500)).await;
    ping(&mut client, "6", "ok").await;
    ping(&mut client, "7", "error").await;
    assert_eq!(endpoint.stats().events_throttled, 3);
    // Another client has its own allowance.
    let mut other = Client::connect(&endpoint, 1 << 20).await;
    other.join(ROOM).await;
}

#[tokio::test(start_paused = true)]
async fn or_they_close_the_connection() {
    let endpoint = endpoint(throttled(Flood::Close));
    let mut client = Client::connect(&endpoint, 1 << 20).await;
    client.join(ROOM).await;
    for r#ref in ["2", "3", "4"] {
        client.send(json!(["1", r#ref, ROOM, "ping", {}])).await;
    }
    assert_eq!(client.recv().await[1], "2");
    assert_eq!(client.recv().await[1], "3");
    assert_eq!(
        client.recv().await,
        json!(["close", 1008, "too many events"])
    );
    assert_eq!(endpoint.stats().events_throttled, 1);
}

/// Sends back what it gets.
struct Echo;

impl RawSocket for Echo {
    type App = ();
    type Params = ();
    type Info = ();

    async fn connect(_: &Arc<()>, (): (), _: &ConnectInfo) -> Result<Self> {
        Ok(Self)
    }

    async fn handle_in(&mut self, message: RawMessage, cx: &RawContext<Self>) -> Result<()> {
        cx.send(message);
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_raw_socket_that_is_sent_too_many_messages_is_closed() {
    let endpoint = Endpoint::new(())
        .options(throttled(Flood::Refuse))
        .raw_socket::<Echo>("/socket");
    let stream = connect(&endpoint, "", "").await.unwrap();
    let stream = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
    let mut client = Client(stream);
    for n in 0..4 {
        client.0.send(Message::text(n.to_string())).await.unwrap();
    }
    for n in 0..3 {
        assert_eq!(client.recv().await, n);
    }
    assert_eq!(
        client.recv().await,
        json!(["close", 1008, "too many events"])
    );
}

#[tokio::test]
async fn so_many_joins_are_undecided_at_once() {
    let endpoint = endpoint(SocketOptions::new().joins_at_once_max(1));
    let mut client = Client::connect(&endpoint, 1 << 20).await;
    let slow = "room:slow";
    client.send(json!(["1", "1", slow, "phx_join", {}])).await;
    client.send(json!(["1", "2", ROOM, "phx_join", {}])).await;
    let refused = json!({"reason": "too many joins at once"});
    assert_eq!(client.recv().await, reply("2", ROOM, "error", refused));
    assert_eq!(endpoint.stats().messages_refused, 1);
    endpoint.app().go.notify_one();
    assert_eq!(client.recv().await, reply("1", slow, "ok", json!({})));
    client.join(ROOM).await;
}

#[tokio::test]
async fn messages_have_limits_of_their_mount() {
    let nested = json!(["1", "2", ROOM, "ping", [[[]]]]);
    let long = "x".repeat(20);
    for (options, message, close) in [
        (
            SocketOptions::new().topic_bytes_max(19),
            json!(["1", "2", long, "ping", {}]),
            (1009, "a topic may have 19 bytes, this one has 20"),
        ),
        (
            SocketOptions::new().event_bytes_max(19),
            json!(["1", "2", ROOM, long, {}]),
            (1009, "an event may have 19 bytes, this one has 20"),
        ),
        (
            SocketOptions::new().ref_bytes_max(19),
            json!(["1", long, ROOM, "ping", {}]),
            (1009, "a ref may have 19 bytes, this one has 22"),
        ),
        (SocketOptions::new().json_depth_max(3), nested, (1007, "")),
    ] {
        let endpoint = endpoint(options);
        let mut client = Client::connect(&endpoint, 1 << 20).await;
        client.send(message).await;
        let last = client.recv().await;
        assert_eq!(last[0], "close", "{last}");
        assert_eq!(last[1], close.0, "{last}");
        assert!(!last[2].as_str().unwrap().is_empty(), "{last}");
        assert_eq!(endpoint.stats().messages_undecodable, 1);
    }
}

#[tokio::test]
async fn frames_that_break_the_rules_are_counted() {
    let endpoint = endpoint(SocketOptions::new().frame_bytes_max(100));
    let mut client = Client::connect(&endpoint, 1 << 20).await;
    client.send(json!("x".repeat(100))).await;
    assert_eq!(client.recv().await[1], 1009);
    assert_eq!(endpoint.stats().frames_refused, 1);
}

/// Waits until all connections are gone, and says how many seconds that took.
async fn seconds_until_emptied<A: Send + Sync + 'static>(endpoint: &Endpoint<A>) -> u64 {
    let began = Instant::now();
    while endpoint.connections() > 0 {
        sleep(Duration::from_millis(100)).await;
    }
    began.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_vanished_without_a_word_is_gone_after_the_idle_timeout() {
    let endpoint = endpoint(SocketOptions::new());
    let client = connect(&endpoint, "", "").await.unwrap();
    // 60 s, an eighth at most, and 5 s for a closing connection.
    let seconds = seconds_until_emptied(&endpoint).await;
    assert!((60..=73).contains(&seconds), "{seconds}");
    assert_eq!(endpoint.stats().idle_closed, 1);
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_and_never_reads_is_gone_after_the_idle_timeout() {
    let endpoint = endpoint(SocketOptions::new());
    let (mut read, mut write) = tokio::io::split(connect(&endpoint, "", "").await.unwrap());
    let flood = tokio::spawn(async move {
        // A ping of 125 bytes, masked with zeros.
        let ping = [&[0x89, 0x80 | 125, 0, 0, 0, 0][..], &[7; 125]].concat();
        let mut sent = 0;
        let patience = Duration::from_secs(1);
        while let Ok(Ok(())) = timeout(patience, write.write_all(&ping)).await {
            sent += ping.len();
        }
        (sent, write)
    });
    let seconds = seconds_until_emptied(&endpoint).await;
    assert!((60..=73).contains(&seconds), "{seconds}");
    // The streams hold 64 KiB each way, and the server took no more than it could answer.
    let (sent, _write) = flood.await.unwrap();
    assert!(sent < 1 << 20, "{sent}");
    let mut left = Vec::new();
    read.read_to_end(&mut left).await.unwrap();
    assert!(left.len() <= 1 << 16);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_reads_what_is_broadcast_is_gone_within_five_seconds() {
    let endpoint = endpoint(SocketOptions::new());
    let mut client = Client::connect(&endpoint, 64).await;
    client.join(ROOM).await;
    for _ in 0..100_000 {
        endpoint.local_broadcast(ROOM, "n", &"x".repeat(100));
        if endpoint.stats().slow_consumers_closed > 0 {
            break;
        }
    }
    assert_eq!(endpoint.stats().slow_consumers_closed, 1);
    assert!(seconds_until_emptied(&endpoint).await <= 5);
    drop(client);
}
