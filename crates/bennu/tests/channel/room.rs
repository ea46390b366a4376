//! The channels under test.

use std::sync::Arc;

use bennu::{
    Broadcast, Channel, ConnectInfo, Context, Endpoint, Handle, Joined, Payload, Reason, Reply,
    ReplyTo, Result, Routes, Socket, SocketOptions, Topic, refuse,
    testing::{Client, ClientChannel, connect},
};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

pub(crate) struct App {
    notes: mpsc::UnboundedSender<String>,
    handles: mpsc::UnboundedSender<Handle<Room>>,
}

/// An endpoint, and what its channels tell the test.
pub(crate) struct Stage {
    pub(crate) endpoint: Endpoint<App>,
    pub(crate) notes: mpsc::UnboundedReceiver<String>,
    handles: mpsc::UnboundedReceiver<Handle<Room>>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with(SocketOptions::new())
    }

    pub(crate) fn with(options: SocketOptions) -> Self {
        let ((notes, noted), (handles, handled)) =
            (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        Self {
            endpoint: Endpoint::new(App { notes, handles })
                .options(options)
                .socket::<User>("/socket"),
            notes: noted,
            handles: handled,
        }
    }

    pub(crate) async fn client(&self) -> Client {
        let params = json!({"user_id": 7});
        connect(&self.endpoint, "/socket", params).await.unwrap()
    }

    /// A client of its own in a room.
    pub(crate) async fn room(&self) -> ClientChannel {
        let client = self.client().await;
        client
            .subscribe_and_join("room:1", json!({}))
            .await
            .unwrap()
    }

    /// The server's side of a room, to send it messages.
    pub(crate) async fn joined(&mut self) -> (ClientChannel, Handle<Room>) {
        let room = self.room().await;
        (room, self.handles.recv().await.unwrap())
    }

    pub(crate) async fn noted(&mut self) -> String {
        self.notes.recv().await.unwrap()
    }
}

/// Phoenix's `socket.assigns` and `socket.id`.
#[derive(Debug)]
pub(crate) struct User {
    pub(crate) user_id: u64,
    app: Arc<App>,
}

#[derive(Deserialize)]
pub(crate) struct Login {
    user_id: u64,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("App")
    }
}

impl Socket for User {
    type App = App;
    type Params = Login;

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes
            .channel::<Room>("room:*")
            .channel_with::<Room>("special", "a static assign")
    }

    async fn connect(app: &Arc<App>, login: Login, _: &ConnectInfo) -> Result<Self> {
        match login.user_id {
            0 => Err(refuse("nobody")),
            user_id => Ok(Self {
                user_id,
                app: app.clone(),
            }),
        }
    }

    fn id(&self) -> Option<String> {
        Some(format!("user:{}", self.user_id))
    }
}

pub(crate) struct Room {
    later: Option<ReplyTo>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum In {
    Noreply(Payload),
    Reply(Payload),
    Status,
    Later,
    NowLater,
    Broadcast(Payload),
    BroadcastFrom(Payload),
    Push(Payload),
    StopWithReply,
    StopWithPush,
    StopWithout,
    Crash,
    Assigns,
    Subscribe { topic: String },
    ReplyTo,
}

/// What other tasks ask of a room.
pub(crate) enum Info {
    Stop,
    Push(&'static str),
    Broadcast(&'static str),
    /// A call, as in `GenServer.call`.
    Call(oneshot::Sender<String>),
    ReplyTo(oneshot::Sender<bool>),
}

impl Channel for Room {
    type Socket = User;
    type Params = Payload;
    type In = In;
    type Info = Info;

    const INTERCEPT: &'static [&'static str] = &["stop", "intercepted"];

    async fn join(topic: &Topic, params: Payload, cx: &Context<Self>) -> Result<Joined<Self>> {
        match topic.subtopic() {
            "refused" => return Err(refuse(json!({"why": params}))),
            "crash" => panic!("asked to panic in join"),
            _ => {}
        }
        let _ = cx.socket().app.handles.send(cx.handle());
        Ok(Joined::with_reply(Self { later: None }, params))
    }

    async fn handle_in(&mut self, event: In, cx: &Context<Self>) -> Result {
        match event {
            In::Noreply(payload) => cx.push("noreply", &payload),
            In::Reply(payload) => return Ok(Reply::with(payload)),
            In::Status => return Ok(Reply::ok()),
            In::Later => self.later = cx.reply_to(),
            In::NowLater => {
                if let Some(later) = self.later.take() {
                    later.reply(Reply::with(json!({"async": "reply"})));
                }
            }
            In::Broadcast(payload) => cx.broadcast("broadcast", &payload),
            In::BroadcastFrom(payload) => cx.broadcast_from("broadcast", &payload),
            In::Push(payload) => cx.push("pushed", &payload),
            In::StopWithReply => {
                cx.stop();
                return Ok(Reply::with(json!({"req": "foo"})));
            }
            In::StopWithPush => {
                cx.push("farewell", &json!({}));
                cx.stop();
            }
            In::StopWithout => cx.stop(),
            In::Crash => panic!("asked to panic"),
            In::Assigns => return Ok(Reply::with(cx.assigns::<&str>())),
            In::Subscribe { topic } => cx.subscribe(topic),
            In::ReplyTo => return Ok(Reply::status("ref", cx.reply_to().is_some())),
        }
        Ok(Reply::none())
    }

    async fn handle_out(&mut self, out: &Broadcast, cx: &Context<Self>) -> Result<()> {
        if out.event() == "stop" {
            cx.stop();
        }
        cx.push(
            out.event(),
            &json!({"from": out.topic().as_str(), "payload": out.payload()}),
        );
        Ok(())
    }

    async fn handle_info(&mut self, info: Info, cx: &Context<Self>) -> Result<()> {
        match info {
            Info::Stop => cx.stop(),
            Info::Push(event) => cx.push(event, &json!({})),
            Info::Broadcast(event) => cx.broadcast(event, &json!({"n": 1})),
            Info::Call(answer) => {
                let _ = answer.send(cx.topic().to_string());
            }
            Info::ReplyTo(answer) => {
                let _ = answer.send(cx.reply_to().is_some());
            }
        }
        Ok(())
    }

    async fn terminate(&mut self, reason: Reason, cx: &Context<Self>) {
        if cx.topic().subtopic() == "stubborn" {
            std::future::pending::<()>().await;
        }
        let _ = cx.socket().app.notes.send(format!("{reason:?}"));
    }
}
