//! What can be measured.

use serde::{Deserialize, Serialize};

/// A kind of load.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scenario {
    /// Connections that join and then only send heartbeats
    Idle,
    /// Pushes that are replied to
    Echo,
    /// Broadcasts to all who joined a topic
    FanOut,
    /// Clients that come and go, and all others hear of it
    Presence,
    /// All connections are cut at once, and come back
    ReconnectStorm,
}

impl Scenario {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Echo => "echo",
            Self::FanOut => "fan-out",
            Self::Presence => "presence",
            Self::ReconnectStorm => "reconnect-storm",
        }
    }

    /// What its latency is, from where to where.
    pub(crate) const fn latency(self) -> &'static str {
        match self {
            Self::Idle => "heartbeat to reply",
            Self::Echo => "push to reply",
            Self::FanOut => "push to each delivery",
            Self::Presence => "join or leave to each diff",
            Self::ReconnectStorm => "cut to joined again",
        }
    }

    /// What is counted as sent, and as received.
    pub(crate) const fn units(self) -> (&'static str, &'static str) {
        match self {
            Self::Idle => ("heartbeats", "replies"),
            Self::Echo => ("pushes", "replies"),
            Self::FanOut => ("broadcasts", "deliveries"),
            Self::Presence => ("changes", "diffs"),
            Self::ReconnectStorm => ("cuts", "returns"),
        }
    }
}
