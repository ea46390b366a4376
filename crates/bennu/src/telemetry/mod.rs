//! What a server tells of itself: log lines, spans, counts, its health, and who is connected.
//!
//! Nothing here decides anything. What is counted with every message is counted in cells of the thread's own,
//! and what is shown is made up when somebody asks for it.

mod counters;
mod filter;
mod health;
mod inspect;
pub(crate) mod log;
mod metrics;
mod prometheus;
mod refusals;
pub(crate) mod trace;

use std::fmt;

use bennu_wire::{Framing, Serializer};
use serde::Serialize;

pub(crate) use counters::{Counter, Counters, Refused, Tally, is_timed};
pub use filter::FilterParameters;
pub use health::{Health, Status};
pub(crate) use inspect::{Asked, Inspected};
pub use inspect::{
    ChannelInfo, ChannelStatus, SocketDetails, SocketInfo, SocketRef, SocketRefError,
};
pub use metrics::{Metrics, Sample};
pub(crate) use refusals::count_refusal;

/// A serializer as clients name it, in `vsn`.
pub(crate) fn version(serializer: Serializer) -> &'static str {
    match serializer {
        Serializer::V1 => "1.0.0",
        Serializer::V2 => "2.0.0",
    }
}

/// What carries a client's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Transport {
    /// A WebSocket.
    WebSocket,
    /// Long-polling.
    LongPoll,
}

impl Transport {
    pub(crate) const ALL: [Self; 2] = [Self::WebSocket, Self::LongPoll];

    pub(crate) fn of(framing: Framing) -> Self {
        match framing {
            Framing::WebSocket | Framing::WebSocketDeflate => Self::WebSocket,
            Framing::LongPoll | Framing::LongPollBase64 => Self::LongPoll,
        }
    }

    /// `websocket` or `longpoll`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::LongPoll => "longpoll",
        }
    }

    fn pick<'a, T>(self, websocket: &'a T, longpoll: &'a T) -> &'a T {
        match self {
            Self::WebSocket => websocket,
            Self::LongPoll => longpoll,
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
