//! A place where clients connect: its limits, its live connections, and the sweep that ends idle ones.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use bennu_pubsub::PubSub;
use bennu_websocket::Config;
use bennu_wire::{Bucket, Rate};
use tokio::time::Instant;

use super::{
    Close, Conn,
    seat::{Full, Peers, Seat},
    unhandled::Unhandled,
};
use crate::{
    Presence,
    options::{Limits, SocketOptions},
    telemetry::{Asked, Counters, Refused, trace::Trace},
};

/// Ticks in an idle timeout: a connection is closed at most an eighth late.
const TICKS_PER_TIMEOUT: u32 = 8;
/// Connections that one turn of the sweep looks at before it lets others run.
const SWEPT_AT_ONCE: usize = 4096;
/// Questions to connections that may be open.
const ASKED_MAX: usize = 1024;
/// What is inflated of a long message before other connections of the thread have their turn. It takes some milliseconds at the
/// worst, when each few bytes have a table of their own.
const INFLATE_AT_ONCE_BYTES: usize = 16 * 1024;

/// What the connections of one mounted socket share.
pub(crate) struct Mount {
    pub(crate) path: String,
    pub(crate) options: SocketOptions,
    pub(crate) pubsub: PubSub,
    pub(crate) presence: Presence,
    pub(crate) counters: Counters,
    pub(crate) unhandled: Arc<Unhandled>,
    /// For clients that don't compress, and for those that do.
    decoder_configs: [Config; 2],
    /// Counts eighths of the idle timeout.
    tick: AtomicU32,
    sweeping: AtomicBool,
    /// Nobody is let in any more.
    draining: AtomicBool,
    /// Where time starts, for what is counted by it, and for the ages of connections.
    epoch: Instant,
    event_rate: Option<Rate>,
    connections: Mutex<Connections>,
    /// Questions to connections, by their [`key`](Conn::key).
    asked: Mutex<Vec<(usize, Asked)>>,
    /// Of the few connections that belong to one, by their [`key`](Conn::key).
    traces: Mutex<HashMap<usize, Arc<Trace>>>,
}

#[derive(Default)]
struct Connections {
    places: Vec<Option<Arc<Conn>>>,
    free: Vec<u32>,
    /// Seats of clients that are being let in.
    reserved: usize,
    /// Where they are counted by address.
    peers: Peers,
}

impl Connections {
    fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    fn add(&mut self, conn: Arc<Conn>) -> u32 {
        let free = self.free.pop();
        if let Some((place, at)) = free.and_then(|it| Some((it, self.places.get_mut(it as usize)?)))
        {
            *at = Some(conn);
            return place;
        }
        self.places.push(Some(conn));
        self.places.len() as u32 - 1
    }
}

/// What waits in the outboxes of a mount's connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Queued {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
    /// Of the connection with most of them.
    pub(crate) messages_max: usize,
}

impl Mount {
    pub(crate) fn new(
        path: String,
        options: SocketOptions,
        pubsub: PubSub,
        presence: Presence,
    ) -> Self {
        let config = |deflate| Config {
            frame_bytes_max: options.frame_bytes_max,
            message_bytes_max: options.message_bytes_max,
            inflated_bytes_max: options.frame_bytes_max,
            deflate,
            inflate_at_once_bytes: INFLATE_AT_ONCE_BYTES,
            ..Config::default()
        };
        Self {
            path,
            epoch: Instant::now(),
            event_rate: options.limits.event_rate(),
            unhandled: Arc::new(Unhandled::new(options.limits.unhandled_bytes_max)),
            decoder_configs: [config(false), config(true)],
            options,
            pubsub,
            presence,
            counters: Counters::default(),
            tick: AtomicU32::new(0),
            sweeping: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            connections: Mutex::default(),
            asked: Mutex::default(),
            traces: Mutex::default(),
        }
    }

    /// Tenths of a second since the start.
    pub(crate) fn age(&self) -> u32 {
        (self.epoch.elapsed().as_millis() / 100) as u32
    }

    pub(crate) fn tick(&self) -> u32 {
        self.tick.load(Ordering::Relaxed)
    }

    pub(crate) fn decoder_config(&self, deflate: bool) -> &Config {
        let [plain, deflating] = &self.decoder_configs;
        if deflate { deflating } else { plain }
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Lets nobody in from now on. False when it was so already.
    pub(crate) fn start_draining(&self) -> bool {
        !self.draining.swap(true, Ordering::Relaxed)
    }

    /// The connections that are open now.
    pub(crate) fn connections(&self) -> Vec<Arc<Conn>> {
        self.lock().places.iter().flatten().cloned().collect()
    }

    /// How many connections are open.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// A message came on a connection: whether it's within the rate. The bucket is asked for where there is one.
    pub(crate) fn may_send<'a>(&self, bucket: impl FnOnce() -> &'a mut Bucket) -> bool {
        let Some(rate) = self.event_rate else {
            return true;
        };
        let may = bucket().take(rate, self.epoch.elapsed());
        if !may {
            self.counters.events_throttled.add(1);
        }
        may
    }

    /// A seat for a client that wants to connect.
    pub(crate) fn reserve(self: &Arc<Self>, peer: Option<IpAddr>) -> Result<Seat, Full> {
        let Limits {
            connections_max,
            connections_per_peer_max,
            ..
        } = self.options.limits;
        let mut connections = self.lock();
        let full = if connections.len() + connections.reserved >= connections_max {
            Some(Full::Mount)
        } else if !connections.peers.add(peer, connections_per_peer_max) {
            Some(Full::Peer)
        } else {
            None
        };
        if let Some(full) = full {
            self.counters.refuse(Refused::from(full));
            self.counters.connections_refused.add(1);
            return Err(full);
        }
        connections.reserved += 1;
        Ok(Seat::new(self.clone(), peer))
    }

    /// A seat is given back.
    pub(crate) fn unreserve(&self, peer: Option<IpAddr>) {
        let mut connections = self.lock();
        connections.reserved -= 1;
        connections.peers.remove(peer);
    }

    /// Adds a connection in place of its seat, until the place is [left](Self::leave).
    pub(crate) fn enter(self: &Arc<Self>, conn: &Arc<Conn>, peer: Option<IpAddr>) -> u32 {
        if !self.sweeping.swap(true, Ordering::Relaxed) {
            tokio::spawn(sweep(Arc::downgrade(self), self.options.idle_timeout));
        }
        self.counters.lives(conn.transport()).opened.add(1);
        let place = {
            let mut connections = self.lock();
            let place = connections.add(conn.clone());
            connections.reserved -= 1;
            connections.peers.enter(place, peer);
            place
        };
        // Looked at behind the lock: whoever drains either finds the connection in the list, or was here first.
        if self.is_draining() {
            conn.close(Close::new(1012, "draining"));
        }
        place
    }

    pub(crate) fn leave(&self, place: u32) {
        let left = {
            let mut connections = self.lock();
            let left = connections
                .places
                .get_mut(place as usize)
                .and_then(Option::take);
            if left.is_some() {
                connections.free.push(place);
                connections.peers.leave(place);
            }
            left
        };
        if let Some(conn) = left {
            let close = conn.closing();
            let why = close.as_ref().map_or("lost", Close::why);
            self.counters.lives(conn.transport()).closed.add(why);
        }
    }

    /// At most `limit` connections with their places, from a place on.
    pub(crate) fn some_connections(&self, from: u32, limit: usize) -> Vec<(u32, Arc<Conn>)> {
        let connections = self.lock();
        let places = connections.places.iter().enumerate().skip(from as usize);
        let taken = places.filter_map(|(place, conn)| Some((place as u32, conn.clone()?)));
        taken.take(limit).collect()
    }

    /// The connection at a place.
    pub(crate) fn connection(&self, place: u32) -> Option<Arc<Conn>> {
        self.lock().places.get(place as usize)?.clone()
    }

    /// What waits to be written. Connections come and go meanwhile.
    pub(crate) async fn queued(&self) -> Queued {
        let mut queued = Queued::default();
        let mut from = 0;
        while self.add_queued(from, &mut queued) {
            from += SWEPT_AT_ONCE;
            tokio::task::yield_now().await;
        }
        queued
    }

    /// Adds what waits for the connections among `places`. False past the last place.
    fn add_queued(&self, from: usize, queued: &mut Queued) -> bool {
        let connections = self.lock();
        let Some(places) = connections.places.get(from..) else {
            return false;
        };
        let waiting = places.iter().take(SWEPT_AT_ONCE).flatten();
        for conn in waiting.filter(|it| it.shows_frames()) {
            let (messages, bytes) = conn.backlog();
            queued.bytes += bytes;
            queued.messages += messages;
            queued.messages_max = queued.messages_max.max(messages);
        }
        places.len() > SWEPT_AT_ONCE
    }

    /// Asks a connection's task. False when too much is asked already.
    pub(crate) fn ask(&self, conn: &Conn, asked: Asked) -> bool {
        {
            let mut all = lock(&self.asked);
            // Whoever doesn't wait any longer needs no answer.
            all.retain(|(_, asked)| !asked.is_closed());
            if all.len() >= ASKED_MAX {
                return false;
            }
            all.push((conn.key(), asked));
        }
        conn.ask();
        true
    }

    /// What a connection is asked.
    pub(crate) fn asked(&self, conn: &Conn) -> Vec<Asked> {
        let key = conn.key();
        let mut all = lock(&self.asked);
        let asked = all.extract_if(.., |(of, _)| *of == key);
        asked.map(|(_, asked)| asked).collect()
    }

    pub(crate) fn traces(&self) -> MutexGuard<'_, HashMap<usize, Arc<Trace>>> {
        lock(&self.traces)
    }

    /// Closes the connections among `places` that were silent too long. False past the last place.
    fn close_idle(&self, from: usize) -> bool {
        let now = self.tick();
        let connections = self.lock();
        let Some(places) = connections.places.get(from..) else {
            return false;
        };
        let swept = places.iter().take(SWEPT_AT_ONCE).flatten();
        for conn in swept.filter(|it| !it.is_polled()) {
            if now.wrapping_sub(conn.heard_at()) > TICKS_PER_TIMEOUT {
                self.counters.idle_closed.add(1);
                conn.close(Close::new(1001, "idle"));
            }
        }
        places.len() > SWEPT_AT_ONCE
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        lock(&self.connections)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One timer for all connections of a mount.
async fn sweep(mount: Weak<Mount>, idle_timeout: Duration) {
    let period = (idle_timeout / TICKS_PER_TIMEOUT).max(Duration::from_millis(1));
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(mount) = mount.upgrade() else { return };
        mount.tick.fetch_add(1, Ordering::Relaxed);
        let mut from = 0;
        while mount.close_idle(from) {
            from += SWEPT_AT_ONCE;
            tokio::task::yield_now().await;
        }
    }
}
