//! Each count, moved.

use std::{sync::Arc, time::Duration};

use bennu::{AdapterHealth, Bytes, Overflow, SocketOptions};
use bennu_pubsub::{Link, NotConnected, Registration, Subject};
use http::{Request, header};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use tower::ServiceExt;

use crate::server::{App, Client, Raw, User, endpoint, refused};

type Endpoint = bennu::Endpoint<App>;

const ROOM: &str = "room:a";
const WEBSOCKET: (&str, &str) = ("transport", "websocket");
const SOCKET: (&str, &str) = ("mount", "/socket");

async fn check(endpoint: &Endpoint, name: &str, labels: &[(&str, &str)], expected: u64) {
    let metrics = endpoint.metrics().await;
    let value = metrics.get(name, labels);
    assert_eq!(
        value,
        Some(expected as f64),
        "{name} {labels:?} in\n{metrics}"
    );
}

#[tokio::test]
async fn connections_are_counted_while_they_are_open() {
    let endpoint = endpoint(SocketOptions::new());
    let opened = "bennu_connections_opened_total";
    check(&endpoint, opened, &[SOCKET], 0).await;
    let mut client = Client::connect(&endpoint).await;
    let _other = Client::connect(&endpoint).await;
    check(&endpoint, opened, &[SOCKET, WEBSOCKET], 2).await;
    check(&endpoint, "bennu_connections", &[SOCKET, WEBSOCKET], 2).await;
    check(&endpoint, "bennu_connections", &[("mount", "/raw")], 0).await;
    client.0.close(None).await.unwrap();
    drop(client);
    while endpoint.connections() > 1 {
        tokio::task::yield_now().await;
    }
    check(&endpoint, opened, &[SOCKET, WEBSOCKET], 2).await;
    check(&endpoint, "bennu_connections", &[SOCKET, WEBSOCKET], 1).await;
}

/// A connection that ends by what `end` does counts under `why`.
async fn check_close(
    why: &str,
    options: SocketOptions,
    end: impl AsyncFnOnce(&Endpoint, &mut Client),
) {
    let endpoint = endpoint(options);
    let path = match why {
        "application" | "internal error" => "/raw/websocket",
        _ => "/socket/websocket?vsn=2.0.0",
    };
    let mut client = Client::connect_to(&endpoint, path, &[]).await;
    end(&endpoint, &mut client).await;
    while why != "lost" && !client.recv().await.is_null() {}
    drop(client);
    while endpoint.connections() > 0 {
        // The clock is paused: it goes on when nothing else does.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let name = "bennu_connections_closed_total";
    check(&endpoint, name, &[("why", why)], 1).await;
    check(&endpoint, name, &[], 1).await;
}

#[tokio::test(start_paused = true)]
async fn closes_are_counted_by_their_reason() {
    let options = SocketOptions::new;
    check_close("client", options(), async |_, client| {
        client.0.close(None).await.unwrap();
    })
    .await;
    check_close("lost", options(), async |_, _| {}).await;
    check_close("idle", options(), async |_, _| {}).await;
    check_close("disconnected", options(), async |endpoint, _| {
        endpoint.broadcast("user:1", "disconnect", &());
    })
    .await;
    check_close(
        "slow consumer",
        options().queue_messages_max(1),
        async |endpoint, client| {
            client.join(ROOM).await;
            // Eight times the limit may be queued before the client is known to read slowly.
            for _ in 0..9 {
                endpoint.broadcast(ROOM, "x", &());
            }
        },
    )
    .await;
    check_close("draining", options(), async |endpoint, _| {
        let endpoint = endpoint.clone();
        tokio::spawn(async move { endpoint.drain().await });
    })
    .await;
    check_close(
        "too many messages queued",
        options().event_queue_messages_max(0),
        async |_, client| {
            client
                .send(json!(["1", "1", "room:slow", "phx_join", {}]))
                .await;
            client
                .send(json!(["1", "2", "room:slow", "phx_leave", {}]))
                .await;
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn closes_for_what_a_message_is_are_counted_too() {
    let options = SocketOptions::new;
    check_close("invalid data", options(), async |_, client| {
        client.send(json!("no message")).await;
    })
    .await;
    check_close(
        "too big",
        options().frame_bytes_max(100),
        async |_, client| {
            client.send(json!("x".repeat(200))).await;
        },
    )
    .await;
    check_close("protocol error", options(), async |_, client| {
        let binary = Message::binary(b"\x00\x09".to_vec());
        futures_util::SinkExt::send(&mut client.0, binary)
            .await
            .unwrap();
    })
    .await;
    check_close("application", options(), async |_, client| {
        let close = Message::text("close");
        futures_util::SinkExt::send(&mut client.0, close)
            .await
            .unwrap();
    })
    .await;
    check_close("internal error", options(), async |_, client| {
        let panic = Message::text("panic");
        futures_util::SinkExt::send(&mut client.0, panic)
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn refused_connections_are_counted_by_the_reason() {
    let endpoint = endpoint(SocketOptions::new().subprotocols(["sip"]));
    for (why, query) in [
        ("bad request", "?a=%ff"),
        ("vsn", "?vsn=9.0.0"),
        ("params", "?age=old"),
        ("refused", "?token=bad"),
        ("error", "?token=fail"),
        ("panicked", "?token=panic"),
    ] {
        refused(&endpoint, &format!("/socket/websocket{query}")).await;
        check(
            &endpoint,
            "bennu_connections_refused_total",
            &[("why", why)],
            1,
        )
        .await;
    }
    for (why, name, value) in [
        ("subprotocol", "sec-websocket-protocol", "mqtt"),
        ("origin", "origin", "file://"),
    ] {
        let request = Request::get("/socket/websocket").header(name, value);
        let (_, server) = tokio::io::duplex(16);
        let request = request.body(()).unwrap();
        endpoint.serve_upgraded(request, server).await.unwrap_err();
        check(
            &endpoint,
            "bennu_connections_refused_total",
            &[("why", why)],
            1,
        )
        .await;
    }
    endpoint.drain().await;
    refused(&endpoint, "/socket/websocket").await;
    check(
        &endpoint,
        "bennu_connections_refused_total",
        &[("why", "draining")],
        1,
    )
    .await;
    check(&endpoint, "bennu_connections_opened_total", &[], 0).await;
}

#[tokio::test]
async fn requests_that_are_no_handshake_are_counted() {
    let endpoint = endpoint(SocketOptions::new());
    for (count, method) in [(1, "GET"), (2, "POST")] {
        let request = Request::builder().method(method).uri("/socket/websocket");
        let request = request.body(axum::body::Body::empty()).unwrap();
        let response = endpoint.router().oneshot(request).await.unwrap();
        assert!(response.status().is_client_error());
        check(
            &endpoint,
            "bennu_connections_refused_total",
            &[("why", "bad request")],
            count,
        )
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn connections_beyond_a_limit_are_counted_by_it() {
    let options = SocketOptions::new;
    for (why, options, query) in [
        ("full", options().connections_max(0), ""),
        ("too long", options().query_bytes_max(3), "?a=bc"),
    ] {
        let endpoint = endpoint(options);
        refused(&endpoint, &format!("/socket/websocket{query}")).await;
        check(
            &endpoint,
            "bennu_connections_refused_total",
            &[("why", why)],
            1,
        )
        .await;
    }
}

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

#[derive(Debug)]
struct Broken;

impl bennu::Adapter for Broken {
    fn start(&self, _: Arc<dyn Link>) {}

    fn publish(&self, _: &Subject, _: Bytes) {}

    fn subscribe(&self, _: &Subject) -> Registration {
        Box::pin(async { Err(NotConnected) })
    }

    fn unsubscribe(&self, _: &Subject) {}

    fn health(&self) -> AdapterHealth {
        AdapterHealth {
            connected: false,
            error: Some("a wire: cut".into()),
            lost: 7,
            published: 3,
            received: 2,
            reconnects: 1,
            queued_bytes: 100,
        }
    }
}

#[tokio::test]
async fn an_adapter_says_how_it_is() {
    let endpoint = Endpoint::new(App::default()).adapter(Broken);
    check(&endpoint, "bennu_adapter_connected", &[], 0).await;
    check(&endpoint, "bennu_adapter_lost_total", &[], 7).await;
    check(&endpoint, "bennu_adapter_published_total", &[], 3).await;
    check(&endpoint, "bennu_adapter_received_total", &[], 2).await;
    check(&endpoint, "bennu_adapter_reconnects_total", &[], 1).await;
    check(&endpoint, "bennu_adapter_queued_bytes", &[], 100).await;
    endpoint.broadcast(ROOM, "x", &());
    let room = endpoint.subscribe(ROOM);
    check(&endpoint, "bennu_cluster_sent_total", &[], 1).await;
    check(&endpoint, "bennu_cluster_partitions", &[], 1).await;
    drop(room);
    for why in ["oversized", "malformed", "unknown", "unserved"] {
        let labels = &[("why", why)];
        check(&endpoint, "bennu_cluster_ignored_total", labels, 0).await;
    }
    let health = endpoint.health();
    assert!(health.is_ready());
    assert_eq!(
        serde_json::to_value(health).unwrap(),
        json!({"status": "degraded", "connections": 0, "topics": 0, "nodes": 1, "adapter_connected": false, "broadcasts_lost": 7})
    );
}

/// Each line of the text is a comment or a sample, each name has one type, and no sample comes twice.
#[tokio::test]
async fn the_text_is_what_prometheus_reads() {
    let endpoint = Endpoint::new(App::default())
        .socket::<User>("/a\"b")
        .socket_with::<User>("/same", SocketOptions::new())
        .socket_with::<User>("/same", SocketOptions::new().websocket_path("other"))
        .raw_socket::<Raw>("/raw");
    let text = endpoint.metrics().await.to_string();
    let mut typed = "";
    let mut seen = std::collections::HashSet::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(matches!(kind, "counter" | "gauge" | "histogram"), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(seen.insert(line.to_owned()), "{line}");
            typed = name;
            continue;
        }
        if let Some(rest) = line.strip_prefix("# HELP ") {
            assert!(rest.split_once(' ').unwrap().1.ends_with('.'), "{line}");
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(seen.insert(name.to_owned()), "{name} comes twice");
        assert!(name.starts_with(typed), "{name} under {typed}");
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
    assert!(
        text.contains(r#"bennu_connections{mount="/a\"b",transport="websocket"} 0"#),
        "{text}"
    );
    assert!(
        text.contains(r#"bennu_panics_total{mount="/same#2"} 0"#),
        "{text}"
    );
    assert!(seen.len() > 100, "{text}");
}

#[cfg(feature = "metrics")]
#[tokio::test]
async fn a_recorder_of_the_facade_is_told_all_of_it() {
    use metrics_util::debugging::{DebugValue, DebuggingRecorder};

    let endpoint = endpoint(SocketOptions::new());
    let mut client = Client::connect(&endpoint).await;
    client.join(ROOM).await;
    let metrics = endpoint.metrics().await;
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    ::metrics::with_local_recorder(&recorder, || metrics.record());
    let told = snapshotter.snapshot().into_vec();
    assert_eq!(told.len(), metrics.samples().count());
    let value = |name: &str| {
        let of_socket = told.iter().find(|(key, ..)| {
            let labels = || key.key().labels().map(|it| it.value());
            key.key().name() == name
                && labels().any(|it| it == "/socket")
                && labels().all(|it| it != "longpoll" && it != "error")
        });
        let (.., value) = of_socket.unwrap();
        match value {
            DebugValue::Counter(value) => *value as f64,
            DebugValue::Gauge(value) => **value,
            DebugValue::Histogram(_) => panic!("none is used"),
        }
    };
    assert_eq!(value("bennu_connections"), 1.0);
    assert_eq!(value("bennu_joins_total"), 1.0);
    assert_eq!(value("bennu_join_duration_seconds_count"), 1.0);
}
