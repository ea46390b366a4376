//! What becomes of an answer after it was handed to HTTP.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What wants to know of an answer whether it arrived. Dropped, it was lost.
pub(crate) trait Delivered: Send + 'static {
    /// The network has all of it. It may still be lost.
    fn sent(&self);

    /// It arrived, for all that can be known.
    fn received(self: Box<Self>);
}

/// An HTTP connection's knowledge of its last answer. A [server](crate::serve) puts one beside each request; where there
/// is none, an answer counts as received when HTTP has taken its last byte.
#[derive(Default)]
pub(crate) struct Delivery(Mutex<Option<Watched>>);

struct Watched {
    answer: Box<dyn Delivered>,
    sent: bool,
}

impl Delivery {
    /// An answer has been handed over to its last byte.
    pub(crate) fn watch(&self, answer: Box<dyn Delivered>) {
        let watched = Watched {
            answer,
            sent: false,
        };
        let previous = self.lock().replace(watched);
        settle(previous);
    }

    /// All that was handed over has left.
    pub(crate) fn flushed(&self) {
        if let Some(watched) = self.lock().as_mut().filter(|it| !it.sent) {
            watched.sent = true;
            watched.answer.sent();
        }
    }

    /// The client goes on: it has what was sent.
    pub(crate) fn settle(&self) {
        let watched = self.lock().take();
        settle(watched);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Watched>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        // However the connection ended: proxies reset connections whose answers they have read.
        self.settle();
    }
}

/// Who goes on without waiting for the end of an answer doesn't have it.
fn settle(watched: Option<Watched>) {
    if let Some(Watched { answer, sent: true }) = watched {
        answer.received();
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").finish_non_exhaustive()
    }
}
