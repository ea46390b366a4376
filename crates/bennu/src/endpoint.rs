//! The endpoint: where sockets are mounted, and the way to broadcast from anywhere.

use std::{fmt, sync::Arc};

use axum::Router;
use bennu_pubsub::{Adapter, PubSub, Receiver, Subscription};
use bennu_wire::{Broadcast, EncodeError, Payload, Topic};
use serde::Serialize;

use crate::{
    RawSocket, Routes, Socket, SocketOptions,
    runtime::{Channels, Mount, Raw},
    transport::websocket,
};

/// Sockets mounted at paths, and the topics they share. Clones share everything.
///
/// Phoenix's `Phoenix.Endpoint`, as far as it concerns sockets: HTTP is axum's.
///
/// ```no_run
/// # use bennu::*; use std::sync::Arc;
/// # struct UserSocket;
/// # impl Socket for UserSocket { type App = (); type Params = ();
/// #   fn channels(routes: Routes<Self>) -> Routes<Self> { routes }
/// #   async fn connect(_: &Arc<()>, _: (), _: &ConnectInfo) -> Result<Self> { Ok(Self) } }
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
/// let endpoint = Endpoint::new(()).socket::<UserSocket>("/socket");
/// let router = axum::Router::new().merge(endpoint.router());
///
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:4000").await?;
/// axum::serve(listener, router).await
/// # }
/// ```
pub struct Endpoint<A> {
    app: Arc<A>,
    pubsub: PubSub,
    options: SocketOptions,
    router: Router,
    mounts: Vec<Arc<Mount>>,
}

impl<A: Send + Sync + 'static> Endpoint<A> {
    /// An endpoint without sockets. `app` is what [`Socket::connect`] is given: pools, configuration.
    #[must_use]
    pub fn new(app: impl Into<Arc<A>>) -> Self {
        Self {
            app: app.into(),
            pubsub: PubSub::new(),
            options: SocketOptions::new(),
            router: Router::new(),
            mounts: Vec::new(),
        }
    }

    /// Reaches other nodes through `adapter`. To be called before sockets are mounted.
    #[must_use]
    pub fn adapter(mut self, adapter: impl Adapter) -> Self {
        self.pubsub = PubSub::with_adapter(Box::new(adapter));
        self
    }

    /// The options of sockets that are mounted after this without options of their own.
    #[must_use]
    pub fn options(mut self, options: SocketOptions) -> Self {
        self.options = options;
        self
    }

    /// Mounts a socket at `path`. Its variables (`/rooms/{room}`, or `/rooms/:room`) become params.
    ///
    /// # Panics
    ///
    /// When the path is none, or is taken.
    #[must_use]
    pub fn socket<S: Socket<App = A>>(self, path: &str) -> Self {
        let options = self.options.clone();
        self.socket_with::<S>(path, options)
    }

    /// Mounts a socket at `path` with options of its own.
    ///
    /// # Panics
    ///
    /// As [`socket`](Self::socket).
    #[must_use]
    pub fn socket_with<S: Socket<App = A>>(self, path: &str, options: SocketOptions) -> Self {
        let routes = Arc::new(S::channels(Routes::new()));
        self.mount(path, options, |mount, app| {
            websocket::Accept::new(mount, app, S::connect, move |socket, conn| {
                Channels::new(socket, routes.clone(), conn)
            })
        })
    }

    /// Mounts a raw socket at `path`.
    ///
    /// # Panics
    ///
    /// As [`socket`](Self::socket).
    #[must_use]
    pub fn raw_socket<R: RawSocket<App = A>>(self, path: &str) -> Self {
        let options = self.options.clone();
        self.raw_socket_with::<R>(path, options)
    }

    /// Mounts a raw socket at `path` with options of its own.
    ///
    /// # Panics
    ///
    /// As [`socket`](Self::socket).
    #[must_use]
    pub fn raw_socket_with<R: RawSocket<App = A>>(mut self, path: &str, options: SocketOptions) -> Self {
        todo_mount
    }

    /// The routes of all mounted sockets, to be merged into or nested in the application's router.
    #[must_use]
    pub fn router(&self) -> Router {
        self.router.clone()
    }
}
