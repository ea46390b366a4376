//! Who is there: the client's side of presence.

#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod roster;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use bennu_wire::{DecodeError, Payload};
use futures_core::Stream;
use serde::de::DeserializeOwned;

use self::roster::Roster;
use crate::{channel::Held, inbox::Inbox, options::InboxLimits};

/// One presence of a key: a connection of that user, say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// What the server calls it (`phx_ref`). Another one means that it was updated.
    pub phx_ref: String,
    /// All of it, unparsed.
    pub payload: Payload,
}

impl Meta {
    /// It as a type of one's own; fields that this doesn't have, such as `phx_ref`, are passed over.
    ///
    /// # Errors
    /// When it isn't of that type.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        self.payload.decode()
    }
}

/// Everything that is present under a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Present {
    /// Its presences, the oldest first.
    pub metas: Vec<Meta>,
    /// What the server says besides (Phoenix's `fetch`), by name.
    pub fields: BTreeMap<String, Payload>,
}

/// A change of who is there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PresenceChange {
    /// Presences came.
    Joined {
        /// Whose.
        key: String,
        /// Those that came.
        metas: Vec<Meta>,
        /// It's the key's first: nobody was there under it before.
        first: bool,
    },
    /// Presences went.
    Left {
        /// Whose.
        key: String,
        /// Those that went.
        metas: Vec<Meta>,
        /// They were the key's last: nobody is there under it any more.
        last: bool,
    },
}

/// Who is present in a channel's topic: a map to look into, and a [`Stream`] of its changes. It is kept up to date whether the
/// stream is read or not, and over reconnects.
///
/// An update is two changes: the new presence joins, the old one leaves, and its key is there all the while.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs")); fn main() { run(async {
/// # use bennu_client::{Client, PresenceChange};
/// # let socket = Client::connect(&serve().await).start()?;
/// #[derive(serde::Deserialize)]
/// struct Online { device: String }
///
/// let room = socket.channel("room:presence");
/// let mut presence = room.presence();
/// let room = room.join().await?;
///
/// let change = presence.next().await;
/// assert!(matches!(change, Some(PresenceChange::Joined { key, first: true, .. }) if key == "ada"));
/// let (key, ada) = presence.list().pop_first().unwrap();
/// assert_eq!((&*key, &*ada.metas[0].decode::<Online>()?.device), ("ada", "phone"));
/// # Ok(()) }) }
/// ```
#[derive(Debug)]
pub struct Presence {
    tracked: Arc<Tracked>,
    /// Who looks wants the channel.
    held: Arc<Held>,
}

impl Presence {
    pub(crate) fn new(tracked: Arc<Tracked>, held: Arc<Held>) -> Self {
        Self { tracked, held }
    }

    /// Who is there now, by key.
    #[must_use]
    pub fn list(&self) -> BTreeMap<String, Present> {
        self.tracked.lock().roster.list().clone()
    }

    /// What is there now under a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Present> {
        self.tracked.lock().roster.list().get(key).cloned()
    }

    /// How many keys are there.
    #[must_use]
    pub fn count(&self) -> usize {
        self.tracked.lock().roster.list().len()
    }

    /// The next change. `None` when the channel is closed.
    pub async fn next(&mut self) -> Option<PresenceChange> {
        poll_fn(|cx| self.tracked.changes.poll_next(cx)).await
    }

    /// How many changes went unread because too many waited; [`list`](Self::list) knows of them all the same.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.tracked.changes.missed()
    }

    /// Whether the server told of more than
    /// [`Client::presence_bytes_max`](crate::Client::presence_bytes_max) can hold, or of what isn't a presence, since the latest
    /// join: then somebody is left out.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.tracked.lock().roster.is_incomplete()
    }
}

impl Stream for Presence {
    type Item = PresenceChange;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<PresenceChange>> {
        self.tracked.changes.poll_next(cx)
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.held.shared.untrack(&self.tracked);
    }
}

/// What the driver keeps up to date.
#[derive(Debug)]
pub(crate) struct Tracked {
    state: Mutex<State>,
    changes: Inbox<PresenceChange>,
}

#[derive(Debug)]
struct State {
    state_event: String,
    diff_event: String,
    roster: Roster,
}

impl Tracked {
    pub(crate) fn new(state: &str, diff: &str, limits: InboxLimits, bytes_max: usize) -> Self {
        Self {
            state: Mutex::new(State {
                state_event: state.to_owned(),
                diff_event: diff.to_owned(),
                roster: Roster::new(bytes_max),
            }),
            changes: Inbox::new(limits),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The channel is joined, maybe again: a new state will come.
    pub(crate) fn joined(&self) {
        self.lock().roster.joined();
    }

    pub(crate) fn receive(&self, event: &str, payload: &Payload) {
        let changes = {
            let State {
                state_event,
                diff_event,
                roster,
            } = &mut *self.lock();
            if event == state_event {
                roster.state(payload)
            } else if event == diff_event {
                roster.diff(payload)
            } else {
                return;
            }
        };
        for change in changes {
            let bytes = size_of::<PresenceChange>() + change.bytes();
            self.changes.push(change, bytes);
        }
    }

    pub(crate) fn close(&self) {
        self.changes.close();
    }
}

impl PresenceChange {
    fn bytes(&self) -> usize {
        let (Self::Joined { key, metas, .. } | Self::Left { key, metas, .. }) = self;
        key.len() + metas.iter().map(Meta::bytes).sum::<usize>()
    }
}

impl Meta {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.phx_ref.len() + self.payload.len()
    }
}
