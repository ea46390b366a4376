//! The body of a request.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::HttpBody;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

use super::{
    crowd::Crowd,
    pace::{Pace, too_slow},
};

/// A request's body, whose client has to send it.
#[derive(Debug)]
pub(super) struct Upload {
    body: Incoming,
    reads: Pace,
    crowd: Arc<Crowd>,
    /// Set when it's dropped with something left to read.
    left: Arc<AtomicBool>,
}

impl Upload {
    pub(super) fn new(
        body: Incoming,
        timeout: Duration,
        crowd: Arc<Crowd>,
        left: Arc<AtomicBool>,
    ) -> Self {
        Self {
            body,
            reads: Pace::new(timeout),
            crowd,
            left,
        }
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else {
            ready!(this.reads.wait(cx));
            this.crowd.count_slow_body();
            return Poll::Ready(Some(Err(too_slow())));
        };
        let bytes = match &frame {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
            _ => 0,
        };
        this.reads.passed(bytes);
        Poll::Ready(frame.map(|it| it.map_err(io::Error::other)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.body.is_end_stream() {
            self.left.store(true, Ordering::Relaxed);
        }
    }
}
