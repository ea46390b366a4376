#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod address;
mod backoff;
mod channel;
mod client;
mod driver;
mod error;
mod events;
mod inbox;
mod machine;
mod options;
mod presence;
mod socket;
mod status;
mod transport;

/// What `bennu-fuzz` tries on this crate's inner parts. No part of the API.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::{machine::fuzzing::machine, presence::fuzzing::roster};
}

pub use bennu_wire::{DecodeError, EncodeError, Payload, Topic};
pub use bytes::Bytes;
/// TLS, in the version that [`Client::tls`] takes.
#[cfg(feature = "rustls")]
pub use tokio_rustls::rustls;

pub use channel::{Channel, Joining};
pub use client::Client;
pub use error::{ConnectionError, PushError, Refusal};
pub use events::{Event, Events};
pub use options::{OnRefused, Rejoin};
pub use presence::{Meta, Presence, PresenceChange, Present};
pub use socket::Socket;
pub use status::{Changes, ChannelStatus, Status, Transport};
