//! `Phoenix.ChannelTest`, "channel functions": what a channel sends, and to whom.

use bennu::testing::{
    assert_broadcast, assert_push, assert_reply, refute_broadcast, refute_push, refute_reply,
};
use serde_json::json;
use tokio::sync::oneshot;

use crate::room::{Info, Stage};

#[tokio::test(start_paused = true)]
async fn broadcasts_from_self() {
    let stage = Stage::new();
    let (room, other) = (stage.room().await, stage.room().await);
    room.push("broadcast_from", json!({"n": 1}));
    assert_push!(other, "broadcast", {"n": 1});
    refute_push!(room, "broadcast");
    room.push("broadcast", json!({"n": 2}));
    assert_push!(other, "broadcast", {"n": 2});
    assert_push!(room, "broadcast", {"n": 2});
}

#[tokio::test(start_paused = true)]
async fn broadcasts_from_other() {
    let stage = Stage::new();
    let room = stage.room().await;
    let mut listener = bennu::testing::listen(&stage.endpoint, "room:1");
    stage.endpoint.broadcast("room:1", "broadcast", &1);
    assert_push!(room, "broadcast", 1);
    assert_broadcast!(listener, "broadcast", 1);
    let from = listener.subscription();
    stage.endpoint.broadcast_from(from, "broadcast", &2);
    assert_push!(room, "broadcast", 2);
    assert_broadcast!(room, "broadcast", 2);
    refute_broadcast!(listener, "broadcast");
}

#[tokio::test(start_paused = true)]
async fn pushing_to_transport() {
    let stage = Stage::new();
    let (room, other) = (stage.room().await, stage.room().await);
    room.push("push", json!({"message": "hello"}));
    assert_push!(room, "pushed", {"message": "hello"});
    refute_push!(other, "pushed");
    refute_broadcast!(room, "pushed");
}

#[tokio::test(start_paused = true)]
async fn replying_to_transport() {
    let room = Stage::new().room().await;
    let later = room.push("later", ());
    refute_reply!(later);
    let now = room.push("now_later", ());
    assert_reply!(later, "ok", {"async": "reply"});
    refute_reply!(now);
}

#[tokio::test(start_paused = true)]
async fn replying_just_status_to_transport() {
    let room = Stage::new().room().await;
    assert_reply!(room.push("status", ()), "ok", {});
}

#[tokio::test(start_paused = true)]
async fn socket_ref_is_there_for_an_event_with_a_ref_and_nowhere_else() {
    let (room, handle) = Stage::new().joined().await;
    assert_reply!(room.push("reply_to", ()), "ref", true);
    let (answer, answered) = oneshot::channel();
    handle.send(Info::ReplyTo(answer)).unwrap();
    assert!(!answered.await.unwrap());
}
