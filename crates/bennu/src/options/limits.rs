//! The limits of a mounted socket that keep off floods and strangers.

use std::time::Duration;

use bennu_wire::{DecodeLimits, Rate};

use super::SocketOptions;

/// The longest address that the `http` crate takes.
const ADDRESS_BYTES_MAX: usize = u16::MAX as usize - 1;

/// What a mount allows beside its queues.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) connections_max: usize,
    pub(crate) connections_per_peer_max: usize,
    pub(crate) connect_timeout: Duration,
    pub(crate) query_bytes_max: usize,
    /// `None`: as many as channels.
    pub(crate) joins_at_once_max: Option<usize>,
    pub(crate) decode: DecodeLimits,
    pub(crate) unhandled_bytes_max: usize,
    pub(crate) events_per_second_max: Option<u32>,
    /// `None`: as many as in a second.
    pub(crate) events_at_once_max: Option<u32>,
    pub(crate) flood: Flood,
}

/// What happens to a client that sends more events than
/// [`events_per_second_max`](SocketOptions::events_per_second_max).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Flood {
    /// An event or join too many gets the error reply "too many events". Heartbeats and leaves are heard all the same.
    /// A raw socket has no replies: its connection is closed.
    #[default]
    Refuse,
    /// The connection is closed with code 1008, "too many events".
    Close,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: usize::MAX,
            connections_per_peer_max: usize::MAX,
            connect_timeout: Duration::from_secs(30),
            query_bytes_max: ADDRESS_BYTES_MAX,
            joins_at_once_max: None,
            decode: DecodeLimits::default(),
            unhandled_bytes_max: 128_000_000,
            events_per_second_max: None,
            events_at_once_max: None,
            flood: Flood::Refuse,
        }
    }
}

impl Limits {
    pub(crate) fn event_rate(&self) -> Option<Rate> {
        let per_second = self.events_per_second_max?;
        Some(Rate::new(
            per_second,
            self.events_at_once_max.unwrap_or(per_second),
        ))
    }
}

/// Who may connect, and how long that takes.
impl SocketOptions {
    /// Connections that this mount may have, those that are being let in among them: any number. Further clients are
    /// refused with status 503.
    pub fn connections_max(mut self, connections: usize) -> Self {
        self.limits.connections_max = connections;
        self
    }

    /// Connections that this mount may have from one address: any number. Further clients are refused with status 429.
    ///
    /// The address is [`ConnectInfo::peer_addr`]: behind a proxy all clients have the proxy's. IPv6 addresses are the
    /// same when their first 64 bits are, which is what one customer gets. Where the address isn't known, this does
    /// nothing: it is known under [`bennu::serve`](crate::serve), and under `axum::serve` with the router's
    /// `into_make_service_with_connect_info::<SocketAddr>()`.
    ///
    /// [`ConnectInfo::peer_addr`]: crate::ConnectInfo::peer_addr
    pub fn connections_per_peer_max(mut self, connections: usize) -> Self {
        self.limits.connections_per_peer_max = connections;
        self
    }

    /// How long `connect` may take, and the session before it: 30 seconds. Then the client is refused with status 503.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.limits.connect_timeout = timeout;
        self
    }

    /// The longest query string taken: 65,534 bytes, which is as much as an address can have. A longer one is refused
    /// with status 414.
    pub fn query_bytes_max(mut self, bytes: usize) -> Self {
        self.limits.query_bytes_max = bytes;
        self
    }
}

/// What a client may send.
impl SocketOptions {
    /// Channels of one connection whose `join` may run at the same time: as many as
    /// [`channels_max`](Self::channels_max). Further joins are refused with "too many joins at once".
    pub fn joins_at_once_max(mut self, joins: usize) -> Self {
        self.limits.joins_at_once_max = Some(joins);
        self
    }

    /// Events and other messages that a client may send in a second, in the long run: any number. Beyond, see
    /// [`flood`](Self::flood).
    ///
    /// ```
    /// use bennu::{Flood, SocketOptions};
    ///
    /// let options = SocketOptions::new().events_per_second_max(20).events_at_once_max(100).flood(Flood::Close);
    /// ```
    pub fn events_per_second_max(mut self, events: u32) -> Self {
        self.limits.events_per_second_max = Some(events);
        self
    }

    /// Events that a client may send at once after a pause: as many as
    /// [`events_per_second_max`](Self::events_per_second_max), without which this doesn't count. A client that comes
    /// back joins all its channels at once.
    pub fn events_at_once_max(mut self, events: u32) -> Self {
        self.limits.events_at_once_max = Some(events);
        self
    }

    /// What happens to a client that sends too many events: they are refused.
    pub fn flood(mut self, flood: Flood) -> Self {
        self.limits.flood = flood;
        self
    }

    /// Memory for what all clients of the mount have sent and nobody has handled yet: 128,000,000 bytes, beyond the first 64 KiB
    /// of each client's.
    ///
    /// Messages whose end hasn't come, and those that wait for a join to be decided: a client that would exceed it is
    /// closed with code 1013, "too many unhandled messages". And events for busy channels: these get the error reply "too many
    /// messages queued". For posts that are still coming, long-polling has [`LongPoll::bodies_bytes_max`](crate::LongPoll::bodies_bytes_max).
    pub fn unhandled_bytes_max(mut self, bytes: usize) -> Self {
        self.limits.unhandled_bytes_max = bytes;
        self
    }

    /// The longest topic: 1,024 bytes. A longer one closes with code 1009.
    pub fn topic_bytes_max(mut self, bytes: usize) -> Self {
        self.limits.decode.topic_bytes_max = bytes;
        self
    }

    /// The longest name of an event: 1,024 bytes. A longer one closes with code 1009.
    pub fn event_bytes_max(mut self, bytes: usize) -> Self {
        self.limits.decode.event_bytes_max = bytes;
        self
    }

    /// The longest ref or join ref, as JSON: 1,024 bytes. A longer one closes with code 1009.
    pub fn ref_bytes_max(mut self, bytes: usize) -> Self {
        self.limits.decode.ref_bytes_max = bytes;
        self
    }

    /// How deep a message may nest, its own array or object counted: 128. A deeper one closes with code 1007. More than
    /// 128 lets payloads through that can only be relayed: they don't decode.
    pub fn json_depth_max(mut self, depth: usize) -> Self {
        self.limits.decode.depth_max = depth;
        self
    }
}
