//! What a bus over NATS is told.

use std::time::Duration;

/// Limits and names of a [`NatsBus`](crate::NatsBus).
#[derive(Debug, Clone)]
pub struct NatsOptions {
    pub(crate) prefix: String,
    pub(crate) queue_messages_max: usize,
    pub(crate) queue_bytes_max: usize,
    pub(crate) subscription_messages_max: usize,
    pub(crate) backoff_max: Duration,
    pub(crate) answer_time_max: Duration,
}

impl NatsOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            prefix: "bennu".to_owned(),
            queue_messages_max: 65_536,
            queue_bytes_max: 32 << 20,
            subscription_messages_max: 16_384,
            backoff_max: Duration::from_millis(500),
            answer_time_max: Duration::from_secs(5),
        }
    }

    /// What the names of subjects begin with, `bennu` by default: 1 to 64 letters, digits, `-` and `_`. Clusters with
    /// different prefixes share a server without hearing each other.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How many messages may wait to be sent: 65,536 by default. More are lost, and counted.
    #[must_use]
    pub fn queue_messages_max(mut self, count: usize) -> Self {
        self.queue_messages_max = count.max(1);
        self
    }

    /// How many bytes may wait to be sent: 32 MiB by default. More are lost, and counted.
    #[must_use]
    pub fn queue_bytes_max(mut self, bytes: usize) -> Self {
        self.queue_bytes_max = bytes;
        self
    }

    /// How many messages of one partition may have come and wait to be delivered: 16,384 by default. More are lost, and
    /// counted.
    #[must_use]
    pub fn subscription_messages_max(mut self, count: usize) -> Self {
        self.subscription_messages_max = count.max(1);
        self
    }

    /// The longest pause between two attempts to connect: half a second by default. Pauses begin at 50 ms, double, and
    /// vary by half, so that nodes don't come back all at once.
    #[must_use]
    pub fn backoff_max(mut self, pause: Duration) -> Self {
        self.backoff_max = pause;
        self
    }

    /// How long the server may take to answer: 5 seconds by default. A connection over which nothing comes for so long, and no
    /// answer to a ping, counts as broken. A subscription that isn't confirmed is then taken as confirmed, with a line in the
    /// log: it may be that `_INBOX.>` isn't allowed, over which it's asked.
    #[must_use]
    pub fn answer_time_max(mut self, time: Duration) -> Self {
        self.answer_time_max = time;
        self
    }
}

impl Default for NatsOptions {
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
        let options = NatsOptions::new();
        let (messages, mib) = (options.queue_messages_max, options.queue_bytes_max >> 20);
        let is = format!("{},{:03}, {mib} MiB", messages / 1000, messages % 1000);
        assert_eq!(row.unwrap()[1], is);
    }
}
