//! The JavaScript client, as pages load it, and what the server has to say to it alone.
#![cfg(feature = "client")]
#![expect(clippy::unwrap_used, reason = "a test says so by panicking")]

use std::{io::Read, sync::Arc};

use axum::{Router, body::Body, response::Response};
use bennu::{ConnectInfo, Endpoint, LongPoll, Routes, Socket, SocketOptions, client, refuse};
use flate2::read::GzDecoder;
use http::{HeaderMap, Method, Request, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use tower::ServiceExt;

async fn ask(method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
    let router: Router = client::routes();
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::empty()).unwrap();
    router.oneshot(request).await.unwrap()
}

async fn body(response: Response) -> Vec<u8> {
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await;
    body.unwrap().to_vec()
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn both_files_are_served_as_they_are() {
    for (path, file) in [
        ("/bennu.mjs", client::MODULE),
        ("/bennu.js", client::SCRIPT),
    ] {
        let response = ask(Method::GET, path, &[]).await;
        assert_eq!(response.status(), StatusCode::OK);
        let headers = response.headers();
        let javascript = Some("text/javascript; charset=utf-8");
        assert_eq!(text(headers, header::CONTENT_TYPE), javascript);
        assert_eq!(
            text(headers, header::CACHE_CONTROL),
            Some("public, max-age=3600")
        );
        assert_eq!(text(headers, header::VARY), Some("accept-encoding"));
        assert_eq!(text(headers, header::CONTENT_ENCODING), None);
        assert_eq!(body(response).await, file.as_bytes());
    }
    assert!(client::MODULE.contains("export{"));
    assert!(client::SCRIPT.contains("globalThis.Bennu="));
}

#[tokio::test]
async fn it_is_compressed_for_those_who_say_so() {
    let check = async |accepted: &str, compressed: bool| {
        let headers = [("accept-encoding", accepted)];
        let response = ask(Method::GET, "/bennu.mjs", &headers).await;
        let encoding = text(response.headers(), header::CONTENT_ENCODING);
        assert_eq!(encoding == Some("gzip"), compressed, "{accepted}");
        let body = body(response).await;
        if !compressed {
            return assert_eq!(body, client::MODULE.as_bytes());
        }
        assert!(body.len() <= 8 * 1024, "{} bytes", body.len());
        let mut plain = String::new();
        GzDecoder::new(&*body).read_to_string(&mut plain).unwrap();
        assert_eq!(plain, client::MODULE);
    };
    check("gzip", true).await;
    check("br;q=1.0, GZIP;q=0.5", true).await;
    check("gzip;q=0", false).await;
    check("gzip;q=x", false).await;
    check("br, identity", false).await;
    check("", false).await;
}

#[tokio::test]
async fn who_has_it_is_not_sent_it_again() {
    let first = ask(Method::GET, "/bennu.js", &[]).await;
    let etag = text(first.headers(), header::ETAG).unwrap().to_owned();
    let check = async |known: &str, status: StatusCode| {
        let response = ask(Method::GET, "/bennu.js", &[("if-none-match", known)]).await;
        assert_eq!(response.status(), status, "{known}");
        assert_eq!(text(response.headers(), header::ETAG), Some(etag.as_str()));
        if status == StatusCode::NOT_MODIFIED {
            assert!(body(response).await.is_empty());
        }
    };
    check(&etag, StatusCode::NOT_MODIFIED).await;
    check(etag.trim_start_matches("W/"), StatusCode::NOT_MODIFIED).await;
    check(&format!("\"other\", {etag}"), StatusCode::NOT_MODIFIED).await;
    check("*", StatusCode::NOT_MODIFIED).await;
    check("\"other\"", StatusCode::OK).await;
    let module = ask(Method::GET, "/bennu.mjs", &[]).await;
    assert_ne!(text(module.headers(), header::ETAG), Some(etag.as_str()));
}

#[tokio::test]
async fn only_get_and_head_are_answered() {
    let head = ask(Method::HEAD, "/bennu.mjs", &[]).await;
    assert_eq!(head.status(), StatusCode::OK);
    let length = client::MODULE.len().to_string();
    assert_eq!(
        text(head.headers(), header::CONTENT_LENGTH),
        Some(length.as_str())
    );
    assert!(body(head).await.is_empty());
    let post = ask(Method::POST, "/bennu.mjs", &[]).await;
    assert_eq!(post.status(), StatusCode::METHOD_NOT_ALLOWED);
}

struct Banned;

impl Socket for Banned {
    type App = ();
    type Params = Who;

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes
    }

    async fn connect(_: &Arc<()>, who: Who, _: &ConnectInfo) -> bennu::Result<Self> {
        match who.name.as_str() {
            "mallory" => Err(refuse("banned").for_good()),
            _ => Err(refuse("not today")),
        }
    }
}

#[derive(Deserialize)]
struct Who {
    name: String,
}

/// Over a WebSocket a browser can't see why it was refused; this is where the client learns that it needn't come back.
#[tokio::test]
async fn who_is_refused_for_good_is_told_so_over_long_polling() {
    let options = SocketOptions::new().longpoll(LongPoll::default());
    let endpoint = Endpoint::new(())
        .options(options)
        .socket::<Banned>("/socket");
    let check = async |name: &str, expected: Value| {
        let uri = format!("/socket/longpoll?vsn=2.0.0&name={name}");
        let request = Request::get(uri).body(Body::empty()).unwrap();
        let response = endpoint.router().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let body: Value = serde_json::from_slice(&body(response).await).unwrap();
        assert_eq!(body, expected);
    };
    check("mallory", json!({"status": 403, "final": true})).await;
    check("ada", json!({"status": 403})).await;
}
