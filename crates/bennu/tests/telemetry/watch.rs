//! Health, and who is connected.

use std::{future::poll_fn, net::SocketAddr, task::Poll, time::Duration};

use bennu::{ChannelStatus, SocketOptions, SocketRef, Transport};
use http::Request;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

use crate::server::{Client, endpoint};

#[tokio::test(start_paused = true)]
async fn health_says_how_many_are_there_and_whether_more_may_come() {
    let endpoint = endpoint(SocketOptions::new());
    let mut client = Client::connect(&endpoint).await;
    client.join("room:a").await;
    let health = endpoint.health();
    assert!(health.is_ready());
    assert_eq!(
        serde_json::to_value(health).unwrap(),
        json!({"status": "ok", "connections": 1, "topics": 2, "nodes": 1, "adapter_connected": true, "broadcasts_lost": 0})
    );
    let drained = tokio::spawn({
        let endpoint = endpoint.clone();
        async move { endpoint.drain().await }
    });
    assert_eq!(client.recv().await[1], 1012);
    let health = endpoint.health();
    assert!(!health.is_ready());
    assert_eq!(serde_json::to_value(health).unwrap()["status"], "draining");
    drop(client);
    drained.await.unwrap();
    assert!(!endpoint.health().is_ready());
}

#[tokio::test(start_paused = true)]
async fn connections_are_listed_page_by_page() {
    let endpoint = endpoint(SocketOptions::new());
    assert!(endpoint.sockets(None, 10).is_empty());
    let mut clients = Vec::new();
    for path in [
        "/raw/websocket",
        "/socket/websocket?vsn=2.0.0",
        "/socket/websocket",
        "/socket/websocket",
    ] {
        clients.push(Client::connect_to(&endpoint, path, &[]).await);
    }
    // A place in the middle becomes free.
    clients.remove(2);
    while endpoint.connections() > 3 {
        tokio::task::yield_now().await;
    }
    let request = Request::get("/socket/longpoll").body(axum::body::Body::empty());
    let polled = endpoint.router().oneshot(request.unwrap()).await.unwrap();
    assert!(polled.status().is_success());
    tokio::time::advance(Duration::from_secs(3)).await;

    let mut after = None;
    let mut listed = Vec::new();
    loop {
        let page = endpoint.sockets(after, 1);
        assert!(page.len() <= 1);
        let Some(last) = page.last() else { break };
        assert_eq!(last.open_for, Duration::from_secs(3));
        assert!(!last.closing);
        after = Some(last.socket);
        listed.extend(page);
    }
    let seen: Vec<_> = listed
        .iter()
        .map(|it| (&*it.mount, it.transport, it.serializer))
        .collect();
    assert_eq!(
        seen,
        [
            ("/socket", Transport::WebSocket, "2.0.0"),
            ("/socket", Transport::LongPoll, "1.0.0"),
            ("/socket", Transport::WebSocket, "1.0.0"),
            ("/raw", Transport::WebSocket, "2.0.0"),
        ]
    );
    assert_eq!(endpoint.sockets(None, usize::MAX), listed);
    assert!(endpoint.sockets(None, 0).is_empty());
    let json = serde_json::to_value(&listed[0]).unwrap();
    assert_eq!(json["socket"], "0-0-0");
    assert_eq!(json["transport"], "websocket");
}

#[tokio::test]
async fn a_queue_is_seen_while_it_waits() {
    let endpoint = endpoint(SocketOptions::new());
    let mut client = Client::connect(&endpoint).await;
    client.join("room:a").await;
    endpoint.broadcast("room:a", "x", &());
    let [socket] = &endpoint.sockets(None, 10)[..] else {
        panic!("there is one")
    };
    let frame = json!([null, null, "room:a", "x", {}]).to_string().len() + 2;
    assert_eq!((socket.queued_messages, socket.queued_bytes), (1, frame));
}

#[tokio::test]
async fn a_connection_tells_its_id_and_its_channels() {
    let endpoint = endpoint(SocketOptions::new());
    let mut client = Client::connect(&endpoint).await;
    client.join("room:idle").await;
    client.join("room:busy").await;
    client
        .send(json!(["1", "2", "room:busy", "wait", {}]))
        .await;
    client
        .send(json!(["1", "3", "room:busy", "ping", {}]))
        .await;
    client.join("room:left").await;
    client
        .send(json!(["1", "2", "room:left", "wait", {}]))
        .await;
    client
        .send(json!(["1", "3", "room:left", "phx_leave", {}]))
        .await;
    client
        .send(json!(["1", "1", "room:slow", "phx_join", {}]))
        .await;
    // Its answer comes behind all that.
    client
        .ask(json!([null, "9", "phoenix", "heartbeat", {}]))
        .await;

    let socket = endpoint.sockets(None, 1)[0].socket;
    let mut details = endpoint.inspect(socket).await.unwrap();
    details.channels.sort_by(|a, b| a.topic.cmp(&b.topic));
    assert_eq!(details.id.as_deref(), Some("user:1"));
    assert_eq!(details.peer, None);
    let channels: Vec<_> = details
        .channels
        .iter()
        .map(|it| (&*it.topic, it.status, it.queued))
        .collect();
    assert_eq!(
        channels,
        [
            ("room:busy", ChannelStatus::Busy, 1),
            ("room:idle", ChannelStatus::Idle, 0),
            ("room:left", ChannelStatus::Leaving, 1),
            ("room:slow", ChannelStatus::Joining, 0),
        ]
    );
    let json = serde_json::to_value(&details.channels[0]).unwrap();
    assert_eq!(
        json,
        json!({"topic": "room:busy", "status": "busy", "queued": 1})
    );
    // It can be asked again, and goes on.
    assert!(endpoint.inspect(socket).await.is_some());
    assert_eq!(
        client.ask(json!(["1", "4", "room:idle", "ping", {}])).await[1],
        "4"
    );
}

#[tokio::test]
async fn who_is_gone_or_never_was_tells_nothing() {
    let endpoint = endpoint(SocketOptions::new());
    let client = Client::connect(&endpoint).await;
    let socket = endpoint.sockets(None, 1)[0].socket;
    assert!(endpoint.inspect(socket).await.is_some());
    for wrong in ["1-0-0", "9-0-0", "0-9-0", "0-0-999"] {
        let wrong: SocketRef = wrong.parse().unwrap();
        assert_eq!(endpoint.inspect(wrong).await, None);
    }
    drop(client);
    while endpoint.connections() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(endpoint.inspect(socket).await, None);
    assert!(endpoint.sockets(None, 1).is_empty());
}

#[tokio::test]
async fn a_list_has_ten_thousand_connections_at_most_and_the_next_one_goes_on() {
    let endpoint = endpoint(SocketOptions::new());
    let router = endpoint.router();
    for _ in 0..10_001 {
        let request = Request::get("/socket/longpoll").body(axum::body::Body::empty());
        let answer = router.clone().oneshot(request.unwrap()).await.unwrap();
        assert!(answer.status().is_success());
    }
    let list = endpoint.sockets(None, usize::MAX);
    assert_eq!(list.len(), 10_000);
    let after = list.last().map(|it| it.socket);
    assert_eq!(endpoint.sockets(after, usize::MAX).len(), 1);
}

#[tokio::test]
async fn so_many_questions_to_connections_are_open_at_once() {
    let endpoint = endpoint(SocketOptions::new());
    let _client = Client::connect(&endpoint).await;
    let socket = endpoint.sockets(None, 1)[0].socket;
    let mut questions: Vec<_> = (0..1_025)
        .map(|_| Box::pin(endpoint.inspect(socket)))
        .collect();
    // The connection has its turn to answer when this task waits.
    poll_fn(|cx| {
        let (beyond, first) = questions.split_last_mut().unwrap();
        for question in first {
            assert!(question.as_mut().poll(cx).is_pending());
        }
        assert_eq!(beyond.as_mut().poll(cx), Poll::Ready(None));
        Poll::Ready(())
    })
    .await;
    questions.truncate(1_024);
    for question in questions {
        assert!(question.await.is_some());
    }
    assert!(endpoint.inspect(socket).await.is_some());
}

#[tokio::test]
async fn long_polling_and_raw_sockets_tell_what_they_have() {
    let endpoint = endpoint(SocketOptions::new());
    let request = Request::get("/socket/longpoll").body(axum::body::Body::empty());
    endpoint.router().oneshot(request.unwrap()).await.unwrap();
    let _raw = Client::connect_to(&endpoint, "/raw/websocket", &[]).await;
    let [polled, raw] = &endpoint.sockets(None, 10)[..] else {
        panic!("there are two")
    };
    let polled = endpoint.inspect(polled.socket).await.unwrap();
    assert_eq!((polled.id.as_deref(), polled.peer), (Some("user:1"), None));
    let raw = endpoint.inspect(raw.socket).await.unwrap();
    assert_eq!((raw.id, raw.channels.len()), (None, 0));
}

#[tokio::test]
async fn over_tcp_the_peer_is_known() {
    let endpoint = endpoint(SocketOptions::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr: SocketAddr = listener.local_addr().unwrap();
    let router = endpoint.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let stream = TcpStream::connect(addr).await.unwrap();
    let own = stream.local_addr().unwrap();
    let url = format!("ws://{addr}/socket/websocket");
    let (client, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
    while endpoint.connections() == 0 {
        tokio::task::yield_now().await;
    }
    let socket = endpoint.sockets(None, 1)[0].socket;
    assert_eq!(endpoint.inspect(socket).await.unwrap().peer, Some(own));
    drop(client);
}
