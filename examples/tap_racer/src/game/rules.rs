//! The rules.

use std::time::Duration;

/// The rules of a game, and its limits.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Taps to the finish: 100.
    pub goal_taps: u32,
    /// From the start of a race to its first tap: 3 seconds.
    pub countdown: Duration,
    /// The longest race: 60 seconds.
    pub race_max: Duration,
    /// How long the others have once the first is in: 10 seconds.
    pub after_first_max: Duration,
    /// How long a player whose connection is lost is waited for: 10 seconds.
    pub away_max: Duration,
    /// Taps of one player that count, in the long run: 20 a second. Those that are beyond don't count.
    pub taps_per_second_max: u32,
    /// Taps that count at once, after a pause: 20, so that a second of taps that the network held up isn't lost.
    pub taps_at_once_max: u32,
    /// Players that are let in: 500. Others are refused. The console is shown 1,000 at most, which is what one member of
    /// a presence tracks.
    pub players_max: usize,
    /// The time between two updates of the console's lanes: 50 milliseconds.
    pub progress_every: Duration,
    /// The time between two updates of the players' places: 250 milliseconds.
    pub order_every: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            goal_taps: 100,
            countdown: Duration::from_secs(3),
            race_max: Duration::from_secs(60),
            after_first_max: Duration::from_secs(10),
            away_max: Duration::from_secs(10),
            taps_per_second_max: 20,
            taps_at_once_max: 20,
            players_max: 500,
            progress_every: Duration::from_millis(50),
            order_every: Duration::from_millis(250),
        }
    }
}

impl Rules {
    /// The time that one tap takes at least.
    pub(super) fn tap(&self) -> Duration {
        Duration::from_secs(1) / self.taps_per_second_max.max(1)
    }
}
