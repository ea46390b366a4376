//! Each client joins, is answered, broadcasts, and leaves.

use std::time::Duration;

use clients::Server;
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::timeout};

const WAIT_MAX: Duration = Duration::from_secs(10);

fn said() -> Value {
    json!({"text": "hé 🚀", "n": 1})
}

/// `phoenix-chan`: V2; messages come as they are, and whoever calls tells them apart.
#[tokio::test]
async fn phoenix_chan() {
    use phoenix_chan::{Client, Message};

    let server = Server::start();
    let uri = server.websocket().parse().unwrap();
    let client = Client::builder(uri).unwrap().connect().await.unwrap();
    let next =
        async || -> Message<Value> { timeout(WAIT_MAX, client.recv()).await.unwrap().unwrap() };
    let topic = "room:clients";
    let reply = |status: &str, response: Value| json!({"status": status, "response": response});

    let id = client.join(topic).await.unwrap();
    let joined = next().await;
    assert_eq!(joined.message_reference, Some(id.to_string()));
    assert_eq!(joined.payload, reply("ok", json!({})));

    let id = client.send(topic, "ping", said()).await.unwrap();
    let answer = next().await;
    assert_eq!(answer.message_reference, Some(id.to_string()));
    assert_eq!(answer.payload, reply("ok", said()));

    client.send(topic, "fail", said()).await.unwrap();
    assert_eq!(next().await.payload, reply("error", said()));

    client.send(topic, "shout", said()).await.unwrap();
    let heard = next().await;
    assert_eq!(
        (heard.event_name.as_str(), heard.payload),
        ("shout", said())
    );

    client.join("room:private").await.unwrap();
    let refused = next().await;
    assert_eq!(
        refused.payload,
        reply("error", json!({"reason": "unauthorized"}))
    );

    client.leave(topic).await.unwrap();
    assert_eq!(next().await.payload, reply("ok", json!({})));
    assert_eq!(next().await.event_name, "phx_close");
}

/// `phoenix_channels_client`: V2; callbacks by event.
#[tokio::test]
async fn phoenix_channels_client() {
    use phoenix_channels_client::{Client, Config};

    let server = Server::start();
    let mut config = Config::new(server.websocket().as_str()).unwrap();
    config.set("user_id", "ada");
    let mut client = Client::new(config).unwrap();
    client.connect().await.unwrap();
    let channel = client.join("room:clients", Some(WAIT_MAX)).await.unwrap();

    let answer = channel
        .send_with_timeout("ping", said(), Some(WAIT_MAX))
        .await;
    assert_eq!(answer.unwrap().into_value(), Some(said()));
    let answer = channel
        .send_with_timeout("fail", said(), Some(WAIT_MAX))
        .await;
    assert!(answer.is_err());

    let (sender, mut heard) = mpsc::unbounded_channel();
    let on = channel
        .on("shout", move |_, payload| _ = sender.send(payload.clone()))
        .await;
    on.unwrap();
    channel.send_noreply("shout", said()).await.unwrap();
    let shout = timeout(WAIT_MAX, heard.recv()).await.unwrap().unwrap();
    assert_eq!(shout.into_value(), Some(said()));

    assert!(client.join("room:private", Some(WAIT_MAX)).await.is_err());
    channel.leave().await;
    client.disconnect().await.unwrap();
}
