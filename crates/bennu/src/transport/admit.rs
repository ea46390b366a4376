//! Whether a client is let in: what every transport asks it, in Phoenix's order.

use std::{any::type_name, fmt, panic::AssertUnwindSafe, sync::Arc};

use axum::{
    extract::{FromRequestParts, RawPathParams},
    response::{IntoResponse, Response},
};
use bennu_wire::{Encoding, Framing};
use futures_util::FutureExt;
use http::{HeaderMap, StatusCode, header, request::Parts};
use tokio::time::{Instant, timeout};
use tracing::{Instrument, Level};

use super::{Accept, origin, subprotocol};
use crate::{
    ConnectInfo, Error, SocketOptions,
    params::Params,
    runtime::{Conn, Driver, Full, Mount, Seat, caught},
    session::is_csrf_token,
    telemetry::{
        Refused,
        log::{self, Connected},
        trace::{self, Trace},
        version,
    },
};

/// Why a client isn't let in. Each transport has its own way to say so.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Not now: the server goes down, is full, or its `connect` doesn't come to an end.
    Unavailable,
    /// Its address has as many connections as it may.
    TooMany,
    /// Its query makes no sense.
    BadRequest,
    /// Its query is too long.
    TooLong,
    /// Some check says no, and why.
    Forbidden(String),
    /// The socket says no.
    Refused(Error),
    /// The socket panicked.
    Panicked,
}

impl Refusal {
    /// Says no, and tells the log why.
    pub(crate) fn forbidden(mount: &Mount, refused: Refused, why: impl Into<String>) -> Self {
        let why = why.into();
        mount.counters.refuse(refused);
        warn(mount, &why);
        Self::Forbidden(why)
    }

    /// Code of the user's panicked.
    fn panicked(mount: &Mount) -> Self {
        mount.counters.refuse(Refused::Panicked);
        Self::Panicked
    }

    /// As plain HTTP, or what the application answers in place of a socket that says no.
    pub(crate) fn answer(self, options: &SocketOptions) -> Response {
        match (self, &options.on_refused) {
            (Self::Refused(error), Some(answer)) => {
                caught(|| (answer.0)(&error)).unwrap_or_else(|_| Self::Panicked.response())
            }
            (refusal, _) => refusal.response(),
        }
    }

    /// As plain HTTP.
    pub(crate) fn response(self) -> Response {
        let status = match self {
            Self::Unavailable => {
                let retry_after = [(header::RETRY_AFTER, "1")];
                return (StatusCode::SERVICE_UNAVAILABLE, retry_after).into_response();
            }
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::TooLong => StatusCode::URI_TOO_LONG,
            Self::Forbidden(_) | Self::Refused(_) => StatusCode::FORBIDDEN,
            Self::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
        };
        status.into_response()
    }
}

/// For whoever asks in the server's own process: clients are told the status.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unavailable => "the server is draining or full, or its connect took too long",
            Self::TooMany => "its address has as many connections as it may",
            Self::BadRequest => "its query makes no sense",
            Self::TooLong => "its query is too long",
            Self::Forbidden(why) => why,
            Self::Refused(error) => return error.fmt(f),
            Self::Panicked => "the application panicked",
        })
    }
}

fn warn(mount: &Mount, why: &str) {
    tracing::warn!(path = mount.path, why, "refused a connection");
}

impl From<Full> for Refusal {
    fn from(full: Full) -> Self {
        match full {
            Full::Mount => Self::Unavailable,
            Full::Peer => Self::TooMany,
        }
    }
}

/// What carries the client's messages, and what it brought along.
pub(crate) struct Carrier {
    pub(crate) framing: Framing,
    /// Whether the client may send compressed messages.
    pub(crate) deflate: bool,
    pub(crate) auth_token: Option<String>,
}

/// A client that is let in.
pub(crate) struct Admitted<D> {
    pub(crate) seat: Seat,
    pub(crate) conn: Arc<Conn>,
    pub(crate) driver: D,
}

/// What the client says in the address, once it may say something: the query string's params, and the path's
/// over them.
pub(crate) async fn params(mount: &Mount, parts: &mut Parts) -> Result<Params, Refusal> {
    if mount.is_draining() {
        mount.counters.refuse(Refused::Draining);
        return Err(Refusal::Unavailable);
    }
    let query = parts.uri.query().unwrap_or_default();
    if query.len() > mount.options.limits.query_bytes_max {
        mount.counters.refuse(Refused::TooLong);
        return Err(Refusal::TooLong);
    }
    let mut params = Params::parse(query).ok_or_else(|| {
        mount.counters.refuse(Refused::BadRequest);
        Refusal::BadRequest
    })?;
    if let Ok(path) = RawPathParams::from_request_parts(parts, &()).await {
        for (name, value) in path.iter().filter(|(name, _)| !name.starts_with('_')) {
            params.set(name, value.to_owned());
        }
    }
    Ok(params)
}

/// Whether the page that connects may do so.
pub(crate) fn origin(mount: &Mount, parts: &Parts) -> Result<(), Refusal> {
    caught(|| origin::check(parts, &mount.options))
        .map_err(|_| Refusal::panicked(mount))?
        .map_err(|why| Refusal::forbidden(mount, Refused::Origin, why))
}

/// Negotiates the version, looks for a seat, and asks the socket.
pub(crate) async fn connect<T: Accept>(
    mount: &Arc<Mount>,
    sockets: &T,
    params: Params,
    mut parts: Parts,
    carrier: Carrier,
) -> Result<Admitted<T::Driver>, Refusal> {
    let refused = |label, why: String| Refusal::forbidden(mount, label, why);
    let options = &mount.options;
    let vsn = params.text("vsn");
    let serializer = match sockets.negotiate(vsn) {
        // It's there, but not as a text.
        Ok(_) if vsn.is_none() && params.contains("vsn") => {
            Err(refused(Refused::Vsn, "its vsn is no text".to_owned()))
        }
        Ok(serializer) => Ok(serializer),
        Err(error) => Err(refused(Refused::Vsn, error.to_string())),
    }?;
    let csrf_token = params.text("_csrf_token").map(str::to_owned);
    let line = Line::begin(mount, &params);
    let params = caught(|| params.decode())
        .map_err(|_| Refusal::panicked(mount))?
        .map_err(|error| refused(Refused::Params, error.to_string()))?;
    let peer = ConnectInfo::peer_of(&parts).map(|it| it.ip());
    let seat = mount.reserve(peer)?;
    let encoding = Encoding {
        serializer,
        framing: carrier.framing,
    };
    let conn = traced(
        Arc::new(Conn::new(mount.clone(), encoding, carrier.deflate)),
        &parts.headers,
    );
    let socket = type_name::<T::Socket>();
    let span = trace::span!(
        info_span,
        "connect",
        conn,
        socket,
        mount = mount.path,
        transport = conn.transport().as_str()
    );
    if options.auth_token {
        subprotocol::hide_tokens(&mut parts.headers);
    }
    let mut info = ConnectInfo::new(parts, encoding, carrier.auth_token);
    let connected = AssertUnwindSafe(async {
        find_session(options, csrf_token.as_deref(), &mut info).await;
        let socket = sockets.connect(params, &info).await?;
        Ok(reachable(mount, sockets.driver(socket, &conn)).await)
    });
    let connected = connected.catch_unwind().instrument(span);
    let connected = timeout(options.limits.connect_timeout, connected).await;
    if let (Some(line), Ok(Ok(connected))) = (line, &connected) {
        line.end(&conn, socket, connected.as_ref().err());
    }
    let (refused, refusal) = match connected {
        Ok(Ok(Ok(driver))) => return Ok(Admitted { seat, conn, driver }),
        Ok(Ok(Err(error))) if error.is_refusal() => (Refused::Connect, Refusal::Refused(error)),
        Ok(Ok(Err(error))) => {
            tracing::error!(socket, %error, "failed to connect");
            (Refused::Failed, Refusal::Refused(error))
        }
        Ok(Err(_)) => (Refused::Panicked, Refusal::Panicked),
        Err(_) => {
            mount.counters.connects_timed_out.add(1);
            warn(mount, "its connect took too long");
            (Refused::TimedOut, Refusal::Unavailable)
        }
    };
    mount.counters.refuse(refused);
    Err(refusal)
}

/// A socket that forced disconnects of other nodes reach.
async fn reachable<D: Driver>(mount: &Mount, driver: D) -> D {
    let cluster = mount.pubsub.cluster();
    let id = cluster.and_then(|_| driver.inspect().id);
    if let Some(interest) = id.and_then(|id| mount.pubsub.interest(&id)) {
        interest.registered().await;
    }
    driver
}

/// Notes the trace that the handshake belongs to, if somebody looks at traces.
fn traced(conn: Arc<Conn>, headers: &HeaderMap) -> Arc<Conn> {
    match trace::enabled().then(|| Trace::of(headers)).flatten() {
        Some(trace) => conn.traced(trace),
        None => conn,
    }
}

/// Finds the client's session and hands it over, if the page that connects knows its CSRF token.
async fn find_session(options: &SocketOptions, csrf_token: Option<&str>, info: &mut ConnectInfo) {
    let Some(source) = &options.session else {
        return;
    };
    // Without a token there's no need to look.
    if options.check_csrf && csrf_token.is_none() {
        return;
    }
    if let Some((session, expected)) = source.0.find_any(info).await {
        let valid = csrf_token.is_some_and(|given| is_csrf_token(given, &expected));
        if valid || !options.check_csrf {
            info.set_session(session);
        }
    }
}

/// The log's line about a connect, if somebody reads it.
struct Line {
    level: Level,
    params: String,
    began: Instant,
}

impl Line {
    fn begin(mount: &Mount, params: &Params) -> Option<Self> {
        let level = log::enabled(mount.options.log)?;
        Some(Self {
            level,
            params: params.shown(&mount.options.filter_parameters),
            began: Instant::now(),
        })
    }

    fn end(self, conn: &Conn, socket: &'static str, error: Option<&Error>) {
        let trace = conn.trace();
        let line = Connected {
            socket,
            mount: &conn.mount().path,
            transport: conn.transport(),
            serializer: version(conn.encoding().serializer),
            params: &self.params,
            trace: trace.as_deref(),
            took: self.began.elapsed(),
        };
        match error {
            None => line.ok(self.level),
            Some(error) => line.refused(self.level, error),
        }
    }
}
