//! Two conformance servers on one bus, each with a client: what one does the other hears.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says so by panicking"
)]

#[path = "../../../crates/bennu-pubsub/tests/suite/redis_cluster.rs"]
mod redis_cluster;
#[path = "../../../crates/bennu-pubsub/tests/suite/server.rs"]
mod server;

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use redis_cluster::RedisCluster;
use serde_json::{Value, json};
use server::Server;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

fn redis() -> Server {
    Server::start(
        "redis-server",
        "Ready to accept connections",
        |port, folder| {
            let port = port.to_string();
            let args = [
                "--port",
                &port,
                "--bind",
                "127.0.0.1",
                "--dir",
                folder,
                "--save",
                "",
            ];
            args.map(str::to_owned).to_vec()
        },
    )
}

fn nats() -> Server {
    Server::start("nats-server", "Server is ready", |port, _| {
        let port = port.to_string();
        ["--addr", "127.0.0.1", "--port", &port]
            .map(str::to_owned)
            .to_vec()
    })
}

fn node(name: &str, bus: &[&str]) -> Server {
    let program = env!("CARGO_BIN_EXE_conformance");
    Server::start(program, "listening on", |port, _| {
        let port = port.to_string();
        let secret = "a secret of the tests";
        let args = [&["--port", &port, "--node", name, "--secret", secret], bus].concat();
        args.into_iter().map(str::to_owned).collect()
    })
}

/// A client of one node.
struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    async fn connect(node: &Server, user: &str) -> Self {
        let port = node.port;
        let url = format!("ws://127.0.0.1:{port}/socket/websocket?vsn=2.0.0&user_id={user}");
        let (stream, _) = connect_async(url).await.unwrap();
        Self(stream)
    }

    async fn push(&mut self, topic: &str, event: &str, payload: Value) {
        let message = json!(["1", null, topic, event, payload]).to_string();
        self.0.send(Message::text(message)).await.unwrap();
    }

    /// `null` when the server closes the connection.
    async fn next(&mut self) -> Value {
        let message = timeout(PATIENCE, self.0.next()).await;
        match message.expect("nothing came").unwrap().unwrap() {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            Message::Close(Some(close)) => json!({"code": u16::from(close.code)}),
            message => panic!("{message:?}"),
        }
    }

    async fn join(&mut self, topic: &str) {
        let join = json!(["1", "1", topic, "phx_join", {}]).to_string();
        self.0.send(Message::text(join)).await.unwrap();
        let ok = json!({"status": "ok", "response": {}});
        assert_eq!(self.next().await, json!(["1", "1", topic, "phx_reply", ok]));
    }

    async fn hears(&mut self, topic: &str, event: &str, payload: Value) {
        assert_eq!(
            self.next().await,
            json!([null, null, topic, event, payload])
        );
    }
}

/// The status of the answer, and all of it.
async fn request(node: &Server, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", node.port)).await.unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

/// Everything that crosses from one node to the other.
async fn check(bus: &[&str]) {
    let (here, there) = (node("here", bus), node("there 2", bus));
    let mut ada = Client::connect(&here, "ada").await;
    let mut ben = Client::connect(&there, "ben").await;
    for topic in ["room:1", "filtered:1"] {
        ada.join(topic).await;
        ben.join(topic).await;
    }

    // Twice, so that an echo of the first would come before the second.
    for n in 1..=2 {
        ada.push("room:1", "shout", json!({"n": n})).await;
        ada.hears("room:1", "shout", json!({"n": n})).await;
        ben.hears("room:1", "shout", json!({"n": n})).await;
    }
    ada.push("room:1", "whisper", json!({"n": 3})).await;
    ben.hears("room:1", "whisper", json!({"n": 3})).await;
    // An intercepted event: each receiver's own node adds whom it's for.
    ben.push("filtered:1", "shout", json!({"n": 4})).await;
    for (client, name) in [(&mut ada, "ada"), (&mut ben, "ben")] {
        let payload = json!({"n": 4, "to": name});
        let pushed = json!(["1", null, "filtered:1", "shout", payload]);
        assert_eq!(client.next().await, pushed);
    }
    let body = json!({"topic": "room:1", "event": "outside", "payload": {"n": 5}}).to_string();
    assert_eq!(request(&here, "POST", "/broadcast", &body).await.0, 204);
    ada.hears("room:1", "outside", json!({"n": 5})).await;
    ben.hears("room:1", "outside", json!({"n": 5})).await;

    let (_, metrics) = request(&there, "GET", "/metrics", "").await;
    for line in [
        "bennu_adapter_connected 1",
        "bennu_adapter_lost_total 0",
        "bennu_cluster_ignored_total{why=\"malformed\"} 0",
    ] {
        assert!(metrics.contains(line), "no {line} in\n{metrics}");
    }
    assert_eq!(request(&here, "POST", "/disconnect/ben", "").await.0, 204);
    assert_eq!(ben.next().await, json!({"code": 1001}));
}

/// What a session of `here` is answered at `there`. The body is JSON.
async fn long_poll(node: &Server, method: &str, token: &str, body: &str) -> Value {
    let path = format!("/socket/longpoll?vsn=2.0.0&token={token}");
    let (status, answer) = request(node, method, &path, body).await;
    assert_eq!(status, 200, "{answer:.500}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap()
}

/// A long-poll session of one node, by way of the other, with messages that are longer than brokers like.
async fn check_long_polling(bus: &[&str]) {
    let (mut here, there) = (node("here", bus), node("there 2", bus));
    let began = long_poll(&here, "GET", "none", "").await;
    let token = began.get("token").and_then(Value::as_str).unwrap();
    let join = json!(["1", "1", "room:1", "phx_join", {}]).to_string();
    assert_eq!(
        long_poll(&there, "POST", token, &join).await,
        json!({"status": 200})
    );
    let joined = long_poll(&there, "GET", token, "").await;
    assert_eq!(
        joined
            .get("messages")
            .and_then(Value::as_array)
            .map(Vec::len),
        Some(1)
    );

    let large = "x".repeat(2_500_000);
    let ping = json!(["1", "2", "room:1", "ping", {"large": large}]).to_string();
    assert_eq!(
        long_poll(&there, "POST", token, &ping).await,
        json!({"status": 200})
    );
    let answer = long_poll(&there, "GET", token, "").await;
    let expected =
        json!(["1", "2", "room:1", "phx_reply", {"status": "ok", "response": {"large": large}}]);
    let message = answer
        .get("messages")
        .and_then(|it| it.get(0))
        .and_then(Value::as_str);
    let message: Value = serde_json::from_str(message.unwrap()).unwrap();
    assert!(message == expected);

    here.kill();
    let asked = Instant::now();
    assert_eq!(
        long_poll(&there, "POST", token, &ping).await,
        json!({"status": 410})
    );
    assert!(asked.elapsed() < Duration::from_secs(2));
    let anew = long_poll(&there, "GET", token, "").await;
    assert_eq!(anew.get("status"), Some(&json!(410)));
    assert!(asked.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn long_polling_goes_by_way_of_any_node_over_redis() {
    let redis = redis();
    check_long_polling(&["--redis", &format!("redis://127.0.0.1:{}", redis.port)]).await;
}

#[tokio::test]
async fn long_polling_goes_by_way_of_any_node_over_nats() {
    let nats = nats();
    check_long_polling(&["--nats", &format!("nats://127.0.0.1:{}", nats.port)]).await;
}

#[tokio::test]
async fn two_nodes_act_as_one_over_redis() {
    let redis = redis();
    check(&["--redis", &format!("redis://127.0.0.1:{}", redis.port)]).await;
}

#[tokio::test]
async fn two_nodes_act_as_one_over_several_servers_of_redis() {
    let (one, two) = (redis(), redis());
    let url = |it: &Server| format!("redis://127.0.0.1:{}", it.port);
    check(&["--redis", &[url(&one), url(&two)].join(",")]).await;
}

#[tokio::test]
async fn two_nodes_act_as_one_over_a_redis_cluster() {
    let cluster = RedisCluster::start().await;
    let url = |it: &Server| format!("redis://127.0.0.1:{}", it.port);
    let urls: Vec<String> = cluster.0.iter().map(url).collect();
    check(&["--redis-cluster", &urls.join(",")]).await;
}

#[tokio::test]
async fn two_nodes_act_as_one_over_nats() {
    let nats = nats();
    check(&["--nats", &format!("nats://127.0.0.1:{}", nats.port)]).await;
}
