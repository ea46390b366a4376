//! What a channel and an endpoint can do beside what every transport is asked for.

mod support;

use bennu::{Endpoint, SocketOptions};
use serde_json::{Value, json};
use support::{App, Client, User, endpoint};

#[tokio::test]
async fn a_channel_broadcasts_to_other_topics_and_disconnects_by_them() {
    let endpoint = endpoint(SocketOptions::new());
    let mut ada = Client::connect(&endpoint, 4096).await;
    let mut ben = Client::connect(&endpoint, 4096).await;
    ada.join("room:a").await;
    ben.join("room:b").await;
    ada.send(json!(["1", "2", "room:a", "tell", "room:b"]))
        .await;
    assert_eq!(ben.recv().await, json!([null, null, "room:b", "told", {}]));
    // The id of both, but only `disconnect` ends them.
    ada.send(json!(["1", "3", "room:a", "tell", "user:1"]))
        .await;
    ada.send(json!(["1", "4", "room:a", "ping", {}])).await;
    assert_eq!(ada.recv().await.get(1), Some(&json!("4")));
}

#[tokio::test]
async fn a_channel_ends_all_that_it_tracks_and_stays() {
    let endpoint = endpoint(SocketOptions::new());
    let mut ada = Client::connect(&endpoint, 4096).await;
    ada.join("room:a").await;
    ada.send(json!(["1", "2", "room:a", "track", {}])).await;
    ada.send(json!(["1", "3", "room:a", "untrack_all", {}]))
        .await;
    let mut left = Vec::new();
    while left.len() < 2 {
        let diff = ada.recv().await;
        let leaves = diff.pointer("/4/leaves").and_then(Value::as_object);
        left.extend(leaves.into_iter().flat_map(|it| it.keys().cloned()));
    }
    left.sort();
    assert_eq!(left, ["a", "b"]);
    assert_eq!(endpoint.presence().count("room:a"), 0);
}

#[tokio::test]
async fn a_local_broadcast_from_skips_its_subscription() {
    let endpoint = endpoint(SocketOptions::new());
    let (mut from, mut other) = (endpoint.subscribe("room:a"), endpoint.subscribe("room:a"));
    endpoint.local_broadcast_from(from.subscription(), "x", &());
    endpoint.local_broadcast("room:a", "y", &());
    assert_eq!(other.recv().await.event(), "x");
    assert_eq!(other.recv().await.event(), "y");
    assert_eq!(from.recv().await.event(), "y");
}

#[tokio::test]
async fn a_channel_is_told_why_its_connection_ends() {
    for (end, expected) in [
        ("close", "Closed"),
        ("loss", "Closed"),
        ("disconnect", "Disconnected"),
    ] {
        let (told, mut tellings) = tokio::sync::mpsc::unbounded_channel();
        let app = App {
            told: Some(told),
            ..App::default()
        };
        let endpoint = Endpoint::new(app).socket::<User>("/socket");
        let mut client = Client::connect(&endpoint, 4096).await;
        client.join("room:a").await;
        match end {
            "close" => client.0.close(None).await.expect("it is open"),
            "loss" => drop(client),
            _ => endpoint.broadcast("user:1", "disconnect", &()),
        }
        assert_eq!(tellings.recv().await.as_deref(), Some(expected), "{end}");
    }
}
