//! The adapter.

use std::{
    error, fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_nats::{ConnectOptions, ServerAddr};
use bennu_pubsub::{
    Adapter, AdapterHealth, Backoff, Link, NameError, Registration, Subject, SubjectNames,
};
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use tokio::task::JoinHandle;

use crate::{NatsOptions, connection::Connection};

/// Commands that wait for the library's connection. It takes them as fast as it writes.
const COMMANDS_MAX: usize = 2048;

/// A server isn't asked more often whether it's there.
const PING_INTERVAL_MIN: Duration = Duration::from_millis(50);

/// A bus over NATS.
///
/// The library reconnects and subscribes again; this makes sure that the server has heard of subscriptions before it
/// says so, bounds what waits, and counts what is lost. In a cluster of NATS servers a subscription is confirmed by the
/// node's own server; the others hear of it some milliseconds later.
///
/// Messages longer than the server's `max_payload`, 1 MB by default, don't reach other nodes; they are logged and
/// counted as lost.
///
/// ```
/// use bennu_nats::NatsBus;
///
/// let bus = NatsBus::new("nats://127.0.0.1:4222")?;
/// assert!(NatsBus::new("not a URL at all").is_err());
/// # Ok::<(), bennu_nats::NatsBusError>(())
/// ```
pub struct NatsBus {
    servers: Vec<ServerAddr>,
    connect: ConnectOptions,
    connection: Arc<Connection>,
    tasks: Mutex<Tasks>,
}

#[derive(Default)]
struct Tasks {
    /// Connects, and then subscribes.
    subscribing: Option<JoinHandle<()>>,
    publishing: Option<JoinHandle<()>>,
}

impl NatsBus {
    /// A bus over one server, or the cluster that it belongs to, with the default options. The URL may have a user and a
    /// password, or a token: `nats://user:password@host:4222`.
    ///
    /// # Errors
    ///
    /// When the URL is none.
    pub fn new(url: impl AsRef<str>) -> Result<Self, NatsBusError> {
        Self::with([url], ConnectOptions::new(), NatsOptions::new())
    }

    /// A bus over the servers of one cluster, with credentials and TLS as the library takes them; those of the first URL that
    /// has some come before those of `connect`. What concerns reconnection, pings, events, echoes and capacities in
    /// `connect` is set here.
    ///
    /// # Errors
    ///
    /// When there is none, a URL is none, or the prefix can't be one.
    pub fn with<U: AsRef<str>>(
        urls: impl IntoIterator<Item = U>,
        connect: ConnectOptions,
        options: NatsOptions,
    ) -> Result<Self, NatsBusError> {
        let names = SubjectNames::new(&options.prefix).map_err(NatsBusError::Prefix)?;
        let servers = urls.into_iter().map(|url| url.as_ref().parse());
        let servers: Vec<ServerAddr> = servers
            .collect::<Result<_, _>>()
            .map_err(NatsBusError::Url)?;
        if servers.is_empty() {
            return Err(NatsBusError::Servers);
        }
        let connect = match servers.iter().find(|it| it.has_user_pass()) {
            Some(server) => signed_in(connect, server),
            None => connect,
        };
        Ok(Self {
            servers,
            connect,
            connection: Arc::new(Connection::new(names, options)),
            tasks: Mutex::default(),
        })
    }

    fn connect_options(&self) -> ConnectOptions {
        let options = &self.connection.options;
        let backoff = Backoff::new(options.backoff_max);
        let told = Arc::downgrade(&self.connection);
        self.connect
            .clone()
            .retry_on_initial_connect()
            .max_reconnects(None)
            .no_echo()
            // After two that aren't answered the third one is the end.
            .ping_interval((options.answer_time_max / 3).max(PING_INTERVAL_MIN))
            .client_capacity(COMMANDS_MAX)
            .subscription_capacity(options.subscription_messages_max)
            .reconnect_delay_callback(move |attempt| match attempt {
                // The first is the one right after the connection broke.
                0 | 1 => Duration::ZERO,
                attempt => backoff.pause_after(u32::try_from(attempt).unwrap_or(u32::MAX) - 2),
            })
            .event_callback(move |event| {
                if let Some(connection) = told.upgrade() {
                    connection.told(&event);
                }
                std::future::ready(())
            })
    }

    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// With the credentials of a URL: a user and a password, or a token where there's no password.
fn signed_in(connect: ConnectOptions, server: &ServerAddr) -> ConnectOptions {
    let text = |it: &str| percent_decode_str(it).decode_utf8_lossy().into_owned();
    let user = text(server.username().unwrap_or_default());
    match server.password() {
        Some(password) => connect.user_and_password(user, text(password)),
        None => connect.token(user),
    }
}

impl Adapter for NatsBus {
    fn start(&self, link: Arc<dyn Link>) {
        self.connection.hub.start(link);
        self.connection.hub.expect(1);
        let (options, servers) = (self.connect_options(), self.servers.clone());
        let (subscribing, publishing) = (self.connection.clone(), self.connection.clone());
        let (sender, client) = tokio::sync::oneshot::channel();
        let mut tasks = self.tasks();
        tasks.subscribing = Some(tokio::spawn(async move {
            // It returns at once, connected or not.
            match options.connect(servers).await {
                Ok(client) => {
                    let _ = sender.send(client.clone());
                    subscribing.subscribe(client).await;
                }
                Err(error) => tracing::error!(%error, "NATS can't be used"),
            }
        }));
        tasks.publishing = Some(tokio::spawn(async move {
            if let Ok(client) = client.await {
                publishing.publish(client).await;
            }
        }));
    }

    fn publish(&self, subject: &Subject, message: Bytes) {
        self.connection.queue.push(subject.clone(), message);
    }

    fn subscribe(&self, subject: &Subject) -> Registration {
        let registration = self.connection.interest().want(subject);
        self.connection.wake();
        registration
    }

    fn unsubscribe(&self, subject: &Subject) {
        self.connection.interest().unwant(subject);
        self.connection.wake();
    }

    fn health(&self) -> AdapterHealth {
        let queue = &self.connection.queue;
        self.connection.hub.health(queue.lost(), queue.bytes())
    }

    fn shutdown(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let connection = self.connection.clone();
        connection.queue.seal();
        connection.ending.send_replace(true);
        let Tasks {
            subscribing,
            publishing,
        } = std::mem::take(&mut *self.tasks());
        Box::pin(async move {
            if let Some(publishing) = publishing {
                let time_max = connection.options.answer_time_max;
                let _ = tokio::time::timeout(time_max, publishing).await;
            }
            if let Some(subscribing) = subscribing {
                subscribing.abort();
            }
            connection.interest().end();
        })
    }
}

impl Drop for NatsBus {
    fn drop(&mut self) {
        let tasks = std::mem::take(&mut *self.tasks());
        for task in [tasks.subscribing, tasks.publishing].into_iter().flatten() {
            task.abort();
        }
        self.connection.interest().end();
    }
}

impl fmt::Debug for NatsBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers = self
            .servers
            .iter()
            .map(|it| (it.host().to_owned(), it.port()));
        f.debug_struct("NatsBus")
            .field("servers", &servers.collect::<Vec<_>>())
            .field("connected", &self.connection.hub.is_connected())
            .finish_non_exhaustive()
    }
}

/// Why there is no bus.
#[derive(Debug)]
#[non_exhaustive]
pub enum NatsBusError {
    /// A URL that NATS can't be at.
    Url(std::io::Error),
    /// A prefix that can't be one.
    Prefix(NameError),
    /// No server was named.
    Servers,
}

impl fmt::Display for NatsBusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(error) => write!(f, "no URL of NATS: {error}"),
            Self::Prefix(error) => write!(f, "no prefix of subjects: {error}"),
            Self::Servers => f.write_str("no server was named"),
        }
    }
}

impl error::Error for NatsBusError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Url(error) => Some(error),
            Self::Prefix(error) => Some(error),
            Self::Servers => None,
        }
    }
}
