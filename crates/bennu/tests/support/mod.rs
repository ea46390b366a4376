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

pub struct User(pub Arc<App>);

impl Socket for User {
    type App = App;
    type Params = ();

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes.channel::<Room>("room:*")
    }

    async fn connect(app: &Arc<App>, (): (), _: &ConnectInfo) -> Result<Self> {
        Ok(Self(app.clone()))
    }

    fn id(&self) -> Option<String> {
        Some("user:1".to_owned())
    }
}

#[derive(Default)]
pub struct Room {
    spins: bool,
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
    /// Broadcasts "told" to another topic.
    Tell(String),
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
    type Info = ();

    async fn join(topic: &Topic, (): (), cx: &Context<Self>) -> Result<Joined<Self>> {
        if topic.subtopic() == "slow" {
            cx.socket().0.go.notified().await;
        }
        Ok(Self::default().into())
    }

    async fn handle_in(&mut self, event: In, cx: &Context<Self>) -> Result {
        match event {
            In::Ping(payload) => Ok(Reply::with(payload)),
            In::Shout(payload) => {
                cx.broadcast("shout", &payload);
                Ok(Reply::none())
            }
            In::Wait => {
                cx.socket().0.go.notified().await;
                Ok(Reply::ok())
            }
            In::Mail(count) => {
                let handle = cx.handle();
                Ok(Reply::with(
                    (0..count).filter(|_| handle.send(()).is_ok()).count(),
                ))
            }
            In::Tell(topic) => {
                cx.broadcast_to(topic, "told", &());
                Ok(Reply::none())
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
                let _ = cx.handle().send(());
                Ok(Reply::ok())
            }
        }
    }

    async fn handle_info(&mut self, (): (), cx: &Context<Self>) -> Result<()> {
        if self.spins {
            let _ = cx.handle().send(());
        }
        Ok(())
    }

    async fn terminate(&mut self, reason: Reason, cx: &Context<Self>) {
        cx.socket().0.tell(format!("{reason:?}"));
        if cx.topic().subtopic() == "stubborn" {
            std::future::pending::<()>().await;
        }
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
