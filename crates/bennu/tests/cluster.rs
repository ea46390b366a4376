//! Several nodes that act as one, in one process: what an endpoint makes of a bus.
#![expect(clippy::unwrap_used, reason = "a test says so by panicking")]

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use bennu::{
    Adapter, AdapterHealth, Broadcast, Bytes, Channel, ClusterOptions, ConnectInfo, Context,
    Endpoint, Joined, LocalBus, NodeName, Payload, Reply, Result, Routes, Socket, Status, Topic,
    testing::{
        Client, ClientChannel, Close, assert_payload, assert_push, assert_reply, connect,
        refute_push,
    },
};
use bennu_pubsub::{Link, LocalAdapter, Registration, Subject};
use serde::Deserialize;
use serde_json::json;
use tokio::{sync::Semaphore, time::Instant};

struct User(String);

#[derive(Deserialize)]
struct Login {
    name: String,
}

impl Socket for User {
    type App = ();
    type Params = Login;

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes
            .channel::<Room>("room:*")
            .channel::<Marked>("marked:*")
    }

    async fn connect(_: &Arc<()>, login: Login, _: &ConnectInfo) -> Result<Self> {
        Ok(Self(login.name))
    }

    fn id(&self) -> Option<String> {
        Some(format!("user:{}", self.0))
    }
}

struct Room;

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum In {
    Shout(Payload),
    Whisper(Payload),
    Local(Payload),
    LocalWhisper(Payload),
    /// To this topic on the node of that name.
    Direct(String),
    /// Ends a user's connections, wherever they are.
    Disconnect(String),
}

impl Channel for Room {
    type Socket = User;
    type Params = ();
    type In = In;
    type Info = ();

    async fn join(_: &Topic, (): (), _: &Context<Self>) -> Result<Joined<Self>> {
        Ok(Self.into())
    }

    async fn handle_in(&mut self, event: In, cx: &Context<Self>) -> Result {
        match event {
            In::Shout(payload) => cx.broadcast("shout", &payload),
            In::Whisper(payload) => cx.broadcast_from("whisper", &payload),
            In::Local(payload) => cx.local_broadcast("local", &payload),
            In::LocalWhisper(payload) => cx.local_broadcast_from("local_whisper", &payload),
            In::Direct(node) => {
                let node = NodeName::parse(&node).unwrap();
                cx.direct_broadcast(&node, cx.topic().clone(), "direct", &());
            }
            In::Disconnect(name) => cx.broadcast_to(format!("user:{name}"), "disconnect", &()),
        }
        Ok(Reply::with("done"))
    }
}

/// Adds to what others say whom it's for.
struct Marked;

impl Channel for Marked {
    type Socket = User;
    type Params = ();
    type In = In;
    type Info = ();
    const INTERCEPT: &'static [&'static str] = &["shout"];

    async fn join(_: &Topic, (): (), _: &Context<Self>) -> Result<Joined<Self>> {
        Ok(Self.into())
    }

    async fn handle_in(&mut self, _: In, _: &Context<Self>) -> Result {
        Ok(Reply::none())
    }

    async fn handle_out(&mut self, broadcast: &Broadcast, cx: &Context<Self>) -> Result<()> {
        let to = &cx.socket().0;
        cx.push("marked", &json!({"to": to, "what": broadcast.payload()}));
        Ok(())
    }
}

fn node(adapter: impl Adapter, name: &str) -> Endpoint<()> {
    let endpoint = Endpoint::new(()).adapter(adapter).node_name(name);
    endpoint.socket::<User>("/socket")
}

async fn user(endpoint: &Endpoint<()>, name: &str) -> Client {
    connect(endpoint, "/socket", json!({"name": name}))
        .await
        .unwrap()
}

async fn joined(endpoint: &Endpoint<()>, name: &str, topic: &str) -> ClientChannel {
    user(endpoint, name).await.join(topic, ()).await.unwrap()
}

async fn two() -> (LocalBus, Endpoint<()>, Endpoint<()>) {
    let bus = LocalBus::new();
    let (here, there) = (node(bus.adapter(), "here"), node(bus.adapter(), "there"));
    for endpoint in [&here, &there] {
        assert!(endpoint.pubsub().cluster().unwrap().ready().await);
    }
    (bus, here, there)
}

#[tokio::test(start_paused = true)]
async fn what_is_said_on_one_node_is_heard_on_the_other_once() {
    let (_bus, here, there) = two().await;
    let ada = joined(&here, "ada", "room:1").await;
    let ben = joined(&there, "ben", "room:1").await;
    for n in [1, 2] {
        ada.push("shout", json!({"n": n}));
        assert_push!(ada, "shout", {"n": n});
        assert_push!(ben, "shout", {"n": n});
    }
    ada.push("whisper", json!({}));
    assert_push!(ben, "whisper", {});
    refute_push!(ada, "whisper");
    let bytes = Bytes::from_static(&[0, 255]);
    ada.push("shout", &bytes);
    assert_push!(ben, "shout", bytes);
    there.broadcast("room:1", "outside", &json!({"n": 3}));
    assert_push!(ada, "outside", {"n": 3});
    let stats = here.pubsub().cluster().unwrap().stats();
    assert_eq!((stats.malformed, stats.unknown), (0, 0));
    assert!(stats.echoes >= 3, "{stats:?}");
}

#[tokio::test(start_paused = true)]
async fn some_things_stay_on_a_node_or_go_to_one() {
    let (_bus, here, there) = two().await;
    let ada = joined(&here, "ada", "room:1").await;
    let ben = joined(&there, "ben", "room:1").await;
    ada.push("local", json!({}));
    assert_push!(ada, "local", {});
    ada.push("local_whisper", json!({}));
    here.local_broadcast("room:1", "here", &());
    assert_push!(ada, "here", {});
    assert_reply!(ada.push("direct", "there"), "ok", "done");
    assert_push!(ben, "direct", {});
    assert_reply!(ada.push("direct", "nowhere"), "ok", "done");
    let name = NodeName::parse("here").unwrap();
    there.direct_broadcast(&name, "room:1", "from there", &());
    assert_push!(ada, "from there", {});
    here.direct_broadcast(&name, "room:1", "to itself", &());
    assert_push!(ada, "to itself", {});
    for event in ["local", "local_whisper", "here", "from there", "to itself"] {
        refute_push!(ben, event);
    }
    refute_push!(ada, "local_whisper");
}

#[tokio::test(start_paused = true)]
async fn each_node_asks_its_own_channels_what_they_make_of_it() {
    let (_bus, here, there) = two().await;
    let ada = joined(&here, "ada", "marked:1").await;
    let ben = joined(&there, "ben", "marked:1").await;
    here.broadcast("marked:1", "shout", &"hi");
    assert_push!(ada, "marked", {"to": "ada", "what": "hi"});
    assert_push!(ben, "marked", {"to": "ben", "what": "hi"});
}

#[tokio::test(start_paused = true)]
async fn users_are_disconnected_on_whichever_node_they_are() {
    let (_bus, here, there) = two().await;
    let ada = joined(&here, "ada", "room:1").await;
    let ben = user(&there, "ben").await;
    let carl = user(&there, "carl").await;
    ada.push("disconnect", "ben");
    assert_eq!(ben.closed().await, Some(Close::new(1001, "disconnected")));
    here.broadcast("user:carl", "disconnect", &());
    assert_eq!(carl.closed().await, Some(Close::new(1001, "disconnected")));
    assert_reply!(ada.client().heartbeat(), "ok");
}

/// An adapter that confirms a partition when it's let.
#[derive(Debug)]
struct Slow {
    inner: LocalAdapter,
    confirmations: Arc<Semaphore>,
}

impl Adapter for Slow {
    fn start(&self, link: Arc<dyn Link>) {
        self.inner.start(link);
    }

    fn publish(&self, subject: &Subject, message: Bytes) {
        self.inner.publish(subject, message);
    }

    fn subscribe(&self, subject: &Subject) -> Registration {
        let registration = self.inner.subscribe(subject);
        let confirmations = self.confirmations.clone();
        let partition = matches!(subject, Subject::Partition(_));
        Box::pin(async move {
            if partition {
                confirmations.acquire().await.unwrap().forget();
            }
            registration.await
        })
    }

    fn unsubscribe(&self, subject: &Subject) {
        self.inner.unsubscribe(subject);
    }

    fn health(&self) -> AdapterHealth {
        self.inner.health()
    }

    fn shutdown(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.inner.shutdown()
    }
}

/// A node whose bus has so many confirmations to give.
fn slow(count: usize) -> (Arc<Semaphore>, Endpoint<()>) {
    let confirmations = Arc::new(Semaphore::new(count));
    let adapter = Slow {
        inner: LocalBus::new().adapter(),
        confirmations: confirmations.clone(),
    };
    (confirmations, node(adapter, "slow"))
}

#[tokio::test(start_paused = true)]
async fn a_join_is_acknowledged_when_the_bus_has_confirmed_and_the_next_one_at_once() {
    // One for the user's id, by which they're disconnected.
    let (confirmations, endpoint) = slow(1);
    let ada = user(&endpoint, "ada").await;
    let began = Instant::now();
    let late = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        confirmations.add_permits(1);
    };
    let (room, ()) = tokio::join!(ada.join("room:1", ()), late);
    room.unwrap();
    assert_eq!(began.elapsed().as_millis(), 700);
    // Nothing is confirmed any more, and nothing needs to be.
    let again = user(&endpoint, "ada").await;
    again.join("room:1", ()).await.unwrap();
    assert_eq!(began.elapsed().as_millis(), 700);
    assert_eq!(
        endpoint
            .pubsub()
            .cluster()
            .unwrap()
            .stats()
            .registrations_late,
        0
    );
}

#[tokio::test(start_paused = true)]
async fn a_join_does_not_wait_for_a_bus_for_ever() {
    let (_none, endpoint) = slow(1);
    let ada = user(&endpoint, "ada").await;
    let began = Instant::now();
    let room = ada.join("room:1", ()).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 2);
    assert_eq!(
        endpoint
            .pubsub()
            .cluster()
            .unwrap()
            .stats()
            .registrations_late,
        1
    );
    room.push("shout", json!({}));
    assert_push!(room, "shout", {});
}

#[tokio::test(start_paused = true)]
async fn a_join_that_is_refused_asks_the_bus_for_nothing() {
    let (confirmations, endpoint) = slow(1);
    let ada = user(&endpoint, "ada").await;
    let refused = ada.join("nowhere", ()).await.unwrap_err();
    assert_payload!(refused.response, {"reason": "unmatched topic"});
    assert_eq!(endpoint.pubsub().cluster().unwrap().stats().partitions, 1);
    assert_eq!(confirmations.available_permits(), 0);
}

#[tokio::test(start_paused = true)]
async fn without_the_bus_a_node_serves_its_own_clients_and_with_it_all_is_as_before() {
    let (bus, here, there) = two().await;
    let ada = joined(&here, "ada", "room:1").await;
    bus.stop();
    let began = Instant::now();
    let ben = joined(&there, "ben", "room:1").await;
    let carl = joined(&here, "carl", "room:1").await;
    assert_eq!(began.elapsed(), Duration::ZERO);
    ada.push("shout", json!({"n": 1}));
    assert_push!(ada, "shout", {"n": 1});
    assert_push!(carl, "shout", {"n": 1});
    let health = here.health();
    assert_eq!(
        (health.status, health.broadcasts_lost),
        (Status::Degraded, 1)
    );
    assert!(health.is_ready());
    bus.start();
    ada.push("shout", json!({"n": 2}));
    assert_push!(ben, "shout", {"n": 2});
    assert_eq!(here.health().status, Status::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_node_hears_a_topic_for_some_time_after_its_last_member() {
    let (bus, here, there) = two().await;
    let subscribed = |bus: &LocalBus| {
        let partitions = (0..256).map(Subject::Partition);
        partitions.filter(|it| bus.is_subscribed(it)).count()
    };
    let ada = joined(&here, "ada", "room:1").await;
    let _ben = user(&there, "ben").await;
    // The room, and both users' ids.
    assert_eq!(subscribed(&bus), 3);
    ada.client().disconnect().await;
    while here.connections() > 0 {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_millis(4_900)).await;
    assert_eq!(subscribed(&bus), 3);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(subscribed(&bus), 1);
}

#[tokio::test]
async fn one_partition_is_enough_and_so_are_as_many_as_there_can_be() {
    for partitions in [0, 1, u16::MAX] {
        let bus = LocalBus::new();
        let node = || {
            let options = ClusterOptions::new().partitions(partitions);
            Endpoint::new(())
                .adapter(bus.adapter())
                .cluster_options(options)
        };
        let (here, there) = (node(), node());
        let mut room = there.subscribe("room:1");
        room.registered().await;
        here.broadcast("room:1", "x", &());
        assert_eq!(room.recv().await.event(), "x");
    }
}

#[tokio::test]
#[should_panic(expected = "can't name a node")]
async fn a_node_needs_a_name_that_is_one() {
    let _ = Endpoint::new(()).node_name("");
}
