//! Answers to requests, and the body that carries messages.

use std::{
    borrow::Cow,
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    vec,
};

use axum::{
    body::{Body, HttpBody},
    response::{IntoResponse, Response},
};
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body::{Frame, SizeHint};
use serde_json::json;

use super::{polling::Polling, session::Session};
use crate::transport::admit::Refusal;

/// Small messages are gathered into chunks of this size; larger ones are written from where they lie.
const CHUNK_BYTES: usize = 16 * 1024;

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// What a request is answered with.
pub(crate) enum Answer {
    /// A session began.
    Began(Arc<Session>),
    /// What a poll fetched; nothing when it waited in vain.
    Polled(Polling, Vec<Bytes>),
    /// What became of a POST.
    Status(u16),
    /// As much, and why.
    Malformed(u16, Cow<'static, str>),
    Refused(Refusal),
    /// To a browser that asks before it sends headers of its own.
    Preflight(Option<HeaderValue>),
}

impl Answer {
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
            Self::Began(session) => {
                json(json!({"status": 410, "token": session.token(), "messages": []}))
            }
            Self::Polled(polling, messages) if messages.is_empty() => {
                let token = polling.session().token();
                json(json!({"status": 204, "token": token, "messages": []}))
            }
            Self::Polled(polling, messages) => {
                let mut response = Response::new(Body::new(Messages::new(polling, messages)));
                response.headers_mut().insert(header::CONTENT_TYPE, JSON);
                response
            }
            Self::Status(status) => json(json!({"status": status})),
            Self::Malformed(status, reason) => json(json!({"status": status, "reason": reason})),
            // Who is refused for good needn't come back.
            Self::Refused(Refusal::Refused(error)) if error.is_final() => {
                json(json!({"status": 403, "final": true}))
            }
            Self::Refused(Refusal::Forbidden | Refusal::Refused(_)) => json(json!({"status": 403})),
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

#[expect(
    clippy::needless_pass_by_value,
    reason = "answers are built where they are given"
)]
fn json(body: serde_json::Value) -> Response {
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

/// The body of an answer with messages. They are JSON strings already.
struct Messages {
    polling: Polling,
    /// What comes before the next message.
    before: Bytes,
    messages: vec::IntoIter<Bytes>,
    /// A large message, whose beginning was written.
    large: Option<Bytes>,
    bytes_left: usize,
}

const TAIL: &str = "]}";

impl Messages {
    fn new(polling: Polling, messages: Vec<Bytes>) -> Self {
        let token = polling.session().token();
        let before = Bytes::from(format!(r#"{{"status":200,"token":"{token}","messages":["#));
        let commas = messages.len().saturating_sub(1);
        let bytes_left =
            before.len() + messages.iter().map(Bytes::len).sum::<usize>() + commas + TAIL.len();
        Self {
            polling,
            before,
            messages: messages.into_iter(),
            large: None,
            bytes_left,
        }
    }

    fn chunk(&mut self) -> Bytes {
        if let Some(large) = self.large.take() {
            return large;
        }
        let mut chunk = BytesMut::with_capacity(self.bytes_left.min(2 * CHUNK_BYTES));
        while chunk.len() < CHUNK_BYTES {
            let Some(message) = self.messages.next() else {
                chunk.put_slice(TAIL.as_bytes());
                break;
            };
            chunk.put_slice(&std::mem::replace(
                &mut self.before,
                Bytes::from_static(b","),
            ));
            if message.len() > CHUNK_BYTES {
                self.large = Some(message);
                break;
            }
            chunk.put_slice(&message);
        }
        chunk.freeze()
    }
}

impl HttpBody for Messages {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if this.bytes_left == 0 {
            return Poll::Ready(None);
        }
        let chunk = this.chunk();
        this.bytes_left -= chunk.len();
        this.polling.session().heard();
        if this.bytes_left == 0 {
            this.polling.written();
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
