//! The limits and settings of a mounted socket.

mod limits;

use std::{fmt, sync::Arc, time::Duration};

use axum::response::{IntoResponse, Response};
use tracing::Level;

pub use self::limits::Flood;
pub(crate) use self::limits::Limits;
use crate::{CheckOrigin, Error, FilterParameters, SessionSource, session::AnySource};

/// What a mounted socket allows, with the defaults named at each method.
///
/// ```
/// use std::time::Duration;
/// use bennu::SocketOptions;
///
/// let options = SocketOptions::new().channels_max(20).idle_timeout(Duration::from_secs(45));
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct SocketOptions {
    pub(crate) websocket_path: String,
    pub(crate) idle_timeout: Duration,
    pub(crate) channels_max: usize,
    pub(crate) frame_bytes_max: usize,
    pub(crate) message_bytes_max: usize,
    pub(crate) compress: bool,
    pub(crate) event_queue_messages_max: usize,
    pub(crate) event_queue_bytes_max: usize,
    pub(crate) queue_messages_max: usize,
    pub(crate) queue_bytes_max: usize,
    pub(crate) overflow: Overflow,
    pub(crate) auth_token: bool,
    pub(crate) subprotocols: Vec<String>,
    pub(crate) drainer: Option<Drainer>,
    pub(crate) longpoll: Option<LongPoll>,
    /// `None`: what the endpoint's options say, or else its host.
    pub(crate) check_origin: Option<CheckOrigin>,
    pub(crate) log: Option<Level>,
    pub(crate) filter_parameters: FilterParameters,
    /// The endpoint's own, once the socket is mounted.
    pub(crate) host: Option<String>,
    pub(crate) limits: Limits,
    pub(crate) session: Option<Hook<dyn AnySource>>,
    pub(crate) check_csrf: bool,
    pub(crate) on_refused: Option<Hook<OnRefused>>,
}

/// Answers a client that the socket refused.
pub(crate) type OnRefused = dyn Fn(&Error) -> Response + Send + Sync;

/// Code of the user's.
pub(crate) struct Hook<T: ?Sized>(pub(crate) Arc<T>);

impl<T: ?Sized> Clone for Hook<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: ?Sized> fmt::Debug for Hook<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

/// Long-polling, for clients that a WebSocket doesn't get through to. Phoenix's `longpoll:`.
///
/// What else a mount allows holds for it as well: a session's messages wait in a queue of
/// [`queue_bytes_max`](SocketOptions::queue_bytes_max) until they are fetched. They are forgotten when an answer that
/// carries them is written to its end, so a client that hangs up before gets them with its next poll. A client that
/// takes binary messages as entries in Base64 asks for that by `binary=base64` with its first request; to others none
/// are sent. Close codes and control frames don't exist.
///
/// A session takes 1.6 KB and a poll that waits as much again, beside the 38 KB that hyper and `axum::serve` keep for a
/// connection (measured with mimalloc, a socket with one channel each, requests with a browser's headers).
///
/// Tokens of sessions are signed with the [endpoint's secret](crate::Endpoint::secret). A client says its token with
/// each request, and a browser never does so by itself: another site's page can't speak for it.
///
/// ```
/// use bennu::{LongPoll, SocketOptions};
///
/// let options = SocketOptions::new().longpoll(LongPoll { sessions_max: 10_000, ..LongPoll::default() });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LongPoll {
    /// Where under the mount the transport is: `/longpoll`. It may have several segments and variables.
    pub path: String,
    /// How long a poll waits for messages, and a posted message for a socket that is busy: 10 seconds. A client that
    /// neither polls nor posts loses its session after one and a half to three times as long. Phoenix's `window_ms`.
    pub window: Duration,
    /// Sessions that may be alive: 100,000. Beyond, clients are refused with HTTP status 503.
    pub sessions_max: usize,
    /// The longest body that a client may post: 8,000,000 bytes. A longer one is refused with HTTP status 400.
    pub body_bytes_max: usize,
    /// How much the posts that are being read and handled may have brought, all together: 64,000,000 bytes, where the first
    /// 65,536 of each don't count. Beyond, they are refused with HTTP status 503.
    pub bodies_bytes_max: usize,
    /// How long a session may last at most: two weeks. Then the client begins another. The `max_age` of Phoenix's
    /// `crypto`.
    pub token_age_max: Duration,
}

impl Default for LongPoll {
    fn default() -> Self {
        Self {
            path: "/longpoll".into(),
            window: Duration::from_secs(10),
            sessions_max: 100_000,
            body_bytes_max: 8_000_000,
            bodies_bytes_max: 64_000_000,
            token_age_max: Duration::from_secs(14 * 24 * 60 * 60),
        }
    }
}

/// How the connections of a mount are closed when its server goes down. Phoenix's `drainer`.
///
/// Closes are spread evenly, so that the clients don't come back all at once: `batch_size` connections in
/// every `batch_interval`, or faster where that would take longer than `shutdown` leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drainer {
    /// Connections closed in one interval: 10,000.
    pub batch_size: usize,
    /// 2 seconds.
    pub batch_interval: Duration,
    /// When the server doesn't wait any longer: 30 seconds.
    pub shutdown: Duration,
    /// The level of the log lines that say how far it is, or `None` for no lines: `info`.
    pub log: Option<Level>,
}

impl Default for Drainer {
    fn default() -> Self {
        Self {
            batch_size: 10_000,
            batch_interval: Duration::from_secs(2),
            shutdown: Duration::from_secs(30),
            log: Some(Level::INFO),
        }
    }
}

/// What happens to a client that reads more slowly than it is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Overflow {
    /// The connection is closed with code 1013, "slow consumer".
    #[default]
    Close,
    /// The oldest message that waits is dropped.
    DropOldest,
    /// The new message is dropped.
    DropNewest,
}

impl SocketOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            websocket_path: "/websocket".into(),
            idle_timeout: Duration::from_secs(60),
            channels_max: 100,
            frame_bytes_max: 10_000_000,
            message_bytes_max: 8_000_000,
            compress: false,
            event_queue_messages_max: 1024,
            event_queue_bytes_max: 16 * 1024 * 1024,
            queue_messages_max: 4096,
            queue_bytes_max: 1024 * 1024,
            overflow: Overflow::Close,
            auth_token: false,
            subprotocols: Vec::new(),
            drainer: Some(Drainer::default()),
            longpoll: None,
            check_origin: None,
            log: Some(Level::INFO),
            filter_parameters: FilterParameters::default(),
            host: None,
            limits: Limits::default(),
            session: None,
            check_csrf: true,
            on_refused: None,
        }
    }

    /// Where under the mount the WebSocket transport is: `/websocket`. It may have several segments and
    /// variables.
    pub fn websocket_path(mut self, path: impl Into<String>) -> Self {
        self.websocket_path = path.into();
        self
    }

    /// How long a client may be silent: 60 seconds. Then the connection is closed with code 1001, "idle". It
    /// may take an eighth longer. What the server sends doesn't count,
    /// unless the client leaves so much unread that it isn't listened to: then that it reads on does. Long-polling goes by its
    /// [window](LongPoll::window) instead. Phoenix's `timeout`.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// Channels that one connection may have joined: 100. Further joins are refused with "too many channels
    /// joined". Phoenix's `max_channels_per_transport`.
    pub fn channels_max(mut self, channels: usize) -> Self {
        self.channels_max = channels;
        self
    }

    /// The longest frame taken, header included: 10,000,000 bytes. A longer one closes with code 1009.
    /// Phoenix's `max_frame_size`.
    pub fn frame_bytes_max(mut self, bytes: usize) -> Self {
        self.frame_bytes_max = bytes;
        self
    }

    /// The longest message taken in several frames: 8,000,000 bytes. A longer one closes with code 1009.
    /// Bandit's `max_fragmented_message_size`.
    pub fn message_bytes_max(mut self, bytes: usize) -> Self {
        self.message_bytes_max = bytes;
        self
    }

    /// Whether permessage-deflate is agreed to when a client offers it: no. Compression is without context
    /// takeover, so that connections keep no compressor and a broadcast is compressed once. Phoenix's
    /// `compress`.
    pub fn compress(mut self, compress: bool) -> Self {
        self.compress = compress;
        self
    }

    /// Events that may wait while their channel is busy or joining: 1,024. Further ones get the error reply
    /// "too many messages queued".
    pub fn event_queue_messages_max(mut self, messages: usize) -> Self {
        self.event_queue_messages_max = messages;
        self
    }

    /// Bytes that may wait with them, for all busy channels of a connection together and for all joining ones: 16 MiB, with
    /// the same consequence. What may wait for all connections of a mount is
    /// [`unhandled_bytes_max`](Self::unhandled_bytes_max).
    pub fn event_queue_bytes_max(mut self, bytes: usize) -> Self {
        self.event_queue_bytes_max = bytes;
        self
    }

    /// Messages that may wait to be written to one connection: 4,096. Beyond, see [`overflow`](Self::overflow).
    ///
    /// Over WebSocket eight times as many, and as many bytes, may be queued in one go, as long as the kernel takes what it
    /// is given: a burst isn't a slow consumer.
    pub fn queue_messages_max(mut self, messages: usize) -> Self {
        self.queue_messages_max = messages;
        self
    }

    /// Bytes that may wait to be written to one connection: 1 MiB, and one message more. Beyond, see
    /// [`overflow`](Self::overflow).
    pub fn queue_bytes_max(mut self, bytes: usize) -> Self {
        self.queue_bytes_max = bytes;
        self
    }

    /// What happens when a client reads too slowly: its connection is closed.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// Whether clients may hand over a token as a subprotocol, or over long-polling in the header
    /// `x-phoenix-authtoken` ([`ConnectInfo::auth_token`]): no. Phoenix's `auth_token: true`.
    ///
    /// [`ConnectInfo::auth_token`]: crate::ConnectInfo::auth_token
    pub fn auth_token(mut self, auth_token: bool) -> Self {
        self.auth_token = auth_token;
        self
    }

    /// The subprotocols to agree to, the preferred one first: none, and what clients ask for is ignored. A
    /// client that asks only for others is refused with status 403.
    pub fn subprotocols(
        mut self,
        subprotocols: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.subprotocols = subprotocols.into_iter().map(Into::into).collect();
        self
    }
}

impl SocketOptions {
    /// Lets clients connect by long-polling as well: no.
    pub fn longpoll(mut self, longpoll: impl Into<Option<LongPoll>>) -> Self {
        self.longpoll = longpoll.into();
        self
    }

    /// Which web pages may connect: what the [endpoint's options](crate::Endpoint::options) say, or else those of
    /// the [endpoint's host](CheckOrigin::host). Phoenix's `check_origin`.
    pub fn check_origin(mut self, check: CheckOrigin) -> Self {
        self.check_origin = Some(check);
        self
    }

    /// Where the session of a client is found: nowhere. Phoenix's `connect_info: [session: …]`.
    pub fn session(mut self, source: impl SessionSource) -> Self {
        self.session = Some(Hook(Arc::new(source)));
        self
    }

    /// Whether a session is handed over only with its CSRF token: yes. Phoenix's `check_csrf`.
    ///
    /// Without it, any page that [may connect](Self::check_origin) acts as the user whose cookies its browser sends
    /// along. A mount that checks neither the origin nor this isn't taken.
    pub fn check_csrf(mut self, check: bool) -> Self {
        self.check_csrf = check;
        self
    }

    /// How a client is answered that `connect` refused: with status 403 and no body. Phoenix's `error_handler`. Only
    /// for WebSocket clients, and not for those that are refused before `connect`.
    ///
    /// ```
    /// use bennu::{SocketOptions, refuse};
    /// use http::StatusCode;
    ///
    /// #[derive(Debug)]
    /// struct TooOften; // in `connect`: Err(TooOften)?
    /// # impl std::fmt::Display for TooOften {
    /// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("too often") }
    /// # }
    /// impl std::error::Error for TooOften {}
    ///
    /// let options = SocketOptions::new().on_refused(|error| match error.downcast_ref::<TooOften>() {
    ///     Some(_) => (StatusCode::TOO_MANY_REQUESTS, "try again in a minute"),
    ///     None => (StatusCode::FORBIDDEN, ""),
    /// });
    /// ```
    pub fn on_refused<R: IntoResponse>(
        mut self,
        answer: impl Fn(&Error) -> R + Send + Sync + 'static,
    ) -> Self {
        self.on_refused = Some(Hook(Arc::new(move |error: &Error| {
            answer(error).into_response()
        })));
        self
    }

    /// The level of the log lines of connects, or `None` for no lines: `info`. Joins and events have levels of
    /// their own, [`Channel::LOG_JOIN`] and [`Channel::LOG_HANDLE_IN`]. Phoenix's `log`.
    ///
    /// [`Channel::LOG_JOIN`]: crate::Channel::LOG_JOIN
    /// [`Channel::LOG_HANDLE_IN`]: crate::Channel::LOG_HANDLE_IN
    pub fn log(mut self, level: impl Into<Option<Level>>) -> Self {
        self.log = level.into();
        self
    }

    /// Which parameters log lines show: all but those whose names contain `password`, `token` or `secret`.
    /// Phoenix's `filter_parameters`.
    pub fn filter_parameters(mut self, filter: FilterParameters) -> Self {
        self.filter_parameters = filter;
        self
    }

    /// How [`Endpoint::drain`] closes the connections of this mount; `None` leaves them alone.
    ///
    /// [`Endpoint::drain`]: crate::Endpoint::drain
    pub fn drainer(mut self, drainer: impl Into<Option<Drainer>>) -> Self {
        self.drainer = drainer.into();
        self
    }
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self::new()
    }
}
