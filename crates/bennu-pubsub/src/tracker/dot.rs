//! Names of metas inside a tracker.

use super::{
    PresenceRef,
    meta::{Stamp, VERSION_BITS},
};

/// Whose a meta is, and its version there: all that has to be stored of its ref.
///
/// Dots sort by whose they are and then by age. Whose number is whose differs from node to node, so what is shown
/// sorts by [`Stamps::order`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Dot(u64);

/// The number of a replica in a tracker. [`OWN`] is the tracker's own.
pub(super) type Origin = u16;

/// The origin of what is tracked here.
pub(super) const OWN: Origin = 0;

impl Dot {
    pub(super) fn new(origin: Origin, version: u64) -> Self {
        Self(u64::from(origin) << VERSION_BITS | version & ((1 << VERSION_BITS) - 1))
    }

    pub(super) fn own(version: u64) -> Self {
        Self::new(OWN, version)
    }

    pub(super) fn origin(self) -> Origin {
        (self.0 >> VERSION_BITS) as Origin
    }

    pub(super) fn version(self) -> u64 {
        self.0 & ((1 << VERSION_BITS) - 1)
    }
}

/// What makes the refs of each origin.
#[derive(Debug)]
pub(super) struct Stamps {
    own: Stamp,
    /// Of origins 1 and up. One that isn't in use any more stays until it's given to another replica.
    others: Vec<Stamp>,
}

impl Stamps {
    pub(super) fn new(own: Stamp) -> Self {
        Self {
            own,
            others: Vec::new(),
        }
    }

    pub(super) fn set(&mut self, origin: Origin, stamp: Stamp) {
        let Some(at) = usize::from(origin).checked_sub(1) else {
            return;
        };
        if self.others.len() <= at {
            self.others.resize(at + 1, stamp);
        }
        if let Some(it) = self.others.get_mut(at) {
            *it = stamp;
        }
    }

    pub(super) fn of(&self, dot: Dot) -> PresenceRef {
        self.maker(dot.origin()).stamp(dot.version())
    }

    /// Sorts metas of one key alike on all nodes: those of one replica stand together, oldest first.
    pub(super) fn order(&self, dot: Dot) -> (Stamp, u64) {
        (self.maker(dot.origin()), dot.version())
    }

    fn maker(&self, origin: Origin) -> Stamp {
        let other = usize::from(origin).checked_sub(1);
        let other = other.and_then(|at| self.others.get(at));
        other.copied().unwrap_or(self.own)
    }
}
