//! The WebSocket transport: the handshake, and the connection's way out of hyper.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
    routing::{MethodRouter, any},
};
use bennu_websocket::{Deflate, handshake};
use bennu_wire::Framing;
use bytes::BytesMut;
use http::{HeaderValue, StatusCode, header, request::Parts};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::{
    Accept,
    admit::{self, Admitted, Carrier, Refusal},
    subprotocol,
};
use crate::{
    runtime::{Connection, Driver, Mount, caught},
    serve::Line,
    telemetry::Refused,
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

/// A byte stream that takes the place of hyper's: see [`Endpoint::serve_upgraded`](crate::Endpoint).
#[derive(Clone)]
pub(crate) struct Stream(Arc<Mutex<Option<Box<dyn Io>>>>);

/// Why a client with such a stream wasn't let in. It goes along with the response, and no transport shows it.
#[derive(Clone)]
pub(crate) struct Why(
    #[cfg_attr(
        not(feature = "testing"),
        expect(dead_code, reason = "the test kit alone tells of it")
    )]
    pub(crate) String,
);

pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

impl crate::runtime::Stream for Box<dyn Io> {}
impl crate::runtime::Stream for TokioIo<Upgraded> {}

impl Stream {
    pub(crate) fn new(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self(Arc::new(Mutex::new(Some(Box::new(io)))))
    }

    fn take(&self) -> Option<Box<dyn Io>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Lets a client in, or says no.
async fn connect<T: Accept>(
    mount: &Arc<Mount>,
    sockets: &T,
    request: Request,
) -> Result<Response, Response> {
    let (mut parts, _) = request.into_parts();
    let refused = |refusal: Refusal| refusal.answer(&mount.options);
    if let Some(io) = parts.extensions.remove::<Stream>().and_then(|it| it.take()) {
        let client = admit(mount, sockets, parts).await.map_err(|refusal| {
            // It may be an error of the user's that is shown.
            let why = caught(|| refusal.to_string()).unwrap_or_default();
            let mut response = refused(refusal);
            response.extensions_mut().insert(Why(why));
            response
        })?;
        tokio::spawn(connection(io, BytesMut::new(), client.admitted));
        return Ok(StatusCode::SWITCHING_PROTOCOLS.into_response());
    }
    // Phoenix looks at these last. Here nobody's code runs for junk.
    let upgrade =
        handshake::upgrade(&parts.method, parts.version, &parts.headers).map_err(|error| {
            mount.counters.refuse(Refused::BadRequest);
            error.response().map(Body::from)
        })?;
    let on_upgrade = parts.extensions.remove::<OnUpgrade>().ok_or_else(|| {
        (
            StatusCode::UPGRADE_REQUIRED,
            "this connection can't be upgraded",
        )
            .into_response()
    })?;
    let Client {
        admitted,
        subprotocol,
        deflate,
    } = admit(mount, sockets, parts).await.map_err(refused)?;

    let mut response = upgrade.response(deflate).map(|()| Body::empty());
    if let Some(subprotocol) = subprotocol.and_then(|it| HeaderValue::try_from(it).ok()) {
        response
            .headers_mut()
            .insert(header::SEC_WEBSOCKET_PROTOCOL, subprotocol);
    }
    tokio::spawn(async move {
        match on_upgrade.await {
            Ok(upgraded) => start(upgraded, admitted),
            Err(error) => tracing::debug!(%error, "a client went away during its handshake"),
        }
    });
    Ok(response)
}

/// A client that was let in.
struct Client<D> {
    admitted: Admitted<D>,
    subprotocol: Option<String>,
    deflate: Option<Deflate>,
}

/// All that a client is asked, in Phoenix's order.
async fn admit<T: Accept>(
    mount: &Arc<Mount>,
    sockets: &T,
    mut parts: Parts,
) -> Result<Client<T::Driver>, Refusal> {
    let params = admit::params(mount, &mut parts).await?;
    admit::origin(mount, &parts)?;
    let agreed = subprotocol::negotiate(&parts.headers, &mount.options)
        .map_err(|why| Refusal::forbidden(mount, Refused::Subprotocol, why))?;
    let deflate = mount
        .options
        .compress
        .then(|| Deflate::negotiate(&parts.headers))
        .flatten();
    let carrier = Carrier {
        // What is broadcast was compressed with the largest window. Who wants a smaller one gets it plain.
        framing: match deflate.map(Deflate::window_bits) {
            Some(15) => Framing::WebSocketDeflate,
            _ => Framing::WebSocket,
        },
        deflate: deflate.is_some(),
        auth_token: agreed.auth_token,
    };
    let admitted = admit::connect(mount, sockets, params, parts, carrier).await?;
    Ok(Client {
        admitted,
        subprotocol: agreed.subprotocol,
        deflate,
    })
}

/// Takes the TCP stream back out of hyper where it is one: boxed IO (TLS, other listeners) costs memory.
fn start<D: Driver>(upgraded: Upgraded, admitted: Admitted<D>) {
    match tcp_stream(upgraded) {
        Ok((io, read)) => {
            // Small frames are what this is for: they shall not wait for each other's acknowledgement.
            let _ = io.set_nodelay(true);
            tokio::spawn(connection(io, read, admitted));
        }
        Err(upgraded) => {
            let io = TokioIo::new(upgraded);
            tokio::spawn(connection(io, BytesMut::new(), admitted));
        }
    }
}

/// The stream, and what was read of it already: as [`serve`](crate::serve) has it, or as `axum::serve` does.
fn tcp_stream(upgraded: Upgraded) -> Result<(TcpStream, BytesMut), Upgraded> {
    use hyper_util::server::conn::auto::upgrade;
    let (io, read) = match upgraded.downcast::<TokioIo<Line<TcpStream>>>() {
        Ok(parts) => (parts.io.into_inner().into_inner(), parts.read_buf),
        Err(upgraded) => {
            let parts = upgrade::downcast::<TokioIo<TcpStream>>(upgraded)?;
            (parts.io.into_inner(), parts.read_buf)
        }
    };
    Ok((io, BytesMut::from(read)))
}

fn connection<IO, D>(io: IO, read: BytesMut, admitted: Admitted<D>) -> Connection<IO, D>
where
    IO: crate::runtime::Stream,
    D: Driver,
{
    let Admitted { seat, conn, driver } = admitted;
    Connection::new(io, read, seat, conn, driver)
}

#[cfg(test)]
mod tests;
