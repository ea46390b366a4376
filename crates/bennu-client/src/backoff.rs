//! How long to wait before the next try.

use std::time::Duration;

use fastrand::Rng;

/// Waits that grow, each with jitter, so that clients which lost the same server don't come back together.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    /// One wait a try; the last one from then on.
    steps: Vec<Duration>,
    tries: usize,
}

impl Backoff {
    pub(crate) fn new(steps: &[Duration]) -> Self {
        Self {
            steps: steps.to_vec(),
            tries: 0,
        }
    }

    /// The wait before the next try: between half of its step and one and a half of it.
    pub(crate) fn next(&mut self, random: &mut Rng) -> Duration {
        let last = self.last();
        let step = self.steps.get(self.tries).copied().unwrap_or(last);
        self.tries = self.tries.saturating_add(1);
        step.mul_f64(0.5 + random.f64())
    }

    /// The longest wait, without its jitter.
    pub(crate) fn last(&self) -> Duration {
        self.steps.last().copied().unwrap_or_default()
    }

    /// Starts from the beginning.
    pub(crate) fn reset(&mut self) {
        self.tries = 0;
    }
}

/// The hint of a server that drains: its close reason ends in `retry_ms=N`. It may name a minute at most.
pub(crate) fn retry_hint(reason: &str) -> Option<Duration> {
    const RETRY_MS_MAX: u64 = 60_000;
    let (_, number) = reason.rsplit_once("retry_ms=")?;
    let digits = number.split(|it: char| !it.is_ascii_digit()).next()?;
    let retry_ms: u64 = digits.parse().ok()?;
    Some(Duration::from_millis(retry_ms.min(RETRY_MS_MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_follow_the_steps_within_their_jitter() {
        let steps: Vec<_> = [10, 100, 5000].map(Duration::from_millis).into();
        let mut random = Rng::with_seed(7);
        let mut backoff = Backoff::new(&steps);
        for round in 0..100 {
            for step in [10, 100, 5000, 5000, 5000] {
                let wait = backoff.next(&mut random);
                let range = Duration::from_millis(step / 2)..=Duration::from_millis(step * 3 / 2);
                assert!(range.contains(&wait), "{round}: {wait:?} for {step}");
            }
            backoff.reset();
        }
        assert_eq!(Backoff::new(&[]).next(&mut random), Duration::ZERO);
    }

    #[test]
    fn a_hint_is_read_from_the_reason_of_a_close() {
        for (reason, expected) in [
            ("draining retry_ms=250", Some(250)),
            ("retry_ms=0", Some(0)),
            ("draining retry_ms=7, bye", Some(7)),
            ("retry_ms=99999999", Some(60_000)),
            ("retry_ms=99999999999999999999999", None),
            ("retry_ms=", None),
            ("retry_ms=-1", None),
            ("draining", None),
            ("", None),
        ] {
            let expected = expected.map(Duration::from_millis);
            assert_eq!(retry_hint(reason), expected, "{reason:?}");
        }
    }
}
