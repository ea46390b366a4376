//! What is known of a connection before it is let in.

use std::{fmt, net::SocketAddr};

use axum::extract::FromRequestParts;
use http::{HeaderMap, Uri, header, request::Parts};

/// The request that a client connects with. Phoenix's `connect_info`.
pub struct ConnectInfo {
    parts: Parts,
    auth_token: Option<String>,
}

impl ConnectInfo {
    pub(crate) fn new(parts: Parts, auth_token: Option<String>) -> Self {
        Self { parts, auth_token }
    }

    /// The address as requested, with its query.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.parts.uri
    }

    /// All headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// The first header of that name, if it's text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok()
    }

    /// The client's program, as it names itself.
    #[must_use]
    pub fn user_agent(&self) -> Option<&str> {
        self.header(header::USER_AGENT.as_str())
    }

    /// The peer's address, where the router is served with
    /// [`into_make_service_with_connect_info::<SocketAddr>`](axum::Router::into_make_service_with_connect_info).
    /// Behind a proxy that is the proxy's.
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.parts
            .extensions
            .get::<axum::extract::ConnectInfo<SocketAddr>>()
            .map(|it| it.0)
    }

    /// The token a client handed over apart from the address, where the mount's
    /// [`auth_token`](crate::SocketOptions::auth_token) is on.
    #[must_use]
    pub fn auth_token(&self) -> Option<&str> {
        self.auth_token.as_deref()
    }

    /// Whatever one of axum's extractors finds: cookies, typed headers, extensions set by a middleware.
    ///
    /// # Errors
    ///
    /// The extractor's rejection.
    pub async fn extract<T: FromRequestParts<()>>(&self) -> Result<T, T::Rejection> {
        T::from_request_parts(&mut self.parts.clone(), &()).await
    }
}

impl fmt::Debug for ConnectInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Headers and query carry secrets.
        f.debug_struct("ConnectInfo")
            .field("path", &self.parts.uri.path())
            .finish_non_exhaustive()
    }
}
