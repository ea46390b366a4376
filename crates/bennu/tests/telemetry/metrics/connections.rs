//! Connections: opened, closed and refused.

use std::time::Duration;

use bennu::SocketOptions;
use http::Request;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use tower::ServiceExt;

use super::{Endpoint, ROOM, SOCKET, WEBSOCKET, check};
use crate::server::{Client, endpoint, refused};

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
