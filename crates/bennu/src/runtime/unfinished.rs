//! What a mount's connections hold of messages whose end hasn't come yet, all together.

use std::sync::atomic::{AtomicUsize, Ordering};

/// What each connection may hold beside the others: so that those who send little are heard whoever sends much.
const FREE_BYTES: usize = 64 * 1024;

/// How much memory unfinished messages may take together, beyond what each may have.
#[derive(Debug)]
pub(crate) struct Unfinished {
    bytes_max: usize,
    bytes: AtomicUsize,
}

impl Unfinished {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            bytes: AtomicUsize::new(0),
        }
    }

    /// A connection that held `before` bytes holds `after` now. False when that is more than there is room for: then it has to
    /// let go of them, and say so.
    pub(crate) fn change(&self, before: usize, after: usize) -> bool {
        let beyond = |it: usize| it.saturating_sub(FREE_BYTES);
        let (before, after) = (beyond(before), beyond(after));
        let Some(more) = after.checked_sub(before) else {
            self.bytes.fetch_sub(before - after, Ordering::Relaxed);
            return true;
        };
        more == 0 || self.bytes.fetch_add(more, Ordering::Relaxed) + more <= self.bytes_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let unfinished = Unfinished::new(100);
        let held = |bytes: usize| FREE_BYTES + bytes;
        assert!(unfinished.change(0, FREE_BYTES));
        assert!(unfinished.change(0, held(60)));
        assert!(unfinished.change(held(60), held(70)));
        assert!(!unfinished.change(FREE_BYTES, held(31)));
        assert!(unfinished.change(held(31), 0));
        assert!(unfinished.change(0, held(30)));
        assert!(unfinished.change(held(70), 0));
        assert!(unfinished.change(held(30), held(100)));
        assert!(!unfinished.change(0, held(1)));
    }
}
