//! Answers to requests, and the body that carries messages.

use std::{
    borrow::Cow,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    body::{Body, HttpBody},
    response::{IntoResponse, Response},
};
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body::{Frame, SizeHint};
use serde_json::{Value, json};

use super::{
    polling::{Load, Polling},
    relay::Relayed,
    session::Session,
};
use crate::{
    runtime::Close,
    transport::{admit::Refusal, delivery::Delivery},
};

/// Small messages are gathered into chunks of this size; larger ones are written from where they lie.
const CHUNK_BYTES: usize = 16 * 1024;

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// What a request is answered with.
pub(crate) enum Answer {
    /// A session began, and why the one before it was closed, if the client had one.
    Began(Arc<Session>, Option<Close>),
    /// What a poll fetched, and who watches its delivery; nothing when it waited in vain.
    Polled(Polling, Option<Load>, Option<Arc<Delivery>>),
    /// What became of a POST.
    Status(u16),
    /// There is no such session, and why it was closed, if that is known.
    Gone(Option<Close>),
    /// As much, and why.
    Malformed(u16, Cow<'static, str>),
    /// A poll waited in vain on another node, whose token this is; and why the session was closed, if it was.
    Nothing(String, Option<Close>),
    /// What a poll fetched from another node.
    Relayed(Relayed),
    Refused(Refusal),
    /// To a browser that asks before it sends headers of its own.
    Preflight(Option<HeaderValue>),
}

impl Answer {
    /// What became of a POST: its status, and why.
    pub(super) fn outcome(&self) -> (u16, &str) {
        match self {
            Self::Status(status) => (*status, ""),
            Self::Malformed(status, why) => (*status, why),
            Self::Gone(_) => (410, ""),
            // No other is given to what is handled.
            _ => (500, ""),
        }
    }

    /// Allows the headers that are asked for.
    pub(crate) fn preflight(headers: &HeaderMap) -> Self {
        let asked = headers.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS);
        let asked: Vec<_> = asked.iter().map(HeaderValue::as_bytes).collect();
        Self::Preflight(match asked.as_slice() {
            [] => None,
            asked => HeaderValue::from_bytes(&asked.join(&b", "[..])).ok(),
        })
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = match self {
            Self::Began(session, before) => {
                let body = json!({"status": 410, "token": session.token(), "messages": []});
                json(with_close(body, before.as_ref()))
            }
            Self::Polled(polling, None, _) => nothing(
                polling.session().token(),
                polling.session().ended().as_ref(),
            ),
            Self::Polled(polling, Some(load), delivery) => {
                let messages = Messages::new(polling, load, delivery);
                let mut response = Response::new(Body::new(messages));
                response.headers_mut().insert(header::CONTENT_TYPE, JSON);
                response
            }
            Self::Nothing(token, close) => nothing(&token, close.as_ref()),
            Self::Relayed(relayed) => {
                let mut response = Response::new(Body::new(relayed));
                response.headers_mut().insert(header::CONTENT_TYPE, JSON);
                response
            }
            Self::Status(status) => json(json!({"status": status})),
            Self::Gone(close) => json(with_close(json!({"status": 410}), close.as_ref())),
            Self::Malformed(status, reason) => json(json!({"status": status, "reason": reason})),
            // Who is refused for good needn't come back.
            Self::Refused(Refusal::Refused(error)) if error.is_final() => {
                json(json!({"status": 403, "final": true}))
            }
            Self::Refused(Refusal::Forbidden(_) | Refusal::Refused(_)) => {
                json(json!({"status": 403}))
            }
            Self::Refused(refusal) => refusal.response(),
            Self::Preflight(allowed) => preflight(allowed),
        };
        let headers = response.headers_mut();
        let (any, no_store) = ("*", "no-store");
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_ORIGIN,
            HeaderValue::from_static(any),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(no_store));
        response
    }
}

/// A poll waited in vain.
fn nothing(token: &str, close: Option<&Close>) -> Response {
    let body = json!({"status": 204, "token": token, "messages": []});
    json(with_close(body, close))
}

/// Clients that don't know what `close` is see the status alone, which says as much as Phoenix says.
fn with_close(mut body: Value, close: Option<&Close>) -> Value {
    if let (Some(close), Some(members)) = (close, body.as_object_mut()) {
        members.insert("close".to_owned(), close_json(close));
    }
    body
}

fn close_json(Close { code, reason, .. }: &Close) -> Value {
    json!({"code": code, "reason": reason})
}

/// The end of an answer with messages, after the last of them.
pub(super) fn tail(close: Option<&Close>) -> String {
    match close {
        Some(close) => format!(r#"],"close":{}}}"#, close_json(close)),
        None => "]}".to_owned(),
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "answers are built where they are given"
)]
fn json(body: Value) -> Response {
    ([(header::CONTENT_TYPE, JSON)], body.to_string()).into_response()
}

fn preflight(allowed: Option<HeaderValue>) -> Response {
    let mut response = StatusCode::OK.into_response();
    let headers = response.headers_mut();
    if let Some(allowed) = allowed {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    }
    let methods = HeaderValue::from_static("get, post, options");
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    let age = HeaderValue::from_static("3600");
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, age);
    response
}

/// The body of an answer with messages, which are JSON strings already. They stay with their session, so that a client
/// that doesn't read them keeps nothing alive.
struct Messages {
    /// Until it's handed to whoever watches the delivery.
    polling: Option<Polling>,
    delivery: Option<Arc<Delivery>>,
    /// What comes before the next message.
    before: Bytes,
    messages: usize,
    /// Which message comes next.
    next: usize,
    /// A large message, whose beginning was written.
    large: Option<Bytes>,
    /// What comes behind the last one.
    tail: String,
    bytes_left: usize,
}

/// An answer can't be finished: its messages are for a later poll, or its session is over.
#[derive(Debug)]
struct TakenBack;

impl Messages {
    fn new(polling: Polling, load: Load, delivery: Option<Arc<Delivery>>) -> Self {
        let token = polling.session().token();
        let before = Bytes::from(format!(r#"{{"status":200,"token":"{token}","messages":["#));
        let commas = load.messages.saturating_sub(1);
        let tail = tail(polling.session().ended().as_ref());
        let bytes_left = before.len() + load.bytes + commas + tail.len();
        Self {
            polling: Some(polling),
            delivery,
            before,
            messages: load.messages,
            next: 0,
            large: None,
            tail,
            bytes_left,
        }
    }

    fn chunk(&mut self) -> Result<Bytes, TakenBack> {
        if let Some(large) = self.large.take() {
            return Ok(large);
        }
        let polling = self.polling.as_ref().ok_or(TakenBack)?;
        polling.session().heard();
        let mut chunk = BytesMut::with_capacity(self.bytes_left.min(2 * CHUNK_BYTES));
        while chunk.len() < CHUNK_BYTES {
            if self.next == self.messages {
                chunk.put_slice(self.tail.as_bytes());
                break;
            }
            let message = polling.message(self.next).ok_or(TakenBack)?;
            self.next += 1;
            let before = std::mem::replace(&mut self.before, Bytes::from_static(b","));
            chunk.put_slice(&before);
            if message.len() > CHUNK_BYTES {
                self.large = Some(message);
                break;
            }
            chunk.put_slice(&message);
        }
        Ok(chunk.freeze())
    }

    /// All of it is on its way.
    fn finish(&mut self) {
        let Some(polling) = self.polling.take() else {
            return;
        };
        match self.delivery.take() {
            Some(delivery) => {
                polling.leave();
                delivery.watch(Box::new(polling));
            }
            // Whoever serves this tells no more.
            None => polling.written(),
        }
    }
}

impl HttpBody for Messages {
    type Data = Bytes;
    type Error = TakenBack;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TakenBack>>> {
        let this = self.get_mut();
        if this.bytes_left == 0 {
            return Poll::Ready(None);
        }
        let chunk = match this.chunk() {
            Ok(chunk) => chunk,
            Err(error) => return Poll::Ready(Some(Err(error))),
        };
        this.bytes_left -= chunk.len();
        if this.bytes_left == 0 {
            this.finish();
        }
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes_left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes_left as u64)
    }
}

impl fmt::Display for TakenBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the messages are another poll's by now")
    }
}

impl std::error::Error for TakenBack {}
