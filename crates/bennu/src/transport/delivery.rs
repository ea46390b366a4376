//! What becomes of an answer after it was handed to HTTP.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What wants to know of an answer whether it arrived. Dropped, it was lost.
pub(crate) trait Delivered: Send + 'static {
    /// The network has all of it, which is all that can be known: proxies reset connections whose answers they have read.
    fn received(self: Box<Self>);
}

/// An HTTP connection's knowledge of its last answer. A [server](crate::serve) puts one beside each request; where there
/// is none, an answer counts as received when HTTP has taken its last byte.
#[derive(Default)]
pub(crate) struct Delivery(Mutex<Option<Box<dyn Delivered>>>);

impl Delivery {
    /// An answer has been handed over to its last byte. One before it that hasn't left is lost.
    pub(crate) fn watch(&self, answer: Box<dyn Delivered>) {
        let previous = self.lock().replace(answer);
        drop(previous);
    }

    /// All that was handed over has left.
    pub(crate) fn flushed(&self) {
        let answer = self.lock().take();
        if let Some(answer) = answer {
            answer.received();
        }
    }

    /// The client asks for more. Who doesn't wait for the end of an answer doesn't have it.
    pub(crate) fn next_request(&self) {
        let unread = self.lock().take();
        drop(unread);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Box<dyn Delivered>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").finish_non_exhaustive()
    }
}
