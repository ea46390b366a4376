//! Servers that are broken, hostile, or no servers of channels at all.

use std::{future::poll_fn, net::SocketAddr, pin::Pin};

use bennu_client::{Bytes, Client, ConnectionError, PushError, Status, Transport};
use futures_core::Stream;
use futures_sink::Sink;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::{WebSocketStream, accept_async, tungstenite::Message};

use crate::kit::{BOTH, client, within};

/// Calls `serve` with each connection; returns the address.
async fn listen<F: Future<Output = ()> + Send + 'static>(
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// The head of a request.
async fn head(stream: &mut TcpStream) -> Vec<u8> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    head
}

/// A proxy that knows requests and no upgrades.
pub(crate) async fn proxy_without_websockets(server: SocketAddr) -> SocketAddr {
    listen(move |mut stream| async move {
        let head = head(&mut stream).await;
        if head
            .windows(9)
            .any(|it| it.eq_ignore_ascii_case(b"websocket"))
        {
            let refusal = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
            let _ = stream.write_all(refusal).await;
            return;
        }
        let mut server = TcpStream::connect(server).await.unwrap();
        if server.write_all(&head).await.is_ok() {
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
        }
    })
    .await
}

/// A server that accepts one message after the other and answers each join, then says what it's given to say.
async fn websocket(says: Vec<Message>) -> String {
    let address = listen(move |stream| {
        let says = says.clone();
        async move {
            let mut socket = accept_async(stream).await.unwrap();
            answer(&mut socket).await;
            for message in says {
                if write(&mut socket, message).await.is_err() {
                    return;
                }
            }
            answer(&mut socket).await;
        }
    })
    .await;
    format!("ws://{address}/socket")
}

/// Reads a message, and answers it with "ok".
async fn answer(socket: &mut WebSocketStream<TcpStream>) {
    let text = loop {
        match read(socket).await {
            Some(Message::Text(text)) => break text,
            Some(_) => {}
            None => return,
        }
    };
    let (join_ref, r#ref, topic, ..): (String, String, String, String, serde_json::Value) =
        serde_json::from_str(&text).unwrap();
    let reply = json!([join_ref, r#ref, topic, "phx_reply", {"status": "ok", "response": {}}]);
    let _ = write(socket, Message::text(reply.to_string())).await;
}

async fn read(socket: &mut WebSocketStream<TcpStream>) -> Option<Message> {
    poll_fn(|cx| Pin::new(&mut *socket).poll_next(cx))
        .await?
        .ok()
}

async fn write(
    socket: &mut WebSocketStream<TcpStream>,
    message: Message,
) -> Result<(), tokio_tungstenite::tungstenite::Error> {
    poll_fn(|cx| Pin::new(&mut *socket).poll_ready(cx)).await?;
    Pin::new(&mut *socket).start_send(message)?;
    poll_fn(|cx| Pin::new(&mut *socket).poll_flush(cx)).await
}

#[tokio::test]
async fn what_is_no_message_is_passed_over() {
    let garbage = [
        Message::text(""),
        Message::text("{"),
        Message::text("[]"),
        Message::text("[1,2,3,4]"),
        Message::text(r#"[null,null,{"not":"a topic"},"e",{}]"#),
        Message::text(r#"[null,null,"room:1",["not an event"],{}]"#),
        Message::text(r#"["1","1","room:1","phx_reply",{"status":7}]"#),
        Message::text(r#"["1","1","room:1","phx_reply",null]"#),
        Message::text(r#"["1",{"a":[]},"room:1","phx_reply",{"status":"ok","response":{}}]"#),
        Message::text(
            r#"["1","99999999999999999999999","room:1","phx_reply",{"status":"ok","response":{}}]"#,
        ),
        Message::text(format!(
            r#"[null,null,"room:1","deep",{}{}]"#,
            "[".repeat(1000),
            "]".repeat(1000)
        )),
        Message::text(format!(r#"[null,null,"{}","long",{{}}]"#, "t".repeat(2000))),
        Message::binary(Bytes::new()),
        Message::binary(Bytes::from_static(&[0])),
        Message::binary(Bytes::from_static(&[0, 255, 255, 255])),
        Message::binary(Bytes::from_static(&[1, 1, 1, 1, 1, b'x'])),
        Message::binary(Bytes::from_static(&[2, 1, 1, 0xff, 0xfe])),
        Message::binary(Bytes::from_static(&[9; 64])),
        Message::Ping(Bytes::from_static(b"?")),
        Message::Pong(Bytes::new()),
        Message::text(r#"[null,null,"room:1","presence_state",{"a":7}]"#),
        Message::text(r#"[null,null,"room:1","presence_diff",{"joins":[]}]"#),
        Message::text(r#"[null,null,"room:1","last",{}]"#),
    ];
    let url = websocket(garbage.to_vec()).await;
    let socket = within(client(&url, Transport::WebSocket).open())
        .await
        .unwrap();
    let room = socket.channel("room:1");
    let presence = room.presence();
    let room = within(room.join()).await.unwrap();
    let mut events = room.events();
    let mut heard = Vec::new();
    while heard.last().is_none_or(|it| it != "last") {
        heard.push(within(events.next()).await.unwrap().event);
    }
    assert_eq!(heard, ["presence_state", "presence_diff", "last"]);
    assert!(presence.is_incomplete() && presence.count() == 0);
    assert_eq!(within(room.push::<()>("ping", &())).await, Ok(()));
}

#[tokio::test]
async fn a_message_that_is_too_large_costs_the_connection() {
    let large = Message::text(json!([null, null, "room:1", "e", "x".repeat(2_000)]).to_string());
    let url = websocket(vec![large]).await;
    let socket = client(&url, Transport::WebSocket).message_bytes_max(1_000);
    let socket = within(socket.open()).await.unwrap();
    let mut changes = socket.changes();
    let room = within(socket.channel("room:1").join()).await.unwrap();
    let error = loop {
        match changes.get() {
            Status::Waiting { error, .. } => break error,
            _ => within(changes.next()).await,
        };
    };
    assert!(
        error.to_string().contains("too large") || error.to_string().contains("long"),
        "{error}"
    );
    drop(room);
}

#[tokio::test]
async fn a_stream_that_is_no_websocket_any_more_is_lost() {
    let address = listen(|stream| async move {
        let mut socket = accept_async(stream).await.unwrap();
        answer(&mut socket).await;
        // A frame with reserved bits, of a reserved kind.
        let _ = socket.get_mut().write_all(&[0xff; 64]).await;
        let _ = socket.get_mut().read_u8().await;
    })
    .await;
    let url = format!("ws://{address}/socket");
    let socket = within(client(&url, Transport::WebSocket).open())
        .await
        .unwrap();
    let mut changes = socket.changes();
    let _room = within(socket.channel("room:1").join()).await.unwrap();
    while !matches!(
        changes.get(),
        Status::Waiting {
            error: ConnectionError::Failed(_),
            ..
        }
    ) {
        within(changes.next()).await.unwrap();
    }
}

#[tokio::test]
async fn what_answers_otherwise_is_an_error_that_says_so() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{\"status\":\"no\"}",
        "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "\0\0\0\0",
        "",
    ] {
        let address = listen(move |mut stream| async move {
            head(&mut stream).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        })
        .await;
        for transport in BOTH {
            let url = format!("ws://{address}/socket");
            let error = within(client(&url, transport).open()).await.unwrap_err();
            let expected = match answer.contains("404") {
                true => matches!(error, ConnectionError::Refused { status: 404 }),
                false => matches!(
                    error,
                    ConnectionError::Failed(_) | ConnectionError::Refused { .. }
                ),
            };
            assert!(expected, "{transport:?} {answer:?}: {error:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let address = listen(|mut stream| async move {
        head(&mut stream).await;
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            .await;
        while stream.write_all(b"5\r\nxxxxx\r\n").await.is_ok() {}
    })
    .await;
    let socket =
        client(&format!("http://{address}/socket"), Transport::LongPoll).message_bytes_max(10_000);
    let error = within(socket.open()).await.unwrap_err();
    assert!(error.to_string().contains("limit"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_is_given_up() {
    let address = listen(|mut stream| async move {
        head(&mut stream).await;
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    for transport in BOTH {
        let socket = Client::connect(&format!("ws://{address}/socket")).transport(transport);
        assert_eq!(socket.open().await.unwrap_err(), ConnectionError::Timeout);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_costs_the_caller_a_timeout() {
    let address = listen(|stream| async move {
        let mut socket = accept_async(stream).await.unwrap();
        while read(&mut socket).await.is_some() {}
    })
    .await;
    let socket = Client::connect(&format!("ws://{address}/socket"))
        .start()
        .unwrap();
    let joined = socket.channel("room:1").join().await;
    assert_eq!(joined.unwrap_err(), PushError::Timeout);
}

#[tokio::test]
async fn a_server_that_reads_nothing_fills_the_queue_and_no_more() {
    let address = listen(|stream| async move {
        let mut socket = accept_async(stream).await.unwrap();
        answer(&mut socket).await;
        std::future::pending::<()>().await;
        drop(socket);
    })
    .await;
    let socket = client(&format!("ws://{address}/socket"), Transport::WebSocket);
    let socket = within(socket.queue_bytes_max(1 << 20).open())
        .await
        .unwrap();
    let room = within(socket.channel("room:1").join()).await.unwrap();
    let payload = Bytes::from(vec![0; 100_000]);
    let refused = within(async {
        // The kernel takes some megabytes.
        for _ in 0..10_000 {
            match room.cast("e", &payload) {
                Ok(()) => tokio::task::yield_now().await,
                Err(PushError::Full) => {
                    // What can be written may just not be written yet.
                    let wait = std::time::Duration::from_millis(100);
                    match room.push_for(wait, "e", &payload).await {
                        Err(PushError::Timeout) => return true,
                        other => panic!("{other:?}"),
                    }
                }
                Err(error) => panic!("{error:?}"),
            }
        }
        false
    });
    assert!(refused.await);
}

/// A server in a thread of its own, which lets one client join, writes `begin`, then `flood` again and again, and reads
/// nothing. Returns its URL.
fn flooding(begin: &'static [u8], flood: &'static [u8]) -> String {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = accept_async(stream).await.unwrap();
            answer(&mut socket).await;
            socket.get_mut().write_all(begin).await.unwrap();
            let flood = flood.repeat((64 << 10) / flood.len());
            while socket.get_mut().write_all(&flood).await.is_ok() {}
        });
    });
    format!("ws://{}/socket", told.recv().unwrap())
}

#[tokio::test]
async fn a_server_that_pings_and_reads_nothing_is_lost() {
    let url = flooding(&[], b"\x89\x10sixteen bytes...");
    let socket = client(&url, Transport::WebSocket).open();
    let socket = within(socket).await.unwrap();
    let mut changes = socket.changes();
    let _room = within(socket.channel("room:1").join()).await.unwrap();
    let error = loop {
        if let Status::Waiting { error, .. } = changes.get() {
            break error;
        }
        within(changes.next()).await;
    };
    let expected = "the server pings, and reads no answer".to_owned();
    assert_eq!(error, ConnectionError::Failed(expected));
}

#[tokio::test]
async fn a_server_that_never_stops_talking_keeps_nobody_waiting() {
    for (begin, flood) in [
        // Pongs that nobody asked for.
        (&[][..], &[0x8a, 0][..]),
        // A message in pieces without bytes, which is never whole.
        (&[0x01, 0x01, b'['], &[0x00, 0x00]),
        // Messages for a channel that there isn't.
        (&[], b"\x81\x1b[null,null,\"room:2\",\"e\",{}]"),
    ] {
        let url = flooding(begin, flood);
        let socket = within(client(&url, Transport::WebSocket).open());
        let socket = socket.await.unwrap();
        let room = within(socket.channel("room:1").join()).await.unwrap();
        let pushes = within(async {
            for _ in 0..10 {
                let wait = std::time::Duration::from_millis(10);
                let pushed = room.push_for(wait, "e", &()).await;
                assert_eq!(pushed, Err(PushError::Timeout), "{flood:?}");
            }
        });
        pushes.await;
    }
}
