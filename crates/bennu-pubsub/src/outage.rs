//! When to say that something fails, and goes on failing.

use std::time::{Duration, Instant};

/// Outages that follow each other faster are said to be there once in this time.
const BETWEEN: Duration = Duration::from_secs(5);
/// How often it's said that one goes on.
const AGAIN: Duration = Duration::from_secs(30);

/// Says which failures are worth a line in the log, where several may come each second: the first of an outage, then
/// one in 30 s; and the end of an outage that was told of. For those who write adapters.
///
/// ```
/// use std::time::{Duration, Instant};
/// use bennu_pubsub::Outage;
///
/// let mut outage = Outage::default();
/// let (began, second) = (Instant::now(), Duration::from_secs(1));
/// assert_eq!(outage.failed(began), Some(1), "it's said at once");
/// assert_eq!(outage.failed(began + second), None);
/// assert_eq!(outage.failed(began + 30 * second), Some(2), "two more since then");
/// assert_eq!(outage.over(began + 31 * second), Some(31 * second));
/// ```
#[derive(Debug, Default)]
pub struct Outage {
    /// When this one began.
    began: Option<Instant>,
    /// Whether this one was told of.
    is_told: bool,
    /// When one was told of last.
    told: Option<Instant>,
    /// Failures since then.
    failures: u64,
}

impl Outage {
    /// Something failed. If that's to be said, how often it did since it was said last, this time included.
    pub fn failed(&mut self, now: Instant) -> Option<u64> {
        self.began.get_or_insert(now);
        self.failures = self.failures.saturating_add(1);
        let pause = if self.is_told { AGAIN } else { BETWEEN };
        if self.told.is_some_and(|it| now < it + pause) {
            return None;
        }
        self.told = Some(now);
        self.is_told = true;
        Some(std::mem::take(&mut self.failures))
    }

    /// It works again. If that's to be said, how long it didn't.
    pub fn over(&mut self, now: Instant) -> Option<Duration> {
        let began = self.began.take()?;
        let is_told = std::mem::take(&mut self.is_told);
        is_told.then(|| now.saturating_duration_since(began))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of what happens: `3 fails` is a failure at second 3, `4 works` the end of failures.
    #[track_caller]
    fn check(script: &str) {
        let mut outage = Outage::default();
        let base = Instant::now();
        for line in script.lines().map(str::trim).filter(|it| !it.is_empty()) {
            let (event, expected) = line.split_once(" => ").unwrap();
            let (second, what) = event.split_once(' ').unwrap();
            let now = base + Duration::from_secs_f64(second.parse().unwrap());
            let said = match what {
                "fails" => outage.failed(now).map(|it| format!("{it} failed")),
                _ => outage.over(now).map(|it| format!("back after {it:?}")),
            };
            assert_eq!(said.as_deref().unwrap_or("nothing"), expected, "{line}");
        }
    }

    #[test]
    fn an_outage_is_told_of_at_once_then_now_and_then_and_when_it_is_over() {
        check(
            "
            0 works => nothing
            1 fails => 1 failed
            1.3 fails => nothing
            30.9 fails => nothing
            31 fails => 3 failed
            60 fails => nothing
            61 fails => 2 failed
            62 fails => nothing
            63 works => back after 62s
            64 works => nothing
            100 fails => 2 failed
            101 works => back after 1s
            ",
        );
    }

    #[test]
    fn what_comes_and_goes_is_told_of_each_five_seconds() {
        check(
            "
            0 fails => 1 failed
            1 works => back after 1s
            2 fails => nothing
            3 works => nothing
            4 fails => nothing
            5 fails => 3 failed
            6 works => back after 2s
            ",
        );
    }
}
