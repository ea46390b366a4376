//! Sessions on a clock that is moved by hand, over channels that only repeat.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, HttpBody},
    response::{IntoResponse, Response},
};
use bennu_pubsub::PubSub;
use bennu_wire::{Encoding, Frame, Framing, Serializer, longpoll::Entry};
use bytes::Bytes;
use futures_util::{FutureExt, future::poll_fn, stream::pending};
use http::HeaderMap;
use tokio::{
    task::yield_now,
    time::{Instant, advance},
};

use super::{
    answer::Answer,
    bodies::{Bodies, NotTaken},
    polling::Polling,
    post::{BODY_TIME_MAX, post},
    session::{NotHandled, Session, Task},
    sessions::Sessions,
};
use crate::{
    LongPoll, Overflow, Presence, PresenceOptions, Reason, SocketOptions,
    runtime::{Close, Conn, Driver, Mount},
    transport::delivery::Delivery,
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
        Self::with(SocketOptions::new())
    }

    fn with(options: SocketOptions) -> Self {
        let pubsub = PubSub::new();
        let presence = Presence::new("presence", &pubsub, PresenceOptions::new());
        let mount = Arc::new(Mount::new("/socket".into(), options, pubsub, presence));
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
        let seat = mount.reserve(None).ok().unwrap();
        tokio::spawn(Task::new(session.clone(), seat, sessions.clone(), driver));
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
    let load = polling.messages().await;
    Answer::Polled(polling, load, None).into_response()
}

/// Whether an answer breaks off.
async fn is_cut(mut response: Response) -> bool {
    let mut body = Pin::new(response.body_mut());
    let frame = poll_fn(|cx| body.as_mut().poll_frame(cx)).await;
    frame.is_some_and(|it| it.is_err())
}

async fn next_chunk(response: &mut Response) -> Option<Bytes> {
    let mut body = Pin::new(response.body_mut());
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
    let close = body.get("close").map(|it| format!(" and {it}"));
    format!(
        "{} {}{}",
        body.get("status").unwrap(),
        messages.join(","),
        close.unwrap_or_default()
    )
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
async fn messages_on_their_way_arent_dropped_for_others_and_those_that_came_back_are() {
    let options = SocketOptions::new()
        .queue_messages_max(2)
        .overflow(Overflow::DropOldest);
    let stage = Stage::with(options);
    stage.post("a").await.unwrap();
    stage.post("b").await.unwrap();
    let response = answer(stage.session.poll()).await;
    for text in ["c", "d", "e"] {
        stage.post(text).await.unwrap();
    }
    assert_eq!(read(response).await, "200 a,b");
    // What didn't fit beside them is one message.
    let response = answer(stage.session.poll()).await;
    drop(response);
    stage.post("f").await.unwrap();
    stage.post("g").await.unwrap();
    assert_eq!(stage.poll().await, "200 f,g");
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
    // Its client wouldn't wait for it any more.
    assert!(is_cut(first).await);
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
    assert_eq!(first.messages().now_or_never(), Some(None));
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
    let told = r#"204  and {"code":1001,"reason":"idle"}"#;
    assert_eq!(stage.poll().await, told);
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
async fn a_client_whose_messages_wait_isnt_silent() {
    let stage = Stage::new();
    stage.ready.store(false, Ordering::Relaxed);
    for _ in 0..20 {
        assert_eq!(stage.post("a").await, Err(NotHandled::TimedOut));
    }
    assert!(stage.is_alive());
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
async fn a_body_that_doesnt_come_is_given_up() {
    let stage = Stage::new();
    let options = LongPoll::default();
    let body = Body::from_stream(pending::<Result<Bytes, Infallible>>());
    let began = Instant::now();
    let bodies = Bodies::new(usize::MAX);
    let answer = post(&stage.session, &options, &bodies, &HeaderMap::new(), body).await;
    assert!(matches!(answer, Answer::Status(408)));
    assert_eq!(began.elapsed(), BODY_TIME_MAX);
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
    const CLOSE: &str = r#" and {"code":1001,"reason":"disconnected"}"#;
    for (sent, is_over, expected) in [
        (None, false, format!("204 {CLOSE}")),
        // It was woken for the message, and is answered before the session has ended: the next one is told.
        (Some("\"bye\""), false, "200 bye".to_owned()),
        (Some("\"bye\""), true, format!("200 bye{CLOSE}")),
    ] {
        let stage = Stage::new();
        let polling = stage.session.poll();
        assert_eq!(polling.messages().now_or_never(), None);
        if let Some(sent) = sent {
            stage.session.conn.send(Bytes::from_static(sent.as_bytes()));
        }
        let close = Close::new(1001, "disconnected");
        stage.session.conn.close(close.clone());
        if is_over {
            yield_now().await;
        }
        assert_eq!(read(answer(polling).await).await, expected);
        yield_now().await;
        assert_eq!(stage.sessions.ended(1), Some(close));
        assert!(!stage.is_alive());
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_answer_of_a_session_is_given_time_and_then_up() {
    for (wait, is_given_up) in [(0, false), (4, false), (6, true)] {
        let stage = Stage::new();
        stage.post("a").await.unwrap();
        let response = answer(stage.session.poll()).await;
        stage.session.conn.close(Close::new(1001, "disconnected"));
        yield_now().await;
        assert!(stage.sessions.get(1).is_none());
        assert_eq!(stage.mount.len(), 1, "an answer is on its way");
        advance(Duration::from_secs(wait)).await;
        yield_now().await;
        if is_given_up {
            assert_eq!(stage.session.conn.backlog(), (0, 0));
            assert!(is_cut(response).await);
        } else {
            assert_eq!(read(response).await, "200 a");
            yield_now().await;
        }
        assert_eq!(stage.mount.len(), 0);
    }
}

/// What is known of an answer's delivery, and what the next poll gets.
#[tokio::test(start_paused = true)]
async fn an_answer_is_kept_until_it_is_known_or_taken_for_granted_that_it_arrived() {
    type Fate = fn(Arc<Delivery>) -> Option<Arc<Delivery>>;
    let fates: [(&str, Fate, &str); 6] = [
        ("lost before it left", |_| None, "200 a,b"),
        (
            "sent, and the connection is over",
            |it| {
                it.flushed();
                None
            },
            "200 b",
        ),
        (
            "another request, but too early to be an answer to it",
            |it| {
                it.next_request();
                Some(it)
            },
            "200 a,b",
        ),
        (
            "another request",
            |it| {
                it.flushed();
                it.next_request();
                Some(it)
            },
            "200 b",
        ),
        (
            "flushed more than once",
            |it| {
                it.flushed();
                it.flushed();
                it.next_request();
                it.next_request();
                Some(it)
            },
            "200 b",
        ),
        (
            "another poll on another connection",
            |it| {
                it.flushed();
                Some(it)
            },
            "200 b",
        ),
    ];
    for (what, fate, expected) in fates {
        let stage = Stage::new();
        stage.post("a").await.unwrap();
        let delivery = Arc::<Delivery>::default();
        let polling = stage.session.poll();
        let load = polling.messages().await;
        let response = Answer::Polled(polling, load, Some(delivery.clone())).into_response();
        assert_eq!(read(response).await, "200 a", "{what}");
        stage.post("b").await.unwrap();
        let stays = fate(delivery);
        assert_eq!(stage.poll().await, expected, "{what}");
        drop(stays);
    }
}

#[tokio::test]
async fn bodies_share_their_room_and_give_it_back() {
    const FREE: usize = 64 * 1024;
    let bodies = Bodies::new(10);
    let take = async |bytes: usize| {
        let taken = bodies.take(Body::from(vec![b'a'; bytes]), FREE + 8).await;
        taken.map(|it| (it.bytes().len(), it))
    };
    assert_eq!(take(FREE + 9).await.err(), Some(NotTaken::TooLong));
    let (length, first) = take(FREE + 8).await.unwrap();
    assert_eq!(length, FREE + 8);
    assert_eq!(take(FREE + 3).await.err(), Some(NotTaken::NoRoom));
    let second = take(FREE + 2).await.unwrap();
    assert_eq!(take(FREE + 1).await.err(), Some(NotTaken::NoRoom));
    // Who posts little has room all the same.
    assert_eq!(take(FREE).await.unwrap().0, FREE);
    drop(first);
    assert_eq!(take(FREE + 8).await.unwrap().0, FREE + 8);
    drop(second);
    let broken = futures_util::stream::iter([Ok("abc"), Err(std::io::Error::other("gone"))]);
    let broken = bodies.take(Body::from_stream(broken), 8).await;
    assert_eq!(broken.err(), Some(NotTaken::Broken));
    let long = futures_util::stream::iter([Ok::<_, Infallible>("abcd"), Ok("efghi")]);
    let long = bodies.take(Body::from_stream(long), 8).await;
    assert_eq!(long.err(), Some(NotTaken::TooLong));
    assert_eq!(
        take(FREE + 8).await.unwrap().0,
        FREE + 8,
        "all was given back"
    );
}
