//! What a node remembers: the last messages of each room.
//!
//! Among other nodes it hears what is said there, too, in the rooms that it knows: those where somebody is or was, and the
//! public ones.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{SystemTime, UNIX_EPOCH},
};

use bennu::{PubSub, Receiver};
use serde::{Deserialize, Serialize};
use tokio::task::AbortHandle;

use crate::room::{NEW_MSG, TOPICS};

const MESSAGES_KEPT: usize = 50;
/// Rooms that are remembered while nobody is there. Past that an empty room is forgotten for a new one.
const ROOMS_KEPT: usize = 1000;
/// What the page shows to everybody.
const PUBLIC_ROOMS: [&str; 3] = ["lobby", "rust", "phoenix"];
pub(crate) const BODY_CHARS_MAX: usize = 2000;
pub(crate) const ID_BYTES_MAX: usize = 64;

/// The rooms that somebody has been in.
#[derive(Debug, Default)]
pub struct Rooms(Mutex<HashMap<String, Memory>>);

#[derive(Debug, Default)]
struct Memory {
    history: VecDeque<Arc<Said>>,
    members: usize,
    /// What listens to other nodes, if there are some, while the room is remembered.
    _ear: Option<Ear>,
}

/// A task that ends with this.
#[derive(Debug)]
struct Ear(AbortHandle);

impl Drop for Ear {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// One message, as it goes over the wire.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Said {
    pub(crate) id: String,
    pub(crate) from: String,
    pub(crate) body: String,
    /// Milliseconds since 1970.
    pub(crate) at: u128,
}

impl Said {
    pub(crate) fn now(id: String, from: &str, body: String) -> Self {
        let at = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |it| it.as_millis());
        Self {
            id,
            from: from.to_owned(),
            body,
            at,
        }
    }

    /// Whether it is as short as it may be: what comes from other nodes isn't taken on trust.
    fn is_short(&self) -> bool {
        self.id.len() <= ID_BYTES_MAX
            && self.from.chars().count() <= crate::NAME_CHARS_MAX
            && self.body.chars().count() <= BODY_CHARS_MAX
    }
}

/// A place in a room, given back when it's dropped: a channel that is replaced or panics isn't told so.
pub(crate) struct Seat {
    rooms: Arc<Rooms>,
    room: String,
}

impl Seat {
    pub(crate) fn room(&self) -> &str {
        &self.room
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(room) = self.rooms.lock().get_mut(&self.room) {
            room.members = room.members.saturating_sub(1);
        }
    }
}

impl Rooms {
    /// Listens to what is said elsewhere in the public rooms, so that who comes later reads it here.
    pub(crate) fn listen(self: &Arc<Self>, pubsub: &PubSub) {
        let mut rooms = self.lock();
        for name in PUBLIC_ROOMS {
            self.room(&mut rooms, name, pubsub);
        }
    }

    /// One more in the room: its place, and the room's last messages. `None` when there are as many rooms as can be, with
    /// somebody in each.
    pub(crate) fn enter(
        self: &Arc<Self>,
        name: &str,
        pubsub: &PubSub,
    ) -> Option<(Seat, Vec<Arc<Said>>)> {
        let mut rooms = self.lock();
        if rooms.len() >= ROOMS_KEPT && !rooms.contains_key(name) {
            let empty = rooms.iter().find(|(_, it)| it.members == 0);
            let empty = empty.map(|(name, _)| name.clone())?;
            rooms.remove(&empty);
        }
        let room = self.room(&mut rooms, name, pubsub);
        room.members += 1;
        let seat = Seat {
            rooms: self.clone(),
            room: name.to_owned(),
        };
        Some((seat, room.history.iter().cloned().collect()))
    }

    fn room<'a>(
        self: &Arc<Self>,
        rooms: &'a mut HashMap<String, Memory>,
        name: &str,
        pubsub: &PubSub,
    ) -> &'a mut Memory {
        rooms.entry(name.to_owned()).or_insert_with(|| {
            let ear = pubsub.cluster().map(|_| {
                let receiver = pubsub.receiver(format!("{TOPICS}{name}"));
                let task = tokio::spawn(hear(Arc::downgrade(self), name.to_owned(), receiver));
                Ear(task.abort_handle())
            });
            Memory {
                _ear: ear,
                ..Memory::default()
            }
        })
    }

    /// Remembers a message and tells it on, in the same order; neither when it's known already, because the
    /// client sent it again.
    pub(crate) fn say(&self, name: &str, said: Said, tell: impl FnOnce(&Said)) {
        let mut rooms = self.lock();
        let room = rooms.entry(name.to_owned()).or_default();
        let is_known = |it: &Arc<Said>| it.id == said.id && it.from == said.from;
        if room.history.iter().any(is_known) {
            return;
        }
        if room.history.len() == MESSAGES_KEPT {
            room.history.pop_front();
        }
        tell(&said);
        room.history.push_back(Arc::new(said));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Memory>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Remembers what is said in a room: here, where that is known already, and on other nodes.
async fn hear(rooms: Weak<Rooms>, name: String, mut room: Receiver) {
    loop {
        let heard = room.recv().await;
        let Some(rooms) = rooms.upgrade() else { return };
        if heard.event() == NEW_MSG
            && let Ok(said) = heard.decode::<Said>()
            && said.is_short()
        {
            rooms.say(&name, said, |_| {});
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_remembers_and_tells_its_last_messages_once_each() {
        let rooms = Arc::new(Rooms::default());
        let mut told = Vec::new();
        let ids = (0..=MESSAGES_KEPT).chain([7]);
        for id in ids {
            let said = Said::now(id.to_string(), "ada", "hi".into());
            rooms.say("a", said, |it| told.push(it.id.clone()));
        }
        assert!(
            told.iter()
                .map(|it| it.parse::<usize>().unwrap())
                .eq(0..=MESSAGES_KEPT)
        );
        let (_, history) = rooms.enter("a", &PubSub::new()).unwrap();
        assert_eq!(history.len(), MESSAGES_KEPT);
        assert_eq!(history[0].id, "1");
    }

    #[test]
    fn empty_rooms_make_room_and_full_ones_do_not() {
        let (rooms, pubsub) = (Arc::new(Rooms::default()), PubSub::new());
        let mut seats: Vec<_> = (0..ROOMS_KEPT + 10)
            .map(|n| rooms.enter(&n.to_string(), &pubsub).map(|(seat, _)| seat))
            .collect();
        assert_eq!(seats.iter().flatten().count(), ROOMS_KEPT);
        seats.remove(0);
        assert!(rooms.enter("new", &pubsub).is_some());
        assert_eq!(rooms.lock().len(), ROOMS_KEPT);
    }
}
