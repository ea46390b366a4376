//! A stream that is read in turns, so that a server which never stops talking doesn't keep others waiting.

use std::{
    future::Future,
    io,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is read before others have their turn. What one read brings may go beyond.
const TURN_BYTES: usize = 64 << 10;

/// Reads from a stream until a turn is over. Writing is as it was.
///
/// It is here that turns end, since nothing above sees all that comes: fragments are put together, and empty ones
/// passed over, within the WebSocket library.
pub(super) struct Turns<S> {
    stream: S,
    read: usize,
}

impl<S> Turns<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, read: 0 }
    }
}

/// Lets others have their turn, the clock and signals among them: a plain wake would keep those waiting.
pub(super) fn pause<T>(cx: &mut Context<'_>) -> Poll<T> {
    let _ = pin!(tokio::task::yield_now()).poll(cx);
    Poll::Pending
}

impl<S: AsyncRead + Unpin> AsyncRead for Turns<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read >= TURN_BYTES {
            self.read = 0;
            return pause(cx);
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.read = match polled {
            Poll::Ready(_) => self.read + buffer.filled().len().saturating_sub(before),
            // That was the others' turn.
            Poll::Pending => 0,
        };
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Turns<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, repeat};

    use super::*;

    #[tokio::test]
    async fn a_stream_without_end_is_read_a_turn_at_a_time() {
        let mut endless = Turns::new(repeat(b'x'));
        for _ in 0..3 {
            // All of one poll, as a reader does that goes on while there is more.
            let read = poll_fn(|cx| {
                let (mut read, mut space) = (0, [0; 4096]);
                while read <= 2 * TURN_BYTES {
                    let mut buffer = ReadBuf::new(&mut space);
                    if Pin::new(&mut endless)
                        .poll_read(cx, &mut buffer)
                        .is_pending()
                    {
                        break;
                    }
                    read += buffer.filled().len();
                }
                Poll::Ready(read)
            });
            let read = read.await;
            assert!((TURN_BYTES..TURN_BYTES + 4096).contains(&read), "{read}");
        }
    }

    #[tokio::test]
    async fn who_reads_is_woken_for_the_next_turn() {
        let mut endless = Turns::new(repeat(b'x'));
        let mut bytes = vec![0; 3 * TURN_BYTES];
        let read = endless.read_exact(&mut bytes).await;
        assert!(read.is_ok() && bytes.iter().all(|it| *it == b'x'));
    }
}
