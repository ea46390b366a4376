//! The outbox of one connection: all that other tasks hold of it.

use std::{
    any::Any,
    borrow::Cow,
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    task::Waker,
};

use bennu_pubsub::{PubSub, Subscriber};
use bennu_websocket::Config;
use bennu_wire::{Broadcast, ChannelId, EncodeError, Encoding, Framing, Outgoing};
use bytes::Bytes;

use super::{encode, mount::Mount};
use crate::{SendError, options::Overflow};

/// The key under which a connection subscribes to its own id.
pub(crate) const SOCKET_ID: u64 = u64::MAX;

/// Frames longer than this are written from where they lie, shorter ones are gathered.
const GATHERED_BYTES_MAX: usize = 16 * 1024;
/// What is gathered into one write.
pub(crate) const WRITE_BYTES_MAX: usize = 64 * 1024;

/// One connection, as seen from outside its task: frames to write, mail for its channels, a request to close.
pub(crate) struct Conn {
    mount: Arc<Mount>,
    encoding: Encoding,
    /// Whether the client may send compressed messages.
    deflate: bool,
    /// The mount's tick at which the client was last heard.
    heard_at: AtomicU32,
    outbox: Mutex<Outbox>,
}

#[derive(Default)]
struct Outbox {
    /// Frames to write, oldest first. Its storage is freed when it runs empty.
    frames: VecDeque<Bytes>,
    /// How much of the first frame is written already.
    written: usize,
    /// How many of the first frames a long-poll answer carries that isn't written to its end.
    handed: u32,
    /// All of `frames`.
    bytes: usize,
    /// Rare, so it's a pointer.
    mail: Option<Box<VecDeque<Mail>>>,
    /// Why the connection is to be closed. From then on nothing is taken any more.
    close: Option<Box<Close>>,
    /// Only while the task waits.
    waker: Option<Waker>,
    /// Something came since the task last looked.
    stirred: bool,
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

/// Why a connection is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Close {
    pub(crate) code: u16,
    pub(crate) reason: Cow<'static, str>,
}

impl Close {
    pub(crate) const fn new(code: u16, reason: &'static str) -> Self {
        Self {
            code,
            reason: Cow::Borrowed(reason),
        }
    }
}

/// What to write next.
pub(crate) enum Chunk {
    Nothing,
    /// `scratch` was filled.
    Gathered,
    /// One large frame, the part that isn't written yet.
    Frame(Bytes),
}

impl Conn {
    pub(crate) fn new(mount: Arc<Mount>, encoding: Encoding, deflate: bool) -> Self {
        let heard_at = AtomicU32::new(mount.tick());
        Self {
            mount,
            encoding,
            deflate,
            heard_at,
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
            return self.mount.counters.messages_skipped.add(1);
        }
        let limits = &self.mount.options;
        let mut outbox = self.lock();
        if outbox.close.is_some() {
            return;
        }
        // One frame always fits, however long: what's judged is what waits before it.
        if outbox.bytes > limits.queue_bytes_max || outbox.frames.len() >= limits.queue_messages_max
        {
            match limits.overflow {
                Overflow::Close => {
                    self.mount.counters.overflow_closed.add(1);
                    outbox.forget_unwritten();
                    outbox.close = Some(Box::new(Close::new(1013, "slow consumer")));
                    return stir(outbox);
                }
                Overflow::DropOldest => outbox.drop_oldest(),
                Overflow::DropNewest => return self.mount.counters.overflow_dropped.add(1),
            }
            self.mount.counters.overflow_dropped.add(1);
        }
        outbox.bytes += frame.len();
        outbox.frames.push_back(frame);
        if !outbox.blocked {
            stir(outbox);
        }
    }

    /// Queues a message for a channel.
    pub(crate) fn mail(&self, mail: Mail) -> Result<(), SendError> {
        let mut outbox = self.lock();
        if outbox.close.is_some() {
            return Err(SendError::Gone);
        }
        if outbox
            .mail
            .as_ref()
            .is_some_and(|it| it.len() >= self.mount.options.queue_messages_max)
        {
            self.mount.counters.mail_dropped.add(1);
            return Err(SendError::Full);
        }
        outbox.mail.get_or_insert_default().push_back(mail);
        stir(outbox);
        Ok(())
    }

    /// Asks the connection to close, after what is queued. The first reason stands.
    pub(crate) fn close(&self, close: Close) {
        let mut outbox = self.lock();
        if outbox.close.is_none() {
            outbox.close = Some(Box::new(close));
            stir(outbox);
        }
    }

    pub(crate) fn take_mail(&self) -> Option<Box<VecDeque<Mail>>> {
        self.lock().mail.take()
    }

    /// Whether the connection is to be closed.
    pub(crate) fn is_closing(&self) -> bool {
        self.lock().close.is_some()
    }

    /// Why the connection is to be closed, if it is.
    pub(crate) fn closing(&self) -> Option<Close> {
        self.lock().close.as_deref().cloned()
    }

    /// Queues the last frame of a connection that is to be closed.
    pub(crate) fn seal(&self, last: Bytes) {
        let mut outbox = self.lock();
        outbox.bytes += last.len();
        outbox.frames.push_back(last);
    }

    /// Bytes and frames that wait to be written.
    pub(crate) fn backlog(&self) -> (usize, usize) {
        let outbox = self.lock();
        (outbox.bytes, outbox.frames.len())
    }

    /// Takes note that `written` bytes of the last chunk went out and says what comes next.
    pub(crate) fn next_chunk(&self, written: usize, scratch: &mut Vec<u8>) -> Chunk {
        let mut outbox = self.lock();
        outbox.advance(written);
        outbox.blocked = false;
        let Some(first) = outbox.frames.front() else {
            return Chunk::Nothing;
        };
        if first.len() - outbox.written > GATHERED_BYTES_MAX {
            return Chunk::Frame(first.slice(outbox.written..));
        }
        scratch.clear();
        scratch.extend_from_slice(first.get(outbox.written..).unwrap_or_default());
        for frame in outbox.frames.iter().skip(1) {
            if frame.len() > GATHERED_BYTES_MAX || scratch.len() + frame.len() > WRITE_BYTES_MAX {
                break;
            }
            scratch.extend_from_slice(frame);
        }
        Chunk::Gathered
    }

    /// All that is queued, for one answer to a poll. It stays queued until it is [`handed_over`](Self::handed_over).
    pub(crate) fn hand_over(&self) -> Vec<Bytes> {
        let mut outbox = self.lock();
        outbox.handed = u32::try_from(outbox.frames.len()).unwrap_or(u32::MAX);
        outbox.frames.iter().cloned().collect()
    }

    /// The answer that was given last is written.
    pub(crate) fn handed_over(&self) {
        let mut outbox = self.lock();
        let handed = std::mem::take(&mut outbox.handed) as usize;
        let bytes: usize = outbox.frames.drain(..handed).map(|it| it.len()).sum();
        outbox.bytes -= bytes;
        if outbox.frames.is_empty() {
            outbox.frames = VecDeque::new();
        }
    }

    /// The answer that was given last doesn't reach its client.
    pub(crate) fn take_back(&self) {
        self.lock().handed = 0;
    }

    /// Wakes the task, or has it look again.
    pub(crate) fn nudge(&self) {
        stir(self.lock());
    }

    /// Notes that the kernel takes no more for now.
    pub(crate) fn blocked(&self) {
        self.lock().blocked = true;
    }

    /// Prepares the task to wait. False when something came that it has not seen: then it must look again.
    pub(crate) fn park(&self, waker: &Waker) -> bool {
        let mut outbox = self.lock();
        if std::mem::take(&mut outbox.stirred) {
            return false;
        }
        outbox.waker = Some(waker.clone());
        true
    }

    /// The task runs: nobody needs to wake it.
    pub(crate) fn unpark(&self) {
        let waker = self.lock().waker.take();
        drop(waker);
    }

    fn lock(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes the task if it waits, else notes that it has to look again. The lock is let go first, so that the
/// woken task doesn't run into it.
fn stir(mut outbox: MutexGuard<'_, Outbox>) {
    let waker = outbox.waker.take();
    outbox.stirred |= waker.is_none();
    drop(outbox);
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl Outbox {
    fn advance(&mut self, mut written: usize) {
        while written > 0 {
            let Some(first) = self.frames.front() else {
                return;
            };
            let rest = first.len() - self.written;
            if written < rest {
                self.written += written;
                return;
            }
            written -= rest;
            self.bytes -= first.len();
            self.written = 0;
            self.frames.pop_front();
        }
        if self.frames.is_empty() {
            self.frames = VecDeque::new();
        }
    }

    /// Drops the oldest frame that isn't on the wire.
    fn drop_oldest(&mut self) {
        if let Some(frame) = self.frames.remove(self.on_wire()) {
            self.bytes -= frame.len();
        }
    }

    /// How many of the first frames are on the wire, wholly or in part.
    fn on_wire(&self) -> usize {
        usize::from(self.written > 0).max(self.handed as usize)
    }

    /// Drops all frames but those on the wire.
    fn forget_unwritten(&mut self) {
        self.frames.truncate(self.on_wire());
        self.frames.shrink_to_fit();
        self.bytes = self.frames.iter().map(Bytes::len).sum();
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
            Err(_) => self.mount.counters.messages_skipped.add(1),
        }
    }
}

/// Takes broadcasts to `handle_out` in place of the client.
pub(crate) struct Relay {
    conn: Arc<Conn>,
    /// The intercepted events; all where there's no list.
    events: Option<&'static [&'static str]>,
}

impl Relay {
    pub(crate) fn all(conn: Arc<Conn>) -> Self {
        Self { conn, events: None }
    }

    pub(crate) fn some(conn: Arc<Conn>, events: &'static [&'static str]) -> Self {
        Self {
            conn,
            events: Some(events),
        }
    }
}

impl Subscriber for Relay {
    fn deliver(&self, key: u64, broadcast: &Arc<Broadcast>) {
        if self
            .events
            .is_some_and(|it| !it.contains(&broadcast.event()))
        {
            return self.conn.deliver(key, broadcast);
        }
        let id = ChannelId::new(key as u32);
        // An overflow is counted where it is met.
        let _ = self.conn.mail(Mail::Out(id, broadcast.clone()));
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
