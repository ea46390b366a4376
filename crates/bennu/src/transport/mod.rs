//! How bytes come and go. A transport carries frames and decides nothing about the protocol.

mod accept;
mod admit;
pub(crate) mod delivery;
pub(crate) mod longpoll;
mod origin;
mod subprotocol;
pub(crate) mod websocket;

pub(crate) use accept::{Accept, ChannelSockets, RawSockets};
pub use origin::{CheckOrigin, Origin, OriginError};
