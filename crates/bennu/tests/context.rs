//! What a channel and an endpoint can do beside what every transport is asked for.

mod support;

use bennu::{Endpoint, SocketOptions};
use serde_json::{Value, json};
use support::{App, Client, User, endpoint, reply};

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
async fn a_task_of_a_channel_broadcasts_when_its_client_is_gone() {
    let endpoint = endpoint(SocketOptions::new());
    let mut ada = Client::connect(&endpoint, 4096).await;
    ada.join("room:a").await;
    ada.send(json!(["1", "2", "room:a", "tell_later", {}]))
        .await;
    assert_eq!(ada.recv().await, reply("2", "room:a", "ok", json!({})));
    drop(ada);
    while endpoint.connections() > 0 {
        tokio::task::yield_now().await;
    }
    let mut heard = endpoint.subscribe("room:a");
    endpoint.app().go.notify_one();
    let told = heard.recv().await;
    assert_eq!(told.event(), "told");
    assert_eq!(told.decode::<String>().unwrap(), "later");
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

#[tokio::test]
async fn what_join_decides_about_the_channels_end_holds_at_once() {
    let endpoint = endpoint(SocketOptions::new());
    let mut client = Client::connect(&endpoint, 4096).await;
    client.join("room:stop").await;
    assert_eq!(
        client.recv().await,
        json!(["1", "1", "room:stop", "phx_close", {}])
    );
    for topic in ["room:fail", "room:unencodable"] {
        client.send(json!(["1", "1", topic, "phx_join", {}])).await;
        let crashed = json!({"reason": "join crashed"});
        assert_eq!(client.recv().await, reply("1", topic, "error", crashed));
    }
}

#[tokio::test]
async fn what_a_channel_sends_itself_in_join_comes_right_after_the_reply() {
    let endpoint = endpoint(SocketOptions::new());
    let mut client = Client::connect(&endpoint, 4096).await;
    client.join("room:noted").await;
    assert_eq!(
        client.recv().await,
        json!(["1", null, "room:noted", "note", "noted in join"])
    );
}

#[tokio::test]
async fn values_that_panic_when_dropped_cost_their_channel_alone() {
    let endpoint = endpoint(SocketOptions::new());
    let mut client = Client::connect(&endpoint, 4096).await;
    client.join("room:a").await;
    client.join("room:b").await;
    client
        .send(json!(["1", "2", "room:a", "panic_with_bombs", {}]))
        .await;
    assert_eq!(client.recv().await.get(3), Some(&json!("phx_error")));
    client.join("room:c").await;
    client.send(json!(["1", "2", "room:c", "bombs", {}])).await;
    client.send(json!(["1", "3", "room:b", "ping", 1])).await;
    assert_eq!(client.recv().await, reply("3", "room:b", "ok", json!(1)));
    drop(client);
    while endpoint.connections() > 0 {
        endpoint.app().go.notify_one();
        tokio::task::yield_now().await;
    }
    assert_eq!(endpoint.stats().topics, 0);
}
