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
    /// The node said last that it's at an older version than this one believes to know of. That may be on its way from
    /// before; if it isn't, somebody else has spoken in the node's name, and the node is asked.
    pub(super) doubt: bool,
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
    /// What is to be asked for, if anything is.
    pub(super) fn want(&self, shard: usize) -> Option<Want> {
        (self.is_behind() || self.doubt).then_some(Want {
            shard: shard as u64,
            have: self.version,
            cursor: self.sync.as_ref().map(|it| it.cursor),
        })
    }

    /// Whether something is known to be missing.
    pub(super) fn is_behind(&self) -> bool {
        self.sync.is_some() || self.version < self.target
    }

    /// A heartbeat says which version there is.
    pub(super) fn hear(&mut self, version: u64) {
        self.target = self.target.max(version);
        self.doubt = version < self.version;
    }

    /// The node was asked for what comes after `asked`, and says that it's at `version`, which isn't more. What was
    /// believed beyond it wasn't said by the node. True when all that is known above `version` is to be dropped; the
    /// rest is asked for again.
    pub(super) fn correct(&mut self, asked: u64, version: u64) -> bool {
        if asked != self.version || version > asked {
            return false;
        }
        self.target = version;
        self.doubt = false;
        if version == asked {
            return false;
        }
        self.version = version;
        // What changes from now on is known, and all that is there by now isn't.
        self.sync = (version > 0).then(|| Sync {
            base: version,
            cursor: 0,
            gone: HashSet::new(),
        });
        true
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

#[cfg(test)]
mod tests {
    use super::{Progress, Span, Step};

    /// What becomes of sections, one after the other: `d 1-3` is a delta, `r 0-5@9` a range as of 9, `d 1-3 x2` a
    /// delta in which version 2 went, `n 9-3` the answer that there's nothing after 9 but the node is at 3, and `h 3` a
    /// heartbeat. Behind `=>` stands what is taken in, and then what is wanted.
    #[track_caller]
    fn check(script: &str) {
        let mut progress = Progress::default();
        for line in script.lines().map(str::trim).filter(|it| !it.is_empty()) {
            let (section, expected) = line.split_once(" => ").unwrap();
            let mut words = section.split([' ', '-', '@']);
            let kind = words.next().unwrap();
            let mut numbers = words.filter_map(|it| it.parse().ok());
            let mut number = || numbers.next().unwrap();
            if kind == "h" || kind == "n" {
                let found = if kind == "h" {
                    progress.hear(number());
                    "heard"
                } else if progress.correct(number(), number()) {
                    "dropped"
                } else {
                    "kept"
                };
                assert_eq!(format!("{found}{}", wanted(&progress)), expected, "{line}");
                continue;
            }
            let span = if kind == "d" {
                Span::Delta {
                    from: number(),
                    to: number(),
                }
            } else {
                Span::Range {
                    after: number(),
                    upto: number(),
                    at: number(),
                }
            };
            let went = section.split_once(" x");
            let went = went.map(|(_, it)| it.parse::<u64>().unwrap());
            let (taken, found) = match progress.step(span) {
                Step::Ignore => (false, "nothing".to_owned()),
                Step::Delta { have, gone } => {
                    let syncing = gone.map(|it| it.extend(went)).is_some();
                    (
                        true,
                        format!("after {have}{}", if syncing { "+" } else { "" }),
                    )
                }
                Step::Range { after, upto, gone } => {
                    let mut gone: Vec<_> = gone.iter().collect();
                    gone.sort();
                    (true, format!("{after}-{upto} without {gone:?}"))
                }
            };
            if taken {
                progress.end(span);
            }
            assert_eq!(format!("{found}{}", wanted(&progress)), expected, "{line}");
        }
    }

    fn wanted(progress: &Progress) -> String {
        let want = progress.want(0).map(|it| match it.cursor {
            Some(cursor) => format!(", wants {}:{cursor}", it.have),
            None => format!(", wants {}", it.have),
        });
        want.unwrap_or_default()
    }

    #[test]
    fn what_a_node_never_said_is_taken_back_when_it_contradicts() {
        check(
            "
            d 0-3 => after 0
            h 900 => heard, wants 3
            n 3-3 => kept
            d 3-900 => after 3
            h 4 => heard, wants 900
            n 5-4 => kept, wants 900
            n 900-901 => kept, wants 900
            n 900-4 => dropped, wants 4:0
            d 4-5 x2 => after 4+, wants 5:0
            r 0-5@5 => 0-5 without [2]
            h 5 => heard
            r 0-4@800 => 0-4 without [], wants 800:4
            n 800-0 => dropped
            d 0-1 => after 0
            ",
        );
    }

    #[test]
    fn changes_are_taken_in_where_they_follow() {
        check(
            "
            d 0-3 => after 0
            d 0-3 => nothing
            d 1-3 => nothing
            d 5-6 => nothing, wants 3
            d 2-5 => after 3, wants 5
            d 5-6 => after 5
            ",
        );
    }

    #[test]
    fn ranges_are_taken_in_where_they_follow_and_without_what_went_meanwhile() {
        check(
            "
            d 7-9 => nothing, wants 0
            r 4-6@9 => nothing, wants 0
            r 0-4@9 => 0-4 without [], wants 9:4
            r 0-4@9 => nothing, wants 9:4
            r 6-8@9 => nothing, wants 9:4
            d 9-12 x6 => after 9+, wants 12:4
            r 4-6@10 => 4-6 without [6], wants 12:6
            r 4-6@10 => nothing, wants 12:6
            r 6-15@15 => 6-15 without [6], wants 12
            r 6-15@15 => nothing, wants 12
            d 12-15 => after 12
            ",
        );
    }

    #[test]
    fn a_state_that_is_begun_anew_takes_in_nothing_older() {
        check(
            "
            r 0-4@9 => 0-4 without [], wants 9:4
            d 9-10 x2 => after 9+, wants 10:4
            d 14-20 => nothing, wants 10:4
            r 0-4@20 => 0-4 without [], wants 20:4
            r 4-6@19 => nothing, wants 20:4
            r 4-6@20 => 4-6 without [], wants 20:6
            r 0-4@20 => nothing, wants 20:6
            r 6-20@20 => 6-20 without []
            r 0-4@20 => nothing
            ",
        );
    }
}
