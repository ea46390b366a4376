//! Which nodes there are, and which start of each is believed.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Output, ReplicaEvent, Replication, Shards};
use crate::tracker::{
    Replica,
    dot::Origin,
    peer::{Peer, Progress, Status},
};

/// Nodes that are remembered. Beyond, those that are silent longest are forgotten.
const PEERS_MAX: usize = 1_024;
/// How often it's said that somebody else has this node's name.
const NAME_TAKEN_MS_MIN: u64 = 60_000;

impl Replication {
    /// Marks a node as heard; false when it isn't the replica that is believed to be that node.
    pub(super) fn hear(&mut self, from: &str, start: u64, now: Instant) -> bool {
        let Some(peer) = self.peers.get_mut(from) else {
            return false;
        };
        if peer.start != start || peer.status == Status::Left {
            return false;
        }
        peer.heard = now;
        if peer.status == Status::Down {
            peer.status = Status::Up;
            self.greet(from);
        }
        true
    }

    /// Tells a node that has just been heard of what there is here, so that it needn't wait for it.
    pub(super) fn greet(&mut self, node: &str) {
        let node: Arc<str> = node.into();
        self.event(ReplicaEvent::Up(node.clone()));
        let heartbeat = self.own_heartbeat();
        self.outputs.push_back(Output::ToNode(node, heartbeat));
    }

    /// A replica that isn't believed to be its node so far: whether it is from now on.
    ///
    /// Of two replicas of one node the one that started later is the node. One that says it started earlier is
    /// believed when nothing was heard of the other for long: then it is its clock that is wrong.
    pub(super) fn admit<S: Shards + ?Sized>(
        &mut self,
        from: &str,
        start: u64,
        shards: &mut S,
        now: Instant,
    ) -> bool {
        if let Some(known) = self.peers.get(from) {
            let silent = known.heard + self.down_after <= now;
            if start == known.start || start < known.start && !silent {
                return false;
            }
            if known.status != Status::Left {
                self.forget(from, shards, now);
            }
            self.peers.remove(from);
        }
        if self.peers.len() >= PEERS_MAX && !self.make_room(shards, now) {
            return false;
        }
        let Some(origin) = self.free_origin() else {
            return false;
        };
        let replica = Replica {
            node: from.into(),
            start,
        };
        for shard in 0..self.told.len() {
            shards.with(shard, |it| it.begin_mirror(origin, &replica));
        }
        let peer = Peer {
            start,
            origin,
            status: Status::Up,
            heard: now,
            asked: None,
            shards: self.told.iter().map(|_| Progress::default()).collect(),
        };
        self.peers.insert(from.into(), peer);
        self.greet(from);
        true
    }

    /// Forgets the node that is silent longest, if any is.
    pub(super) fn make_room<S: Shards + ?Sized>(&mut self, shards: &mut S, now: Instant) -> bool {
        let silent = self.peers.iter().filter(|(_, it)| it.status != Status::Up);
        let Some((node, peer)) = silent.min_by_key(|(_, it)| it.heard) else {
            return false;
        };
        let (node, status) = (node.clone(), peer.status);
        if status != Status::Left {
            self.forget(&node, shards, now);
        }
        self.peers.remove(&node).is_some()
    }

    pub(super) fn free_origin(&self) -> Option<Origin> {
        let taken: Vec<_> = self.peers.values().map(|it| it.origin).collect();
        (1..Origin::MAX).find(|it| !taken.contains(it))
    }

    /// Another node that says it's this one, or an echo.
    pub(super) fn hear_own_name(&mut self, start: u64, now: Instant) {
        let pause = Duration::from_millis(NAME_TAKEN_MS_MIN);
        let said = self.name_taken.is_some_and(|it| now < it + pause);
        if start != self.replica.start && !said {
            self.name_taken = Some(now);
            self.event(ReplicaEvent::NameTaken(start));
        }
    }

    pub(super) fn judge_silence<S: Shards + ?Sized>(&mut self, shards: &mut S, now: Instant) {
        let silent: Vec<_> = self
            .peers
            .iter()
            .filter(|(_, it)| it.heard + self.down_after <= now)
            .map(|(node, peer)| (node.clone(), peer.status, peer.heard))
            .collect();
        for (node, status, heard) in silent {
            let gone = heard + self.gone_after <= now;
            match status {
                Status::Up => {
                    let Some(peer) = self.peers.get_mut(&node) else {
                        continue;
                    };
                    peer.status = Status::Down;
                    for (shard, progress) in peer.shards.iter_mut().enumerate() {
                        progress.hidden = true;
                        shards.with(shard, |it| it.hide(peer.origin, now));
                    }
                    self.event(ReplicaEvent::Down(node));
                }
                Status::Down if gone => {
                    self.forget(&node, shards, now);
                    self.peers.remove(&node);
                }
                Status::Left if gone => drop(self.peers.remove(&node)),
                Status::Down | Status::Left => {}
            }
        }
    }

    /// Drops what a node tracks. That it was there is remembered, since messages of its may still be on their
    /// way.
    pub(super) fn forget<S: Shards + ?Sized>(&mut self, node: &str, shards: &mut S, now: Instant) {
        let Some(peer) = self.peers.get_mut(node) else {
            return;
        };
        peer.status = Status::Left;
        peer.shards = Vec::new();
        let origin = std::mem::take(&mut peer.origin);
        for shard in 0..self.told.len() {
            shards.with(shard, |it| it.end_mirror(origin, now));
        }
        self.event(ReplicaEvent::Gone(node.into()));
    }
}
