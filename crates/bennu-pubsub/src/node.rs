//! One topic's subscribers and the order of its broadcasts.
//!
//! The lock around the subscribers is what gives a topic its one order: a broadcast is delivered to everyone under
//! it. Holding it for a million deliveries would stop everyone who joins or broadcasts meanwhile, so the
//! subscribers stand in [ranges](crate::range) of at most [`RANGE`]. Past [`RANGES_AT_ONCE`] a broadcast goes into a
//! backlog, each range knows how much of that it has heard, and a task serves a range at a time, letting go of the
//! lock and yielding in between. The broadcaster's own range is brought up to date at once: what it broadcasts
//! stands in its own outbox before whatever it sends next.

use std::{collections::VecDeque, sync::Arc};

use bennu_wire::Broadcast;

use crate::{
    Subscriber,
    range::{RANGE, Range},
};

/// Broadcasts that may wait for ranges to be served. The broadcaster that exceeds it serves the oldest itself.
const BACKLOG_MESSAGES_MAX: usize = 16;
/// A topic of no more ranges than this delivers to all of them under one hold of its lock.
const RANGES_AT_ONCE: usize = if cfg!(shuttle) { 1 } else { 8 };

/// A slot's number is its range's number times [`RANGE`], and its place in there.
#[derive(Default)]
pub(crate) struct Subscribers {
    first: Range,
    /// Only while there are, or were not long ago, more than one range holds.
    rest: Option<Box<Rest>>,
}

#[derive(Default)]
struct Rest {
    ranges: Vec<Range>,
    /// Numbers of ranges that have room, each at most once.
    roomy: Vec<usize>,
    /// What some range hasn't heard yet, oldest first.
    backlog: VecDeque<Arc<Broadcast>>,
    /// All ranges before this one have heard the oldest.
    served: usize,
    /// Deliveries since it began.
    delivered: usize,
}

/// How far a broadcast has come when [`Subscribers::broadcast`] returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Everyone has heard it: so many.
    Delivered(usize),
    /// Somebody has to call [`Subscribers::step`] until it says that all is done.
    Begun,
    /// Somebody does already.
    Queued,
}

/// Where a broadcast comes from.
#[derive(Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) slot: u32,
    /// Whether the broadcaster hears it too.
    pub(crate) echo: bool,
}

impl Subscribers {
    pub(crate) fn insert(&mut self, subscriber: Arc<dyn Subscriber>, key: u64) -> u32 {
        let number = self.range_with_room();
        // What was broadcast before this subscriber came isn't for it.
        self.catch_up(number, None);
        let Some(range) = self.range(number) else {
            return u32::MAX;
        };
        let place = range.insert(subscriber, key);
        let full = range.is_full();
        if full
            && number > 0
            && let Some(rest) = &mut self.rest
        {
            // It's where `range_with_room` found it.
            rest.roomy.pop();
        }
        (number * RANGE + place) as u32
    }

    /// Frees a slot. The subscriber is handed back so that it isn't dropped under the lock.
    pub(crate) fn remove(&mut self, slot: u32) -> Option<Arc<dyn Subscriber>> {
        let (number, place) = (slot as usize / RANGE, slot as usize % RANGE);
        let range = self.range(number)?;
        let was_full = range.is_full();
        let subscriber = range.remove(place);
        if was_full
            && number > 0
            && let Some(rest) = &mut self.rest
        {
            rest.roomy.push(number);
        }
        self.shrink();
        subscriber
    }

    /// Delivers to everyone, or, where there are many, to the origin's range, and puts the rest into the
    /// backlog.
    pub(crate) fn broadcast(
        &mut self,
        broadcast: &Arc<Broadcast>,
        origin: Option<Origin>,
    ) -> Progress {
        let skipped = origin.filter(|it| !it.echo).map(|it| it.slot as usize);
        let Some(rest) = &mut self.rest else {
            let delivered = self.first.deliver(std::slice::from_ref(broadcast), skipped);
            return Progress::Delivered(delivered);
        };
        let idle = rest.backlog.is_empty();
        if idle && rest.ranges.len() < RANGES_AT_ONCE {
            let ranges = std::iter::once(&self.first).chain(&rest.ranges);
            let delivered = ranges.zip((0..).step_by(RANGE)).map(|(range, first)| {
                let skipped = skipped.and_then(|it| it.checked_sub(first));
                range.deliver(std::slice::from_ref(broadcast), skipped)
            });
            return Progress::Delivered(delivered.sum());
        }
        rest.backlog.push_back(broadcast.clone());
        let over = rest.backlog.len().saturating_sub(BACKLOG_MESSAGES_MAX);
        if let Some(origin) = origin {
            self.catch_up(origin.slot as usize / RANGE, Some(origin));
        }
        for _ in 0..over {
            while !self.serve_oldest() {}
        }
        if idle {
            Progress::Begun
        } else {
            Progress::Queued
        }
    }

    /// Serves one range with the backlog. When nothing is left to do it says how many deliveries that took.
    pub(crate) fn step(&mut self) -> Option<usize> {
        self.serve_oldest();
        let delivered = match &mut self.rest {
            Some(rest) if !rest.backlog.is_empty() => return None,
            Some(rest) => std::mem::take(&mut rest.delivered),
            None => 0,
        };
        self.shrink();
        Some(delivered)
    }

    /// Serves one range with all that waits, or, when none needs the oldest any more, takes that off the backlog; then true.
    /// The lock is held for no more than [`BACKLOG_MESSAGES_MAX`] and one broadcasts to [`RANGE`] subscribers meanwhile.
    fn serve_oldest(&mut self) -> bool {
        let Some(rest) = &mut self.rest else {
            return true;
        };
        if rest.backlog.is_empty() {
            return true;
        }
        let ranges = std::iter::once(&mut self.first).chain(&mut rest.ranges);
        let mut unserved = ranges.enumerate().skip(rest.served);
        if let Some((number, range)) = unserved.find(|(_, it)| it.heard == 0) {
            rest.served = number + 1;
            range.heard = rest.backlog.len();
            rest.delivered += range.deliver(rest.backlog.make_contiguous(), None);
            return false;
        }
        rest.backlog.pop_front();
        rest.served = 0;
        for range in std::iter::once(&mut self.first).chain(&mut rest.ranges) {
            range.heard -= 1;
        }
        true
    }

    /// Delivers to one range what it hasn't heard. `origin` belongs to the newest broadcast.
    fn catch_up(&mut self, number: usize, origin: Option<Origin>) {
        let Some(rest) = &mut self.rest else { return };
        let range = match number.checked_sub(1) {
            None => &mut self.first,
            Some(at) => match rest.ranges.get_mut(at) {
                Some(range) => range,
                None => return,
            },
        };
        let newest = rest.backlog.len();
        let from = std::mem::replace(&mut range.heard, newest);
        let skipped = origin
            .filter(|it| !it.echo)
            .map(|it| it.slot as usize % RANGE);
        let unheard = rest.backlog.make_contiguous().get(from..);
        if let Some((last, before)) = unheard.and_then(|it| it.split_last()) {
            rest.delivered += range.deliver(before, None);
            rest.delivered += range.deliver(std::slice::from_ref(last), skipped);
        }
    }

    fn range(&mut self, number: usize) -> Option<&mut Range> {
        match number.checked_sub(1) {
            None => Some(&mut self.first),
            Some(at) => self.rest.as_mut()?.ranges.get_mut(at),
        }
    }

    /// The number of a range that has room; it's made where there is none.
    fn range_with_room(&mut self) -> usize {
        if !self.first.is_full() {
            return 0;
        }
        let rest = self.rest.get_or_insert_default();
        if let Some(number) = rest.roomy.last() {
            return *number;
        }
        rest.ranges.push(Range::new(rest.backlog.len()));
        rest.roomy.push(rest.ranges.len());
        rest.ranges.len()
    }

    /// Gives the empty ranges at the end back.
    fn shrink(&mut self) {
        let Some(rest) = &mut self.rest else { return };
        let kept = rest
            .ranges
            .iter()
            .rposition(|it| !it.is_empty())
            .map_or(0, |last| last + 1);
        if kept < rest.ranges.len() {
            rest.ranges.truncate(kept);
            rest.roomy.retain(|it| *it <= kept);
        }
        if rest.ranges.is_empty() && rest.backlog.is_empty() {
            self.first.heard = 0;
            self.rest = None;
        }
    }
}
