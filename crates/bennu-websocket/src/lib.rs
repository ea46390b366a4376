//! RFC 6455, the server's side, as values.
//!
//! Bytes go in, events come out, and the other way round: this crate does no I/O, reads no clock, takes no lock, spawns
//! nothing and knows nothing of channels. The task that owns a socket reads into a buffer of its own, hands it to
//! [`Decoder::decode`], and writes what [`encoder`] made.
//!
//! | Step | Where |
//! |---|---|
//! | is this HTTP request a WebSocket handshake, and the 101 for it | [`handshake`] |
//! | may messages be compressed, and with what window | [`extension`] |
//! | frames from the client to messages, pings and closes | [`decoder`] |
//! | messages, pings and closes to frames for the client | [`encoder`] |
//! | close codes, and which one answers which | [`close`] |
//! | permessage-deflate on one message | [`deflate`] |
//! | the other side of all this, without compression | [`client`] |
//!
//! ```
//! use bennu_websocket::{Config, Decoder, Event, Inflater, Opcode, encoder};
//!
//! // "Hello", masked as a client must (RFC 6455 section 5.7).
//! let mut input = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
//! let (used, event) = Decoder::default().decode(&Config::default(), &mut Inflater::default(), &mut input)?;
//! assert_eq!((used, event), (11, Some(Event::Text("Hello".into()))));
//!
//! assert_eq!(encoder::frame(Opcode::Text, b"Hello"), &b"\x81\x05Hello"[..]);
//! # Ok::<(), bennu_websocket::CloseError>(())
//! ```

pub mod client;
pub mod close;
pub mod decoder;
pub mod deflate;
pub mod encoder;
pub mod extension;
pub mod handshake;

mod frame;
mod mask;
mod message;
mod text;

pub use close::CloseError;
pub use decoder::{Config, Decoder, Event};
pub use deflate::{Deflater, Inflater};
pub use extension::Deflate;
pub use frame::Opcode;
pub use handshake::{HandshakeError, Upgrade};
