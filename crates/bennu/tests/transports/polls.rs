//! What only long-polling does: polls, their windows, and what waits for them.

use std::pin::pin;

use axum::body::Body;
use bennu::{LongPoll as Options, Overflow};
use futures_util::{
    StreamExt,
    future::{Either, select},
};
use hyper::Method;
use serde_json::json;

use crate::{
    client::{Address, Client, Event, Frame, Transport},
    longpoll::LongPoll,
    longpolling::{JOIN, JOINED, http_at, joined, session, token, with_window},
    server::Server,
};

#[tokio::test]
async fn a_poll_that_waits_in_vain_ends_with_204() {
    let server = with_window(500).await;
    let session = session(&server).await;
    let answer = session.get().await;
    assert_eq!(answer.status(), 204);
    assert_eq!(answer.messages(), [""; 0]);
    assert_eq!(
        session
            .token("ignored, the first counts")
            .get()
            .await
            .status(),
        204
    );
}

#[tokio::test]
async fn a_second_poll_ends_the_first_and_gets_the_messages() {
    let server = Server::start().await;
    let session = joined(&server).await;
    let (one, other) = (pin!(session.get()), pin!(session.get()));
    // Whichever came first is ended by the other.
    let (ended, waiting) = match select(one, other).await {
        Either::Left((ended, waiting)) | Either::Right((ended, waiting)) => (ended, waiting),
    };
    assert_eq!(ended.status(), 204);
    server.act(r#"broadcast room:a news {"n":1}"#).await;
    let answer = waiting.await;
    assert_eq!(
        answer.messages(),
        [r#"[null,null,"room:a","news",{"n":1}]"#]
    );
}

#[tokio::test]
async fn an_answer_that_was_read_in_part_is_given_again() {
    let server =
        Server::start_with(|it| it.longpoll(Options::default()).queue_bytes_max(100_000_000)).await;
    let session = joined(&server).await;
    let large = "x".repeat(30_000_000);
    server
        .act(&format!("broadcast room:a news \"{large}\""))
        .await;
    server.act("broadcast room:a news 2").await;
    for _ in 0..2 {
        let request = session.build(Method::GET, Body::empty());
        let mut connection = session.connection().await;
        let response = connection.send_request(request).await.unwrap();
        let mut body = Body::new(response.into_body()).into_data_stream();
        assert!(!body.next().await.unwrap().unwrap().is_empty());
    }
    let answer = session.get().await;
    assert_eq!(answer.messages().len(), 2);
    assert!(answer.messages()[0].len() > large.len());
    assert_eq!(answer.messages()[1], r#"[null,null,"room:a","news",2]"#);
}

#[tokio::test]
async fn a_disconnect_ends_a_poll_that_waits_with_what_there_is() {
    let server = Server::start().await;
    let begin = http_at(&server, "/socket?vsn=2.0.0&user=ana");
    let session = begin.token(token(&begin.get().await));
    let waiting = async { session.get().await };
    let disconnecting = async {
        server.act("broadcast user:ana disconnect {}").await;
    };
    let (answer, ()) = tokio::join!(waiting, disconnecting);
    assert!(matches!(answer.status(), 204 | 410), "{answer:?}");
    let close = json!({"code": 1001, "reason": "disconnected"});
    assert_eq!(answer.body["close"], close);
    let answer = session.post(JOIN).await;
    assert_eq!(answer.body, json!({"status": 410, "close": close}));
}

#[tokio::test]
async fn who_polls_after_its_session_was_closed_is_told_why_with_the_next_one() {
    let server = Server::start().await;
    let begin = http_at(&server, "/socket?vsn=2.0.0&user=ana");
    let session = begin.token(token(&begin.get().await));
    server.act("broadcast user:ana disconnect {}").await;
    server.emptied().await;
    let answer = session.get().await;
    assert_eq!(answer.status(), 410);
    assert_eq!(
        answer.body["close"],
        json!({"code": 1001, "reason": "disconnected"})
    );
    assert_eq!(begin.token(token(&answer)).post(JOIN).await.status(), 200);
    assert_eq!(begin.get().await.close(), None);
}

#[tokio::test]
async fn the_last_messages_come_with_the_reason_of_the_close() {
    let server = Server::start().await;
    let begin = http_at(&server, "/socket?vsn=2.0.0&user=ana");
    let session = begin.token(token(&begin.get().await));
    let join = r#"["1","1","room:a","phx_join",{"farewell":true}]"#;
    assert_eq!(session.post(join).await.status(), 200);
    assert_eq!(session.get().await.messages(), [JOINED]);
    let disconnecting = async {
        server.act("broadcast user:ana disconnect {}").await;
    };
    // Whether it waits already or comes too late, this poll or the next one is told.
    let (answer, ()) = tokio::join!(session.get(), disconnecting);
    let closed = match answer.close() {
        Some(closed) => closed,
        None => session.get().await.close().unwrap(),
    };
    assert_eq!((closed.code, &*closed.reason), (Some(1001), "disconnected"));
}

#[tokio::test]
async fn what_waits_for_a_client_is_limited() {
    for (overflow, expected) in [
        (Overflow::DropOldest, &["2", "3", "4"][..]),
        (Overflow::DropNewest, &["0", "1", "2"]),
    ] {
        let server = Server::start_with(|it| {
            it.longpoll(Options::default())
                .queue_messages_max(3)
                .overflow(overflow)
        })
        .await;
        let session = joined(&server).await;
        for n in 0..5 {
            server.act(&format!("broadcast room:a news {n}")).await;
        }
        let answer = session.get().await;
        let news: Vec<_> = answer
            .messages()
            .iter()
            .map(|it| it.trim_end_matches(']').rsplit(',').next().unwrap())
            .collect();
        assert_eq!(news, expected, "{overflow:?}");
        assert_eq!(server.endpoint.stats().messages_dropped, 2);
    }
}

#[tokio::test]
async fn who_fetches_too_slowly_loses_its_session() {
    let server =
        Server::start_with(|it| it.longpoll(Options::default()).queue_messages_max(3)).await;
    let session = joined(&server).await;
    for n in 0..5 {
        server.act(&format!("broadcast room:a news {n}")).await;
    }
    server.emptied().await;
    let close = json!({"code": 1013, "reason": "slow consumer"});
    let answer = session.post(JOIN).await;
    assert_eq!(answer.body, json!({"status": 410, "close": close}));
    assert_eq!(server.endpoint.stats().slow_consumers_closed, 1);
}

#[tokio::test]
async fn many_and_large_messages_come_whole_and_in_order() {
    let server =
        Server::start_with(|it| it.longpoll(Options::default()).queue_bytes_max(100_000_000)).await;
    let session = joined(&server).await;
    let sizes = [1, 50_000, 16_380, 16_390, 3, 200_000, 0, 16_384];
    let expected: Vec<String> = (0..400)
        .map(|n| {
            let size = sizes[n % sizes.len()];
            let filling = "\\\"é".repeat(size / 4);
            format!(r#"[null,null,"room:a","news","{n} {filling}"]"#)
        })
        .collect();
    for message in &expected {
        let payload = message.trim_start_matches(r#"[null,null,"room:a","news","#);
        let payload = payload.strip_suffix(']').unwrap();
        server
            .act(&format!("broadcast room:a news {payload}"))
            .await;
    }
    let answer = session.get().await;
    let length = answer.headers.get("content-length").unwrap();
    assert!(length.to_str().unwrap().parse::<usize>().unwrap() > 10_000_000);
    assert!(answer.messages() == expected, "they differ");
}

#[tokio::test]
async fn binary_messages_come_in_base64_to_clients_that_ask_for_it() {
    let server = Server::start().await;
    for (query, expected) in [("", None), ("&binary=base64", Some("AgYCcm9vbTphYmIBAgM="))] {
        let begin = http_at(&server, &format!("/socket?vsn=2.0.0{query}"));
        let session = begin.token(token(&begin.get().await));
        session.post(JOIN).await;
        session.post(r#"["1","2","room:a","bin_bc",{}]"#).await;
        let reply = r#"["1","2","room:a","phx_reply",{"status":"ok","response":{}}]"#;
        let expected: Vec<_> = [JOINED]
            .into_iter()
            .chain(expected)
            .chain([reply])
            .collect();
        assert_eq!(session.get().await.messages(), expected);
    }
}

#[tokio::test]
async fn connections_over_both_transports_hear_each_other() {
    let server = Server::start().await;
    let address = Address::new("/socket?vsn=2.0.0");
    let mut polling = LongPoll::connect(server.addr, &address).await.unwrap();
    let mut other = Client::connect(Transport::WebSocket, server.addr, &address)
        .await
        .unwrap();
    assert_eq!(polling.post(Frame::Text(JOIN.to_owned())).await, 200);
    other.send(Frame::Text(JOIN.to_owned())).await;
    let reply = Event::Frame(Frame::Text(JOINED.to_owned()));
    assert_eq!(polling.receive().await, reply);
    assert_eq!(other.receive().await, reply);
    for n in 0..2 {
        let event = format!(r#"["1",null,"room:a","bc_from",{{"n":{n}}}]"#);
        let heard = Event::Frame(Frame::Text(format!(
            r#"[null,null,"room:a","bced",{{"n":{n}}}]"#
        )));
        let answered = Event::Frame(Frame::Text(
            r#"["1",null,"room:a","phx_reply",{"status":"ok","response":{}}]"#.to_owned(),
        ));
        if n == 0 {
            polling.post(Frame::Text(event)).await;
            assert_eq!(other.receive().await, heard);
            assert_eq!(polling.receive().await, answered);
        } else {
            other.send(Frame::Text(event)).await;
            assert_eq!(other.receive().await, answered);
            assert_eq!(polling.receive().await, heard);
        }
    }
}
