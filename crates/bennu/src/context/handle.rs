//! Channels as other tasks reach them.

use std::{fmt, marker::PhantomData, sync::Weak};

use bennu_wire::ChannelId;

use crate::{
    Channel,
    runtime::{Conn, Mail},
};

/// Sends `Info` to a channel from any task: see [`Context::handle`](crate::Context::handle). It doesn't keep the connection alive.
pub struct Handle<C: Channel> {
    conn: Weak<Conn>,
    id: ChannelId,
    info: PhantomData<fn(C::Info)>,
}

impl<C: Channel> Handle<C> {
    pub(super) fn new(conn: Weak<Conn>, id: ChannelId) -> Self {
        Self {
            conn,
            id,
            info: PhantomData,
        }
    }

    /// Sends `info` to [`Channel::handle_info`].
    ///
    /// # Errors
    ///
    /// The connection is gone, or too much waits for it already. A channel that ended on a connection that
    /// lives takes the message without effect.
    pub fn send(&self, info: C::Info) -> Result<(), SendError> {
        let conn = self.conn.upgrade().ok_or(SendError::Gone)?;
        conn.mail(Mail::Info(self.id, Box::new(info)))
    }
}

impl<C: Channel> Clone for Handle<C> {
    fn clone(&self) -> Self {
        Self {
            conn: self.conn.clone(),
            id: self.id,
            info: PhantomData,
        }
    }
}

/// Why a [`Handle`] could not send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The connection is gone.
    Gone,
    /// As many messages as the limit `queue_messages_max` allows wait for the connection already.
    Full,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gone => "the connection is gone",
            Self::Full => "too many messages wait for the connection",
        })
    }
}

impl std::error::Error for SendError {}

impl<C: Channel> fmt::Debug for Handle<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
