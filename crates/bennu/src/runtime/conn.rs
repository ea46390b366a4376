//! The outbox of one connection: all that other tasks hold of it.

use std::{
    any::Any,
    collections::VecDeque,
    fmt,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    task::Waker,
};

use bennu_pubsub::{PubSub, Subscriber};
use bennu_websocket::Config;
use bennu_wire::{Broadcast, ChannelId, EncodeError, Encoding, Framing, Outgoing};
use bytes::Bytes;

use super::{
    Close, encode,
    mount::Mount,
    queue::{Chunk, Queue},
    running::discard,
    sync::{AtomicBool, AtomicU8, Mutex, MutexGuard},
};
use crate::{
    Overflow, SendError,
    telemetry::{SocketDetails, Transport, trace::Trace},
};

/// How many times the outbox's limits may be queued before the kernel has refused to take more.
const BURST_FACTOR: usize = 8;

/// The key under which a connection subscribes to its own id.
pub(crate) const SOCKET_ID: u64 = u64::MAX;

/// One connection, as seen from outside its task: frames to write, mail for its channels, a request to close.
pub(crate) struct Conn {
    mount: Arc<Mount>,
    encoding: Encoding,
    /// Whether the client may send compressed messages.
    deflate: bool,
    /// Whether its mount knows a trace that it belongs to.
    traced: bool,
    /// The mount's age when it began to connect.
    opened: u32,
    /// The mount's tick at which the client was last heard.
    heard_at: AtomicU32,
    /// What there is in the outbox, to be seen without its lock. Written under the lock.
    signs: AtomicU8,
    /// The task waits and has to be woken. Set under the lock.
    parked: AtomicBool,
    outbox: Mutex<Outbox>,
}

/// There are frames to write.
const FRAMES: u8 = 1;
/// There is mail.
const MAIL: u8 = 2;
/// The connection is to be closed.
const CLOSE: u8 = 4;
/// Something came to a long-poll session.
const NUDGE: u8 = 8;
/// Somebody asks for what only the task knows.
const ASKED: u8 = 16;
/// The client leaves much unread.
const OVERDUE: u8 = 32;

/// A client that doesn't take its replies isn't read from while more than this waits for it.
const UNREAD_BYTES_MAX: usize = 64 * 1024;
const UNREAD_FRAMES_MAX: usize = 1024;

#[derive(Default)]
struct Outbox {
    /// What is to be written; nothing when it's all written.
    queue: Option<Box<Queue>>,
    #[expect(
        clippy::box_collection,
        reason = "a pointer costs an idle connection less"
    )]
    mail: Option<Box<VecDeque<Mail>>>,
    /// Why the connection is to be closed. From then on nothing is taken any more.
    close: Option<Box<Close>>,
    /// The task's. It stays while the task runs, in the hope that it's the same the next time.
    waker: Option<Waker>,
    /// The kernel takes no more: new frames needn't wake the task.
    blocked: bool,
}

/// A message for a channel of the connection.
pub(crate) enum Mail {
    /// A message of the channel's `Info` type.
    Info(ChannelId, Box<dyn Any + Send>),
    /// A broadcast for `handle_out`.
    Out(ChannelId, Arc<Broadcast>),
}

impl Conn {
    pub(crate) fn new(mount: Arc<Mount>, encoding: Encoding, deflate: bool) -> Self {
        let heard_at = AtomicU32::new(mount.tick());
        let opened = mount.age();
        Self {
            mount,
            encoding,
            deflate,
            traced: false,
            opened,
            heard_at,
            signs: AtomicU8::new(0),
            parked: AtomicBool::new(false),
            outbox: Mutex::default(),
        }
    }

    pub(crate) fn decoder_config(&self) -> &Config {
        self.mount.decoder_config(self.deflate)
    }

    pub(crate) fn mount(&self) -> &Mount {
        &self.mount
    }

    pub(crate) fn pubsub(&self) -> &PubSub {
        &self.mount.pubsub
    }

    pub(crate) fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Whether it is a long-poll session, which has a clock of its own.
    pub(crate) fn is_polled(&self) -> bool {
        matches!(
            self.encoding.framing,
            Framing::LongPoll | Framing::LongPollBase64
        )
    }

    pub(crate) fn transport(&self) -> Transport {
        Transport::of(self.encoding.framing)
    }

    /// The mount's age when it began to connect.
    pub(crate) fn opened(&self) -> u32 {
        self.opened
    }

    /// Tells it from all others that live.
    pub(crate) fn key(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }

    /// Notes that it belongs to a trace.
    pub(crate) fn traced(mut self: Arc<Self>, trace: Trace) -> Arc<Self> {
        let mount = self.mount.clone();
        if let Some(conn) = Arc::get_mut(&mut self) {
            conn.traced = true;
            mount.traces().insert(conn.key(), Arc::new(trace));
        }
        self
    }

    /// The trace it belongs to.
    pub(crate) fn trace(&self) -> Option<Arc<Trace>> {
        if !self.traced {
            return None;
        }
        self.mount.traces().get(&self.key()).cloned()
    }

    /// Counts messages from the client: once for all that a read brought.
    pub(crate) fn received(&self, messages: usize, bytes: usize) {
        self.mount
            .counters
            .receive(self.transport(), messages, bytes);
    }

    fn sent(&self, messages: usize, bytes: usize) {
        self.mount.counters.send(self.transport(), messages, bytes);
    }

    /// Has the task answer what its mount was asked.
    pub(crate) fn ask(&self) {
        self.stir(self.lock(), ASKED);
    }

    /// Answers what is asked, nearly always nothing.
    pub(crate) fn answer(&self, details: impl Fn() -> SocketDetails) {
        if !self.shows(ASKED) {
            return;
        }
        self.signs.fetch_and(!ASKED, Ordering::AcqRel);
        for asked in self.mount.asked(self) {
            // Who asked may be gone.
            let _ = asked.send(details());
        }
    }

    /// Notes that the client was heard.
    pub(crate) fn heard(&self) {
        self.heard_at.store(self.mount.tick(), Ordering::Relaxed);
    }

    pub(crate) fn heard_at(&self) -> u32 {
        self.heard_at.load(Ordering::Relaxed)
    }

    /// Encodes a message for this connection and queues it.
    pub(crate) fn push(&self, outgoing: &Outgoing<'_>) -> Result<(), EncodeError> {
        self.send(encode(self.encoding, outgoing)?);
        Ok(())
    }

    /// Queues a frame, within the limits. An empty one stands for a message that the transport can't carry.
    pub(crate) fn send(&self, frame: Bytes) {
        if frame.is_empty() {
            return self.mount.counters.broadcasts_skipped.add(1);
        }
        let limits = &self.mount.options;
        let mut outbox = self.lock();
        if outbox.close.is_some() {
            return;
        }
        // One frame always fits, however long: what's judged is what waits before it. Who isn't known to read
        // slowly may be sent more in one go.
        let streams = !matches!(
            self.encoding.framing,
            Framing::LongPoll | Framing::LongPollBase64
        );
        let factor = if streams && !outbox.blocked {
            BURST_FACTOR
        } else {
            1
        };
        if outbox
            .queue
            .as_ref()
            .is_some_and(|it| it.is_full(limits, factor))
        {
            match limits.overflow {
                Overflow::Close => {
                    self.mount.counters.overflow_closed.add(1);
                    outbox.forget_unwritten();
                    outbox.close = Some(Box::new(Close::new(1013, "slow consumer")));
                    return self.stir(outbox, CLOSE);
                }
                Overflow::DropOldest if outbox.drop_oldest() => {}
                Overflow::DropOldest | Overflow::DropNewest => {
                    return self.mount.counters.overflow_dropped.add(1);
                }
            }
            self.mount.counters.overflow_dropped.add(1);
        }
        outbox.push(frame);
        self.weigh(&outbox);
        if !outbox.blocked {
            self.stir(outbox, FRAMES);
        }
    }

    /// Queues a message for a channel.
    pub(crate) fn mail(&self, mail: Mail) -> Result<(), SendError> {
        let mut outbox = self.lock();
        if outbox.close.is_some() {
            return Err(SendError::Gone);
        }
        let queued = outbox.mail.get_or_insert_default();
        if queued.len() >= self.mount.options.queue_messages_max {
            self.mount.counters.mail_dropped.add(1);
            return Err(SendError::Full);
        }
        queued.push_back(mail);
        self.stir(outbox, MAIL);
        Ok(())
    }

    /// Asks the connection to close, after what is queued. The first reason stands.
    pub(crate) fn close(&self, close: Close) {
        let mut outbox = self.lock();
        if outbox.close.is_none() {
            outbox.close = Some(Box::new(close));
            self.stir(outbox, CLOSE);
        }
    }

    /// Drops the mail that nobody will read, one by one: users' values may panic when they are dropped.
    pub(crate) fn drop_mail(&self) {
        for mail in self.take_mail() {
            discard(mail);
        }
    }

    pub(crate) fn take_mail(&self) -> impl Iterator<Item = Mail> + use<> {
        let take = || {
            let mut outbox = self.lock();
            self.signs.fetch_and(!MAIL, Ordering::Release);
            outbox.mail.take()
        };
        let mail = self.shows(MAIL).then(take).flatten();
        mail.into_iter().flat_map(|it| *it)
    }

    /// Whether the connection is to be closed.
    pub(crate) fn is_closing(&self) -> bool {
        self.shows(CLOSE)
    }

    /// Why the connection is to be closed, if it is.
    pub(crate) fn closing(&self) -> Option<Close> {
        self.lock().close.as_deref().cloned()
    }

    /// Queues the last frame of a connection that is to be closed.
    pub(crate) fn seal(&self, last: Bytes) {
        self.lock().push(last);
        self.signs.fetch_or(FRAMES, Ordering::Release);
    }

    /// Frames that wait to be written, and their bytes.
    pub(crate) fn backlog(&self) -> (usize, usize) {
        self.lock().load()
    }

    /// Whether the client leaves so much unread that it isn't listened to. It's asked after each message, so it takes no
    /// lock.
    pub(crate) fn is_overdue(&self) -> bool {
        self.shows(OVERDUE)
    }

    /// Shows whether much is unread. Called under the lock whenever that may have changed.
    fn weigh(&self, outbox: &Outbox) {
        let (frames, bytes) = outbox.load();
        let overdue = bytes > UNREAD_BYTES_MAX || frames > UNREAD_FRAMES_MAX;
        if overdue && !self.shows(OVERDUE) {
            self.signs.fetch_or(OVERDUE, Ordering::Release);
        } else if !overdue && self.shows(OVERDUE) {
            self.signs.fetch_and(!OVERDUE, Ordering::Release);
        }
    }

    /// Takes note that `written` bytes of the last chunk went out and says what comes next.
    pub(crate) fn next_chunk(&self, written: usize, scratch: &mut Vec<u8>) -> Chunk {
        if !self.shows(FRAMES) {
            return Chunk::Nothing;
        }
        let mut outbox = self.lock();
        outbox.blocked = false;
        if written > 0 {
            let messages = outbox.advance(written);
            self.sent(messages, written);
            self.weigh(&outbox);
        }
        match &mut outbox.queue {
            Some(queue) => queue.chunk(scratch),
            None => {
                self.signs.fetch_and(!FRAMES, Ordering::Release);
                Chunk::Nothing
            }
        }
    }

    /// All that is queued, for one answer to a poll: so many messages, and their bytes. It stays queued until it is
    /// [`handed_over`](Self::handed_over).
    pub(crate) fn hand_over(&self) -> (usize, usize) {
        let mut outbox = self.lock();
        let queue = outbox.queue.as_mut();
        queue.map_or((0, 0), |it| it.hand_over())
    }

    /// A message of the answer that was given last. `None` beyond its end, and once it was taken back.
    pub(crate) fn handed_frame(&self, index: usize) -> Option<Bytes> {
        self.lock().queue.as_ref()?.handed_frame(index)
    }

    /// Drops what is queued: nobody will fetch it.
    pub(crate) fn forget(&self) {
        let queue = self.lock().queue.take();
        drop(queue);
    }

    /// The answer that was given last is written.
    pub(crate) fn handed_over(&self) {
        let mut outbox = self.lock();
        if let Some(queue) = &mut outbox.queue {
            let (messages, bytes) = queue.handed_over();
            self.sent(messages, bytes);
        }
        outbox.keep_none_empty();
    }

    /// The answer that was given last doesn't reach its client.
    pub(crate) fn take_back(&self) {
        if let Some(queue) = &mut self.lock().queue {
            queue.take_back();
        }
    }

    /// Wakes the task of a long-poll session, or has it look again.
    pub(crate) fn nudge(&self) {
        self.stir(self.lock(), NUDGE);
    }

    /// The task of a long-poll session is going to look at what is queued: only what comes after this shall wake it.
    pub(crate) fn notice(&self) {
        self.signs.fetch_and(!(FRAMES | NUDGE), Ordering::AcqRel);
    }

    /// Notes that the kernel takes nothing for now.
    pub(crate) fn blocked(&self) {
        let mut outbox = self.lock();
        outbox.blocked = true;
        if let Some(queue) = &mut outbox.queue {
            queue.take_back();
        }
    }

    /// Prepares the task to wait. False when something came that it has not seen: then it must look again.
    pub(crate) fn park(&self, waker: &Waker) -> bool {
        let mut outbox = self.lock();
        let unwritten = match self.is_polled() {
            true => self.shows(FRAMES | NUDGE),
            false => outbox.queue.is_some() && !outbox.blocked,
        };
        let asked = self.shows(ASKED);
        if unwritten || asked || outbox.mail.is_some() || outbox.close.is_some() {
            return false;
        }
        if !outbox.waker.as_ref().is_some_and(|it| it.will_wake(waker)) {
            outbox.waker = Some(waker.clone());
        }
        self.parked.store(true, Ordering::Relaxed);
        true
    }

    /// The task runs: it needs no waking.
    pub(crate) fn unpark(&self) {
        self.parked.store(false, Ordering::Relaxed);
    }

    /// Whether there may be frames to write.
    pub(crate) fn shows_frames(&self) -> bool {
        self.shows(FRAMES) || self.is_polled()
    }

    fn shows(&self, sign: u8) -> bool {
        self.signs.load(Ordering::Acquire) & sign != 0
    }

    /// Shows that something came, and wakes the task if it waits: with the lock let go, so that the task doesn't
    /// run into it. A task that runs will see before it parks.
    ///
    /// Most that comes finds its sign shown and the task at work, and writes neither anew. Whoever takes down a sign that
    /// still shows here hasn't looked yet at what came: what came is there first.
    fn stir(&self, outbox: MutexGuard<'_, Outbox>, sign: u8) {
        if !self.shows(sign) {
            self.signs.fetch_or(sign, Ordering::Release);
        }
        if self.parked.load(Ordering::Relaxed) && self.parked.swap(false, Ordering::Relaxed) {
            let waker = outbox.waker.clone();
            drop(outbox);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outbox {
    /// Frames that wait to be written, and their bytes.
    fn load(&self) -> (usize, usize) {
        self.queue.as_ref().map_or((0, 0), |it| it.load())
    }

    fn push(&mut self, frame: Bytes) {
        self.queue.get_or_insert_with(Queue::take).push(frame);
    }

    /// Takes note of what was written, and says how many frames that completes.
    fn advance(&mut self, written: usize) -> usize {
        let completed = self.queue.as_mut().map_or(0, |it| it.advance(written));
        self.keep_none_empty();
        completed
    }

    fn drop_oldest(&mut self) -> bool {
        self.queue.as_mut().is_some_and(|it| it.drop_oldest())
    }

    fn forget_unwritten(&mut self) {
        if let Some(queue) = &mut self.queue {
            queue.forget_unwritten();
        }
        self.keep_none_empty();
    }

    fn keep_none_empty(&mut self) {
        if let Some(queue) = self.queue.take_if(|it| it.is_empty()) {
            queue.give_back();
        }
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        if self.traced {
            let trace = self.mount.traces().remove(&self.key());
            drop(trace);
        }
    }
}

impl Subscriber for Conn {
    fn deliver(&self, key: u64, broadcast: &Arc<Broadcast>) {
        if key == SOCKET_ID {
            if broadcast.event() == "disconnect" {
                self.close(Close::new(1001, "disconnected"));
            }
            return;
        }
        let encoding = self.encoding;
        match broadcast.encoded(encoding, |it| encode(encoding, &Outgoing::Broadcast(it))) {
            Ok(frame) => self.send(frame.clone()),
            Err(_) => self.mount.counters.broadcasts_skipped.add(1),
        }
    }
}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conn")
            .field("mount", &self.mount.path)
            .field("encoding", &self.encoding)
            .finish_non_exhaustive()
    }
}
