//! What the server was asked and hasn't answered, and what it will be asked once a channel is joined.

use std::{collections::BTreeMap, time::Instant};

use bennu_wire::Payload;

use super::ChannelId;

/// A push, from the call to its answer.
#[derive(Debug)]
pub(super) struct Push<T> {
    pub(super) channel: ChannelId,
    /// Its event and payload until it is sent.
    pub(super) unsent: Option<(String, Payload)>,
    /// What it counts against the queue.
    pub(super) bytes: usize,
    pub(super) token: Option<T>,
}

#[derive(Debug)]
pub(super) enum Asked<T> {
    Join(ChannelId),
    Push(Push<T>),
    Leave(ChannelId, Option<T>),
    Heartbeat,
    Ping(T),
}

/// Requests by their refs, which are given out in order and only once.
#[derive(Debug)]
pub(super) struct Requests<T> {
    next: u64,
    open: BTreeMap<u64, (Asked<T>, Option<Instant>)>,
}

impl<T> Requests<T> {
    pub(super) fn new() -> Self {
        Self {
            next: 1,
            open: BTreeMap::new(),
        }
    }

    pub(super) fn add(&mut self, asked: Asked<T>, deadline: Option<Instant>) -> u64 {
        let r#ref = self.unasked();
        self.open.insert(r#ref, (asked, deadline));
        r#ref
    }

    pub(super) fn take(&mut self, r#ref: u64) -> Option<(Asked<T>, Option<Instant>)> {
        self.open.remove(&r#ref)
    }

    /// The push of this ref, which may be one that waits to be sent.
    pub(super) fn push_mut(&mut self, r#ref: u64) -> Option<&mut Push<T>> {
        match self.open.get_mut(&r#ref) {
            Some((Asked::Push(push), _)) => Some(push),
            _ => None,
        }
    }

    /// A ref for what nobody waits for.
    pub(super) fn unasked(&mut self) -> u64 {
        let r#ref = self.next;
        self.next += 1;
        r#ref
    }

    /// Waits for the answer to what was sent with a ref of [`unasked`](Self::unasked).
    pub(super) fn put(&mut self, r#ref: u64, asked: Asked<T>, deadline: Instant) {
        self.open.insert(r#ref, (asked, Some(deadline)));
    }

    /// Takes all for which this is so, in order.
    pub(super) fn take_if(
        &mut self,
        wanted: impl Fn(&Asked<T>) -> bool,
    ) -> Vec<(u64, Asked<T>, Option<Instant>)> {
        let refs: Vec<_> = self
            .open
            .iter()
            .filter(|(_, (asked, _))| wanted(asked))
            .map(|(r#ref, _)| *r#ref)
            .collect();
        refs.into_iter()
            .filter_map(|r#ref| {
                let (asked, deadline) = self.open.remove(&r#ref)?;
                Some((r#ref, asked, deadline))
            })
            .collect()
    }
}
