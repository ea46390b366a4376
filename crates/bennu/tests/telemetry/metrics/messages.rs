//! What clients and servers say, and what of it waits or is lost.

use bennu::{Bytes, Overflow, SocketOptions};
use http::{Request, header};
use serde_json::json;
use tower::ServiceExt;

use super::{ROOM, SOCKET, WEBSOCKET, check};
use crate::server::{Client, endpoint};

#[tokio::test]
async fn what_floods_and_what_is_no_message_is_counted() {
    let options = SocketOptions::new().events_per_second_max(1);
    let endpoint = endpoint(options.events_at_once_max(2));
    let mut client = Client::connect(&endpoint).await;
    client.join(ROOM).await;
    client.ask(json!(["1", "2", ROOM, "ping", {}])).await;
    client.ask(json!(["1", "3", ROOM, "ping", {}])).await;
    check(&endpoint, "bennu_events_throttled_total", &[SOCKET], 1).await;
    let throttled = [("why", "too many events")];
    check(&endpoint, "bennu_refusals_total", &throttled, 1).await;
    client.send(json!("no message")).await;
    while let Some(Ok(_)) = futures_util::StreamExt::next(&mut client.0).await {}
    let undecodable = "bennu_messages_undecodable_total";
    check(&endpoint, undecodable, &[SOCKET], 1).await;
    check(&endpoint, "bennu_frames_refused_total", &[SOCKET], 0).await;
}

#[tokio::test]
async fn joins_are_counted_and_what_is_refused() {
    let endpoint = endpoint(SocketOptions::new().channels_max(1));
    let mut client = Client::connect(&endpoint).await;
    for topic in ["room:private", "room:crash", "none", ROOM, "room:b"] {
        client.ask(json!(["1", "1", topic, "phx_join", {}])).await;
    }
    for (result, count) in [("ok", 1), ("error", 1), ("crashed", 1)] {
        check(
            &endpoint,
            "bennu_joins_total",
            &[SOCKET, ("result", result)],
            count,
        )
        .await;
    }
    for why in [
        "refused",
        "join crashed",
        "unmatched topic",
        "too many channels joined",
    ] {
        check(
            &endpoint,
            "bennu_refusals_total",
            &[SOCKET, ("why", why)],
            1,
        )
        .await;
    }
    check(&endpoint, "bennu_panics_total", &[SOCKET], 1).await;
    check(&endpoint, "bennu_join_duration_seconds_count", &[SOCKET], 2).await;
    client.ask(json!(["1", "2", ROOM, "crash", {}])).await;
    check(&endpoint, "bennu_panics_total", &[SOCKET], 2).await;
}

#[tokio::test]
async fn events_that_wait_beyond_the_limit_are_counted() {
    let endpoint = endpoint(SocketOptions::new().event_queue_messages_max(0));
    let mut client = Client::connect(&endpoint).await;
    client.join(ROOM).await;
    client.send(json!(["1", "2", ROOM, "wait", {}])).await;
    client.ask(json!(["1", "3", ROOM, "ping", {}])).await;
    let labels = [("why", "too many messages queued")];
    check(&endpoint, "bennu_refusals_total", &labels, 1).await;
}

#[tokio::test(start_paused = true)]
async fn one_event_in_sixteen_is_timed() {
    let endpoint = endpoint(SocketOptions::new());
    let mut client = Client::connect(&endpoint).await;
    client.join(ROOM).await;
    let name = "bennu_handle_in_duration_seconds";
    for n in 0..32 {
        client.ask(json!(["1", n, ROOM, "ping", {}])).await;
    }
    check(&endpoint, &format!("{name}_count"), &[SOCKET], 2).await;
    check(
        &endpoint,
        &format!("{name}_bucket"),
        &[SOCKET, ("le", "0.00001")],
        2,
    )
    .await;
    check(
        &endpoint,
        &format!("{name}_bucket"),
        &[SOCKET, ("le", "+Inf")],
        2,
    )
    .await;
}

#[tokio::test]
async fn messages_and_bytes_are_counted_as_they_are_on_the_wire() {
    let endpoint = endpoint(SocketOptions::new());
    let mut client = Client::connect(&endpoint).await;
    client.join(ROOM).await;
    let labels = [SOCKET, WEBSOCKET];
    let count = async |name| endpoint.metrics().await.get(name, &labels).unwrap();
    let received = count("bennu_received_bytes_total").await;
    let sent = count("bennu_sent_bytes_total").await;
    let ping = json!(["1", "2", ROOM, "ping", {"a": "b".repeat(100)}]);
    let reply = client.ask(ping.clone()).await;
    check(&endpoint, "bennu_messages_received_total", &labels, 2).await;
    check(&endpoint, "bennu_messages_sent_total", &labels, 2).await;
    // A masked frame's header has 8 bytes at this length, and one that isn't masked 4.
    let bytes = received + ping.to_string().len() as f64 + 8.0;
    check(
        &endpoint,
        "bennu_received_bytes_total",
        &labels,
        bytes as u64,
    )
    .await;
    let bytes = sent + reply.to_string().len() as f64 + 4.0;
    check(&endpoint, "bennu_sent_bytes_total", &labels, bytes as u64).await;
}

#[tokio::test]
async fn long_polling_counts_as_a_transport_of_its_own() {
    let endpoint = endpoint(SocketOptions::new());
    let labels = [SOCKET, ("transport", "longpoll")];
    let send = async |request: http::request::Builder, body: String| {
        let request = request.body(axum::body::Body::from(body)).unwrap();
        let response = endpoint.router().oneshot(request).await.unwrap();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await;
        serde_json::from_slice::<serde_json::Value>(&body.unwrap()).unwrap()
    };
    let path = "/socket/longpoll?vsn=2.0.0";
    let began = send(Request::get(path), String::new()).await;
    let path = format!("{path}&token={}", began["token"].as_str().unwrap());
    check(&endpoint, "bennu_connections", &labels, 1).await;
    let join = json!(["1", "1", ROOM, "phx_join", {}]).to_string();
    let post = Request::post(&path).header(header::CONTENT_TYPE, "application/x-ndjson");
    assert_eq!(send(post, join.clone()).await["status"], 200);
    check(&endpoint, "bennu_messages_received_total", &labels, 1).await;
    check(
        &endpoint,
        "bennu_received_bytes_total",
        &labels,
        join.len() as u64,
    )
    .await;
    check(&endpoint, "bennu_queued_messages", &[SOCKET], 1).await;
    let polled = send(Request::get(&path), String::new()).await;
    assert_eq!(polled["messages"].as_array().unwrap().len(), 1);
    check(&endpoint, "bennu_messages_sent_total", &labels, 1).await;
    let entry = polled["messages"][0].to_string();
    check(
        &endpoint,
        "bennu_sent_bytes_total",
        &labels,
        entry.len() as u64,
    )
    .await;
    check(&endpoint, "bennu_messages_sent_total", &[WEBSOCKET], 0).await;
}

#[tokio::test]
async fn what_waits_to_be_written_is_shown() {
    let endpoint = endpoint(SocketOptions::new());
    let mut clients = [
        Client::connect(&endpoint).await,
        Client::connect(&endpoint).await,
    ];
    clients[0].join(ROOM).await;
    clients[1].join(ROOM).await;
    clients[1].join("room:b").await;
    // Nothing lets the connections write in between: one mount's outboxes are read in one go.
    endpoint.broadcast(ROOM, "x", &());
    endpoint.broadcast("room:b", "x", &());
    let metrics = endpoint.metrics().await;
    let value = |name| metrics.get(name, &[SOCKET]).unwrap();
    assert_eq!(value("bennu_queued_messages"), 3.0);
    assert_eq!(value("bennu_queued_messages_max"), 2.0);
    let frame = json!([null, null, ROOM, "x", {}]).to_string().len() + 2;
    assert_eq!(value("bennu_queued_bytes"), (3 * frame) as f64);
    for client in &mut clients {
        client.recv().await;
    }
    clients[1].recv().await;
    check(&endpoint, "bennu_queued_messages", &[], 0).await;
}

#[tokio::test]
async fn losses_are_counted() {
    let options = SocketOptions::new().queue_messages_max(2);
    let endpoint = endpoint(options.overflow(Overflow::DropOldest));
    let mut client = Client::connect(&endpoint).await;
    client.join(ROOM).await;
    // Eight times the limit may be queued before the client is known to read slowly.
    for _ in 0..19 {
        endpoint.broadcast(ROOM, "x", &());
    }
    check(&endpoint, "bennu_messages_dropped_total", &[SOCKET], 3).await;
    for _ in 0..16 {
        client.recv().await;
    }
    let mail = client.ask(json!(["1", "2", ROOM, "mail", 3])).await;
    assert_eq!(mail[4]["response"], 2);
    check(&endpoint, "bennu_mail_dropped_total", &[SOCKET], 1).await;
    client.send(json!(["1", null, ROOM, "nothing", {}])).await;
    client.ask(json!(["1", "3", ROOM, "ping", {}])).await;
    check(&endpoint, "bennu_events_undecodable_total", &[SOCKET], 1).await;

    let path = "/socket/websocket?vsn=1.0.0";
    let mut old = Client::connect_to(&endpoint, path, &[]).await;
    old.ask(json!({"topic": "room:old", "event": "phx_join", "payload": {}, "ref": "1"}))
        .await;
    endpoint.broadcast("room:old", "x", &Bytes::from("binary"));
    check(&endpoint, "bennu_broadcasts_skipped_total", &[SOCKET], 1).await;
}

#[tokio::test]
async fn broadcasts_and_their_deliveries_are_counted() {
    let endpoint = endpoint(SocketOptions::new());
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Client::connect(&endpoint).await;
        client.join(ROOM).await;
        clients.push(client);
    }
    endpoint.broadcast(ROOM, "x", &());
    endpoint.broadcast("room:nobody", "x", &());
    clients[0].send(json!(["1", null, ROOM, "shout", {}])).await;
    for client in &mut clients {
        client.recv().await;
        client.recv().await;
    }
    check(&endpoint, "bennu_broadcasts_total", &[], 2).await;
    check(&endpoint, "bennu_broadcast_deliveries_total", &[], 6).await;
    // The topic, and the id of all three.
    check(&endpoint, "bennu_topics", &[], 2).await;
    clients[0].ask(json!(["1", "2", ROOM, "track", {}])).await;
    check(&endpoint, "bennu_presences", &[], 1).await;
}
