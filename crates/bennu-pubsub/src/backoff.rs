//! How long to wait before the next attempt.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

const FIRST: Duration = Duration::from_millis(50);

/// Pauses between attempts to connect: from 50 ms they double up to a limit, and each is a random part of itself, of half
/// at least, so that nodes don't come back all at once. For those who write adapters.
#[derive(Debug)]
pub struct Backoff {
    attempts: u32,
    max: Duration,
    random: RandomState,
}

impl Backoff {
    /// No pause is longer than `max`.
    #[must_use]
    pub fn new(max: Duration) -> Self {
        Self {
            attempts: 0,
            max,
            random: RandomState::new(),
        }
    }

    /// An attempt succeeded.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }

    /// How long to wait before the next attempt.
    pub fn pause(&mut self) -> Duration {
        let attempts = self.attempts;
        self.attempts = attempts.saturating_add(1);
        self.pause_after(attempts)
    }

    /// How long to wait when so many attempts failed in a row.
    #[must_use]
    pub fn pause_after(&self, attempts: u32) -> Duration {
        let whole = FIRST.saturating_mul(1 << attempts.min(16)).min(self.max);
        let part = self.random.hash_one(attempts) as u16;
        whole / 2 + whole.mul_f64(f64::from(part) / f64::from(u16::MAX) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_limit_and_begin_anew() {
        let max = Duration::from_secs(1);
        let mut backoff = Backoff::new(max);
        for whole in [50, 100, 200, 400, 800, 1000, 1000] {
            let (pause, whole) = (backoff.pause(), Duration::from_millis(whole));
            assert!(
                pause >= whole / 2 && pause <= whole,
                "{pause:?} of {whole:?}"
            );
        }
        for _ in 0..100 {
            assert!(backoff.pause() <= max);
        }
        backoff.reset();
        assert!(backoff.pause() <= FIRST);
    }

    #[test]
    fn two_nodes_wait_differently() {
        let pauses = || {
            let mut backoff = Backoff::new(Duration::from_secs(1));
            (0..8).map(|_| backoff.pause()).collect::<Vec<_>>()
        };
        assert_ne!(pauses(), pauses());
    }
}
