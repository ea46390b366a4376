//! A poll of a session, from its request until its answer is written.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Poll, Waker},
};

use bennu_wire::longpoll::{Ticket, Verdict};
use bytes::Bytes;
use tokio::time::Instant;

use super::session::Session;

/// Dropped before its answer is [written](Self::written), it leaves the messages to the next poll.
pub(crate) struct Polling {
    session: Arc<Session>,
    ticket: Ticket,
}

impl Polling {
    pub(super) fn new(session: Arc<Session>, ticket: Ticket) -> Self {
        Self { session, ticket }
    }

    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Waits for messages. None when the window is over, when another poll came, or when the session ended.
    pub(crate) async fn messages(&self) -> Vec<Bytes> {
        poll_fn(|cx| self.poll_messages(cx.waker())).await
    }

    fn poll_messages(&self, waker: &Waker) -> Poll<Vec<Bytes>> {
        let Session { conn, .. } = &*self.session;
        let mut state = self.session.lock();
        let now = Instant::now().into_std();
        match state.window.verdict(self.ticket, conn.backlog().1 > 0, now) {
            Verdict::Messages => Poll::Ready(conn.hand_over()),
            Verdict::Wait if !state.ended => {
                state.waker = Some(waker.clone());
                Poll::Pending
            }
            Verdict::Wait | Verdict::Empty => Poll::Ready(Vec::new()),
        }
    }

    /// The answer was written to its end: its messages may be forgotten.
    pub(crate) fn written(&self) {
        let mut state = self.session.lock();
        if state.window.written(self.ticket) {
            self.session.conn.handed_over();
        }
    }
}

impl Drop for Polling {
    fn drop(&mut self) {
        let waker = {
            let mut state = self.session.lock();
            if state.window.hung_up(self.ticket) {
                self.session.conn.take_back();
            }
            if state.window.is_waiting() {
                None
            } else {
                state.waker.take()
            }
        };
        drop(waker);
    }
}
