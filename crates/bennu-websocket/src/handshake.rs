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
    let empty = |length: &HeaderValue| length == "0";
    if headers.contains_key(header::TRANSFER_ENCODING)
        || !headers.get_all(header::CONTENT_LENGTH).iter().all(empty)
    {
        // What follows the head are frames; a proxy that takes them for a body would see something else.
        return Err(bad_request("a WebSocket handshake has no body".to_owned()));
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
pub(crate) fn accept(key: &[u8]) -> [u8; 28] {
    let mut sha1 = sha1_smol::Sha1::new();
    sha1.update(key);
    sha1.update(ACCEPT_SUFFIX);
    let mut accept = [b'='; 28];
    // 20 bytes take 28 characters, so that this can't fail.
    let _ = STANDARD.encode_slice(sha1.digest().bytes(), &mut accept);
    accept
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const RIGHT: [(&str, &str); 4] = [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-key", KEY),
        ("sec-websocket-version", "13"),
    ];

    /// The right headers, with those of one name replaced by these.
    fn with(name: &str, values: &[&str]) -> HeaderMap {
        let rest = RIGHT.into_iter().filter(|(other, _)| *other != name);
        let mut headers = HeaderMap::new();
        for (name, value) in rest.chain(values.iter().map(|value| (name, *value))) {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append(HeaderName::try_from(name).unwrap(), value);
        }
        headers
    }

    #[test]
    fn these_headers_are_a_handshake() {
        let check = |name, values: &[&str]| {
            let result = upgrade(&Method::GET, Version::HTTP_11, &with(name, values));
            assert!(result.is_ok(), "{name}: {values:?}: {result:?}");
        };
        check("x-other", &["1"]);
        check("connection", &["keep-alive, Upgrade"]);
        check("connection", &["keep-alive", "x,\tUPGRADE ,y"]);
        check("upgrade", &["WebSocket"]);
        check("upgrade", &["h2c, websocket"]);
        check("sec-websocket-key", &["AAAAAAAAAAAAAAAAAAAAAA=="]);
        check("sec-websocket-key", &["+/////////////////////=="]);
    }

    /// With these values the header of that name is refused: what it must be, and what was got.
    fn refuses(name: &str, values: &[&str], status: u16, must: &str) {
        let error = upgrade(&Method::GET, Version::HTTP_11, &with(name, values)).unwrap_err();
        let body = format!("'{name}' header {must}, got {values:?}");
        assert_eq!((error.status().as_u16(), error.body()), (status, &*body));
    }

    #[test]
    fn these_are_none_and_the_body_says_why() {
        refuses("connection", &[], 400, "must contain 'upgrade'");
        refuses("connection", &["close", "x"], 400, "must contain 'upgrade'");
        refuses(
            "connection",
            &["not-upgrade"],
            400,
            "must contain 'upgrade'",
        );
        refuses("upgrade", &[], 426, "must contain 'websocket'");
        refuses("upgrade", &["h2c"], 426, "must contain 'websocket'");
        refuses("sec-websocket-version", &[], 426, "must equal '13'");
        refuses("sec-websocket-version", &["12"], 426, "must equal '13'");
        refuses(
            "sec-websocket-version",
            &["13", "13"],
            426,
            "must equal '13'",
        );
    }

    #[test]
    fn a_handshake_has_no_body() {
        let check =
            |name, values: &[&str]| upgrade(&Method::GET, Version::HTTP_11, &with(name, values));
        assert!(check("content-length", &["0"]).is_ok());
        for (name, values) in [
            ("content-length", &["5"][..]),
            ("content-length", &["0", "5"]),
            ("content-length", &["junk"]),
            ("transfer-encoding", &["chunked"]),
        ] {
            let error = check(name, values).unwrap_err();
            assert_eq!(
                (error.status().as_u16(), error.body()),
                (400, "a WebSocket handshake has no body")
            );
        }
    }

    #[test]
    fn a_key_is_sixteen_bytes_in_base64() {
        let error = upgrade(
            &Method::GET,
            Version::HTTP_11,
            &with("sec-websocket-key", &[]),
        );
        assert_eq!(
            error.unwrap_err().body(),
            "'sec-websocket-key' header is absent"
        );
        for key in [
            "",
            "short",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZQ=x",
            "dGhlIHNhbXBsZSBub25j-Q==",
            "dGhlIHNhbXBsZSBub25jZWVlZQ==",
        ] {
            refuses(
                "sec-websocket-key",
                &[key],
                400,
                "must be 16 bytes in Base64",
            );
        }
        refuses(
            "sec-websocket-key",
            &[KEY, KEY],
            400,
            "must be 16 bytes in Base64",
        );
    }

    #[test]
    fn what_is_quoted_back_is_escaped_and_short() {
        let value = format!("\u{e9}\"{}", "x".repeat(5000));
        let error =
            upgrade(&Method::GET, Version::HTTP_11, &with("upgrade", &[&value])).unwrap_err();
        assert!(error.body().len() < 200, "{error}");
        assert!(error.body().contains("got [\"é\\\"xxx"), "{error}");
    }

    #[test]
    fn other_methods_and_versions_are_refused() {
        let check = |method, version, body: &str| {
            let error = upgrade(&method, version, &with("x", &[])).unwrap_err();
            assert_eq!((error.status().as_u16(), error.body()), (400, body));
        };
        check(Method::POST, Version::HTTP_11, "");
        check(Method::CONNECT, Version::HTTP_2, "");
        check(
            Method::GET,
            Version::HTTP_10,
            "a WebSocket handshake is HTTP/1.1, got HTTP/1.0",
        );
        check(
            Method::GET,
            Version::HTTP_2,
            "a WebSocket handshake is HTTP/1.1, got HTTP/2.0",
        );
    }

    #[test]
    fn the_response_has_what_the_client_looks_for() {
        let upgrade = upgrade(&Method::GET, Version::HTTP_11, &with("x", &[])).unwrap();
        let check = |deflate, extensions: Option<&str>| {
            let response = upgrade.response(deflate);
            let header = |name| {
                response
                    .headers()
                    .get(name)
                    .map(|value| value.to_str().unwrap())
            };
            assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
            assert_eq!(header("upgrade"), Some("websocket"));
            assert_eq!(header("connection"), Some("Upgrade"));
            assert_eq!(
                header("sec-websocket-accept"),
                Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
            );
            assert_eq!(header("sec-websocket-extensions"), extensions);
        };
        check(None, None);
        let deflate =
            Deflate::negotiate(&with("sec-websocket-extensions", &["permessage-deflate"]));
        check(
            deflate,
            Some("permessage-deflate; server_no_context_takeover; client_no_context_takeover"),
        );
    }
}
