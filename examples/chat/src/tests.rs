//! The chat, as its page uses it.

use std::time::Duration;

use bennu::{
    Endpoint, LocalBus,
    testing::{
        Client, ClientChannel, assert_broadcast, assert_payload, assert_push, assert_reply,
        connect, refute_push, refute_reply,
    },
};
use serde_json::json;

use crate::rooms::Rooms;

async fn person(endpoint: &Endpoint<Rooms>, name: &str) -> Client {
    let client = connect(endpoint, "/socket", json!({"name": name})).await;
    client.unwrap()
}

async fn in_room(endpoint: &Endpoint<Rooms>, name: &str) -> ClientChannel {
    let client = person(endpoint, name).await;
    client.subscribe_and_join("room:bar", ()).await.unwrap()
}

async fn in_lobby(endpoint: &Endpoint<Rooms>, name: &str) -> ClientChannel {
    let client = person(endpoint, name).await;
    // Nodes have to find each other first.
    client.set_timeout(Duration::from_secs(5));
    client.subscribe_and_join("room:lobby", ()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_person_has_a_name() {
    let endpoint = crate::Chat::new("").endpoint;
    for params in [
        json!({}),
        json!({"name": " "}),
        json!({"name": "A\u{202e}da"}),
        json!({"name": "\u{202e}".repeat(20)}),
        json!({"name": "\0\u{1b}[2J"}),
        json!({"name": "\0\u{1b}\u{7f}"}),
        json!({"name": "\u{2800}"}),
        json!({"name": "Ada\nLovelace"}),
        json!({"name": "Ada  Lovelace"}),
        json!({"name": "x".repeat(21)}),
        json!({"name": ["x"]}),
    ] {
        let refused = connect(&endpoint, "/socket", &params).await.unwrap_err();
        assert_eq!(refused.status, 403, "{params}");
    }
    let client = person(&endpoint, "ä".repeat(20).as_str()).await;
    for name in [String::new(), " ".to_owned(), "x".repeat(65)] {
        let refused = client.join(&format!("room:{name}"), ()).await.unwrap_err();
        assert_payload!(refused.response, {"reason": "a room's name has 1 to 64 bytes"});
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_in_twenty_rooms_at_most() {
    let endpoint = crate::Chat::new("").endpoint;
    let client = person(&endpoint, "ada").await;
    for n in 0..20 {
        client.join(&format!("room:{n}"), ()).await.unwrap();
    }
    let refused = client.join("room:lobby", ()).await.unwrap_err();
    assert_payload!(refused.response, {"reason": "too many channels joined"});
    let bob = person(&endpoint, "bob").await;
    bob.join("room:lobby", ()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_comes_and_goes_is_seen_by_the_others() {
    let endpoint = crate::Chat::new("").endpoint;
    let ada = in_room(&endpoint, "ada").await;
    assert_payload!(ada.joined(), {"history": []});
    assert_push!(ada, "presence_state", {"ada": {..}});
    let bob = in_room(&endpoint, "bob").await;
    assert_push!(bob, "presence_state", {"ada": {..}, "bob": {..}});
    assert_push!(ada, "presence_diff", {"joins": {"bob": {..}}, "leaves": {}});
    bob.client().disconnect().await;
    assert_push!(ada, "presence_diff", {"joins": {}, "leaves": {"bob": {..}}});
}

#[tokio::test(start_paused = true)]
async fn a_room_is_one_on_all_nodes() {
    let bus = LocalBus::new();
    let node = async |name: &str| {
        let chat = crate::Chat::with("", |it| it.adapter(bus.adapter()).node_name(name));
        _ = chat.router();
        assert!(chat.endpoint.pubsub().cluster().unwrap().ready().await);
        chat.endpoint
    };
    let (web_1, web_2, web_3) = (
        node("web-1").await,
        node("web-2").await,
        node("web-3").await,
    );
    let (ada, bob) = (in_lobby(&web_1, "ada").await, in_lobby(&web_2, "bob").await);
    assert_push!(ada, "presence_diff", {"joins": {"bob": {..}}, "leaves": {}});
    assert_reply!(ada.push("new_msg", json!({"id": "1", "body": "hi"})), "ok", {"id": "1"});
    assert_push!(bob, "new_msg", {"id": "1", "from": "ada", "body": "hi", "at": _});
    // Who comes to another node reads it too, and may say it again there without doubling it.
    for endpoint in [&web_2, &web_3] {
        let eve = in_lobby(endpoint, "eve").await;
        assert_payload!(eve.joined(), {"history": [{"id": "1", "from": "ada", "body": "hi", ..}]});
    }
    let ada = in_lobby(&web_3, "ada").await;
    assert_reply!(ada.push("new_msg", json!({"id": "1", "body": "hi"})), "ok", {"id": "1"});
    refute_push!(bob, "new_msg");
}

#[tokio::test(start_paused = true)]
async fn what_is_said_is_told_to_all_and_remembered_once() {
    let endpoint = crate::Chat::new("").endpoint;
    let (ada, bob) = (
        in_room(&endpoint, "ada").await,
        in_room(&endpoint, "bob").await,
    );
    // The reply is lost, so the page sends it again.
    ada.client().drop_incoming(2);
    let message = json!({"id": "1", "body": " hi "});
    refute_reply!(ada.push("new_msg", &message));
    assert_reply!(ada.push("new_msg", &message), "ok", {"id": "1"});
    assert_push!(bob, "new_msg", {"id": "1", "from": "ada", "body": "hi", "at": _});
    refute_push!(bob, "new_msg");
    let eve = in_room(&endpoint, "eve").await;
    assert_payload!(eve.joined(), {"history": [{"id": "1", "body": "hi", ..}]});
}

#[tokio::test(start_paused = true)]
async fn a_message_has_limits() {
    let room = in_room(&crate::Chat::new("").endpoint, "ada").await;
    let refused = async |message, reason: &str| {
        assert_reply!(room.push("new_msg", message), "error", {"reason": reason});
    };
    let long = "x".repeat(2001);
    refused(
        json!({"id": "1", "body": " "}),
        "an empty message says nothing",
    )
    .await;
    refused(
        json!({"id": "1", "body": long}),
        "a message has at most 2000 characters",
    )
    .await;
    refused(
        json!({"id": "", "body": "hi"}),
        "a message's id has 1 to 64 bytes",
    )
    .await;
    refused(json!({"id": "1"}), "missing field `body`").await;
}

#[tokio::test(start_paused = true)]
async fn typing_is_told_to_the_others() {
    let endpoint = crate::Chat::new("").endpoint;
    let (ada, bob) = (
        in_room(&endpoint, "ada").await,
        in_room(&endpoint, "bob").await,
    );
    refute_reply!(ada.push("typing", ()));
    assert_broadcast!(ada, "typing", {"from": "ada"});
    assert_push!(bob, "typing", {"from": "ada"});
    refute_push!(ada, "typing");
}
