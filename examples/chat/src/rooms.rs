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
/// Rooms that are remembered besides the public ones. Past that an empty one is forgotten for a new one, and with somebody in
/// each a further room is there for those in it, but not remembered: nobody is kept out because others fill the rooms.
const ROOMS_KEPT: usize = 1000;
/// What the page shows to everybody. They are never forgotten.
const PUBLIC_ROOMS: [&str; 3] = ["lobby", "rust", "phoenix"];
pub(crate) const BODY_CHARS_MAX: usize = 2000;
pub(crate) const ID_BYTES_MAX: usize = 64;

/// The rooms that are remembered.
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
    /// Not so if the room wasn't remembered when this was taken: those who came later count themselves alone.
    is_counted: bool,
}

impl Seat {
    pub(crate) fn room(&self) -> &str {
        &self.room
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.is_counted
            && let Some(room) = self.rooms.lock().get_mut(&self.room)
        {
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

    /// One more in the room: its place, and the room's last messages.
    pub(crate) fn enter(self: &Arc<Self>, name: &str, pubsub: &PubSub) -> (Seat, Vec<Arc<Said>>) {
        let mut rooms = self.lock();
        let is_counted = has_room_for(&mut rooms, name);
        let mut history = Vec::new();
        if is_counted {
            let room = self.room(&mut rooms, name, pubsub);
            room.members += 1;
            history.extend(room.history.iter().cloned());
        }
        let seat = Seat {
            rooms: self.clone(),
            room: name.to_owned(),
            is_counted,
        };
        (seat, history)
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
    /// client sent it again. In a room that isn't remembered it is just told.
    pub(crate) fn say(&self, name: &str, said: Said, tell: impl FnOnce(&Said)) {
        let mut rooms = self.lock();
        let Some(room) = rooms.get_mut(name) else {
            return tell(&said);
        };
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

/// Whether a room is remembered, or may be: an empty one is forgotten for it where there are too many.
fn has_room_for(rooms: &mut HashMap<String, Memory>, name: &str) -> bool {
    if is_public(name) || rooms.contains_key(name) {
        return true;
    }
    let others = || rooms.iter().filter(|(name, _)| !is_public(name));
    if others().count() < ROOMS_KEPT {
        return true;
    }
    let empty = others().find(|(_, it)| it.members == 0);
    let Some(empty) = empty.map(|(name, _)| name.clone()) else {
        return false;
    };
    rooms.remove(&empty);
    true
}

fn is_public(name: &str) -> bool {
    PUBLIC_ROOMS.contains(&name)
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

    fn say(rooms: &Rooms, room: &str, id: &str) -> bool {
        let mut told = false;
        rooms.say(room, Said::now(id.into(), "ada", "hi".into()), |_| {
            told = true;
        });
        told
    }

    /// The ids of what who enters now gets to read.
    fn read(rooms: &Arc<Rooms>, room: &str) -> Vec<String> {
        let (_, history) = rooms.enter(room, &PubSub::new());
        history.iter().map(|it| it.id.clone()).collect()
    }

    #[test]
    fn a_room_remembers_and_tells_its_last_messages_once_each() {
        let rooms = Arc::new(Rooms::default());
        let _seat = rooms.enter("a", &PubSub::new());
        for id in 0..=MESSAGES_KEPT {
            assert!(say(&rooms, "a", &id.to_string()));
        }
        assert!(!say(&rooms, "a", "7"));
        let last: Vec<_> = (1..=MESSAGES_KEPT).map(|id| id.to_string()).collect();
        assert_eq!(read(&rooms, "a"), last);
    }

    #[test]
    fn an_empty_room_is_forgotten_for_a_new_one_and_a_public_one_never() {
        let (rooms, pubsub) = (Arc::new(Rooms::default()), PubSub::new());
        for name in PUBLIC_ROOMS {
            _ = rooms.enter(name, &pubsub);
            say(&rooms, name, "1");
        }
        for n in 0..3 * ROOMS_KEPT {
            _ = rooms.enter(&n.to_string(), &pubsub);
        }
        assert_eq!(rooms.lock().len(), ROOMS_KEPT + PUBLIC_ROOMS.len());
        for name in PUBLIC_ROOMS {
            assert_eq!(read(&rooms, name), ["1"], "{name}");
        }
    }

    #[test]
    fn who_fills_the_rooms_keeps_nobody_out() {
        let (rooms, pubsub) = (Arc::new(Rooms::default()), PubSub::new());
        let mut full: Vec<_> = (0..ROOMS_KEPT)
            .map(|n| rooms.enter(&n.to_string(), &pubsub).0)
            .collect();
        // A public room is remembered all the same, another is there without a memory.
        let (lobby, new) = (
            rooms.enter("lobby", &pubsub).0,
            rooms.enter("new", &pubsub).0,
        );
        assert!(say(&rooms, lobby.room(), "1") && say(&rooms, new.room(), "1"));
        assert_eq!(read(&rooms, "lobby"), ["1"]);
        assert!(read(&rooms, "new").is_empty());
        assert_eq!(rooms.lock().len(), ROOMS_KEPT + 1);

        // Once a room is empty, the new one takes its place, and counts those who have come since.
        drop(full.pop());
        let later = rooms.enter("new", &pubsub).0;
        drop(new);
        assert_eq!(rooms.lock()["new"].members, 1);
        assert!(say(&rooms, later.room(), "2"));
        assert_eq!(read(&rooms, "new"), ["2"]);
        assert_eq!(rooms.lock().len(), ROOMS_KEPT + 1);
    }
}
