//! Over requests: GETs that wait for what the server sends, POSTs for what the client sends
//! (`Phoenix.Transports.LongPoll`).

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bennu_wire::{Frame as WireFrame, Response, Serializer};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, header::CONTENT_TYPE, uri::PathAndQuery};
use serde::Deserialize;

use super::{
    LinkEvent,
    dial::Dialer,
    request::{Ask, Requests},
};
use crate::{ConnectionError, Transport, machine::Frame};

const TOKEN: HeaderName = HeaderName::from_static("x-phoenix-longpoll-token");
const AUTH_TOKEN: HeaderName = HeaderName::from_static("x-phoenix-authtoken");

/// Messages in one POST: what servers take.
const BATCH_ENTRIES_MAX: usize = 100;
/// Bytes after which a POST takes no more. One message may be larger.
const BATCH_BYTES_MAX: usize = 256 << 10;

type Asking<T> = Pin<Box<dyn Future<Output = (Requests, Result<T, ConnectionError>)> + Send>>;

/// An open session, what is to be posted, and what was polled.
pub(crate) struct LongPoll {
    session: Session,
    polling: Asking<Polled>,
    posting: Posting,
    queue: VecDeque<(Frame, usize)>,
    heard: VecDeque<String>,
    /// Why the server closed the session, once what was heard is handed on.
    closed: Option<Close>,
    /// Of the POST that is under way.
    posting_bytes: usize,
}

enum Posting {
    Idle(Option<Requests>),
    Busy(Asking<()>),
}

/// What each request says.
#[derive(Clone)]
struct Session {
    target: PathAndQuery,
    token: HeaderValue,
    poll_timeout: Duration,
}

/// The body of every answer.
#[derive(Deserialize)]
struct Answer {
    status: u16,
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    messages: Vec<String>,
    /// Why the session was closed, if the server is Bennu and says so.
    #[serde(default)]
    close: Option<Close>,
}

/// What a WebSocket's close frame would have said.
#[derive(Deserialize)]
struct Close {
    code: u16,
    #[serde(default)]
    reason: String,
}

impl From<Close> for ConnectionError {
    fn from(Close { code, reason }: Close) -> Self {
        Self::Closed { code, reason }
    }
}

/// What a poll brought.
struct Polled {
    messages: Vec<String>,
    /// After them, nothing else will come.
    close: Option<Close>,
}

impl LongPoll {
    /// The first request begins a session.
    pub(super) async fn connect(dialer: Arc<Dialer>) -> Result<Self, ConnectionError> {
        let target = dialer.target(Transport::LongPoll)?;
        // Bennu then sends binary messages, which are nothing that Phoenix could send this way.
        let target = with_param(&target, "binary=base64")?;
        let mut headers = Vec::new();
        if let Some(token) = dialer.auth_token.ask() {
            headers.push((AUTH_TOKEN, secret(&token)?));
        }
        let poll_timeout = dialer.options.poll_timeout;
        let mut requests = Requests::new(dialer.clone());
        let ask = Ask {
            method: Method::GET,
            target: target.clone(),
            headers,
            body: Bytes::new(),
        };
        let answer = answered(&mut requests, ask, poll_timeout).await?;
        let token = match (answer.status, answer.token) {
            (410, Some(token)) => token,
            (status, _) => return Err(ConnectionError::Refused { status }),
        };
        let session = Session {
            // Servers before Phoenix 1.8.10 know the parameter only, later clients send the header only.
            target: with_param(&target, &format!("token={}", escaped(&token)))?,
            token: secret(&token)?,
            poll_timeout,
        };
        Ok(Self {
            polling: session.clone().poll(requests),
            posting: Posting::Idle(Some(Requests::new(dialer))),
            session,
            queue: VecDeque::new(),
            heard: VecDeque::new(),
            closed: None,
            posting_bytes: 0,
        })
    }

    pub(super) fn send(&mut self, frame: Frame, bytes: usize) {
        self.queue.push_back((frame, bytes));
    }

    pub(super) fn unwritten(&self) -> usize {
        self.posting_bytes + self.queue.iter().map(|(_, bytes)| bytes).sum::<usize>()
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<LinkEvent> {
        match self.poll_post(cx) {
            Poll::Ready(Ok(bytes)) if bytes > 0 => return Poll::Ready(LinkEvent::Wrote(bytes)),
            // The poll brings the last messages, and says so itself.
            Poll::Ready(Err(ConnectionError::Closed { .. })) => self.posting = Posting::Idle(None),
            Poll::Ready(Err(error)) => return self.lost(error),
            Poll::Ready(Ok(_)) | Poll::Pending => {}
        }
        loop {
            if let Some(entry) = self.heard.pop_front() {
                return Poll::Ready(LinkEvent::Heard(decoded(&entry)));
            }
            if let Some(close) = self.closed.take() {
                return self.lost(close.into());
            }
            match self.polling.as_mut().poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready((requests, polled)) => match polled {
                    Ok(Polled { messages, close }) => {
                        self.heard.extend(messages);
                        self.closed = close;
                        if self.closed.is_none() {
                            self.polling = self.session.clone().poll(requests);
                        }
                    }
                    Err(error) => return self.lost(error),
                },
            }
        }
    }

    /// Posts what waits, one batch at a time so that the order stays. Ready when a batch is through, with its bytes.
    fn poll_post(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, ConnectionError>> {
        let mut posted = 0;
        loop {
            match &mut self.posting {
                Posting::Idle(requests) => {
                    if self.queue.is_empty() {
                        return Poll::Ready(Ok(posted));
                    }
                    let Some(requests) = requests.take() else {
                        return Poll::Ready(Ok(posted));
                    };
                    let (content_type, body, bytes) = batch(&mut self.queue);
                    self.posting_bytes = bytes;
                    let post = self.session.clone().post(requests, content_type, body);
                    self.posting = Posting::Busy(post);
                }
                Posting::Busy(post) => {
                    let Poll::Ready((requests, result)) = post.as_mut().poll(cx) else {
                        return if posted > 0 {
                            Poll::Ready(Ok(posted))
                        } else {
                            Poll::Pending
                        };
                    };
                    self.posting = Posting::Idle(Some(requests));
                    result?;
                    posted += std::mem::take(&mut self.posting_bytes);
                }
            }
        }
    }

    fn lost(&self, error: ConnectionError) -> Poll<LinkEvent> {
        Poll::Ready(LinkEvent::Lost(error, self.unwritten()))
    }

    /// Posts all. Nothing tells a server that a session is over.
    pub(super) async fn finish(&mut self) {
        poll_fn(|cx| {
            loop {
                match self.poll_post(cx) {
                    Poll::Ready(Ok(_)) if self.is_posted() => return Poll::Ready(()),
                    Poll::Ready(Ok(0)) | Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                }
            }
        })
        .await;
    }

    fn is_posted(&self) -> bool {
        self.queue.is_empty() && matches!(self.posting, Posting::Idle(_))
    }
}

impl Session {
    fn ask(&self, method: Method) -> Ask {
        Ask {
            method,
            target: self.target.clone(),
            headers: vec![(TOKEN, self.token.clone())],
            body: Bytes::new(),
        }
    }

    /// Within a session a status of HTTP's own is about one request (a body that is too large, say), and refuses nobody.
    async fn answered(&self, requests: &mut Requests, ask: Ask) -> Result<Answer, ConnectionError> {
        let answer = answered(requests, ask, self.poll_timeout).await;
        answer.map_err(|error| match error {
            ConnectionError::Refused { status } => {
                ConnectionError::Failed(format!("a request was refused with HTTP status {status}"))
            }
            error => error,
        })
    }

    fn poll(self, mut requests: Requests) -> Asking<Polled> {
        Box::pin(async move {
            let ask = self.ask(Method::GET);
            let answer = self.answered(&mut requests, ask).await;
            let polled = answer.and_then(|answer| match answer {
                Answer {
                    status: 200 | 204,
                    messages,
                    close,
                    ..
                } => Ok(Polled { messages, close }),
                answer => Err(ended(answer)),
            });
            (requests, polled)
        })
    }

    fn post(self, mut requests: Requests, content_type: &'static str, body: Vec<u8>) -> Asking<()> {
        Box::pin(async move {
            let mut ask = self.ask(Method::POST);
            let content_type = HeaderValue::from_static(content_type);
            ask.headers.push((CONTENT_TYPE, content_type));
            ask.body = body.into();
            let answer = self.answered(&mut requests, ask).await;
            let result = answer.and_then(|answer| match answer.status {
                200 => Ok(()),
                _ => Err(ended(answer)),
            });
            (requests, result)
        })
    }
}

/// The answer to a request. HTTP's own status is 200 whatever it says.
async fn answered(
    requests: &mut Requests,
    ask: Ask,
    time_max: Duration,
) -> Result<Answer, ConnectionError> {
    let (status, body) = requests.ask(ask, time_max).await?;
    if !status.is_success() {
        return Err(ConnectionError::Refused {
            status: status.as_u16(),
        });
    }
    serde_json::from_slice(&body).map_err(|error| {
        ConnectionError::Failed(format!("what answers isn't a long-poll transport: {error}"))
    })
}

fn ended(Answer { status, close, .. }: Answer) -> ConnectionError {
    match (status, close) {
        (410, Some(close)) => close.into(),
        (410, None) => ConnectionError::SessionGone,
        (403, _) => ConnectionError::Refused { status },
        (status, _) => ConnectionError::Failed(format!("the session failed with status {status}")),
    }
}

/// The next messages as the body of a POST, its type, and how many bytes of the queue they were.
fn batch(queue: &mut VecDeque<(Frame, usize)>) -> (&'static str, Vec<u8>, usize) {
    let (mut body, mut bytes, mut entries) = (Vec::new(), 0, 0);
    while let Some((frame, cost)) = queue.pop_front() {
        // A caller's own JSON may have line breaks, and in a batch these are the ends of messages: it goes alone, as
        // a body of any other type is one message.
        if let Frame::Text(text) = &frame
            && text.contains(['\n', '\r'])
        {
            if entries == 0 {
                return ("application/json", text.clone().into_bytes(), cost);
            }
            queue.push_front((frame, cost));
            break;
        }
        if entries > 0 {
            body.push(b'\n');
        }
        match frame {
            Frame::Text(text) => body.extend_from_slice(text.as_bytes()),
            Frame::Binary(bytes) => body.extend_from_slice(STANDARD.encode(bytes).as_bytes()),
        }
        bytes += cost;
        entries += 1;
        if entries == BATCH_ENTRIES_MAX || body.len() >= BATCH_BYTES_MAX {
            break;
        }
    }
    ("application/x-ndjson", body, bytes)
}

/// A text, or a binary message in Base64, which can't begin as a text does.
fn decoded(entry: &str) -> Result<Response, String> {
    let response = if entry.starts_with('[') {
        Response::decode(Serializer::V2, WireFrame::Text(entry))
    } else {
        let bytes = STANDARD.decode(entry);
        let bytes = bytes.map_err(|_| "neither JSON nor Base64".to_owned())?;
        Response::decode(Serializer::V2, WireFrame::Binary(&bytes))
    };
    response.map_err(|error| error.to_string())
}

fn with_param(target: &PathAndQuery, param: &str) -> Result<PathAndQuery, ConnectionError> {
    format!("{target}&{param}")
        .parse()
        .map_err(|error| ConnectionError::Failed(format!("the token makes no URL: {error}")))
}

fn escaped(token: &str) -> String {
    percent_encoding::utf8_percent_encode(token, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn secret(text: &str) -> Result<HeaderValue, ConnectionError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| {
        ConnectionError::Invalid("a token has characters that no header can have".to_owned())
    })?;
    value.set_sensitive(true);
    Ok(value)
}
