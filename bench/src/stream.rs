//! A byte stream in memory: its client joins and then only listens.

use std::{
    io,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::Result;

/// Bytes written to all streams.
static WRITTEN: AtomicU64 = AtomicU64::new(0);
/// How long the bench waits for them.
const PATIENCE: Duration = Duration::from_secs(120);

/// Two words when it's idle.
#[derive(Debug)]
pub(crate) struct Stream {
    /// What the client has sent and nobody has read.
    sent: Box<[u8]>,
}

impl Stream {
    pub(crate) fn new(sent: Vec<u8>) -> Self {
        Self { sent: sent.into() }
    }
}

/// Waits until so many bytes were written to all streams.
pub(crate) async fn written(bytes: u64) -> Result<()> {
    let start = Instant::now();
    let so_far = || WRITTEN.load(Ordering::Relaxed);
    while so_far() < bytes {
        if start.elapsed() > PATIENCE {
            let written = so_far();
            return Err(format!("expected {bytes} bytes, {written} were written").into());
        }
        tokio::task::yield_now().await;
    }
    match so_far() {
        it if it == bytes => Ok(()),
        more => Err(format!("expected {bytes} bytes, {more} were written").into()),
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let sent = std::mem::take(&mut self.sent);
        if sent.is_empty() {
            // Nothing will come any more, so nobody needs to be woken.
            return Poll::Pending;
        }
        let (read, rest) = sent.split_at(sent.len().min(buffer.remaining()));
        buffer.put_slice(read);
        self.sent = rest.into();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        WRITTEN.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
