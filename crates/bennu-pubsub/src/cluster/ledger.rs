//! When a node subscribes to a partition, and when it lets go of it: a value without tasks or clocks.

use std::time::Duration;

use tokio::time::Instant;

/// What the bus knows of each partition.
#[derive(Debug)]
pub(crate) struct Ledger {
    partitions: Vec<State>,
    linger: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not subscribed to.
    Idle,
    /// The bus was asked and hasn't confirmed yet.
    Registering,
    /// Subscribed to, and somebody is there.
    Held,
    /// Subscribed to, and nobody is there any more. It ends then, unless somebody comes.
    Lingering(Instant),
}

/// What is to be done for a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Nothing,
    Subscribe,
}

impl Ledger {
    pub(crate) fn new(partitions: u16, linger: Duration) -> Self {
        Self {
            partitions: vec![State::Idle; usize::from(partitions)],
            linger,
        }
    }

    /// Whether somebody is there has changed, or may have.
    pub(crate) fn touched(&mut self, partition: u16, wanted: bool, now: Instant) -> Step {
        let linger = self.linger;
        let Some(state) = self.partitions.get_mut(usize::from(partition)) else {
            return Step::Nothing;
        };
        match (*state, wanted) {
            (State::Idle, true) => {
                *state = State::Registering;
                return Step::Subscribe;
            }
            (State::Held, false) => *state = State::Lingering(now + linger),
            (State::Lingering(_), true) => *state = State::Held,
            (State::Idle | State::Lingering(_), false)
            | (State::Held, true)
            | (State::Registering, _) => {}
        }
        Step::Nothing
    }

    /// The bus confirmed a subscription, or will make it good by itself.
    pub(crate) fn registered(&mut self, partition: u16, wanted: bool, now: Instant) {
        if let Some(state) = self.partitions.get_mut(usize::from(partition)) {
            *state = State::Held;
        }
        let _ = self.touched(partition, wanted, now);
    }

    /// A partition whose time is over.
    pub(crate) fn expired(&self, now: Instant) -> Option<u16> {
        let over = |it: &State| matches!(it, State::Lingering(until) if *until <= now);
        let at = self.partitions.iter().position(over)?;
        u16::try_from(at).ok()
    }

    /// What became of a partition whose time was over.
    pub(crate) fn released(&mut self, partition: u16, kept: bool) {
        if let Some(state) = self.partitions.get_mut(usize::from(partition)) {
            *state = if kept { State::Held } else { State::Idle };
        }
    }

    /// When the next partition's time is over.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let until = |it: &State| match it {
            State::Lingering(until) => Some(*until),
            State::Idle | State::Registering | State::Held => None,
        };
        self.partitions.iter().filter_map(until).min()
    }

    /// How many partitions the bus is subscribed to, or asked for.
    #[cfg(test)]
    fn subscribed(&self) -> usize {
        let subscribed = |it: &&State| **it != State::Idle;
        self.partitions.iter().filter(subscribed).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINGER: Duration = Duration::from_secs(5);

    #[test]
    fn a_partition_is_let_go_some_time_after_its_last_subscriber() {
        let (mut ledger, now) = (Ledger::new(4, LINGER), Instant::now());
        assert_eq!(ledger.touched(1, true, now), Step::Subscribe);
        assert_eq!(ledger.touched(1, true, now), Step::Nothing);
        ledger.registered(1, true, now);
        assert_eq!(ledger.touched(1, false, now), Step::Nothing);
        assert_eq!(ledger.deadline(), Some(now + LINGER));
        assert_eq!(ledger.expired(now), None);
        // Somebody comes back, and goes again later.
        assert_eq!(ledger.touched(1, true, now), Step::Nothing);
        assert_eq!(ledger.deadline(), None);
        let later = now + LINGER;
        assert_eq!(ledger.touched(1, false, later), Step::Nothing);
        assert_eq!(ledger.touched(1, false, later + LINGER), Step::Nothing);
        assert_eq!(ledger.deadline(), Some(later + LINGER));
        assert_eq!(ledger.expired(later + LINGER), Some(1));
        ledger.released(1, false);
        assert_eq!((ledger.subscribed(), ledger.deadline()), (0, None));
    }

    #[test]
    fn who_leaves_while_the_bus_is_asked_starts_the_time_with_the_answer() {
        let (mut ledger, now) = (Ledger::new(4, LINGER), Instant::now());
        assert_eq!(ledger.touched(3, true, now), Step::Subscribe);
        assert_eq!(ledger.touched(3, false, now), Step::Nothing);
        let later = now + LINGER;
        ledger.registered(3, false, later);
        assert_eq!(ledger.deadline(), Some(later + LINGER));
    }

    #[test]
    fn who_comes_at_the_last_moment_keeps_the_partition() {
        let (mut ledger, now) = (Ledger::new(4, Duration::ZERO), Instant::now());
        let _ = ledger.touched(0, true, now);
        ledger.registered(0, false, now);
        assert_eq!(ledger.expired(now), Some(0));
        ledger.released(0, true);
        assert_eq!((ledger.subscribed(), ledger.expired(now)), (1, None));
    }

    #[test]
    fn partitions_that_are_none_do_nothing() {
        let (mut ledger, now) = (Ledger::new(4, LINGER), Instant::now());
        assert_eq!(ledger.touched(4, true, now), Step::Nothing);
        ledger.registered(9, true, now);
        ledger.released(9, true);
        assert_eq!(ledger.subscribed(), 0);
    }
}
