//! Why a connection is closed.

use std::borrow::Cow;

/// Why a connection is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Close {
    pub(crate) code: u16,
    pub(crate) reason: Cow<'static, str>,
}

impl Close {
    pub(crate) const fn new(code: u16, reason: &'static str) -> Self {
        Self {
            code,
            reason: Cow::Borrowed(reason),
        }
    }
}

impl Close {
    /// The reason as one of a few labels (see `Counters`), whatever the client did.
    pub(crate) fn why(&self) -> &str {
        match (self.code, &self.reason) {
            // What a dropped connection is closed with: its client was gone.
            (1001, Cow::Borrowed("closed")) => "lost",
            // The client's own close is answered without a reason.
            (_, Cow::Borrowed("")) => "client",
            (1002, _) => "protocol error",
            (1003 | 1007, _) => "invalid data",
            (1009, _) => "too big",
            (1012, reason) if reason.starts_with("draining") => "draining",
            (1008, Cow::Borrowed(reason)) if *reason != "too many messages queued" => "policy",
            (_, reason) => reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_close_has_one_of_a_few_labels() {
        for (code, reason, why) in [
            (1000, "", "client"),
            (1001, "closed", "lost"),
            (1001, "idle", "idle"),
            (1002, "a frame of a reserved kind", "protocol error"),
            (1008, "too many messages queued", "too many messages queued"),
            (1008, "too many empty fragments", "policy"),
        ] {
            assert_eq!(Close::new(code, reason).why(), why);
        }
        let draining = Close {
            code: 1012,
            reason: "draining retry_ms=7".to_owned().into(),
        };
        assert_eq!(draining.why(), "draining");
    }
}
