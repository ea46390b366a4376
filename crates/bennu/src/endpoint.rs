//! The endpoint: where sockets are mounted, and the way to broadcast from anywhere.

mod broadcaster;
mod nodes;
mod watch;

use std::{fmt, sync::Arc};

use axum::{Router, body::Body, response::Response, routing::MethodRouter};
use bennu_pubsub::{Adapter, ClusterOptions, NodeName, PubSub, Receiver, Subscription};
use bennu_wire::{Broadcast, Payload, Topic};
use futures_util::future::join_all;
use http::{Request, StatusCode};
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tower::ServiceExt;

use crate::{
    CheckOrigin, Presence, PresenceHandler, PresenceOptions, RawSocket, Routes, Socket,
    SocketOptions,
    runtime::{Mount, drain},
    telemetry::{Counter, Counters},
    transport::{
        Accept, ChannelSockets, RawSockets,
        longpoll::{self, NODE_BYTES, Relay, Signer},
        websocket,
    },
};

pub use broadcaster::Broadcaster;

/// As long as what HMAC-SHA-256 makes of it.
const SECRET_BYTES: usize = 32;
/// The shortest secret that is taken, as for [`Token`](crate::Token).
const SECRET_BYTES_MIN: usize = 20;

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
/// bennu::serve(listener, router).await
/// # }
/// ```
pub struct Endpoint<A> {
    app: Arc<A>,
    pubsub: PubSub,
    presence: Presence,
    /// The way to other nodes, and how it's taken, until sockets are mounted.
    adapter: Option<Arc<dyn Adapter>>,
    cluster_options: ClusterOptions,
    options: SocketOptions,
    host: Option<String>,
    /// What the tokens of long-poll sessions are signed with.
    secret: Arc<[u8]>,
    /// Tells the tokens of this run of this node from others.
    node: [u8; NODE_BYTES],
    /// Passes long-poll requests on, where there are other nodes.
    relay: Option<Arc<Relay>>,
    router: Router,
    mounts: Vec<Arc<Mount>>,
}

impl<A: Send + Sync + 'static> Endpoint<A> {
    /// An endpoint without sockets. `app` is what [`Socket::connect`] is given: pools, configuration.
    #[must_use]
    pub fn new(app: impl Into<Arc<A>>) -> Self {
        let pubsub = PubSub::new();
        Self {
            app: app.into(),
            presence: Presence::new("presence", &pubsub, PresenceOptions::new()),
            pubsub,
            adapter: None,
            cluster_options: ClusterOptions::new(),
            options: SocketOptions::new(),
            host: None,
            secret: Arc::new(random::<SECRET_BYTES>()),
            node: random(),
            relay: None,
            router: Router::new(),
            mounts: Vec::new(),
        }
    }

    /// The limits of presences, and when large topics are told of changes. To be called before sockets are
    /// mounted.
    #[must_use]
    pub fn presence_options(mut self, options: PresenceOptions) -> Self {
        self.presence = self.presence.with_options(options, &self.pubsub);
        self
    }

    /// Has `handler` add to presences before clients see them, or follow them. To be called before sockets
    /// are mounted.
    #[must_use]
    pub fn presence_handler(mut self, handler: impl PresenceHandler) -> Self {
        self.presence = self.presence.handled_by(handler, &self.pubsub);
        self
    }

    /// What the tokens of long-poll sessions are signed with, the same on all nodes. At random unless it's given. To
    /// be called before sockets are mounted.
    ///
    /// # Panics
    ///
    /// When it has fewer than 20 bytes.
    #[must_use]
    pub fn secret(mut self, secret: impl AsRef<[u8]>) -> Self {
        let secret = secret.as_ref();
        assert!(
            secret.len() >= SECRET_BYTES_MIN,
            "the endpoint's secret needs {SECRET_BYTES_MIN} bytes, it has {}",
            secret.len()
        );
        self.secret = secret.into();
        self
    }

    /// The options of sockets that are mounted after this without options of their own.
    #[must_use]
    pub fn options(mut self, options: SocketOptions) -> Self {
        self.options = options;
        self
    }

    /// The host that web pages come from: `example.com`. To be told before sockets are mounted, as by default
    /// only its pages [may connect](crate::CheckOrigin::host); without it pages of every host may. The host of
    /// Phoenix's `url`.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Mounts a socket at `path`. Its variables (`/rooms/{room}`, or `/rooms/:room`) become params.
    ///
    /// # Panics
    ///
    /// When the path is none, or is taken. When the options check neither
    /// [origins](SocketOptions::check_origin) nor [CSRF tokens](SocketOptions::check_csrf).
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
        let routes = Arc::new(S::channels(Routes::new(self.app.clone())));
        let sockets = ChannelSockets::<S> {
            app: self.app.clone(),
            routes,
        };
        self.mount(path, options, sockets)
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
    pub fn raw_socket_with<R: RawSocket<App = A>>(
        self,
        path: &str,
        options: SocketOptions,
    ) -> Self {
        let sockets = RawSockets::<R> {
            app: self.app.clone(),
        };
        self.mount(path, options, sockets)
    }

    fn mount(mut self, path: &str, mut options: SocketOptions, sockets: impl Accept) -> Self {
        options.host.clone_from(&self.host);
        if options.check_origin.is_none() {
            options.check_origin.clone_from(&self.options.check_origin);
        }
        let unchecked_origin = options
            .check_origin
            .as_ref()
            .is_some_and(CheckOrigin::is_off);
        assert!(
            options.check_csrf || !unchecked_origin,
            "the socket at {path} checks neither origins nor CSRF tokens, so that any web page could act as its \
             users: leave SocketOptions::check_csrf on, or choose a CheckOrigin"
        );
        let sockets = Arc::new(sockets);
        let (pubsub, presence) = (self.pubsub.clone(), self.presence.clone());
        let mount = Arc::new(Mount::new(path.to_owned(), options, pubsub, presence));
        let options = &mount.options;
        let route = websocket::route(mount.clone(), sockets.clone());
        self = self.route(path, &options.websocket_path, route);
        if let Some(options) = options.longpoll.clone() {
            let relay = self.relay();
            let address = relay.as_ref().map(|it| it.node().clone());
            let signer = Signer::new(&self.secret, self.node, address, path);
            let transport = options.path.clone();
            let route = longpoll::route(mount.clone(), options, sockets, signer, relay);
            self = self.route(path, &transport, route);
        }
        self.mounts.push(mount);
        self
    }

    fn route(mut self, mount: &str, transport: &str, route: MethodRouter) -> Self {
        let path = route_path(mount, transport);
        let with_slash = format!("{path}/");
        self.router = self
            .router
            .route(&path, route.clone())
            .route(&with_slash, route);
        self
    }
}

impl<A> Endpoint<A> {
    /// The routes of all mounted sockets, to be merged into or nested in the application's router, whatever state that is
    /// given: sockets have the endpoint's `app` instead. A node among others begins to connect to them.
    ///
    /// ```
    /// use axum::{Router, extract::State, routing::get};
    /// # let endpoint = bennu::Endpoint::new(());
    ///
    /// let app: Router = Router::new()
    ///     .route("/greeting", get(async |State(greeting): State<&'static str>| greeting))
    ///     .merge(endpoint.router())
    ///     .with_state("hello");
    /// ```
    pub fn router<S>(&self) -> Router<S> {
        if let Some(cluster) = self.pubsub.cluster() {
            cluster.begin();
            self.presence.begin();
        }
        self.router.clone().with_state(())
    }

    /// Serves a client over a byte stream that has been upgraded to WebSocket already: by another HTTP server,
    /// or in memory. The request's path and query say where it connects; its headers are looked at for all but
    /// the upgrade.
    ///
    /// # Errors
    ///
    /// The status that the client would have got: 403 when it's refused, 404 when nothing is mounted there.
    pub async fn serve_upgraded<IO>(&self, request: Request<()>, io: IO) -> Result<(), StatusCode>
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let refused = |response: Response| response.status();
        self.upgraded(request, io).await.map_err(refused)
    }

    /// As [`serve_upgraded`](Self::serve_upgraded). The response of a refusal has [why](websocket::Why) with it.
    pub(crate) async fn upgraded<IO>(&self, request: Request<()>, io: IO) -> Result<(), Response>
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let mut request = request.map(|()| Body::empty());
        request.extensions_mut().insert(websocket::Stream::new(io));
        let Ok(response) = self.router.clone().oneshot(request).await;
        match response.status() {
            StatusCode::SWITCHING_PROTOCOLS => Ok(()),
            _ => Err(response),
        }
    }

    /// Who is present in which topic.
    #[must_use]
    pub fn presence(&self) -> &Presence {
        &self.presence
    }

    /// The topics of this endpoint, as for a [`Presence`] beside the endpoint's own.
    #[must_use]
    pub fn pubsub(&self) -> &PubSub {
        &self.pubsub
    }

    /// What the endpoint was made with.
    #[must_use]
    pub fn app(&self) -> &Arc<A> {
        &self.app
    }

    /// The shortest that a mount has.
    #[cfg(feature = "testing")]
    pub(crate) fn idle_timeout_min(&self) -> std::time::Duration {
        let timeouts = self.mounts.iter().map(|it| it.options.idle_timeout);
        timeouts.min().unwrap_or(std::time::Duration::MAX)
    }

    /// Sends an event to everybody in a topic, on every node. With a socket's id as topic and `disconnect` as
    /// event it closes that socket's connections with code 1001.
    ///
    /// A payload that fails to serialize is logged, and nobody gets it.
    pub fn broadcast(
        &self,
        topic: impl Into<Topic>,
        event: &str,
        payload: &(impl Serialize + ?Sized),
    ) {
        if let Some(broadcast) = encoded(topic.into(), event, payload) {
            self.pubsub.broadcast(&broadcast);
        }
    }

    /// As [`broadcast`](Self::broadcast), to everybody in the subscription's topic but the subscriber.
    pub fn broadcast_from(
        &self,
        from: &Subscription,
        event: &str,
        payload: &(impl Serialize + ?Sized),
    ) {
        if let Some(broadcast) = encoded(from.topic().clone(), event, payload) {
            from.broadcast_from(&broadcast);
        }
    }

    /// As [`broadcast`](Self::broadcast), on one node only. Nobody hears it when there is none of that name.
    pub fn direct_broadcast(
        &self,
        node: &NodeName,
        topic: impl Into<Topic>,
        event: &str,
        payload: &(impl Serialize + ?Sized),
    ) {
        if let Some(broadcast) = encoded(topic.into(), event, payload) {
            self.pubsub.direct_broadcast(node, &broadcast);
        }
    }

    /// As [`broadcast`](Self::broadcast), on this node only.
    pub fn local_broadcast(
        &self,
        topic: impl Into<Topic>,
        event: &str,
        payload: &(impl Serialize + ?Sized),
    ) {
        if let Some(broadcast) = encoded(topic.into(), event, payload) {
            self.pubsub.local_broadcast(&broadcast);
        }
    }

    /// As [`broadcast_from`](Self::broadcast_from), on this node only.
    pub fn local_broadcast_from(
        &self,
        from: &Subscription,
        event: &str,
        payload: &(impl Serialize + ?Sized),
    ) {
        if let Some(broadcast) = encoded(from.topic().clone(), event, payload) {
            from.local_broadcast_from(&broadcast);
        }
    }

    /// The broadcasts alone, for tasks that the application itself reaches: see [`Broadcaster`]. To be called when all
    /// about other nodes has been said, as by [`adapter`](Self::adapter).
    #[must_use]
    pub fn broadcaster(&self) -> Broadcaster {
        Broadcaster::new(&self.pubsub)
    }

    /// Listens to a topic from application code.
    #[must_use = "dropping a receiver unsubscribes it"]
    pub fn subscribe(&self, topic: impl Into<Topic>) -> Receiver {
        self.pubsub.receiver(topic)
    }

    /// Prepares for the server's end: new clients are refused with status 503, and the connected ones are closed
    /// with code 1012, spread as each mount's [`Drainer`](crate::Drainer) says. Returns when all are gone, or
    /// when the time is over.
    ///
    /// ```no_run
    /// # async fn example(endpoint: bennu::Endpoint<()>, listener: tokio::net::TcpListener) -> std::io::Result<()> {
    /// let router = endpoint.router();
    /// // As `bennu::serve(listener, router).drain(&endpoint)` does by itself.
    /// axum::serve(listener, router)
    ///     .with_graceful_shutdown(async move {
    ///         let _ = tokio::signal::ctrl_c().await;
    ///         endpoint.drain().await;
    ///     })
    ///     .await
    /// # }
    /// ```
    pub async fn drain(&self) {
        join_all(self.mounts.iter().map(drain)).await;
    }

    /// How many connections are open on this node.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.mounts.iter().map(|it| it.len()).sum()
    }

    /// What is there, and what happened since the start, on this node.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let count = |counter: fn(&Counters) -> &Counter| {
            self.mounts
                .iter()
                .map(|it| counter(&it.counters).get())
                .sum()
        };
        Stats {
            connections: self.connections(),
            topics: self.pubsub.topics(),
            connections_refused: count(|it| &it.connections_refused),
            connects_timed_out: count(|it| &it.connects_timed_out),
            idle_closed: count(|it| &it.idle_closed),
            slow_consumers_closed: count(|it| &it.overflow_closed),
            frames_refused: count(|it| &it.frames_refused),
            messages_undecodable: count(|it| &it.messages_undecodable),
            messages_refused: count(|it| &it.messages_refused),
            events_throttled: count(|it| &it.events_throttled),
            messages_dropped: count(|it| &it.overflow_dropped),
            mail_dropped: count(|it| &it.mail_dropped),
            broadcasts_skipped: count(|it| &it.broadcasts_skipped),
            events_undecodable: count(|it| &it.events_undecodable),
        }
    }
}

/// What an endpoint holds and has met: see [`Endpoint::stats`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Connections that are open.
    pub connections: usize,
    /// Topics that have subscribers.
    pub topics: usize,
    /// Clients refused because there were too many connections.
    pub connections_refused: u64,
    /// Clients refused because their `connect` took too long.
    pub connects_timed_out: u64,
    /// Connections closed because their client was silent.
    pub idle_closed: u64,
    /// Connections closed because of a frame that broke WebSocket's rules or was too long.
    pub frames_refused: u64,
    /// Connections closed because of a frame that was no message, or nested too deep, or had too long a topic.
    pub messages_undecodable: u64,
    /// Joins that were refused, and messages that were answered with an error without asking a channel: for topics
    /// that aren't joined, or because too much is joined, joining or queued.
    pub messages_refused: u64,
    /// Messages that came too often.
    pub events_throttled: u64,
    /// Connections closed because their client read too slowly ([`Overflow::Close`](crate::Overflow)).
    pub slow_consumers_closed: u64,
    /// Messages dropped because a client read too slowly.
    pub messages_dropped: u64,
    /// Messages to channels, and intercepted broadcasts, dropped because too many waited.
    pub mail_dropped: u64,
    /// Broadcasts that a subscriber's serializer couldn't carry, and any messages that long-polling couldn't.
    pub broadcasts_skipped: u64,
    /// Events without a ref that didn't decode.
    pub events_undecodable: u64,
}

/// Bytes that nobody can guess.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[expect(
        clippy::panic,
        reason = "met at the start, where the system has no random numbers"
    )]
    if let Err(error) = getrandom::fill(&mut bytes) {
        panic!("the system gives no random numbers: {error}");
    }
    bytes
}

/// Encodes before anyone gets anything.
fn encoded(
    topic: Topic,
    event: &str,
    payload: &(impl Serialize + ?Sized),
) -> Option<Arc<Broadcast>> {
    match Payload::new(payload) {
        Ok(payload) => Some(Arc::new(Broadcast::new(topic, event.to_owned(), payload))),
        Err(error) => {
            tracing::error!(%topic, event, %error, "failed to encode a broadcast");
            None
        }
    }
}

/// A mount's path and a transport's, in axum's syntax: Phoenix's `:name` becomes `{name}`.
fn route_path(mount: &str, transport: &str) -> String {
    let segments = mount
        .split('/')
        .chain(transport.split('/'))
        .filter(|it| !it.is_empty());
    segments.fold(String::new(), |path, segment| {
        match segment.strip_prefix(':') {
            Some(name) => format!("{path}/{{{name}}}"),
            None => format!("{path}/{segment}"),
        }
    })
}

impl<A> Clone for Endpoint<A> {
    fn clone(&self) -> Self {
        Self {
            app: self.app.clone(),
            pubsub: self.pubsub.clone(),
            presence: self.presence.clone(),
            adapter: self.adapter.clone(),
            cluster_options: self.cluster_options.clone(),
            options: self.options.clone(),
            host: self.host.clone(),
            secret: self.secret.clone(),
            node: self.node,
            relay: self.relay.clone(),
            router: self.router.clone(),
            mounts: self.mounts.clone(),
        }
    }
}

impl<A> fmt::Debug for Endpoint<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field(
                "mounts",
                &self
                    .mounts
                    .iter()
                    .map(|it| it.path.as_str())
                    .collect::<Vec<_>>(),
            )
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::route_path;

    #[test]
    fn paths_are_joined_segment_by_segment() {
        assert_eq!(route_path("/socket", "/websocket"), "/socket/websocket");
        assert_eq!(route_path("socket/", "nested/path"), "/socket/nested/path");
        assert_eq!(route_path("/:room/{id}", ":x"), "/{room}/{id}/{x}");
        assert_eq!(route_path("/", "websocket"), "/websocket");
    }
}
