//! `Phoenix.ChannelTest`, "channel server through the test helpers": joins, events and broadcasts.

use bennu::testing::{
    Connect, Ended, assert_broadcast, assert_payload, assert_push, assert_reply, connect, listen,
    refute_broadcast, refute_push, refute_reply,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::oneshot;

use crate::room::{Info, Stage, User};

#[derive(Debug, Serialize, Deserialize)]
struct Person {
    name: String,
    age: u8,
}

fn jose() -> Person {
    Person {
        name: "josé".to_owned(),
        age: 30,
    }
}

#[tokio::test(start_paused = true)]
async fn socket_is_built_with_its_id_and_assigns() {
    use bennu::Socket;
    let stage = Stage::new();
    let socket = async |params| {
        let connect = Connect::new(&stage.endpoint, "/socket").params(params);
        connect.socket::<User>().await
    };
    let user = socket(json!({"user_id": 3})).await.unwrap();
    assert_eq!((user.user_id, user.id().as_deref()), (3, Some("user:3")));
    let refused = socket(json!({"user_id": 0})).await.unwrap_err();
    assert_eq!(refused.to_string(), r#"refused with {"reason":"nobody"}"#);
    let unread = socket(json!({})).await.unwrap_err();
    assert!(unread.to_string().contains("user_id"), "{unread}");
}

#[tokio::test(start_paused = true)]
async fn join_with_success() {
    let client = Stage::new().client().await;
    let room = client.join("room:1", json!({"any": ["term"]})).await;
    assert_payload!(room.unwrap().joined(), {"any": ["term"]});
}

#[tokio::test(start_paused = true)]
async fn join_from_another_task() {
    let client = Stage::new().client().await;
    let joining = tokio::spawn({
        let client = client.clone();
        async move { client.join("room:1", json!({})).await }
    });
    let room = joining.await.unwrap().unwrap();
    assert_reply!(room.push("status", ()), "ok");
}

#[tokio::test(start_paused = true)]
async fn join_with_error_reply() {
    let client = Stage::new().client().await;
    let refused = client.join("room:refused", jose()).await.unwrap_err();
    assert_eq!(refused.status, "error");
    let name = assert_payload!(refused.response, let Why { why: Person { name, .. } } => name);
    assert_eq!(name, "josé");
    let unmatched = client.join("attic", json!({})).await.unwrap_err();
    assert_payload!(unmatched.response, {"reason": "unmatched topic"});

    #[derive(Deserialize)]
    struct Why {
        why: Person,
    }
}

#[tokio::test(start_paused = true)]
async fn join_with_crash() {
    let client = Stage::new().client().await;
    let crashed = client.join("room:crash", json!({})).await.unwrap_err();
    assert_payload!(crashed.response, {"reason": "join crashed"});
}

#[tokio::test(start_paused = true)]
async fn assert_push_with_guards() {
    let room = Stage::new().room().await;
    for n in 0..5 {
        room.push("noreply", json!({"n": n}));
    }
    #[derive(Deserialize)]
    struct N {
        n: u8,
    }
    // Takes the first that fits, and leaves the others.
    let n = assert_push!(room, "noreply", let N { n } if n > 2 => n);
    assert_eq!(n, 3);
    assert_push!(room, "noreply", let N { n: 0 | 1 });
    refute_push!(room, "noreply", let N { n } if n > 4);
    assert_push!(room, "noreply", {"n": 4});
}

#[tokio::test(start_paused = true)]
async fn pushes_and_receives_pushed_messages() {
    let room = Stage::new().room().await;
    let pushed = room.push("noreply", json!({"req": "foo"}));
    assert_push!(room, "noreply", {"req": "foo"});
    refute_reply!(pushed);
}

#[tokio::test(start_paused = true)]
async fn pushes_and_receives_replies() {
    let room = Stage::new().room().await;
    let pushed = room.push("reply", json!({"req": "foo"}));
    refute_reply!(pushed, "error");
    assert_reply!(pushed, "ok", {"req": "foo"});
}

#[tokio::test(start_paused = true)]
async fn works_with_list_data_structures() {
    let room = Stage::new().room().await;
    assert_reply!(room.push("reply", json!([{"a": 1}, 2])), "ok", [{"a": _}, ..]);
}

#[tokio::test(start_paused = true)]
async fn assert_reply_with_guards() {
    let room = Stage::new().room().await;
    let age =
        assert_reply!(room.push("reply", jose()), "ok", let Person { age, .. } if age > 18 => age);
    assert_eq!(age, 30);
}

#[tokio::test(start_paused = true)]
async fn assert_broadcast_with_guards() {
    let room = Stage::new().room().await;
    room.push("broadcast", jose());
    let name = assert_broadcast!(room, "broadcast", let Person { name, age: 30 } if !name.is_empty() => name);
    assert_eq!(name, "josé");
    refute_broadcast!(room, "broadcast");
}

#[tokio::test(start_paused = true)]
async fn pushes_and_broadcasts_messages() {
    let room = Stage::new().room().await;
    refute_broadcast!(room, "broadcast");
    let pushed = room.push("broadcast", json!({"foo": "bar"}));
    assert_broadcast!(room, "broadcast", {"foo": "bar"});
    refute_reply!(pushed);
}

#[tokio::test(start_paused = true)]
async fn connects_and_joins_topics_directly() {
    let stage = Stage::new();
    let refused = connect(&stage.endpoint, "/socket", json!({"user_id": 0})).await;
    assert_eq!(refused.unwrap_err().status, 403);
    let nowhere = connect(&stage.endpoint, "/nowhere", json!({})).await;
    assert_eq!(nowhere.unwrap_err().status, 404);
    // Params travel as the text of a query string, and are numbers again on the other side.
    let client = connect(&stage.endpoint, "/socket", json!({"user_id": 5})).await;
    let client = client.unwrap();
    client.join("room:1", json!({})).await.unwrap();
    stage.endpoint.broadcast("user:5", "disconnect", &());
    assert!(client.closed().await.is_some());
}

#[tokio::test(start_paused = true)]
async fn converts_payload_on_join_to_string_keyed() {
    let client = Stage::new().client().await;
    let room = client.join("room:1", jose()).await.unwrap();
    assert_payload!(room.joined(), {"name": "josé", "age": 30});
}

#[tokio::test(start_paused = true)]
async fn push_broadcasts_by_default() {
    let stage = Stage::new();
    let room = stage.room().await;
    stage
        .endpoint
        .broadcast("room:1", "default", &json!({"foo": "bar"}));
    assert_push!(room, "default", {"foo": "bar"});
    stage
        .endpoint
        .broadcast("room:1", "intercepted", &json!({"foo": "bar"}));
    assert_push!(room, "intercepted", {"from": "room:1", "payload": {"foo": "bar"}});
}

#[tokio::test(start_paused = true)]
async fn push_broadcasts_by_default_outside_of_the_test_task() {
    let stage = Stage::new();
    let room = stage.room().await;
    let endpoint = stage.endpoint.clone();
    tokio::spawn(async move { endpoint.broadcast("room:1", "default", &1) });
    assert_push!(room, "default", 1);
}

#[tokio::test(start_paused = true)]
async fn handles_broadcasts_and_stops() {
    let mut stage = Stage::new();
    let room = stage.room().await;
    stage.endpoint.broadcast("room:1", "stop", &());
    assert_push!(room, "stop", {"from": "room:1", ..});
    assert_eq!(room.ended().await, Some(Ended::Closed));
    assert_eq!(stage.noted().await, "Stopped");
}

#[tokio::test(start_paused = true)]
async fn handles_messages_and_stops() {
    let mut stage = Stage::new();
    let (room, handle) = stage.joined().await;
    handle.send(Info::Stop).unwrap();
    assert_eq!(room.ended().await, Some(Ended::Closed));
    assert_eq!(stage.noted().await, "Stopped");
}

#[tokio::test(start_paused = true)]
async fn handles_messages_and_pushes() {
    let (room, handle) = Stage::new().joined().await;
    handle.send(Info::Push("info")).unwrap();
    assert_push!(room, "info", {});
}

#[tokio::test(start_paused = true)]
async fn handles_messages_and_broadcasts() {
    let (room, handle) = Stage::new().joined().await;
    handle.send(Info::Broadcast("info")).unwrap();
    assert_broadcast!(room, "info", {"n": 1});
    assert_push!(room, "info", {"n": 1});
}

#[tokio::test(start_paused = true)]
async fn handles_calls() {
    let (_room, handle) = Stage::new().joined().await;
    let (answer, answered) = oneshot::channel();
    handle.send(Info::Call(answer)).unwrap();
    assert_eq!(answered.await.unwrap(), "room:1");
}

#[tokio::test(start_paused = true)]
async fn external_subscriptions() {
    let stage = Stage::new();
    let room = stage.room().await;
    let elsewhere = listen(&stage.endpoint, "elsewhere");
    room.push("subscribe", json!({"topic": "elsewhere"}));
    assert_reply!(room.push("status", ()), "ok");
    stage
        .endpoint
        .broadcast("elsewhere", "event", &json!({"id": 1}));
    assert_push!(room, "event", {"from": "elsewhere", "payload": {"id": 1}});
    assert_broadcast!(elsewhere, "event", {"id": 1});
}

#[tokio::test(start_paused = true)]
async fn supports_static_assigns_in_user_socket_channel_definition() {
    let client = Stage::new().client().await;
    let (special, room) = (client.join("special", ()), client.join("room:1", ()));
    let (special, room) = (special.await.unwrap(), room.await.unwrap());
    assert_reply!(special.push("assigns", ()), "ok", "a static assign");
    assert_reply!(room.push("assigns", ()), "ok", null);
}
