//! The opening handshake (RFC 6455 section 4.2).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version};

use crate::extension::Deflate;

/// What is appended to a client's key before it is hashed (RFC 6455 section 1.3).
const ACCEPT_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// How much of a wrong header is quoted back, in characters.
const QUOTED_CHARS_MAX: usize = 100;

/// Judges whether a request asks for a WebSocket, by the rules of RFC 6455 section 4.2.1.
///
/// It must be a GET of HTTP/1.1, with `upgrade` among the options of `connection`, `websocket` among those of `upgrade`,
/// one `sec-websocket-key` of 16 bytes in Base64, and `sec-websocket-version: 13`. `host`, `origin`, subprotocols and
/// extensions are for others to judge, [`Deflate::negotiate`] among them.
///
/// ```
/// use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
///
/// let mut headers = HeaderMap::new();
/// headers.insert(header::CONNECTION, HeaderValue::from_static("keep-alive, Upgrade"));
/// headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
/// headers.insert(header::SEC_WEBSOCKET_KEY, HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
/// headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
///
/// let response = bennu_websocket::handshake::upgrade(&Method::GET, Version::HTTP_11, &headers)?.response(None);
/// assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
/// assert_eq!(response.headers()[header::SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// # Ok::<(), bennu_websocket::HandshakeError>(())
/// ```
///
/// # Errors
///
/// The first rule that the request breaks, as a response: 426 where another `upgrade` or `sec-websocket-version` would
/// help, else 400.
pub fn upgrade(
    method: &Method,
    version: Version,
    headers: &HeaderMap,
) -> Result<Upgrade, HandshakeError> {
    let bad_request = |body| HandshakeError {
        status: StatusCode::BAD_REQUEST,
        body,
    };
    let upgrade_required = |body| HandshakeError {
        status: StatusCode::UPGRADE_REQUIRED,
        body,
    };

    if method != Method::GET {
        return Err(bad_request(String::new()));
    }
    if version != Version::HTTP_11 {
        return Err(bad_request(format!(
            "a WebSocket handshake is HTTP/1.1, got {version:?}"
        )));
    }
    if !has_token(headers, header::UPGRADE, "websocket") {
        let got = quoted(headers, header::UPGRADE);
        return Err(upgrade_required(format!(
            "'upgrade' header must contain 'websocket', got {got}"
        )));
    }
    if !has_token(headers, header::CONNECTION, "upgrade") {
        let got = quoted(headers, header::CONNECTION);
        return Err(bad_request(format!(
            "'connection' header must contain 'upgrade', got {got}"
        )));
    }
    if !matches!(only(headers, header::SEC_WEBSOCKET_VERSION), Some(b"13")) {
        let got = quoted(headers, header::SEC_WEBSOCKET_VERSION);
        return Err(upgrade_required(format!(
            "'sec-websocket-version' header must equal '13', got {got}"
        )));
    }
    if !headers.contains_key(header::SEC_WEBSOCKET_KEY) {
        return Err(bad_request(
            "'sec-websocket-key' header is absent".to_owned(),
        ));
    }
    match only(headers, header::SEC_WEBSOCKET_KEY) {
        Some(key) if is_key(key) => Ok(Upgrade {
            accept: accept(key),
        }),
        _ => {
            let got = quoted(headers, header::SEC_WEBSOCKET_KEY);
            Err(bad_request(format!(
                "'sec-websocket-key' header must be 16 bytes in Base64, got {got}"
            )))
        }
    }
}

/// A handshake that can be accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Upgrade {
    accept: [u8; 28],
}

impl Upgrade {
    /// The value of `sec-websocket-accept`: it shows the client that its key was understood.
    #[must_use]
    pub fn accept(&self) -> HeaderValue {
        // Base64 always is a header value, so that the empty one is never seen.
        HeaderValue::from_bytes(&self.accept).unwrap_or(HeaderValue::from_static(""))
    }

    /// The 101 to answer with. A subprotocol, if one was agreed on, is for the caller to add.
    #[must_use]
    pub fn response(&self, deflate: Option<Deflate>) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, self.accept());
        if let Some(deflate) = deflate {
            headers.insert(header::SEC_WEBSOCKET_EXTENSIONS, deflate.answer());
        }
        response
    }
}

/// A request that is no handshake, and what to answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HandshakeError {
    status: StatusCode,
    body: String,
}

impl HandshakeError {
    /// 400, or 426 where another `upgrade` or `sec-websocket-version` would help.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// What was expected and what was found. Empty for a method other than GET, as Phoenix has it.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.body
    }

    /// The response: the body as plain text, and with a 426 what to upgrade to (RFC 9110 section 15.5.22, RFC 6455 section 4.4).
    ///
    /// ```
    /// use http::{HeaderMap, Method, StatusCode, Version};
    ///
    /// let error = bennu_websocket::handshake::upgrade(&Method::GET, Version::HTTP_11, &HeaderMap::new()).unwrap_err();
    /// let response = error.response();
    /// assert_eq!(response.status(), StatusCode::UPGRADE_REQUIRED);
    /// assert_eq!(response.headers()["sec-websocket-version"], "13");
    /// assert_eq!(response.body(), "'upgrade' header must contain 'websocket', got []");
    /// ```
    #[must_use]
    pub fn response(self) -> Response<String> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        if self.status == StatusCode::UPGRADE_REQUIRED {
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(
                header::SEC_WEBSOCKET_VERSION,
                HeaderValue::from_static("13"),
            );
        }
        response
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status, self.body)
    }
}

impl std::error::Error for HandshakeError {}

/// Whether `token` is in the comma separated list that all lines of a header make.
fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// The value of a header that must have one line.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&[u8]> {
    let mut lines = headers.get_all(name).iter();
    let line = lines.next()?;
    if lines.next().is_some() {
        None
    } else {
        Some(line.as_bytes().trim_ascii())
    }
}

/// The lines of a header as a list of strings, at most [`QUOTED_CHARS_MAX`] characters of it.
fn quoted(headers: &HeaderMap, name: HeaderName) -> String {
    let lines: Vec<_> = headers
        .get_all(name)
        .iter()
        .map(|line| String::from_utf8_lossy(line.as_bytes()))
        .collect();
    let whole = format!("{lines:?}");
    match whole.char_indices().nth(QUOTED_CHARS_MAX) {
        Some((end, _)) => format!("{}...", whole.get(..end).unwrap_or_default()),
        None => whole,
    }
}

/// Whether this is Base64 of 16 bytes. What the last digit says beyond the 16th byte is nobody's concern.
fn is_key(key: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    match key.split_last_chunk() {
        Some((digits, b"==")) => digits.len() == 22 && digits.iter().all(is_digit),
        _ => false,
    }
}

/// Base64 of the SHA-1 of the key as it came and the suffix.
fn accept(key: &[u8]) -> [u8; 28] {
    let mut sha1 = sha1_smol::Sha1::new();
    sha1.update(key);
    sha1.update(ACCEPT_SUFFIX);
    let mut accept = [b'='; 28];
    // 20 bytes take 28 characters, so that this can't fail.
    let _ = STANDARD.encode_slice(sha1.digest().bytes(), &mut accept);
    accept
}
