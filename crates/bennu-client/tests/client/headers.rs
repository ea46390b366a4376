//! What the server sees of a client before it lets it in.

use std::sync::Arc;

use bennu::{
    Channel, ConnectInfo, Context, Endpoint, Joined, LongPoll, Routes, SocketOptions, Topic,
};
use bennu_client::{Bytes, Payload};
use serde_json::{Value, json};

use crate::kit::{BOTH, client, within};

/// Remembers what it was connected with.
struct Visitor(Value);

impl bennu::Socket for Visitor {
    type App = ();
    type Params = Value;

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes.channel::<Mirror>("mirror")
    }

    async fn connect(_: &Arc<()>, params: Value, info: &ConnectInfo) -> bennu::Result<Self> {
        let header = |name| info.header(name);
        Ok(Self(json!({
            "params": params,
            "token": info.auth_token(),
            "user_agent": header("user-agent"),
            "cookie": header("cookie"),
            "path": info.uri().path(),
        })))
    }
}

/// Answers a join with what the socket was connected with and the join's own params.
struct Mirror;

impl Channel for Mirror {
    type Socket = Visitor;
    type Params = Payload;
    type In = ();
    type Info = ();

    async fn join(_: &Topic, params: Payload, cx: &Context<Self>) -> bennu::Result<Joined<Self>> {
        let connected = &cx.socket().0;
        if let Payload::Binary(bytes) = &params {
            return Ok(Joined::with_reply(Self, bytes));
        }
        let reply = json!({"connected": connected, "joined": params.decode::<Value>()?});
        Ok(Joined::with_reply(Self, reply))
    }

    async fn handle_in(&mut self, (): (), _: &Context<Self>) -> bennu::Result {
        Ok(bennu::Reply::none())
    }
}

#[tokio::test]
async fn params_tokens_and_headers_arrive() {
    let options = SocketOptions::new().auth_token(true);
    let endpoint = Endpoint::new(())
        .options(options.longpoll(LongPoll::default()))
        .socket::<Visitor>("/a/b");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/a/b?given=1", listener.local_addr().unwrap());
    tokio::spawn(async move { bennu::serve(listener, endpoint.router()).await });
    for (transport, path) in BOTH.into_iter().zip(["/a/b/websocket", "/a/b/longpoll"]) {
        let socket = client(&url, transport)
            .params(&json!({"name": "é &=", "nested": {"list": [1, "2"]}, "none": null}))
            .auth_token("secret/+=token")
            .header("cookie", "a=1")
            .open();
        let socket = within(socket).await.unwrap();
        let mirror = socket.channel("mirror").params(&json!({"x": [1]})).join();
        let mut reply: Value = within(mirror).await.unwrap().joined().unwrap();
        assert_eq!(reply["joined"], json!({"x": [1]}));
        let connected = &mut reply["connected"];
        let agent = concat!("bennu-client/", env!("CARGO_PKG_VERSION"));
        let params = connected["params"].take();
        assert_eq!(params["name"], "é &=", "{params}");
        assert_eq!(params["nested"], json!({"list": ["1", "2"]}));
        assert_eq!(
            (&params["given"], &params["none"]),
            (&json!("1"), &Value::Null)
        );
        assert_eq!(params["vsn"], "2.0.0");
        assert_eq!(connected["token"], "secret/+=token");
        assert_eq!(connected["user_agent"], agent);
        assert_eq!(connected["cookie"], "a=1");
        assert_eq!(connected["path"], path);

        // Bytes may be params and a join's answer.
        let bytes = Bytes::from_static(&[0, 255, 10]);
        let mirror = socket.channel("mirror").params(&bytes).join();
        assert_eq!(within(mirror).await.unwrap().reply(), Payload::from(bytes));
    }
}
