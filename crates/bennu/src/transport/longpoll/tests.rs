//! Sessions on a clock that is moved by hand, over channels that only repeat.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::HttpBody,
    response::{IntoResponse, Response},
};
use bennu_pubsub::PubSub;
use bennu_wire::{Encoding, Frame, Framing, Serializer, longpoll::Entry};
use bytes::Bytes;
use futures_util::{FutureExt, future::poll_fn};
use tokio::{
    task::yield_now,
    time::{Instant, advance},
};

use super::{
    answer::Answer,
    polling::Polling,
    session::{NotHandled, Session, Task},
    sessions::Sessions,
};
use crate::{
    Presence, PresenceOptions, Reason, SocketOptions,
    runtime::{Close, Conn, Driver, Mount},
};

const WINDOW: Duration = Duration::from_millis(100);

struct Repeater {
    ready: Arc<AtomicBool>,
}

impl Driver for Repeater {
    fn receive(
        &mut self,
        frame: Frame<'_>,
        conn: &Arc<Conn>,
        _: &mut Context<'_>,
    ) -> Result<(), Close> {
        match frame {
            Frame::Text("bad") => Err(Close::new(1007, "bad")),
            Frame::Text(text) => {
                conn.send(Bytes::from(format!("{text:?}")));
                Ok(())
            }
            Frame::Binary(_) => Ok(()),
        }
    }

    fn ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    fn poll(&mut self, _: &Arc<Conn>, _: &mut Context<'_>) {}

    fn poll_close(&mut self, _: Reason, _: &Arc<Conn>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

struct Stage {
    session: Arc<Session>,
    sessions: Arc<Sessions>,
    mount: Arc<Mount>,
    ready: Arc<AtomicBool>,
}

impl Stage {
    fn new() -> Self {
        let mount = {
            let pubsub = PubSub::new();
            let presence = Presence::new("presence", &pubsub, PresenceOptions::new());
            Mount::new("/socket".into(), SocketOptions::new(), pubsub, presence)
        };
        let mount = Arc::new(mount);
        let encoding = Encoding {
            serializer: Serializer::V2,
            framing: Framing::LongPoll,
        };
        let conn = Arc::new(Conn::new(mount.clone(), encoding, false));
        let sessions = Arc::new(Sessions::new(1));
        let session = sessions.begin(|id| Session::new(id, "token".into(), conn, WINDOW));
        let session = session.unwrap();
        let ready = Arc::new(AtomicBool::new(true));
        let driver = Repeater {
            ready: ready.clone(),
        };
        tokio::spawn(Task::new(session.clone(), &mount, sessions.clone(), driver));
        Self {
            session,
            sessions,
            mount,
            ready,
        }
    }

    async fn post(&self, text: &str) -> Result<(), NotHandled> {
        self.session.post(Entry::Text(text.to_owned())).await
    }

    /// Polls and reads the answer to its end. The status and the messages.
    async fn poll(&self) -> String {
        read(answer(self.session.poll()).await).await
    }

    fn is_alive(&self) -> bool {
        assert_eq!(self.mount.len() == 1, self.sessions.get(1).is_some());
        self.mount.len() == 1
    }
}

async fn answer(polling: Polling) -> Response {
    let messages = polling.messages().await;
    Answer::Polled(polling, messages).into_response()
}

async fn next_chunk(response: &mut Response) -> Option<Bytes> {
    let body = std::pin::Pin::new(response.body_mut());
    let mut body = body;
    let frame = poll_fn(|cx| body.as_mut().poll_frame(cx)).await?;
    Some(frame.unwrap().into_data().unwrap())
}

async fn read(mut response: Response) -> String {
    let mut body = Vec::new();
    while let Some(chunk) = next_chunk(&mut response).await {
        body.extend_from_slice(&chunk);
    }
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body.get("token").and_then(|it| it.as_str()), Some("token"));
    let messages = body.get("messages").and_then(|it| it.as_array()).unwrap();
    let messages: Vec<_> = messages.iter().map(|it| it.as_str().unwrap()).collect();
    format!("{} {}", body.get("status").unwrap(), messages.join(","))
}

#[tokio::test(start_paused = true)]
async fn messages_are_fetched_once() {
    let stage = Stage::new();
    stage.post("a").await.unwrap();
    stage.post("b").await.unwrap();
    assert_eq!(stage.poll().await, "200 a,b");
    assert_eq!(stage.poll().await, "204 ");
    assert_eq!(stage.session.conn.backlog(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_poll_waits_for_a_message_or_the_window_and_no_longer() {
    let stage = Stage::new();
    let began = Instant::now();
    assert_eq!(stage.poll().await, "204 ");
    assert_eq!(began.elapsed(), WINDOW);

    let posted = async {
        tokio::time::sleep(WINDOW / 2).await;
        stage.post("a").await
    };
    let (answer, _) = tokio::join!(stage.poll(), posted);
    assert_eq!(answer, "200 a");
    // The clock of tokio's tests goes in milliseconds.
    assert!(began.elapsed() < WINDOW * 7 / 4);
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_goes_away_while_it_waits_loses_nothing() {
    let stage = Stage::new();
    let polling = stage.session.poll();
    assert_eq!(polling.messages().now_or_never(), None);
    drop(polling);
    stage.post("a").await.unwrap();
    assert_eq!(stage.poll().await, "200 a");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_goes_away_before_it_is_read_loses_nothing() {
    let stage = Stage::new();
    stage.post("a").await.unwrap();
    drop(answer(stage.session.poll()).await);
    stage.post("b").await.unwrap();
    assert_eq!(stage.poll().await, "200 a,b");
    assert_eq!(stage.poll().await, "204 ");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_read_in_part_loses_nothing() {
    let stage = Stage::new();
    let large = "x".repeat(100_000);
    for text in ["a", &large, "b", &large, "c"] {
        stage.post(text).await.unwrap();
    }
    for chunks in 0..4 {
        let mut response = answer(stage.session.poll()).await;
        for _ in 0..chunks {
            assert!(next_chunk(&mut response).await.is_some());
        }
    }
    assert_eq!(stage.poll().await, format!("200 a,{large},b,{large},c"));
    assert_eq!(stage.session.conn.backlog(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_comes_before_the_last_answer_is_read_gets_the_same_again() {
    let stage = Stage::new();
    stage.post("a").await.unwrap();
    let first = answer(stage.session.poll()).await;
    stage.post("b").await.unwrap();
    let second = answer(stage.session.poll()).await;
    assert_eq!(read(first).await, "200 a");
    stage.post("c").await.unwrap();
    assert_eq!(read(second).await, "200 a,b");
    assert_eq!(stage.poll().await, "200 c");
}

#[tokio::test(start_paused = true)]
async fn a_second_poll_ends_the_first() {
    let stage = Stage::new();
    let first = stage.session.poll();
    assert_eq!(first.messages().now_or_never(), None);
    let second = stage.session.poll();
    assert_eq!(first.messages().now_or_never(), Some(Vec::new()));
    assert_eq!(second.messages().now_or_never(), None);
    drop(first);
    stage.post("a").await.unwrap();
    assert_eq!(read(answer(second).await).await, "200 a");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_silent_is_given_up_by_the_second_check() {
    let stage = Stage::new();
    stage.poll().await;
    advance(WINDOW / 2).await;
    yield_now().await;
    assert!(stage.is_alive(), "after the first check");
    advance(WINDOW * 3 / 2).await;
    yield_now().await;
    assert!(!stage.is_alive(), "after the second check");
    assert_eq!(stage.post("a").await, Err(NotHandled::Gone));
    assert_eq!(stage.poll().await, "204 ");
}

#[tokio::test(start_paused = true)]
async fn polls_and_posts_keep_a_session_alive() {
    let stage = Stage::new();
    for _ in 0..20 {
        stage.session.heard();
        advance(WINDOW).await;
        yield_now().await;
    }
    for _ in 0..20 {
        assert_eq!(stage.poll().await, "204 ");
    }
    assert!(stage.is_alive());
}

#[tokio::test(start_paused = true)]
async fn a_message_that_isnt_handled_within_the_window_is_given_up() {
    let stage = Stage::new();
    stage.ready.store(false, Ordering::Relaxed);
    let began = Instant::now();
    assert_eq!(stage.post("a").await, Err(NotHandled::TimedOut));
    assert_eq!(began.elapsed(), WINDOW);
    stage.ready.store(true, Ordering::Relaxed);
    assert_eq!(stage.post("b").await, Ok(()));
    assert_eq!(stage.poll().await, "200 b");
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_busy_driver_is_limited() {
    let stage = Stage::new();
    stage.ready.store(false, Ordering::Relaxed);
    let large = Entry::Text("x".repeat(20_000_000));
    assert_eq!(stage.session.post(large).now_or_never(), None);
    let refused = stage.post("a").now_or_never();
    assert_eq!(refused, Some(Err(NotHandled::TimedOut)));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_none_says_why() {
    let stage = Stage::new();
    let malformed = NotHandled::Malformed(Close::new(1007, "bad"));
    assert_eq!(stage.post("bad").await, Err(malformed));
    assert_eq!(stage.post("good").await, Ok(()));
    assert!(stage.is_alive());
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_waits_when_the_session_ends_gets_what_there_is() {
    for (sent, expected) in [(None, "204 "), (Some("\"bye\""), "200 bye")] {
        let stage = Stage::new();
        let polling = stage.session.poll();
        assert_eq!(polling.messages().now_or_never(), None);
        if let Some(sent) = sent {
            stage.session.conn.send(Bytes::from_static(sent.as_bytes()));
        }
        stage.session.conn.close(Close::new(1001, "disconnected"));
        assert_eq!(read(answer(polling).await).await, expected);
        yield_now().await;
        assert!(!stage.is_alive());
    }
}
