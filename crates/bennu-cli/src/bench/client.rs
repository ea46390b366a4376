//! One connection's life: it opens, joins, does as it's told, and ends or comes back.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bennu_websocket::client::{self, Decoder, frame};
use bennu_websocket::{Event, Opcode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::time::sleep;

use super::cause::Cause;
use super::clock::{now_ns, until};
use super::measure::Timed;
use super::member::{Command, Desk, MASK, Member, Scratch};
use super::scenario::Scenario;
use super::shared::Shared;
use super::stream::{Dialer, Stream};

/// One for each thread: what it held has been taken in before anybody else reads.
const READ_BYTES: usize = 64 * 1024;
/// The longest message from a server: a presence state of many thousands.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What waits to be written may keep its buffer up to here.
const KEPT_BYTES_MAX: usize = 1024;
/// How long a server may take to answer a goodbye.
const FAREWELL: Duration = Duration::from_secs(1);
/// When a client that was cut tries again, as phoenix.js does; then every time after the last.
const RECONNECT_MS: [u64; 10] = [10, 50, 100, 150, 200, 250, 500, 1000, 2000, 5000];

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// What a worker hears of its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// It's open, and has joined.
    Ready,
    /// It came to nothing.
    Failed,
    /// It was ready, and has ended without being told to.
    Dropped,
    /// It was ready, and was cut as it was told to.
    Cut,
    /// Its task is over.
    Gone,
}

/// How a connection ended.
enum End {
    Closed,
    /// On command, at this time.
    Cut(u64),
    Lost(Cause),
}

/// One client's life.
pub(crate) struct Life {
    pub(crate) n: u64,
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) inbox: UnboundedReceiver<Command>,
    pub(crate) news: UnboundedSender<News>,
}

impl Life {
    /// Lives it; `turn` is held while it connects for the first time.
    pub(crate) async fn live<T>(mut self, turn: T) {
        let mut turn = Some(turn);
        // When it was cut, and how often it has tried to come back.
        let mut cut: Option<(u64, usize)> = None;
        loop {
            let end = self.connection(cut.map(|it| it.0), &mut turn).await;
            turn = None;
            let ms = match (end, &mut cut) {
                (End::Cut(at_ns), cut) => {
                    *cut = Some((at_ns, 0));
                    RECONNECT_MS.first()
                }
                (End::Lost(cause), Some((_, attempt))) => {
                    self.shared.recorder.page(self.n).blame(&cause.to_string());
                    *attempt += 1;
                    RECONNECT_MS.get(*attempt).or(RECONNECT_MS.last())
                }
                (End::Lost(cause), None) => {
                    self.shared.recorder.page(self.n).blame(&cause.to_string());
                    break;
                }
                (End::Closed, _) => break,
            };
            let pause = Duration::from_millis(ms.copied().unwrap_or_default());
            if self.is_closed_within(pause).await {
                break;
            }
        }
        // What it was told and won't do is skipped.
        self.inbox.close();
        while let Ok(command) = self.inbox.try_recv() {
            self.skip(command);
        }
        // Nobody may be left to hear it.
        let _ = self.news.send(News::Gone);
    }

    fn skip(&self, command: Command) {
        if self.shared.is_counted(command) {
            self.shared
                .recorder
                .page(self.n)
                .count(|it| it.skipped += 1);
        }
    }

    /// Whether it's told to close before it tries again. Nothing else is told to those who are cut.
    async fn is_closed_within(&mut self, pause: Duration) -> bool {
        tokio::time::timeout(pause, closed(&mut self.inbox))
            .await
            .is_ok()
    }

    /// Opens a connection, joins, and does as it's told until the connection ends.
    async fn connection<T>(&mut self, cut_ns: Option<u64>, turn: &mut Option<T>) -> End {
        let began_ns = now_ns();
        // A farewell must not wait until a server that says nothing is given up.
        let opened = tokio::select! {
            // Boxed, so that a connection that is open doesn't keep the room that opening it took.
            opened = Box::pin(self.dialer.open(self.n)) => opened,
            () = closed(&mut self.inbox) => return End::Closed,
        };
        let (stream, first) = match opened {
            Ok(opened) => opened,
            Err(cause) => {
                self.failed(cut_ns);
                return End::Lost(cause);
            }
        };
        *turn = None;
        {
            let mut page = self.shared.recorder.page(self.n);
            page.count(|it| it.opened += 1);
            page.tick(|it| it.opened += 1);
            page.time(Timed::Connect, now_ns().saturating_sub(began_ns));
        }
        let shared = self.shared.clone();
        let mut client = Client::new(self.n, &shared, stream);
        let end = self.member(&mut client, &first, cut_ns).await;
        client.member.abandon(&shared);
        end
    }

    async fn member(&mut self, client: &mut Client<'_>, first: &[u8], cut_ns: Option<u64>) -> End {
        client.with_desk(Member::join);
        let joined = tokio::select! {
            joined = client.join(first) => joined,
            () = closed(&mut self.inbox) => return End::Closed,
        };
        if let Err(cause) = joined {
            self.failed(cut_ns);
            return End::Lost(cause);
        }
        if let Some(cut_ns) = cut_ns {
            client.came_back(cut_ns);
        }
        let _ = self.news.send(News::Ready);
        match client.obey(&mut self.inbox).await {
            Ok(Command::Cut(at_ns)) => {
                sleep(until(at_ns)).await;
                let _ = self.news.send(News::Cut);
                End::Cut(at_ns)
            }
            Ok(_) => {
                client.goodbye().await;
                End::Closed
            }
            Err(cause) => {
                self.shared
                    .recorder
                    .page(self.n)
                    .count(|it| it.dropped += 1);
                let _ = self.news.send(News::Dropped);
                End::Lost(cause)
            }
        }
    }

    /// One that was cut tries again, and isn't given up.
    fn failed(&self, cut_ns: Option<u64>) {
        let mut page = self.shared.recorder.page(self.n);
        page.tick(|it| it.failed += 1);
        page.count(|it| it.failed += 1);
        if cut_ns.is_none() {
            let _ = self.news.send(News::Failed);
        }
    }
}

/// Opens one connection, joins, and tries what the scenario is about, so that what is wrong with a run shows before it
/// begins.
pub(crate) async fn probe(dialer: &Dialer, shared: &Shared) -> Result<(), Cause> {
    let n = shared.share.first;
    let (stream, first) = dialer.open(n).await?;
    let mut client = Client::new(n, shared, stream);
    client.with_desk(Member::join);
    client.join(&first).await?;
    let now_ns = now_ns();
    let (commands, what) = match shared.course.scenario {
        Scenario::Idle | Scenario::ReconnectStorm => (
            vec![Command::Heartbeat(now_ns)],
            "a reply to a heartbeat".to_owned(),
        ),
        Scenario::Echo => (
            vec![Command::Push(now_ns)],
            format!("a reply to {} (--event)", shared.event),
        ),
        Scenario::FanOut => (
            vec![Command::Push(now_ns)],
            format!(
                "a broadcast of what {} (--broadcast-event) had in its payload",
                shared.event
            ),
        ),
        Scenario::Presence => (
            vec![
                Command::Change(now_ns, false),
                Command::Change(now_ns, true),
            ],
            "a presence_diff with a key that ends in the connection's number (--params)".to_owned(),
        ),
    };
    for command in commands {
        client.with_desk(|member, desk| member.obey(command, desk));
    }
    let answered = poll_fn(|cx| {
        let ended = client.poll(cx);
        let counts = shared.recorder.counts();
        match ended {
            _ if counts.errors > 0 => Poll::Ready(Err(Cause::NotOk(shared.course.event.clone()))),
            _ if counts.received > 0 || client.member.is_quiet(shared) => Poll::Ready(Ok(())),
            Poll::Ready(cause) => Poll::Ready(Err(cause)),
            Poll::Pending => Poll::Pending,
        }
    });
    let answered = tokio::time::timeout(shared.plan.timeout, answered).await;
    answered.unwrap_or(Err(Cause::Timeout(what)))?;
    client.goodbye().await;
    Ok(())
}

/// Ready when a client is told to close, whatever else it's told.
async fn closed(inbox: &mut UnboundedReceiver<Command>) {
    while !matches!(inbox.recv().await, None | Some(Command::Close)) {}
}

/// One open connection.
struct Client<'a> {
    n: u64,
    shared: &'a Shared,
    stream: Stream,
    decoder: Decoder,
    member: Member,
    /// Frames that wait to be written.
    out: Vec<u8>,
}

impl<'a> Client<'a> {
    fn new(n: u64, shared: &'a Shared, stream: Stream) -> Self {
        Self {
            n,
            shared,
            stream,
            decoder: Decoder::new(MESSAGE_BYTES_MAX),
            member: Member::new(n, shared),
            out: Vec::new(),
        }
    }

    /// Takes in what came first, and goes on until all is joined.
    async fn join(&mut self, first: &[u8]) -> Result<(), Cause> {
        self.take_in(first)?;
        let timeout = self.shared.plan.timeout;
        let ready = poll_fn(|cx| match self.poll(cx) {
            Poll::Ready(cause) => Poll::Ready(Err(cause)),
            Poll::Pending if self.member.is_ready() => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        });
        let ready = tokio::time::timeout(timeout, ready);
        ready
            .await
            .unwrap_or_else(|_| Err(Cause::Timeout("a join".to_owned())))
    }

    /// Does as it's told until that is to cut or to close.
    async fn obey(&mut self, inbox: &mut UnboundedReceiver<Command>) -> Result<Command, Cause> {
        poll_fn(|cx| {
            while let Poll::Ready(command) = inbox.poll_recv(cx) {
                match command.unwrap_or(Command::Close) {
                    command @ (Command::Cut(_) | Command::Close) => {
                        return Poll::Ready(Ok(command));
                    }
                    command => self.with_desk(|member, desk| member.obey(command, desk)),
                }
            }
            self.poll(cx).map(Err)
        })
        .await
    }

    async fn goodbye(&mut self) {
        client::close(1000, "", MASK, &mut self.out);
        let farewell = poll_fn(|cx| self.poll(cx));
        // Whether it answers or not, it's over.
        drop(tokio::time::timeout(FAREWELL, farewell).await);
    }

    fn came_back(&self, cut_ns: u64) {
        let now_ns = now_ns();
        let latency = now_ns.saturating_sub(cut_ns);
        let mut page = self.shared.recorder.page(self.n);
        page.time(Timed::Latency, latency);
        page.count(|it| {
            it.received += 1;
            it.arrived += 1;
        });
        page.tick(|it| {
            it.arrived += 1;
            it.latency.record(latency);
        });
    }

    fn with_desk<R>(&mut self, act: impl FnOnce(&mut Member, &mut Desk<'_>) -> R) -> R {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut desk = Desk {
                shared: self.shared,
                page: &mut self.shared.recorder.page(self.n),
                now_ns: now_ns(),
                out: &mut self.out,
                scratch,
            };
            act(&mut self.member, &mut desk)
        })
    }

    /// Reads and writes as far as it goes; ready when the connection has ended.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Cause> {
        loop {
            if let Poll::Ready(Err(cause)) = self.poll_write(cx) {
                return Poll::Ready(cause);
            }
            let read = BUFFER.with_borrow_mut(|buffer| {
                let mut buffer = ReadBuf::new(buffer);
                match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(Err(error)) => Poll::Ready(Err(Cause::io(&error))),
                    Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                        Poll::Ready(Err(Cause::Closed(None)))
                    }
                    Poll::Ready(Ok(())) => Poll::Ready(self.take_in(buffer.filled())),
                }
            });
            if let Err(cause) = ready!(read) {
                return Poll::Ready(cause);
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        if self.out.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let mut stream = Pin::new(&mut self.stream);
        while !self.out.is_empty() {
            match ready!(stream.as_mut().poll_write(cx, &self.out)) {
                Ok(0) => return Poll::Ready(Err(Cause::Closed(None))),
                Ok(len) => drop(self.out.drain(..len)),
                Err(error) => return Poll::Ready(Err(Cause::io(&error))),
            }
        }
        if self.out.capacity() > KEPT_BYTES_MAX {
            self.out = Vec::new();
        }
        stream.poll_flush(cx).map_err(|error| Cause::io(&error))
    }

    /// Handles all frames that these bytes bring to their end.
    fn take_in(&mut self, mut bytes: &[u8]) -> Result<(), Cause> {
        let (mut page, now_ns) = (self.shared.recorder.page(self.n), now_ns());
        SCRATCH.with_borrow_mut(|scratch| {
            while !bytes.is_empty() {
                let (used, event) = self.decoder.decode(bytes).map_err(Cause::protocol)?;
                bytes = bytes.get(used..).unwrap_or_default();
                match event {
                    Some(Event::Text(text)) => {
                        let mut desk = Desk {
                            shared: self.shared,
                            page: &mut page,
                            now_ns,
                            out: &mut self.out,
                            scratch,
                        };
                        self.member.receive(&text, &mut desk)?;
                    }
                    Some(Event::Ping(payload)) => {
                        frame(Opcode::Pong, MASK, &payload, &mut self.out);
                    }
                    Some(Event::Close(said)) => {
                        let said = said.as_ref().map(|it| (it.0, &*it.1));
                        return Err(Cause::closed(said));
                    }
                    // Bytes are nothing that was asked for.
                    Some(Event::Binary(_) | Event::Pong(_)) | None => {}
                }
            }
            Ok(())
        })
    }
}
