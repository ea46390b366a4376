//! The way of intercepted broadcasts to their channel.

use std::sync::Arc;

use bennu_pubsub::Subscriber;
use bennu_wire::{Broadcast, ChannelId};

use super::{Conn, Mail};

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
