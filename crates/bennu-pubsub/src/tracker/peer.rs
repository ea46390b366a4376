//! What one node knows of another: how it is, and how much of its state is mirrored.

use std::{collections::HashSet, time::Instant};

use super::{
    dot::Origin,
    message::{Span, Want},
};

/// Versions that are remembered as gone while a shard's state comes in. Beyond, it's begun again.
const GONE_VERSIONS_MAX: usize = 65_536;

/// Another node.
#[derive(Debug)]
pub(super) struct Peer {
    /// The start number of the replica that is believed to be the node.
    pub(super) start: u64,
    /// Its number in this node's trackers.
    pub(super) origin: Origin,
    pub(super) status: Status,
    /// When it was heard last.
    pub(super) heard: Instant,
    /// When it was asked for something last and hasn't answered since.
    pub(super) asked: Option<Instant>,
    pub(super) shards: Vec<Progress>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Up,
    /// It hasn't been heard for a while: what it tracks is hidden.
    Down,
    /// It said goodbye, and nothing of it is kept.
    Left,
}

/// How much of a peer's shard is mirrored.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// All changes up to this version are known.
    pub(super) version: u64,
    /// There are changes up to this version.
    pub(super) target: u64,
    /// While the state is being sent, since too many changes were missed.
    sync: Option<Sync>,
    /// Whether what is mirrored is kept from clients.
    pub(super) hidden: bool,
}

#[derive(Debug)]
struct Sync {
    /// The version at which it began: all changes since are known up to [`Progress::version`].
    base: u64,
    /// What was there up to this version is known.
    cursor: u64,
    /// What went since it began. It may have been there still when what comes was sent.
    gone: HashSet<u64>,
}

/// What to do with a section that came.
#[derive(Debug)]
pub(super) enum Step<'a> {
    /// It's of no use.
    Ignore,
    /// Take in the changes after `have`; versions that went are to be put into `gone`.
    Delta {
        have: u64,
        gone: Option<&'a mut HashSet<u64>>,
    },
    /// Take in the range, without what is `gone`.
    Range {
        after: u64,
        upto: u64,
        gone: &'a HashSet<u64>,
    },
}

impl Progress {
    /// What is missing, if anything is known to be.
    pub(super) fn want(&self, shard: usize) -> Option<Want> {
        let cursor = self.sync.as_ref().map(|it| it.cursor);
        (cursor.is_some() || self.version < self.target).then_some(Want {
            shard: shard as u64,
            have: self.version,
            cursor,
        })
    }

    /// Decides what to do with a section, as if that had been done when this returns.
    ///
    /// Changes are taken in when they follow what is known. Ranges are taken in when they follow each other, in
    /// whatever order changes come between them: what a range has and a change took away is remembered.
    pub(super) fn step(&mut self, span: Span) -> Step<'_> {
        match span {
            Span::Delta { from, to } => {
                self.target = self.target.max(to);
                let have = self.version;
                if from > have || to <= have {
                    return Step::Ignore;
                }
                self.version = to;
                let full = |it: &Sync| it.gone.len() >= GONE_VERSIONS_MAX;
                if self.sync.as_ref().is_some_and(full) {
                    // Versions that nobody can have any more changes from: it is begun again.
                    self.sync = None;
                    self.version = 0;
                }
                let gone = self.sync.as_mut().map(|it| &mut it.gone);
                Step::Delta { have, gone }
            }
            Span::Range { after: 0, upto, at } if at > self.version => {
                self.target = self.target.max(at);
                self.version = at;
                let sync = self.sync.insert(Sync {
                    base: at,
                    cursor: upto,
                    gone: HashSet::new(),
                });
                Step::Range {
                    after: 0,
                    upto,
                    gone: &sync.gone,
                }
            }
            Span::Range { after, upto, at } => match &mut self.sync {
                Some(sync) if after == sync.cursor && upto > after && at >= sync.base => {
                    self.target = self.target.max(at);
                    sync.cursor = upto;
                    Step::Range {
                        after,
                        upto,
                        gone: &sync.gone,
                    }
                }
                _ => Step::Ignore,
            },
        }
    }

    /// After a section was taken in.
    pub(super) fn end(&mut self, span: Span) {
        if let Span::Range { upto, at, .. } = span
            && upto == at
        {
            self.sync = None;
        }
        self.hidden = false;
    }
}
