//! How often something may happen, with the clock as an argument.

use std::time::Duration;

/// How often: so many a second in the long run, and so many at once.
///
/// ```
/// use std::time::Duration;
/// use bennu_wire::{Bucket, Rate};
///
/// let rate = Rate::new(2, 3);
/// let mut bucket = Bucket::default();
/// let now = Duration::from_secs(7);
/// assert_eq!([(); 4].map(|()| bucket.take(rate, now)), [true, true, true, false]);
///
/// let later = now + Duration::from_millis(500);
/// assert_eq!([(); 2].map(|()| bucket.take(rate, later)), [true, false]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Nanoseconds that it takes to earn a token.
    token_ns: u64,
    /// How far a bucket may be overdrawn.
    debt_ns_max: u64,
}

impl Rate {
    /// `per_second` in the long run, and `burst` at once. None of them is less than one.
    #[must_use]
    pub fn new(per_second: u32, burst: u32) -> Self {
        let token_ns = NS_PER_SECOND / u64::from(per_second.max(1));
        Self {
            token_ns,
            debt_ns_max: token_ns * u64::from(burst.max(1) - 1),
        }
    }
}

const NS_PER_SECOND: u64 = 1_000_000_000;

/// A bucket of tokens, full at first. It holds no more than one number: when all that was taken will have been earned
/// (the "theoretical arrival time" of ITU-T I.371).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    earned_at_ns: u64,
}

impl Bucket {
    /// Takes a token, if there is one. `now` is counted from any moment that stays the same; a clock that goes back does
    /// no harm.
    #[must_use = "without a token it may not happen"]
    pub fn take(&mut self, rate: Rate, now: Duration) -> bool {
        let now_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let earned_at_ns = self.earned_at_ns.max(now_ns);
        let may = earned_at_ns - now_ns <= rate.debt_ns_max;
        if may {
            self.earned_at_ns = earned_at_ns.saturating_add(rate.token_ns);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tries at these milliseconds; `expected` has a `+` for each that may, and a `-` for each that may not.
    #[track_caller]
    fn check(per_second: u32, burst: u32, at_ms: &[u64], expected: &str) {
        let rate = Rate::new(per_second, burst);
        let mut bucket = Bucket::default();
        let may: String = at_ms
            .iter()
            .map(|at| bucket.take(rate, Duration::from_millis(*at)))
            .map(|may| if may { '+' } else { '-' })
            .collect();
        assert_eq!(may, expected, "{per_second}/s, {burst} at once: {at_ms:?}");
    }

    #[test]
    fn so_many_at_once_and_then_one_each_time_a_token_is_earned() {
        check(
            10,
            3,
            &[0, 0, 0, 0, 99, 100, 100, 300, 300, 300],
            "+++--+-++-",
        );
        check(1, 1, &[0, 999, 1000, 1001, 2000], "+-+-+");
    }

    #[test]
    fn who_waits_long_has_a_full_bucket_and_no_more() {
        check(10, 2, &[0, 0, 1_000_000, 1_000_000, 1_000_000], "++++-");
        check(10, 2, &[1_000_000, 1_000_000, 1_000_000], "++-");
    }

    #[test]
    fn what_was_refused_costs_nothing() {
        check(1, 1, &[0, 100, 200, 300, 400, 1000], "+----+");
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing_away() {
        check(1, 1, &[5000, 0, 5999, 6000], "+--+");
    }

    #[test]
    fn extremes_are_as_good_as_any() {
        check(0, 0, &[0, 0, 1000], "+-+");
        check(u32::MAX, u32::MAX, &[0, 0, 0], "+++");
        let mut bucket = Bucket::default();
        assert!(bucket.take(Rate::new(1, 1), Duration::MAX));
        assert!(bucket.take(Rate::new(1, u32::MAX), Duration::MAX));
    }
}
