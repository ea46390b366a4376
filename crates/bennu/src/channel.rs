//! A channel: what one client does in one topic.

use std::future::Future;

use bennu_wire::{Broadcast, Topic};
use serde::{Serialize, de::DeserializeOwned};
use tracing::Level;

use crate::{Context, Reply, Result, Socket, reply::Answer};

/// One client in one topic. Its fields are its state, from the join until it ends.
///
/// Callbacks of one channel run one at a time and in order; those of other channels of the same connection
/// run beside them. A panic ends this channel alone: its client gets `phx_error` and joins anew.
///
/// Write the callbacks as `async fn`. [`join`](Self::join) and [`handle_in`](Self::handle_in) are required.
/// Phoenix's `Phoenix.Channel`.
///
/// ```
/// use bennu::{Channel, Context, Joined, Reply, Result, Socket, Topic, refuse};
/// use serde::Deserialize;
/// # use std::sync::Arc;
/// # struct UserSocket;
/// # impl Socket for UserSocket {
/// #     type App = (); type Params = ();
/// #     fn channels(routes: bennu::Routes<Self>) -> bennu::Routes<Self> { routes.channel::<Room>("room:*") }
/// #     async fn connect(_: &Arc<()>, _: (), _: &bennu::ConnectInfo) -> Result<Self> { Ok(Self) }
/// # }
///
/// struct Room { sent: u32 }
///
/// #[derive(Deserialize)]
/// #[serde(rename_all = "snake_case")]
/// enum In {
///     NewMsg { body: String },
///     Typing,
/// }
///
/// impl Channel for Room {
///     type Socket = UserSocket;
///     type Params = ();
///     type In = In;
///     type Info = ();
///
///     async fn join(topic: &Topic, (): (), _: &Context<Self>) -> Result<Joined<Self>> {
///         if topic.subtopic().is_empty() {
///             return Err(refuse("no such room"));
///         }
///         Ok(Room { sent: 0 }.into())
///     }
///
///     async fn handle_in(&mut self, event: In, cx: &Context<Self>) -> Result {
///         match event {
///             In::NewMsg { body } => {
///                 self.sent += 1;
///                 cx.broadcast("new_msg", &body);
///                 Ok(Reply::with(self.sent))
///             }
///             In::Typing => {
///                 cx.broadcast_from("typing", &());
///                 Ok(Reply::none())
///             }
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a channel",
    label = "needs `impl Channel for {Self}`",
    note = "`Routes::channel::<C>(pattern)` takes a type that implements `bennu::Channel`"
)]
pub trait Channel: Send + Sized + 'static {
    /// The socket whose connections join this channel.
    type Socket: Socket;
    /// What a client sends with its join. `()` takes anything.
    ///
    /// Params that don't decode refuse the join with a reason that names what is wrong.
    type Params: DeserializeOwned + Send;
    /// What a client sends: an enum with a variant for each event, named by serde; or
    /// [`RawEvent`](crate::RawEvent) for event and payload as they came.
    ///
    /// An event that doesn't decode gets an error reply that says what is wrong.
    type In: DeserializeOwned + Send;
    /// What other tasks send to this channel by its [`Handle`](crate::Handle). `()` where nobody does.
    type Info: Send + 'static;

    /// Events that don't go to the client as they are broadcast, but to [`handle_out`](Self::handle_out).
    ///
    /// Each costs a callback per subscriber and broadcast, instead of one encoding for all.
    const INTERCEPT: &'static [&'static str] = &[];

    /// The level of the log lines of joins, or `None` for no lines. Topics that start with `phoenix` are never
    /// logged. Phoenix's `log_join`.
    const LOG_JOIN: Option<Level> = Some(Level::INFO);
    /// The level of the log lines of events, or `None` for no lines. Phoenix's `log_handle_in`.
    const LOG_HANDLE_IN: Option<Level> = Some(Level::DEBUG);

    /// Lets a client in, or not.
    ///
    /// What is pushed or broadcast from here goes out right after the join's reply. Broadcasts of the topic
    /// are heard from the reply on.
    fn join(
        topic: &Topic,
        params: Self::Params,
        cx: &Context<Self>,
    ) -> impl Future<Output = Result<Joined<Self>>> + Send;

    /// An event from the client.
    fn handle_in(
        &mut self,
        event: Self::In,
        cx: &Context<Self>,
    ) -> impl Future<Output = Result> + Send;

    /// A broadcast of an intercepted event, or of a topic the channel subscribed to with
    /// [`Context::subscribe`]. By default it is pushed to the client, under the channel's own topic.
    fn handle_out(
        &mut self,
        out: &Broadcast,
        cx: &Context<Self>,
    ) -> impl Future<Output = Result<()>> + Send {
        cx.push(out.event(), out.payload());
        async { Ok(()) }
    }

    /// A message from another task. By default it is ignored.
    fn handle_info(
        &mut self,
        info: Self::Info,
        cx: &Context<Self>,
    ) -> impl Future<Output = Result<()>> + Send {
        let _ = (info, cx);
        async { Ok(()) }
    }

    /// The channel ends. It may still push, unless the connection is gone; then it has five seconds.
    ///
    /// Not called after a panic, nor when the client replaced the channel by joining its topic again: implement
    /// `Drop` for what must happen in any case.
    fn terminate(&mut self, reason: Reason, cx: &Context<Self>) -> impl Future<Output = ()> + Send {
        let _ = (reason, cx);
        async {}
    }
}

/// Why a channel, or a raw socket, ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The client left. Phoenix's `{:shutdown, :left}`.
    Left,
    /// The connection was closed, by the client or by its loss. Phoenix's `{:shutdown, :closed}`.
    Closed,
    /// The server closed the connection: a forced disconnect, a limit, idleness.
    Disconnected,
    /// The channel stopped itself with [`Context::stop`].
    Stopped,
    /// The channel ended itself with [`Context::fail`], or sent what can't be encoded.
    Failed,
}

/// A channel that let its client in, and the reply to the join.
#[derive(Debug)]
pub struct Joined<C> {
    pub(crate) channel: C,
    pub(crate) answer: Option<Answer>,
}

impl<C> Joined<C> {
    /// Replies to the join with `response` (any JSON value, or `Bytes`) in place of `{}`.
    pub fn with_reply(channel: C, response: impl Serialize) -> Self {
        Self {
            channel,
            answer: Reply::with(response).0,
        }
    }
}

impl<C> From<C> for Joined<C> {
    fn from(channel: C) -> Self {
        Self {
            channel,
            answer: Reply::ok().0,
        }
    }
}
