//! The way between a client and the server: a byte stream in memory and two tasks, one for each direction.

use std::{
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bennu_websocket::Opcode;
use bennu_wire::Serializer;
use futures_util::future::{Either, select};
use tokio::{
    io::{
        AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, ReadHalf,
        WriteHalf, split,
    },
    sync::{mpsc, watch},
    task::AbortHandle,
    time::{Instant, sleep_until, timeout},
};

use super::{
    Close,
    frames::{self, Frame, Frames},
    inbox::Inbox,
    wire::{self, Body, Sent},
};

/// Bytes that may be under way, as in a kernel's buffers.
pub(super) const STREAM_BYTES: usize = 64 * 1024;

/// How often a client that has nothing to say shows that it's there, as others do by heartbeats: by a frame that nobody
/// answers (RFC 6455, section 5.5.3), so that a test sees none of it.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(30);

/// Ends the connection when it's dropped, as a client that vanishes.
#[derive(Debug)]
pub(super) struct Link {
    serializer: Serializer,
    pub(super) inbox: Arc<Inbox>,
    /// Frames, and when they reach the server. As long as what a test sends without ever waiting.
    outgoing: mpsc::UnboundedSender<(Instant, Vec<u8>)>,
    tasks: [AbortHandle; 2],
    /// Closed when the server has let go of the connection.
    gone: watch::Receiver<()>,
}

impl Link {
    pub(super) fn new(
        stream: DuplexStream,
        gone: watch::Receiver<()>,
        serializer: Serializer,
        silent: bool,
    ) -> Self {
        let inbox = Arc::new(Inbox::new());
        let (outgoing, queue) = mpsc::unbounded_channel();
        let (reader, writer) = split(stream);
        let writes = tokio::spawn(write(writer, queue, silent)).abort_handle();
        let pong = outgoing.downgrade();
        let reads = tokio::spawn({
            let (inbox, writes) = (inbox.clone(), writes.clone());
            async move {
                let close = read(reader, &inbox, serializer, &pong).await;
                writes.abort();
                inbox.with(|it| it.end(close));
            }
        });
        Self {
            serializer,
            inbox,
            outgoing,
            tasks: [reads.abort_handle(), writes],
            gone,
        }
    }

    /// Sends a message. On a connection that has ended it's lost. The error says why it can't be encoded.
    pub(super) fn send(&self, sent: &Sent<'_>) -> Result<(), String> {
        self.send_body(&wire::encode(self.serializer, sent)?);
        Ok(())
    }

    pub(super) fn send_body(&self, body: &Body) {
        let frame = match body {
            Body::Text(text) => frames::masked(Opcode::Text, text.as_bytes()),
            Body::Binary(bytes) => frames::masked(Opcode::Binary, bytes),
        };
        if let Some(at) = self.inbox.send_at() {
            let _ = self.outgoing.send((at, frame));
        }
    }

    /// Says goodbye, and waits for the server to end all that the connection had.
    pub(super) async fn close(&self) {
        let _ = self
            .outgoing
            .send((Instant::now(), frames::close(1000, "")));
        self.gone().await;
        self.inbox.until(|it| it.close.clone()).await;
    }

    /// Vanishes, and waits for the server to notice.
    pub(super) async fn cut(&self) {
        self.abort();
        self.inbox
            .with(|it| it.end(Close::lost("the client disconnected")));
        self.gone().await;
    }

    async fn gone(&self) {
        // It never changes: an error says that the other end is gone.
        while self.gone.clone().changed().await.is_ok() {}
    }

    fn abort(&self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.abort();
    }
}

async fn write(
    mut stream: WriteHalf<DuplexStream>,
    mut queue: mpsc::UnboundedReceiver<(Instant, Vec<u8>)>,
    silent: bool,
) {
    loop {
        let frame = match timeout(HEARTBEAT_INTERVAL, queue.recv()).await {
            Ok(Some((at, frame))) => {
                if at > Instant::now() {
                    sleep_until(at).await;
                }
                frame
            }
            Ok(None) => return,
            Err(_) if silent => continue,
            Err(_) => frames::masked(Opcode::Pong, &[]),
        };
        if stream.write_all(&frame).await.is_err() {
            return;
        }
    }
}

/// Reads until the end, and says how it ended.
async fn read(
    mut stream: ReadHalf<DuplexStream>,
    inbox: &Inbox,
    serializer: Serializer,
    outgoing: &mpsc::WeakUnboundedSender<(Instant, Vec<u8>)>,
) -> Close {
    let mut frames = Frames::default();
    let mut buffer = vec![0; STREAM_BYTES];
    loop {
        inbox.readable().await;
        let read = {
            let (read, stop) = (pin!(stream.read(&mut buffer)), pin!(inbox.unreadable()));
            match select(read, stop).await {
                Either::Left((read, _)) => read,
                Either::Right(_) => continue,
            }
        };
        match read {
            Ok(len @ 1..) => frames.push(buffer.get(..len).unwrap_or_default()),
            Ok(0) | Err(_) => return Close::lost("the stream ended without a close frame"),
        }
        let at = Instant::now() + inbox.with(|it| it.faults.delay_incoming);
        if at > Instant::now() {
            sleep_until(at).await;
        }
        loop {
            let body = match frames.next() {
                Ok(None) => break,
                Ok(Some(Frame::Text(text))) => Body::Text(text),
                Ok(Some(Frame::Binary(bytes))) => Body::Binary(bytes),
                Ok(Some(Frame::Ping(payload))) => {
                    if let Some(outgoing) = outgoing.upgrade() {
                        let pong = frames::masked(Opcode::Pong, &payload);
                        let _ = outgoing.send((Instant::now(), pong));
                    }
                    continue;
                }
                Ok(Some(Frame::Pong)) => continue,
                Ok(Some(Frame::Close { code, reason })) => return Close { code, reason },
                Err(what) => return Close::lost(&format!("the server sent {what}")),
            };
            match wire::decode(serializer, &body) {
                Ok(message) => inbox.with(|it| it.receive(message)),
                Err(why) => {
                    return Close::lost(&format!("the server sent no message: {why}: {body:?}"));
                }
            }
        }
    }
}

/// The server's end. That it's dropped is how a client knows that its connection is over on the server, channels
/// and all.
pub(super) struct ServerEnd {
    pub(super) stream: DuplexStream,
    pub(super) _gone: watch::Sender<()>,
}

impl AsyncRead for ServerEnd {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for ServerEnd {
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
