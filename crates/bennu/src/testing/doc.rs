// What the examples of `bennu::testing` share: each includes this file. It's no module of the library.

use std::sync::Arc;

use bennu::{Channel, ConnectInfo, Context, Endpoint, Joined, Payload, Reply, Routes, Socket, Topic, refuse};
use serde::Deserialize;

struct User {
    name: String,
}

#[derive(Deserialize)]
struct Login {
    name: String,
}

impl Socket for User {
    type App = ();
    type Params = Login;

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes.channel::<Room>("room:*")
    }

    async fn connect(_: &Arc<()>, login: Login, _: &ConnectInfo) -> bennu::Result<Self> {
        match login.name.as_str() {
            "mallory" => Err(refuse("not you")),
            _ => Ok(Self { name: login.name }),
        }
    }
}

struct Room;

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum In {
    Ping(Payload),
    Shout(Payload),
}

impl Channel for Room {
    type Socket = User;
    type Params = ();
    type In = In;
    type Info = ();

    async fn join(_: &Topic, (): (), cx: &Context<Self>) -> bennu::Result<Joined<Self>> {
        Ok(Joined::with_reply(Self, serde_json::json!({"name": cx.socket().name})))
    }

    async fn handle_in(&mut self, event: In, cx: &Context<Self>) -> bennu::Result {
        match event {
            In::Ping(payload) => Ok(Reply::with(payload)),
            In::Shout(payload) => {
                cx.broadcast("shout", &payload);
                Ok(Reply::none())
            }
        }
    }
}

fn endpoint() -> Endpoint<()> {
    Endpoint::new(()).socket::<User>("/socket")
}

/// Runs an example with the clock paused, as `#[tokio::test(start_paused = true)]` does.
fn run(example: impl Future<Output = bennu::Result<()>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(example).unwrap();
}
