//! The WebSocket transport: the handshake, and the connection's way out of hyper.

use std::{panic::AssertUnwindSafe, sync::Arc};

use axum::{
    body::Body,
    extract::{FromRequestParts, RawPathParams, Request},
    response::{IntoResponse, Response},
    routing::{MethodRouter, any},
};
use bennu_websocket::{Deflate, handshake};
use bennu_wire::{Encoding, Framing};
use bytes::BytesMut;
use futures_util::FutureExt;
use http::{HeaderValue, StatusCode, header, request::Parts};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{Accept, subprotocol};
use crate::{
    ConnectInfo,
    params::Params,
    runtime::{Conn, Connection, Driver, Mount},
};

/// The handler of a mount's WebSocket path.
pub(crate) fn route<T: Accept>(mount: Arc<Mount>, sockets: Arc<T>) -> MethodRouter {
    any(move |request: Request| {
        let (mount, sockets) = (mount.clone(), sockets.clone());
        async move {
            connect(&mount, &*sockets, request)
                .await
                .unwrap_or_else(|refused| refused)
        }
    })
}

/// Lets a client in, or says no. The checks come in Phoenix's order, except that of the upgrade's headers,
/// which is first: nobody's code runs for junk.
async fn connect<T: Accept>(
    mount: &Arc<Mount>,
    sockets: &T,
    request: Request,
) -> Result<Response, Response> {
    let (mut parts, _) = request.into_parts();
    let upgrade = handshake::upgrade(&parts.method, parts.version, &parts.headers)
        .map_err(|error| error.response().map(Body::from))?;
    let on_upgrade = parts.extensions.remove::<OnUpgrade>().ok_or_else(|| {
        (
            StatusCode::UPGRADE_REQUIRED,
            "this connection can't be upgraded",
        )
            .into_response()
    })?;
    let params = params(&mut parts)
        .await
        .ok_or_else(|| StatusCode::BAD_REQUEST.into_response())?;

    let refused = |why: &str| {
        tracing::warn!(path = mount.path, why, "refused a connection");
        StatusCode::FORBIDDEN.into_response()
    };
    let agreed = subprotocol::negotiate(&parts.headers, &mount.options).map_err(refused)?;
    let serializer = vsn(&params)
        .and_then(|vsn| sockets.negotiate(vsn).ok())
        .ok_or_else(|| refused("unknown vsn"))?;
    let deflate = mount
        .options
        .compress
        .then(|| Deflate::negotiate(&parts.headers))
        .flatten();
    let params = params
        .decode()
        .map_err(|error| refused(&error.to_string()))?;

    // What is broadcast was compressed with the largest window. Who wants a smaller one gets it plain.
    let framing = match deflate.map(Deflate::window_bits) {
        Some(15) => Framing::WebSocketDeflate,
        _ => Framing::WebSocket,
    };
    let conn = Arc::new(Conn::new(
        mount.clone(),
        Encoding {
            serializer,
            framing,
        },
        deflate.is_some(),
    ));
    let info = ConnectInfo::new(parts, agreed.auth_token);
    let connected = AssertUnwindSafe(async {
        let socket = sockets.connect(params, &info).await?;
        Ok(sockets.driver(socket, &conn))
    });
    let driver = match connected.catch_unwind().await {
        Ok(Ok(driver)) => driver,
        Ok(Err(error)) => return Err(refused(&crate::Error::to_string(&error))),
        Err(_) => return Err(StatusCode::INTERNAL_SERVER_ERROR.into_response()),
    };

    let mut response = upgrade.response(deflate).map(|()| Body::empty());
    if let Some(subprotocol) = agreed
        .subprotocol
        .and_then(|it| HeaderValue::try_from(it).ok())
    {
        response
            .headers_mut()
            .insert(header::SEC_WEBSOCKET_PROTOCOL, subprotocol);
    }
    let mount = mount.clone();
    tokio::spawn(async move {
        match on_upgrade.await {
            Ok(upgraded) => start(upgraded, &mount, conn, driver),
            Err(error) => tracing::debug!(%error, "a client went away during its handshake"),
        }
    });
    Ok(response)
}

/// The query string's params, and the path's over them.
async fn params(parts: &mut Parts) -> Option<Params> {
    let mut params = Params::parse(parts.uri.query().unwrap_or_default())?;
    if let Ok(path) = RawPathParams::from_request_parts(parts, &()).await {
        for (name, value) in path.iter().filter(|(name, _)| !name.starts_with('_')) {
            params.set(name, value.to_owned());
        }
    }
    Some(params)
}

/// The version asked for, if any. `None` when it isn't a text.
fn vsn(params: &Params) -> Option<Option<&str>> {
    let vsn = params.text("vsn");
    (vsn.is_some() || !params.contains("vsn")).then_some(vsn)
}

/// Takes the TCP stream back out of hyper where it is one: boxed IO (TLS, other listeners) costs memory.
fn start<D: Driver>(upgraded: Upgraded, mount: &Arc<Mount>, conn: Arc<Conn>, driver: D) {
    use hyper_util::server::conn::auto::upgrade::downcast;
    match downcast::<TokioIo<TcpStream>>(upgraded) {
        Ok(parts) => {
            let (io, read) = (parts.io.into_inner(), BytesMut::from(parts.read_buf));
            // Small frames are what this is for: they shall not wait for each other's acknowledgement.
            let _ = io.set_nodelay(true);
            tokio::spawn(Connection::new(io, read, mount, conn, driver));
        }
        Err(upgraded) => {
            let io = TokioIo::new(upgraded);
            tokio::spawn(Connection::new(io, BytesMut::new(), mount, conn, driver));
        }
    }
}
