//! One player's connection to the race.

use bennu::{Channel, Context, Joined, Reason, Reply, Result, Topic};
use serde::{Deserialize, Serialize};

use crate::{
    name::Name,
    racer::{Racer, Role},
    referee::{Place, keep_out},
};

pub(crate) struct Play {
    place: Place,
}

#[derive(Deserialize)]
pub(crate) struct Join {
    /// Who has a token keeps the name that they came with, while the game knows them.
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum In {
    /// Taps since the last time.
    Tap { taps: u32 },
}

/// What other tasks tell the channel.
#[derive(Debug)]
pub(crate) enum Note {
    /// The player is at another connection now.
    TakenOver,
}

/// The reply to a join.
#[derive(Serialize)]
struct Welcome<'a> {
    id: String,
    name: &'a str,
    /// For the params of the next connection: it makes its holder this player.
    token: &'a str,
}

impl Channel for Play {
    type Socket = Racer;
    type Params = Join;
    type In = In;
    type Info = Note;

    async fn join(_: &Topic, join: Join, cx: &Context<Self>) -> Result<Joined<Self>> {
        let Racer { app, role } = cx.socket();
        let Role::Player { id, token } = role else {
            return Err(keep_out("console", "the console doesn't race"));
        };
        let name = Name::parse(&join.name).map_err(|why| keep_out("name", why))?;
        // Whatever is broadcast from here on follows the view, or is in it already.
        cx.listen().await;
        let (place, name) = app.referee.enter(*id, name, cx.handle()).await?;
        cx.push("view", &app.referee.view().await?);
        let welcome = Welcome {
            id: id.to_string(),
            name: name.as_str(),
            token,
        };
        Ok(Joined::with_reply(Self { place }, welcome))
    }

    async fn handle_in(&mut self, In::Tap { taps }: In, _: &Context<Self>) -> Result {
        Ok(Reply::with(self.place.tap(taps).await?))
    }

    async fn handle_info(&mut self, note: Note, cx: &Context<Self>) -> Result<()> {
        match note {
            Note::TakenOver => {
                cx.push("taken_over", &());
                cx.stop();
            }
        }
        Ok(())
    }

    async fn terminate(&mut self, reason: Reason, _: &Context<Self>) {
        if matches!(reason, Reason::Left) {
            self.place.give_up();
        }
    }
}
