//! Messages that are none.

use crate::{
    client::{Address, Client, Closed, Event, Frame, Transport},
    server::Server,
};

/// Over WebSocket the connection closes with this code and a reason that contains that text. Long-polling answers with
/// status 400, and the session lives.
async fn check_malformed(vsn: &str, frame: Frame, code: u16, reason: &str) {
    let address = Address::new(&format!("/socket?vsn={vsn}"));
    for transport in Transport::ALL {
        let server = Server::start().await;
        let client = Client::connect(transport, server.addr, &address)
            .await
            .unwrap();
        match client {
            // A batch without entries.
            Client::LongPoll(client) if frame == Frame::Binary(Vec::new()) => {
                assert_eq!(client.post(frame.clone()).await, 200);
            }
            Client::LongPoll(mut client) => {
                assert_eq!(client.post(frame.clone()).await, 400);
                let (heartbeat, reply) = heartbeat(vsn);
                assert_eq!(client.post(Frame::Text(heartbeat)).await, 200);
                assert_eq!(client.receive().await, Event::Frame(Frame::Text(reply)));
            }
            Client::WebSocket(mut client) => {
                client.send(frame.clone()).await;
                let Event::Closed(Closed {
                    code: Some(got),
                    reason: why,
                }) = client.receive().await
                else {
                    panic!("a message came for {frame:?}");
                };
                let shown: String = format!("{frame:?}").chars().take(200).collect();
                assert_eq!(got, code, "{shown}: {why}");
                assert!(why.contains(reason), "{shown}: {why}");
            }
        }
    }
}

fn heartbeat(vsn: &str) -> (String, String) {
    let (asked, reply) = match vsn {
        "1.0.0" => (
            r#"{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"1"}"#,
            r#"{"topic":"phoenix","event":"phx_reply","payload":{"status":"ok","response":{}},"ref":"1"}"#,
        ),
        _ => (
            r#"[null,"1","phoenix","heartbeat",{}]"#,
            r#"[null,"1","phoenix","phx_reply",{"status":"ok","response":{}}]"#,
        ),
    };
    (asked.to_owned(), reply.to_owned())
}

async fn check_text(vsn: &str, text: &str, code: u16, reason: &str) {
    check_malformed(vsn, Frame::Text(text.to_owned()), code, reason).await;
}

#[tokio::test]
async fn a_text_that_is_no_message_of_serializer_v2() {
    for text in [
        "",
        "junk",
        "{}",
        "[]",
        r#"["1","2","room:a","echo"]"#,
        r#"["1","2","room:a","echo",{}"#,
        r#"["1","2","room:a","echo",{}]x"#,
        r#"{"topic":"a","event":"b","payload":{},"ref":"1"}"#,
        r#"["1","2","room:a","echo",{"a":01}]"#,
        r#"["1","2","\ud800","echo",{}]"#,
    ] {
        check_text("2.0.0", text, 1007, "").await;
    }
}

#[tokio::test]
async fn a_text_that_is_no_message_of_serializer_v1() {
    for text in [
        "junk",
        "[]",
        "{}",
        r#"["1","2","room:a","echo",{}]"#,
        r#"{"topic":"a","event":"b","payload":{}}"#,
        r#"{"topic":"a","event":"b","ref":"1"}"#,
        r#"{"topic":"a","payload":{},"ref":"1"}"#,
        r#"{"event":"b","payload":{},"ref":"1"}"#,
    ] {
        check_text("1.0.0", text, 1007, "").await;
    }
}

#[tokio::test]
async fn the_reason_says_what_is_wrong() {
    check_text("2.0.0", "{}", 1007, "array").await;
    check_text("1.0.0", "[]", 1007, "object").await;
}

#[tokio::test]
async fn a_payload_that_nests_too_deep() {
    let deep = format!(
        r#"["1","2","room:a","echo",{}{}]"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    check_text("2.0.0", &deep, 1007, "").await;
}

#[tokio::test]
async fn a_topic_that_is_too_long() {
    let long = format!(r#"["1","2","{}","phx_join",{{}}]"#, "a".repeat(10_000));
    check_text("2.0.0", &long, 1009, "topic").await;
}

#[tokio::test]
async fn a_binary_frame_that_is_no_push() {
    for bytes in [
        &b""[..],
        b"\x00",
        b"\x00\x01\x01\x06\x04",
        b"\x00\x01\x02\x06\x07521room:abin",
        b"\x01\x01\x02\x06\x02521room:aok",
        b"\x02\x06\x02room:abb",
        b"\x07junk",
    ] {
        check_malformed("2.0.0", Frame::Binary(bytes.to_vec()), 1002, "").await;
    }
}
