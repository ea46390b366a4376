//! A poll of a session, from its request until its answer has arrived.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Poll, Waker},
};

use bennu_wire::longpoll::{Ticket, Verdict};
use bytes::Bytes;
use tokio::time::Instant;

use super::session::Session;
use crate::transport::delivery::Delivered;

/// Dropped before it's known that its answer [arrived](Self::written), it leaves the messages to the next poll.
pub(crate) struct Polling {
    session: Arc<Session>,
    ticket: Ticket,
}

/// How much a poll is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    pub(super) messages: usize,
    /// Of all messages.
    pub(super) bytes: usize,
}

impl Polling {
    pub(super) fn new(session: Arc<Session>, ticket: Ticket) -> Self {
        Self { session, ticket }
    }

    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Waits for messages. None when the window is over, when another poll came, or when the session ended.
    pub(crate) async fn messages(&self) -> Option<Load> {
        poll_fn(|cx| self.poll_messages(cx.waker())).await
    }

    fn poll_messages(&self, waker: &Waker) -> Poll<Option<Load>> {
        let Session { conn, .. } = &*self.session;
        let mut state = self.session.lock();
        let now = Instant::now().into_std();
        match state.window.verdict(self.ticket, conn.backlog().1 > 0, now) {
            Verdict::Messages => {
                let (messages, bytes) = conn.hand_over();
                Poll::Ready(Some(Load { messages, bytes }))
            }
            Verdict::Wait if !state.ended => {
                state.waker = Some(waker.clone());
                Poll::Pending
            }
            Verdict::Wait | Verdict::Empty => Poll::Ready(None),
        }
    }

    /// One message of its answer. `None` once the answer is for a later poll to give, or for nobody.
    pub(crate) fn message(&self, index: usize) -> Option<Bytes> {
        let state = self.session.lock();
        let current = state.window.is_writing(self.ticket);
        current.then(|| self.session.conn.handed_frame(index))?
    }

    /// The answer was handed over to its end, and there will be news of it.
    pub(crate) fn leave(&self) {
        self.session.lock().window.leave(self.ticket);
    }

    /// The answer has left as a whole, and more can't be known of it: its messages may be forgotten.
    pub(crate) fn written(&self) {
        let mut state = self.session.lock();
        if state.window.written(self.ticket) {
            self.session.conn.handed_over();
        }
        state.settled();
    }
}

impl Delivered for Polling {
    fn received(self: Box<Self>) {
        self.written();
    }
}

impl Drop for Polling {
    fn drop(&mut self) {
        let waker = {
            let mut state = self.session.lock();
            if state.window.hung_up(self.ticket) {
                self.session.conn.take_back();
            }
            state.settled();
            if state.window.is_waiting() {
                None
            } else {
                state.waker.take()
            }
        };
        drop(waker);
    }
}
