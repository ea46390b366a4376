//! What became of requests that were passed on, and of those of other nodes, counted.

use crate::telemetry::{Counter, Tally};

/// Counts of one node. Of what was relayed, each request has been answered, has failed, or is under way.
#[derive(Debug)]
pub(super) struct Counts {
    /// Requests of clients here that were for other nodes.
    pub(super) relayed: Counter,
    pub(super) answered: Counter,
    /// By [`Failed`].
    pub(super) failed: Tally,
    /// Requests of other nodes' clients.
    pub(super) served: Counter,
    /// Those that were too many.
    pub(super) refused: Counter,
}

/// Why a request that was for another node wasn't answered by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failed {
    /// This node has passed on as many as it may.
    Full,
    /// The other node serves as many as it may.
    Busy,
    /// It has no such session.
    Gone,
    /// It said nothing.
    Silent,
    /// It has accepted the request, and then said nothing more in time.
    Late,
    /// Parts of the answer were lost, or it was none.
    Broken,
    /// The answer is longer than is taken.
    TooBig,
    /// There was no memory left for the answer.
    NoRoom,
    /// The client went away before it had the answer.
    HungUp,
}

const FAILED: &[&str] = &[
    "full", "busy", "gone", "silent", "late", "broken", "too big", "no room", "hung up",
];

impl Counts {
    pub(super) fn new() -> Self {
        Self {
            relayed: Counter::default(),
            answered: Counter::default(),
            failed: Tally::new(FAILED),
            served: Counter::default(),
            refused: Counter::default(),
        }
    }

    pub(super) fn fail(&self, why: Failed) {
        self.failed.add_at(why as usize);
    }
}

/// All that a node's relay counts, at one moment.
#[derive(Debug, Clone)]
pub(crate) struct RelayStats {
    pub(crate) relayed: u64,
    pub(crate) answered: u64,
    pub(crate) failed: Vec<(&'static str, u64)>,
    pub(crate) relaying: usize,
    pub(crate) served: u64,
    pub(crate) refused: u64,
    pub(crate) serving: usize,
    pub(crate) bytes: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_a_label() {
        let counts = Counts::new();
        counts.fail(Failed::Full);
        counts.fail(Failed::HungUp);
        let counted = counts.failed.iter().filter(|(_, count)| *count > 0);
        assert_eq!(counted.collect::<Vec<_>>(), [("full", 1), ("hung up", 1)]);
    }
}
