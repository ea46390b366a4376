//! One person in one room.

use std::sync::Arc;

use bennu::{Channel, Context, Joined, Reply, Result, Topic, refuse};
use serde::{Deserialize, Serialize};

use crate::{
    Person,
    rooms::{BODY_CHARS_MAX, ID_BYTES_MAX, Said, Seat},
};

/// What rooms' topics begin with.
pub(crate) const TOPICS: &str = "room:";
pub(crate) const NEW_MSG: &str = "new_msg";
const ROOM_NAME_BYTES_MAX: usize = 64;

pub(crate) struct Room {
    seat: Seat,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum In {
    /// The client makes the id, so that it can send a message again without doubling it.
    NewMsg {
        id: String,
        body: String,
    },
    Typing,
}

#[derive(Serialize)]
struct Welcome {
    history: Vec<Arc<Said>>,
}

/// There is nothing to say of somebody but that they are there.
#[derive(Serialize)]
struct Present {}

#[derive(Serialize)]
struct Typing<'a> {
    from: &'a str,
}

#[derive(Serialize)]
struct Sent {
    id: String,
}

impl Channel for Room {
    type Socket = Person;
    type Params = ();
    type In = In;
    type Info = ();

    async fn join(topic: &Topic, (): (), cx: &Context<Self>) -> Result<Joined<Self>> {
        let name = topic.subtopic();
        if name.trim().is_empty() || name.len() > ROOM_NAME_BYTES_MAX {
            return Err(refuse("a room's name has 1 to 64 bytes"));
        }
        // Before anything is read, so that no message falls between what is read and what is heard.
        cx.listen().await;
        let Person { name: me, rooms } = cx.socket();
        let (seat, history) = rooms.enter(name, cx.pubsub());
        cx.track(me, &Present {})?;
        cx.push_presence_state();
        Ok(Joined::with_reply(Self { seat }, Welcome { history }))
    }

    async fn handle_in(&mut self, event: In, cx: &Context<Self>) -> Result {
        let Person { name, rooms } = cx.socket();
        match event {
            In::NewMsg { id, body } => {
                let body = body.trim();
                if body.is_empty() {
                    return Err(refuse("an empty message says nothing"));
                }
                if body.chars().count() > BODY_CHARS_MAX {
                    return Err(refuse("a message has at most 2000 characters"));
                }
                if id.is_empty() || id.len() > ID_BYTES_MAX {
                    return Err(refuse("a message's id has 1 to 64 bytes"));
                }
                let said = Said::now(id.clone(), name, body.to_owned());
                rooms.say(self.seat.room(), said, |said| cx.broadcast(NEW_MSG, said));
                Ok(Reply::with(Sent { id }))
            }
            In::Typing => {
                cx.broadcast_from("typing", &Typing { from: name });
                Ok(Reply::none())
            }
        }
    }
}
