//! The programs that are measured: Bennu, the floors under it, and what else a Rust user would take.

use crate::{
    frame::Dialect,
    load::{Hello, Joins},
};

/// A program, which is this binary with a hidden subcommand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Bennu,
    /// An epoll loop that moves bytes.
    Floor,
    /// The same, which also unmasks and checks frames.
    FramingFloor,
    /// A tokio task for each stream, which moves bytes.
    Bare,
    /// hyper alone: upgrades, and answers requests with fixed bytes.
    Hyper,
    /// axum's own WebSocket, with a `tokio::sync::broadcast` channel for each topic.
    Axum,
    Socketioxide,
}

impl Program {
    /// What is measured beside Bennu where there is something to compare.
    pub(crate) const RIVALS: [Self; 2] = [Self::Axum, Self::Socketioxide];

    /// The subcommand that starts it.
    pub(crate) const fn subcommand(self) -> &'static str {
        match self {
            Self::Bennu => "server",
            Self::Floor => "floor",
            Self::FramingFloor => "framing-floor",
            Self::Bare => "bare",
            Self::Hyper => "hyper",
            Self::Axum => "axum",
            Self::Socketioxide => "socketioxide",
        }
    }

    /// What it's called in tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bennu => "Bennu",
            Self::Floor => "floor: bytes only",
            Self::FramingFloor => "floor: frames, unmasked and checked",
            Self::Bare => "floor: bytes only, on tokio",
            Self::Hyper => "floor: hyper alone",
            Self::Axum => "axum and broadcast channels",
            Self::Socketioxide => "socketioxide",
        }
    }

    /// What its clients say to join: nothing where the program knows no protocol.
    pub(crate) const fn hello(self, joins: Joins) -> Hello {
        let (dialect, joins) = match self {
            Self::Bennu | Self::Axum => (Dialect::Channels, joins),
            Self::Socketioxide => (Dialect::SocketIo, joins),
            Self::Floor | Self::FramingFloor | Self::Bare => (Dialect::Channels, Joins::Silent),
            Self::Hyper => (Dialect::Channels, Joins::Upgrade),
        };
        Hello { dialect, joins }
    }
}
