//! Long-polling as phoenix.js does it: a request at a time, over HTTP written by somebody else.

use std::{collections::VecDeque, net::SocketAddr};

use axum::body::{Body, to_bytes};
use base64::{Engine, engine::general_purpose::STANDARD};
use hyper::{
    HeaderMap, Method, Request, StatusCode,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::client::{Address, Closed, Event, Frame, Refused};

const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A client with a session.
pub(crate) struct LongPoll {
    pub(crate) http: Http,
    pub(crate) token: String,
    received: VecDeque<Frame>,
    /// After what was received.
    closed: Option<Closed>,
}

/// Requests to one path of a server.
#[derive(Clone)]
pub(crate) struct Http {
    server: SocketAddr,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) http_status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// As the body tells it, or else HTTP.
    pub(crate) fn status(&self) -> u16 {
        let status = self.body.get("status").and_then(Value::as_u64);
        status.map_or(self.http_status.as_u16(), |it| it as u16)
    }

    pub(crate) fn messages(&self) -> Vec<&str> {
        let messages = self.body.get("messages").and_then(Value::as_array);
        let messages = messages.into_iter().flatten();
        messages.map(|it| it.as_str().unwrap()).collect()
    }

    /// Why its session was closed, if it says so.
    pub(crate) fn close(&self) -> Option<Closed> {
        let close = self.body.get("close")?;
        let code = close["code"].as_u64().unwrap();
        let reason = close["reason"].as_str().unwrap();
        Some(Closed {
            code: Some(code as u16),
            reason: reason.to_owned(),
        })
    }
}

impl Http {
    pub(crate) fn new(server: SocketAddr, address: &Address) -> Self {
        let mut headers = address.headers.clone();
        if let Some(token) = &address.auth_token {
            headers.push(("x-phoenix-authtoken".to_owned(), token.clone()));
        }
        Self {
            server,
            path: match address.mount.strip_suffix('!') {
                Some(path) => path.to_owned(),
                None => format!("{}/longpoll", address.mount),
            },
            query: address.query.clone(),
            headers,
        }
    }

    /// The same of another server.
    pub(crate) fn at(&self, server: SocketAddr) -> Self {
        Self {
            server,
            ..self.clone()
        }
    }

    /// With a header more.
    pub(crate) fn header(&self, name: &str, value: &str) -> Self {
        let mut http = self.clone();
        http.headers.push((name.to_owned(), value.to_owned()));
        http
    }

    /// With a query more.
    pub(crate) fn query(&self, query: &str) -> Self {
        let mut http = self.clone();
        http.query = format!("{}&{query}", self.query);
        http
    }

    pub(crate) fn token(&self, token: &str) -> Self {
        self.header("x-phoenix-longpoll-token", token)
    }

    /// A connection for one request.
    pub(crate) async fn connection(&self) -> SendRequest<Body> {
        let stream = TcpStream::connect(self.server).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    pub(crate) fn build(&self, method: Method, body: Body) -> Request<Body> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}?{}", self.path, self.query))
            .header("host", self.server.to_string());
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(body).unwrap()
    }

    pub(crate) async fn request(&self, method: Method, body: impl Into<Body>) -> Answer {
        let request = self.build(method, body.into());
        let response = self.connection().await.send_request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(Body::new(body), BODY_BYTES_MAX).await.unwrap();
        Answer {
            http_status: parts.status,
            headers: parts.headers,
            body: serde_json::from_slice(&body).unwrap_or_default(),
        }
    }

    pub(crate) async fn get(&self) -> Answer {
        self.request(Method::GET, Body::empty()).await
    }

    pub(crate) async fn post(&self, body: impl Into<Body>) -> Answer {
        self.request(Method::POST, body).await
    }

    pub(crate) async fn post_batch(&self, body: impl Into<Body>) -> Answer {
        self.header("content-type", "application/x-ndjson")
            .post(body)
            .await
    }
}

impl LongPoll {
    pub(crate) async fn connect(server: SocketAddr, address: &Address) -> Result<Self, Refused> {
        let http = Http::new(server, address);
        let answer = http.get().await;
        let token = answer.body.get("token").and_then(Value::as_str);
        match (answer.status(), token) {
            (410, Some(token)) => Ok(Self {
                token: token.to_owned(),
                http,
                received: VecDeque::new(),
                closed: None,
            }),
            (status, _) => Err(Refused(status)),
        }
    }

    /// Posts a message; the status that answers it.
    pub(crate) async fn post(&self, frame: Frame) -> u16 {
        let http = self.http.token(&self.token);
        match frame {
            Frame::Text(text) => http.post(text).await.status(),
            Frame::Binary(bytes) => http.post_batch(STANDARD.encode(bytes)).await.status(),
        }
    }

    pub(crate) async fn receive(&mut self) -> Event {
        loop {
            if let Some(frame) = self.received.pop_front() {
                return Event::Frame(frame);
            }
            if let Some(closed) = self.closed.take() {
                return Event::Closed(closed);
            }
            let answer = self.http.token(&self.token).get().await;
            match answer.status() {
                200 => self
                    .received
                    .extend(answer.messages().into_iter().map(frame)),
                204 => {}
                // Gone, and it began another; or not now, where the server goes down.
                410 | 503 => self.closed = Some(Closed::default()),
                _ => panic!("a poll is answered with {answer:?}"),
            }
            if let Some(closed) = answer.close() {
                self.closed = Some(closed);
            }
        }
    }
}

/// Serializers make texts that start with a bracket; the raw socket's are short.
fn frame(message: &str) -> Frame {
    match STANDARD.decode(message) {
        Ok(bytes) if message.len() >= 4 && message != "last" => Frame::Binary(bytes),
        _ => Frame::Text(message.to_owned()),
    }
}
