//! Whether a client is let in: what every transport asks it, in Phoenix's order.

use std::{any::type_name, panic::AssertUnwindSafe, sync::Arc};

use axum::{
    extract::{FromRequestParts, RawPathParams},
    response::{IntoResponse, Response},
};
use bennu_wire::{Encoding, Framing};
use futures_util::FutureExt;
use http::{StatusCode, header, request::Parts};
use tokio::time::Instant;
use tracing::{Instrument, Level};

use super::{Accept, origin};
use crate::{
    ConnectInfo, Error,
    params::Params,
    runtime::{Conn, Mount},
    telemetry::{
        Refused,
        log::{self, Connected},
        trace::{self, Trace},
        version,
    },
};

/// Why a client isn't let in. Each transport has its own way to say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Not now: the server goes down, or is full.
    Unavailable,
    /// Its query makes no sense.
    BadRequest,
    /// Somebody said no.
    Forbidden,
    /// The socket panicked.
    Panicked,
}

impl Refusal {
    /// Says no, and tells the log why.
    pub(crate) fn forbidden(mount: &Mount, refused: Refused, why: &str) -> Self {
        mount.counters.refuse(refused);
        tracing::warn!(path = mount.path, why, "refused a connection");
        Self::Forbidden
    }

    /// As plain HTTP.
    pub(crate) fn response(self) -> Response {
        match self {
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                [(header::RETRY_AFTER, "1")],
            )
                .into_response(),
            Self::BadRequest => StatusCode::BAD_REQUEST.into_response(),
            Self::Forbidden => StatusCode::FORBIDDEN.into_response(),
            Self::Panicked => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
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

/// What the client says in the address, once it may say something: the query string's params, and the path's
/// over them.
pub(crate) async fn params(mount: &Mount, parts: &mut Parts) -> Result<Params, Refusal> {
    if mount.is_draining() {
        mount.counters.refuse(Refused::Draining);
        return Err(Refusal::Unavailable);
    }
    let query = parts.uri.query().unwrap_or_default();
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
    origin::check(parts, &mount.options)
        .map_err(|why| Refusal::forbidden(mount, Refused::Origin, &why))
}

/// Negotiates the version, and asks the socket.
pub(crate) async fn connect<T: Accept>(
    mount: &Arc<Mount>,
    sockets: &T,
    params: Params,
    parts: Parts,
    carrier: Carrier,
) -> Result<(Arc<Conn>, T::Driver), Refusal> {
    let refused = |label, why: &str| Refusal::forbidden(mount, label, why);
    let vsn = params.text("vsn");
    let serializer = match sockets.negotiate(vsn) {
        // It's there, but not as a text.
        Ok(_) if vsn.is_none() && params.contains("vsn") => {
            Err(refused(Refused::Vsn, "its vsn is no text"))
        }
        Ok(serializer) => Ok(serializer),
        Err(error) => Err(refused(Refused::Vsn, &error.to_string())),
    }?;
    let line = Line::begin(mount, &params);
    let params = params
        .decode()
        .map_err(|error| refused(Refused::Params, &error.to_string()))?;
    let encoding = Encoding {
        serializer,
        framing: carrier.framing,
    };
    let mut conn = Arc::new(Conn::new(mount.clone(), encoding, carrier.deflate));
    if trace::enabled()
        && let Some(trace) = Trace::of(&parts.headers)
    {
        conn = conn.traced(trace);
    }
    let socket = type_name::<T::Socket>();
    let span = trace::span!(
        info_span,
        "connect",
        conn,
        socket,
        mount = mount.path,
        transport = conn.transport().as_str()
    );
    let info = ConnectInfo::new(parts, carrier.auth_token);
    let connected = AssertUnwindSafe(async {
        let socket = sockets.connect(params, &info).await?;
        Ok(sockets.driver(socket, &conn))
    });
    let connected = connected.catch_unwind().instrument(span).await;
    if let (Some(line), Ok(connected)) = (line, &connected) {
        line.end(&conn, socket, connected.as_ref().err());
    }
    let refused = match connected {
        Ok(Ok(driver)) => return Ok((conn, driver)),
        Ok(Err(error)) if error.is_refusal() => Refused::Connect,
        Ok(Err(error)) => {
            tracing::error!(socket, %error, "failed to connect");
            Refused::Failed
        }
        Err(_) => Refused::Panicked,
    };
    mount.counters.refuse(refused);
    Err(match refused {
        Refused::Panicked => Refusal::Panicked,
        _ => Refusal::Forbidden,
    })
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
