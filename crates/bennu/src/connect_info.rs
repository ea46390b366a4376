//! What is known of a connection before it is let in.

use std::{any::Any, fmt, net::SocketAddr};

use axum::extract::{FromRequestParts, OriginalUri};
use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{self, HOST},
    request::Parts,
    uri::{Authority, Scheme},
};

use bennu_wire::{Encoding, Serializer};

use crate::{session::AnySession, telemetry::Transport};

/// The request that a client connects with. Phoenix's `connect_info`.
///
/// ```
/// use bennu::{ConnectInfo, Error, refuse};
///
/// /// Only pages of this application's, and no more than one language.
/// fn language(info: &ConnectInfo) -> Result<String, Error> {
///     let host = info.uri().host().ok_or_else(|| refuse("no host"))?;
///     let language = host.split('.').next().unwrap_or_default();
///     tracing::info!(peer = ?info.peer_addr(), program = info.user_agent(), "connects");
///     Ok(language.to_owned())
/// }
/// ```
pub struct ConnectInfo {
    parts: Parts,
    uri: Uri,
    encoding: Encoding,
    auth_token: Option<String>,
    session: Option<AnySession>,
}

impl ConnectInfo {
    pub(crate) fn new(parts: Parts, encoding: Encoding, auth_token: Option<String>) -> Self {
        Self {
            uri: full_uri(&parts),
            parts,
            encoding,
            auth_token,
            session: None,
        }
    }

    pub(crate) fn set_session(&mut self, session: AnySession) {
        self.session = Some(session);
    }

    /// The address as requested, wherever the socket's router is nested: scheme, host, port, path and query, as
    /// far as the request says. The scheme is `http`, unless the request names another: behind a proxy that speaks
    /// TLS, only the proxy knows.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.uri
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

    /// Headers whose names begin with `x-`, such as `x-forwarded-for`: whatever a client or a proxy adds of its
    /// own.
    pub fn x_headers(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.headers_named(|name| name.starts_with("x-"))
    }

    /// `traceparent` and `tracestate`, by which traces go on (W3C Trace Context).
    pub fn trace_context_headers(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.headers_named(|name| matches!(name, "traceparent" | "tracestate"))
    }

    /// Headers whose names begin with `sec-websocket-`. A token that was handed over as a subprotocol isn't among
    /// them any more.
    pub fn sec_websocket_headers(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.headers_named(|name| name.starts_with("sec-websocket-"))
    }

    fn headers_named(
        &self,
        wanted: impl Fn(&str) -> bool,
    ) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        let headers = self.parts.headers.iter();
        headers.filter(move |(name, _)| wanted(name.as_str()))
    }

    /// The client's program, as it names itself.
    #[must_use]
    pub fn user_agent(&self) -> Option<&str> {
        self.header(header::USER_AGENT.as_str())
    }

    /// The peer's address, where the router is served with [`serve`](crate::serve) or
    /// [`into_make_service_with_connect_info::<SocketAddr>`](axum::Router::into_make_service_with_connect_info).
    /// Behind a proxy that is the proxy's.
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        Self::peer_of(&self.parts)
    }

    pub(crate) fn peer_of(parts: &Parts) -> Option<SocketAddr> {
        let peer = parts
            .extensions
            .get::<axum::extract::ConnectInfo<SocketAddr>>()?;
        Some(peer.0)
    }

    /// The token a client handed over apart from the address, where the mount's
    /// [`auth_token`](crate::SocketOptions::auth_token) is on.
    #[must_use]
    pub fn auth_token(&self) -> Option<&str> {
        self.auth_token.as_deref()
    }

    /// What carries the client's messages. Phoenix's `socket.transport`.
    #[must_use]
    pub fn transport(&self) -> Transport {
        Transport::of(self.encoding.framing)
    }

    /// The version of the protocol that client and server agreed on: `1.0.0` or `2.0.0`. Phoenix's `socket.serializer`. A
    /// [raw socket](crate::RawSocket) has none.
    #[must_use]
    pub fn vsn(&self) -> &'static str {
        match self.encoding.serializer {
            Serializer::V1 => "1.0.0",
            Serializer::V2 => "2.0.0",
        }
    }

    /// The session that the mount's [source](crate::SocketOptions::session) found, if it's of that type. `None`
    /// unless the client proved by its `_csrf_token` that one of the application's pages connects.
    #[must_use]
    pub fn session<T: Any>(&self) -> Option<&T> {
        self.session.as_ref()?.downcast_ref()
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

/// What was asked for before routers took prefixes off, with the host.
fn full_uri(parts: &Parts) -> Uri {
    let original = parts.extensions.get::<OriginalUri>();
    let uri = original.map_or(&parts.uri, |it| &it.0);
    if uri.authority().is_some() {
        return uri.clone();
    }
    let mut full = uri.clone().into_parts();
    let host = parts.headers.get(HOST).map(HeaderValue::as_bytes);
    full.authority = host.and_then(|it| Authority::try_from(it).ok());
    full.scheme = full.authority.as_ref().map(|_| Scheme::HTTP);
    Uri::from_parts(full).unwrap_or_else(|_| uri.clone())
}

impl fmt::Debug for ConnectInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Headers and query carry secrets.
        f.debug_struct("ConnectInfo")
            .field("path", &self.parts.uri.path())
            .finish_non_exhaustive()
    }
}
