//! Sockets without channels: text, bytes and control frames as they come.

use std::{
    fmt,
    future::Future,
    sync::{Arc, Weak},
};

use bennu_websocket::{Opcode, encoder};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::{
    ConnectInfo, Reason, Result, SendError,
    runtime::{Close, Conn, Mail, RAW, frame},
};

/// A socket of one's own protocol over the same transports, limits and checks as sockets with channels.
///
/// Callbacks run one at a time and in order; a connection whose callback is busy isn't read from. A panic
/// closes the connection with code 1011. Phoenix's `Phoenix.Socket.Transport` behaviour.
///
/// ```
/// use bennu::{ConnectInfo, Endpoint, RawContext, RawMessage, RawSocket, Result};
/// use std::sync::Arc;
///
/// struct Echo;
///
/// impl RawSocket for Echo {
///     type App = ();
///     type Params = ();
///     type Info = ();
///
///     async fn connect(_: &Arc<()>, _: (), _: &ConnectInfo) -> Result<Self> {
///         Ok(Self)
///     }
///
///     async fn handle_in(&mut self, message: RawMessage, cx: &RawContext<Self>) -> Result<()> {
///         cx.send(message);
///         Ok(())
///     }
/// }
///
/// let router: axum::Router = Endpoint::new(()).raw_socket::<Echo>("/echo").router();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a raw socket",
    label = "needs `impl RawSocket for {Self}`",
    note = "`Endpoint::raw_socket::<R>(path)` takes a type that implements `bennu::RawSocket`"
)]
pub trait RawSocket: Send + Sized + 'static {
    /// What the endpoint was made with, shared by all connections.
    type App: Send + Sync + 'static;
    /// What a client gives in the address, as for [`Socket::Params`](crate::Socket::Params).
    type Params: DeserializeOwned + Send;
    /// What other tasks send to this socket by its [`RawHandle`]. `()` where nobody does.
    type Info: Send + 'static;

    /// Lets a client connect, or refuses it with status 403.
    fn connect(
        app: &Arc<Self::App>,
        params: Self::Params,
        info: &ConnectInfo,
    ) -> impl Future<Output = Result<Self>> + Send;

    /// Names the connection: `endpoint.broadcast(id, "disconnect", &())` closes all connections of that id.
    fn id(&self) -> Option<String> {
        None
    }

    /// The connection is open. Nothing was read yet.
    fn init(&mut self, cx: &RawContext<Self>) -> impl Future<Output = Result<()>> + Send {
        let _ = cx;
        async { Ok(()) }
    }

    /// A message from the client. An error closes the connection with code 1011.
    fn handle_in(
        &mut self,
        message: RawMessage,
        cx: &RawContext<Self>,
    ) -> impl Future<Output = Result<()>> + Send;

    /// A control frame from the client. Pings are answered before this is called.
    fn handle_control(
        &mut self,
        control: RawControl,
        cx: &RawContext<Self>,
    ) -> impl Future<Output = Result<()>> + Send {
        let _ = (control, cx);
        async { Ok(()) }
    }

    /// A message from another task. By default it is ignored.
    fn handle_info(
        &mut self,
        info: Self::Info,
        cx: &RawContext<Self>,
    ) -> impl Future<Output = Result<()>> + Send {
        let _ = (info, cx);
        async { Ok(()) }
    }

    /// The connection closes. Not called after a panic.
    fn terminate(&mut self, reason: Reason) -> impl Future<Output = ()> + Send {
        let _ = reason;
        async {}
    }
}

/// A message of a raw socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawMessage {
    /// UTF-8 text.
    Text(String),
    /// Bytes.
    Binary(Bytes),
}

/// A control frame of a raw socket, with at most 125 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawControl {
    /// Asks the peer for a pong with the same payload.
    Ping(Bytes),
    /// Answers a ping, or says that the peer is there.
    Pong(Bytes),
}

/// What a raw socket can do.
pub struct RawContext<R: RawSocket> {
    conn: Arc<Conn>,
    socket: std::marker::PhantomData<fn(R)>,
}

impl<R: RawSocket> RawContext<R> {
    pub(crate) fn new(conn: Arc<Conn>) -> Self {
        Self {
            conn,
            socket: std::marker::PhantomData,
        }
    }

    /// Sends a message to the client.
    #[expect(clippy::needless_pass_by_value, reason = "a message is sent once")]
    pub fn send(&self, message: RawMessage) {
        let framing = self.conn.encoding().framing;
        self.conn.send(match &message {
            RawMessage::Text(text) => frame(framing, Opcode::Text, text.as_bytes()),
            RawMessage::Binary(bytes) => frame(framing, Opcode::Binary, bytes),
        });
    }

    /// Sends a control frame to the client. Payload past 125 bytes is cut off. Long-polling has none.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a control frame is sent once"
    )]
    pub fn control(&self, control: RawControl) {
        if self.conn.is_polled() {
            return;
        }
        self.conn.send(match &control {
            RawControl::Ping(payload) => encoder::ping(payload),
            RawControl::Pong(payload) => encoder::pong(payload),
        });
    }

    /// Closes the connection, after what was sent. `reason` is cut off at 123 bytes.
    pub fn close(&self, code: u16, reason: impl Into<String>) {
        self.conn.close(Close::new(code, reason.into()));
    }

    /// Reaches this socket from other tasks.
    #[must_use]
    pub fn handle(&self) -> RawHandle<R> {
        RawHandle {
            conn: Arc::downgrade(&self.conn),
            info: std::marker::PhantomData,
        }
    }
}

/// Sends `Info` to a raw socket from any task. It doesn't keep the connection alive.
pub struct RawHandle<R: RawSocket> {
    conn: Weak<Conn>,
    info: std::marker::PhantomData<fn(R::Info)>,
}

impl<R: RawSocket> RawHandle<R> {
    /// Sends `info` to [`RawSocket::handle_info`].
    ///
    /// # Errors
    ///
    /// The connection is gone, or too much waits for it already.
    pub fn send(&self, info: R::Info) -> std::result::Result<(), SendError> {
        let conn = self.conn.upgrade().ok_or(SendError::Gone)?;
        conn.mail(Mail::Info(RAW, Box::new(info)))
    }
}

impl<R: RawSocket> Clone for RawHandle<R> {
    fn clone(&self) -> Self {
        Self {
            conn: self.conn.clone(),
            info: std::marker::PhantomData,
        }
    }
}

impl<R: RawSocket> fmt::Debug for RawContext<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawContext").finish_non_exhaustive()
    }
}

impl<R: RawSocket> fmt::Debug for RawHandle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawHandle").finish_non_exhaustive()
    }
}
