//! Where the server is: a URL, taken apart.

use std::net::{IpAddr, SocketAddr};

use http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::plan::fill;
use crate::error::{Failure, Result};

/// What a query leaves as it is: what `encodeURIComponent` leaves.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// A server's socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Target {
    /// As it was given, for people.
    pub(crate) url: String,
    pub(crate) tls: bool,
    /// Without brackets; what a certificate has to name.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// `host` and `port` as a request's `host` header has them.
    pub(crate) authority: String,
    /// The path of the WebSocket transport.
    path: String,
    /// The URL's own query, if any.
    query: Option<String>,
}

impl Target {
    /// Takes `ws`, `wss`, `http` and `https`; the path is a socket's mount, with or without `/websocket`.
    pub(crate) fn parse(url: &str) -> Result<Self> {
        let wrong = |why: &str| {
            Failure::usage(format!(
                "{url:?} is no URL of a socket: {why}; give one like ws://localhost:4000/socket"
            ))
        };
        let uri: Uri = url.parse().map_err(|_| wrong("it can't be parsed"))?;
        let (tls, default_port) = match uri.scheme_str() {
            Some("ws" | "http") => (false, 80),
            Some("wss" | "https") => (true, 443),
            _ => return Err(wrong("it must begin with ws, wss, http or https")),
        };
        let authority = uri.authority().ok_or_else(|| wrong("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("it has a user, which no WebSocket takes"));
        }
        let host = authority.host().trim_matches(['[', ']']);
        if host.is_empty() {
            return Err(wrong("it has no host"));
        }
        let mount = uri.path().trim_end_matches('/');
        let path = match mount.strip_suffix("/websocket") {
            Some(_) => mount.to_owned(),
            None => format!("{mount}/websocket"),
        };
        Ok(Self {
            url: url.to_owned(),
            tls,
            host: host.to_owned(),
            port: authority.port_u16().unwrap_or(default_port),
            authority: authority.as_str().to_owned(),
            path,
            query: uri.query().map(str::to_owned),
        })
    }

    /// The request's target for the `n`th connection: the URL's query, the params, and `vsn`.
    pub(crate) fn request_target(&self, params: &Map<String, Value>, vsn: &str, n: u64) -> String {
        let mut target = format!("{}?", self.path);
        if let Some(query) = &self.query {
            target.push_str(query);
            target.push('&');
        }
        for (name, value) in params {
            let value = match value {
                Value::String(text) => fill(text, n),
                other => other.to_string(),
            };
            target.extend(utf8_percent_encode(name, UNRESERVED));
            target.push('=');
            target.extend(utf8_percent_encode(&value, UNRESERVED));
            target.push('&');
        }
        target.push_str("vsn=");
        target.push_str(vsn);
        target
    }

    /// The address that all connections go to.
    pub(crate) async fn resolve(&self) -> Result<SocketAddr> {
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let addrs: Vec<_> = found
            .map_err(|error| {
                Failure::new(format!(
                    "failed to find {}: {error}; check the URL's host",
                    self.host
                ))
            })?
            .collect();
        // Servers of one's own often listen on IPv4 alone, also where `localhost` is an IPv6 address first.
        let v4 = addrs.iter().find(|it| it.is_ipv4());
        v4.or_else(|| addrs.first()).copied().ok_or_else(|| {
            Failure::new(format!(
                "{} has no address; check the URL's host",
                self.host
            ))
        })
    }
}

/// Whether this machine's kernel has all of 127.0.0.0/8 as addresses of its own.
pub(crate) fn has_many_loopbacks(addr: IpAddr) -> bool {
    cfg!(target_os = "linux") && matches!(addr, IpAddr::V4(it) if it.is_loopback())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let check = |url: &str, tls, host: &str, port, target: &str| {
            let it = Target::parse(url).unwrap();
            assert_eq!((it.tls, &*it.host, it.port), (tls, host, port));
            assert_eq!(it.request_target(&Map::new(), "2.0.0", 0), target);
        };
        let target = "/socket/websocket?vsn=2.0.0";
        check("ws://a:4000/socket", false, "a", 4000, target);
        check("http://a/socket/", false, "a", 80, target);
        check("wss://a/socket/websocket", true, "a", 443, target);
        check(
            "https://[::1]:4001",
            true,
            "::1",
            4001,
            "/websocket?vsn=2.0.0",
        );
        let query = "/s/websocket?x=1&vsn=2.0.0";
        check("ws://a/s?x=1", false, "a", 80, query);
    }

    #[test]
    fn params_are_encoded_and_numbered() {
        let it = Target::parse("ws://a/s").unwrap();
        let params = json!({"user_id": "bench {n}", "age": 3});
        let params = params.as_object().unwrap();
        assert_eq!(
            it.request_target(params, "1.0.0", 7),
            "/s/websocket?age=3&user_id=bench%207&vsn=1.0.0"
        );
    }

    #[test]
    fn what_is_no_url_is_refused_with_a_reason() {
        let check = |url: &str, why: &str| {
            let line = Target::parse(url).unwrap_err().to_string();
            assert!(line.contains(why), "{line}");
        };
        check("", "can't be parsed");
        check("localhost:4000", "must begin with");
        check("ftp://a/socket", "must begin with");
        check("/socket", "must begin with");
        check("ws://me@a/socket", "user");
        check("ws://a b/", "can't be parsed");
    }
}
