//! Long-polling where a request comes to another node than its session's.

use std::time::{Duration, Instant};

use bennu::LongPoll as Options;
use serde_json::json;

use crate::{
    client::WAIT_MAX,
    deliveries::served,
    longpoll::Http,
    longpolling::{JOIN, JOINED, http, token},
    server::Server,
};

/// A session of one node that has joined, as it's asked there and by way of the other.
async fn session(server: &Server) -> (Http, Http) {
    let answer = http(server).get().await;
    let here = http(server).token(token(&answer));
    let (door, _) = server.other.as_ref().unwrap();
    let there = here.at(*door);
    assert_eq!(there.post(JOIN).await.body, json!({"status": 200}));
    let answer = there.get().await;
    assert_eq!(answer.messages(), [JOINED]);
    (here, there)
}

async fn with_window(ms: u64) -> Server {
    let longpoll = Options {
        window: Duration::from_millis(ms),
        ..Options::default()
    };
    Server::start_on_two_nodes_with(|it| {
        it.longpoll(longpoll.clone())
            .queue_bytes_max(100_000_000)
            .frame_bytes_max(10_000_000)
    })
    .await
}

#[tokio::test]
async fn requests_to_any_node_are_of_one_session() {
    let server = Server::start_on_two_nodes().await;
    let (here, there) = session(&server).await;
    for n in 0..20 {
        let (one, other) = if n % 2 == 0 {
            (&here, &there)
        } else {
            (&there, &here)
        };
        let posted = format!(r#"["1","{n}","room:a","ping",{{}}]"#);
        assert_eq!(one.post(posted).await.status(), 200);
        let answer = other.get().await;
        assert_eq!(answer.messages().len(), 1, "{answer:?}");
        assert!(answer.messages()[0].starts_with(&format!(r#"["1","{n}","#)));
    }
    assert_eq!(server.endpoint.connections(), 1);
    assert_eq!(server.other.as_ref().unwrap().1.connections(), 0);
}

#[tokio::test]
async fn a_poll_elsewhere_waits_for_the_window_and_is_ended_by_another() {
    let server = with_window(500).await;
    let (here, there) = session(&server).await;
    let (one, other) = tokio::join!(there.get(), here.get());
    assert_eq!((one.status(), other.status()), (204, 204));
    let (answer, ()) = tokio::join!(there.get(), server.act("broadcast room:a news 1"));
    assert_eq!(answer.messages(), [r#"[null,null,"room:a","news",1]"#]);
}

#[tokio::test]
async fn long_bodies_and_long_answers_go_in_parts() {
    let server = with_window(5_000).await;
    let (_, there) = session(&server).await;
    let large = "x".repeat(3_000_000);
    server.act("broadcast room:a news 1").await;
    server
        .act(&format!("broadcast room:a news \"{large}\""))
        .await;
    server.act("broadcast room:a news 2").await;
    let answer = there.get().await;
    assert_eq!(
        answer.messages(),
        [
            r#"[null,null,"room:a","news",1]"#,
            &format!(r#"[null,null,"room:a","news","{large}"]"#),
            r#"[null,null,"room:a","news",2]"#,
        ]
    );
    let body = format!(r#"[null,"1","phoenix","heartbeat",{{"x":"{large}"}}]"#);
    assert_eq!(there.post(body).await.status(), 200);
    assert_eq!(there.get().await.messages().len(), 1);
    let too_long = "x".repeat(8_000_001);
    assert_eq!(there.post(too_long).await.http_status, 400);
}

#[tokio::test]
async fn what_was_wrong_with_a_post_is_told_by_any_node() {
    let server = Server::start_on_two_nodes().await;
    let (here, there) = session(&server).await;
    for body in ["[]", "!"] {
        let (one, other) = (here.post_batch(body).await, there.post_batch(body).await);
        assert_eq!(one.body, other.body);
        assert_ne!(one.status(), 200, "{body}");
    }
}

#[tokio::test]
async fn a_session_that_has_ended_is_gone_at_once_wherever_it_is_asked_for() {
    let server = Server::start_on_two_nodes().await;
    let (_, there) = session(&server).await;
    let (_, other) = server.other.as_ref().unwrap();
    server.endpoint.drain().await;
    let began = Instant::now();
    for answer in [there.post(JOIN).await, there.get().await] {
        assert_eq!(answer.status(), 410);
        let closed = answer.close().unwrap();
        assert_eq!(closed.code, Some(1012));
        assert!(
            closed.reason.starts_with("draining retry_ms="),
            "{closed:?}"
        );
    }
    assert!(began.elapsed() < Duration::from_millis(1_400));
    assert_eq!(
        other.connections(),
        1,
        "another has begun, where it was asked for"
    );
}

#[tokio::test]
async fn a_poll_that_waits_elsewhere_is_told_why_its_session_is_closed() {
    let server = Server::start_on_two_nodes().await;
    let (_, there) = session(&server).await;
    let (_, other) = server.other.as_ref().unwrap();
    let (answer, ()) = tokio::join!(there.get(), server.endpoint.drain());
    // It waited, or came too late and began another.
    assert_eq!(answer.status() == 410, other.connections() == 1);
    assert_eq!(answer.close().unwrap().code, Some(1012));
}

#[tokio::test]
async fn the_sessions_of_a_dead_node_are_gone_within_two_seconds() {
    let server = Server::start_on_two_nodes().await;
    let (_, there) = session(&server).await;
    // Nothing is heard of it any more.
    server.endpoint.leave_cluster().await;
    for is_post in [true, false] {
        let began = Instant::now();
        let answer = match is_post {
            true => there.post(JOIN).await,
            false => there.get().await,
        };
        assert_eq!(answer.status(), 410);
        assert!(began.elapsed() < Duration::from_secs(2));
    }
    let (_, other) = server.other.as_ref().unwrap();
    assert_eq!(other.connections(), 1);
}

#[tokio::test]
async fn a_poll_elsewhere_that_hangs_up_loses_nothing() {
    let server = Server::start_on_two_nodes().await;
    let (here, there) = session(&server).await;
    let (door, stats) = served(&server).await;
    let there = there.at(door);
    for n in 0..5 {
        let request = there.build(hyper::Method::GET, axum::body::Body::empty());
        let mut connection = there.connection().await;
        let waiting = connection.send_request(request);
        // It's under way, or waits, or is answered: whatever it is when it's dropped.
        let _ = tokio::time::timeout(Duration::from_millis(20 * n), waiting).await;
        drop(connection);
        while stats.connections() > 0 {
            tokio::task::yield_now().await;
        }
        server.act(&format!("broadcast room:a news {n}")).await;
        let answer = tokio::time::timeout(WAIT_MAX, here.get()).await.unwrap();
        assert_eq!(
            answer.messages(),
            [format!(r#"[null,null,"room:a","news",{n}]"#)]
        );
    }
}
