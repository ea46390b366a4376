//! The sockets and channels under test.

use std::sync::Arc;

use bennu::{
    Broadcast, Bytes, Channel, ConnectInfo, Context, Joined, Payload, Reason, Reply, Result,
    Routes, Socket, Topic, refuse,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::server::App;

pub(crate) struct UserSocket {
    app: Arc<App>,
    user: Option<String>,
    /// What the socket was told when it connected.
    told: Value,
}

impl Socket for UserSocket {
    type App = App;
    type Params = Value;

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes
            .channel::<Room>("room:*")
            .channel_with::<Room>("assigned:*", "by the route".to_owned())
            .channel::<Info>("info")
    }

    async fn connect(app: &Arc<App>, params: Value, info: &ConnectInfo) -> Result<Self> {
        match params.get("refuse").and_then(Value::as_str) {
            None => {}
            Some("panic") => panic!("asked to panic"),
            Some("error") => Err(std::io::Error::other("the database is down"))?,
            Some(why) => return Err(refuse(why)),
        }
        Ok(Self {
            app: app.clone(),
            user: params
                .get("user")
                .and_then(Value::as_str)
                .map(str::to_owned),
            told: json!({
                "params": params,
                "auth_token": info.auth_token(),
                "user_agent": info.user_agent(),
                "x": info.header("x-application"),
                "transport": info.transport(),
                "vsn": info.vsn(),
                "from_loopback": info.peer_addr().is_some_and(|it| it.ip().is_loopback()),
            }),
        })
    }

    fn id(&self) -> Option<String> {
        self.user.as_ref().map(|it| format!("user:{it}"))
    }
}

/// Mounted below the other one.
pub(crate) struct AdminSocket;

impl Socket for AdminSocket {
    type App = App;
    type Params = ();

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes.channel::<Admin>("admin")
    }

    async fn connect(_: &Arc<App>, (): (), _: &ConnectInfo) -> Result<Self> {
        Ok(Self)
    }
}

struct Admin;

impl Channel for Admin {
    type Socket = AdminSocket;
    type Params = ();
    type In = ();
    type Info = ();

    async fn join(_: &Topic, (): (), _: &Context<Self>) -> Result<Joined<Self>> {
        Ok(Joined::with_reply(Self, "admin"))
    }

    async fn handle_in(&mut self, (): (), _: &Context<Self>) -> Result {
        Ok(Reply::none())
    }
}

/// Says what its socket knows.
struct Info;

impl Channel for Info {
    type Socket = UserSocket;
    type Params = ();
    type In = ();
    type Info = ();

    async fn join(_: &Topic, (): (), cx: &Context<Self>) -> Result<Joined<Self>> {
        Ok(Joined::with_reply(Self, &cx.socket().told))
    }

    async fn handle_in(&mut self, (): (), _: &Context<Self>) -> Result {
        Ok(Reply::none())
    }
}

/// Does in its callbacks what a script asks for.
struct Room {
    count: u64,
    /// Whether to say farewell.
    farewell: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a script names what it wants"
)]
struct JoinRoom {
    refuse: Option<Value>,
    panic: bool,
    gate: Option<String>,
    reply: Option<Value>,
    reply_bytes: bool,
    push: bool,
    farewell: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum In {
    Echo(Payload),
    No(Payload),
    Refuse,
    Fault,
    Weird,
    Quiet,
    Twice,
    Count,
    Sum { a: i64, b: i64 },
    Assigns,
    Later { n: u64 },
    Push(Payload),
    PushMany { n: u64 },
    Bc(Payload),
    BcFrom(Payload),
    Special(Payload),
    Subscribe { topic: String },
    Unsubscribe { topic: String },
    Gated { gate: String },
    Boom,
    Stop,
    Fail,
    BinEcho(Bytes),
    BinPush,
    BinBc,
}

impl Channel for Room {
    type Socket = UserSocket;
    type Params = Payload;
    type In = In;
    type Info = u64;

    const INTERCEPT: &'static [&'static str] = &["special"];

    async fn join(_: &Topic, params: Payload, cx: &Context<Self>) -> Result<Joined<Self>> {
        let join: JoinRoom = params.decode().unwrap_or_default();
        if let Some(gate) = join.gate {
            cx.socket().app.note(format!("{} is at {gate}", cx.topic()));
            cx.socket().app.pass(&gate).await;
        }
        if let Some(reason) = join.refuse {
            return Err(refuse(reason));
        }
        assert!(!join.panic, "asked to panic");
        if join.push {
            cx.broadcast("from_join", &json!({"topic": cx.topic().as_str()}));
            cx.push("pushed_in_join", &json!({}));
        }
        let room = Self {
            count: 0,
            farewell: join.farewell,
        };
        Ok(match join.reply {
            _ if join.reply_bytes => Joined::with_reply(room, Bytes::from_static(b"BIN")),
            Some(reply) => Joined::with_reply(room, reply),
            None => room.into(),
        })
    }

    async fn handle_in(&mut self, event: In, cx: &Context<Self>) -> Result {
        match event {
            In::Echo(payload) => return Ok(Reply::with(payload)),
            In::No(payload) => return Ok(Reply::error(payload)),
            In::Refuse => return Err(refuse("because")),
            In::Fault => Err(std::io::Error::other("the database is down"))?,
            In::Weird => return Ok(Reply::status("weird", [1, 2])),
            In::Quiet => return Ok(Reply::none()),
            In::Twice => {
                let reply_to = cx.reply_to().unwrap();
                reply_to.reply(Reply::with(1));
                reply_to.reply(Reply::with(2));
                return Ok(Reply::none());
            }
            In::Count => {
                self.count += 1;
                return Ok(Reply::with(self.count));
            }
            In::Sum { a, b } => return Ok(Reply::with(a + b)),
            In::Assigns => return Ok(Reply::with(cx.assigns::<String>())),
            In::Later { n } => {
                let handle = cx.handle();
                tokio::spawn(async move { handle.send(n) });
                return Ok(Reply::none());
            }
            In::Push(payload) => cx.push("pushed", &payload),
            In::PushMany { n } => {
                for n in 0..n {
                    cx.push("pushed", &json!({"n": n}));
                }
            }
            In::Bc(payload) => cx.broadcast("bced", &payload),
            In::BcFrom(payload) => cx.broadcast_from("bced", &payload),
            In::Special(payload) => cx.broadcast("special", &payload),
            In::Subscribe { topic } => cx.subscribe(topic),
            In::Unsubscribe { topic } => cx.unsubscribe(&topic),
            In::Gated { gate } => {
                cx.socket().app.note(format!("{} is at {gate}", cx.topic()));
                cx.socket().app.pass(&gate).await;
            }
            In::Boom => panic!("asked to panic"),
            In::Stop => cx.stop(),
            In::Fail => cx.fail(),
            In::BinEcho(bytes) => return Ok(Reply::with(bytes)),
            In::BinPush => cx.push("pb", &Bytes::from_static(&[9, 8])),
            In::BinBc => cx.broadcast("bb", &Bytes::from_static(&[1, 2, 3])),
        }
        Ok(Reply::ok())
    }

    async fn handle_info(&mut self, n: u64, cx: &Context<Self>) -> Result<()> {
        cx.push("info", &json!({"n": n}));
        Ok(())
    }

    async fn handle_out(&mut self, out: &Broadcast, cx: &Context<Self>) -> Result<()> {
        let payload: Value = out.decode()?;
        cx.push(
            out.event(),
            &json!({"from": out.topic().as_str(), "payload": payload}),
        );
        Ok(())
    }

    async fn terminate(&mut self, reason: Reason, cx: &Context<Self>) {
        if self.farewell {
            cx.push("farewell", &json!({}));
            cx.socket()
                .app
                .note(format!("{} ended: {reason:?}", cx.topic()));
        }
    }
}
