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
    admit::{self, Carrier, Refusal},
    subprotocol,
};
use crate::{
    runtime::{Conn, Connection, Driver, Mount},
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
    if let Some(io) = parts.extensions.remove::<Stream>().and_then(|it| it.take()) {
        let client = admit(mount, sockets, parts).await?;
        tokio::spawn(Connection::new(
            io,
            BytesMut::new(),
            mount,
            client.conn,
            client.driver,
        ));
        return Ok(StatusCode::SWITCHING_PROTOCOLS.into_response());
    }
    // Phoenix looks at these last. Here nobody's code runs for junk.
    let upgrade = handshake::upgrade(&parts.method, parts.version, &parts.headers)
        .map_err(|error| error.response().map(Body::from))?;
    let on_upgrade = parts.extensions.remove::<OnUpgrade>().ok_or_else(|| {
        (
            StatusCode::UPGRADE_REQUIRED,
            "this connection can't be upgraded",
        )
            .into_response()
    })?;
    let Client {
        conn,
        driver,
        subprotocol,
        deflate,
    } = admit(mount, sockets, parts).await?;

    let mut response = upgrade.response(deflate).map(|()| Body::empty());
    if let Some(subprotocol) = subprotocol.and_then(|it| HeaderValue::try_from(it).ok()) {
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

/// A client that was let in.
struct Client<D> {
    conn: Arc<Conn>,
    driver: D,
    subprotocol: Option<String>,
    deflate: Option<Deflate>,
}

/// All that a client is asked, in Phoenix's order.
async fn admit<T: Accept>(
    mount: &Arc<Mount>,
    sockets: &T,
    mut parts: Parts,
) -> Result<Client<T::Driver>, Response> {
    let status = |refusal: Refusal| refusal.response();
    let params = admit::params(mount, &mut parts).await.map_err(status)?;
    admit::origin(mount, &parts).map_err(status)?;
    let agreed = subprotocol::negotiate(&parts.headers, &mount.options)
        .map_err(|why| status(Refusal::forbidden(mount, Refused::Subprotocol, why)))?;
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
    let (conn, driver) = admit::connect(mount, sockets, params, parts, carrier)
        .await
        .map_err(status)?;
    Ok(Client {
        conn,
        driver,
        subprotocol: agreed.subprotocol,
        deflate,
    })
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
