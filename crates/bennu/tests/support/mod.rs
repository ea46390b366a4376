//! A client over a byte stream in memory, so that a test holds both ends and the clock.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::allow_attributes,
    clippy::needless_pass_by_value,
    reason = "each test uses a part of it"
)]

use std::sync::Arc;

use bennu::{
    Channel, ConnectInfo, Context, Endpoint, Joined, Payload, Reason, Reply, Result, Routes,
    Socket, SocketOptions, Topic,
};
use futures_util::{SinkExt, StreamExt};
use http::Request;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::DuplexStream,
    sync::{Notify, mpsc},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

/// What the test knows of the channels.
#[derive(Default)]
pub struct App {
    /// Lets a `wait` go on.
    pub go: Notify,
    /// Told of what happens to channels.
    pub told: Option<mpsc::UnboundedSender<String>>,
}

impl App {
    fn tell(&self, what: String) {
        if let Some(told) = &self.told {
            let _ = told.send(what);
        }
    }
}

pub struct User;

impl Socket for User {
    type App = App;
    type Params = ();

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes.channel::<Room>("room:*")
    }

    async fn connect(_: &Arc<App>, (): (), _: &ConnectInfo) -> Result<Self> {
        Ok(Self)
    }

    fn id(&self) -> Option<String> {
        Some("user:1".to_owned())
    }
}

#[derive(Default)]
pub struct Room {
    spins: bool,
    kept: Option<Payload>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum In {
    Ping(Payload),
    Shout(Payload),
    /// Replies once the test says `go`.
    Wait,
    /// Sends itself as many messages, and replies how many got through.
    Mail(usize),
    /// Keeps a value.
    Keep(Payload),
    /// Replies with the value kept.
    Kept,
    /// Sends itself values that panic when they are dropped, and then waits.
    Bombs,
    /// Sends itself such values, and panics.
    PanicWithBombs,
    /// Broadcasts "told" to another topic.
    Tell(String),
    /// Once the test says `go`, broadcasts "told" to the topic, whatever becomes of the channel.
    TellLater,
    /// Tracks itself under two keys.
    Track,
    /// Ends what it tracks.
    UntrackAll,
    /// Sends itself a message for each that it gets, for ever.
    Spin,
}

impl Channel for Room {
    type Socket = User;
    type Params = ();
    type In = In;
    type Info = Info;

    async fn join(topic: &Topic, (): (), cx: &Context<Self>) -> Result<Joined<Self>> {
        match topic.subtopic() {
            "stop" => cx.stop(),
            "fail" => cx.fail(),
            "unencodable" => cx.push("x", &std::collections::BTreeMap::from([((), ())])),
            "noted" => {
                let _ = cx.handle().send(Info::Note("noted in join"));
                tokio::task::yield_now().await;
            }
            _ => {}
        }
        if topic.subtopic() == "slow" {
            cx.app().go.notified().await;
        }
        Ok(Self::default().into())
    }

    async fn handle_in(&mut self, event: In, cx: &Context<Self>) -> Result {
        match event {
            In::Ping(payload) => Ok(payload.into()),
            In::Shout(payload) => {
                cx.broadcast("shout", &payload);
                Ok(Reply::none())
            }
            In::Wait => {
                cx.app().go.notified().await;
                Ok(Reply::ok())
            }
            In::Mail(count) => {
                let handle = cx.handle();
                Ok(Reply::with(
                    (0..count)
                        .filter(|_| handle.send(Info::Spin).is_ok())
                        .count(),
                ))
            }
            In::Keep(payload) => {
                self.kept = Some(payload);
                Ok(Reply::ok())
            }
            In::Kept => Ok(Reply::with(&self.kept)),
            In::Bombs => {
                send_bombs(cx);
                cx.app().go.notified().await;
                Ok(Reply::ok())
            }
            In::PanicWithBombs => {
                send_bombs(cx);
                tokio::task::yield_now().await;
                panic!("asked to panic");
            }
            In::Tell(topic) => {
                cx.broadcast_to(topic, "told", &());
                Ok(Reply::none())
            }
            In::TellLater => {
                let (app, topic) = (cx.app().clone(), cx.topic().clone());
                let broadcaster = cx.broadcaster();
                tokio::spawn(async move {
                    app.go.notified().await;
                    broadcaster.broadcast(topic, "told", "later");
                });
                Ok(Reply::ok())
            }
            In::Track => {
                cx.track("a", &json!({}))?;
                cx.track("b", &json!({}))?;
                Ok(Reply::none())
            }
            In::UntrackAll => {
                cx.untrack_all();
                Ok(Reply::none())
            }
            In::Spin => {
                self.spins = true;
                let _ = cx.handle().send(Info::Spin);
                Ok(Reply::ok())
            }
        }
    }

    async fn handle_info(&mut self, info: Info, cx: &Context<Self>) -> Result<()> {
        if let Info::Note(note) = info {
            cx.push("note", note);
        } else if self.spins {
            let _ = cx.handle().send(Info::Spin);
        }
        Ok(())
    }

    async fn terminate(&mut self, reason: Reason, cx: &Context<Self>) {
        cx.app().tell(format!("{reason:?}"));
        if cx.topic().subtopic() == "stubborn" {
            std::future::pending::<()>().await;
        }
    }
}

pub enum Info {
    Spin,
    Note(&'static str),
    Bomb(Bomb),
}

/// Panics when it's dropped.
pub struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

fn send_bombs(cx: &Context<Room>) {
    for _ in 0..3 {
        let _ = cx.handle().send(Info::Bomb(Bomb));
    }
}

pub fn endpoint(options: SocketOptions) -> Endpoint<App> {
    Endpoint::new(App::default())
        .options(options)
        .socket::<User>("/socket")
}

/// One client. What the server sends waits in the stream, which holds `stream_bytes`.
pub struct Client(pub WebSocketStream<DuplexStream>);

impl Client {
    pub async fn connect<A: Send + Sync + 'static>(
        endpoint: &Endpoint<A>,
        stream_bytes: usize,
    ) -> Self {
        let (client, server) = tokio::io::duplex(stream_bytes);
        let request = Request::get("/socket/websocket?vsn=2.0.0")
            .body(())
            .unwrap();
        endpoint.serve_upgraded(request, server).await.unwrap();
        Self(WebSocketStream::from_raw_socket(client, Role::Client, None).await)
    }

    pub async fn send(&mut self, message: Value) {
        self.0
            .send(Message::text(message.to_string()))
            .await
            .unwrap();
    }

    /// Sends messages so that they come with one read.
    pub async fn send_at_once(&mut self, messages: Vec<Value>) {
        for message in messages {
            self.0
                .feed(Message::text(message.to_string()))
                .await
                .unwrap();
        }
        self.0.flush().await.unwrap();
    }

    /// The next message from the server, a close as `["close", code, reason]`, the stream's end as null.
    pub async fn recv(&mut self) -> Value {
        match self.0.next().await {
            Some(Ok(Message::Text(text))) => serde_json::from_str(&text).unwrap(),
            Some(Ok(Message::Close(Some(close)))) => {
                json!(["close", u16::from(close.code), close.reason.as_str()])
            }
            Some(Ok(other)) => panic!("unexpected {other:?}"),
            Some(Err(_)) | None => Value::Null,
        }
    }

    pub async fn join(&mut self, topic: &str) {
        self.send(json!(["1", "1", topic, "phx_join", {}])).await;
        assert_eq!(self.recv().await, reply("1", topic, "ok", json!({})));
    }
}

/// A reply to join ref "1".
pub fn reply(r#ref: &str, topic: &str, status: &str, response: Value) -> Value {
    json!(["1", r#ref, topic, "phx_reply", {"status": status, "response": response}])
}

/// Waits until there are no more connections than that.
pub async fn emptied<A: Send + Sync + 'static>(endpoint: &Endpoint<A>, connections: usize) {
    while endpoint.connections() > connections {
        tokio::task::yield_now().await;
    }
}
