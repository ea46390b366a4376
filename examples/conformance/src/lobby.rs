//! `lobby:*`: who is there, and who types.

use std::time::{SystemTime, UNIX_EPOCH};

use bennu::{Channel, Context, Joined, Reply, Result, Topic, refuse};
use serde::{Deserialize, Serialize};

use crate::socket::UserSocket;

pub(crate) struct Lobby {
    meta: Meta,
}

#[derive(Serialize)]
struct Meta {
    /// Unix seconds.
    online_at: u64,
    typing: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum In {
    Typing { typing: bool },
    Untrack,
}

impl Channel for Lobby {
    type Socket = UserSocket;
    type Params = ();
    type In = In;
    type Info = ();

    async fn join(_: &Topic, (): (), cx: &Context<Self>) -> Result<Joined<Self>> {
        let meta = Meta {
            online_at: SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
            typing: false,
        };
        cx.track(key(cx), &meta)?;
        cx.push_presence_state();
        Ok(Self { meta }.into())
    }

    async fn handle_in(&mut self, event: In, cx: &Context<Self>) -> Result {
        match event {
            In::Typing { typing } => {
                self.meta.typing = typing;
                cx.update(key(cx), &self.meta)
                    .map_err(|error| refuse(error.to_string()))?;
            }
            In::Untrack => cx.untrack(key(cx)),
        }
        Ok(Reply::ok())
    }
}

fn key(cx: &Context<Lobby>) -> &str {
    cx.socket().user_id.as_deref().unwrap_or("anonymous")
}
