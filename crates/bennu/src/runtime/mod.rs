//! What runs a connection: one task, its channels as data while idle and as futures while busy.
//!
//! [`Conn`] is the part of a connection that other tasks hold. [`Connection`] is its task, over any byte
//! stream. A [`Driver`] is what speaks on it: [`Channels`] for sockets with channels, [`Raw`] for raw ones. A
//! driver never sees bytes, and a connection never sees messages.

mod busy;
mod channels;
mod close;
mod conn;
mod connection;
mod drain;
mod frame;
mod gate;
mod live;
mod mount;
mod queue;
mod raw;
mod relay;
mod running;
#[cfg(all(test, shuttle))]
mod schedules;
mod seat;
mod slot;
pub(crate) mod sync;
mod unhandled;

pub(crate) use channels::Channels;
pub(crate) use close::Close;
pub(crate) use conn::{Conn, Mail, SOCKET_ID};
pub(crate) use connection::{Connection, Control, Driver, Stream, others_first};
pub(crate) use drain::drain;
pub(crate) use frame::{encode, frame};
pub(crate) use gate::Gate;
pub(crate) use live::{JoinFn, Place, join};
pub(crate) use mount::{Mount, Queued};
pub(crate) use raw::{RAW, Raw};
pub(crate) use relay::Relay;
pub(crate) use running::{caught, discard};
pub(crate) use seat::{Full, Peers, Seat};

/// Why a client that sends too often is refused or closed.
pub(crate) const TOO_MANY_EVENTS: &str = "too many events";
/// Why a client is closed when it and others have sent more than the mount may hold.
pub(crate) const TOO_MANY_UNHANDLED: &str = "too many unhandled messages";
