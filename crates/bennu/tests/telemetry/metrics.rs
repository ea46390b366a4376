//! Each count, moved; and how all of them are told.

mod connections;
mod messages;

use std::sync::Arc;

use bennu::{AdapterHealth, Bytes, SocketOptions};
use bennu_pubsub::{Link, NotConnected, Registration, Subject};
use serde_json::json;

use crate::server::{App, Raw, User};

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

    use crate::server::{Client, endpoint};

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
