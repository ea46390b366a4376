//! Streams to a server, plain or with TLS, and what each request says.

#[cfg(feature = "rustls")]
use std::sync::{Arc, OnceLock};

use http::{HeaderMap, uri::PathAndQuery};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use crate::{
    ConnectionError, Transport,
    address::{Address, query},
    client::{AuthToken, SocketParams},
    options::Options,
};

/// A stream of bytes.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// All that it takes to make a connection.
pub(crate) struct Dialer {
    pub(crate) address: Address,
    pub(crate) params: SocketParams,
    pub(crate) auth_token: AuthToken,
    /// The caller's own.
    pub(crate) headers: HeaderMap,
    #[cfg(feature = "rustls")]
    pub(crate) tls: Option<Arc<tokio_rustls::rustls::ClientConfig>>,
    pub(crate) options: Options,
}

impl Dialer {
    pub(crate) async fn dial(&self) -> Result<Box<dyn Io>, ConnectionError> {
        let Address {
            host, port, secure, ..
        } = &self.address;
        let stream = TcpStream::connect((host.as_str(), *port))
            .await
            .map_err(|error| {
                ConnectionError::Failed(format!("failed to reach {host}:{port}: {error}"))
            })?;
        // Messages are small and shall leave at once. A socket that can't be told so works all the same.
        let _ = stream.set_nodelay(true);
        match secure {
            false => Ok(Box::new(stream)),
            true => self.secured(stream).await,
        }
    }

    #[cfg(feature = "rustls")]
    async fn secured(&self, stream: TcpStream) -> Result<Box<dyn Io>, ConnectionError> {
        use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

        let Some(config) = &self.tls else {
            return Err(ConnectionError::Invalid("no TLS was set up".to_owned()));
        };
        let host = &self.address.host;
        let name = ServerName::try_from(host.clone()).map_err(|_| {
            ConnectionError::Invalid(format!("{host:?} isn't a name a certificate could have"))
        })?;
        let stream = TlsConnector::from(config.clone())
            .connect(name, stream)
            .await
            .map_err(|error| ConnectionError::Failed(format!("TLS with {host} failed: {error}")))?;
        Ok(Box::new(stream))
    }

    #[cfg(not(feature = "rustls"))]
    #[expect(clippy::unused_async, reason = "it is with TLS")]
    async fn secured(&self, _: TcpStream) -> Result<Box<dyn Io>, ConnectionError> {
        Err(ConnectionError::Invalid(
            "this program was built without bennu-client's feature `rustls`".to_owned(),
        ))
    }

    /// Path and query of a connection that begins now: params are asked for anew.
    pub(crate) fn target(&self, transport: Transport) -> Result<PathAndQuery, ConnectionError> {
        let params = self.params.ask()?;
        self.address.target(transport, &query(&params)?)
    }
}

/// What the operating system trusts. It is read once, since that takes a while and a program may have many sockets.
#[cfg(feature = "rustls")]
pub(crate) fn default_tls() -> Result<Arc<tokio_rustls::rustls::ClientConfig>, ConnectionError> {
    static FOUND: OnceLock<Arc<tokio_rustls::rustls::ClientConfig>> = OnceLock::new();
    if let Some(found) = FOUND.get() {
        return Ok(found.clone());
    }
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let why: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
        return Err(ConnectionError::Invalid(format!(
            "this system has no certificates to trust {}",
            why.join(", ")
        )));
    }
    let config = tls_with_roots(found.certs)?;
    Ok(FOUND.get_or_init(|| config).clone())
}

/// Certificates that don't parse are passed over: systems have some.
#[cfg(feature = "rustls")]
pub(crate) fn tls_with_roots(
    roots: Vec<tokio_rustls::rustls::pki_types::CertificateDer<'static>>,
) -> Result<Arc<tokio_rustls::rustls::ClientConfig>, ConnectionError> {
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(roots);
    // Named here, so that it's no matter what else a program has made the default.
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| ConnectionError::Invalid(format!("TLS can't be set up: {error}")))?;
    Ok(Arc::new(
        config.with_root_certificates(store).with_no_client_auth(),
    ))
}
