//! One client of an endpoint.

use std::{fmt, sync::Arc, time::Duration};

use bennu_pubsub::PubSub;
use bennu_wire::Payload;
use bytes::Bytes;
use serde::Serialize;

use super::{
    Broadcasts, ClientChannel, Pushed, fail,
    inbox::{Faults, Inbox},
    link::Link,
    wire::{Body, JOIN, Kind, Sent, Shown},
};

/// How long a join is waited for, as phoenix.js does.
const JOIN_TIME_MAX: Duration = Duration::from_secs(10);

/// One client's connection: joins topics, and is what goes wrong with a connection.
///
/// Clones are the same client. It reads all that it's sent, so what it got stays until an assertion takes it. When
/// the last clone and the last of its channels are dropped, the connection is lost.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/testing/doc.rs")); fn main() { run(async {
/// # use bennu::testing::{Close, assert_push, connect};
/// # use serde_json::json;
/// let client = connect(&endpoint(), "/socket", json!({"name": "ada"})).await?;
/// let room = client.join("room:1", json!({})).await?;
/// client.drop_incoming(1);                                  // the next message gets lost
/// room.push("shout", json!("lost"));
/// room.push("shout", json!("heard"));
/// assert_push!(room, "shout", "heard");
/// client.close().await;                                     // the server has ended all when this returns
/// assert_eq!(client.closed().await, Some(Close::new(1000, "")));
/// # Ok(()) }) }
/// ```
#[derive(Clone)]
pub struct Client {
    pub(super) link: Arc<Link>,
    pub(super) pubsub: PubSub,
}

impl Client {
    /// Joins a topic. Params are any JSON value, or `Bytes`.
    ///
    /// Phoenix's `join/3`; its reply is [`ClientChannel::joined`].
    ///
    /// # Errors
    ///
    /// The reply, when it isn't `ok`. With status `timeout` when there was none for ten seconds, and `closed` when
    /// the connection ended.
    ///
    /// # Panics
    ///
    /// When the params can't be encoded.
    pub async fn join(
        &self,
        topic: &str,
        params: impl Serialize,
    ) -> Result<ClientChannel, JoinError> {
        self.join_with(topic, params, None).await
    }

    /// As [`join`](Self::join), and listens to the topic, so that
    /// [`assert_broadcast!`](crate::assert_broadcast) can be asked of the channel.
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join).
    ///
    /// # Panics
    ///
    /// As [`join`](Self::join).
    pub async fn subscribe_and_join(
        &self,
        topic: &str,
        params: impl Serialize,
    ) -> Result<ClientChannel, JoinError> {
        let broadcasts = Broadcasts::new(&self.pubsub, topic, self.inbox().timeout());
        self.join_with(topic, params, Some(broadcasts)).await
    }

    async fn join_with(
        &self,
        topic: &str,
        params: impl Serialize,
        broadcasts: Option<Broadcasts>,
    ) -> Result<ClientChannel, JoinError> {
        let join_ref = self.inbox().next_ref();
        let pushed = self.send(Some(&join_ref), &join_ref, topic, JOIN, params);
        let answer = self
            .inbox()
            .wait(JOIN_TIME_MAX, |state| {
                let mut found = state.received.iter().enumerate();
                let answer = found.find_map(|(at, it)| match &it.kind {
                    Kind::Reply { r#ref, status } if *r#ref == pushed.r#ref => {
                        Some((at, status.clone(), it.payload.clone()))
                    }
                    _ => None,
                });
                match (answer, &state.close) {
                    (Some((at, status, response)), _) => {
                        state.received.remove(at);
                        Some(JoinError { status, response })
                    }
                    (None, Some(close)) => Some(JoinError {
                        status: "closed".to_owned(),
                        response: Payload::reason(&close.to_string()),
                    }),
                    (None, None) => None,
                }
            })
            .await
            .unwrap_or_else(|| JoinError {
                status: "timeout".to_owned(),
                response: Payload::empty(),
            });
        if answer.status != "ok" {
            return Err(answer);
        }
        let (client, topic) = (self.clone(), topic.to_owned());
        Ok(ClientChannel::new(
            client,
            topic,
            join_ref,
            answer.response,
            broadcasts,
        ))
    }

    /// Sends a heartbeat. Its reply comes after all that the server had sent before.
    #[must_use = "the reply says that the connection is alive"]
    pub fn heartbeat(&self) -> Pushed {
        let r#ref = self.inbox().next_ref();
        self.send(None, &r#ref, "phoenix", "heartbeat", ())
    }

    /// Sends a text as it is, for what no client would send.
    pub fn send_text(&self, text: impl Into<String>) {
        self.link.send_body(&Body::Text(text.into()));
    }

    /// Sends a binary message as it is.
    pub fn send_binary(&self, bytes: impl Into<Bytes>) {
        self.link.send_body(&Body::Binary(bytes.into()));
    }

    /// Closes the connection as a client does that leaves the page, with code 1000. When this returns the server has
    /// ended the connection and its channels, `terminate` included (it has five seconds).
    pub async fn close(&self) {
        self.link.close().await;
    }

    /// Loses the connection: its stream ends without a close frame, and what was pushed but hasn't left yet is
    /// lost. Returns as [`close`](Self::close).
    pub async fn disconnect(&self) {
        self.link.cut().await;
    }

    /// Waits until the connection has ended, and says how. `None` when it is still open after the
    /// [timeout](Self::set_timeout).
    pub async fn closed(&self) -> Option<Close> {
        let inbox = self.inbox();
        inbox.wait(inbox.timeout(), |it| it.close.clone()).await
    }

    /// Whether the connection has ended, as far as the client knows.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.inbox().with(|it| it.close.is_some())
    }

    /// How long an assertion of this client and its channels waits for what it expects, or for what it doesn't:
    /// 100 ms, as in Phoenix.
    pub fn set_timeout(&self, timeout: Duration) {
        self.inbox().with(|it| it.timeout = timeout);
    }

    pub(super) fn inbox(&self) -> &Inbox {
        &self.link.inbox
    }

    #[track_caller]
    pub(super) fn send(
        &self,
        join_ref: Option<&str>,
        r#ref: &str,
        topic: &str,
        event: &str,
        payload: impl Serialize,
    ) -> Pushed {
        let sent = Payload::new(&payload)
            .map_err(|error| error.to_string())
            .and_then(|payload| {
                let payload = &payload;
                self.link.send(&Sent {
                    join_ref,
                    r#ref,
                    topic,
                    event,
                    payload,
                })
            });
        if let Err(why) = sent {
            fail(&format!("failed to encode {event:?} on {topic:?}: {why}"));
        }
        Pushed {
            link: self.link.clone(),
            r#ref: r#ref.to_owned(),
            what: format!("{event:?} on {topic:?}"),
        }
    }
}

/// What may go wrong on the way. All of it on tokio's clock, so with a paused one it takes no time.
impl Client {
    /// Loses the next messages that the server sends.
    pub fn drop_incoming(&self, messages: usize) {
        self.faults(|it| it.drop_incoming += messages);
    }

    /// Loses the next messages that this client sends.
    pub fn drop_outgoing(&self, messages: usize) {
        self.faults(|it| it.drop_outgoing += messages);
    }

    /// From now on what the server sends takes this long to come.
    pub fn delay_incoming(&self, delay: Duration) {
        self.faults(|it| it.delay_incoming = delay);
    }

    /// From now on what this client sends takes this long to get there. It stays in order.
    pub fn delay_outgoing(&self, delay: Duration) {
        self.faults(|it| it.delay_outgoing = delay);
    }

    /// Reads nothing any more, as a client that hangs: what it's sent waits in 64 KiB of stream, and then in the
    /// server.
    pub fn stall(&self) {
        self.faults(|it| it.stalled = true);
    }

    /// Reads again after a [`stall`](Self::stall).
    pub fn resume(&self) {
        self.faults(|it| it.stalled = false);
    }

    fn faults(&self, change: impl FnOnce(&mut Faults)) {
        self.inbox().with(|it| change(&mut it.faults));
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Close {
    /// The close code (RFC 6455 section 7.4); `None` when the stream ended without one.
    pub code: Option<u16>,
    /// What the server said with it, or what else ended the connection.
    pub reason: String,
}

impl Close {
    /// A close by the server, to compare with.
    #[must_use]
    pub fn new(code: u16, reason: &str) -> Self {
        Self {
            code: Some(code),
            reason: reason.to_owned(),
        }
    }

    pub(super) fn lost(reason: &str) -> Self {
        Self {
            code: None,
            reason: reason.to_owned(),
        }
    }
}

impl fmt::Display for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "closed with code {code} {:?}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

/// The reply of a server that doesn't let a client join.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JoinError {
    /// `error`, or a word of this kit's: `timeout`, `closed`.
    pub status: String,
    /// The response, such as `{"reason": "unmatched topic"}`: see [`assert_payload!`](crate::assert_payload).
    pub response: Payload,
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the join got {:?} {}",
            self.status,
            Shown(&self.response)
        )
    }
}

impl std::error::Error for JoinError {}
