//! What is due when.

use std::{collections::BTreeSet, time::Instant};

use super::ChannelId;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The attempt to connect takes too long, or the wait before the next one is over.
    Connect,
    /// It's time for a heartbeat.
    Heartbeat,
    /// The transport hasn't shown that it works.
    Proof,
    /// The channel's join takes too long, or it's time for the next one.
    Channel(ChannelId),
    /// A request takes too long.
    Request(u64),
}

/// All timers in the order they're due; those that aren't needed any more are removed, so none is kept for nothing.
#[derive(Debug, Default)]
pub(super) struct Timers(BTreeSet<(Instant, Timer)>);

impl Timers {
    pub(super) fn first(&self) -> Option<Instant> {
        self.0.first().map(|(due, _)| *due)
    }

    /// Takes the first one, if it's due.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Timer> {
        if self.first()? > now {
            return None;
        }
        self.0.pop_first().map(|(_, timer)| timer)
    }

    pub(super) fn add(&mut self, due: Instant, timer: Timer) {
        self.0.insert((due, timer));
    }

    pub(super) fn remove(&mut self, due: Instant, timer: Timer) {
        self.0.remove(&(due, timer));
    }

    /// Removes those of the connection: there are three at most.
    pub(super) fn remove_links(&mut self) {
        self.0.retain(|(_, timer)| {
            !matches!(timer, Timer::Connect | Timer::Heartbeat | Timer::Proof)
        });
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
