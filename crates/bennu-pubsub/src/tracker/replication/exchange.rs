//! What nodes tell each other of their trackers: changes, how far they are, and what others lack.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Output, ReplicaEvent, Replication, Shards};
use crate::tracker::{
    MessageError,
    dot::Origin,
    draft::{ChangesDraft, Draft},
    message::{Sections, Span, Versions, Wants},
    peer::{Progress, Step},
};

/// How long an answer is waited for before more is asked for, if something says that more is missing.
const ANSWER_MS_MAX: u64 = 500;

impl Replication {
    /// A message of changes that others weren't told of yet, while there are some.
    pub(super) fn changes_message<S: Shards + ?Sized>(&mut self, shards: &mut S) -> Option<Bytes> {
        let mut next = self.telling?;
        let mut draft = Draft::state(&self.name, self.replica.start, false);
        let empty = draft.len();
        while let Some(told) = self.told.get_mut(next) {
            let room = room(self.message_bytes_max, draft.len() - empty);
            let upto = shards.with(next, |tracker| {
                let version = tracker.version();
                if *told == version {
                    return (version, true);
                }
                match tracker.write_delta(next as u64, *told, room, &mut draft) {
                    Some(upto) => (upto, upto == version),
                    // There were too many: others will see it by the next heartbeat, and ask.
                    None => (version, true),
                }
            });
            let (upto, all) = upto.unwrap_or((*told, true));
            *told = upto;
            if !all || draft.len() - empty >= self.message_bytes_max {
                break;
            }
            next += 1;
        }
        self.telling = (next < self.told.len()).then_some(next);
        (draft.len() > empty).then(|| draft.finish().into())
    }

    pub(super) fn hear_heartbeat<S: Shards + ?Sized>(
        &mut self,
        from: &str,
        start: u64,
        versions: Versions<'_>,
        shards: &mut S,
        now: Instant,
    ) {
        if versions.count() != self.told.len() {
            let error = MessageError::Unexpected("number of shards");
            return self.event(ReplicaEvent::Unreadable(from.into(), error));
        }
        if !self.hear(from, start, now) && !self.admit(from, start, shards, now) {
            return;
        }
        let Some(peer) = self.peers.get_mut(from) else {
            return;
        };
        for ((shard, progress), version) in peer.shards.iter_mut().enumerate().zip(versions) {
            progress.hear(version.unwrap_or(0));
            if !progress.is_behind() {
                show(shard, progress, peer.origin, shards, now);
            }
        }
        self.ask(from, now);
    }

    pub(super) fn take_in<S: Shards + ?Sized>(
        &mut self,
        from: &str,
        answer: bool,
        sections: Sections<'_>,
        shards: &mut S,
        now: Instant,
    ) {
        let Some(peer) = self.peers.get_mut(from) else {
            return;
        };
        let origin = peer.origin;
        let mut refused = 0;
        for section in sections.flatten() {
            let shard = usize::try_from(section.shard).unwrap_or(usize::MAX);
            let Some(progress) = peer.shards.get_mut(shard) else {
                continue;
            };
            let hidden = progress.hidden;
            let (span, changes) = (section.span, section.changes);
            if let Span::Delta { from, to } = span
                && answer
                && progress.correct(from, to)
            {
                shards.with(shard, |it| it.drop_after(origin, to, now));
            }
            let taken = match progress.step(span) {
                Step::Ignore => None,
                Step::Delta { have, gone } => shards.with(shard, |it| {
                    it.apply_delta((origin, hidden), have, changes, gone, now);
                    it.take_refused()
                }),
                Step::Range { after, upto, gone } => shards.with(shard, |it| {
                    it.apply_range((origin, hidden), (after, upto), changes, gone, now);
                    it.take_refused()
                }),
            };
            let Some(left_out) = taken else { continue };
            refused += left_out;
            progress.end(span);
            if answer {
                peer.asked = None;
            }
        }
        if refused > 0 {
            self.event(ReplicaEvent::Refused(from.into(), refused));
        }
    }

    /// Asks a node for what is missing, unless it was asked just before.
    pub(super) fn ask(&mut self, node: &str, now: Instant) {
        let Some((node, peer)) = self.peers.get_key_value(node) else {
            return;
        };
        let patience = Duration::from_millis(ANSWER_MS_MAX);
        if peer.asked.is_some_and(|it| now < it + patience) {
            return;
        }
        let progress = peer.shards.iter().enumerate();
        let mut wants = progress.filter_map(|(shard, it)| it.want(shard)).peekable();
        if wants.peek().is_none() {
            return;
        }
        let ask = Draft::ask(&self.name, self.replica.start, peer.start, wants);
        let node = node.clone();
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.asked = Some(now);
        }
        let ask = Output::ToNode(node, ask.finish().into());
        self.outputs.push_back(ask);
    }

    /// Sends a node some of what it lacks: one message, and when that has come it asks for more.
    pub(super) fn answer<S: Shards + ?Sized>(
        &mut self,
        node: &str,
        wants: Wants<'_>,
        shards: &mut S,
    ) {
        let mut draft = Draft::state(&self.name, self.replica.start, true);
        let empty = draft.len();
        for want in wants.flatten() {
            let Ok(shard) = usize::try_from(want.shard) else {
                continue;
            };
            if draft.len() - empty >= self.message_bytes_max {
                break;
            }
            shards.with(shard, |it| {
                let version = it.version();
                if want.have > version || want.have == version && want.cursor.is_none() {
                    // There is nothing. Somebody who isn't this node must have said so, and is contradicted.
                    let (from, to) = (want.have, version);
                    let none = ChangesDraft::new(from);
                    return draft.section(want.shard, Span::Delta { from, to }, &none);
                }
                let room = |draft: &Draft| room(self.message_bytes_max, draft.len() - empty);
                let bytes = room(&draft);
                let delta = it.write_delta(want.shard, want.have, bytes, &mut draft);
                let after = if delta.is_some() {
                    want.cursor
                } else {
                    Some(0)
                };
                if let Some(after) = after {
                    let bytes = room(&draft);
                    it.write_range(want.shard, after, bytes, &mut draft);
                }
            });
        }
        if draft.len() > empty {
            let answer = Output::ToNode(node.into(), draft.finish().into());
            self.outputs.push_back(answer);
        }
    }
}

/// How many bytes a message has room for: always for one change.
fn room(max: usize, used: usize) -> usize {
    max.saturating_sub(used).max(1)
}

/// Shows what was hidden of one shard of a node.
fn show<S: Shards + ?Sized>(
    shard: usize,
    progress: &mut Progress,
    origin: Origin,
    shards: &mut S,
    now: Instant,
) {
    if std::mem::take(&mut progress.hidden) {
        shards.with(shard, |it| it.show(origin, now));
    }
}
