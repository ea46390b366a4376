//! Connections: refused, lost, made again, ended.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bennu_client::{
    ChannelStatus, Client, ConnectionError, OnRefused, PushError, Status, Transport,
};
use serde_json::{Value, json};

use crate::kit::{BOTH, Server, client, next, within};

#[tokio::test]
async fn a_refusal_is_an_error() {
    let server = Server::start().await;
    for transport in BOTH {
        let refused = ConnectionError::Refused { status: 403 };
        let bad = server.client(transport).params(&json!({"token": "bad"}));
        assert_eq!(within(bad.open()).await.unwrap_err(), refused);
        let bad = server.client(transport).auth_token("bad");
        assert_eq!(within(bad.open()).await.unwrap_err(), refused);
        let good = server
            .client(transport)
            .auth_token("a token/with+all=sorts");
        assert!(within(good.open()).await.is_ok());

        // Who only starts finds out as well.
        let bad = server.client(transport).params(&json!({"token": "bad"}));
        let socket = bad.start().unwrap();
        assert_eq!(within(socket.closed()).await, refused);
        let joined = within(socket.channel("room:1").join()).await;
        assert_eq!(joined.unwrap_err(), PushError::Closed);
    }
}

#[tokio::test]
async fn params_and_tokens_are_asked_for_at_each_connect() {
    let server = Server::start().await;
    for transport in BOTH {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let socket = client(&server.url(), transport)
            .on_refused(OnRefused::Retry)
            .params_with(move || match count.fetch_add(1, Ordering::Relaxed) {
                0 | 1 => json!({"token": "bad"}),
                _ => json!({"user_id": "ada"}),
            })
            .auth_token_with(|| "good".to_owned())
            .start()
            .unwrap();
        within(socket.opened()).await.unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 3);
    }
}

#[tokio::test]
async fn nobody_there_is_an_error_or_tried_again() {
    let server = Server::start().await;
    let (url, address) = (server.url(), server.address);
    server.stop().await;
    for transport in BOTH {
        let error = within(client(&url, transport).open()).await.unwrap_err();
        assert!(matches!(&error, ConnectionError::Failed(_)), "{error}");
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
    let sockets = BOTH.map(|transport| client(&url, transport).start().unwrap());
    let mut changes = sockets[0].changes();
    while !matches!(changes.get(), Status::Waiting { .. }) {
        within(changes.next()).await.unwrap();
    }
    let server = Server::start_at(address, &[]).await;
    for socket in sockets {
        within(socket.opened()).await.unwrap();
    }
    server.stop().await;
}

#[tokio::test]
async fn what_is_no_address_fails_at_once() {
    for url in ["", "localhost", "ftp://localhost/socket", "ws://:4000"] {
        let error = Client::connect(url).start().unwrap_err();
        assert!(
            matches!(error, ConnectionError::Invalid(_)),
            "{url}: {error}"
        );
    }
    let client = || Client::connect("ws://localhost/socket");
    assert!(client().params(&[1, 2]).start().is_err());
    assert!(client().header("no header", "x").start().is_err());
    assert!(client().header("x-name", "a\nb").start().is_err());
}

#[tokio::test]
async fn a_server_that_restarts_finds_its_clients_again() {
    for transport in BOTH {
        let server = Server::start().await;
        let address = server.address;
        let socket = server.socket(transport).await;
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let room = socket
            .channel("room:1")
            .params_with(move || count.fetch_add(1, Ordering::Relaxed))
            .join();
        let room = within(room).await.unwrap();
        let mut events = room.events();
        let mut changes = room.changes();
        let () = within(room.push("set", &1)).await.unwrap();

        server.stop().await;
        while changes.get() == ChannelStatus::Joined {
            within(changes.next()).await.unwrap();
        }
        assert!(matches!(
            socket.status(),
            Status::Waiting { .. } | Status::Connecting
        ));
        let server = Server::start_at(address, &[]).await;
        // It waits until the channel is back, whose state is gone.
        let answer = within(room.push::<Value>("get", &())).await;
        assert_eq!(answer, Ok(json!({})), "{transport:?}");
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        room.cast("shout", &1).unwrap();
        assert_eq!(next(&mut events).await, ("shout".to_owned(), json!(1)));
        server.stop().await;
    }
}

#[tokio::test]
async fn a_drain_says_so_and_when_to_come_back() {
    let server = Server::start().await;
    let socket = server.socket(Transport::WebSocket).await;
    let mut changes = socket.changes();
    server.stop().await;
    let status = loop {
        match changes.get() {
            Status::Open { .. } => within(changes.next()).await.unwrap(),
            status => break status,
        };
    };
    let Status::Waiting { error, retry_in } = status else {
        panic!("{status:?}");
    };
    let ConnectionError::Closed { code: 1012, reason } = &error else {
        panic!("{error:?}");
    };
    let hint = format!("draining retry_ms={}", retry_in.as_millis());
    assert_eq!(*reason, hint);
}

#[tokio::test]
async fn a_forced_disconnect_is_a_loss_like_any_other() {
    let server = Server::start().await;
    for transport in BOTH {
        let socket = server.socket(transport).await;
        let room = within(socket.channel("room:1").join()).await.unwrap();
        let mut changes = socket.changes();
        server.endpoint.broadcast("user:ada", "disconnect", &());
        let status = loop {
            match changes.get() {
                Status::Open { .. } => within(changes.next()).await.unwrap(),
                status => break status,
            };
        };
        let Status::Waiting { error, .. } = status else {
            panic!("{status:?}");
        };
        let closed = ConnectionError::Closed {
            code: 1001,
            reason: "disconnected".to_owned(),
        };
        assert_eq!(error, closed, "{transport:?}");
        assert_eq!(within(room.push::<u8>("ping", &1)).await, Ok(1));
    }
}

#[tokio::test]
async fn a_disconnect_writes_what_was_pushed_and_ends_all() {
    let server = Server::start().await;
    for transport in BOTH {
        let witness = server.join(Transport::WebSocket, "room:1").await;
        let mut heard = witness.events();
        let socket = server.socket(transport).await;
        let room = within(socket.channel("room:1").join()).await.unwrap();
        let mut events = room.events();
        for n in 0..50 {
            room.cast("whisper", &n).unwrap();
        }
        within(socket.disconnect()).await;
        for n in 0..50 {
            assert_eq!(next(&mut heard).await, ("whisper".to_owned(), json!(n)));
        }
        let closed = Status::Closed {
            error: ConnectionError::Disconnected,
        };
        assert_eq!(socket.status(), closed);
        assert_eq!(room.status(), ChannelStatus::Closed);
        assert_eq!(within(room.changes().next()).await, None);
        assert_eq!(within(socket.changes().next()).await, None);
        while within(events.next()).await.is_some() {}
        assert_eq!(within(socket.ping()).await, Err(PushError::Closed));
        assert_eq!(room.cast("shout", &()), Err(PushError::Closed));
        within(socket.disconnect()).await;
    }
}

#[tokio::test]
async fn a_program_may_end_once_it_has_disconnected() {
    let server = Server::start().await;
    let witness = server.join(Transport::WebSocket, "room:1").await;
    let mut heard = witness.events();
    for transport in BOTH {
        let client = server.client(transport);
        let program = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let socket = client.open().await.unwrap();
                let room = socket.channel("room:1").join().await.unwrap();
                for n in 0..50 {
                    room.cast("whisper", &(n, "x".repeat(20_000))).unwrap();
                }
                socket.disconnect().await;
            });
        });
        for n in 0..50 {
            let (_, payload) = next(&mut heard).await;
            assert_eq!(payload[0], json!(n), "{transport:?}");
        }
        program.join().unwrap();
    }
}

#[tokio::test]
async fn a_socket_nobody_holds_is_disconnected() {
    let server = Server::start().await;
    let lobby = server.join(Transport::WebSocket, "lobby:1").await;
    let mut events = lobby.events();
    for transport in BOTH {
        let socket = within(
            client(&server.url(), transport)
                .params(&json!({"user_id": "bob"}))
                .open(),
        )
        .await
        .unwrap();
        let theirs = within(socket.channel("lobby:1").join()).await.unwrap();
        drop(socket);
        let answer: Value = within(theirs.push("typing", &json!({"typing": true})))
            .await
            .unwrap();
        assert_eq!(answer, json!({}));
        drop(theirs);
        // Long-polling too: its channels are left before the session is forgotten.
        loop {
            let (event, payload) = next(&mut events).await;
            let gone =
                payload["leaves"].get("bob").is_some() && payload["joins"].get("bob").is_none();
            if event == "presence_diff" && gone {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_client_falls_back_to_long_polling() {
    let server = Server::start().await;
    let fallback = Duration::from_secs(5);
    let socket = Client::connect(&server.url()).long_poll_fallback(fallback);
    let socket = within(socket.open()).await.unwrap();
    let websocket = Status::Open {
        transport: Transport::WebSocket,
    };
    assert_eq!(socket.status(), websocket);

    let proxy = crate::hostile::proxy_without_websockets(server.address).await;
    let url = format!("ws://{proxy}/socket");
    let socket = Client::connect(&url).long_poll_fallback(fallback);
    let socket = within(socket.open()).await.unwrap();
    let longpoll = Status::Open {
        transport: Transport::LongPoll,
    };
    assert_eq!(socket.status(), longpoll);
    let room = within(socket.channel("room:1").join()).await.unwrap();
    assert_eq!(within(room.push::<u8>("ping", &1)).await, Ok(1));
    // Without a fallback there's no way.
    let refused = within(Client::connect(&url).open()).await.unwrap_err();
    assert_eq!(refused, ConnectionError::Refused { status: 403 });
}

#[tokio::test]
async fn a_hundred_channels_share_a_connection() {
    let server = Server::start().await;
    for transport in BOTH {
        let socket = server.socket(transport).await;
        let mut rooms = Vec::new();
        for n in 0..100 {
            let join = socket.channel(format!("room:{n}")).join();
            rooms.push(tokio::spawn(join));
        }
        for (n, room) in rooms.into_iter().enumerate() {
            let room = within(room).await.unwrap().unwrap();
            assert_eq!(within(room.push::<usize>("ping", &n)).await, Ok(n));
        }
    }
}
