//! What changed here lately, for other nodes.

use std::{collections::VecDeque, sync::Arc};

use bennu_wire::Topic;

/// One change. The text of a meta isn't kept with it: a meta that is gone by the time others are told needs
/// none.
#[derive(Debug)]
pub(super) enum Change {
    /// A meta was added under a key.
    Added(Topic, Arc<str>),
    /// As well, and it replaced the one of that version.
    Replaced(Topic, Arc<str>, u64),
    /// The meta of that version went.
    Removed(u64),
}

/// The newest changes, without a gap: change number n made version n.
#[derive(Debug)]
pub(super) struct Log {
    changes: VecDeque<Change>,
    /// The version of the newest.
    version: u64,
    /// What the version was when the log was trimmed last.
    mark: u64,
    changes_max: usize,
}

impl Log {
    /// A log of what changes after `version`.
    pub(super) fn new(version: u64, changes_max: usize) -> Self {
        Self {
            changes: VecDeque::new(),
            version,
            mark: version,
            changes_max,
        }
    }

    pub(super) fn push(&mut self, change: Change) {
        self.changes.push_back(change);
        self.version += 1;
        if self.changes.len() > self.changes_max {
            self.changes.pop_front();
        }
    }

    /// What came after `version`, and the version each made. `None` when that isn't known any more.
    pub(super) fn since(&self, version: u64) -> Option<impl Iterator<Item = (u64, &Change)>> {
        let first = self.version - self.changes.len() as u64;
        let known = version.checked_sub(first)?;
        let known = usize::try_from(known).ok()?;
        (known <= self.changes.len()).then(|| (version + 1..).zip(self.changes.range(known..)))
    }

    /// Forgets what was there when it was trimmed before.
    pub(super) fn trim(&mut self) {
        let kept = usize::try_from(self.version - self.mark).unwrap_or(usize::MAX);
        let gone = self.changes.len().saturating_sub(kept);
        self.changes.drain(..gone);
        self.changes.shrink_to_fit();
        self.mark = self.version;
    }

    pub(super) fn len(&self) -> usize {
        self.changes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, Log};

    #[track_caller]
    fn check(log: &Log, since: u64, expected: Option<(u64, u64)>) {
        let versions = log.since(since).map(|it| {
            let versions: Vec<_> = it.map(|(version, _)| version).collect();
            (
                versions.first().copied().unwrap_or(0),
                versions.last().copied().unwrap_or(0),
            )
        });
        assert_eq!(versions, expected, "since {since}");
    }

    #[test]
    fn a_log_has_what_came_last_without_a_gap() {
        let mut log = Log::new(10, 100);
        check(&log, 10, Some((0, 0)));
        check(&log, 9, None);
        check(&log, 11, None);
        for gone in 0..5 {
            log.push(Change::Removed(gone));
        }
        check(&log, 10, Some((11, 15)));
        check(&log, 14, Some((15, 15)));
        check(&log, 15, Some((0, 0)));
        check(&log, 16, None);
        log.trim();
        check(&log, 10, Some((11, 15)));
        log.push(Change::Removed(5));
        log.trim();
        check(&log, 14, None);
        check(&log, 15, Some((16, 16)));
        log.trim();
        assert_eq!(log.len(), 0);
        check(&log, 16, Some((0, 0)));
    }

    #[test]
    fn a_log_has_an_end() {
        let mut log = Log::new(0, 3);
        for _ in 0..4 {
            log.push(Change::Removed(0));
        }
        assert_eq!(log.len(), 3);
        check(&log, 0, None);
        check(&log, 1, Some((2, 4)));
        let mut none = Log::new(7, 0);
        none.push(Change::Removed(0));
        check(&none, 7, None);
        check(&none, 8, Some((0, 0)));
    }
}
