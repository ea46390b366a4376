//! What channels do, over both transports.

use bennu_client::{Bytes, ChannelStatus, Payload, PushError, Refusal, Rejoin, Transport};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::kit::{BOTH, Server, next, within};

#[tokio::test]
async fn pushes_are_answered() {
    let server = Server::start().await;
    for transport in BOTH {
        let room = server.join(transport, "room:1").await;
        assert_eq!(room.joined::<Value>().unwrap(), json!({}));
        let payload = json!({"n": [1, null, "x"], "é": "🚀"});
        let answer: Value = within(room.push("ping", &payload)).await.unwrap();
        assert_eq!(answer, payload);
        let () = within(room.push("set", &7)).await.unwrap();
        assert_eq!(within(room.push::<u8>("get", &())).await, Ok(7));

        let refused = within(room.push::<()>("fail", &json!({"reason": "no"}))).await;
        let Err(PushError::Refused(refusal)) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(
            (&*refusal.status, refusal.reason()),
            ("error", Some("no".to_owned()))
        );

        let wrong = within(room.push::<String>("get", &())).await;
        assert!(matches!(wrong, Err(PushError::Decode(_))), "{wrong:?}");
    }
}

#[tokio::test]
async fn events_come_in_order_and_as_types() {
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Heard {
        Shout { n: u32 },
        Pushed(u32),
    }
    let server = Server::start().await;
    for transport in BOTH {
        let room = server.join(transport, "room:1").await;
        let mut events = room.events();
        for n in 0..200 {
            room.cast("shout", &json!({"n": n})).unwrap();
        }
        room.cast("push_me", &7).unwrap();
        for n in 0..200 {
            let event = within(events.next()).await.unwrap();
            assert_eq!(event.decode::<Heard>(), Ok(Heard::Shout { n }));
        }
        let event = within(events.next()).await.unwrap();
        assert_eq!(event.decode::<Heard>(), Ok(Heard::Pushed(7)));
        assert_eq!(event.payload.decode::<u8>(), Ok(7));
        assert_eq!(events.missed(), 0);
    }
}

#[tokio::test]
async fn one_hears_the_other_whatever_carries_them() {
    let server = Server::start().await;
    let (a, b) = (
        server.join(Transport::WebSocket, "room:1").await,
        server.join(Transport::LongPoll, "room:1").await,
    );
    for (from, to) in [(&a, &b), (&b, &a)] {
        let mut events = to.events();
        from.cast("whisper", &json!({"x": 1})).unwrap();
        assert_eq!(
            next(&mut events).await,
            ("whisper".to_owned(), json!({"x": 1}))
        );
    }
    let (mut at_a, mut at_b) = (a.events(), b.events());
    server
        .endpoint
        .broadcast("room:1", "news", &json!({"x": 2}));
    for events in [&mut at_a, &mut at_b] {
        assert_eq!(next(events).await, ("news".to_owned(), json!({"x": 2})));
    }
}

#[tokio::test]
async fn the_first_stream_has_all_there_was_since_the_join() {
    let server = Server::start().await;
    let room = server.join(Transport::WebSocket, "room:1").await;
    for n in 0..3 {
        room.cast("push_me", &n).unwrap();
    }
    // Its reply comes after what was pushed before.
    let () = within(room.push("set", &())).await.unwrap();
    let (mut first, mut second) = (room.events(), room.events());
    for n in 0..3 {
        assert_eq!(next(&mut first).await, ("pushed".to_owned(), json!(n)));
    }
    room.cast("push_me", &3).unwrap();
    for events in [&mut first, &mut second] {
        assert_eq!(next(events).await, ("pushed".to_owned(), json!(3)));
    }
}

#[tokio::test]
async fn a_reader_who_is_slow_misses_the_oldest() {
    let server = Server::start().await;
    let client = server.client(Transport::WebSocket).inbox_events_max(2);
    let socket = within(client.open()).await.unwrap();
    let room = within(socket.channel("room:1").join()).await.unwrap();
    let mut events = room.events();
    for n in 0..10 {
        room.cast("push_me", &n).unwrap();
    }
    let () = within(room.push("set", &())).await.unwrap();
    assert_eq!(events.missed(), 8);
    for n in [8, 9] {
        assert_eq!(next(&mut events).await, ("pushed".to_owned(), json!(n)));
    }
}

#[tokio::test]
async fn bytes_go_both_ways() {
    let server = Server::start().await;
    for transport in BOTH {
        let room = server.join(transport, "room:1").await;
        let mut events = room.events();
        let bytes: Bytes = (0..=255).collect();
        for bytes in [
            bytes.clone(),
            Bytes::new(),
            Bytes::from_static(b"[\"text\"]\n"),
        ] {
            let answer: Bytes = within(room.push("bin", &bytes)).await.unwrap();
            assert_eq!(answer, bytes, "{transport:?}");
        }
        room.cast("bin_shout", &bytes).unwrap();
        let event = within(events.next()).await.unwrap();
        assert_eq!(
            (&*event.event, event.payload),
            ("bin_shout", Payload::from(bytes.clone()))
        );

        let long = "e".repeat(256);
        let error = room.cast(&long, &bytes).unwrap_err();
        assert!(matches!(&error, PushError::Encode(_)), "{error}");
        assert!(error.to_string().contains("255 bytes"), "{error}");
        room.cast(&long, &()).unwrap();
    }
}

#[tokio::test]
async fn json_with_line_breaks_is_one_message() {
    let server = Server::start().await;
    for transport in BOTH {
        let room = server.join(transport, "room:1").await;
        let raw = serde_json::value::RawValue::from_string("{\n \"a\": [1,\r\n2]\n}".to_owned());
        let payload = Payload::from(raw.unwrap());
        let (before, lines, after) = tokio::join!(
            room.push::<u8>("ping", &1),
            room.push::<Value>("ping", &payload),
            room.push::<u8>("ping", &2),
        );
        assert_eq!((before, after), (Ok(1), Ok(2)));
        assert_eq!(lines, Ok(json!({"a": [1, 2]})), "{transport:?}");
    }
}

#[tokio::test]
async fn large_messages_pass() {
    let server = Server::start().await;
    for (transport, bytes) in [
        (Transport::WebSocket, 8_000_000),
        (Transport::LongPoll, 4_000_000),
    ] {
        let room = server.join(transport, "room:1").await;
        let text = "é".repeat(bytes / 2);
        let answer: String = within(room.push("ping", &text)).await.unwrap();
        assert!(answer == text, "{transport:?}");
        let bytes = Bytes::from(vec![7; bytes / 2]);
        let answer: Bytes = within(room.push("bin", &bytes)).await.unwrap();
        assert!(answer == bytes, "{transport:?}");
    }
}

#[tokio::test]
async fn joins_are_refused_with_a_reason() {
    let server = Server::start().await;
    for transport in BOTH {
        let socket = server.socket(transport).await;
        for (topic, reason) in [
            ("room:private", "unauthorized"),
            ("room:joincrash", "join crashed"),
            ("attic", "unmatched topic"),
        ] {
            let refused = within(socket.channel(topic).join()).await.unwrap_err();
            let found = refused.refusal().and_then(Refusal::reason);
            assert_eq!(found.as_deref(), Some(reason), "{topic}");
        }
        let private = socket.channel("room:private");
        let private = private.params(&json!({"token": "secret"})).join();
        assert_eq!(
            within(private).await.unwrap().status(),
            ChannelStatus::Joined
        );
    }
}

#[tokio::test]
async fn a_slow_channel_holds_up_no_other() {
    let server = Server::start().await;
    let socket = server.socket(Transport::WebSocket).await;
    let (slow, quick) = (
        within(socket.channel("room:1").join()).await.unwrap(),
        within(socket.channel("room:2").join()).await.unwrap(),
    );
    let waiting = slow.clone();
    let waiting = tokio::spawn(async move {
        let wait = std::time::Duration::from_millis(50);
        waiting
            .push_for(wait, "slow", &json!({"ms": 3_600_000}))
            .await
    });
    assert_eq!(within(quick.push::<u8>("ping", &1)).await, Ok(1));
    assert_eq!(within(waiting).await.unwrap(), Err(PushError::Timeout));
}

#[tokio::test]
async fn a_channel_that_crashes_comes_back_and_one_that_stops_does_not() {
    let server = Server::start().await;
    for transport in BOTH {
        let room = server.join(transport, "room:1").await;
        let mut events = room.events();
        let mut changes = room.changes();
        let crashed = within(room.push::<()>("crash", &())).await;
        assert_eq!(crashed, Err(PushError::Disconnected));
        // It waits until the channel is back.
        assert_eq!(within(room.push::<u8>("ping", &1)).await, Ok(1));
        assert_eq!(changes.get(), ChannelStatus::Joined);
        room.cast("push_me", &1).unwrap();
        assert_eq!(next(&mut events).await, ("pushed".to_owned(), json!(1)));

        room.cast("stop", &()).unwrap();
        assert_eq!(within(events.next()).await, None);
        while changes.get() != ChannelStatus::Closed {
            within(changes.next()).await;
        }
        assert_eq!(room.cast("ping", &()), Err(PushError::Closed));
        let pushed = within(room.push::<()>("ping", &())).await;
        assert_eq!(pushed, Err(PushError::Closed));
    }
}

#[tokio::test]
async fn a_channel_may_stay_away() {
    let server = Server::start().await;
    let socket = server.socket(Transport::WebSocket).await;
    let room = socket.channel("room:1").rejoin(Rejoin::Never).join();
    let room = within(room).await.unwrap();
    let mut events = room.events();
    room.cast("crash", &()).unwrap();
    assert_eq!(within(events.next()).await, None);
    assert_eq!(room.status(), ChannelStatus::Closed);
}

/// The server's word for how many channels its one connection has.
async fn channels(server: &Server) -> usize {
    let [socket] = &server.endpoint.sockets(None, 2)[..] else {
        panic!("one connection is expected");
    };
    server
        .endpoint
        .inspect(socket.socket)
        .await
        .unwrap()
        .channels
        .len()
}

#[tokio::test]
async fn a_channel_is_left_by_its_owner_or_with_its_last_handle() {
    let server = Server::start().await;
    for transport in BOTH {
        let server = Server::start_at("127.0.0.1:0".parse().unwrap(), &[]).await;
        let socket = server.socket(transport).await;
        let room = within(socket.channel("room:1").join()).await.unwrap();
        let other = within(socket.channel("room:2").join()).await.unwrap();
        let mut events = room.events();
        assert_eq!(channels(&server).await, 2);
        within(room.clone().leave()).await;
        assert_eq!(channels(&server).await, 1);
        assert_eq!(within(events.next()).await, None);
        let pushed = within(room.push::<()>("ping", &())).await;
        assert_eq!(pushed, Err(PushError::Closed));

        // A stream of its events is a handle as well.
        let mut events = other.events();
        other.cast("push_me", &1).unwrap();
        drop(other);
        assert_eq!(next(&mut events).await, ("pushed".to_owned(), json!(1)));
        assert_eq!(channels(&server).await, 1);
        drop(events);
        // A ping is answered after what was said before.
        within(socket.ping()).await.unwrap();
        assert_eq!(channels(&server).await, 0);
    }
    drop(server);
}

#[tokio::test]
async fn a_topic_that_is_joined_again_closes_the_earlier_channel() {
    let server = Server::start().await;
    let socket = server.socket(Transport::WebSocket).await;
    let earlier = within(socket.channel("room:1").join()).await.unwrap();
    let later = within(socket.channel("room:1").join()).await.unwrap();
    assert_eq!(earlier.status(), ChannelStatus::Closed);
    drop(earlier);
    assert_eq!(within(later.push::<u8>("ping", &1)).await, Ok(1));
}

#[tokio::test]
async fn too_much_at_once_waits_or_is_refused() {
    let server = Server::start().await;
    let client = server.client(Transport::WebSocket).queue_bytes_max(1_000);
    let socket = within(client.open()).await.unwrap();
    let room = within(socket.channel("room:1").join()).await.unwrap();
    // Nothing else runs here meanwhile, so nothing is written.
    let accepted = (0..10).take_while(|n| room.cast("set", n).is_ok()).count();
    assert_eq!(accepted, 3, "each takes 256 bytes and its own");
    assert_eq!(room.cast("set", &0), Err(PushError::Full));
    // A push waits for its turn, even one that is larger than all of the room.
    let text = "x".repeat(5_000);
    let (a, b) = tokio::join!(
        room.push::<String>("ping", &text),
        room.push::<String>("ping", &text),
    );
    assert!(within(async { a }).await.unwrap() == text && b.unwrap() == text);
    assert_eq!(within(room.push::<u8>("get", &())).await, Ok(2));
}
