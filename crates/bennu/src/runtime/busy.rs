//! What a connection has only while something runs, waits or ends.

use bennu_wire::Bucket;
use futures_util::{future::Abortable, stream::FuturesUnordered};

use super::{running::Running, unhandled::Share};
use crate::Reason;

/// What an idle connection doesn't have.
pub(super) struct Busy<S> {
    /// Callbacks that didn't end at once.
    pub(super) running: FuturesUnordered<Abortable<Running<S>>>,
    /// How often the client may still send, where there is a limit.
    pub(super) bucket: Bucket,
    /// Of the messages that wait for busy channels.
    pub(super) queued_bytes: usize,
    /// Of all that waits: for busy channels, and for joins to be decided.
    pub(super) share: Option<Share>,
    /// Set when the connection ends.
    pub(super) ending: Option<Reason>,
}

impl<S> Busy<S> {
    /// Whether there is anything in it that matters.
    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty()
            && self.bucket == Bucket::default()
            && self.queued_bytes == 0
            && self.ending.is_none()
    }
}

impl<S> Default for Busy<S> {
    fn default() -> Self {
        Self {
            running: FuturesUnordered::new(),
            bucket: Bucket::default(),
            queued_bytes: 0,
            share: None,
            ending: None,
        }
    }
}
