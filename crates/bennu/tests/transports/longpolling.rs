//! What only long-polling does: sessions, their tokens, and the headers of answers.

use std::time::Duration;

use axum::body::Body;
use bennu::LongPoll as Options;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    client::Address,
    longpoll::{Answer, Http},
    server::Server,
};

pub(crate) const JOIN: &str = r#"["1","1","room:a","phx_join",{}]"#;
pub(crate) const JOINED: &str = r#"["1","1","room:a","phx_reply",{"status":"ok","response":{}}]"#;

pub(crate) fn http(server: &Server) -> Http {
    http_at(server, "/socket?vsn=2.0.0")
}

pub(crate) fn http_at(server: &Server, address: &str) -> Http {
    Http::new(server.addr, &Address::new(address))
}

pub(crate) fn token(answer: &Answer) -> &str {
    answer.body.get("token").and_then(Value::as_str).unwrap()
}

/// A session, as what is asked with its token.
pub(crate) async fn session(server: &Server) -> Http {
    let answer = http(server).get().await;
    http(server).token(token(&answer))
}

pub(crate) async fn joined(server: &Server) -> Http {
    let session = session(server).await;
    assert_eq!(session.post(JOIN).await.status(), 200);
    assert_eq!(session.get().await.messages(), [JOINED]);
    session
}

/// A server whose windows are that long.
pub(crate) async fn with_window(ms: u64) -> Server {
    let window = Duration::from_millis(ms);
    let longpoll = Options {
        window,
        ..Options::default()
    };
    Server::start_with(|it| it.longpoll(longpoll.clone())).await
}

#[tokio::test]
async fn a_session_begins_with_status_410_and_a_token_that_stays() {
    let server = Server::start().await;
    let answer = http(&server).get().await;
    let token = token(&answer).to_owned();
    assert_eq!(
        answer.body,
        json!({"status": 410, "token": token, "messages": []})
    );
    let session = http(&server).token(&token);
    assert_eq!(session.post(JOIN).await.body, json!({"status": 200}));
    let answer = session.get().await;
    assert_eq!(
        answer.body,
        json!({"status": 200, "token": token, "messages": [JOINED]})
    );
}

#[tokio::test]
async fn every_answer_allows_any_origin_and_is_not_to_be_cached() {
    let server = Server::start().await;
    let session = joined(&server).await;
    server.act("broadcast room:a news {}").await;
    for (answer, has_body) in [
        (http(&server).get().await, true),
        (session.get().await, true),
        (session.post(JOIN).await, true),
        (http(&server).post(JOIN).await, true),
        (http_at(&server, "/socket?vsn=3.0.0").get().await, true),
        (session.request(Method::OPTIONS, Body::empty()).await, false),
        (session.request(Method::PUT, Body::empty()).await, false),
        (http_at(&server, "/socket?a=%ff").get().await, false),
    ] {
        let header = |name: &str| answer.headers.get(name).map(|it| it.to_str().unwrap());
        assert_eq!(
            header("access-control-allow-origin"),
            Some("*"),
            "{answer:?}"
        );
        assert_eq!(header("cache-control"), Some("no-store"), "{answer:?}");
        let json = has_body.then_some("application/json; charset=utf-8");
        assert_eq!(header("content-type"), json, "{answer:?}");
    }
}

#[tokio::test]
async fn a_browser_that_asks_before_it_sends_headers_may_send_them() {
    let server = Server::start().await;
    let answer = http(&server)
        .header("access-control-request-headers", "x-phoenix-longpoll-token")
        .header("access-control-request-headers", "content-type, x-other")
        .request(Method::OPTIONS, Body::empty())
        .await;
    let header = |name: &str| answer.headers.get(name).map(|it| it.to_str().unwrap());
    assert_eq!(answer.http_status, StatusCode::OK);
    assert_eq!(
        header("access-control-allow-headers"),
        Some("x-phoenix-longpoll-token, content-type, x-other")
    );
    assert_eq!(
        header("access-control-allow-methods"),
        Some("get, post, options")
    );
    assert_eq!(header("access-control-max-age"), Some("3600"));
    let plain = http(&server).request(Method::OPTIONS, Body::empty()).await;
    assert!(!plain.headers.contains_key("access-control-allow-headers"));
}

#[tokio::test]
async fn other_methods_are_bad_requests() {
    let server = Server::start().await;
    for method in [Method::HEAD, Method::PUT, Method::DELETE, Method::PATCH] {
        let answer = http(&server).request(method.clone(), Body::empty()).await;
        assert_eq!(answer.http_status, StatusCode::BAD_REQUEST, "{method}");
        assert_eq!(answer.body, Value::Null, "{method}");
    }
    assert_eq!(server.endpoint.connections(), 0);
}

#[tokio::test]
async fn a_refusal_is_told_in_the_body() {
    let server = Server::start().await;
    for query in ["vsn=3.0.0", "vsn=2.0.0&refuse=no", "vsn=2.0.0&refuse=error"] {
        let answer = http_at(&server, &format!("/socket?{query}")).get().await;
        assert_eq!(answer.http_status, StatusCode::OK, "{query}");
        assert_eq!(answer.body, json!({"status": 403}), "{query}");
    }
}

/// Not at its beginning only.
#[tokio::test]
async fn pages_of_other_origins_cant_use_a_session() {
    let server = Server::start().await;
    let at = |origin| http_at(&server, "/pages?vsn=2.0.0").header("origin", origin);
    let allowed = at("https://example.com");
    let token = token(&allowed.get().await).to_owned();
    let refused = at("https://other.com").token(&token);
    for method in [Method::GET, Method::POST, Method::OPTIONS] {
        let answer = refused.request(method.clone(), JOIN).await;
        assert_eq!(answer.http_status, StatusCode::OK, "{method}");
        assert_eq!(answer.body, json!({"status": 403}), "{method}");
    }
    assert_eq!(allowed.token(&token).post(JOIN).await.status(), 200);
}

#[tokio::test]
async fn without_a_session_a_get_begins_one_and_a_post_is_told_410() {
    let server = Server::start().await;
    let other = Server::start().await;
    let valid = token(&http(&server).get().await).to_owned();
    let foreign = token(&http(&other).get().await).to_owned();
    let of_another_mount = token(&http_at(&server, "/two?vsn=2.0.0").get().await).to_owned();
    let forged = format!("{}A", &valid[..valid.len() - 1]);
    let forged = if forged == valid {
        valid.replace('A', "B")
    } else {
        forged
    };
    for bad in [
        "",
        "junk",
        &forged,
        &foreign,
        &of_another_mount,
        &"A".repeat(50_000),
        "\u{e9}",
    ] {
        let session = http(&server).token(bad);
        assert_eq!(
            session.post(JOIN).await.body,
            json!({"status": 410}),
            "{bad:.90}"
        );
        let answer = session.get().await;
        assert_eq!(answer.status(), 410, "{bad:.90}");
        assert_ne!(token(&answer), bad);
    }
    assert_eq!(http(&server).post(JOIN).await.body, json!({"status": 410}));
}

/// phoenix.js sends it in the query up to 1.8, and as a header since.
#[tokio::test]
async fn the_token_may_come_in_the_query_but_a_header_wins() {
    let server = Server::start().await;
    let token = token(&http(&server).get().await).to_owned();
    let by_query = http(&server).query(&format!("token={token}"));
    assert_eq!(by_query.post(JOIN).await.status(), 200);
    assert_eq!(by_query.get().await.messages(), [JOINED]);
    let by_both = http(&server).query("token=stale").token(&token);
    assert_eq!(by_both.post(JOIN).await.status(), 200);
    assert_eq!(by_query.token("stale").post(JOIN).await.status(), 410);
}

#[tokio::test]
async fn the_first_request_decides_on_version_and_params() {
    let server = Server::start().await;
    let token = token(&http_at(&server, "/socket?user=ana").get().await).to_owned();
    let session = http_at(&server, "/socket?vsn=2.0.0&user=ben&refuse=no").token(&token);
    let join = r#"{"topic":"info","event":"phx_join","payload":{},"ref":"1"}"#;
    assert_eq!(session.post(join).await.status(), 200);
    let answer = session.get().await;
    let reply: Value = serde_json::from_str(answer.messages()[0]).unwrap();
    assert_eq!(
        reply.pointer("/payload/response/params"),
        Some(&json!({"user": "ana"}))
    );
}

#[tokio::test]
async fn the_path_may_be_another_and_have_variables() {
    let longpoll = Options {
        path: "deep/:shard/poll".to_owned(),
        ..Options::default()
    };
    let server = Server::start_with(|it| it.longpoll(longpoll.clone())).await;
    for path in ["/of/t%C3%A9/deep/s1/poll!", "/of/t%C3%A9/deep/s1/poll/!"] {
        let begin = http_at(&server, &format!("{path}?vsn=2.0.0&shard=no"));
        let session = begin.token(token(&begin.get().await));
        session.post(r#"["1","1","info","phx_join",{}]"#).await;
        let answer = session.get().await;
        let reply: Value = serde_json::from_str(answer.messages()[0]).unwrap();
        assert_eq!(
            reply.pointer("/4/response/params"),
            Some(&json!({"vsn": "2.0.0", "tenant": "té", "shard": "s1"}))
        );
    }
}

#[tokio::test]
async fn long_polling_is_off_unless_it_is_asked_for() {
    let server = Server::start_with(|it| it.longpoll(None)).await;
    assert_eq!(http(&server).get().await.http_status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_channels_of_a_silent_client_end() {
    let server = with_window(200).await;
    let session = session(&server).await;
    session
        .post(r#"["1","1","room:a","phx_join",{"farewell":true}]"#)
        .await;
    assert_eq!(server.note().await, "room:a ended: Disconnected");
    server.emptied().await;
}

#[tokio::test]
async fn sessions_are_limited() {
    let longpoll = Options {
        sessions_max: 2,
        ..Options::default()
    };
    let server = Server::start_with(|it| it.longpoll(longpoll.clone())).await;
    let session = session(&server).await;
    let _other = http_at(&server, "/socket?vsn=2.0.0&user=ana").get().await;
    let answer = http(&server).get().await;
    assert_eq!(answer.http_status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(session.post(JOIN).await.status(), 200);
    server.act("broadcast user:ana disconnect {}").await;
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    while server.endpoint.connections() == 2 {
        ticks.tick().await;
    }
    assert_eq!(http(&server).get().await.status(), 410);
}
