//! Where a socket is, and the query string that says who comes.

use http::{Uri, uri::PathAndQuery};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::{ConnectionError, Transport};

/// The mount of a socket: `wss://example.com/socket`, and what its transports make of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) secure: bool,
    /// As it is resolved: without the brackets of an IPv6 address.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// As the `Host` header has it.
    authority: String,
    /// Of the mount, without a slash at its end.
    path: String,
    /// The query string that the caller gave, if any.
    query: Option<String>,
}

impl Address {
    /// Reads `ws://`, `wss://`, `http://` and `https://`. The path may end in `/websocket` or `/longpoll`.
    pub(crate) fn parse(url: &str) -> Result<Self, ConnectionError> {
        let invalid =
            |why: &str| ConnectionError::Invalid(format!("{url:?} isn't a socket's URL: {why}"));
        let uri: Uri = url
            .parse()
            .map_err(|error: http::uri::InvalidUri| invalid(&error.to_string()))?;
        let secure = match uri.scheme_str() {
            Some("ws" | "http") => false,
            Some("wss" | "https") => true,
            Some(other) => return Err(invalid(&format!("its scheme is {other}"))),
            None => return Err(invalid("it has no scheme such as wss://")),
        };
        let authority = uri.authority().ok_or_else(|| invalid("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(invalid("it has a user name, which no socket asks for"));
        }
        let host = authority.host();
        let host = host
            .strip_prefix('[')
            .and_then(|it| it.strip_suffix(']'))
            .unwrap_or(host);
        if host.is_empty() {
            return Err(invalid("it has no host"));
        }
        // `http` takes a port that's no number of 16 bits for none.
        let port = match authority.as_str().strip_prefix(authority.host()) {
            None | Some("" | ":") if secure => 443,
            None | Some("" | ":") => 80,
            Some(port) => port
                .trim_start_matches(':')
                .parse()
                .map_err(|_| invalid("its port is invalid"))?,
        };
        let path = uri.path().trim_end_matches('/');
        let path = ["/websocket", "/longpoll"]
            .iter()
            .find_map(|it| path.strip_suffix(it))
            .unwrap_or(path);
        Ok(Self {
            secure,
            host: host.to_owned(),
            port,
            authority: authority.as_str().to_owned(),
            path: path.to_owned(),
            query: uri.query().map(str::to_owned),
        })
    }

    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// Path and query of a transport. `query` has the params.
    pub(crate) fn target(
        &self,
        transport: Transport,
        query: &str,
    ) -> Result<PathAndQuery, ConnectionError> {
        let transport = match transport {
            Transport::WebSocket => "websocket",
            Transport::LongPoll => "longpoll",
        };
        let given = self.query.as_deref().unwrap_or_default();
        let mut target = format!("{}/{transport}?", self.path);
        for part in [given, query] {
            if !part.is_empty() {
                target.push_str(part);
                target.push('&');
            }
        }
        target.push_str("vsn=2.0.0");
        target
            .parse()
            .map_err(|error| ConnectionError::Invalid(format!("the params make no URL: {error}")))
    }
}

/// What `encodeURIComponent` leaves as it is.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// An object as a query string, nested as Plug reads it: `a[b]=1&c[]=2`. What is null is left out.
pub(crate) fn query(params: &Value) -> Result<String, ConnectionError> {
    let Value::Object(members) = params else {
        return match params {
            Value::Null => Ok(String::new()),
            other => Err(ConnectionError::Invalid(format!(
                "the params of a socket are an object, not {other}"
            ))),
        };
    };
    let mut query = String::new();
    for (name, value) in members {
        write(name, value, &mut query);
    }
    Ok(query)
}

/// serde_json's values are at most 128 deep, so this is too.
fn write(name: &str, value: &Value, query: &mut String) {
    let text = match value {
        Value::Null => return,
        Value::Object(members) => {
            for (key, value) in members {
                write(&format!("{name}[{key}]"), value, query);
            }
            return;
        }
        Value::Array(items) => {
            for value in items {
                write(&format!("{name}[]"), value, query);
            }
            return;
        }
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    };
    if !query.is_empty() {
        query.push('&');
    }
    query.extend(utf8_percent_encode(name, COMPONENT));
    query.push('=');
    query.extend(utf8_percent_encode(&text, COMPONENT));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_url_is_where_a_socket_is() {
        #[track_caller]
        fn check(url: &str, secure: bool, host: &str, port: u16, target: &str) {
            let address = Address::parse(url).unwrap();
            let found = (address.secure, &*address.host, address.port);
            assert_eq!(found, (secure, host, port), "{url}");
            let target = format!("{target}vsn=2.0.0");
            let found = address.target(Transport::WebSocket, "a=1").unwrap();
            assert_eq!(found.as_str(), target, "{url}");
        }
        check("ws://h/socket", false, "h", 80, "/socket/websocket?a=1&");
        check("http://h:4000/s/", false, "h", 4000, "/s/websocket?a=1&");
        check("wss://h", true, "h", 443, "/websocket?a=1&");
        check(
            "https://h/a/b?x=%20",
            true,
            "h",
            443,
            "/a/b/websocket?x=%20&a=1&",
        );
        check("ws://h/s/websocket", false, "h", 80, "/s/websocket?a=1&");
        check("ws://h/s/longpoll", false, "h", 80, "/s/websocket?a=1&");
        check("ws://[::1]:9/s", false, "::1", 9, "/s/websocket?a=1&");
    }

    #[test]
    fn what_is_no_url_says_why() {
        for (url, why) in [
            ("", "empty"),
            ("/socket", "no scheme"),
            ("h", "no scheme"),
            ("ftp://h/s", "scheme is ftp"),
            ("ws://user@h/s", "user name"),
            ("ws:///s", "invalid format"),
            ("ws://h:99999/s", "invalid"),
            ("ws://a b/s", "invalid"),
        ] {
            let error = Address::parse(url).unwrap_err().to_string();
            assert!(error.contains(why), "{url:?}: {error}");
        }
    }

    #[test]
    fn params_are_nested_as_plug_reads_them() {
        for (params, expected) in [
            (json!({}), ""),
            (json!(null), ""),
            (json!({"a": 1, "b": true, "c": null}), "a=1&b=true"),
            (json!({"n": "é & ="}), "n=%C3%A9%20%26%20%3D"),
            (json!({"a": {"b": {"c": "x"}}}), "a%5Bb%5D%5Bc%5D=x"),
            (json!({"a": [1, "2"]}), "a%5B%5D=1&a%5B%5D=2"),
        ] {
            assert_eq!(query(&params).unwrap(), expected, "{params}");
        }
        assert!(query(&json!([1])).is_err());
        assert!(query(&json!("a=b")).is_err());
    }
}
