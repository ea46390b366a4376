//! Why a connection is closed.

use std::borrow::Cow;

use super::TOO_MANY_EVENTS;

/// Why a connection is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Close {
    pub(crate) code: u16,
    pub(crate) reason: Cow<'static, str>,
    /// It answers the peer's close.
    pub(crate) by_peer: bool,
}

impl Close {
    /// The answer to the peer's own close.
    pub(crate) fn reply(code: u16) -> Self {
        Self {
            code,
            reason: Cow::Borrowed(""),
            by_peer: true,
        }
    }

    /// For a connection whose client is gone: nobody is told any more.
    pub(crate) fn lost() -> Self {
        Self::new(1006, "lost")
    }

    pub(crate) fn new(code: u16, reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            reason: reason.into(),
            by_peer: false,
        }
    }

    /// The reason as one of a few labels (see `Counters`), whatever the client did.
    pub(crate) fn why(&self) -> &str {
        match (self.code, &self.reason) {
            _ if self.by_peer => "client",
            (1002, _) => "protocol error",
            (1003 | 1007, _) => "invalid data",
            (1009, _) => "too big",
            (1012, Cow::Borrowed("too many joins")) => "policy",
            (1012, reason) if reason.starts_with("draining") => "draining",
            (1008, Cow::Borrowed(reason))
                if ![TOO_MANY_EVENTS, "too many messages queued"].contains(reason) =>
            {
                "policy"
            }
            (_, reason) => reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::TOO_MANY_UNHANDLED, *};

    #[test]
    fn every_close_has_one_of_a_few_labels() {
        assert_eq!(Close::reply(1000).why(), "client");
        assert_eq!(Close::lost().why(), "lost");
        for (code, reason, why) in [
            (1001, "idle", "idle"),
            (1002, "a frame of a reserved kind", "protocol error"),
            (1008, "too many messages queued", "too many messages queued"),
            (1008, "too many empty fragments", "policy"),
            (1012, "too many joins", "policy"),
            (1008, TOO_MANY_EVENTS, "too many events"),
            (1013, TOO_MANY_UNHANDLED, "too many unhandled messages"),
        ] {
            assert_eq!(Close::new(code, reason).why(), why);
        }
        let draining = Close::new(1012, "draining retry_ms=7".to_owned());
        assert_eq!(draining.why(), "draining");
    }
}
