//! What a mount's clients have sent and nobody has handled yet, all together: messages whose end hasn't come, and those that
//! wait for a join to be decided or for a busy channel.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// What each may hold beside the others: so that those who send little are heard whoever sends much.
const FREE_BYTES: usize = 64 * 1024;

/// How much memory it may take together, beyond what each may have.
#[derive(Debug)]
pub(crate) struct Unhandled {
    bytes_max: usize,
    bytes: AtomicUsize,
}

impl Unhandled {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            bytes: AtomicUsize::new(0),
        }
    }

    /// Who held `before` bytes holds `after` now. False when that is more than there is room for: then it has to let go of them,
    /// and say so.
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

/// What one holds of it, given back when it is gone.
#[derive(Debug)]
pub(super) struct Share {
    of: Arc<Unhandled>,
    bytes: usize,
}

impl Share {
    pub(super) fn new(of: Arc<Unhandled>) -> Self {
        Self { of, bytes: 0 }
    }

    /// Holds so many bytes from now on. False as with [`Unhandled::change`].
    pub(super) fn hold(&mut self, bytes: usize) -> bool {
        self.of
            .change(std::mem::replace(&mut self.bytes, bytes), bytes)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.hold(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let unhandled = Arc::new(Unhandled::new(100));
        let held = |bytes: usize| FREE_BYTES + bytes;
        assert!(unhandled.change(0, FREE_BYTES));
        assert!(unhandled.change(0, held(60)));
        assert!(unhandled.change(held(60), held(70)));
        assert!(!unhandled.change(FREE_BYTES, held(31)));
        assert!(unhandled.change(held(31), 0));
        assert!(unhandled.change(0, held(30)));
        assert!(unhandled.change(held(70), 0));
        let mut share = Share::new(unhandled.clone());
        assert!(share.hold(held(70)));
        assert!(!unhandled.change(0, held(1)));
        drop(share);
        assert!(unhandled.change(0, held(69)));
    }
}
