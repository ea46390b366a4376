//! The chat of docs/tutorial.md is the one that is run here.
#![expect(clippy::unwrap_used, reason = "a test says so by panicking")]

use bennu::testing::{
    Client, ClientChannel, assert_push, assert_reply, connect, refute_push, refute_reply,
};
use serde_json::json;

#[expect(
    dead_code,
    clippy::print_stdout,
    unreachable_pub,
    reason = "it's a program; its main isn't run, so that no port is needed"
)]
#[path = "tutorial/chat.rs"]
mod chat;

const GUIDE: &str = include_str!("../../../docs/tutorial.md");

#[test]
fn the_guide_has_this_program() {
    let program = include_str!("tutorial/chat.rs").trim_end();
    assert!(GUIDE.contains(program), "docs/tutorial.md has another one");
}

async fn in_room(endpoint: &bennu::Endpoint<()>, name: &str) -> ClientChannel {
    let client: Client = connect(endpoint, "/socket", json!({"name": name}))
        .await
        .unwrap();
    client.subscribe_and_join("room:lobby", ()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_ada_says_is_heard_by_ben() {
    let endpoint = chat::endpoint();
    let ada = in_room(&endpoint, "ada").await;
    let ben = in_room(&endpoint, "ben").await;
    assert_push!(ada, "presence_diff", {"joins": {"ben": _}, "leaves": {}});
    assert_reply!(ada.push("say", json!({"text": "hello"})), "ok", 1);
    assert_push!(ben, "said", {"from": "ada", "text": "hello"});
    let nothing = json!({"text": ""});
    assert_reply!(ada.push("say", nothing), "error", {"reason": "say something"});
    refute_reply!(ada.push("typing", ()));
    assert_push!(ben, "typing", "ada");
    refute_push!(ada, "typing");
}

#[tokio::test(start_paused = true)]
async fn nobody_comes_without_a_name() {
    let endpoint = chat::endpoint();
    for params in [
        json!({}),
        json!({"name": " "}),
        json!({"name": "x".repeat(41)}),
    ] {
        let refused = connect(&endpoint, "/socket", &params).await.unwrap_err();
        assert_eq!(refused.status, 403, "{params}");
    }
}
