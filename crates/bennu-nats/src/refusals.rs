//! Which of a server's refusals are worth a line in the log.

use std::{
    hash::{BuildHasher, RandomState},
    time::{Duration, Instant},
};

use bennu_pubsub::Outage;

/// So many different refusals are told apart.
const KNOWN_MAX: usize = 16;
/// One that hasn't been heard for so long makes room for another.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);

/// Each refusal is said at once and then now and then, whatever others were said: one that isn't like those before needn't
/// wait for them. Beyond [`KNOWN_MAX`] the others are said as if they were one.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    hasher: RandomState,
    known: Vec<Known>,
    others: Outage,
}

#[derive(Debug)]
struct Known {
    /// Of the text, which may be long.
    hash: u64,
    heard: Instant,
    outage: Outage,
}

impl Refusals {
    /// Something was refused with this text. If that's to be said, how often it was since it was said last.
    pub(crate) fn refused(&mut self, text: &str, now: Instant) -> Option<u64> {
        let hash = self.hasher.hash_one(text);
        if let Some(known) = self.known.iter_mut().find(|it| it.hash == hash) {
            known.heard = now;
            return known.outage.failed(now);
        }
        let mut known = Known {
            hash,
            heard: now,
            outage: Outage::default(),
        };
        if self.known.len() < KNOWN_MAX {
            let said = known.outage.failed(now);
            self.known.push(known);
            return said;
        }
        let oldest = self.known.iter_mut().min_by_key(|it| it.heard);
        match oldest.filter(|it| now.saturating_duration_since(it.heard) >= FORGOTTEN_AFTER) {
            Some(oldest) => {
                let said = known.outage.failed(now);
                *oldest = known;
                said
            }
            None => self.others.failed(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said: `3 publish a => 1` is a refusal of `publish a` at second 3, said as the first.
    #[track_caller]
    fn check(script: &str) {
        let mut refusals = Refusals::default();
        let base = Instant::now();
        for line in script.lines().map(str::trim).filter(|it| !it.is_empty()) {
            let (event, expected) = line.split_once(" => ").unwrap();
            let (second, text) = event.split_once(' ').unwrap();
            let now = base + Duration::from_secs(second.parse().unwrap());
            let said = refusals.refused(text, now).map(|it| it.to_string());
            assert_eq!(said.as_deref().unwrap_or("nothing"), expected, "{line}");
        }
    }

    #[test]
    fn a_refusal_is_said_at_once_whatever_was_refused_before() {
        check(
            "
            0 publish a => 1
            1 publish a => nothing
            1 publish b => 1
            2 publish b => nothing
            2 publish a => nothing
            30 publish a => 3
            31 publish b => 2
            ",
        );
    }

    #[test]
    fn what_is_told_apart_is_bounded_and_room_is_made_by_what_is_heard_no_more() {
        let sixteen: String = (0..16).map(|it| format!("0 publish {it} => 1\n")).collect();
        check(&format!(
            "{sixteen}
            1 publish a => 1
            2 publish b => nothing
            3 publish a => nothing
            4 publish 0 => nothing
            30 publish c => 1
            30 publish c => nothing
            30 publish 0 => 2
            "
        ));
    }
}
