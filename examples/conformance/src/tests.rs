//! The contract, line by line.

use std::time::Duration;

use bennu::{
    Bytes, Endpoint,
    testing::{
        Client, ClientChannel, Close, Connect, Ended, assert_payload, assert_push, assert_reply,
        connect, refute_push, refute_reply,
    },
};
use clap::Parser;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::options::Options;

fn endpoint() -> Endpoint<()> {
    crate::endpoint(&Options::parse_from(["conformance"])).unwrap()
}

async fn user(endpoint: &Endpoint<()>, user_id: &str) -> Client {
    let client = connect(endpoint, "/socket", json!({"user_id": user_id})).await;
    client.unwrap()
}

async fn joined(endpoint: &Endpoint<()>, topic: &str) -> ClientChannel {
    let client = user(endpoint, "ada").await;
    client.join(topic, ()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn bad_tokens_are_refused() {
    let endpoint = endpoint();
    let refused = connect(&endpoint, "/socket", json!({"token": "bad"})).await;
    assert_eq!(refused.unwrap_err().status, 403);
    let socket = || Connect::new(&endpoint, "/socket");
    let refused = socket().auth_token("bad").open().await;
    assert_eq!(refused.unwrap_err().status, 403);
    assert!(socket().auth_token("good").v1().open().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn rooms_let_in_whom_they_should() {
    let client = user(&endpoint(), "ada").await;
    let join = async |topic, params: Value| client.join(topic, params).await;
    let room = join("room:1", json!({})).await.unwrap();
    assert_payload!(room.joined(), {});
    let refused = join("room:private", json!({})).await.unwrap_err();
    assert_payload!(refused.response, {"reason": "unauthorized"});
    let private = join("room:private", json!({"token": "secret"})).await;
    assert!(private.is_ok());
    let began = Instant::now();
    assert!(join("room:slow", json!({})).await.is_ok());
    assert_eq!(began.elapsed().as_millis(), 500);
    let crashed = join("room:joincrash", json!({})).await.unwrap_err();
    assert_payload!(crashed.response, {"reason": "join crashed"});
    let unmatched = join("attic", json!({})).await.unwrap_err();
    assert_payload!(unmatched.response, {"reason": "unmatched topic"});
}

#[tokio::test(start_paused = true)]
async fn rooms_answer() {
    let room = joined(&endpoint(), "room:1").await;
    let payload = json!({"n": [1, null, "x"]});
    assert_reply!(room.push("ping", &payload), "ok", payload);
    assert_reply!(room.push("fail", &payload), "error", payload);
    assert_reply!(room.push("get", ()), "ok", {});
    assert_reply!(room.push("set", &payload), "ok", {});
    assert_reply!(room.push("get", ()), "ok", payload);
    let bytes = Bytes::from_static(&[0, 255]);
    assert_reply!(room.push("bin", &bytes), "ok", bytes);
    assert_reply!(room.push("nonsense", ()), "error", {"reason": _});
    let slow = room.push("slow", json!({"ms": 300}));
    refute_reply!(slow);
    room.client().set_timeout(Duration::from_millis(250));
    assert_reply!(slow, "ok", {});
}

#[tokio::test(start_paused = true)]
async fn rooms_tell_others() {
    let endpoint = endpoint();
    let (ada, bob) = (
        joined(&endpoint, "room:1").await,
        joined(&endpoint, "room:1").await,
    );
    let shout = ada.push("shout", json!({"n": 1}));
    assert_push!(ada, "shout", {"n": 1});
    assert_push!(bob, "shout", {"n": 1});
    refute_reply!(shout);
    ada.push("whisper", json!({"n": 2}));
    assert_push!(bob, "whisper", {"n": 2});
    refute_push!(ada, "whisper");
    ada.push("push_me", json!({"n": 3}));
    assert_push!(ada, "pushed", {"n": 3});
    refute_push!(bob, "pushed");
    let bytes = Bytes::from_static(&[1, 2]);
    ada.push("bin_shout", &bytes);
    assert_push!(bob, "bin_shout", bytes);
}

#[tokio::test(start_paused = true)]
async fn rooms_end() {
    let endpoint = endpoint();
    let room = joined(&endpoint, "room:1").await;
    room.push("stop", ());
    assert_eq!(room.ended().await, Some(Ended::Closed));
    let room = joined(&endpoint, "room:1").await;
    room.push("crash", ());
    assert_eq!(room.ended().await, Some(Ended::Crashed));
}

#[tokio::test(start_paused = true)]
async fn lobbies_know_who_is_there() {
    let endpoint = endpoint();
    let ada = joined(&endpoint, "lobby:1").await;
    assert_push!(ada, "presence_state", {"ada": {"metas": [{"typing": false, "online_at": _, ..}]}});
    let bob = user(&endpoint, "bob")
        .await
        .join("lobby:1", ())
        .await
        .unwrap();
    assert_push!(bob, "presence_state", {"ada": _, "bob": _});
    assert_push!(ada, "presence_diff", {"joins": {"bob": _}, "leaves": {}});
    assert_reply!(bob.push("typing", json!({"typing": true})), "ok", {});
    assert_push!(ada, "presence_diff", {
        "joins": {"bob": {"metas": [{"typing": true, ..}]}},
        "leaves": {"bob": {"metas": [{"typing": false, ..}]}},
    });
    assert_reply!(bob.push("untrack", ()), "ok", {});
    assert_push!(ada, "presence_diff", {"joins": {}, "leaves": {"bob": _}});
    ada.client().disconnect().await;
    assert_push!(bob, "presence_diff", {"joins": {}, "leaves": {"ada": _}});
}

#[tokio::test(start_paused = true)]
async fn filtered_topics_tell_each_receiver_who_it_is() {
    let endpoint = endpoint();
    let ada = joined(&endpoint, "filtered:1").await;
    let bob = user(&endpoint, "bob")
        .await
        .join("filtered:1", ())
        .await
        .unwrap();
    ada.push("shout", json!({"n": 1}));
    assert_push!(ada, "shout", {"n": 1, "to": "ada"});
    assert_push!(bob, "shout", {"n": 1, "to": "bob"});
}

#[tokio::test(start_paused = true)]
async fn users_are_disconnected_by_their_id() {
    let endpoint = endpoint();
    let (ada, bob) = (user(&endpoint, "ada").await, user(&endpoint, "bob").await);
    endpoint.broadcast("user:ada", "disconnect", &());
    assert_eq!(ada.closed().await, Some(Close::new(1001, "disconnected")));
    assert_reply!(bob.heartbeat(), "ok");
}
