//! Nanoseconds on a clock that all processes of this machine read alike, so that one worker can tell when another
//! one sent what it receives.

use std::time::Duration;

/// Nanoseconds since a moment that is the same for all processes of this machine, until it is started again.
#[cfg(unix)]
pub(crate) fn now_ns() -> u64 {
    use nix::time::{ClockId, clock_gettime};
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |it| {
        let seconds = u64::try_from(it.tv_sec()).unwrap_or_default();
        seconds.saturating_mul(1_000_000_000) + u64::try_from(it.tv_nsec()).unwrap_or_default()
    })
}

/// Nanoseconds since 1970: good for as long as nobody sets the clock.
#[cfg(not(unix))]
pub(crate) fn now_ns() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, ns)
}

/// A duration's nanoseconds, at most 584 years.
pub(crate) fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// How long it is until a moment.
pub(crate) fn until(at_ns: u64) -> Duration {
    Duration::from_nanos(at_ns.saturating_sub(now_ns()))
}
