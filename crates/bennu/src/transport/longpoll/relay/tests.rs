//! What becomes of a request to another node when something is full, lost or gone: what its client sees, and what is
//! counted.

use std::time::Duration;

use axum::{
    Router,
    body::{Body, to_bytes},
};
use bennu_pubsub::{LocalBus, NodeName};
use http::{Method, Request};
use serde_json::{Value, json};
use tokio::{task::yield_now, time::Instant};
use tower::ServiceExt;

use super::{inbox::BYTES_MAX, *};
use crate::{
    Channel, ConnectInfo, Context, Endpoint, Joined, LongPoll, RawEvent, Reply, Result, Routes,
    Socket, SocketOptions, Topic,
};

const JOIN: &str = r#"["1","1","room:1","phx_join",{}]"#;

struct Visitor;

impl Socket for Visitor {
    type App = ();
    type Params = ();

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes.channel::<Room>("room:*")
    }

    async fn connect(_: &Arc<()>, (): (), _: &ConnectInfo) -> Result<Self> {
        Ok(Self)
    }
}

struct Room;

impl Channel for Room {
    type Socket = Visitor;
    type Params = ();
    type In = RawEvent;
    type Info = ();

    async fn join(_: &Topic, (): (), _: &Context<Self>) -> Result<Joined<Self>> {
        Ok(Self.into())
    }

    async fn handle_in(&mut self, _: RawEvent, _: &Context<Self>) -> Result {
        Ok(Reply::ok())
    }
}

struct Node {
    endpoint: Endpoint<()>,
    router: Router,
    relay: Arc<Relay>,
}

impl Node {
    async fn start(bus: &LocalBus, name: &str) -> Self {
        let options = SocketOptions::new()
            .longpoll(LongPoll::default())
            .queue_bytes_max(100_000_000);
        let mut endpoint = Endpoint::new(())
            .secret("a secret of at least 20 bytes")
            .adapter(bus.adapter())
            .node_name(name)
            .socket_with::<Visitor>("/socket", options);
        let router = endpoint.router();
        assert!(endpoint.pubsub().cluster().unwrap().ready().await);
        let relay = endpoint.relay().unwrap();
        Self {
            endpoint,
            router,
            relay,
        }
    }

    /// HTTP's status, and the body.
    async fn ask(&self, method: Method, token: &str, body: impl Into<Body>) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri("/socket/longpoll?vsn=2.0.0")
            .header("x-phoenix-longpoll-token", token)
            .body(body.into());
        let response = self.router.clone().oneshot(request.unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 100_000_000).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    /// The body's status, and how many messages there are.
    async fn poll(&self, token: &str) -> (u64, usize) {
        let (_, body) = self.ask(Method::GET, token, Body::empty()).await;
        let messages = body["messages"].as_array().map_or(0, Vec::len);
        (body["status"].as_u64().unwrap_or_default(), messages)
    }

    async fn post(&self, token: &str, body: impl Into<Body>) -> (u16, Value) {
        self.ask(Method::POST, token, body).await
    }

    /// Has everybody in the room hear so many bytes.
    fn say(&self, bytes: usize) {
        self.endpoint
            .broadcast("room:1", "news", &"x".repeat(bytes));
    }

    async fn count(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.endpoint.metrics().await.get(name, labels).unwrap()
    }

    /// How often requests failed, and why, once none is under way.
    async fn check_failures(&self, expected: &[(&str, u32)]) {
        while self.count("bennu_longpoll_relaying", &[]).await > 0.0 {
            yield_now().await;
        }
        let failed = "bennu_longpoll_relayed_failed_total";
        for (why, count) in expected {
            let found = self.count(failed, &[("why", why)]).await;
            assert_eq!(found, f64::from(*count), "{why}");
        }
        let all: u32 = expected.iter().map(|(_, count)| count).sum();
        assert_eq!(self.count(failed, &[]).await, f64::from(all));
        let answered = self
            .count("bennu_longpoll_relayed_answered_total", &[])
            .await;
        let relayed = self.count("bennu_longpoll_relayed_total", &[]).await;
        assert_eq!(relayed, answered + f64::from(all));
    }
}

/// Two nodes: where a session that has joined is, and where its requests come to; and its token.
async fn stage() -> (Node, Node, String) {
    let bus = LocalBus::new();
    let (home, door) = (
        Node::start(&bus, "home").await,
        Node::start(&bus, "door").await,
    );
    let (_, began) = home.ask(Method::GET, "", Body::empty()).await;
    let token = began["token"].as_str().unwrap().to_owned();
    assert_eq!(home.post(&token, JOIN).await.1, json!({"status": 200}));
    assert_eq!(home.poll(&token).await, (200, 1));
    (home, door, token)
}

#[tokio::test(start_paused = true)]
async fn what_is_relayed_is_counted_on_both_nodes() {
    let (home, door, token) = stage().await;
    assert_eq!(door.post(&token, JOIN).await.1, json!({"status": 200}));
    // The old channel's end, and the new one's join.
    assert_eq!(door.poll(&token).await, (200, 2));
    assert_eq!(door.poll(&token).await, (204, 0));
    door.check_failures(&[]).await;
    assert_eq!(door.count("bennu_longpoll_relayed_total", &[]).await, 3.0);
    while home.count("bennu_longpoll_serving", &[]).await > 0.0 {
        yield_now().await;
    }
    assert_eq!(home.count("bennu_longpoll_served_total", &[]).await, 3.0);
    assert_eq!(home.count("bennu_longpoll_relayed_total", &[]).await, 0.0);
    for node in [home, door] {
        assert_eq!(node.count("bennu_longpoll_relay_bytes", &[]).await, 0.0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_relays_as_many_as_it_may_answers_503() {
    let (home, door, token) = stage().await;
    for _ in 0..REQUESTS_MAX {
        assert!(door.relay.place(home.relay.node()).is_some());
    }
    let relaying = door.count("bennu_longpoll_relaying", &[]).await;
    assert_eq!(relaying, f64::from(REQUESTS_MAX as u32));
    for method in [Method::GET, Method::POST] {
        assert_eq!(door.ask(method, &token, JOIN).await.0, 503);
    }
    // They weren't asked by anybody who could count their end.
    lock(&door.relay.asked).clear();
    assert_eq!(door.post(&token, JOIN).await.1, json!({"status": 200}));
    let failed = "bennu_longpoll_relayed_failed_total";
    assert_eq!(door.count(failed, &[("why", "full")]).await, 2.0);
    assert_eq!(door.count(failed, &[]).await, 2.0);
    assert_eq!(home.count("bennu_longpoll_served_total", &[]).await, 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_serves_as_many_as_it_may_has_others_answer_503() {
    let (home, door, token) = stage().await;
    for number in 0..REQUESTS_MAX as u64 {
        let other = home.relay.node().clone();
        lock(&home.relay.served).insert((other, number), Inbox::new().0);
    }
    for method in [Method::GET, Method::POST] {
        assert_eq!(door.ask(method, &token, JOIN).await.0, 503);
    }
    door.check_failures(&[("busy", 2)]).await;
    let refused = home.count("bennu_longpoll_served_refused_total", &[]).await;
    assert_eq!(refused, 2.0);
    lock(&home.relay.served).clear();
    assert_eq!(door.post(&token, JOIN).await.1, json!({"status": 200}));
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_room_is_for_the_next_poll_and_small_ones_always_have_some() {
    let (home, door, token) = stage().await;
    let full = door.relay.memory.take(BYTES_MAX).unwrap();
    home.say(10_000);
    assert_eq!(door.poll(&token).await, (200, 1));
    home.say(1_000_000);
    let began = Instant::now();
    assert_eq!(door.poll(&token).await, (204, 0));
    // Its client polls again at once, so it isn't told at once.
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert!(began.elapsed() < Duration::from_secs(2));
    door.check_failures(&[("no room", 1)]).await;
    drop(full);
    assert_eq!(door.poll(&token).await, (200, 1));
    assert_eq!(door.count("bennu_longpoll_relay_bytes", &[]).await, 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_body_without_room_is_told_408_at_once_and_small_ones_always_have_some() {
    let (home, door, token) = stage().await;
    let full = home.relay.memory.take(BYTES_MAX).unwrap();
    let beat = |bytes| {
        let text = "x".repeat(bytes);
        format!(r#"[null,"1","phoenix","heartbeat",{{"x":"{text}"}}]"#)
    };
    let began = Instant::now();
    let (_, small) = door.post(&token, beat(10_000)).await;
    assert_eq!(small, json!({"status": 200}));
    let (_, large) = door.post(&token, beat(1_000_000)).await;
    assert_eq!(large, json!({"status": 408}));
    assert!(began.elapsed() < Duration::from_secs(1));
    drop(full);
    let (_, large) = door.post(&token, beat(1_000_000)).await;
    assert_eq!(large, json!({"status": 200}));
    door.check_failures(&[]).await;
    assert_eq!(home.count("bennu_longpoll_relay_bytes", &[]).await, 0.0);
    // Two were handled, and answered.
    assert_eq!(home.poll(&token).await, (200, 2));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_too_long_stays_for_a_poll_of_its_own_node() {
    let (home, door, token) = stage().await;
    for _ in 0..5 {
        home.say(7_000_000);
    }
    assert_eq!(door.poll(&token).await, (204, 0));
    door.check_failures(&[("too big", 1)]).await;
    assert_eq!(home.poll(&token).await, (200, 5));
}

#[tokio::test(start_paused = true)]
async fn what_ends_a_request_is_counted_by_why() {
    let (home, door, token) = stage().await;
    let polled = tokio::time::timeout(Duration::from_secs(5), door.poll(&token));
    assert!(polled.await.is_err(), "its client hangs up");
    door.check_failures(&[("hung up", 1)]).await;

    home.endpoint.drain().await;
    let (_, gone) = door.post(&token, JOIN).await;
    assert_eq!(
        (&gone["status"], &gone["close"]["code"]),
        (&json!(410), &json!(1012))
    );
    door.check_failures(&[("hung up", 1), ("gone", 1)]).await;

    home.endpoint.leave_cluster().await;
    assert_eq!(door.post(&token, JOIN).await.1, json!({"status": 410}));
    door.check_failures(&[("hung up", 1), ("gone", 1), ("silent", 1)])
        .await;
}

#[tokio::test(start_paused = true)]
async fn answers_that_break_off_are_counted_by_why() {
    let (_home, door, token) = stage().await;
    let part = |at| {
        Told::Part(Part {
            at,
            bytes: Bytes::from_static(b"[]"),
        })
    };
    let check = async |told: &[Told], expected: &[(&str, u32)]| {
        // A node that answers what it likes.
        let home = &NodeId {
            name: NodeName::parse("liar").unwrap(),
            start: 1,
        };
        let asking = door.relay.poll(home, "/socket", &token).unwrap();
        let number = door.relay.last_number.load(Ordering::Relaxed);
        for told in told {
            door.relay.told(home, number, told.clone());
        }
        let passed = asking.answer(Duration::from_secs(10), &token).await;
        assert!(matches!(passed, Passed::Nothing(_)), "{told:?}");
        door.check_failures(expected).await;
    };
    check(&[], &[("late", 1)]).await;
    check(&[Told::Messages(4), part(2)], &[("late", 1), ("broken", 1)]).await;
    let no_json = Told::Part(Part {
        at: 0,
        bytes: Bytes::from_static(b"[1]"),
    });
    check(&[Told::Messages(3), no_json], &[("late", 1), ("broken", 2)]).await;
    // A space behind it: the answer would be no JSON.
    let spaced = Told::Part(Part {
        at: 0,
        bytes: Bytes::from_static(b"[] "),
    });
    check(&[Told::Messages(3), spaced], &[("late", 1), ("broken", 3)]).await;
    check(
        &[Told::Messages(usize::MAX), part(0)],
        &[("late", 1), ("broken", 3), ("too big", 1)],
    )
    .await;
}
