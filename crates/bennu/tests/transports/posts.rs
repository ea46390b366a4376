//! What only long-polling does: posted batches, their limits and their statuses.

use axum::body::Body;
use base64::{Engine, engine::general_purpose::STANDARD};
use bennu::LongPoll as Options;
use bytes::Bytes;
use hyper::StatusCode;
use serde_json::{Value, json};

use crate::{
    longpolling::{JOIN, http_at, joined, session, token, with_window},
    server::Server,
};

#[tokio::test]
async fn a_batch_is_handled_in_order() {
    let server = Server::start().await;
    let session = joined(&server).await;
    let binary = b"\x00\x01\x01\x06\x04\x31\x36room:aecho\xff";
    let batch = [
        r#"["1","2","room:a","count",{}]"#,
        r#"["stale","3","room:a","count",{}]"#,
        r#"["1","4","room:a","count",{}]"#,
        &STANDARD.encode(binary),
        r#"["1","5","room:a","count",{}]"#,
        "",
    ]
    .join("\n");
    assert_eq!(session.post_batch(batch).await.body, json!({"status": 200}));
    // The reply with bytes isn't there: this client can't take it.
    let answer = session.get().await;
    let reply = |n: u32, count: u32| {
        format!(r#"["1","{n}","room:a","phx_reply",{{"status":"ok","response":{count}}}]"#)
    };
    assert_eq!(answer.messages(), [reply(2, 1), reply(4, 2), reply(5, 3)]);
    assert_eq!(server.endpoint.stats().broadcasts_skipped, 1);
}

#[tokio::test]
async fn the_media_type_of_a_batch_may_have_parameters() {
    let server = Server::start().await;
    let session = joined(&server).await;
    let batch = [r#"["1","2","room:a","count",{}]"#; 2].join("\r\n");
    let answer = session
        .header("content-type", "application/x-ndjson; charset=utf-8")
        .post(batch.clone())
        .await;
    assert_eq!(answer.status(), 200);
    assert_eq!(session.get().await.messages().len(), 2);
    // Of any other type it is one message, and none that makes sense.
    for content_type in ["application/json", ""] {
        let answer = session
            .header("content-type", content_type)
            .post(batch.clone())
            .await;
        assert_eq!(answer.status(), 400, "{content_type}");
    }
}

#[tokio::test]
async fn of_a_batch_with_too_many_entries_none_is_handled() {
    let server = Server::start().await;
    let session = joined(&server).await;
    let batch = |entries| {
        [r#"["1","2","room:a","count",{}]"#]
            .repeat(entries)
            .join("\n")
    };
    let answer = session.post_batch(batch(101)).await;
    assert_eq!((answer.http_status, answer.status()), (StatusCode::OK, 413));
    assert_eq!(session.post_batch(batch(100)).await.status(), 200);
    let answer = session.get().await;
    assert_eq!(answer.messages().len(), 100);
    assert!(answer.messages()[0].contains(r#""response":1"#));
}

#[tokio::test]
async fn a_bad_entry_ends_its_batch_with_400_and_the_session_lives() {
    let server = Server::start().await;
    let session = joined(&server).await;
    for bad in [
        "!",
        "AAEC",
        "[]",
        "junk",
        "[\"1\",\"2\",\"room:a\",\"count\"]",
    ] {
        let entry = r#"["1","2","room:a","count",{}]"#;
        let answer = session.post_batch(format!("{entry}\n{bad}\n{entry}")).await;
        assert_eq!(answer.http_status, StatusCode::OK, "{bad}");
        assert_eq!(answer.status(), 400, "{bad}");
        assert!(
            answer.body.get("reason").is_some_and(Value::is_string),
            "{bad}"
        );
        assert_eq!(session.get().await.messages().len(), 1, "{bad}");
    }
    assert_eq!(
        session.post(Bytes::from_static(b"\xff")).await.status(),
        400
    );
    assert_eq!(session.post_batch("").await.status(), 200);
}

#[tokio::test]
async fn a_body_that_is_too_long_is_a_bad_request_and_the_session_lives() {
    let longpoll = Options {
        body_bytes_max: 10_000,
        ..Options::default()
    };
    let server = Server::start_with(|it| it.longpoll(longpoll.clone())).await;
    let session = session(&server).await;
    let long = "a".repeat(10_001);
    assert_eq!(
        session.post(long.clone()).await.http_status,
        StatusCode::BAD_REQUEST
    );
    // Without a length that is told beforehand.
    let chunks = futures_util::stream::iter([Ok::<_, std::io::Error>(long)]);
    let answer = session.post(Body::from_stream(chunks)).await;
    assert_eq!(answer.http_status, StatusCode::BAD_REQUEST);
    assert_eq!(session.post(JOIN).await.status(), 200);
}

#[tokio::test]
async fn a_message_that_a_raw_socket_has_no_time_for_is_told_408() {
    let server = with_window(200).await;
    let begin = http_at(&server, "/raw");
    let session = begin.token(token(&begin.get().await));
    let batch = "d2FpdA==\n[1]\n[2]";
    assert_eq!(session.post("wait").await.status(), 408);
    assert_eq!(session.post_batch(batch).await.status(), 408);
    server.act("open raw").await;
    assert_eq!(session.get().await.messages(), ["waited"]);
    // What was posted meanwhile isn't handled once nobody waits for it any more.
    assert_eq!(session.post("[3]").await.status(), 200);
    assert_eq!(session.get().await.messages(), ["[3]"]);
}
