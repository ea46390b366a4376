//! A channel's place on its connection, and how far it has come in its life.

use std::collections::VecDeque;

use bennu_wire::ChannelId;
use futures_util::future::AbortHandle;

use super::live::{Job, Live};
use crate::Reason;

/// One channel's place. While a callback runs, or the join, the channel itself is away.
pub(super) struct Slot<S> {
    pub(super) id: ChannelId,
    /// The number of its route.
    pub(super) route: u32,
    pub(super) channel: Option<Box<dyn Live<S>>>,
    /// Nothing while the channel is idle, or a callback runs that ends at once.
    pub(super) more: Option<Box<More>>,
}

#[derive(Default)]
pub(super) struct More {
    pub(super) stage: Stage,
    /// What waits for the running callback to end.
    pub(super) queue: VecDeque<Job>,
}

/// How far a channel has come in its life.
#[derive(Default)]
pub(super) enum Stage {
    /// It joins, is idle, or runs. The handle is of a callback that hasn't ended at once.
    #[default]
    Open,
    Running(AbortHandle),
    /// It ends as soon as the client was told so.
    Closing(Reason),
    /// Its last callback runs.
    Ending(Reason),
}

impl<S> Slot<S> {
    /// A place whose channel joins.
    pub(super) fn new(id: ChannelId, route: u32) -> Self {
        Self {
            id,
            route,
            channel: None,
            more: None,
        }
    }

    pub(super) fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    pub(super) fn stage(&self) -> &Stage {
        self.more.as_deref().map_or(&Stage::Open, |it| &it.stage)
    }

    /// Whether it takes no further jobs.
    pub(super) fn is_closing(&self) -> bool {
        matches!(self.stage(), Stage::Closing(_) | Stage::Ending(_))
    }

    /// The channel, if it is idle: it's busy from now on.
    pub(super) fn wake(&mut self) -> Option<Box<dyn Live<S>>> {
        if self.is_closing() {
            return None;
        }
        self.channel.take()
    }

    /// Nothing runs and nothing waits.
    pub(super) fn rest(&mut self, channel: Box<dyn Live<S>>) {
        self.channel = Some(channel);
        self.more = None;
    }

    pub(super) fn dequeue(&mut self) -> Option<Job> {
        self.more.as_mut()?.queue.pop_front()
    }
}
