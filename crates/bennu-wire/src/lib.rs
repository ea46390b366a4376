//! The Phoenix channels protocol as values: messages, serializers and the session state machine.
//!
//! Bytes go in at a [`Serializer`], a [`Message`] comes out; a [`Session`] takes messages and says in [`Action`]s what is to
//! be done next; what it sends goes back through the serializer. Nothing here opens a socket, reads a clock, spawns a
//! task or takes a lock that could be waited on by a stranger, so all of it is tested as text in, text out.
//!
//! | You have | You want | Take |
//! |---|---|---|
//! | a `vsn` parameter | to know which format is spoken | [`Serializer::negotiate`] |
//! | a frame | a message | [`Serializer::decode`] |
//! | a message | to know what it means now | [`Session::receive`], [`Session::poll_action`] |
//! | an event and a payload | an enum | [`decode_event`] |
//! | a value | a payload | [`Payload::new`] |
//! | something to send | a frame | [`Serializer::encode`], [`Broadcast::encoded`] |
//! | a client to write | what it sends, what it hears | [`Request::encode`], [`Response::decode`] |
//! | a posted body, a poll | messages, an answer | [`longpoll::Batch`], [`longpoll::Window`] |
//!
//! ```
//! use bennu_wire::{Action, Frame, Limits, Serializer, Session};
//!
//! let serializer = Serializer::negotiate(Some("2.0.0"))?;
//! let mut session = Session::new(Limits::default());
//!
//! let frame = Frame::Text(r#"[null,"1","phoenix","heartbeat",{}]"#);
//! let action = session.receive(serializer.decode(frame)?, |_topic| false);
//!
//! let Some(Action::Send(outbound)) = action else { panic!("a heartbeat is answered") };
//! let mut text = Vec::new();
//! serializer.encode(&outbound.as_outgoing(), &mut text)?;
//! assert_eq!(text, br#"[null,"1","phoenix","phx_reply",{"status":"ok","response":{}}]"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What this crate must never know: tokio, axum, sockets, tasks, channels' code, subscribers.

mod broadcast;
mod client;
mod error;
mod event;
pub mod longpoll;
mod message;
mod name;
mod payload;
mod rate;
mod reference;
mod serializer;
mod session;
mod topic;

pub use broadcast::{Broadcast, Encoding, Framing};
pub use client::{Heard, Intent, Request, Response};
pub use error::{Cause, DecodeError, EncodeError};
pub use event::{RawEvent, decode_event};
pub use message::{Message, Outbound, Outgoing, Reply};
pub use name::{Name, NameRef};
pub use payload::Payload;
pub use rate::{Bucket, Rate};
pub use reference::Ref;
pub use serializer::{DecodeLimits, Frame, Kind, Serializer, VsnError};
pub use session::{Action, ChannelId, Limits, Session};
pub use topic::{Pattern, PatternError, Topic};
