//! Where the connections of a bus meet.

use std::{
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;

use crate::{AdapterHealth, Link, Subject, parcel::unpack};

/// What the connections of an [`Adapter`](crate::Adapter) count, and whether all of them are there. For those who write
/// adapters.
#[derive(Default)]
pub struct BusHub {
    published: AtomicU64,
    received: AtomicU64,
    reconnects: AtomicU64,
    /// Read with each message, so it stands beside the lock.
    link: OnceLock<Arc<dyn Link>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Connections there should be, and those there are.
    wanted: usize,
    up: usize,
    /// What the link was told last.
    told: bool,
    error: Option<Arc<str>>,
}

impl BusHub {
    /// Tells `link` from now on. There is one: a second one is told nothing.
    pub fn start(&self, link: Arc<dyn Link>) {
        let _ = self.link.set(link);
        self.change(|_| ());
    }

    /// There should be so many more connections.
    pub fn expect(&self, more: usize) {
        self.change(|state| state.wanted += more);
    }

    /// A connection isn't wanted any more.
    pub fn dismiss(&self) {
        self.change(|state| state.wanted = state.wanted.saturating_sub(1));
    }

    /// A connection is there with all its subscriptions, or it's gone.
    pub fn turned(&self, up: bool) {
        self.change(|state| {
            if up {
                state.up += 1;
            } else {
                state.up = state.up.saturating_sub(1);
            }
        });
    }

    /// A connection couldn't be made, or was lost. Until all are there, it's in the [health](Self::health).
    pub fn failed(&self, why: impl Into<Arc<str>>) {
        let why = why.into();
        self.change(|state| state.error = Some(why));
    }

    /// Whether all connections are there.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_connected()
    }

    /// Hands over what came: a message, or the messages of a [`Parcel`](crate::Parcel).
    pub fn receive(&self, subject: &Subject, message: Bytes) {
        if let Some(link) = self.link.get() {
            unpack(message, |message| {
                self.received.fetch_add(1, Ordering::Relaxed);
                link.receive(subject, message);
            });
        }
    }

    /// Counts messages that the bus took.
    pub fn count_published(&self, count: usize) {
        self.published.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Counts a connection that was lost and found again.
    pub fn count_reconnect(&self) {
        self.reconnects.fetch_add(1, Ordering::Relaxed);
    }

    /// What is known here of an adapter's health, and what its queues know.
    #[must_use]
    pub fn health(&self, lost: u64, queued_bytes: usize) -> AdapterHealth {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (connected, error) = {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            (state.is_connected(), state.error.clone())
        };
        AdapterHealth {
            connected,
            error,
            lost,
            published: get(&self.published),
            received: get(&self.received),
            reconnects: get(&self.reconnects),
            queued_bytes,
        }
    }

    /// Tells the link when something becomes of it. It's told under the lock: two connections that come and go at once
    /// may not tell it in the wrong order.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        let connected = state.is_connected();
        if connected {
            state.error = None;
        }
        let Some(link) = self.link.get().filter(|_| connected != state.told) else {
            return;
        };
        state.told = connected;
        if connected {
            link.connected();
        } else {
            link.disconnected();
        }
    }
}

impl State {
    fn is_connected(&self) -> bool {
        self.wanted > 0 && self.up >= self.wanted
    }
}

impl fmt::Debug for BusHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusHub")
            .field("health", &self.health(0, 0))
            .finish_non_exhaustive()
    }
}
