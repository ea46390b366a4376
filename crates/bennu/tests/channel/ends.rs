//! `Phoenix.ChannelTest`, "channel server through the test helpers": how channels and connections end.

use std::time::Duration;

use bennu::testing::{Close, Ended, assert_push, assert_reply, refute_push, refute_reply};
use serde_json::json;
use tokio::time::Instant;

use crate::room::Stage;

#[tokio::test(start_paused = true)]
async fn a_crashed_channel_ends_without_terminate_and_alone() {
    let mut stage = Stage::new();
    let room = stage.room().await;
    let client = room.client();
    let other = client.join("room:2", ()).await.unwrap();
    let pushed = room.push("crash", ());
    assert_eq!(room.ended().await, Some(Ended::Crashed));
    refute_reply!(pushed);
    assert_reply!(other.push("status", ()), "ok");
    assert_eq!(other.ended().await, None);
    assert!(stage.notes.try_recv().is_err());
    // A client joins again.
    assert!(client.join("room:1", ()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn pushes_on_stop() {
    let mut stage = Stage::new();
    let room = stage.room().await;
    let pushed = room.push("stop_with_push", ());
    assert_push!(room, "farewell");
    assert_eq!(room.ended().await, Some(Ended::Closed));
    assert_eq!(stage.noted().await, "Stopped");
    refute_reply!(pushed);
    // Pushing afterwards harms nobody.
    assert_reply!(room.push("status", ()), "error", {"reason": "unmatched topic"});

    let room = stage.room().await;
    room.push("stop_without", ());
    assert_eq!(room.ended().await, Some(Ended::Closed));
}

#[tokio::test(start_paused = true)]
async fn pushes_and_receives_replies_on_stop() {
    let mut stage = Stage::new();
    let room = stage.room().await;
    assert_reply!(room.push("stop_with_reply", ()), "ok", {"req": "foo"});
    assert_eq!(room.ended().await, Some(Ended::Closed));
    assert_eq!(stage.noted().await, "Stopped");
}

#[tokio::test(start_paused = true)]
async fn leaves_the_channel() {
    let mut stage = Stage::new();
    let room = stage.room().await;
    assert_reply!(room.leave(), "ok", {});
    assert_eq!(room.ended().await, Some(Ended::Closed));
    assert_eq!(stage.noted().await, "Left");
    stage.endpoint.broadcast("room:1", "late", &());
    refute_push!(room, "late");
    // Leaving again harms nobody.
    assert_reply!(room.leave(), "ok");
    assert_eq!(room.ended().await, None);
}

#[tokio::test(start_paused = true)]
async fn closes_the_channel() {
    let mut stage = Stage::new();
    let room = stage.room().await;
    room.client().close().await;
    // `terminate` has run by now.
    assert_eq!(stage.notes.try_recv().as_deref(), Ok("Closed"));
    assert_eq!(room.client().closed().await, Some(Close::new(1000, "")));
    assert_eq!(stage.endpoint.connections(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_ends_the_channel_too() {
    let mut stage = Stage::new();
    let room = stage.room().await;
    room.client().disconnect().await;
    assert_eq!(stage.notes.try_recv().as_deref(), Ok("Closed"));
    assert_eq!(room.client().closed().await.unwrap().code, None);
    assert_eq!(stage.endpoint.connections(), 0);
    // Nothing comes any more, and nobody waits for it.
    let began = Instant::now();
    refute_reply!(room.push("status", ()));
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn kills_the_channel_when_we_reach_timeout_on_close() {
    let mut stage = Stage::new();
    let client = stage.client().await;
    client.join("room:stubborn", ()).await.unwrap();
    let began = Instant::now();
    client.close().await;
    assert_eq!(began.elapsed().as_secs(), 5);
    assert!(stage.notes.try_recv().is_err());
    assert_eq!(stage.endpoint.connections(), 0);
}

#[tokio::test(start_paused = true)]
async fn subscribes_to_socket_id_and_receives_disconnects() {
    let mut stage = Stage::new();
    let room = stage.room().await;
    stage.endpoint.broadcast("user:7", "disconnect", &json!({}));
    let close = Close::new(1001, "disconnected");
    assert_eq!(room.client().closed().await, Some(close));
    assert_eq!(stage.noted().await, "Disconnected");
}
