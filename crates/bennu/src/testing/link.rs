//! The way between a client and the server: a byte stream in memory and two tasks, one for each direction.

use std::{
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bennu_websocket::{
    Event, Opcode,
    client::{self, Decoder},
};
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
    inbox::Inbox,
    wire::{self, Body, Sent},
};

/// Bytes that may be under way, as in a kernel's buffers.
pub(super) const STREAM_BYTES: usize = 64 * 1024;

/// Nobody listens in whom a random one could keep out.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

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
        heartbeat_interval: Duration,
    ) -> Self {
        let inbox = Arc::new(Inbox::new());
        let (outgoing, queue) = mpsc::unbounded_channel();
        let (reader, writer) = split(stream);
        let writes = tokio::spawn(write(writer, queue, heartbeat_interval)).abort_handle();
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
            Body::Text(text) => masked(Opcode::Text, text.as_bytes()),
            Body::Binary(bytes) => masked(Opcode::Binary, bytes),
        };
        if let Some(at) = self.inbox.send_at() {
            let _ = self.outgoing.send((at, frame));
        }
    }

    /// Says goodbye, and waits for the server to end all that the connection had.
    pub(super) async fn close(&self) {
        let mut frame = Vec::new();
        client::close(1000, "", MASK, &mut frame);
        let _ = self.outgoing.send((Instant::now(), frame));
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

fn masked(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    client::frame(opcode, MASK, payload, &mut frame);
    frame
}

async fn write(
    mut stream: WriteHalf<DuplexStream>,
    mut queue: mpsc::UnboundedReceiver<(Instant, Vec<u8>)>,
    heartbeat_interval: Duration,
) {
    loop {
        let frame = match timeout(heartbeat_interval, queue.recv()).await {
            Ok(Some((at, frame))) => {
                if at > Instant::now() {
                    sleep_until(at).await;
                }
                frame
            }
            Ok(None) => return,
            // Others say so by heartbeats, which are answered.
            Err(_) => masked(Opcode::Pong, &[]),
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
    let mut decoder = Decoder::new(usize::MAX);
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
        let mut rest = match read {
            Ok(len @ 1..) => buffer.get(..len).unwrap_or_default(),
            Ok(0) | Err(_) => return Close::lost("the stream ended without a close frame"),
        };
        let at = Instant::now() + inbox.with(|it| it.faults.delay_incoming);
        if at > Instant::now() {
            sleep_until(at).await;
        }
        loop {
            let event = match decoder.decode(rest) {
                Ok((used, event)) => {
                    rest = rest.get(used..).unwrap_or_default();
                    event
                }
                Err(error) => return Close::lost(&format!("the server broke a rule: {error}")),
            };
            let body = match event {
                None => break,
                Some(Event::Text(text)) => Body::Text(text.into_owned()),
                Some(Event::Binary(bytes)) => Body::Binary(bytes.into_owned().into()),
                Some(Event::Ping(payload)) => {
                    if let Some(outgoing) = outgoing.upgrade() {
                        let pong = masked(Opcode::Pong, &payload);
                        let _ = outgoing.send((Instant::now(), pong));
                    }
                    continue;
                }
                Some(Event::Pong(_)) => continue,
                Some(Event::Close(None)) => return Close::lost("closed without a code"),
                Some(Event::Close(Some((code, reason)))) => return Close::new(code, &reason),
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
