//! Who is connected, and what they have joined: for people who look for a fault.
//!
//! What the list shows is read from outside. What only a connection's task knows is asked of it; that costs a
//! connection nothing until somebody asks.

use std::{fmt, net::SocketAddr, str::FromStr, time::Duration};

use serde::{Serialize, Serializer};
use tokio::sync::oneshot;

use super::Transport;

/// Names one connection of one node, in a text such as `0-17-3021`: see [`Endpoint::sockets`].
///
/// It goes on naming nothing when the connection is gone, unless another takes its place within a tenth of a
/// second of the first one's start.
///
/// [`Endpoint::sockets`]: crate::Endpoint::sockets
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketRef {
    /// Mounts are numbered as they were mounted.
    pub(crate) mount: u32,
    pub(crate) place: u32,
    /// Tenths of a second since the mount's start.
    pub(crate) opened: u32,
}

impl fmt::Display for SocketRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.mount, self.place, self.opened)
    }
}

/// A text that names no connection: it isn't three numbers with dashes in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketRefError;

impl fmt::Display for SocketRefError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected three numbers, as in 0-17-3021")
    }
}

impl std::error::Error for SocketRefError {}

impl FromStr for SocketRef {
    type Err = SocketRefError;

    fn from_str(text: &str) -> Result<Self, SocketRefError> {
        let mut numbers = text.splitn(3, '-').map(str::parse);
        let mut next = || numbers.next()?.ok();
        match (next(), next(), next()) {
            (Some(mount), Some(place), Some(opened)) => Ok(Self {
                mount,
                place,
                opened,
            }),
            _ => Err(SocketRefError),
        }
    }
}

impl Serialize for SocketRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A connection, as seen from outside: see [`Endpoint::sockets`](crate::Endpoint::sockets).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SocketInfo {
    /// Its name.
    pub socket: SocketRef,
    /// The path where its socket is mounted.
    pub mount: String,
    /// What carries its messages.
    pub transport: Transport,
    /// The version of its serializer: `1.0.0` or `2.0.0`.
    pub serializer: &'static str,
    /// How long it has been open.
    pub open_for: Duration,
    /// Messages that wait to be written to it.
    pub queued_messages: usize,
    /// Their bytes.
    pub queued_bytes: usize,
    /// Whether it is about to be closed.
    pub closing: bool,
}

/// What a connection says of itself: see [`Endpoint::inspect`](crate::Endpoint::inspect).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SocketDetails {
    /// What [`Socket::id`](crate::Socket::id) said.
    pub id: Option<String>,
    /// The other end of its TCP connection: a proxy's where there is one. `None` over TLS, in long-polling and in
    /// memory.
    pub peer: Option<SocketAddr>,
    /// The channels it has joined, or is joining or leaving. None for a raw socket.
    pub channels: Vec<ChannelInfo>,
}

/// A channel of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ChannelInfo {
    /// Its topic.
    pub topic: String,
    /// What it does.
    pub status: ChannelStatus,
    /// Events and messages that wait for its running callback to end.
    pub queued: usize,
}

/// What a channel does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ChannelStatus {
    /// Its `join` runs.
    Joining,
    /// It waits for something to do.
    Idle,
    /// A callback runs.
    Busy,
    /// It ends.
    Leaving,
}

/// What a driver knows.
#[derive(Debug, Default)]
pub(crate) struct Inspected {
    pub(crate) id: Option<String>,
    pub(crate) channels: Vec<ChannelInfo>,
}

/// A question to a connection's task.
pub(crate) type Asked = oneshot::Sender<SocketDetails>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ref_is_read_as_it_is_shown() {
        let socket = SocketRef {
            mount: 0,
            place: 17,
            opened: 3021,
        };
        assert_eq!(socket.to_string(), "0-17-3021");
        assert_eq!("0-17-3021".parse(), Ok(socket));
        for text in [
            "",
            "1",
            "1-2",
            "1-2-3-4",
            "a-b-c",
            "1--2",
            "99999999999-1-1",
        ] {
            assert_eq!(text.parse::<SocketRef>(), Err(SocketRefError), "{text}");
        }
    }
}
