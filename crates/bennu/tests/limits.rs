//! Every limit of the runtime, met.

mod support;

use std::{sync::Arc, time::Duration};

use bennu::{
    ConnectInfo, Endpoint, Overflow, RawContext, RawMessage, RawSocket, Result, SocketOptions,
};
use serde_json::{Value, json};
use support::{Client, endpoint, reply};
use tokio::{
    io::AsyncWriteExt,
    time::{Instant, timeout},
};

const ROOM: &str = "room:a";

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_and_others_get_everything() {
    let endpoint = endpoint(SocketOptions::new().queue_messages_max(10));
    let mut slow = Client::connect(&endpoint, 64).await;
    let mut reader = Client::connect(&endpoint, 64).await;
    slow.send(json!(["1", "1", ROOM, "phx_join", {}])).await;
    assert_eq!(slow.recv().await, reply("1", ROOM, "ok", json!({})));
    reader.join(ROOM).await;
    for n in 0..100 {
        reader
            .send(json!(["1", null, ROOM, "shout", {"n": n}]))
            .await;
        assert_eq!(
            reader.recv().await,
            json!([null, null, ROOM, "shout", {"n": n}])
        );
    }
    assert_eq!(endpoint.stats().slow_consumers_closed, 1);
    // What is on its way already comes, then the close.
    let mut last = slow.recv().await;
    let mut heard = 0;
    while last[3] == "shout" {
        heard += 1;
        last = slow.recv().await;
    }
    assert_eq!(last, json!(["close", 1013, "slow consumer"]));
    assert!(heard < 10, "{heard}");
}

#[tokio::test]
async fn the_bytes_that_wait_are_bounded_too_but_one_message_always_fits() {
    let endpoint = endpoint(SocketOptions::new().queue_bytes_max(1000));
    let mut client = Client::connect(&endpoint, 64).await;
    client.join(ROOM).await;
    let long = "x".repeat(100_000);
    client.send(json!(["1", "2", ROOM, "ping", long])).await;
    assert_eq!(client.recv().await, reply("2", ROOM, "ok", json!(long)));
    for n in 0..3 {
        endpoint.broadcast(ROOM, "n", &json!({"n": n, "long": long}));
    }
    let first = client.recv().await;
    assert!(first[3] == "n" || first[0] == "close", "{first}");
    assert_eq!(endpoint.stats().slow_consumers_closed, 1);
}

async fn dropped(overflow: Overflow) -> Vec<Value> {
    let endpoint = endpoint(
        SocketOptions::new()
            .queue_messages_max(3)
            .overflow(overflow),
    );
    let mut client = Client::connect(&endpoint, 64).await;
    client.join(ROOM).await;
    // The stream takes a part of the first, and then nothing.
    endpoint.local_broadcast(ROOM, "first", &json!("x".repeat(100)));
    tokio::task::yield_now().await;
    for n in 0..10 {
        endpoint.local_broadcast(ROOM, "n", &json!(n));
    }
    assert_eq!(endpoint.stats().messages_dropped, 8);
    assert_eq!(client.recv().await.get(3), Some(&json!("first")));
    let mut heard = Vec::new();
    for _ in 0..2 {
        heard.push(client.recv().await.get(4).cloned().unwrap_or_default());
    }
    heard
}

#[tokio::test]
async fn instead_of_closing_the_oldest_or_the_newest_message_may_be_dropped() {
    assert_eq!(dropped(Overflow::DropOldest).await, [8, 9]);
    assert_eq!(dropped(Overflow::DropNewest).await, [0, 1]);
}

#[tokio::test]
async fn who_reads_may_be_sent_eight_times_as_much_in_one_go_and_no_more() {
    let endpoint = endpoint(SocketOptions::new().queue_messages_max(3));
    let mut client = Client::connect(&endpoint, 1 << 20).await;
    client.join(ROOM).await;
    // Nothing is awaited between these, so the connection's task can't write any.
    for n in 0..24 {
        endpoint.local_broadcast(ROOM, "n", &json!(n));
    }
    for n in 0..24 {
        assert_eq!(client.recv().await.get(4), Some(&json!(n)));
    }
    for n in 0..25 {
        endpoint.local_broadcast(ROOM, "n", &json!(n));
    }
    assert_eq!(client.recv().await, json!(["close", 1013, "slow consumer"]));
}

#[tokio::test]
async fn answers_to_what_came_in_one_read_are_written_before_the_rest_is_handled() {
    let endpoint = endpoint(SocketOptions::new());
    let mut client = Client::connect(&endpoint, 1 << 20).await;
    client.join(ROOM).await;
    let long = json!("x".repeat(200_000));
    client.send(json!(["1", "0", ROOM, "keep", long])).await;
    assert_eq!(client.recv().await.get(1), Some(&json!("0")));
    let mut burst = Vec::new();
    for n in 0..100 {
        burst.push(json!(["1", n, ROOM, "kept", {}]));
    }
    client.send_at_once(burst).await;
    for n in 0..100 {
        assert_eq!(client.recv().await.get(1), Some(&json!(n)));
    }
}

#[tokio::test]
async fn events_for_a_busy_channel_wait_and_beyond_the_limit_are_refused() {
    for options in [
        SocketOptions::new().event_queue_messages_max(2),
        SocketOptions::new().event_queue_bytes_max(150),
    ] {
        let endpoint = endpoint(options);
        let mut client = Client::connect(&endpoint, 1 << 20).await;
        client.join(ROOM).await;
        client.send(json!(["1", "2", ROOM, "wait", {}])).await;
        for r#ref in ["3", "4", "5"] {
            client.send(json!(["1", r#ref, ROOM, "ping", "abc"])).await;
        }
        let refused = json!({"reason": "too many messages queued"});
        assert_eq!(client.recv().await, reply("5", ROOM, "error", refused));
        endpoint.app().go.notify_one();
        assert_eq!(client.recv().await, reply("2", ROOM, "ok", json!({})));
        assert_eq!(client.recv().await, reply("3", ROOM, "ok", json!("abc")));
        assert_eq!(client.recv().await, reply("4", ROOM, "ok", json!("abc")));
    }
}

#[tokio::test]
async fn events_for_a_joining_channel_wait_and_beyond_the_limit_are_refused() {
    let topic = "room:slow";
    let endpoint = endpoint(SocketOptions::new().event_queue_messages_max(1));
    let mut client = Client::connect(&endpoint, 1 << 20).await;
    client.send(json!(["1", "1", topic, "phx_join", {}])).await;
    client.send(json!(["1", "2", topic, "ping", {}])).await;
    client.send(json!(["1", "3", topic, "ping", {}])).await;
    let refused = json!({"reason": "too many messages queued"});
    assert_eq!(client.recv().await, reply("3", topic, "error", refused));
    endpoint.app().go.notify_one();
    assert_eq!(client.recv().await, reply("1", topic, "ok", json!({})));
    assert_eq!(client.recv().await, reply("2", topic, "ok", json!({})));

    let mut client = Client::connect(&endpoint, 1 << 20).await;
    client.send(json!(["1", "1", topic, "phx_join", {}])).await;
    client.send(json!(["1", "2", topic, "ping", {}])).await;
    client.send(json!(["1", "3", topic, "phx_leave", {}])).await;
    assert_eq!(
        client.recv().await,
        json!(["close", 1008, "too many messages queued"])
    );
}

#[tokio::test]
async fn mail_beyond_the_limit_is_refused_and_counted() {
    let endpoint = endpoint(SocketOptions::new().queue_messages_max(5));
    let mut client = Client::connect(&endpoint, 1 << 20).await;
    client.join(ROOM).await;
    client.send(json!(["1", "2", ROOM, "mail", 9])).await;
    assert_eq!(client.recv().await, reply("2", ROOM, "ok", json!(5)));
    assert_eq!(endpoint.stats().mail_dropped, 4);
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_closed_after_the_idle_timeout_and_at_most_an_eighth() {
    let endpoint = endpoint(SocketOptions::new().idle_timeout(Duration::from_secs(8)));
    let mut client = Client::connect(&endpoint, 1 << 20).await;
    client.join(ROOM).await;
    let mut heard = Instant::now();
    // Whatever comes from the client keeps it; what it is sent doesn't.
    for _ in 0..3 {
        assert!(
            timeout(Duration::from_secs(7), client.recv())
                .await
                .is_err()
        );
        client
            .send(json!([null, "2", "phoenix", "heartbeat", {}]))
            .await;
        assert_eq!(client.recv().await[1], "2");
        heard = Instant::now();
    }
    endpoint.broadcast(ROOM, "x", &());
    assert_eq!(client.recv().await[3], "x");
    assert_eq!(client.recv().await, json!(["close", 1001, "idle"]));
    let silent = heard.elapsed();
    assert!(
        silent > Duration::from_secs(8) && silent <= Duration::from_secs(10),
        "{silent:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_closing_connection_waits_five_seconds_for_its_peer_and_its_channels() {
    let endpoint = endpoint(SocketOptions::new());
    let mut client = Client::connect(&endpoint, 1 << 20).await;
    client.join("room:stubborn").await;
    let began = Instant::now();
    endpoint.broadcast("user:1", "disconnect", &());
    assert_eq!(client.recv().await, json!(["close", 1001, "disconnected"]));
    assert_eq!(endpoint.connections(), 1);
    assert_eq!(client.recv().await, Value::Null);
    while endpoint.connections() > 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let took = began.elapsed();
    assert!(
        took >= Duration::from_secs(5) && took < Duration::from_secs(6),
        "{took:?}"
    );
    assert_eq!(endpoint.stats().topics, 0);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_reads_is_dropped_while_closing() {
    let endpoint = endpoint(SocketOptions::new());
    let client = Client::connect(&endpoint, 16).await;
    endpoint.broadcast("user:1", "disconnect", &());
    while endpoint.connections() > 0 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_stops_sending_is_dropped_while_closing() {
    let endpoint = endpoint(SocketOptions::new());
    let mut client = Client::connect(&endpoint, 1 << 20).await;
    let began = Instant::now();
    endpoint.broadcast("user:1", "disconnect", &());
    assert_eq!(client.recv().await, json!(["close", 1001, "disconnected"]));
    let mut sent = 0_usize;
    while client.0.get_mut().write_all(&[0; 1 << 16]).await.is_ok() {
        sent += 1 << 16;
    }
    assert!((64_000_000..66_000_000).contains(&sent), "{sent}");
    assert!(began.elapsed() < Duration::from_secs(5), "{began:?}");
    while endpoint.connections() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_its_replies_unread_is_not_read_from_and_loses_none() {
    let endpoint = endpoint(SocketOptions::new());
    let client = Client::connect(&endpoint, 4096).await;
    let (mut sink, mut stream) = futures_util::StreamExt::split(client.0);
    let sender = tokio::spawn(async move {
        use futures_util::SinkExt;
        use tokio_tungstenite::tungstenite::Message;
        let join = json!(["1", "1", ROOM, "phx_join", {}]).to_string();
        sink.send(Message::text(join)).await.unwrap();
        for n in 0..20_000 {
            let ping = json!(["1", n, ROOM, "ping", {"n": n}]).to_string();
            sink.feed(Message::text(ping)).await.unwrap();
        }
        sink.flush().await.unwrap();
        sink
    });
    let mut next = async || {
        let message = futures_util::StreamExt::next(&mut stream)
            .await
            .unwrap()
            .unwrap();
        serde_json::from_str::<Value>(message.to_text().unwrap()).unwrap()
    };
    assert_eq!(next().await[1], "1");
    for n in 0..20_000 {
        assert_eq!(next().await[1], n);
    }
    drop(sender.await.unwrap());
}

#[tokio::test]
async fn a_channel_that_never_rests_lets_others_run() {
    let endpoint = endpoint(SocketOptions::new());
    let mut spinning = Client::connect(&endpoint, 4096).await;
    let mut other = Client::connect(&endpoint, 4096).await;
    spinning.join(ROOM).await;
    other.join(ROOM).await;
    spinning.send(json!(["1", "2", ROOM, "spin", {}])).await;
    other.send(json!(["1", "3", ROOM, "ping", 1])).await;
    assert_eq!(other.recv().await, reply("3", ROOM, "ok", json!(1)));
    assert_eq!(spinning.recv().await, reply("2", ROOM, "ok", json!({})));
    spinning.send(json!(["1", "4", ROOM, "ping", 2])).await;
    assert_eq!(spinning.recv().await, reply("4", ROOM, "ok", json!(2)));
}

#[tokio::test]
async fn what_waits_for_all_busy_channels_of_a_connection_is_bounded() {
    let endpoint = endpoint(SocketOptions::new().event_queue_bytes_max(150));
    let mut client = Client::connect(&endpoint, 1 << 20).await;
    for topic in ["room:a", "room:b"] {
        client.join(topic).await;
        client.send(json!(["1", "2", topic, "wait", {}])).await;
    }
    for topic in ["room:a", "room:b", "room:b"] {
        client.send(json!(["1", "3", topic, "ping", "abc"])).await;
    }
    let refused = json!({"reason": "too many messages queued"});
    assert_eq!(client.recv().await, reply("3", "room:b", "error", refused));
}

#[tokio::test]
async fn channels_that_take_long_to_end_are_bounded() {
    let endpoint = endpoint(SocketOptions::new().channels_max(2));
    let mut client = Client::connect(&endpoint, 1 << 20).await;
    let topic = "room:stubborn";
    for _ in 0..3 {
        client.join(topic).await;
        client.send(json!(["1", "2", topic, "phx_leave", {}])).await;
        assert_eq!(client.recv().await, reply("2", topic, "ok", json!({})));
        assert_eq!(client.recv().await.get(3), Some(&json!("phx_close")));
    }
    client.send(json!(["1", "1", topic, "phx_join", {}])).await;
    assert_eq!(
        client.recv().await,
        json!(["close", 1008, "too many channels ending"])
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_and_is_not_listened_to_is_not_idle() {
    let endpoint = endpoint(SocketOptions::new().idle_timeout(Duration::from_secs(8)));
    let mut client = Client::connect(&endpoint, 10_000).await;
    client.join(ROOM).await;
    endpoint.broadcast(ROOM, "long", &json!("x".repeat(900_000)));
    // Some 90 streamfuls, one a second: longer than the idle timeout.
    let (mut bytes, mut stream) = (vec![0; 10_000], client.0.into_inner());
    let mut read = 0;
    while read < 900_000 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let n = tokio::io::AsyncReadExt::read(&mut stream, &mut bytes).await;
        let n = n.expect("it is open");
        assert_ne!(n, 0, "closed after {read} bytes");
        read += n;
    }
}

/// Sends itself messages while it's busy, and stays so.
struct BusyRaw;

impl RawSocket for BusyRaw {
    type App = ();
    type Params = ();
    type Info = ();

    async fn connect(_: &Arc<()>, (): (), _: &ConnectInfo) -> Result<Self> {
        Ok(Self)
    }

    async fn handle_in(&mut self, _: RawMessage, cx: &RawContext<Self>) -> Result<()> {
        for _ in 0..10 {
            cx.handle().send(())?;
            tokio::task::yield_now().await;
        }
        cx.send(RawMessage::Text("null".to_owned()));
        std::future::pending().await
    }
}

#[tokio::test]
async fn what_waits_for_a_busy_raw_socket_is_bounded_and_counted() {
    let endpoint = Endpoint::new(())
        .options(SocketOptions::new().event_queue_messages_max(2))
        .raw_socket::<BusyRaw>("/socket");
    let mut client = Client::connect(&endpoint, 4096).await;
    client.send(json!("go")).await;
    assert_eq!(client.recv().await, Value::Null);
    assert_eq!(endpoint.stats().mail_dropped, 8);
}
