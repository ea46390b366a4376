//! A server to talk to, in this process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use bennu::{
    Broadcast, Channel, ConnectInfo, Context, Endpoint, Joined, LongPoll, Reply, Result, Routes,
    Socket, SocketOptions, Topic, refuse,
};
use serde::Deserialize;
use serde_json::{Value, json};

pub(crate) struct User {
    name: String,
}

#[derive(Deserialize)]
pub(crate) struct Params {
    #[serde(default)]
    token: String,
}

impl Socket for User {
    type App = ();
    type Params = Params;

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes.channel::<Room>("room:*")
    }

    /// A token is a name; "bad" isn't.
    async fn connect(_: &Arc<()>, Params { token }: Params, info: &ConnectInfo) -> Result<Self> {
        let token = info.auth_token().map_or(token, str::to_owned);
        match &*token {
            "bad" => Err(refuse("bad token")),
            _ => Ok(Self { name: token }),
        }
    }

    fn id(&self) -> Option<String> {
        Some(format!("user:{}", self.name))
    }
}

pub(crate) struct Room {
    join: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum In {
    /// Who it is, how it joined, and what it said.
    Ping(Value),
    Fail(Value),
    Queue,
    Shout(Value),
    Silence,
    Crash,
    /// Ends the channel.
    Stop,
    /// Ends all connections of who says it.
    Kick,
}

impl Channel for Room {
    type Socket = User;
    type Params = Value;
    type In = In;
    type Info = ();
    const INTERCEPT: &'static [&'static str] = &["end"];

    async fn join(topic: &Topic, join: Value, cx: &Context<Self>) -> Result<Joined<Self>> {
        match topic.subtopic() {
            "private" => return Err(refuse("unauthorized")),
            "there" => {
                cx.track(&cx.socket().name, &json!({"as": "guest"}))?;
                cx.push_presence_state();
            }
            _ => {}
        }
        Ok(Joined::with_reply(
            Self { join },
            json!({"welcome": cx.socket().name}),
        ))
    }

    async fn handle_in(&mut self, event: In, cx: &Context<Self>) -> Result {
        let name = &cx.socket().name;
        match event {
            In::Ping(said) => Ok(Reply::with(
                json!({"name": name, "join": self.join, "said": said}),
            )),
            In::Fail(why) => Err(refuse(why)),
            In::Queue => Ok(Reply::status("queued", 7)),
            In::Shout(said) => {
                cx.broadcast("shout", &said);
                Ok(Reply::none())
            }
            In::Silence => Ok(Reply::none()),
            In::Crash => panic!("asked to"),
            In::Stop => {
                cx.stop();
                Ok(Reply::none())
            }
            In::Kick => {
                cx.broadcast_to(format!("user:{name}"), "disconnect", &());
                Ok(Reply::none())
            }
        }
    }

    /// `end` ends all channels of the topic, but for one that never comes to it.
    async fn handle_out(&mut self, _: &Broadcast, cx: &Context<Self>) -> Result<()> {
        if cx.topic().subtopic() == "stuck" {
            std::future::pending::<()>().await;
        }
        cx.stop();
        Ok(())
    }
}

/// A server on a free port, for as long as this process runs.
pub(crate) struct Server {
    pub(crate) endpoint: Endpoint<()>,
    address: SocketAddr,
}

impl Server {
    pub(crate) fn start() -> Self {
        let options = SocketOptions::new()
            .longpoll(LongPoll::default())
            .auth_token(true);
        let endpoint = Endpoint::new(()).options(options).socket::<User>("/socket");
        let router = endpoint.router();
        let (tell, told) = std::sync::mpsc::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build();
            runtime.unwrap().block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                bennu::serve(listener, router).await.unwrap();
            });
        });
        let address = told.recv().unwrap();
        Self { endpoint, address }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/socket", self.address)
    }
}
