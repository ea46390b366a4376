//! The numbers a socket lives by, and its policies.

use std::time::Duration;

use crate::Transport;

/// What to do when the server refuses the connection (see
/// [`ConnectionError::is_refusal`](crate::ConnectionError::is_refusal)). From Phoenix and Bennu that is status 403, and
/// means that `connect` doesn't want this client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnRefused {
    /// Stop if there never was a connection, since then the address or the token is likely to be wrong; else try
    /// again, since proxies refuse for a moment while what is behind them is deployed. The default.
    #[default]
    StopAtFirst,
    /// Stop. The status is then [`Status::Closed`](crate::Status::Closed).
    Stop,
    /// Try again for ever, as phoenix.js does (which can't tell a refusal from a failure).
    Retry,
}

/// Whether a channel comes back by itself after it or its connection failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejoin {
    /// Always, also after the server has refused to have it back: that may have been for a moment. The default, as in
    /// phoenix.js.
    #[default]
    Always,
    /// Until the server refuses to have it back; then it is closed.
    UnlessRefused,
    /// Not at all: the channel is closed.
    Never,
}

/// Which transports to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carriage {
    Only(Transport),
    /// WebSocket, unless it doesn't show within this time that it works.
    Fallback(Duration),
}

#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) carriage: Carriage,
    /// For a connection, a join, a push and a ping.
    pub(crate) timeout: Duration,
    pub(crate) heartbeat: Duration,
    pub(crate) poll_timeout: Duration,
    pub(crate) reconnect_after: Vec<Duration>,
    pub(crate) rejoin_after: Vec<Duration>,
    pub(crate) on_refused: OnRefused,
    /// The first attempt has to succeed.
    pub(crate) fail_fast: bool,
    pub(crate) message_bytes_max: usize,
    pub(crate) queue_bytes_max: usize,
    pub(crate) inbox: InboxLimits,
    pub(crate) presence_bytes_max: usize,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct InboxLimits {
    pub(crate) events_max: usize,
    pub(crate) bytes_max: usize,
}

/// phoenix.js's numbers where it has them.
impl Default for Options {
    fn default() -> Self {
        Self {
            carriage: Carriage::Only(Transport::WebSocket),
            timeout: Duration::from_secs(10),
            heartbeat: Duration::from_secs(30),
            poll_timeout: Duration::from_secs(20),
            reconnect_after: [10, 50, 100, 150, 200, 250, 500, 1000, 2000, 5000]
                .map(Duration::from_millis)
                .into(),
            rejoin_after: [1000, 2000, 5000, 10_000].map(Duration::from_millis).into(),
            on_refused: OnRefused::default(),
            fail_fast: false,
            message_bytes_max: 16 << 20,
            queue_bytes_max: 16 << 20,
            inbox: InboxLimits {
                events_max: 1_024,
                bytes_max: 16 << 20,
            },
            presence_bytes_max: 16 << 20,
        }
    }
}
