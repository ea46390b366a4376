//! How slow the other end of a connection may be.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep};

/// What has to be done within the time: less only if it's all there is.
pub(super) const PACE_BYTES: usize = 8 * 1024;

/// Watches over one direction of a connection: whenever it was waited for the other end for so long, this much must have
/// passed since.
///
/// Only waiting counts, so whoever produces or consumes the bytes on this side may take its time.
#[derive(Debug)]
pub(super) struct Pace {
    timeout: Duration,
    /// In all since the last [`PACE_BYTES`].
    waited: Duration,
    bytes: usize,
    waiting: Option<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    since: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Pace {
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            waited: Duration::ZERO,
            bytes: 0,
            waiting: None,
        }
    }

    /// Nothing moves: ready when it was waited for too long.
    pub(super) fn wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let left = self.timeout.saturating_sub(self.waited);
        let waiting = self.waiting.get_or_insert_with(|| Waiting {
            since: Instant::now(),
            timer: Box::pin(sleep(left)),
        });
        waiting.timer.as_mut().poll(cx)
    }

    /// So many bytes have passed.
    pub(super) fn passed(&mut self, bytes: usize) {
        if let Some(waiting) = self.waiting.take() {
            self.waited += waiting.since.elapsed();
        }
        self.bytes += bytes;
        if self.bytes >= PACE_BYTES {
            self.rest();
        }
    }

    /// There is nothing to wait for.
    pub(super) fn rest(&mut self) {
        self.waited = Duration::ZERO;
        self.bytes = 0;
        self.waiting = None;
    }
}

/// What an operation fails with whose other end is too slow.
pub(super) fn too_slow() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the client is too slow")
}
