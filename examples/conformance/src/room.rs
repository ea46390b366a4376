//! `room:*`: what clients can do to one another and to their channel.

use std::time::Duration;

use bennu::{Bytes, Channel, Context, Joined, Payload, Reply, Result, Topic, refuse};
use serde::Deserialize;

use crate::socket::UserSocket;

#[derive(Default)]
pub(crate) struct Room {
    value: Option<Payload>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum In {
    Ping(Payload),
    Fail(Payload),
    Shout(Payload),
    Whisper(Payload),
    PushMe(Payload),
    Slow { ms: u64 },
    Crash,
    Stop,
    Bin(Bytes),
    BinShout(Bytes),
    Set(Payload),
    Get,
}

impl Channel for Room {
    type Socket = UserSocket;
    type Params = Payload;
    type In = In;
    type Info = ();

    #[expect(clippy::panic, reason = "clients want to see what a crash looks like")]
    async fn join(topic: &Topic, params: Payload, _: &Context<Self>) -> Result<Joined<Self>> {
        #[derive(Deserialize)]
        struct Secret {
            token: String,
        }
        match topic.subtopic() {
            "private" if !params.decode().is_ok_and(|it: Secret| it.token == "secret") => {
                Err(refuse("unauthorized"))
            }
            "joincrash" => panic!("asked to crash in join"),
            "slow" => {
                tokio::time::sleep(Duration::from_millis(500)).await;
                Ok(Self::default().into())
            }
            _ => Ok(Self::default().into()),
        }
    }

    #[expect(clippy::panic, reason = "clients want to see what a crash looks like")]
    async fn handle_in(&mut self, event: In, cx: &Context<Self>) -> Result {
        match event {
            In::Ping(payload) => Ok(payload.into()),
            In::Fail(payload) => Ok(Reply::error(payload)),
            In::Shout(payload) => {
                cx.broadcast("shout", &payload);
                Ok(Reply::none())
            }
            In::Whisper(payload) => {
                cx.broadcast_from("whisper", &payload);
                Ok(Reply::none())
            }
            In::PushMe(payload) => {
                cx.push("pushed", &payload);
                Ok(Reply::none())
            }
            In::Slow { ms } => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                Ok(Reply::ok())
            }
            In::Crash => panic!("asked to crash"),
            In::Stop => {
                cx.stop();
                Ok(Reply::none())
            }
            In::Bin(bytes) => Ok(Reply::with(bytes)),
            In::BinShout(bytes) => {
                cx.broadcast("bin_shout", &bytes);
                Ok(Reply::none())
            }
            In::Set(payload) => {
                self.value = Some(payload);
                Ok(Reply::ok())
            }
            In::Get => Ok(self.value.as_ref().map_or_else(Reply::ok, Reply::with)),
        }
    }
}
