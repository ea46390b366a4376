//! What a socket learns of who connects, sessions and their CSRF tokens, and how the refused are answered.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test says so by panicking"
)]

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use axum::{Extension, Router, extract::OriginalUri};
use axum_extra::extract::CookieJar;
use bennu::{
    CheckOrigin, ConnectInfo, Endpoint, Result, Routes, SessionSource, Socket, SocketOptions,
    refuse,
};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

/// Tells the test what its sockets are told.
type App = mpsc::UnboundedSender<Value>;

struct Visitor;

/// What a middleware of the application found out.
#[derive(Clone)]
struct Tenant(&'static str);

struct Session {
    user: String,
}

#[derive(Debug)]
struct TooOften;

impl std::fmt::Display for TooOften {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("too often")
    }
}

impl std::error::Error for TooOften {}

fn pairs<'a>(headers: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>) -> Value {
    let mut headers: Vec<_> = headers
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .filter(|it| !it.contains("-key:") && !it.contains("-version:"))
        .collect();
    headers.sort();
    headers.into()
}

impl Socket for Visitor {
    type App = App;
    type Params = Value;

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes
    }

    async fn connect(app: &Arc<App>, params: Value, info: &ConnectInfo) -> Result<Self> {
        let jar = info.extract::<CookieJar>().await?;
        let tenant = info.extract::<Option<Extension<Tenant>>>().await.ok();
        let original = info.extract::<OriginalUri>().await?;
        let told = json!({
            "uri": info.uri().to_string(),
            "host": info.uri().host(),
            "port": info.uri().port_u16(),
            "original": original.path(),
            "user_agent": info.user_agent(),
            "peer": info.peer_addr().map(|it| it.ip().to_string()),
            "x": pairs(info.x_headers()),
            "trace": pairs(info.trace_context_headers()),
            "websocket": pairs(info.sec_websocket_headers()),
            "auth_token": info.auth_token(),
            "cookie": jar.get("theme").map(|it| it.value().to_owned()),
            "tenant": tenant.flatten().map(|it| it.0.0),
            "session": info.session::<Session>().map(|it| it.user.clone()),
            "no session": info.session::<u64>(),
        });
        app.send(told)?;
        match params["say"].as_str() {
            Some("no") => Err(refuse("because")),
            Some("too often") => Err(TooOften)?,
            _ => Ok(Self),
        }
    }
}

/// The session named by the cookie `user`.
struct Sessions;

impl SessionSource for Sessions {
    type Session = Session;

    async fn find(&self, info: &ConnectInfo) -> Option<(Session, String)> {
        tokio::task::yield_now().await;
        let Ok::<_, Infallible>(jar) = info.extract::<CookieJar>().await;
        let user = jar.get("user")?.value().to_owned();
        let token = format!("token of {user}").replace(' ', "-");
        Some((Session { user }, token))
    }
}

struct Server {
    address: SocketAddr,
    told: mpsc::UnboundedReceiver<Value>,
}

impl Server {
    async fn start() -> Self {
        let (app, told) = mpsc::unbounded_channel();
        let closure = |info: &ConnectInfo| {
            let user = info.header("x-user")?.to_owned();
            Some((Session { user }, "t".to_owned()))
        };
        let options = SocketOptions::new;
        let endpoint = Endpoint::new(app)
            .options(options().session(Sessions).auth_token(true))
            .socket::<Visitor>("/s")
            .socket_with::<Visitor>("/plain", options())
            .socket_with::<Visitor>("/any", options().session(Sessions).check_csrf(false))
            .socket_with::<Visitor>("/closure", options().session(closure))
            .socket_with::<Visitor>(
                "/polite",
                options().on_refused(|error| match error.downcast_ref::<TooOften>() {
                    Some(_) => (StatusCode::TOO_MANY_REQUESTS, "later".to_owned()),
                    None => {
                        let refusal = error.refusal().unwrap();
                        (StatusCode::GONE, refusal.as_json().unwrap().to_owned())
                    }
                }),
            )
            .socket_with::<Visitor>(
                "/broken",
                options().on_refused(|error| -> StatusCode { panic!("{error}") }),
            );
        let router = Router::new()
            .nest("/nested/twice", endpoint.router())
            .layer(Extension(Tenant("acme")))
            .merge(endpoint.router());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { bennu::serve(listener, router).await });
        Self { address, told }
    }

    /// The response to a handshake, to its head's end and what comes with it.
    async fn connect(&self, target: &str, headers: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!(
            "GET {target} HTTP/1.1\r\nhost: example.com:4000\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = Vec::new();
        loop {
            let read = stream.read_buf(&mut response).await.unwrap();
            let text = String::from_utf8_lossy(&response);
            if read == 0 || is_complete(&text) {
                return text.into_owned();
            }
        }
    }

    /// Connects, and checks one thing that the socket is told.
    async fn check(&mut self, target: &str, headers: &str, what: &str, expected: Value) {
        let response = self.connect(target, headers).await;
        assert!(response.starts_with("HTTP/1.1 101"), "{target}: {response}");
        let told = self.told.recv().await.unwrap();
        assert_eq!(told[what], expected, "{what} at {target} with {headers:?}");
    }
}

fn is_complete(response: &str) -> bool {
    let Some((head, body)) = response.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|it| it.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |it| it.parse().unwrap())
}

#[tokio::test]
async fn a_socket_is_told_what_the_request_said() {
    let mut server = Server::start().await;
    let target = "/s/websocket?vsn=2.0.0";
    let headers = "x-application: Phoenix\r\nx-a: 1\r\nx-a: 2\r\nuser-agent: tests\r\ntraceparent: 00-1\r\n\
                   tracestate: a=b\r\naccept: */*\r\ncookie: theme=dark\r\n";
    let uri = "http://example.com:4000/s/websocket?vsn=2.0.0";
    for (what, expected) in [
        ("uri", json!(uri)),
        ("host", json!("example.com")),
        ("port", json!(4000)),
        ("user_agent", json!("tests")),
        ("peer", json!("127.0.0.1")),
        ("x", json!(["x-a: 1", "x-a: 2", "x-application: Phoenix"])),
        ("trace", json!(["traceparent: 00-1", "tracestate: a=b"])),
        ("cookie", json!("dark")),
        ("tenant", json!(null)),
    ] {
        server.check(target, headers, what, expected).await;
    }
    server.check(target, "", "trace", json!([])).await;
    server.check(target, "", "user_agent", json!(null)).await;
}

#[tokio::test]
async fn under_a_nested_router_the_address_is_whole_and_middlewares_are_heard() {
    let mut server = Server::start().await;
    let target = "/nested/twice/s/websocket?vsn=2.0.0";
    let uri = format!("http://example.com:4000{target}");
    server.check(target, "", "uri", json!(uri)).await;
    server.check(target, "", "tenant", json!("acme")).await;
    let original = json!("/nested/twice/s/websocket");
    server.check(target, "", "original", original).await;
}

#[tokio::test]
async fn websocket_headers_are_shown_without_the_token() {
    let mut server = Server::start().await;
    let headers = "sec-websocket-protocol: phoenix, base64url.bearer.phx.YS9i\r\n\
                   sec-websocket-extensions: permessage-deflate\r\n";
    let extensions = "sec-websocket-extensions: permessage-deflate";
    let target = "/s/websocket?vsn=2.0.0";
    server
        .check(target, headers, "auth_token", json!("a/b"))
        .await;
    let left = json!([extensions, "sec-websocket-protocol: phoenix"]);
    server.check(target, headers, "websocket", left).await;
    // Where the mount knows of no tokens, it's a subprotocol like any other.
    let all = json!([
        extensions,
        "sec-websocket-protocol: phoenix, base64url.bearer.phx.YS9i"
    ]);
    let target = "/plain/websocket?vsn=2.0.0";
    server.check(target, headers, "websocket", all).await;
}

#[tokio::test]
async fn a_session_is_handed_over_with_its_csrf_token_only_and_all_are_let_in() {
    let mut server = Server::start().await;
    let ann = "cookie: theme=dark; user=ann\r\n";
    for (query, cookie, expected) in [
        ("_csrf_token=token-of-ann", ann, json!("ann")),
        ("_csrf_token=token-of-bob", ann, json!(null)),
        ("_csrf_token[]=token-of-ann", ann, json!(null)),
        ("_csrf_token=", ann, json!(null)),
        ("", ann, json!(null)),
        ("_csrf_token=token-of-ann", "", json!(null)),
        (
            "_csrf_token=token-of-ann",
            "cookie: user=bob\r\n",
            json!(null),
        ),
    ] {
        let target = format!("/s/websocket?vsn=2.0.0&{query}");
        server.check(&target, cookie, "session", expected).await;
        server
            .check(&target, cookie, "no session", json!(null))
            .await;
    }
}

#[tokio::test]
async fn the_token_need_not_be_checked_and_a_function_is_a_source() {
    let mut server = Server::start().await;
    let ann = "cookie: user=ann\r\n";
    let target = "/any/websocket?vsn=2.0.0";
    server.check(target, ann, "session", json!("ann")).await;
    let wrong = "/any/websocket?vsn=2.0.0&_csrf_token=x";
    server.check(wrong, ann, "session", json!("ann")).await;
    server.check(target, "", "session", json!(null)).await;
    let closure = "/closure/websocket?vsn=2.0.0&_csrf_token=t";
    server
        .check(closure, "x-user: eve\r\n", "session", json!("eve"))
        .await;
    let target = "/plain/websocket?vsn=2.0.0&_csrf_token=token-of-ann";
    server.check(target, ann, "session", json!(null)).await;
}

#[tokio::test]
async fn the_application_may_answer_those_it_refuses() {
    let server = Server::start().await;
    for (target, status, body) in [
        ("/polite/websocket?say=no", 410, r#"{"reason":"because"}"#),
        ("/polite/websocket?say=too+often", 429, "later"),
        // Refused before the socket was asked.
        ("/polite/websocket?vsn=9.0.0&say=no", 403, ""),
        ("/plain/websocket?say=no", 403, ""),
        ("/broken/websocket?say=no", 500, ""),
    ] {
        let response = server.connect(target, "").await;
        let head = format!("HTTP/1.1 {status}");
        assert!(response.starts_with(&head), "{target}: {response}");
        let (_, found) = response.split_once("\r\n\r\n").unwrap();
        assert_eq!(found, body, "{target}");
    }
}

fn mount(options: SocketOptions, of_all: SocketOptions) -> Endpoint<App> {
    let (app, _) = mpsc::unbounded_channel();
    Endpoint::new(app)
        .options(of_all)
        .socket_with::<Visitor>("/s", options)
}

#[test]
fn one_of_the_checks_is_enough() {
    let unchecked = SocketOptions::new().check_csrf(false);
    for options in [
        unchecked.clone(),
        unchecked.check_origin(CheckOrigin::host()),
        SocketOptions::new().check_origin(CheckOrigin::off()),
    ] {
        let _ = mount(options, SocketOptions::new());
    }
}

#[test]
#[should_panic(expected = "the socket at /s checks neither origins nor CSRF tokens")]
fn a_mount_without_any_check_is_not_taken() {
    let options = SocketOptions::new().check_csrf(false);
    let _ = mount(
        options.check_origin(CheckOrigin::off()),
        SocketOptions::new(),
    );
}

#[test]
#[should_panic(expected = "the socket at /s checks neither origins nor CSRF tokens")]
fn nor_one_that_takes_its_check_of_origins_from_the_endpoint() {
    let of_all = SocketOptions::new().check_origin(CheckOrigin::off());
    let _ = mount(SocketOptions::new().check_csrf(false), of_all);
}
