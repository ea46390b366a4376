//! The task of one WebSocket connection, over any byte stream.
//!
//! A hand-written future, so that an idle connection costs what its fields cost. It reads into a buffer of its
//! thread and keeps only what is incomplete; it writes what its outbox holds, small frames gathered. One poll
//! answers all that a read brought with one write.

use std::{
    cell::Cell,
    future::Future,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bennu_websocket::{Decoder, Event, Inflater, close::close_reply, encoder};
use bennu_wire::Frame;
use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Sleep,
};

use super::{
    Close, Conn, Seat, TOO_MANY_UNHANDLED,
    queue::{Chunk, WRITE_BYTES_MAX},
};
use crate::{
    Reason,
    telemetry::{Inspected, SocketDetails},
};

/// What is read at once.
const READ_BYTES_MAX: usize = 64 * 1024;
/// Reads and rounds of mail before other connections of the thread have their turn.
const ROUNDS_MAX: usize = 4;
/// How long a closing connection may take to write what is queued, to hear its peer and to end its channels.
const CLOSING_TIME_MAX: Duration = Duration::from_secs(5);
/// What a closing connection reads meanwhile, to forget it: as much as the kernel and the network may hold, and more.
const CLOSING_BYTES_MAX: usize = 64_000_000;

thread_local! {
    static READ: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static WRITE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static INFLATER: Cell<Inflater> = Cell::default();
}

/// What speaks on a connection. It sees messages, and answers through the connection's outbox.
pub(crate) trait Driver: Send + 'static {
    /// A message from the client. One that isn't any is an error that says how to close for it.
    fn receive(
        &mut self,
        frame: Frame<'_>,
        conn: &Arc<Conn>,
        cx: &mut Context<'_>,
    ) -> Result<(), Close>;

    /// A ping or pong from the client. Pings are answered already.
    fn control(&mut self, control: Control<'_>, conn: &Arc<Conn>, cx: &mut Context<'_>) {
        let _ = (control, conn, cx);
    }

    /// Whether it takes further messages now. When it does again, it wakes its task.
    fn ready(&self) -> bool {
        true
    }

    /// What it knows of its client.
    fn inspect(&self) -> Inspected {
        Inspected::default()
    }

    /// Goes on with what it has begun, and takes its mail.
    fn poll(&mut self, conn: &Arc<Conn>, cx: &mut Context<'_>);

    /// Ends what it has begun: the connection closes.
    fn poll_close(&mut self, reason: Reason, conn: &Arc<Conn>, cx: &mut Context<'_>) -> Poll<()>;
}

/// A byte stream.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin {
    /// Its other end, where that's known.
    fn peer_addr(&self) -> Option<SocketAddr> {
        None
    }
}

impl Stream for TcpStream {
    fn peer_addr(&self) -> Option<SocketAddr> {
        Self::peer_addr(self).ok()
    }
}

/// A control frame.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Control<'a> {
    Ping(&'a [u8]),
    Pong(&'a [u8]),
}

/// The task of one connection.
pub(crate) struct Connection<IO, D> {
    io: IO,
    conn: Arc<Conn>,
    driver: Box<D>,
    decoder: Decoder,
    place: u32,
    stage: Stage,
}

enum Stage {
    /// Something was read and isn't handled yet: behind the handshake, while answers wait to be written, or while a long
    /// message is inflated.
    Unhandled(Box<BytesMut>),
    Open,
    Closing(Box<Closing>),
}

/// Why a connection isn't open any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Somebody asked for it: the server, or the client by a close frame.
    Asked,
    /// The stream ended or failed: there's nobody to write to.
    Lost,
}

struct Closing {
    reason: Reason,
    deadline: Pin<Box<Sleep>>,
    driver_ended: bool,
    written: bool,
    peer_ended: bool,
    /// What may still be read, and isn't looked at.
    unread_bytes: usize,
}

impl<IO, D> Connection<IO, D>
where
    IO: Stream,
    D: Driver,
{
    /// `read` is what the client sent behind its handshake.
    pub(crate) fn new(io: IO, read: BytesMut, seat: Seat, conn: Arc<Conn>, driver: D) -> Self {
        let place = seat.enter(&conn);
        let stage = if read.is_empty() {
            Stage::Open
        } else {
            Stage::Unhandled(Box::new(read))
        };
        Self {
            io,
            conn,
            driver: Box::new(driver),
            decoder: Decoder::default(),
            place,
            stage,
        }
    }

    /// Runs while the connection is open.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.conn.unpark();
        for _ in 0..ROUNDS_MAX {
            self.driver.poll(&self.conn, cx);
            self.conn.answer(|| self.details());
            if self.conn.is_closing() {
                return Poll::Ready(End::Asked);
            }
            let written = match self.poll_write(cx) {
                Poll::Ready(Err(_)) => return Poll::Ready(End::Lost),
                Poll::Ready(Ok(())) => true,
                Poll::Pending => false,
            };
            if (written || !self.conn.is_overdue()) && self.driver.ready() {
                match self.poll_read(cx) {
                    Poll::Ready(Ok(true)) => continue,
                    Poll::Ready(Ok(false) | Err(_)) => return Poll::Ready(End::Lost),
                    Poll::Pending => {}
                }
            }
            if self.conn.park(cx.waker()) {
                return Poll::Pending;
            }
        }
        // There's always more, from the client or from channels that send to themselves.
        others_first(cx);
        Poll::Pending
    }

    fn details(&self) -> SocketDetails {
        let Inspected { id, channels } = self.driver.inspect();
        SocketDetails {
            id,
            peer: self.io.peer_addr(),
            channels,
        }
    }

    /// Writes all that is queued.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = WRITE.take();
        let (mut written, mut progress) = (0, false);
        let result = loop {
            let poll = match self.conn.next_chunk(written, &mut scratch) {
                Chunk::Nothing => break Poll::Ready(Ok(())),
                Chunk::Gathered => Pin::new(&mut self.io).poll_write(cx, &scratch),
                Chunk::Frame(frame) => Pin::new(&mut self.io).poll_write(cx, &frame),
            };
            match poll {
                Poll::Ready(Ok(0)) => break Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(n)) => {
                    written = n;
                    progress = true;
                }
                Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.conn.blocked();
                    if progress {
                        // While much is unread the client isn't listened to, but that it reads is a sign of life, too.
                        self.conn.heard();
                    }
                    break Poll::Pending;
                }
            }
        };
        if scratch.capacity() <= 2 * WRITE_BYTES_MAX {
            WRITE.set(scratch);
        }
        match result {
            // A stream that buffers must be told to pass it on.
            Poll::Ready(Ok(())) => Pin::new(&mut self.io).poll_flush(cx),
            other => other,
        }
    }

    /// Reads once and handles what came. False at the stream's end.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if let Stage::Unhandled(read) = &mut self.stage {
            let mut read = std::mem::take(&mut **read);
            self.stage = Stage::Open;
            self.handle(&mut read, cx);
            return Poll::Ready(Ok(true));
        }
        let mut buffer = READ.take();
        buffer.resize(READ_BYTES_MAX, 0);
        let mut read = ReadBuf::new(&mut buffer);
        let result = match Pin::new(&mut self.io).poll_read(cx, &mut read) {
            Poll::Ready(Ok(())) if read.filled().is_empty() => Poll::Ready(Ok(false)),
            Poll::Ready(Ok(())) => {
                self.conn.heard();
                self.handle(read.filled_mut(), cx);
                Poll::Ready(Ok(true))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        };
        READ.set(buffer);
        result
    }

    /// Handles what was read; when the answers pile up, the rest is kept until they are written.
    fn handle(&mut self, input: &mut [u8], cx: &mut Context<'_>) {
        let bytes = input.len();
        let held = self.decoder.held_bytes();
        let mut messages = 0;
        let mut inflater = INFLATER.take();
        let rest = self.handle_with(&mut inflater, input, &mut messages, cx);
        INFLATER.set(inflater);
        // What is left is counted when it's handled.
        self.conn.received(messages, bytes - rest.len());
        if !rest.is_empty() || self.decoder.is_inflating() {
            self.stage = Stage::Unhandled(Box::new(BytesMut::from(&*rest)));
        }
        let holds = self.decoder.held_bytes();
        if !self.conn.mount().unhandled.change(held, holds) {
            self.conn.mount().counters.frames_refused.add(1);
            self.conn.close(Close::new(1013, TOO_MANY_UNHANDLED));
            self.forget_unfinished();
        }
    }

    /// Lets go of a message that is under way.
    fn forget_unfinished(&mut self) {
        let held = std::mem::take(&mut self.decoder).held_bytes();
        self.conn.mount().unhandled.change(held, 0);
    }

    /// Returns what isn't handled.
    fn handle_with<'a>(
        &mut self,
        inflater: &mut Inflater,
        mut input: &'a mut [u8],
        messages: &mut usize,
        cx: &mut Context<'_>,
    ) -> &'a mut [u8] {
        let Self {
            conn,
            driver,
            decoder,
            ..
        } = self;
        while !input.is_empty() || decoder.is_inflating() {
            let (used, event) = match decoder.decode(conn.decoder_config(), inflater, input) {
                Ok(decoded) => decoded,
                Err(error) => {
                    conn.mount().counters.frames_refused.add(1);
                    conn.close(Close::new(error.code(), error.reason()));
                    return &mut [];
                }
            };
            if let Some(Event::Text(_) | Event::Binary(_)) = event {
                *messages += 1;
            }
            let received = match event {
                None => Ok(()),
                Some(Event::Text(text)) => driver.receive(Frame::Text(&text), conn, cx),
                Some(Event::Binary(bytes)) => driver.receive(Frame::Binary(&bytes), conn, cx),
                Some(Event::Ping(payload)) => {
                    conn.send(encoder::pong(&payload));
                    driver.control(Control::Ping(&payload), conn, cx);
                    Ok(())
                }
                Some(Event::Pong(payload)) => {
                    driver.control(Control::Pong(&payload), conn, cx);
                    Ok(())
                }
                Some(Event::Close(close)) => {
                    Err(Close::reply(close_reply(close.map(|(code, _)| code))))
                }
            };
            if let Err(close) = received {
                conn.close(close);
            }
            if conn.is_closing() {
                return &mut [];
            }
            input = match std::mem::take(&mut input).split_at_mut_checked(used) {
                Some((_, rest)) => rest,
                None => return &mut [],
            };
            // Others have their turn before the next part is inflated.
            if decoder.is_inflating() || conn.is_overdue() {
                return input;
            }
        }
        input
    }

    /// Starts to close. The close frame goes out behind what is queued.
    fn begin_close(&mut self, end: End) {
        let close = self.conn.closing();
        if let Some(Close { code, reason, .. }) = &close {
            self.conn.seal(encoder::close(*code, reason));
        }
        let gone = end == End::Lost;
        let reason = match close {
            Some(Close { by_peer: false, .. }) if !gone => Reason::Disconnected,
            _ => Reason::Closed,
        };
        self.forget_unfinished();
        // Whatever the reason, from here nothing more is taken.
        self.conn.close(Close::lost());
        let deadline = Box::pin(tokio::time::sleep(CLOSING_TIME_MAX));
        self.stage = Stage::Closing(Box::new(Closing {
            reason,
            deadline,
            driver_ended: false,
            written: gone,
            peer_ended: gone,
            unread_bytes: CLOSING_BYTES_MAX,
        }));
    }

    /// Ends the channels, writes what is queued, says that nothing more comes, and waits for the peer to say the
    /// same: were the stream dropped while the peer still sends, it could miss the close frame.
    fn poll_closing(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Stage::Closing(mut closing) = std::mem::replace(&mut self.stage, Stage::Open) else {
            return Poll::Ready(());
        };
        if !closing.driver_ended {
            closing.driver_ended = self
                .driver
                .poll_close(closing.reason, &self.conn, cx)
                .is_ready();
        }
        if !closing.written {
            closing.written = match self.poll_write(cx) {
                Poll::Ready(Ok(())) => Pin::new(&mut self.io).poll_shutdown(cx).is_ready(),
                Poll::Ready(Err(_)) => {
                    closing.peer_ended = true;
                    true
                }
                Poll::Pending => false,
            };
        }
        if !closing.peer_ended {
            closing.peer_ended = self
                .poll_peer_ended(&mut closing.unread_bytes, cx)
                .is_ready();
        }
        let ended = closing.driver_ended && closing.written && closing.peer_ended;
        if ended || closing.deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        self.stage = Stage::Closing(closing);
        Poll::Pending
    }

    /// Reads and forgets until the peer ends, or has sent more than anybody who listens would.
    fn poll_peer_ended(&mut self, unread_bytes: &mut usize, cx: &mut Context<'_>) -> Poll<()> {
        let mut buffer = READ.take();
        buffer.resize(READ_BYTES_MAX, 0);
        let poll = loop {
            let mut read = ReadBuf::new(&mut buffer);
            match Pin::new(&mut self.io).poll_read(cx, &mut read) {
                Poll::Ready(Ok(())) if !read.filled().is_empty() => {
                    match unread_bytes.checked_sub(read.filled().len()) {
                        Some(left) => *unread_bytes = left,
                        None => break Poll::Ready(()),
                    }
                }
                Poll::Ready(_) => break Poll::Ready(()),
                Poll::Pending => break Poll::Pending,
            }
        };
        READ.set(buffer);
        poll
    }
}

impl<IO, D> Future for Connection<IO, D>
where
    IO: Stream,
    D: Driver,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if !matches!(self.stage, Stage::Closing(_)) {
            let end = ready!(self.poll_open(cx));
            self.begin_close(end);
        }
        self.poll_closing(cx)
    }
}

impl<IO, D> Drop for Connection<IO, D> {
    fn drop(&mut self) {
        // Whoever still holds the outbox shall not fill it.
        self.conn.close(Close::lost());
        let held = self.decoder.held_bytes();
        self.conn.mount().unhandled.change(held, 0);
        self.conn.drop_mail();
        self.conn.mount().leave(self.place);
    }
}

/// Has the task run again after all others, those among them for whom something has come meanwhile: were it just to wake
/// itself, it would be run many times before the runtime looks for that.
pub(crate) fn others_first(cx: &mut Context<'_>) {
    let _ = pin!(tokio::task::yield_now()).poll(cx);
}
