//! What the server remembers: the last messages of each room, and how many are there.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;

const MESSAGES_KEPT: usize = 50;
/// Rooms that are remembered while nobody is there. Past that an empty room is forgotten for a new one.
const ROOMS_KEPT: usize = 1000;

/// The rooms that somebody has been in.
#[derive(Debug, Default)]
pub struct Rooms(Mutex<HashMap<String, Memory>>);

#[derive(Debug, Default)]
struct Memory {
    history: VecDeque<Arc<Said>>,
    members: usize,
}

/// One message, as it goes over the wire.
#[derive(Debug, Serialize)]
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

    /// How many are left without this one.
    pub(crate) fn others(&self) -> usize {
        self.rooms
            .lock()
            .get(&self.room)
            .map_or(0, |it| it.members.saturating_sub(1))
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
    /// One more in the room: its place, the room's last messages, and how many are there now. `None` when there
    /// are as many rooms as can be, with somebody in each.
    pub(crate) fn enter(self: &Arc<Self>, name: &str) -> Option<(Seat, Vec<Arc<Said>>, usize)> {
        let mut rooms = self.lock();
        if rooms.len() >= ROOMS_KEPT && !rooms.contains_key(name) {
            let empty = rooms.iter().find(|(_, it)| it.members == 0);
            let empty = empty.map(|(name, _)| name.clone())?;
            rooms.remove(&empty);
        }
        let room = rooms.entry(name.to_owned()).or_default();
        room.members += 1;
        let seat = Seat {
            rooms: self.clone(),
            room: name.to_owned(),
        };
        Some((seat, room.history.iter().cloned().collect(), room.members))
    }

    /// Remembers a message and tells it on, in the same order; neither when it's known already, because the
    /// client sent it again.
    pub(crate) fn say(&self, name: &str, said: Said, tell: impl FnOnce(&Said)) {
        let mut rooms = self.lock();
        let room = rooms.entry(name.to_owned()).or_default();
        if room
            .history
            .iter()
            .any(|it| it.id == said.id && it.from == said.from)
        {
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
        let (first, history, members) = rooms.enter("a").unwrap();
        assert_eq!((history.len(), members), (MESSAGES_KEPT, 1));
        assert_eq!(history[0].id, "1");
        let (second, _, members) = rooms.enter("a").unwrap();
        assert_eq!((members, second.others()), (2, 1));
        drop(second);
        assert_eq!(first.others(), 0);
    }

    #[test]
    fn empty_rooms_make_room_and_full_ones_do_not() {
        let rooms = Arc::new(Rooms::default());
        let mut seats: Vec<_> = (0..ROOMS_KEPT + 10)
            .map(|n| rooms.enter(&n.to_string()).map(|(seat, ..)| seat))
            .collect();
        assert_eq!(seats.iter().flatten().count(), ROOMS_KEPT);
        seats.remove(0);
        assert!(rooms.enter("new").is_some());
        assert_eq!(rooms.lock().len(), ROOMS_KEPT);
    }
}
