//! What an assertion that fails says.

use bennu::testing::{
    assert_broadcast, assert_payload, assert_push, assert_reply, connect, listen, refute_broadcast,
    refute_push, refute_reply,
};
use serde::Deserialize;
use serde_json::json;

use crate::room::Stage;

/// The words of a failed assertion.
async fn report<T: Send + 'static>(assertion: impl Future<Output = T> + Send + 'static) -> String {
    let Err(failed) = tokio::spawn(assertion).await else {
        panic!("the assertion holds")
    };
    *failed.into_panic().downcast::<String>().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_push_that_does_not_come_is_reported_with_what_came() {
    let room = Stage::new().room().await;
    room.push("push", json!({"n": 2}));
    room.push("noreply", "x");
    let failed = report(async move { assert_push!(room, "pushed", {"n": 1}) }).await;
    let expected = r#"no push "pushed" that is {"n": 1} came on "room:1" within 100ms
what waits instead, oldest first:
  push "pushed" {"n":2} on "room:1"
    the payload["n"] is 2, not 1
  push "noreply" "x" on "room:1""#;
    assert_eq!(failed, expected);
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_does_not_come_is_reported_with_the_one_that_came() {
    #[derive(Debug, Deserialize)]
    struct N {
        n: u8,
    }
    let room = Stage::new().room().await;
    let pushed = room.push("reply", json!({"n": "x"}));
    let of_type = pushed.clone();
    let failed =
        report(async move { assert_reply!(of_type, "ok", let N { n } if n > 1 => n) }).await;
    let expected = r#"no reply "ok" that is `N { n } if n > 1` came to "reply" on "room:1" (ref 2) within 100ms
what waits instead, oldest first:
  reply "ok" {"n":"x"} to the event with ref 2 on "room:1"
    invalid type: string "x", expected u8"#;
    assert!(failed.starts_with(expected), "{failed}");
    let failed = report(async move { assert_reply!(pushed, "error") }).await;
    let expected = r#"this is the reply, but its status isn't "error""#;
    assert!(failed.ends_with(expected), "{failed}");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_wanted_is_reported() {
    let stage = Stage::new();
    let room = stage.room().await;
    let pushed = room.push("reply", 1);
    let failed = report(async move { refute_reply!(pushed) }).await;
    let expected = "a reply came to \"reply\" on \"room:1\", which nobody wanted:\n  \
                    reply \"ok\" 1 to the event with ref 2 on \"room:1\"";
    assert_eq!(failed, expected);
    let heard = listen(&stage.endpoint, "room:1");
    room.push("broadcast", 1);
    let failed = report(async move { refute_broadcast!(heard, "broadcast", 1) }).await;
    let expected = "\"broadcast\" that is 1 was broadcast on \"room:1\", which nobody wanted:\n  1";
    assert_eq!(failed, expected);
    let failed = report(async move { refute_push!(room, "broadcast") }).await;
    let expected = "a push \"broadcast\" came on \"room:1\", which nobody wanted:\n  \
                    push \"broadcast\" 1 on \"room:1\"";
    assert_eq!(failed, expected);
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_that_does_not_come_is_reported_with_those_that_came() {
    let stage = Stage::new();
    let heard = listen(&stage.endpoint, "room:1");
    stage.endpoint.broadcast("room:1", "a", &1);
    let failed = report(async move { assert_broadcast!(heard, "a", 2) }).await;
    let expected = "no \"a\" that is 2 was broadcast on \"room:1\" within 100ms\n\
                    what was broadcast instead, oldest first:\n  \"a\" 1\n    the payload is 1, not 2";
    assert_eq!(failed, expected);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_connection_is_reported() {
    let stage = Stage::new();
    let room = stage.room().await;
    stage.endpoint.broadcast("user:7", "disconnect", &());
    let failed = report(async move { assert_push!(room, "x") }).await;
    let expected = "no push \"x\" came on \"room:1\" within 100ms\nnothing else waits\n\
                    the connection has ended: closed with code 1001 \"disconnected\"";
    assert_eq!(failed, expected);
}

#[tokio::test(start_paused = true)]
async fn mistakes_in_a_test_are_told() {
    let stage = Stage::new();
    let room = stage.client().await.join("room:1", ()).await.unwrap();
    let failed = report(async move { assert_broadcast!(room, "x") }).await;
    let expected = "nobody listened to \"room:1\": join it with `subscribe_and_join`";
    assert_eq!(failed, expected);

    let room = stage.room().await;
    let bad = std::collections::HashMap::from([((1, 2), 3)]);
    let failed = report(async move { room.push("push", bad) }).await;
    let expected = "failed to encode \"push\" on \"room:1\": ";
    assert!(failed.starts_with(expected), "{failed}");

    let endpoint = stage.endpoint.clone();
    let failed = report(async move { connect(&endpoint, "/socket", 7).await }).await;
    assert_eq!(failed, "the params of a connection are an object");

    let room = stage.room().await;
    let failed = report(async move { assert_payload!(room.joined(), [1, ..]) }).await;
    let expected = "expected a payload that is [1, ..]\nthe payload is {}, not [1, ..]\nfound {}";
    assert_eq!(failed, expected);
}
