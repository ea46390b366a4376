//! The byte stream under HTTP.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::{
    crowd::Crowd,
    pace::{Pace, too_slow},
};
use crate::transport::delivery::Delivery;

/// A stream whose client has to read, and that knows when all was written.
///
/// A WebSocket is given the [stream](Self::into_inner) itself.
#[derive(Debug)]
pub(crate) struct Line<IO> {
    io: IO,
    writes: Pace,
    crowd: Arc<Crowd>,
    delivery: Arc<Delivery>,
}

/// What lines are made of.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// When this is dropped, nothing is to be left for the kernel to do.
    fn forsake(&self) {}
}

impl Socket for TcpStream {
    fn forsake(&self) {
        let _ = SockRef::from(self).set_linger(Some(Duration::ZERO));
    }
}

impl<IO> Line<IO> {
    pub(super) fn new(
        io: IO,
        timeout: Duration,
        crowd: Arc<Crowd>,
        delivery: Arc<Delivery>,
    ) -> Self {
        Self {
            io,
            writes: Pace::new(timeout),
            crowd,
            delivery,
        }
    }

    pub(crate) fn into_inner(self) -> IO {
        self.io
    }
}

impl<IO: Socket> Line<IO> {
    fn pace(
        &mut self,
        written: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(bytes)) => self.writes.passed(*bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                if self.writes.wait(cx).is_ready() {
                    self.crowd.count_slow_reader();
                    self.io.forsake();
                    return Poll::Ready(Err(too_slow()));
                }
            }
        }
        written
    }
}

impl<IO: Socket> AsyncRead for Line<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(cx, buffer)
    }
}

impl<IO: Socket> AsyncWrite for Line<IO> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write(cx, bytes);
        this.pace(written, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write_vectored(cx, slices);
        this.pace(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.io).poll_flush(cx);
        if let Poll::Ready(Ok(())) = flushed {
            this.writes.rest();
            this.delivery.flushed();
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
