//! What clients have sent and nobody has handled yet, all together.
#![expect(clippy::unwrap_used, reason = "a test says so by panicking")]

mod support;

use bennu::SocketOptions;
use serde_json::{Value, json};
use support::{Client, emptied, endpoint, reply};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

const ROOM: &str = "room:a";
const SLOW: &str = "room:slow";

/// Room for two long messages, one of them twice: it's counted as it came until it is queued.
const ROOM_BYTES: usize = 450_000;

/// Of which the limit counts what is beyond 65,536 bytes.
fn long(r#ref: &str, topic: &str) -> Value {
    json!(["1", r#ref, topic, "keep", "x".repeat(200_000)])
}

/// Sends a message, and says what is answered until it was taken in.
async fn send(client: &mut Client, message: Value) -> Vec<Value> {
    client.send(message).await;
    client
        .send(json!([null, "beat", "phoenix", "heartbeat", {}]))
        .await;
    let mut answers = Vec::new();
    loop {
        let answer = client.recv().await;
        if answer.is_null() || answer.get(1) == Some(&json!("beat")) {
            return answers;
        }
        answers.push(answer);
    }
}

fn refused(r#ref: &str) -> Value {
    let why = json!({"reason": "too many messages queued"});
    reply(r#ref, ROOM, "error", why)
}

#[tokio::test]
async fn events_for_busy_channels_have_so_much_room_together() {
    let endpoint = endpoint(SocketOptions::new().unhandled_bytes_max(ROOM_BYTES));
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = Client::connect(&endpoint, 1 << 20).await;
        client.join(ROOM).await;
        assert!(
            send(&mut client, json!(["1", "2", ROOM, "wait", {}]))
                .await
                .is_empty()
        );
        clients.push(client);
    }
    let [mut first, mut second, mut third, mut fourth] =
        <[Client; 4]>::try_from(clients).ok().unwrap();
    assert!(send(&mut first, long("3", ROOM)).await.is_empty());
    assert!(send(&mut second, long("3", ROOM)).await.is_empty());
    assert_eq!(send(&mut second, long("4", ROOM)).await, [refused("4")]);
    assert_eq!(send(&mut third, long("3", ROOM)).await, [refused("3")]);
    // What is little has room all the same.
    assert!(
        send(&mut third, json!(["1", "4", ROOM, "ping", 4]))
            .await
            .is_empty()
    );

    // What is handled makes room, and so does who is gone.
    endpoint.app().go.notify_one();
    for r#ref in ["2", "3"] {
        assert_eq!(first.recv().await, reply(r#ref, ROOM, "ok", json!({})));
    }
    assert!(send(&mut third, long("5", ROOM)).await.is_empty());
    assert_eq!(send(&mut fourth, long("3", ROOM)).await, [refused("3")]);
    drop(second);
    endpoint.app().go.notify_one();
    emptied(&endpoint, 3).await;
    assert!(send(&mut fourth, long("4", ROOM)).await.is_empty());
    assert_eq!(send(&mut fourth, long("5", ROOM)).await, [refused("5")]);
}

#[tokio::test]
async fn so_have_messages_for_channels_that_join() {
    let endpoint = endpoint(SocketOptions::new().unhandled_bytes_max(ROOM_BYTES));
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Client::connect(&endpoint, 1 << 20).await;
        assert!(
            send(&mut client, json!(["1", "1", SLOW, "phx_join", {}]))
                .await
                .is_empty()
        );
        clients.push(client);
    }
    let [mut greedy, mut patient, mut other] = <[Client; 3]>::try_from(clients).ok().unwrap();
    for client in [&mut greedy, &mut patient] {
        assert!(send(client, long("2", SLOW)).await.is_empty());
    }
    let close = json!(["close", 1013, "too many unhandled messages"]);
    assert_eq!(send(&mut greedy, long("3", SLOW)).await, [close]);
    drop(greedy);
    endpoint.app().go.notify_one();
    emptied(&endpoint, 2).await;
    assert!(send(&mut other, long("2", SLOW)).await.is_empty());

    // Once they are decided there is room again.
    for client in [&mut patient, &mut other] {
        endpoint.app().go.notify_one();
        for r#ref in ["1", "2"] {
            assert_eq!(client.recv().await, reply(r#ref, SLOW, "ok", json!({})));
        }
    }
    let mut fourth = Client::connect(&endpoint, 1 << 20).await;
    let join = json!(["1", "1", SLOW, "phx_join", {}]);
    for message in [join, long("2", SLOW)] {
        assert!(send(&mut fourth, message).await.is_empty());
    }
}

/// Sends so many bytes of a message of 250,000.
async fn send_a_part(client: &mut DuplexStream, bytes: usize) {
    let mut frame = b"\x81\xff\0\0\0\0\0\x03\xd0\x90\0\0\0\0".to_vec();
    frame.resize(frame.len() + bytes, b'x');
    client.write_all(&frame).await.unwrap();
}

#[tokio::test]
async fn so_have_messages_whose_end_has_not_come() {
    let endpoint = endpoint(SocketOptions::new().unhandled_bytes_max(300_000));
    let connect = async || Client::connect(&endpoint, 1 << 16).await.0.into_inner();
    let (mut first, mut second, mut little) = (connect().await, connect().await, connect().await);
    send_a_part(&mut first, 200_000).await;
    send_a_part(&mut little, 1_000).await;
    send_a_part(&mut second, 200_000).await;
    let mut close = [0; 31];
    second.read_exact(&mut close).await.unwrap();
    assert_eq!(&close[2..4], 1013_u16.to_be_bytes());
    assert_eq!(&close[4..], b"too many unhandled messages");
    assert_eq!(endpoint.stats().frames_refused, 1);
    drop(second);
    emptied(&endpoint, 2).await;

    // What a connection held is free when it's gone, and when its message is whole.
    drop(first);
    emptied(&endpoint, 1).await;
    for _ in 0..3 {
        let mut third = connect().await;
        send_a_part(&mut third, 200_000).await;
        third.write_all(&[b'x'; 50_000]).await.unwrap();
        third.read_exact(&mut close[..4]).await.unwrap();
        assert_eq!(&close[2..4], 1007_u16.to_be_bytes(), "it's no JSON");
        drop(third);
        emptied(&endpoint, 1).await;
    }
    assert_eq!(endpoint.stats().frames_refused, 1);
}
