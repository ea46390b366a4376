//! Topics and comments: kept in a database, and live in every browser that looks at them.
//!
//! [`Discuss::open`] connects to the database and makes the routes; `main.rs` serves them alone, and another program
//! may merge them into its own router. In the order of reading: `socket.rs` (who connects), `comments.rs` and
//! `topics.rs` (the channels), `wire.rs` (what clients see), `db.rs` (what is kept), `web.rs` (the pages).

mod comments;
mod db;
mod form;
mod session;
mod socket;
#[cfg(test)]
mod tests;
mod topics;
mod web;
mod wire;

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::Router;
use bennu::{Endpoint, LongPoll, SecretError, SocketOptions, Token};

use crate::{db::Db, session::Sessions, socket::Person};

/// More than the longest comment takes, in any encoding.
const FRAME_BYTES_MAX: usize = 64 * 1024;
/// What a person may do in a second, and in one go.
const EVENTS_PER_SECOND_MAX: u32 = 20;
const EVENTS_AT_ONCE_MAX: u32 = 60;

/// What the application is made with.
#[derive(Clone)]
pub struct Options {
    /// `sqlite://FILE`, which is made if it isn't there, or `postgres://USER@HOST/DATABASE`.
    pub database: String,
    /// What sessions are signed with, at least 20 bytes. With another one everybody is signed out.
    pub secret: String,
    /// The path that all routes are under, such as `/discuss`, or empty.
    pub prefix: String,
    /// The host that the pages come from, such as `example.com`. Without it pages of every host may connect as guests.
    pub host: Option<String>,
    /// Whether the pages are served by HTTPS: then the session's cookie goes no other way.
    pub https: bool,
}

impl Options {
    /// Options with the prefix `/discuss`, for any host, over HTTP.
    pub fn new(database: impl Into<String>, secret: impl Into<String>) -> Self {
        Self {
            database: database.into(),
            secret: secret.into(),
            prefix: "/discuss".to_owned(),
            host: None,
            https: false,
        }
    }
}

/// The application, with its database open.
#[derive(Debug)]
pub struct Discuss {
    endpoint: Endpoint<App>,
    router: Router,
}

/// What all connections share.
#[derive(Debug)]
pub struct App {
    db: Db,
}

impl Discuss {
    /// Opens the database, brings its tables up to date, and mounts the socket.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use discuss::{Discuss, Options};
    ///
    /// let folder = tempfile::tempdir().unwrap();
    /// let database = format!("sqlite://{}/discuss.db", folder.path().display());
    /// let discuss = Discuss::open(&Options::new(database, "a secret of at least 20 bytes")).await.unwrap();
    /// let router = axum::Router::new().merge(discuss.router());
    /// # let _ = router;
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When the database can't be opened or isn't what it should be, or the secret is too short.
    pub async fn open(options: &Options) -> Result<Self, OpenError> {
        Self::open_with(options, |endpoint| endpoint).await
    }

    /// As [`open`](Self::open), with an endpoint that is set up by `set_up` before its socket is mounted. With an adapter
    /// and a node's name it goes over several nodes, which share the database and the secret.
    ///
    /// # Errors
    ///
    /// As of [`open`](Self::open).
    pub async fn open_with(
        options: &Options,
        set_up: impl FnOnce(Endpoint<App>) -> Endpoint<App>,
    ) -> Result<Self, OpenError> {
        let tokens = Token::new(&options.secret).map_err(OpenError::Secret)?;
        let db = Db::open(&options.database)
            .await
            .map_err(OpenError::Database)?;
        let prefix = match options.prefix.trim_matches('/') {
            "" => String::new(),
            path => format!("/{path}"),
        };
        let sessions = Sessions::new(tokens, &prefix, options.https);
        let socket = SocketOptions::new()
            .longpoll(LongPoll::default())
            .session(sessions.clone())
            .frame_bytes_max(FRAME_BYTES_MAX)
            .events_per_second_max(EVENTS_PER_SECOND_MAX)
            .events_at_once_max(EVENTS_AT_ONCE_MAX);
        let mut endpoint = set_up(Endpoint::new(App { db })).secret(&options.secret);
        if let Some(host) = &options.host {
            endpoint = endpoint.host(host);
        }
        let endpoint = endpoint.socket_with::<Person>(&format!("{prefix}/socket"), socket);
        let router = web::routes(&prefix, endpoint.clone(), sessions).merge(endpoint.router());
        Ok(Self { endpoint, router })
    }

    /// All routes, the socket's among them.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// The sockets, to be drained before the server ends.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint<App> {
        &self.endpoint
    }

    /// Closes the database, when nobody is served any more.
    pub async fn close(&self) {
        self.endpoint.app().db.close().await;
    }
}

/// Why [`Discuss::open`] failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The secret is too short.
    Secret(SecretError),
    /// The database can't be reached, or its tables are of another version.
    Database(sqlx::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(error) => write!(f, "take the secret: {error}"),
            Self::Database(error) => write!(f, "open the database: {error}"),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Secret(error) => Some(error),
            Self::Database(error) => Some(error),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The database's address may hold a password.
        f.debug_struct("Options")
            .field("prefix", &self.prefix)
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

/// Milliseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |it: Duration| {
        i64::try_from(it.as_millis()).unwrap_or(i64::MAX)
    })
}
