//! How a client connects.

use std::{fmt, net::SocketAddr, time::Duration};

use axum::extract;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bennu_wire::{Encoding, Framing, Payload, Serializer};
use http::{HeaderName, HeaderValue, Request, StatusCode, header, request};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::watch;

use super::{
    Client, fail,
    link::{Link, STREAM_BYTES, ServerEnd},
};
use crate::{
    ConnectInfo, Endpoint, Error, Result, Socket, params::Params, transport::websocket::Why,
};

/// How long a client that isn't told otherwise says nothing.
const HEARTBEAT_INTERVAL_MAX: Duration = Duration::from_secs(30);
/// More often would be without a pause.
const HEARTBEAT_INTERVAL_MIN: Duration = Duration::from_millis(1);

/// A client that is about to connect, when [`connect`](super::connect) doesn't say enough.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/testing/doc.rs")); fn main() { run(async {
/// use bennu::testing::Connect;
/// use serde_json::json;
///
/// let endpoint = endpoint();
/// let client = Connect::new(&endpoint, "/socket")
///     .params(json!({"name": "ada"}))
///     .header("user-agent", "a test")
///     .v1()
///     .open()
///     .await?;
///
/// // Or only what the socket makes of it, to look at its fields and id. Phoenix's `connect/3`.
/// let ada = Connect::new(&endpoint, "/socket").params(json!({"name": "ada"})).socket::<User>().await?;
/// assert_eq!(ada.name, "ada");
/// # Ok(()) }) }
/// ```
#[must_use = "nothing happens before `open`"]
pub struct Connect<A> {
    endpoint: Endpoint<A>,
    path: String,
    websocket_path: String,
    params: String,
    serializer: Serializer,
    heartbeat_interval: Option<Duration>,
    auth_token: Option<String>,
    request: request::Builder,
}

impl<A: Send + Sync + 'static> Connect<A> {
    /// A client of the socket mounted at `path`. Where the mount's path has variables, put values in their place.
    pub fn new(endpoint: &Endpoint<A>, path: &str) -> Self {
        Self {
            endpoint: endpoint.clone(),
            path: path.trim_end_matches('/').to_owned(),
            websocket_path: "/websocket".to_owned(),
            params: String::new(),
            serializer: Serializer::V2,
            heartbeat_interval: None,
            auth_token: None,
            request: Request::builder(),
        }
    }

    /// The address's params: an object. They become a query string as a client makes it, so that numbers and
    /// booleans become text, objects `a[b]=1` and arrays `a[]=1`; members that are null are left out.
    ///
    /// # Panics
    ///
    /// When they fail to serialize, or are no object.
    #[track_caller]
    pub fn params(mut self, params: impl Serialize) -> Self {
        let params = Payload::new(&params)
            .ok()
            .and_then(|it| serde_json::from_str(it.as_json()?).ok());
        let Some(Value::Object(params)) = params else {
            fail("the params of a connection are an object");
        };
        self.params.clear();
        for (name, value) in &params {
            append(&mut self.params, &encoded(name), value);
        }
        self
    }

    /// A header of the request.
    ///
    /// # Panics
    ///
    /// When it is none.
    #[track_caller]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value))
        else {
            fail(&format!("no header: {name:?}: {value:?}"));
        };
        self.request = self.request.header(name, value);
        self
    }

    /// The token that the client hands over apart from the address: see
    /// [`SocketOptions::auth_token`](crate::SocketOptions::auth_token).
    pub fn auth_token(mut self, token: &str) -> Self {
        self.auth_token = Some(token.to_owned());
        self
    }

    /// The client's address: [`ConnectInfo::peer_addr`].
    pub fn peer_addr(mut self, addr: SocketAddr) -> Self {
        self.request = self.request.extension(extract::ConnectInfo(addr));
        self
    }

    /// Speaks serializer V1 in place of V2.
    pub fn v1(mut self) -> Self {
        self.serializer = Serializer::V1;
        self
    }

    /// How often the client shows that it's there while it has nothing to say: 30 seconds, as phoenix.js has it, or half
    /// of the shortest [`idle_timeout`](crate::SocketOptions::idle_timeout) that the endpoint's mounts have, if that is
    /// less. It does so by a frame that nobody answers (RFC 6455, section 5.5.3), so a test sees none of it. With an
    /// interval longer than the idle timeout it's a client whose heartbeats come too late.
    pub fn heartbeat_interval(mut self, interval: Duration) -> Self {
        self.heartbeat_interval = Some(interval);
        self
    }

    /// Says nothing of itself, as a client whose heartbeats don't come: the mount's
    /// [`idle_timeout`](crate::SocketOptions::idle_timeout) ends it.
    pub fn silent(self) -> Self {
        self.heartbeat_interval(Duration::MAX)
    }

    /// What [`SocketOptions::websocket_path`](crate::SocketOptions::websocket_path) is, if it isn't `/websocket`.
    pub fn websocket_path(mut self, path: &str) -> Self {
        self.websocket_path = format!("/{}", path.trim_start_matches('/'));
        self
    }

    /// Connects. To be called in a tokio runtime, where the connection's tasks run.
    ///
    /// # Errors
    ///
    /// The status with which the client was refused, and why. What [`Socket::connect`] said is there as text;
    /// [`socket`](Self::socket) returns it as it is.
    pub async fn open(self) -> Result<Client, ConnectError> {
        let endpoint = self.endpoint.clone();
        let serializer = self.serializer;
        let interval = self
            .heartbeat_interval
            .unwrap_or_else(|| HEARTBEAT_INTERVAL_MAX.min(endpoint.idle_timeout_min() / 2))
            .max(HEARTBEAT_INTERVAL_MIN);
        let request = self.into_request();
        let (near, far) = tokio::io::duplex(STREAM_BYTES);
        let (_gone, gone) = watch::channel(());
        let far = ServerEnd { stream: far, _gone };
        match endpoint.upgraded(request, far).await {
            Ok(()) => Ok(Client {
                link: Link::new(near, gone, serializer, interval).into(),
                pubsub: endpoint.pubsub().clone(),
            }),
            Err(response) => Err(ConnectError {
                status: response.status(),
                reason: response.extensions().get::<Why>().map(|it| it.0.clone()),
            }),
        }
    }

    /// Asks [`Socket::connect`] alone, with the params decoded as always, and returns the socket: for tests of its
    /// fields and its id.
    ///
    /// # Errors
    ///
    /// What `connect` said, or why the params don't decode.
    pub async fn socket<S: Socket<App = A>>(self) -> Result<S> {
        let (app, auth_token) = (self.endpoint.app().clone(), self.auth_token.clone());
        let encoding = Encoding {
            serializer: self.serializer,
            framing: Framing::WebSocket,
        };
        let (parts, ()) = self.into_request().into_parts();
        let params = Params::parse(parts.uri.query().unwrap_or_default()).unwrap_or_default();
        let params = params.decode().map_err(Error::from)?;
        S::connect(&app, params, &ConnectInfo::new(parts, encoding, auth_token)).await
    }

    #[track_caller]
    fn into_request(self) -> Request<()> {
        let vsn = match self.serializer {
            Serializer::V1 => "1.0.0",
            Serializer::V2 => "2.0.0",
        };
        let (path, websocket_path, params) = (self.path, self.websocket_path, self.params);
        let mut request = self
            .request
            .uri(format!("{path}{websocket_path}?vsn={vsn}{params}"));
        if let Some(token) = self.auth_token {
            let token = URL_SAFE_NO_PAD.encode(token);
            let offered = format!("phoenix, base64url.bearer.phx.{token}");
            request = request.header(header::SEC_WEBSOCKET_PROTOCOL, offered);
        }
        match request.body(()) {
            Ok(request) => request,
            Err(error) => fail(&format!("{path:?} is no path to connect to: {error}")),
        }
    }
}

/// Adds `&name=value` for a value, or for all that is in it.
fn append(query: &mut String, name: &str, value: &Value) {
    match value {
        Value::Null => {}
        Value::Bool(it) => *query += &format!("&{name}={it}"),
        Value::Number(it) => *query += &format!("&{name}={}", encoded(&it.to_string())),
        Value::String(it) => *query += &format!("&{name}={}", encoded(it)),
        Value::Array(items) => {
            for item in items {
                append(query, &format!("{name}[]"), item);
            }
        }
        Value::Object(members) => {
            for (member, value) in members {
                append(query, &format!("{name}[{}]", encoded(member)), value);
            }
        }
    }
}

/// Percent-encoded (RFC 3986 section 2.3 says what needn't be).
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(byte.into());
            }
            other => encoded += &format!("%{other:02X}"),
        }
        encoded
    })
}

impl<A> fmt::Debug for Connect<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("path", &self.path)
            .field("params", &self.params)
            .finish_non_exhaustive()
    }
}

/// The client wasn't let in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectError {
    /// As the client gets it: 403 when it's refused, 404 when nothing is mounted there.
    pub status: StatusCode,
    /// Why, which a client isn't told: a param that is missing, an origin, what [`Socket::connect`] said. The server's log
    /// says it too. Nothing where no socket was asked, as nothing is mounted there.
    pub reason: Option<String>,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the client was refused with status {}", self.status)?;
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConnectError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn params_become_a_query_string() {
        let check = |params: Value, expected: &str| {
            let connect = Connect::new(&Endpoint::new(()), "/socket/").params(params);
            assert_eq!(
                connect.into_request().uri().to_string(),
                format!("/socket/websocket?vsn=2.0.0{expected}")
            );
        };
        check(serde_json::json!({}), "");
        check(
            serde_json::json!({"a": 1, "b": null, "c": true}),
            "&a=1&c=true",
        );
        check(serde_json::json!({"a b": "ä&="}), "&a%20b=%C3%A4%26%3D");
        check(
            serde_json::json!({"a": {"b": {"c": "x"}}, "d": [1, "y"]}),
            "&a[b][c]=x&d[]=1&d[]=y",
        );
    }
}
