//! A join that is not decided yet, and what waits for it.

use std::collections::VecDeque;

use crate::{Message, Ref};

#[derive(Debug)]
pub(super) struct Joining {
    /// The join's ref, for the verdict.
    pub(super) r#ref: Ref,
    /// The join ref, as the client sent it, of the channel that this join replaced.
    pub(super) replaced: Option<Ref>,
    /// Messages for the topic that came meanwhile.
    pub(super) queue: VecDeque<Message>,
}

impl Joining {
    pub(super) fn new(join: &Message, replaced: Option<Ref>) -> Self {
        Self {
            r#ref: join.r#ref.clone(),
            replaced,
            queue: VecDeque::new(),
        }
    }
}

/// How much waits, or may wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) messages: u32,
    pub(super) bytes: u32,
}

impl Load {
    /// Counts a message in, or leaves everything as it is where that is too much.
    pub(super) fn add(&mut self, message: &Message, max: Self) -> Result<(), ()> {
        let messages = self.messages.saturating_add(1);
        let bytes = self.bytes.saturating_add(super::clamp(message.bytes()));
        if messages > max.messages || bytes > max.bytes {
            return Err(());
        }
        *self = Self { messages, bytes };
        Ok(())
    }

    pub(super) fn remove(&mut self, message: &Message) {
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(super::clamp(message.bytes()));
    }
}
