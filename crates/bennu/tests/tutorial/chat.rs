use std::sync::Arc;

use axum::{Router, response::Html, routing::get};
use bennu::{
    Channel, ConnectInfo, Context, Endpoint, Joined, Reply, Result, Routes, Socket, Topic, refuse,
};
use serde::{Deserialize, Serialize};

pub struct Person {
    name: String,
}

#[derive(Deserialize)]
pub struct Login {
    name: String,
}

impl Socket for Person {
    type App = ();
    type Params = Login;

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes.channel::<Room>("room:*")
    }

    async fn connect(_: &Arc<()>, login: Login, _: &ConnectInfo) -> Result<Self> {
        let name = login.name.trim().to_owned();
        if name.is_empty() || name.len() > 40 {
            return Err(refuse("a name has 1 to 40 bytes"));
        }
        Ok(Self { name })
    }
}

struct Room {
    sent: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum In {
    Say { text: String },
    Typing,
}

#[derive(Serialize)]
struct Said<'a> {
    from: &'a str,
    text: &'a str,
}

#[derive(Serialize)]
struct Here {
    mood: &'static str,
}

impl Channel for Room {
    type Socket = Person;
    type Params = ();
    type In = In;
    type Info = ();

    async fn join(_: &Topic, (): (), cx: &Context<Self>) -> Result<Joined<Self>> {
        cx.track(&cx.socket().name, &Here { mood: "sunny" })?;
        cx.push_presence_state();
        Ok(Self { sent: 0 }.into())
    }

    async fn handle_in(&mut self, event: In, cx: &Context<Self>) -> Result {
        let from = &cx.socket().name;
        match event {
            In::Say { text } if text.is_empty() => Err(refuse("say something")),
            In::Say { text } => {
                self.sent += 1;
                cx.broadcast("said", &Said { from, text: &text });
                Ok(Reply::with(self.sent))
            }
            In::Typing => {
                cx.broadcast_from("typing", from);
                Ok(Reply::none())
            }
        }
    }
}

const PAGE: &str = r#"<!doctype html>
<meta charset="utf-8"><title>Chat</title>
<p id="here"></p>
<ol id="said"></ol>
<form><input id="text" required autofocus autocomplete="off"><button>Say</button></form>
<script type="module">
  import { Presence, Socket } from "/bennu.mjs"

  const $ = (id) => document.getElementById(id)
  const socket = new Socket("/socket", { params: { name: prompt("Your name?") } })
  socket.connect()

  const room = socket.channel("room:lobby")
  room.on("said", ({ from, text }) => {
    const item = document.createElement("li")
    item.textContent = `${from}: ${text}`
    $("said").append(item)
  })
  const presence = new Presence(room)
  presence.onSync(() => ($("here").textContent = presence.list((name) => name).join(", ")))
  await room.join()

  document.forms[0].onsubmit = async (event) => {
    event.preventDefault()
    await room.push("say", { text: $("text").value })
    $("text").value = ""
  }
</script>
"#;

pub fn endpoint() -> Endpoint<()> {
    Endpoint::new(()).socket::<Person>("/socket")
}

#[tokio::main]
pub async fn main() -> std::io::Result<()> {
    tracing_subscriber::fmt::init();
    let endpoint = endpoint();
    let router = Router::new()
        .route("/", get(async || Html(PAGE)))
        .merge(bennu::client::routes())
        .merge(endpoint.router());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:4000").await?;
    println!("http://localhost:4000");
    bennu::serve(listener, router)
        .drain(&endpoint)
        .with_graceful_shutdown(async { _ = tokio::signal::ctrl_c().await })
        .await
}
