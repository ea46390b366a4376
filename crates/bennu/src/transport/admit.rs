//! Whether a client is let in: what every transport asks it, in Phoenix's order.

use std::{panic::AssertUnwindSafe, sync::Arc};

use axum::{
    extract::{FromRequestParts, RawPathParams},
    response::{IntoResponse, Response},
};
use bennu_wire::{Encoding, Framing};
use futures_util::FutureExt;
use http::{StatusCode, header, request::Parts};
use tokio::time::timeout;

use super::{Accept, origin, subprotocol};
use crate::{
    ConnectInfo, Error, SocketOptions,
    params::Params,
    runtime::{Conn, Full, Mount, Seat, caught},
    session::is_csrf_token,
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
    /// Some check says no.
    Forbidden,
    /// The socket says no.
    Refused(Error),
    /// The socket panicked.
    Panicked,
}

impl Refusal {
    /// Says no, and tells the log why.
    pub(crate) fn forbidden(mount: &Mount, why: &str) -> Self {
        log(mount, why);
        Self::Forbidden
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
            Self::Forbidden | Self::Refused(_) => StatusCode::FORBIDDEN,
            Self::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
        };
        status.into_response()
    }
}

fn log(mount: &Mount, why: &str) {
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
        return Err(Refusal::Unavailable);
    }
    let query = parts.uri.query().unwrap_or_default();
    if query.len() > mount.options.limits.query_bytes_max {
        return Err(Refusal::TooLong);
    }
    let mut params = Params::parse(query).ok_or(Refusal::BadRequest)?;
    if let Ok(path) = RawPathParams::from_request_parts(parts, &()).await {
        for (name, value) in path.iter().filter(|(name, _)| !name.starts_with('_')) {
            params.set(name, value.to_owned());
        }
    }
    Ok(params)
}

/// Whether the page that connects may do so.
pub(crate) fn origin(mount: &Mount, parts: &Parts) -> Result<(), Refusal> {
    origin::check(parts, &mount.options).map_err(|why| Refusal::forbidden(mount, &why))
}

/// Negotiates the version, looks for a seat, and asks the socket.
pub(crate) async fn connect<T: Accept>(
    mount: &Arc<Mount>,
    sockets: &T,
    params: Params,
    mut parts: Parts,
    carrier: Carrier,
) -> Result<Admitted<T::Driver>, Refusal> {
    let refused = |why: &str| Refusal::forbidden(mount, why);
    let options = &mount.options;
    let vsn = params.text("vsn");
    let serializer = match sockets.negotiate(vsn) {
        // It's there, but not as a text.
        Ok(_) if vsn.is_none() && params.contains("vsn") => Err(refused("its vsn is no text")),
        Ok(serializer) => Ok(serializer),
        Err(error) => Err(refused(&error.to_string())),
    }?;
    let csrf_token = params.text("_csrf_token").map(str::to_owned);
    let params = caught(|| params.decode())
        .map_err(|_| Refusal::Panicked)?
        .map_err(|error| refused(&error.to_string()))?;
    let peer = ConnectInfo::peer_of(&parts).map(|it| it.ip());
    let seat = mount.reserve(peer)?;
    let encoding = Encoding {
        serializer,
        framing: carrier.framing,
    };
    let conn = Arc::new(Conn::new(mount.clone(), encoding, carrier.deflate));
    if options.auth_token {
        subprotocol::hide_tokens(&mut parts.headers);
    }
    let mut info = ConnectInfo::new(parts, carrier.auth_token);
    let connected = AssertUnwindSafe(async {
        find_session(options, csrf_token.as_deref(), &mut info).await;
        let socket = sockets.connect(params, &info).await?;
        Ok(sockets.driver(socket, &conn))
    });
    match timeout(options.limits.connect_timeout, connected.catch_unwind()).await {
        Ok(Ok(Ok(driver))) => Ok(Admitted { seat, conn, driver }),
        Ok(Ok(Err(error))) => {
            log(mount, &Error::to_string(&error));
            Err(Refusal::Refused(error))
        }
        Ok(Err(_)) => Err(Refusal::Panicked),
        Err(_) => {
            mount.counters.connects_timed_out.add(1);
            log(mount, "its connect took too long");
            Err(Refusal::Unavailable)
        }
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
