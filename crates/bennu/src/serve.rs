//! An HTTP server with limits, for routers with sockets.

use std::{
    convert::Infallible,
    fmt,
    future::{Future, IntoFuture},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, HttpBody},
    extract::ConnectInfo,
    response::{IntoResponse, Response},
};
use bennu_pubsub::Outage;
use futures_util::future::join_all;
use http::{
    Request, StatusCode, Version,
    header::{CONNECTION, HOST},
    uri::Authority,
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{Instant, sleep, timeout, timeout_at},
};
use tower::ServiceExt;

use self::{
    crowd::{Crowd, Place},
    upload::Upload,
};
use crate::{Endpoint, transport::delivery::Delivery};

pub use self::crowd::ServeStats;
pub(crate) use self::line::{Line, Socket};

mod crowd;
mod line;
mod pace;
mod upload;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Serves a router over HTTP/1.1 until [told to stop](Serve::with_graceful_shutdown), as `axum::serve` does, with limits
/// that clients can't wait out: `axum::serve` lets a connection that says nothing stay for ever.
///
/// | Limit | Default | What happens beyond |
/// |---|---|---|
/// | [`head_timeout`](Serve::head_timeout) | 10 s | status 408, and the connection is closed; between requests just closed |
/// | [`progress_timeout`](Serve::progress_timeout), for 8 KiB | 30 s | the connection is closed, a body's reader gets an error |
/// | [`headers_max`](Serve::headers_max) | 100 | status 431 |
/// | [`head_bytes_max`](Serve::head_bytes_max) | 64 KiB | status 431; where it's more, 414 for an address of more than 65,534 bytes |
/// | [`connections_max`](Serve::connections_max) | any number | status 503 |
/// | [`connections_per_peer_max`](Serve::connections_per_peer_max) | any number | status 429 |
/// | [`backlog`](Serve::backlog) | 4,096 | connections aren't made |
/// | [`shutdown_timeout`](Serve::shutdown_timeout) | 10 s | requests under way are left to themselves |
///
/// Connections that have become WebSockets are under the limits of [their mount](crate::SocketOptions), and no more
/// under these. Handlers find the peer's address as axum's `ConnectInfo<SocketAddr>`. Nagle's algorithm is off. A request of
/// HTTP/1.1 without a `Host`, or with several or one that is no host, gets status 400 (RFC 9112 section 3.2), and the
/// connection is closed.
///
/// ```no_run
/// # async fn example(endpoint: bennu::Endpoint<()>) -> std::io::Result<()> {
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:4000").await?;
/// bennu::serve(listener, endpoint.router())
///     .drain(&endpoint)
///     .with_graceful_shutdown(async { _ = tokio::signal::ctrl_c().await })
///     .await
/// # }
/// ```
pub fn serve(listener: TcpListener, router: Router) -> Serve {
    Serve {
        listener,
        router,
        limits: Limits::default(),
        crowd: Arc::default(),
        signal: None,
        drains: Vec::new(),
        farewells: Vec::new(),
    }
}

/// A server, to be awaited: see [`serve`].
#[must_use = "a server does nothing unless it's awaited"]
pub struct Serve {
    listener: TcpListener,
    router: Router,
    limits: Limits,
    crowd: Arc<Crowd>,
    signal: Option<Boxed<()>>,
    drains: Vec<Boxed<()>>,
    /// What is left to do when nobody is served any more.
    farewells: Vec<Boxed<()>>,
}

#[derive(Debug, Clone)]
struct Limits {
    head_timeout: Duration,
    progress_timeout: Duration,
    headers_max: usize,
    head_bytes_max: usize,
    connections_max: usize,
    connections_per_peer_max: usize,
    backlog: u32,
    shutdown_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_timeout: Duration::from_secs(10),
            progress_timeout: Duration::from_secs(30),
            headers_max: HEADERS_MAX,
            head_bytes_max: 64 * 1024,
            connections_max: usize::MAX,
            connections_per_peer_max: usize::MAX,
            backlog: 4096,
            shutdown_timeout: Duration::from_secs(10),
        }
    }
}

/// What hyper has room for without an allocation.
const HEADERS_MAX: usize = 100;
/// The smallest buffer that hyper takes.
const HEAD_BYTES_MIN: usize = 8192;
/// How long it waits to accept again where there is no room for a further socket.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How much of a body that nobody wants is read, and for how long.
const LINGER_BYTES_MAX: usize = 64_000_000;
const LINGER_TIME_MAX: Duration = Duration::from_secs(5);
const LINGER_READ_BYTES: usize = 16 * 1024;

const REQUEST_TIMEOUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

impl Serve {
    /// How long a request's head may take: 10 seconds, from the connection's beginning or the answer before. So this is
    /// also how long a connection may say nothing.
    pub fn head_timeout(mut self, timeout: Duration) -> Self {
        self.limits.head_timeout = timeout;
        self
    }

    /// How long a client may be waited for until it has sent 8 KiB of a request's body, or its end, and until it has taken
    /// 8 KiB of an answer, or all there is: 30 seconds. Only the time counts in which a handler waits for the body, or the
    /// network takes no more of the answer.
    pub fn progress_timeout(mut self, timeout: Duration) -> Self {
        self.limits.progress_timeout = timeout;
        self
    }

    /// Headers that a request may have: 100.
    pub fn headers_max(mut self, headers: usize) -> Self {
        self.limits.headers_max = headers;
        self
    }

    /// How long a request's head may be: 64 KiB, and not less than 8 KiB. What a connection holds of a body at once has
    /// the same limit.
    pub fn head_bytes_max(mut self, bytes: usize) -> Self {
        self.limits.head_bytes_max = bytes;
        self
    }

    /// Connections that speak HTTP at the same time: any number.
    pub fn connections_max(mut self, connections: usize) -> Self {
        self.limits.connections_max = connections;
        self
    }

    /// Connections from one address that speak HTTP at the same time: any number. IPv6 addresses are the same when
    /// their first 64 bits are.
    pub fn connections_per_peer_max(mut self, connections: usize) -> Self {
        self.limits.connections_per_peer_max = connections;
        self
    }

    /// Connections that wait to be accepted: 4,096, or fewer where the system says so.
    pub fn backlog(mut self, connections: u32) -> Self {
        self.limits.backlog = connections;
        self
    }

    /// How long requests under way are waited for at the end: 10 seconds.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.limits.shutdown_timeout = timeout;
        self
    }

    /// Stops when `signal` is there: connections of the endpoints to be [drained](Self::drain) are closed first, while
    /// new ones are refused; then no more are accepted, and requests under way are finished.
    pub fn with_graceful_shutdown(
        mut self,
        signal: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        self.signal = Some(Box::pin(signal));
        self
    }

    /// Has an endpoint [drained](Endpoint::drain) before the server stops, and [leave its
    /// cluster](Endpoint::leave_cluster) when it has stopped.
    pub fn drain<A: Send + Sync + 'static>(mut self, endpoint: &Endpoint<A>) -> Self {
        let (drained, leaves) = (endpoint.clone(), endpoint.clone());
        self.drains
            .push(Box::pin(async move { drained.drain().await }));
        self.farewells
            .push(Box::pin(async move { leaves.leave_cluster().await }));
        self
    }

    /// What happens on this server, while it runs as well.
    #[must_use]
    pub fn stats(&self) -> ServeStats {
        ServeStats::new(self.crowd.clone())
    }

    async fn run(self) -> io::Result<()> {
        let Self {
            listener,
            router,
            limits,
            crowd,
            signal,
            drains,
            farewells,
        } = self;
        let backlog = i32::try_from(limits.backlog).unwrap_or(i32::MAX);
        SockRef::from(&listener).listen(backlog)?;
        let (stop, stopped) = watch::channel(false);
        let http = Http {
            builder: Arc::new(builder(&limits)),
            router,
            crowd: crowd.clone(),
            progress_timeout: limits.progress_timeout,
            stopped,
        };
        let ended = async {
            match signal {
                Some(signal) => signal.await,
                None => std::future::pending().await,
            }
            join_all(drains).await;
        };
        tokio::select! {
            // The signal is listened for before the first client is let in: who starts a server and sees that it answers
            // may ask it to end at once.
            biased;
            () = ended => {}
            () = accept(&listener, &limits, &crowd, &http) => {}
        }
        drop((listener, http));
        stop.send_replace(true);
        if timeout(limits.shutdown_timeout, stop.closed())
            .await
            .is_err()
        {
            let left = crowd.len();
            tracing::warn!(left, "requests are still under way after shutdown");
        }
        join_all(farewells).await;
        Ok(())
    }
}

impl IntoFuture for Serve {
    type Output = io::Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

async fn accept(listener: &TcpListener, limits: &Limits, crowd: &Arc<Crowd>, http: &Http) {
    // Ten times a second, for as long as there's no room, would drown the log.
    let mut outage = Outage::default();
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // A peer that went away while it waited is nothing; otherwise the system has no room.
                if !is_of_the_peer(&error) {
                    if let Some(times) = outage.failed(std::time::Instant::now()) {
                        tracing::error!(%error, times, "failed to accept a connection");
                    }
                    sleep(ACCEPT_PAUSE).await;
                }
                continue;
            }
        };
        if let Some(took) = outage.over(std::time::Instant::now()) {
            let seconds = took.as_secs_f32();
            tracing::info!("accepts connections again after {seconds:.1} s");
        }
        let _ = stream.set_nodelay(true);
        let (all, each) = (limits.connections_max, limits.connections_per_peer_max);
        match crowd.admit(peer.ip(), all, each) {
            Ok(place) => {
                tokio::spawn(http.clone().speak(stream, peer, place));
            }
            Err(answer) => refuse(&stream, answer),
        }
    }
}

/// What fits into the socket's empty buffer, or nothing: nobody waits for a client that there is no room for.
fn refuse(stream: &TcpStream, answer: &[u8]) {
    let _ = stream.try_write(answer);
}

fn is_of_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

fn builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        // Its buffer grows in steps, so a head could be nearly twice as long before it's noticed.
        .max_header_size(limits.head_bytes_max.max(HEAD_BYTES_MIN))
        .max_buf_size(limits.head_bytes_max.max(HEAD_BYTES_MIN));
    if limits.headers_max != HEADERS_MAX {
        builder.max_headers(limits.headers_max);
    }
    builder
}

/// What a connection needs to speak HTTP.
#[derive(Clone)]
struct Http {
    builder: Arc<http1::Builder>,
    router: Router,
    crowd: Arc<Crowd>,
    progress_timeout: Duration,
    stopped: watch::Receiver<bool>,
}

impl Http {
    /// Answers a connection's requests, until it ends or becomes something else.
    async fn speak<IO: Socket>(self, io: IO, peer: SocketAddr, place: Place) {
        let Self {
            builder,
            router,
            crowd,
            progress_timeout,
            mut stopped,
        } = self;
        let answered = Arc::new(AtomicBool::new(false));
        let unread = Arc::new(AtomicBool::new(false));
        let delivery = Arc::<Delivery>::default();
        let line = Line::new(io, progress_timeout, crowd.clone(), delivery.clone());
        let (asked, left, deliveries) = (answered.clone(), unread.clone(), delivery.clone());
        let uploads = crowd.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            asked.store(true, Ordering::Relaxed);
            deliveries.next_request();
            let mut request = request.map(|body| {
                if body.is_end_stream() {
                    return Body::empty();
                }
                let (crowd, left) = (uploads.clone(), left.clone());
                Body::new(Upload::new(body, progress_timeout, crowd, left))
            });
            request.extensions_mut().insert(ConnectInfo(peer));
            request.extensions_mut().insert(deliveries.clone());
            answer(router.clone(), request)
        });
        let mut connection = builder
            .serve_connection(TokioIo::new(line), service)
            .with_upgrades();
        let ended = tokio::select! {
            ended = &mut connection => ended,
            () = told(&mut stopped) => {
                Pin::new(&mut connection).graceful_shutdown();
                (&mut connection).await
            }
        };
        // One that has become something else has no parts.
        if let Some(parts) = connection.into_parts() {
            let line = parts.io.into_inner();
            match ended {
                Ok(()) => {
                    if unread.load(Ordering::Relaxed) {
                        linger(line).await;
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "a connection failed");
                    if error.is_timeout() {
                        expire(line, &answered, &crowd).await;
                    }
                }
            }
        }
        drop(place);
    }
}

/// Ends a connection whose next head didn't come in time.
async fn expire(mut line: Line<impl Socket>, answered: &AtomicBool, crowd: &Crowd) {
    if answered.load(Ordering::Relaxed) {
        // It's let go without a word: a 408 could be taken for the answer to a request that is on its way.
        return;
    }
    crowd.count_timeout();
    // It fits into the socket's buffer, or nobody reads it.
    let _ = timeout(Duration::ZERO, line.write_all(REQUEST_TIMEOUT)).await;
}

/// Lets a client finish its sending, so that it gets to read why it was refused: a socket that is closed with something
/// unread takes back what it was to send.
async fn linger(mut line: Line<impl Socket>) {
    let deadline = Instant::now() + LINGER_TIME_MAX;
    let mut scratch = vec![0; LINGER_READ_BYTES];
    let mut left = LINGER_BYTES_MAX;
    while let Ok(Ok(read @ 1..)) = timeout_at(deadline, line.read(&mut scratch)).await {
        left = left.saturating_sub(read);
        if left == 0 {
            return;
        }
    }
}

async fn answer(router: Router, request: Request<Body>) -> Result<Response, Infallible> {
    if !names_its_host(&request) {
        // What follows on this connection may be meant for somebody else.
        let close = [(CONNECTION, "close")];
        return Ok((StatusCode::BAD_REQUEST, close).into_response());
    }
    router.oneshot(request).await
}

/// Whether it has one `Host`, as HTTP/1.1 asks for: of two, a proxy and this server could take different ones. An empty one is
/// for addresses that have no host.
fn names_its_host(request: &Request<Body>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => request.version() == Version::HTTP_10,
        (Some(host), None) => host.is_empty() || is_host(host.as_bytes()),
        (Some(_), Some(_)) => false,
    }
}

fn is_host(host: &[u8]) -> bool {
    Authority::try_from(host).is_ok_and(|_| !host.contains(&b'@'))
}

/// Waits until the server is to stop. One that was dropped doesn't stop its connections.
async fn told(stopped: &mut watch::Receiver<bool>) {
    if stopped.wait_for(|it| *it).await.is_err() {
        std::future::pending().await
    }
}

impl fmt::Debug for Serve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve")
            .field("listener", &self.listener)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
