//! `filtered:*`: each receiver of a `shout` is told who it is.

use bennu::{Broadcast, Channel, Context, Joined, Payload, Reply, Result, Topic};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::socket::UserSocket;

pub(crate) struct Filtered;

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum In {
    Shout(Payload),
}

impl Channel for Filtered {
    type Socket = UserSocket;
    type Params = ();
    type In = In;
    type Info = ();

    const INTERCEPT: &'static [&'static str] = &["shout"];

    async fn join(_: &Topic, (): (), _: &Context<Self>) -> Result<Joined<Self>> {
        Ok(Self.into())
    }

    async fn handle_in(&mut self, In::Shout(payload): In, cx: &Context<Self>) -> Result {
        cx.broadcast("shout", &payload);
        Ok(Reply::none())
    }

    async fn handle_out(&mut self, out: &Broadcast, cx: &Context<Self>) -> Result<()> {
        let mut payload: Map<String, Value> = out.decode()?;
        payload.insert("to".to_owned(), cx.socket().user_id.clone().into());
        cx.push(out.event(), &payload);
        Ok(())
    }
}
