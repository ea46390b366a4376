//! Whether a client is let in: what every transport asks it, in Phoenix's order.

use std::{panic::AssertUnwindSafe, sync::Arc};

use axum::{
    extract::{FromRequestParts, RawPathParams},
    response::{IntoResponse, Response},
};
use bennu_wire::{Encoding, Framing};
use futures_util::FutureExt;
use http::{StatusCode, header, request::Parts};

use super::{Accept, origin};
use crate::{
    ConnectInfo, Error,
    params::Params,
    runtime::{Conn, Mount},
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
    pub(crate) fn forbidden(mount: &Mount, why: &str) -> Self {
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
        return Err(Refusal::Unavailable);
    }
    let query = parts.uri.query().unwrap_or_default();
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

/// Negotiates the version, and asks the socket.
pub(crate) async fn connect<T: Accept>(
    mount: &Arc<Mount>,
    sockets: &T,
    params: Params,
    parts: Parts,
    carrier: Carrier,
) -> Result<(Arc<Conn>, T::Driver), Refusal> {
    let refused = |why: &str| Refusal::forbidden(mount, why);
    let vsn = params.text("vsn");
    let serializer = match sockets.negotiate(vsn) {
        // It's there, but not as a text.
        Ok(_) if vsn.is_none() && params.contains("vsn") => Err(refused("its vsn is no text")),
        Ok(serializer) => Ok(serializer),
        Err(error) => Err(refused(&error.to_string())),
    }?;
    let params = params
        .decode()
        .map_err(|error| refused(&error.to_string()))?;
    let encoding = Encoding {
        serializer,
        framing: carrier.framing,
    };
    let conn = Arc::new(Conn::new(mount.clone(), encoding, carrier.deflate));
    let info = ConnectInfo::new(parts, carrier.auth_token);
    let connected = AssertUnwindSafe(async {
        let socket = sockets.connect(params, &info).await?;
        Ok(sockets.driver(socket, &conn))
    });
    match connected.catch_unwind().await {
        Ok(Ok(driver)) => Ok((conn, driver)),
        Ok(Err(error)) => Err(refused(&Error::to_string(&error))),
        Err(_) => Err(Refusal::Panicked),
    }
}
