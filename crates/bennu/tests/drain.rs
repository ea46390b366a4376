//! Closing everybody before the server goes down.
#![expect(clippy::unwrap_used, reason = "a test says so by panicking")]

mod support;

use std::time::Duration;

use bennu::{Drainer, SocketOptions};
use http::{Request, StatusCode};
use serde_json::Value;
use support::{Client, endpoint};
use tokio::time::Instant;

fn is_drained(message: &Value) -> bool {
    message[1] == 1012
        && message[2]
            .as_str()
            .unwrap()
            .starts_with("draining retry_ms=")
}

#[tokio::test(start_paused = true)]
async fn everybody_is_closed_spread_over_the_interval_and_nobody_let_in() {
    let drainer = Drainer {
        batch_size: 100,
        batch_interval: Duration::from_secs(1),
        ..Drainer::default()
    };
    let endpoint = endpoint(SocketOptions::new().drainer(drainer));
    let mut clients = Vec::new();
    for n in 0..50 {
        let mut client = Client::connect(&endpoint, 4096).await;
        // Connections without a channel are drained too.
        if n % 2 == 0 {
            client.join("room:a").await;
        }
        clients.push(client);
    }
    let began = Instant::now();
    let draining = tokio::spawn({
        let endpoint = endpoint.clone();
        async move { endpoint.drain().await }
    });
    let mut closed_at = Vec::new();
    for mut client in clients {
        assert!(is_drained(&client.recv().await));
        closed_at.push(began.elapsed());
        let (_, server) = tokio::io::duplex(16);
        let request = Request::get("/socket/websocket?vsn=2.0.0")
            .body(())
            .unwrap();
        let refused = endpoint.serve_upgraded(request, server).await;
        assert_eq!(refused, Err(StatusCode::SERVICE_UNAVAILABLE));
        assert_eq!(client.recv().await, Value::Null);
    }
    draining.await.unwrap();
    assert_eq!(endpoint.connections(), 0);
    let last = closed_at.last().unwrap();
    assert!(
        *last > Duration::from_millis(400) && *last < Duration::from_millis(600),
        "{closed_at:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn draining_ends_when_its_time_is_over() {
    let drainer = Drainer {
        shutdown: Duration::from_secs(2),
        ..Drainer::default()
    };
    let endpoint = endpoint(SocketOptions::new().drainer(drainer));
    let mut client = Client::connect(&endpoint, 4096).await;
    client.join("room:stubborn").await;
    let began = Instant::now();
    endpoint.drain().await;
    assert!(
        began.elapsed() < Duration::from_millis(2100),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(endpoint.connections(), 1);
    assert!(is_drained(&client.recv().await));
}

#[tokio::test(start_paused = true)]
async fn a_mount_without_a_drainer_is_left_alone() {
    let endpoint = endpoint(SocketOptions::new().drainer(None));
    let mut client = Client::connect(&endpoint, 4096).await;
    endpoint.drain().await;
    client.join("room:a").await;
}
