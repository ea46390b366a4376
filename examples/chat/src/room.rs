//! One person in one room.

use std::sync::Arc;

use bennu::{Channel, Context, Joined, Reason, Reply, Result, Topic, refuse};
use serde::{Deserialize, Serialize};

use crate::{
    Person,
    rooms::{Said, Seat},
};

const BODY_CHARS_MAX: usize = 2000;
const ID_BYTES_MAX: usize = 64;
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
    members: usize,
}

#[derive(Serialize)]
struct CameOrWent<'a> {
    from: &'a str,
    members: usize,
}

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
        let entered = cx.socket().rooms.enter(name);
        let (seat, history, members) = entered.ok_or_else(|| refuse("there are too many rooms"))?;
        cx.broadcast_from(
            "user_joined",
            &CameOrWent {
                from: &cx.socket().name,
                members,
            },
        );
        Ok(Joined::with_reply(
            Self { seat },
            Welcome { history, members },
        ))
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
                rooms.say(self.seat.room(), said, |said| cx.broadcast("new_msg", said));
                Ok(Reply::with(Sent { id }))
            }
            In::Typing => {
                cx.broadcast_from("typing", &Typing { from: name });
                Ok(Reply::none())
            }
        }
    }

    async fn terminate(&mut self, _: Reason, cx: &Context<Self>) {
        let members = self.seat.others();
        cx.broadcast(
            "user_left",
            &CameOrWent {
                from: &cx.socket().name,
                members,
            },
        );
    }
}
