//! The big screen.

use bennu::{Channel, Context, Joined, Reply, Result, Topic};
use serde::Deserialize;

use crate::{
    player::PlayerId,
    racer::{Racer, Role},
    referee::keep_out,
};

pub(crate) struct Console;

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum In {
    /// Begins a race.
    Start,
    /// Ends whatever race there is.
    Clear,
    /// Sends a player away.
    Kick { id: PlayerId },
}

impl Channel for Console {
    type Socket = Racer;
    type Params = ();
    type In = In;
    type Info = ();

    async fn join(_: &Topic, (): (), cx: &Context<Self>) -> Result<Joined<Self>> {
        if !matches!(cx.socket().role, Role::Console) {
            return Err(keep_out(
                "console",
                "the console opens by the link that the server printed",
            ));
        }
        cx.push_presence_state();
        // Whatever is broadcast from here on follows the view, or is in it already.
        cx.listen().await;
        cx.push("view", &cx.socket().app.referee.view().await?);
        Ok(Self.into())
    }

    async fn handle_in(&mut self, event: In, cx: &Context<Self>) -> Result {
        let referee = &cx.socket().app.referee;
        match event {
            In::Start => referee.start().await?,
            In::Clear => referee.clear(),
            In::Kick { id } => referee.kick(id).await?,
        }
        Ok(Reply::ok())
    }
}
