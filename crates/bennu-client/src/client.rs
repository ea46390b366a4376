//! What a socket is to be like, before there is one.

use std::{
    fmt,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc, watch};

use crate::{
    ConnectionError, OnRefused, Socket, Status, Transport,
    address::{Address, query},
    driver::Driver,
    options::{Carriage, Options},
    socket::Shared,
    transport::Dialer,
};

/// A socket to be connected: where it is, who comes, and how it shall behave. The defaults are phoenix.js's where it
/// has them.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); fn main() { run(async {
/// # let url = serve().await;
/// use std::time::Duration;
/// use bennu_client::Client;
///
/// let socket = Client::connect(&url)
///     .params(&[("name", "ada")].into_iter().collect::<std::collections::HashMap<_, _>>())
///     .long_poll_fallback(Duration::from_millis(2500))
///     .open()
///     .await?;
/// # Ok(()) }) }
/// ```
#[derive(Clone)]
#[must_use = "a client does nothing until it's started"]
pub struct Client {
    url: String,
    params: SocketParams,
    auth_token: AuthToken,
    headers: HeaderMap,
    #[cfg(feature = "rustls")]
    tls: Option<Arc<tokio_rustls::rustls::ClientConfig>>,
    options: Options,
    /// The first thing that was wrong.
    error: Option<ConnectionError>,
}

const USER_AGENT: &str = concat!("bennu-client/", env!("CARGO_PKG_VERSION"));

/// Something that is known, or asked for at each connect.
#[derive(Clone)]
pub(crate) enum Asked<T> {
    Known(T),
    Ask(Arc<dyn Fn() -> T + Send + Sync>),
}

impl<T: Clone> Asked<T> {
    pub(crate) fn ask(&self) -> T {
        match self {
            Self::Known(it) => it.clone(),
            Self::Ask(ask) => ask(),
        }
    }
}

pub(crate) type SocketParams = Asked<Result<Value, ConnectionError>>;
pub(crate) type AuthToken = Asked<Option<String>>;

impl Client {
    /// A socket at this URL: `ws`, `wss`, `http` or `https`, and the path of the mount, such as
    /// `wss://example.com/socket`. The transport's own part of the path is added.
    pub fn connect(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            params: Asked::Known(Ok(Value::Null)),
            auth_token: Asked::Known(None),
            headers: HeaderMap::new(),
            #[cfg(feature = "rustls")]
            tls: None,
            options: Options::default(),
            error: None,
        }
    }

    /// What the socket's `connect` is given: a struct or a map, as a query string. Nested ones go as `a[b]=1` and `a[]=1`;
    /// what is `None` isn't sent.
    pub fn params<T: Serialize + ?Sized>(mut self, params: &T) -> Self {
        self.params = Asked::Known(value(params));
        self
    }

    /// Params that are asked for at each connect.
    pub fn params_with<T: Serialize>(
        mut self,
        params: impl Fn() -> T + Send + Sync + 'static,
    ) -> Self {
        self.params = Asked::Ask(Arc::new(move || value(&params())));
        self
    }

    /// A token for a mount with `auth_token`: it goes as a header, so it's in no log of URLs.
    pub fn auth_token(mut self, token: impl Into<String>) -> Self {
        self.auth_token = Asked::Known(Some(token.into()));
        self
    }

    /// A token that is asked for at each connect.
    pub fn auth_token_with(mut self, token: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.auth_token = Asked::Ask(Arc::new(move || Some(token())));
        self
    }

    /// A header for the handshake and for each request: `origin`, `cookie`, one of one's own. Without a `user-agent` it's
    /// this crate and its version.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        match (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            (Ok(name), Ok(value)) => {
                self.headers.append(name, value);
            }
            _ => self.wrong(format!("{name:?} isn't a header, or has no such value")),
        }
        self
    }

    /// The one transport to use; a WebSocket by default.
    pub fn transport(mut self, transport: Transport) -> Self {
        self.options.carriage = Carriage::Only(transport);
        self
    }

    /// A WebSocket, and long-polling if that doesn't work: when it isn't open within this time, doesn't answer a first
    /// message within this time again, or fails before. The socket then stays with it. phoenix.js's
    /// `longPollFallbackMs`.
    pub fn long_poll_fallback(mut self, after: Duration) -> Self {
        self.options.carriage = Carriage::Fallback(after);
        self
    }

    /// How long a connection, a join, a push and a ping may take: 10 seconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = timeout;
        self
    }

    /// How far apart heartbeats are: 30 seconds. A server that hasn't answered one when the next is due is lost. Over
    /// long-polling there are none: polls show who is alive.
    pub fn heartbeat(mut self, every: Duration) -> Self {
        self.options.heartbeat = every.max(Duration::from_millis(1));
        self
    }

    /// How long a request of long-polling may take: 20 seconds. It has to be more than the server's window, which is 10.
    pub fn poll_timeout(mut self, timeout: Duration) -> Self {
        self.options.poll_timeout = timeout;
        self
    }

    /// How long to wait before each try to reconnect: 10, 50, 100, 150, 200, 250, 500, 1000, 2000, then 5000 ms. Each
    /// wait is between half and one and a half of what it says, so that clients which lost the same server don't come
    /// back all at once. The waits begin anew when a connection has lasted for as long as the last of them. A server
    /// that drains may say how long instead (`retry_ms` in the close reason).
    pub fn reconnect_after(mut self, waits: &[Duration]) -> Self {
        self.options.reconnect_after = waits.to_vec();
        self
    }

    /// How long to wait before each try to join a channel again that the server refused or that failed: 1, 2, 5, then 10
    /// seconds, with jitter as above.
    pub fn rejoin_after(mut self, waits: &[Duration]) -> Self {
        self.options.rejoin_after = waits.to_vec();
        self
    }

    /// What to do when the server refuses the connection.
    pub fn on_refused(mut self, policy: OnRefused) -> Self {
        self.options.on_refused = policy;
        self
    }

    /// How large a message from the server may be: 16 MiB. A larger one costs the connection.
    pub fn message_bytes_max(mut self, bytes: usize) -> Self {
        self.options.message_bytes_max = bytes;
        self
    }

    /// How much may wait to be sent and answered, of all channels together: 16 MiB, with 256 bytes for each push. Beyond,
    /// [`push`](crate::Channel::push) waits and [`cast`](crate::Channel::cast) fails.
    pub fn queue_bytes_max(mut self, bytes: usize) -> Self {
        self.options.queue_bytes_max = bytes.clamp(1, Semaphore::MAX_PERMITS.min(1 << 31));
        self
    }

    /// How many events wait for who reads a channel's [`Events`](crate::Events) or [`Presence`](crate::Presence): 1,024. Beyond,
    /// the oldest are dropped, and counted.
    pub fn inbox_events_max(mut self, events: usize) -> Self {
        self.options.inbox.events_max = events;
        self
    }

    /// How many bytes of events wait so: 16 MiB.
    pub fn inbox_bytes_max(mut self, bytes: usize) -> Self {
        self.options.inbox.bytes_max = bytes;
        self
    }

    /// How many bytes of presences a channel keeps: 16 MiB. Who comes beyond is left out.
    pub fn presence_bytes_max(mut self, bytes: usize) -> Self {
        self.options.presence_bytes_max = bytes;
        self
    }

    /// Trusts these certificates alone, in PEM: a company's own, or a self-signed one. By default those that the operating
    /// system trusts.
    #[cfg(feature = "rustls")]
    pub fn root_certificates(mut self, pem: &[u8]) -> Self {
        use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject};

        let roots: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        match roots {
            Ok(roots) if !roots.is_empty() => match crate::transport::tls_with_roots(roots) {
                Ok(tls) => self.tls = Some(tls),
                Err(error) => self.error = self.error.or(Some(error)),
            },
            _ => self.wrong("there's no certificate in PEM".to_owned()),
        }
        self
    }

    /// TLS as one sets it up oneself, with client certificates for instance.
    #[cfg(feature = "rustls")]
    pub fn tls(mut self, config: Arc<tokio_rustls::rustls::ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// Begins to connect, and goes on until the socket is disconnected or dropped. A server that isn't there yet is tried
    /// again; one that refuses is a matter of [`on_refused`](Self::on_refused).
    ///
    /// # Errors
    /// [`ConnectionError::Invalid`] when the URL, a param, a header or a certificate isn't one.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(self) -> Result<Socket, ConnectionError> {
        let Self {
            url,
            params,
            auth_token,
            mut headers,
            #[cfg(feature = "rustls")]
            tls,
            options,
            error,
        } = self;
        if let Some(error) = error {
            return Err(error);
        }
        let address = Address::parse(&url)?;
        let user_agent = HeaderValue::from_static(USER_AGENT);
        headers.entry(header::USER_AGENT).or_insert(user_agent);
        if let Asked::Known(params) = &params {
            query(params.as_ref().map_err(Clone::clone)?)?;
        }
        #[cfg(feature = "rustls")]
        let tls = match tls {
            None if address.secure => Some(crate::transport::default_tls()?),
            tls => tls,
        };
        let (commands, inbox) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(options.queue_bytes_max));
        let (status, watched) = watch::channel(Status::Connecting);
        let dialer = Dialer {
            address,
            params,
            auth_token,
            headers,
            #[cfg(feature = "rustls")]
            tls,
            options: options.clone(),
        };
        let driver = Driver::new(options.clone(), dialer, inbox, room.clone(), status);
        tokio::spawn(driver.run());
        Ok(Socket {
            shared: Arc::new(Shared {
                commands,
                room,
                options,
                status: watched,
                channels: AtomicU64::new(0),
            }),
        })
    }

    /// As [`start`](Self::start), and waits for the first connection, which has to succeed at once. Once it was there it's made
    /// again when it's lost.
    ///
    /// # Errors
    /// Why it failed: [`ConnectionError::Refused`] when the server doesn't let this client in.
    pub async fn open(mut self) -> Result<Socket, ConnectionError> {
        self.options.fail_fast = true;
        let socket = self.start()?;
        socket.opened().await?;
        Ok(socket)
    }

    fn wrong(&mut self, text: String) {
        self.error.get_or_insert(ConnectionError::Invalid(text));
    }
}

fn value<T: Serialize + ?Sized>(params: &T) -> Result<Value, ConnectionError> {
    serde_json::to_value(params)
        .map_err(|error| ConnectionError::Invalid(format!("the params have no form: {error}")))
}

impl fmt::Debug for Client {
    /// Without what may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}
