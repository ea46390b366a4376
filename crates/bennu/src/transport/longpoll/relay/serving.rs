//! A request on the node that has its session.

use std::{sync::Arc, time::Duration};

use bennu_pubsub::NodeId;
use bytes::{BufMut, Bytes, BytesMut};
use tokio::{
    sync::mpsc::UnboundedReceiver,
    time::{Instant, timeout_at},
};

use super::{Ask, Heard, PART_BYTES_MAX, Part, Pieces, Relay, Said, Told, What, inbox::Room, lock};
use crate::{
    runtime::Close,
    transport::longpoll::{
        Desk,
        answer::Answer,
        polling::{Load, Polling},
        post::handle,
        session::Session,
    },
};

/// How long a body may be on its way between nodes.
const BODY_TIME_MAX: Duration = Duration::from_secs(10);
/// How long it may take to learn what became of an answer, and the least of it. Long before, its client has polled
/// again or is given up.
const FATE_WINDOWS: u32 = 4;
const FATE_TIME_MIN: Duration = Duration::from_secs(60);

/// One request of another node's client.
pub(super) struct Serving {
    relay: Arc<Relay>,
    from: NodeId,
    number: u64,
    saying: UnboundedReceiver<Heard<Said>>,
}

impl Serving {
    pub(super) fn new(
        relay: Arc<Relay>,
        from: NodeId,
        number: u64,
        saying: UnboundedReceiver<Heard<Said>>,
    ) -> Self {
        Self {
            relay,
            from,
            number,
            saying,
        }
    }

    pub(super) async fn run(mut self, ask: Ask) {
        let desk = self.relay.desk(&ask.mount);
        // Whoever can publish on the bus still needs a token.
        let Some(desk) = desk else {
            return self.tell(Told::Gone);
        };
        let session = match desk.session(&ask.token) {
            Ok(session) => session,
            Err(close) => {
                self.tell_close(close);
                return self.tell(Told::Gone);
            }
        };
        if ask.body_bytes > desk.options.body_bytes_max {
            return self.tell(Told::Gone);
        }
        self.tell(Told::Accepted);
        if ask.is_post {
            self.post(&desk, &session, &ask).await;
        } else {
            self.poll(&desk, &session).await;
        }
    }

    async fn poll(&mut self, desk: &Desk, session: &Arc<Session>) {
        let polling = session.poll_next().await;
        let load = tokio::select! {
            load = polling.messages() => load,
            () = lost(&mut self.saying) => return,
        };
        self.tell_close(session.ended());
        let Some(load) = load else {
            return self.tell(Told::Nothing);
        };
        // Until it's known whether this answer has left, the next poll waits.
        let underway = session.answers_elsewhere();
        if !self.tell_messages(&polling, load) {
            return;
        }
        let time_max = FATE_TIME_MIN.max(desk.options.window * FATE_WINDOWS);
        let deadline = Instant::now() + time_max;
        while let Ok(Some(said)) = timeout_at(deadline, self.saying.recv()).await {
            match &said.what {
                Said::Received => {
                    session.heard();
                    return polling.written();
                }
                Said::Lost => break,
                Said::Ask(_) | Said::Body(_) => {}
            }
        }
        // The messages are for the next poll again before that may go on.
        drop(polling);
        drop(underway);
    }

    /// Sends an answer in parts, which are copied from where the messages stay. False when they were another poll's
    /// meanwhile.
    fn tell_messages(&self, polling: &Polling, load: Load) -> bool {
        let commas = load.messages.saturating_sub(1);
        let brackets = 2;
        self.tell(Told::Messages(load.bytes + commas + brackets));
        let mut at = 0;
        let mut part =
            BytesMut::with_capacity((load.bytes + commas + brackets).min(PART_BYTES_MAX));
        let mut send = |bytes: Bytes| {
            let length = bytes.len();
            self.relay
                .send_parts(&self.from, self.number, &bytes, |it| {
                    let at = at + it.at;
                    What::Told(Told::Part(Part { at, ..it }))
                });
            at += length;
        };
        for index in 0..load.messages {
            let Some(message) = polling.message(index) else {
                return false;
            };
            part.put_u8(if index == 0 { b'[' } else { b',' });
            if part.len() + message.len() > PART_BYTES_MAX {
                send(part.split().freeze());
            }
            if message.len() > PART_BYTES_MAX {
                send(message);
            } else {
                part.put_slice(&message);
            }
        }
        part.put_u8(b']');
        send(part.freeze());
        true
    }

    async fn post(&mut self, desk: &Desk, session: &Arc<Session>, ask: &Ask) {
        session.heard();
        let Some((body, held)) = self.body(ask.body_bytes).await else {
            return self.tell(Told::Handled(408, String::new()));
        };
        let content_type = Some(ask.content_type.as_str()).filter(|it| !it.is_empty());
        let Some(room) = desk.bodies.reserve(body.len()) else {
            return self.tell(Told::Handled(408, String::new()));
        };
        let answer = tokio::select! {
            answer = handle(session, content_type, body) => answer,
            // Its client isn't there any more. What wasn't begun isn't done.
            () = lost(&mut self.saying) => return,
        };
        drop((room, held));
        if let Answer::Gone(close) = &answer {
            self.tell_close(close.clone());
        }
        let (status, why) = answer.outcome();
        self.tell(Told::Handled(status, why.to_owned()));
    }

    /// The body, and the memory that it takes.
    async fn body(&mut self, total: usize) -> Option<(Bytes, Option<Room>)> {
        let deadline = Instant::now() + BODY_TIME_MAX;
        let mut pieces = Pieces::new(total);
        while !pieces.is_whole() {
            // The end of what is said is that there was no room for it.
            let Heard { what, room } = timeout_at(deadline, self.saying.recv()).await.ok()??;
            match what {
                Said::Body(part) if pieces.add(&part, room) => {}
                _ => return None,
            }
        }
        let (bytes, room) = pieces.into_parts();
        Some((bytes.into(), room))
    }

    /// What comes next is the last, and this is why.
    fn tell_close(&self, close: Option<Close>) {
        if let Some(Close { code, reason, .. }) = close {
            self.tell(Told::Closed(code, reason.into_owned()));
        }
    }

    fn tell(&self, told: Told) {
        self.relay.send(&self.from, self.number, What::Told(told));
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let key = (self.from.clone(), self.number);
        let served = lock(&self.relay.served).remove(&key);
        drop(served);
    }
}

/// Waits until the request is gone.
async fn lost(saying: &mut UnboundedReceiver<Heard<Said>>) {
    while let Some(said) = saying.recv().await {
        if said.what == Said::Lost {
            return;
        }
    }
}
