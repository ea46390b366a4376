//! `Context::listen`: a join that hears its topic while it is still being decided.
#![expect(clippy::unwrap_used, reason = "a test that fails shall say so at once")]

use std::sync::Arc;

use bennu::{
    Broadcast, Channel, ConnectInfo, Context, Endpoint, Joined, LocalBus, Reply, Result, Routes,
    Socket, SocketOptions, Topic, refuse,
    testing::{Client, ClientChannel, Close, JoinError, assert_push, connect, refute_push},
};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Notify;

/// Where a join stands still.
#[derive(Default)]
struct App {
    joining: Notify,
    go: Notify,
}

struct Anybody(Arc<App>);

impl Socket for Anybody {
    type App = App;
    type Params = ();

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes
            .channel::<Room<false>>("room:*")
            .channel::<Room<true>>("intercepting:*")
    }

    async fn connect(app: &Arc<App>, (): (), _: &ConnectInfo) -> Result<Self> {
        Ok(Self(app.clone()))
    }
}

struct Room<const INTERCEPTS: bool>;

#[derive(Deserialize)]
struct Join {
    listens: bool,
    refused: bool,
}

impl<const INTERCEPTS: bool> Channel for Room<INTERCEPTS> {
    type Socket = Anybody;
    type Params = Join;
    type In = ();
    type Info = ();
    const INTERCEPT: &'static [&'static str] = if INTERCEPTS { &["told"] } else { &[] };

    async fn join(_: &Topic, join: Join, cx: &Context<Self>) -> Result<Joined<Self>> {
        if join.listens {
            cx.listen().await;
            cx.listen().await;
        }
        cx.broadcast("told", &99);
        let Anybody(app) = cx.socket();
        app.joining.notify_one();
        app.go.notified().await;
        if join.refused {
            return Err(refuse("no"));
        }
        Ok(Self.into())
    }

    async fn handle_in(&mut self, (): (), _: &Context<Self>) -> Result {
        Ok(Reply::none())
    }

    async fn handle_out(&mut self, out: &Broadcast, cx: &Context<Self>) -> Result<()> {
        cx.push(out.event(), out.payload());
        Ok(())
    }
}

fn endpoint() -> Endpoint<App> {
    Endpoint::new(App::default())
        .options(SocketOptions::new().queue_messages_max(8))
        .socket::<Anybody>("/socket")
}

/// A client that joins, and what became of it when so many broadcasts came in the middle of its join.
async fn joined(
    endpoint: &Endpoint<App>,
    topic: &'static str,
    join: serde_json::Value,
    meanwhile: u32,
) -> (Client, Result<ClientChannel, JoinError>) {
    let client = connect(endpoint, "/socket", json!({})).await.unwrap();
    let joining = tokio::spawn({
        let client = client.clone();
        async move { client.join(topic, join).await }
    });
    endpoint.app().joining.notified().await;
    for n in 0..meanwhile {
        endpoint.broadcast(topic, "told", &n);
    }
    endpoint.app().go.notify_one();
    (client, joining.await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn what_is_broadcast_in_the_middle_of_a_join_follows_its_reply() {
    async fn check(topic: &'static str, listens: bool, expected: &[u32]) {
        let endpoint = endpoint();
        let join = json!({"listens": listens, "refused": false});
        let (_client, room) = joined(&endpoint, topic, join, 3).await;
        let room = room.unwrap();
        endpoint.broadcast(topic, "told", &100);
        for expected in expected {
            let told: u32 = assert_push!(room, "told").decode().unwrap();
            assert_eq!(told, *expected, "{topic} {listens}");
        }
        refute_push!(room, "told");
    }
    check("room:1", true, &[0, 1, 2, 99, 100]).await;
    check("intercepting:1", true, &[0, 1, 2, 99, 100]).await;
    check("room:1", false, &[99, 100]).await;
    check("intercepting:1", false, &[99, 100]).await;
}

#[tokio::test(start_paused = true)]
async fn what_another_node_broadcasts_in_the_middle_of_a_join_follows_its_reply() {
    let bus = LocalBus::new();
    let (here, there) = (on(&bus, "here"), on(&bus, "there"));
    for endpoint in [&here, &there] {
        assert!(endpoint.pubsub().cluster().unwrap().ready().await);
    }
    let client = connect(&here, "/socket", json!({})).await.unwrap();
    let joining = tokio::spawn(async move {
        let join = json!({"listens": true, "refused": false});
        client.join("room:1", join).await
    });
    // From here on the join hears its topic, and has yet to be replied to.
    here.app().joining.notified().await;
    let mut heard = here.subscribe("room:1");
    for n in 0..3 {
        there.broadcast("room:1", "told", &n);
    }
    for _ in 0..3 {
        heard.recv().await;
    }
    here.app().go.notify_one();
    let room = joining.await.unwrap().unwrap();
    for expected in [0, 1, 2, 99] {
        let told: u32 = assert_push!(room, "told").decode().unwrap();
        assert_eq!(told, expected);
    }
}

fn on(bus: &LocalBus, name: &str) -> Endpoint<App> {
    let endpoint = Endpoint::new(App::default()).adapter(bus.adapter());
    endpoint.node_name(name).socket::<Anybody>("/socket")
}

#[tokio::test(start_paused = true)]
async fn a_refused_join_hears_nothing_any_more() {
    let endpoint = endpoint();
    let join = json!({"listens": true, "refused": true});
    let (client, refused) = joined(&endpoint, "room:1", join, 3).await;
    assert_eq!(refused.unwrap_err().status, "error");
    assert_eq!(endpoint.pubsub().subscriptions(&"room:1".into()), 0);
    assert!(!client.is_closed());
}

#[tokio::test(start_paused = true)]
async fn more_than_may_wait_for_a_join_closes_its_connection() {
    let endpoint = endpoint();
    let join = json!({"listens": true, "refused": false});
    let (client, _) = joined(&endpoint, "room:1", join, 9).await;
    let closed = client.closed().await;
    assert_eq!(closed, Some(Close::new(1013, "slow consumer")));
    assert_eq!(endpoint.stats().slow_consumers_closed, 1);
}
