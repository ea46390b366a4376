//! A topic as it is heard while a join is still being decided.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bennu_pubsub::Subscriber;
use bennu_wire::Broadcast;

use super::{Close, Conn, Relay};

/// Holds broadcasts back until the join is replied to, and then stands open.
pub(crate) struct Gate {
    conn: Arc<Conn>,
    to: Relay,
    open: AtomicBool,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    broadcasts: VecDeque<Arc<Broadcast>>,
    bytes: usize,
    /// More came than may wait: the client can't be told all, so it isn't told a part.
    overflowed: bool,
}

impl Gate {
    pub(crate) fn new(conn: Arc<Conn>, intercepted: &'static [&'static str]) -> Self {
        Self {
            to: Relay::some(conn.clone(), intercepted),
            conn,
            open: AtomicBool::new(false),
            held: Mutex::default(),
        }
    }

    /// Lets through what waits, in its order, and from then on everything.
    pub(crate) fn open(&self, key: u64) {
        loop {
            let (broadcasts, overflowed) = {
                let mut held = self.held();
                if held.broadcasts.is_empty() {
                    self.open.store(true, Ordering::Release);
                    return;
                }
                (std::mem::take(&mut held.broadcasts), held.overflowed)
            };
            if overflowed {
                self.conn.mount().counters.overflow_closed.add(1);
                self.conn.close(Close::new(1013, "slow consumer"));
            }
            // Without the lock: what comes meanwhile waits for the next round.
            for broadcast in broadcasts {
                self.to.deliver(key, &broadcast);
            }
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber for Gate {
    fn deliver(&self, key: u64, broadcast: &Arc<Broadcast>) {
        if !self.open.load(Ordering::Acquire) {
            let mut held = self.held();
            if !self.open.load(Ordering::Acquire) {
                let options = &self.conn.mount().options;
                if held.broadcasts.len() >= options.queue_messages_max
                    || held.bytes > options.queue_bytes_max
                {
                    held.overflowed = true;
                    return;
                }
                held.bytes = held.bytes.saturating_add(broadcast.payload().len());
                held.broadcasts.push_back(broadcast.clone());
                return;
            }
        }
        self.to.deliver(key, broadcast);
    }
}
