//! A place where clients connect: its limits, its live connections, and the sweep that ends idle ones.

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use bennu_pubsub::PubSub;
use bennu_websocket::Config;
use bennu_wire::{Bucket, Rate};
use tokio::time::Instant;

use super::{
    conn::{Close, Conn},
    seat::{Full, Peers, Seat},
};
use crate::{
    Presence,
    options::{Limits, SocketOptions},
};

/// Ticks in an idle timeout: a connection is closed at most an eighth late.
const TICKS_PER_TIMEOUT: u32 = 8;
/// Connections that one turn of the sweep looks at before it lets others run.
const SWEPT_AT_ONCE: usize = 4096;

/// What the connections of one mounted socket share.
pub(crate) struct Mount {
    pub(crate) path: String,
    pub(crate) options: SocketOptions,
    pub(crate) pubsub: PubSub,
    pub(crate) presence: Presence,
    pub(crate) counters: Counters,
    /// For clients that don't compress, and for those that do.
    decoder_configs: [Config; 2],
    /// Counts eighths of the idle timeout.
    tick: AtomicU32,
    sweeping: AtomicBool,
    /// Nobody is let in any more.
    draining: AtomicBool,
    /// Where time starts, for what is counted by it.
    epoch: Instant,
    event_rate: Option<Rate>,
    connections: Mutex<Connections>,
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

/// What happened on a mount that nobody else tells of.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Clients refused because there were too many connections.
    pub(crate) connections_refused: Counter,
    /// Clients refused because `connect` took too long.
    pub(crate) connects_timed_out: Counter,
    /// Connections closed because their client was silent.
    pub(crate) idle_closed: Counter,
    /// Connections closed because of a frame.
    pub(crate) frames_refused: Counter,
    /// Connections closed because of a frame that was no message.
    pub(crate) messages_undecodable: Counter,
    /// Messages that the session answered with an error.
    pub(crate) messages_refused: Counter,
    /// Messages that came too often.
    pub(crate) events_throttled: Counter,
    /// Messages dropped because an outbox was full.
    pub(crate) overflow_dropped: Counter,
    /// Connections closed because their outbox was full.
    pub(crate) overflow_closed: Counter,
    /// Messages to channels dropped because too many waited.
    pub(crate) mail_dropped: Counter,
    /// Broadcasts that a subscriber's serializer couldn't carry, and any message that long-polling couldn't.
    pub(crate) broadcasts_skipped: Counter,
    /// Events without a ref that didn't decode.
    pub(crate) events_undecodable: Counter,
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
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
            ..Config::default()
        };
        Self {
            path,
            epoch: Instant::now(),
            event_rate: options.limits.event_rate(),
            decoder_configs: [config(false), config(true)],
            options,
            pubsub,
            presence,
            counters: Counters::default(),
            tick: AtomicU32::new(0),
            sweeping: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            connections: Mutex::default(),
        }
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
        drop(left);
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
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
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
