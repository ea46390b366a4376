//! The opening handshake, asked for (RFC 6455 section 4.1).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::handshake::accept;

/// The longest head of a response; what is longer is refused.
const HEAD_BYTES_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;

/// One handshake: what is asked, and what the answer must prove.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Handshake {
    key: [u8; 24],
}

/// A request can't be made of this: something in it would end a line, or isn't there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestError(String);

/// The server's answer isn't a WebSocket.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ResponseError {
    /// It was refused, or answered otherwise, with this status.
    Status(u16),
    /// It isn't what RFC 6455 section 4.1 asks for: why.
    Malformed(&'static str),
}

impl Handshake {
    /// A handshake with this nonce, which is to be random.
    #[must_use]
    pub fn new(nonce: [u8; 16]) -> Self {
        let mut key = [b'='; 24];
        // 16 bytes take 24 characters, so that this can't fail.
        let _ = STANDARD.encode_slice(nonce, &mut key);
        Self { key }
    }

    /// Appends the request to `out`: `host` as in a URL, `target` a path with its query, and further headers.
    ///
    /// # Errors
    /// When one of them has a control character or is empty, a target or name has a space, or a name has a colon.
    pub fn request(
        &self,
        host: &str,
        target: &str,
        headers: &[(&str, &str)],
        out: &mut Vec<u8>,
    ) -> Result<(), RequestError> {
        let words = [("host", host), ("target", target)].into_iter();
        for (what, word) in words.chain(headers.iter().map(|(name, _)| ("header", *name))) {
            let is_odd = |c: char| c.is_control() || c == ' ' || (c == ':' && what == "header");
            if word.is_empty() || word.contains(is_odd) {
                return Err(RequestError(format!("{what} {word:?} can't be sent")));
            }
        }
        if let Some((name, value)) = headers.iter().find(|it| it.1.contains(char::is_control)) {
            let why = format!("value {value:?} of header {name:?} can't be sent");
            return Err(RequestError(why));
        }
        for part in [
            "GET ",
            target,
            " HTTP/1.1\r\nhost: ",
            host,
            "\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: ",
        ] {
            out.extend_from_slice(part.as_bytes());
        }
        out.extend_from_slice(&self.key);
        out.extend_from_slice(b"\r\n");
        for (name, value) in headers {
            for part in [name, ": ", value, "\r\n"] {
                out.extend_from_slice(part.as_bytes());
            }
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// How many bytes of `input` are the response, or `None` if its head isn't all there.
    ///
    /// # Errors
    /// A status other than 101, a head that is none or has no end in 16 KiB, a response that isn't HTTP/1.1 or has no
    /// `Upgrade: websocket` or no `Connection: Upgrade`, an extension, which nobody offered, or one that doesn't prove that
    /// the server read the key.
    pub fn response(&self, input: &[u8]) -> Result<Option<usize>, ResponseError> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let parsed = response
            .parse(input)
            .map_err(|_| ResponseError::Malformed("no HTTP response"))?;
        let httparse::Status::Complete(len) = parsed else {
            if input.len() >= HEAD_BYTES_MAX {
                return Err(ResponseError::Malformed("a head of more than 16 KiB"));
            }
            return Ok(None);
        };
        match response.code {
            Some(101) => {}
            Some(status) => return Err(ResponseError::Status(status)),
            None => return Err(ResponseError::Malformed("no status")),
        }
        if response.version != Some(1) {
            return Err(ResponseError::Malformed("not HTTP/1.1"));
        }
        let has = |name: &str, value: &dyn Fn(&[u8]) -> bool| {
            let mut headers = response.headers.iter();
            headers.any(|it| it.name.eq_ignore_ascii_case(name) && value(it.value))
        };
        if !has("upgrade", &|it| it.eq_ignore_ascii_case(b"websocket")) {
            return Err(ResponseError::Malformed("no upgrade to websocket"));
        }
        let is_upgrade = |it: &[u8]| it.trim_ascii().eq_ignore_ascii_case(b"upgrade");
        if !has("connection", &|it| it.split(|b| *b == b',').any(is_upgrade)) {
            return Err(ResponseError::Malformed("a connection that isn't upgraded"));
        }
        if !has("sec-websocket-accept", &|it| it == accept(&self.key)) {
            return Err(ResponseError::Malformed("a wrong sec-websocket-accept"));
        }
        if has("sec-websocket-extensions", &|it| !it.is_empty()) {
            return Err(ResponseError::Malformed("an extension nobody offered"));
        }
        Ok(Some(len))
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RequestError {}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status {status}"),
            Self::Malformed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for ResponseError {}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

    use super::*;

    const RIGHT: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

    fn handshake() -> Handshake {
        Handshake::new(*b"the sample nonce")
    }

    #[test]
    fn a_server_takes_the_request_for_a_handshake() {
        let mut out = Vec::new();
        handshake()
            .request("a:1", "/socket?x=1", &[("x-one", "a b")], &mut out)
            .unwrap();
        let mut headers = [httparse::EMPTY_HEADER; 16];
        let mut request = httparse::Request::new(&mut headers);
        assert!(request.parse(&out).unwrap().is_complete());
        assert_eq!(request.path, Some("/socket?x=1"));
        let headers: HeaderMap = request
            .headers
            .iter()
            .map(|it| {
                let name = HeaderName::try_from(it.name).unwrap();
                (name, HeaderValue::from_bytes(it.value).unwrap())
            })
            .collect();
        assert_eq!(headers["host"], "a:1");
        assert_eq!(headers["x-one"], "a b");
        let upgrade = crate::handshake::upgrade(&Method::GET, Version::HTTP_11, &headers).unwrap();
        assert_eq!(upgrade.accept(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn nothing_breaks_out_of_the_request() {
        let check = |host: &str, target: &str, header: (&str, &str)| {
            let mut out = Vec::new();
            let made = handshake().request(host, target, &[header], &mut out);
            assert!(made.is_err(), "{host:?} {target:?} {header:?}");
            assert_eq!(out, b"");
        };
        check("", "/", ("a", "b"));
        check("a\r\nx: y", "/", ("a", "b"));
        check("a", "/ HTTP/1.1", ("a", "b"));
        check("a", "/\n", ("a", "b"));
        check("a", "/", ("a:", "b"));
        check("a", "/", ("", "b"));
        check("a", "/", ("a", "b\r\nx: y"));
    }

    #[test]
    fn a_response_is_judged_when_its_head_is_whole() {
        let check = |response: &str, expected| {
            assert_eq!(
                handshake().response(response.as_bytes()),
                expected,
                "{response:.200}"
            );
        };
        for at in 0..RIGHT.len() {
            check(&RIGHT[..at], Ok(None));
        }
        check(&format!("{RIGHT}\u{1}"), Ok(Some(RIGHT.len())));
        let status = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
        check(status, Err(ResponseError::Status(403)));
        let wrong = |from: &str, to: &str, why| {
            check(&RIGHT.replace(from, to), Err(ResponseError::Malformed(why)));
        };
        wrong("HTTP/1.1", "SPDY", "no HTTP response");
        wrong("HTTP/1.1", "HTTP/1.0", "not HTTP/1.1");
        wrong("s3pP", "S3pP", "a wrong sec-websocket-accept");
        wrong(": WebSocket", ": h2c", "no upgrade to websocket");
        wrong(
            "Connection: Upgrade",
            "Connection: keep-alive",
            "a connection that isn't upgraded",
        );
        wrong(
            "Connection: Upgrade\r\n",
            "",
            "a connection that isn't upgraded",
        );
        let listed = RIGHT.replace(": Upgrade\r", ": keep-alive, Upgrade\r");
        check(&listed, Ok(Some(listed.len())));
        wrong(
            "Connection:",
            "Sec-WebSocket-Extensions: permessage-deflate\r\nConnection:",
            "an extension nobody offered",
        );
        check(
            &format!("HTTP/1.1 101 OK\r\nx: {}", "y".repeat(20_000)),
            Err(ResponseError::Malformed("a head of more than 16 KiB")),
        );
    }
}
