//! How a socket and its channels are, and how to watch that.

use std::{fmt, time::Duration};

use bennu_wire::Payload;
use tokio::sync::watch;

use crate::ConnectionError;

/// What carries the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// A WebSocket.
    WebSocket,
    /// Requests, for networks that let no WebSocket through.
    LongPoll,
}

/// How a socket is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// A connection is being made.
    Connecting,
    /// It is there.
    Open {
        /// What carries it.
        transport: Transport,
    },
    /// It failed or was lost, and will be tried again.
    Waiting {
        /// Why.
        error: ConnectionError,
        /// In how long.
        retry_in: Duration,
    },
    /// It has ended for good.
    Closed {
        /// Why.
        error: ConnectionError,
    },
}

/// How a channel is; phoenix.js has the same states, but for `leaving`, which is [`ChannelStatus::Closed`] here.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ChannelStatus {
    /// A join is under way, or waits for the connection.
    Joining,
    /// Joined.
    Joined,
    /// It isn't joined at the moment, and will be joined again: at a time of its own, or when there's a connection.
    Errored {
        /// What the server said: why it refused to have it back, or the payload of its `phx_error`. `None` when the
        /// connection was lost, or a join took too long.
        said: Option<Payload>,
    },
    /// It was left, the server closed it, or the socket disconnected for good.
    Closed,
}

/// A value that changes, and a way to await that. One who is slow sees the latest, not every one.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bennu_client::{Client, Status};
///
/// let socket = Client::connect("ws://127.0.0.1:9/socket").start()?;    // nobody is there
/// let mut changes = socket.changes();
/// while !matches!(changes.get(), Status::Waiting { .. }) {
///     changes.next().await;
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Changes<T> {
    pub(crate) watched: watch::Receiver<T>,
    /// After this there are no changes.
    pub(crate) is_last: fn(&T) -> bool,
}

impl<T: Clone> Changes<T> {
    /// The value now.
    #[must_use]
    pub fn get(&self) -> T {
        self.watched.borrow().clone()
    }

    /// Waits until it has changed since this was made, or since the last call. `None` when it won't change any more.
    pub async fn next(&mut self) -> Option<T> {
        let seen = !self.watched.has_changed().ok()?;
        if seen && (self.is_last)(&self.watched.borrow()) {
            return None;
        }
        self.watched.changed().await.ok()?;
        Some(self.watched.borrow_and_update().clone())
    }
}

impl<T: fmt::Debug> fmt::Debug for Changes<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Changes")
            .field(&*self.watched.borrow())
            .finish()
    }
}
