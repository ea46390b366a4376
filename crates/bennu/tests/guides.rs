//! What docs/writing-a-client.md shows going over the wire is what goes over it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says so by panicking"
)]

use std::sync::Arc;

use bennu::{
    Bytes, Channel, ConnectInfo, Context, Endpoint, Joined, Reply, Result, Routes, Socket, Topic,
};
use futures_util::{SinkExt, StreamExt};
use http::Request;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

const GUIDE: &str = include_str!("../../../docs/writing-a-client.md");

struct Client;

impl Socket for Client {
    type App = ();
    type Params = ();

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes.channel::<Room>("room:*")
    }

    async fn connect(_: &Arc<()>, (): (), _: &ConnectInfo) -> Result<Self> {
        Ok(Self)
    }
}

/// Does what the guide says.
struct Room;

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum In {
    NewMsg { body: String },
    Binecho(Bytes),
    Boom,
}

/// What comes behind a reply.
#[derive(Clone, Copy)]
enum Later {
    Text,
    Bytes,
}

impl Channel for Room {
    type Socket = Client;
    type Params = ();
    type In = In;
    type Info = Later;

    async fn join(_: &Topic, (): (), _: &Context<Self>) -> Result<Joined<Self>> {
        Ok(Self.into())
    }

    async fn handle_in(&mut self, event: In, cx: &Context<Self>) -> Result {
        match event {
            In::NewMsg { body } => {
                cx.broadcast("new_msg", &json!({ "body": body }));
                cx.handle().send(Later::Text)?;
                Ok(Reply::ok())
            }
            In::Binecho(bytes) => {
                cx.handle().send(Later::Bytes)?;
                Ok(Reply::with(bytes))
            }
            In::Boom => panic!("as the guide has it"),
        }
    }

    async fn handle_info(&mut self, later: Later, cx: &Context<Self>) -> Result<()> {
        match later {
            Later::Text => cx.push("notice", &json!({"text": "to you alone"})),
            Later::Bytes => {
                cx.push("pb", &Bytes::from_static(&[9, 8]));
                cx.broadcast("bb", &Bytes::from_static(&[1, 2, 3]));
            }
        }
        Ok(())
    }
}

/// Plays the lines of a section that begin with `C` (the client sends) and `S` (the server is to send), `lines` of
/// them, behind a `prelude`.
async fn check(heading: &str, query: &str, prelude: &[&str], lines: usize) {
    let (_, section) = GUIDE.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let script: Vec<_> = section.lines().filter_map(line).collect();
    assert_eq!(script.len(), lines, "lines of {heading:?}");

    let (client, server) = tokio::io::duplex(4096);
    let endpoint = Endpoint::new(()).socket::<Client>("/socket");
    let request = Request::get(format!("/socket/websocket{query}")).body(());
    endpoint
        .serve_upgraded(request.unwrap(), server)
        .await
        .unwrap();
    let mut client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
    let prelude = prelude.iter().filter_map(|it| line(it));
    for (by_client, message) in prelude.chain(script) {
        if by_client {
            client.send(message).await.unwrap();
        } else {
            let got = client.next().await.unwrap().unwrap();
            assert_eq!(value(&got), value(&message), "in {heading:?}");
        }
    }
    // Nothing else was sent: the next answer is that to a heartbeat.
    let heartbeat = json!({"topic": "phoenix", "event": "heartbeat", "payload": {}, "ref": "last"});
    let heartbeat = match query {
        "" => heartbeat,
        _ => json!([null, "last", "phoenix", "heartbeat", {}]),
    };
    client
        .send(Message::text(heartbeat.to_string()))
        .await
        .unwrap();
    let got = client.next().await.unwrap().unwrap();
    assert!(
        got.to_text().unwrap().contains("\"last\""),
        "in {heading:?}: {got:?}"
    );
}

/// Who sends, and what; anything behind it on the line is a remark.
fn line(line: &str) -> Option<(bool, Message)> {
    let (who, rest) = line.split_at_checked(2)?;
    let by_client = match who {
        "C " => true,
        "S " => false,
        _ => return None,
    };
    if rest.starts_with(['[', '{']) {
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        let value = values.next()?.unwrap();
        return Some((by_client, Message::text(value.to_string())));
    }
    let byte = |it: &str| (it.len() == 2).then(|| u8::from_str_radix(it, 16).ok())?;
    let bytes: Vec<u8> = rest.split_whitespace().map_while(byte).collect();
    (!bytes.is_empty()).then(|| (by_client, Message::binary(bytes)))
}

/// A message, with the keys of its objects in whatever order.
fn value(message: &Message) -> Value {
    match message {
        Message::Text(text) => serde_json::from_str(text).unwrap(),
        other => json!(other.clone().into_data().to_vec()),
    }
}

#[tokio::test]
async fn the_session() {
    check("A session", "?vsn=2.0.0", &[], 18).await;
}

#[tokio::test]
async fn the_binary_frames() {
    let join = [
        r#"C ["5","5","room:a","phx_join",{}]"#,
        r#"S ["5","5","room:a","phx_reply",{"status":"ok","response":{}}]"#,
    ];
    check("Binary frames", "?vsn=2.0.0", &join, 4).await;
}

#[tokio::test]
async fn the_messages_of_version_1() {
    check("Version 1", "", &[], 2).await;
}
