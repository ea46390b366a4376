//! Sockets and channels of the tests, and a client in memory.

use std::sync::Arc;

use bennu::{
    Channel, ConnectInfo, Context, Endpoint, Joined, Level, LongPoll, Payload, RawContext,
    RawMessage, RawSocket, Reply, Result, Routes, Socket, SocketOptions, Topic, refuse,
};
use futures_util::{SinkExt, StreamExt};
use http::{Request, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{io::DuplexStream, sync::Notify};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

/// Lets a `wait` go on.
#[derive(Default)]
pub(crate) struct App(pub(crate) Notify);

pub(crate) struct User(Arc<App>);

#[derive(Deserialize)]
pub(crate) struct Login {
    #[serde(default)]
    token: String,
    #[serde(default)]
    age: u8,
}

impl Socket for User {
    type App = App;
    type Params = Login;

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes
            .channel::<Room>("room:*")
            .channel::<Room>("phoenix:*")
            .channel::<Quiet>("quiet:*")
    }

    async fn connect(app: &Arc<App>, login: Login, _: &ConnectInfo) -> Result<Self> {
        match (&*login.token, login.age) {
            ("bad", _) => Err(refuse("bad token")),
            ("fail", _) => Err(std::io::Error::other("no database"))?,
            ("panic", _) => panic!("asked to"),
            _ => Ok(Self(app.clone())),
        }
    }

    fn id(&self) -> Option<String> {
        Some("user:1".to_owned())
    }
}

pub(crate) struct Room;

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum In {
    Ping(Payload),
    Shout(Payload),
    Wait,
    Mail(usize),
    Crash,
    Track,
}

impl Channel for Room {
    type Socket = User;
    type Params = Payload;
    type In = In;
    type Info = ();

    async fn join(topic: &Topic, _: Payload, cx: &Context<Self>) -> Result<Joined<Self>> {
        match topic.subtopic() {
            "private" => Err(refuse("unauthorized")),
            "crash" => panic!("asked to"),
            "slow" => {
                cx.socket().0.0.notified().await;
                Ok(Self.into())
            }
            _ => Ok(Self.into()),
        }
    }

    async fn handle_in(&mut self, event: In, cx: &Context<Self>) -> Result {
        tracing::info!(target: "test", "in handle_in");
        match event {
            In::Ping(payload) => Ok(Reply::with(payload)),
            In::Shout(payload) => {
                cx.broadcast("shout", &payload);
                Ok(Reply::none())
            }
            In::Wait => {
                cx.socket().0.0.notified().await;
                Ok(Reply::ok())
            }
            In::Mail(count) => {
                let handle = cx.handle();
                let sent = (0..count).filter(|_| handle.send(()).is_ok()).count();
                Ok(Reply::with(sent))
            }
            In::Crash => panic!("asked to"),
            In::Track => {
                cx.track("ana", &json!({}))?;
                Ok(Reply::ok())
            }
        }
    }
}

/// Its joins and events aren't logged at the usual levels.
pub(crate) struct Quiet;

impl Channel for Quiet {
    type Socket = User;
    type Params = ();
    type In = In;
    type Info = ();

    const LOG_JOIN: Option<Level> = None;
    const LOG_HANDLE_IN: Option<Level> = Some(Level::WARN);

    async fn join(_: &Topic, (): (), _: &Context<Self>) -> Result<Joined<Self>> {
        Ok(Self.into())
    }

    async fn handle_in(&mut self, _: In, _: &Context<Self>) -> Result {
        Ok(Reply::ok())
    }
}

/// A raw socket that panics when it's told to, or closes.
pub(crate) struct Raw;

impl RawSocket for Raw {
    type App = App;
    type Params = ();
    type Info = ();

    async fn connect(_: &Arc<App>, (): (), _: &ConnectInfo) -> Result<Self> {
        Ok(Self)
    }

    async fn handle_in(&mut self, message: RawMessage, cx: &RawContext<Self>) -> Result<()> {
        if message == RawMessage::Text("close".into()) {
            cx.close(4000, "bye");
            return Ok(());
        }
        panic!("asked to")
    }
}

/// An endpoint with `/socket`, and a raw socket at `/raw`.
pub(crate) fn endpoint(options: SocketOptions) -> Endpoint<App> {
    Endpoint::new(App::default())
        .options(options.longpoll(LongPoll::default()))
        .socket::<User>("/socket")
        .raw_socket::<Raw>("/raw")
}

pub(crate) struct Client(pub(crate) WebSocketStream<DuplexStream>);

impl Client {
    pub(crate) async fn connect(endpoint: &Endpoint<App>) -> Self {
        Self::connect_to(endpoint, "/socket/websocket?vsn=2.0.0", &[]).await
    }

    pub(crate) async fn connect_to(
        endpoint: &Endpoint<App>,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Self {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (client, server) = tokio::io::duplex(1 << 20);
        let request = request.body(()).unwrap();
        endpoint.serve_upgraded(request, server).await.unwrap();
        Self(WebSocketStream::from_raw_socket(client, Role::Client, None).await)
    }

    pub(crate) async fn send(&mut self, message: Value) {
        let message = Message::text(message.to_string());
        self.0.send(message).await.unwrap();
    }

    /// The next message, a close as `["close", code, reason]`, the stream's end as null.
    pub(crate) async fn recv(&mut self) -> Value {
        match self.0.next().await {
            Some(Ok(Message::Text(text))) => serde_json::from_str(&text).unwrap(),
            Some(Ok(Message::Close(Some(close)))) => {
                json!(["close", u16::from(close.code), close.reason.as_str()])
            }
            Some(Ok(other)) => panic!("unexpected {other:?}"),
            Some(Err(_)) | None => Value::Null,
        }
    }

    /// Sends a message and waits for the next one from the server.
    pub(crate) async fn ask(&mut self, message: Value) -> Value {
        self.send(message).await;
        self.recv().await
    }

    pub(crate) async fn join(&mut self, topic: &str) {
        let reply = self.ask(json!(["1", "1", topic, "phx_join", {}])).await;
        assert_eq!(reply[4]["status"], "ok", "{reply}");
    }
}

/// The status that a client is refused with.
pub(crate) async fn refused(endpoint: &Endpoint<App>, path: &str) -> StatusCode {
    let (_, server) = tokio::io::duplex(16);
    let request = Request::get(path).body(()).unwrap();
    endpoint.serve_upgraded(request, server).await.unwrap_err()
}
