//! What a bus over Redis is told.

use std::time::Duration;

use redis::{ConnectionInfo, RedisError};

/// Limits and names of a [`RedisBus`](crate::RedisBus).
#[derive(Debug, Clone)]
pub struct RedisOptions {
    pub(crate) prefix: String,
    pub(crate) queue_messages_max: usize,
    pub(crate) queue_bytes_max: usize,
    pub(crate) backoff_max: Duration,
    pub(crate) answer_time_max: Duration,
    #[cfg(feature = "tls")]
    root_certificates: Option<Vec<u8>>,
}

impl RedisOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            prefix: "bennu".to_owned(),
            queue_messages_max: 65_536,
            queue_bytes_max: 32 << 20,
            backoff_max: Duration::from_millis(500),
            answer_time_max: Duration::from_secs(5),
            #[cfg(feature = "tls")]
            root_certificates: None,
        }
    }

    /// What the names of channels begin with, `bennu` by default: 1 to 64 letters, digits, `-` and `_`. Clusters with
    /// different prefixes share a server without hearing each other.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How many messages may wait for one server: 65,536 by default. More are lost, and counted.
    #[must_use]
    pub fn queue_messages_max(mut self, count: usize) -> Self {
        self.queue_messages_max = count.max(1);
        self
    }

    /// How many bytes may wait for one server: 32 MiB by default. More are lost, and counted.
    #[must_use]
    pub fn queue_bytes_max(mut self, bytes: usize) -> Self {
        self.queue_bytes_max = bytes;
        self
    }

    /// The longest pause between two attempts to connect: half a second by default. Pauses begin at 50 ms, double, and
    /// vary by half, so that nodes don't come back all at once.
    #[must_use]
    pub fn backoff_max(mut self, pause: Duration) -> Self {
        self.backoff_max = pause;
        self
    }

    /// How long a server may take to answer, and how often one that is silent is asked whether it's there: 5
    /// seconds by default. Then the connection counts as broken.
    #[must_use]
    pub fn answer_time_max(mut self, time: Duration) -> Self {
        self.answer_time_max = time;
        self
    }

    /// The certificates that a server's has to be signed by, as PEM: for `rediss://`, in place of those that the operating
    /// system trusts. Needs the feature `tls`.
    ///
    /// ```
    /// use bennu_redis::{RedisBus, RedisOptions};
    ///
    /// // What is no certificate is found out here, not when it connects.
    /// let options = RedisOptions::new().root_certificates("-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----");
    /// assert!(RedisBus::servers(["rediss://:secret@10.0.0.5:6379"], options).is_err());
    /// ```
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root_certificates = Some(pem.into());
        self
    }

    /// `info`, and whom to trust, where it's about TLS.
    #[cfg(feature = "tls")]
    pub(crate) fn trusting(&self, info: ConnectionInfo) -> Result<ConnectionInfo, RedisError> {
        use redis::{Client, ConnectionAddr, TlsCertificates};
        use rustls::crypto::{CryptoProvider, ring};
        if !matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
            return Ok(info);
        }
        if CryptoProvider::get_default().is_none() {
            // Where another crate brings another one along, rustls would ask which it shall be, by a panic. Somebody who
            // chose one meanwhile has the say.
            let _ = ring::default_provider().install_default();
        }
        let Some(pem) = &self.root_certificates else {
            return Ok(info);
        };
        let certificates = TlsCertificates {
            client_tls: None,
            root_cert: Some(pem.clone()),
        };
        let client = Client::build_with_tls(info, certificates)?;
        Ok(client.get_connection_info().clone())
    }

    #[cfg(not(feature = "tls"))]
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "with the feature it is used, and may fail"
    )]
    pub(crate) fn trusting(&self, info: ConnectionInfo) -> Result<ConnectionInfo, RedisError> {
        Ok(info)
    }
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_limits_names_the_defaults() {
        let page = include_str!("../../../docs/limits.md");
        let mut rows = page.lines().map(|it| it.split(" | ").collect::<Vec<_>>());
        let row = rows.find(|it| it[0].starts_with("| messages that wait for a broker"));
        let options = RedisOptions::new();
        let (messages, mib) = (options.queue_messages_max, options.queue_bytes_max >> 20);
        let is = format!("{},{:03}, {mib} MiB", messages / 1000, messages % 1000);
        assert_eq!(row.unwrap()[1], is);
    }
}
