//! One connection's bytes: TCP or TLS, past the handshake.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bennu_websocket::client::Handshake;
use serde_json::{Map, Value};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

use super::cause::Cause;
use super::plan::Plan;
use super::tls;
use crate::error::{Failure, Result};

/// Bytes of a response's head that are read at once.
const HEAD_BYTES: usize = 1024;

/// How connections are made.
pub(crate) struct Dialer {
    plan: std::sync::Arc<Plan>,
    params: Map<String, Value>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// A connection that frames may go over.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Dialer {
    pub(crate) fn new(plan: std::sync::Arc<Plan>, params: Map<String, Value>) -> Result<Self> {
        let tls = match plan.target.tls {
            false => None,
            true => {
                let name = ServerName::try_from(plan.target.host.clone()).map_err(|_| {
                    Failure::usage(format!(
                        "{:?} is no name that a certificate could have",
                        plan.target.host
                    ))
                })?;
                Some((tls::connector(plan.insecure)?, name))
            }
        };
        Ok(Self { plan, params, tls })
    }

    /// Opens the `n`th connection, and returns it with what came behind the handshake.
    pub(crate) async fn open(&self, n: u64) -> Result<(Stream, Vec<u8>), Cause> {
        let opened = tokio::time::timeout(self.plan.timeout, self.dial(n));
        opened
            .await
            .unwrap_or(Err(Cause::Timeout("the handshake".to_owned())))
    }

    async fn dial(&self, n: u64) -> Result<(Stream, Vec<u8>), Cause> {
        let sources = &self.plan.sources;
        let source = sources.get(n as usize % sources.len().max(1)).copied();
        let tcp = connect(self.plan.addr, source)
            .await
            .map_err(|error| Cause::io(&error))?;
        let mut stream = match &self.tls {
            None => Stream::Plain(tcp),
            Some((connector, name)) => {
                let tls = connector.connect(name.clone(), tcp).await;
                Stream::Tls(Box::new(tls.map_err(|error| match Cause::io(&error) {
                    Cause::Io(why) => Cause::Tls(why),
                    other => other,
                })?))
            }
        };
        let handshake = Handshake::new(nonce(n));
        let target = &self.plan.target;
        let path = target.request_target(&self.params, self.plan.vsn.name(), n);
        let headers = self.plan.headers.iter();
        let headers: Vec<_> = headers.map(|it| (it.0.as_str(), it.1.as_str())).collect();
        let mut request = Vec::new();
        handshake
            .request(&target.authority, &path, &headers, &mut request)
            .map_err(Cause::protocol)?;
        let io = |error| Cause::io(&error);
        stream.write_all(&request).await.map_err(io)?;
        let mut head = Vec::with_capacity(HEAD_BYTES);
        loop {
            if stream.read_buf(&mut head).await.map_err(io)? == 0 {
                return Err(Cause::Closed(None));
            }
            if let Some(used) = handshake.response(&head)? {
                head.drain(..used);
                return Ok((stream, head));
            }
            head.reserve(HEAD_BYTES);
        }
    }
}

async fn connect(addr: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = match addr {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if let Some(source) = source {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    let stream = socket.connect(addr).await?;
    stream.set_nodelay(true)?;
    // When it goes it leaves no port behind in TIME_WAIT.
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    Ok(stream)
}

/// Sixteen bytes that no other handshake has. They are to be random, but guard nothing.
fn nonce(n: u64) -> [u8; 16] {
    let half = || {
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u64(n);
        u128::from(hasher.finish())
    };
    (half() << 64 | half()).to_be_bytes()
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(it) => Pin::new(it).poll_read(cx, buffer),
            Self::Tls(it) => Pin::new(it).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(it) => Pin::new(it).poll_write(cx, bytes),
            Self::Tls(it) => Pin::new(it).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(it) => Pin::new(it).poll_flush(cx),
            Self::Tls(it) => Pin::new(it).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(it) => Pin::new(it).poll_shutdown(cx),
            Self::Tls(it) => Pin::new(it).poll_shutdown(cx),
        }
    }
}
