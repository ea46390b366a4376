//! A request on the node that it came to.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::HttpBody;
use bennu_pubsub::NodeId;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use serde::{Deserialize, Deserializer, de};
use tokio::{
    sync::mpsc::UnboundedReceiver,
    time::{Instant, sleep, timeout_at},
};

use super::{Ask, Failed, Heard, Pieces, Relay, Said, Told, What, inbox::Room, lock};
use crate::{
    runtime::Close,
    transport::{
        delivery::{Delivered, Delivery},
        longpoll::answer::tail,
    },
};

/// How long a living node takes to say that it has a session, or hasn't.
const ACCEPT_TIME_MAX: Duration = Duration::from_millis(1_500);
/// How long an answer may be on its way beyond the window.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);
/// How long a poll waits for room, or for what was lost: its client asks again at once.
const PAUSE: Duration = Duration::from_secs(1);
/// What is written at once.
const CHUNK_BYTES: usize = 16 * 1024;
/// The longest answer that is taken: what some may have in an outbox of several megabytes.
const ANSWER_BYTES_MAX: usize = 32 << 20;

/// A request that another node was asked about. Dropped before it was [received](Delivered::received), its answer
/// counts as lost.
pub(crate) struct Asking {
    relay: Arc<Relay>,
    home: NodeId,
    number: u64,
    telling: UnboundedReceiver<Heard<Told>>,
    /// Why the session was closed, if that was told.
    close: Option<Close>,
    /// Nothing is left to say.
    settled: bool,
    outcome: Result<(), Failed>,
}

/// Whether the other node has the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accepted {
    Yes,
    /// It hasn't, or isn't there.
    No,
    /// It has too much to do.
    Busy,
}

/// What a request was answered with.
pub(crate) enum Passed {
    /// A poll waited in vain, or its answer is lost on the way, and its messages are for the next poll; or the session
    /// was closed meanwhile.
    Nothing(Option<Close>),
    /// A post came too late.
    Gone(Option<Close>),
    /// A poll fetched these messages.
    Messages(Relayed),
    /// A post was handled, or not.
    Handled(u16, String),
}

impl Relay {
    /// Asks for messages. `None` when too many requests are passed on already.
    pub(crate) fn poll(
        self: &Arc<Self>,
        home: &NodeId,
        mount: &str,
        token: &str,
    ) -> Option<Asking> {
        self.ask(home, mount, token, false, "", &Bytes::new())
    }

    /// Passes on what was posted. `None` as with polls.
    pub(crate) fn post(
        self: &Arc<Self>,
        home: &NodeId,
        mount: &str,
        token: &str,
        content_type: &str,
        body: &Bytes,
    ) -> Option<Asking> {
        self.ask(home, mount, token, true, content_type, body)
    }

    fn ask(
        self: &Arc<Self>,
        home: &NodeId,
        mount: &str,
        token: &str,
        is_post: bool,
        content_type: &str,
        body: &Bytes,
    ) -> Option<Asking> {
        let (number, telling) = self.place(home)?;
        let ask = Ask {
            is_post,
            body_bytes: body.len(),
            mount: mount.to_owned(),
            token: token.to_owned(),
            content_type: content_type.to_owned(),
        };
        self.send(home, number, What::Said(Said::Ask(ask)));
        self.send_parts(home, number, body, |part| What::Said(Said::Body(part)));
        Some(Asking {
            relay: self.clone(),
            home: home.clone(),
            number,
            telling,
            close: None,
            settled: false,
            outcome: Err(Failed::HungUp),
        })
    }
}

impl Asking {
    /// Whether there is such a session, which is known within 1.5 seconds.
    pub(crate) async fn accepted(&mut self) -> Accepted {
        let deadline = Instant::now() + ACCEPT_TIME_MAX;
        match self.told(deadline).await.map(|it| it.what) {
            Ok(Told::Accepted) => Accepted::Yes,
            Ok(Told::Busy) => {
                self.settled = true;
                self.outcome = Err(Failed::Busy);
                Accepted::Busy
            }
            Ok(Told::Gone) => {
                self.settled = true;
                self.outcome = Err(Failed::Gone);
                Accepted::No
            }
            _ => {
                self.outcome = Err(Failed::Silent);
                Accepted::No
            }
        }
    }

    /// Why the session was closed that isn't there.
    pub(crate) fn into_close(mut self) -> Option<Close> {
        self.close.take()
    }

    /// The answer to a request that was accepted.
    pub(crate) async fn answer(mut self, window: Duration, token: &str) -> Passed {
        let deadline = Instant::now() + window + ANSWER_TIME_MAX;
        match self.read(deadline, token).await {
            Ok(Read::Messages(body, room)) => Passed::Messages(Relayed {
                body,
                _room: room,
                asking: Some(self),
                delivery: None,
            }),
            Ok(Read::Nothing) => {
                self.answered();
                Passed::Nothing(self.close.take())
            }
            Ok(Read::Handled(410, _)) => {
                self.answered();
                Passed::Gone(self.close.take())
            }
            Ok(Read::Handled(status, why)) => {
                self.answered();
                Passed::Handled(status, why)
            }
            Err(why) => {
                self.outcome = Err(why);
                // The messages are free for another poll before this one is told so.
                drop(self);
                if why != Failed::Late {
                    sleep(PAUSE).await;
                }
                Passed::Nothing(None)
            }
        }
    }

    async fn read(&mut self, deadline: Instant, token: &str) -> Result<Read, Failed> {
        let total = loop {
            match self.told(deadline).await?.what {
                Told::Nothing => return Ok(Read::Nothing),
                Told::Handled(status, why) => return Ok(Read::Handled(status, why)),
                Told::Messages(total) => break total,
                Told::Accepted | Told::Gone | Told::Busy | Told::Part(_) | Told::Closed(..) => {}
            }
        };
        if total > ANSWER_BYTES_MAX {
            return Err(Failed::TooBig);
        }
        let mut pieces = Pieces::new(total);
        while !pieces.is_whole() {
            let Heard { what, room } = self.told(deadline).await?;
            match what {
                Told::Part(part) if pieces.add(&part, room) => {}
                _ => return Err(Failed::Broken),
            }
        }
        let (mut messages, room) = pieces.into_parts();
        // What comes over the bus may be anything.
        if serde_json::from_slice::<Vec<AnyText>>(&messages).is_err() {
            return Err(Failed::Broken);
        }
        let mut body = format!(r#"{{"status":200,"token":"{token}","messages":"#).into_bytes();
        // The tail has the bracket.
        if messages.pop() != Some(b']') {
            return Err(Failed::Broken);
        }
        body.append(&mut messages);
        body.extend_from_slice(tail(self.close.as_ref()).as_bytes());
        Ok(Read::Messages(body.into(), room))
    }

    fn answered(&mut self) {
        self.settled = true;
        self.outcome = Ok(());
    }

    async fn told(&mut self, deadline: Instant) -> Result<Heard<Told>, Failed> {
        loop {
            match timeout_at(deadline, self.telling.recv()).await {
                Ok(Some(heard)) => match heard.what {
                    Told::Closed(code, reason) => self.close = Some(Close::new(code, reason)),
                    _ => return Ok(heard),
                },
                // The relay has let go of it.
                Ok(None) => return Err(Failed::NoRoom),
                Err(_) => return Err(Failed::Late),
            }
        }
    }

    fn say(&self, said: Said) {
        self.relay.send(&self.home, self.number, What::Said(said));
    }
}

impl Delivered for Asking {
    fn received(mut self: Box<Self>) {
        self.answered();
        self.say(Said::Received);
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let asked = lock(&self.relay.asked).remove(&self.number);
        drop(asked);
        match self.outcome {
            Ok(()) => self.relay.counts.answered.add(1),
            Err(why) => self.relay.counts.fail(why),
        }
        if !self.settled {
            self.say(Said::Lost);
        }
    }
}

/// What another node answered.
enum Read {
    Nothing,
    Handled(u16, String),
    /// A body, and the memory that its messages take.
    Messages(Bytes, Option<Room>),
}

/// The body of an answer with messages of another node.
pub(crate) struct Relayed {
    body: Bytes,
    /// Until it's written.
    _room: Option<Room>,
    /// Until it's handed to whoever watches the delivery.
    asking: Option<Asking>,
    delivery: Option<Arc<Delivery>>,
}

impl Relayed {
    pub(crate) fn watched_by(mut self, delivery: Option<Arc<Delivery>>) -> Self {
        self.delivery = delivery;
        self
    }

    /// All of it is on its way.
    fn finish(&mut self) {
        let Some(asking) = self.asking.take().map(Box::new) else {
            return;
        };
        match self.delivery.take() {
            Some(delivery) => delivery.watch(asking),
            // Whoever serves this tells no more.
            None => asking.received(),
        }
    }
}

impl HttpBody for Relayed {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if this.body.is_empty() {
            return Poll::Ready(None);
        }
        let chunk = this.body.split_to(this.body.len().min(CHUNK_BYTES));
        if this.body.is_empty() {
            this.finish();
        }
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.body.len() as u64)
    }
}

/// A JSON string that nobody reads.
struct AnyText;

impl<'de> Deserialize<'de> for AnyText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = AnyText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E>(self, _: &str) -> Result<AnyText, E> {
                Ok(AnyText)
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

impl fmt::Debug for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asking")
            .field("home", &self.home)
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}
