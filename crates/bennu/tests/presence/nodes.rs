//! Presences of two nodes, as clients of both see them.

use bennu::{Endpoint, LocalBus, PresenceOptions, Presences};
use serde_json::{Value, json};

use crate::guest::{Guest, User, one};

fn node(bus: &LocalBus, name: &str) -> Endpoint<()> {
    node_with(bus, name, PresenceOptions::new())
}

fn node_with(bus: &LocalBus, name: &str, options: PresenceOptions) -> Endpoint<()> {
    let endpoint = Endpoint::new(())
        .adapter(bus.adapter())
        .node_name(name)
        .presence_options(options)
        .socket::<User>("/socket");
    // From here on it is among the others.
    let _: axum::Router = endpoint.router();
    endpoint
}

/// Two nodes that have heard of each other.
async fn two(bus: &LocalBus) -> [Endpoint<()>; 2] {
    acquainted([node(bus, "west"), node(bus, "east")]).await
}

async fn acquainted(nodes: [Endpoint<()>; 2]) -> [Endpoint<()>; 2] {
    for (from, to) in [(0, 1), (1, 0)] {
        let topic = format!("probe:{from}");
        let mut heard = nodes[to].subscribe(topic.clone());
        let probe = nodes[from].presence().member();
        probe.track(topic, "probe", &()).unwrap();
        assert_eq!(heard.recv().await.event(), "presence_diff");
    }
    nodes
}

fn text(presences: &Presences) -> String {
    serde_json::to_string(presences).unwrap()
}

fn is(key: &str, phx_ref: &str) -> Value {
    json!({key: one(&json!({"n": 1, "phx_ref": phx_ref}))})
}

#[tokio::test]
async fn states_and_diffs_cross_from_node_to_node() {
    let bus = LocalBus::new();
    let [west, east] = two(&bus).await;
    let mut on_east = east.subscribe("lobby:1");
    let (mut ana, _) = Guest::join(&west, "lobby:1", &["ana"]).await;
    assert_eq!(on_east.recv().await.event(), "presence_diff");

    let (_bob, told) = Guest::join(&east, "lobby:1", &["bob"]).await;
    let both = json!({"bob": one(&json!({"n": 1, "phx_ref": "1"})), "ana": one(&json!({"n": 1, "phx_ref": "2"}))});
    assert_eq!(told[2], json!(["presence_state", both]));
    ana.expect_diff(is("bob", "2"), json!({})).await;
    let lists = [
        west.presence().list("lobby:1").await,
        east.presence().list("lobby:1").await,
    ];
    assert_eq!(text(&lists[0]), text(&lists[1]), "with the same refs");

    let (mut cat, _) = Guest::join(&east, "lobby:1", &["cat"]).await;
    ana.expect_diff(is("cat", "3"), json!({})).await;
    assert_eq!(west.presence().count("lobby:1"), 3);
    assert_eq!([&west, &east].map(|it| it.presence().size()), [1, 2]);
    cat.send("update", json!(["cat", {"n": 2}])).await;
    let updated = json!({"cat": one(&json!({"n": 2, "phx_ref": "4", "phx_ref_prev": "3"}))});
    ana.expect_diff(updated.clone(), is("cat", "3")).await;
    drop(cat);
    ana.expect_diff(json!({}), updated).await;

    // A node that ends says so; it needn't be missed first.
    east.leave_cluster().await;
    ana.expect_diff(json!({}), is("bob", "2")).await;
    assert_eq!(west.presence().count("lobby:1"), 1);
}

#[tokio::test]
async fn a_key_on_two_nodes_has_the_metas_of_both_in_one_order() {
    let bus = LocalBus::new();
    let [west, east] = two(&bus).await;
    let mut on_east = east.subscribe("lobby:2");
    let (mut first, _) = Guest::join(&west, "lobby:2", &["ana"]).await;
    assert_eq!(on_east.recv().await.event(), "presence_diff");
    let (_second, _) = Guest::join(&east, "lobby:2", &["ana"]).await;
    first.expect_diff(is("ana", "2"), json!({})).await;
    for node in [&west, &east] {
        let presence = node.presence();
        assert_eq!(presence.count("lobby:2"), 2);
        assert_eq!(presence.count_keys("lobby:2"), 1);
        assert_eq!(presence.count_key("lobby:2", "ana"), 2);
    }
    let lists = [
        west.presence().list("lobby:2").await,
        east.presence().list("lobby:2").await,
    ];
    assert_eq!(text(&lists[0]), text(&lists[1]));
}

#[tokio::test(start_paused = true)]
async fn health_and_metrics_say_how_many_nodes_there_are() {
    let bus = LocalBus::new();
    let [west, east] = two(&bus).await;
    for (endpoint, nodes) in [(&west, 2), (&east, 2), (&Endpoint::new(()), 1)] {
        assert_eq!(endpoint.presence().nodes(), nodes);
        assert_eq!(endpoint.health().nodes, nodes);
    }
    let metrics = west.metrics().await;
    assert_eq!(metrics.get("bennu_cluster_nodes", &[]), Some(2.0));
    let alone = Endpoint::new(()).metrics().await;
    assert_eq!(alone.get("bennu_cluster_nodes", &[]), None);

    let cluster = west.pubsub().cluster().unwrap();
    let nonsense = b"\x01S\x08presence";
    cluster.send_to_all(bennu_pubsub::ServiceTag::PRESENCE, nonsense);
    let mut on_west = west.subscribe("lobby:3");
    let (guest, _) = Guest::join(&east, "lobby:3", &["ana"]).await;
    assert_eq!(on_west.recv().await.event(), "presence_diff");
    let ignored = east.metrics().await;
    let ignored = ignored.get("bennu_presence_ignored_total", &[("why", "unreadable")]);
    assert_eq!(ignored, Some(1.0));

    drop(guest);
    assert_eq!(on_west.recv().await.event(), "presence_diff");
    east.leave_cluster().await;
    while west.health().nodes > 1 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn each_meta_of_another_node_beyond_a_limit_is_counted() {
    let bus = LocalBus::new();
    let strict = PresenceOptions::new().meta_bytes_max(100);
    let nodes = [node(&bus, "west"), node_with(&bus, "east", strict)];
    let [west, east] = acquainted(nodes).await;
    let mut on_east = east.subscribe("lobby:1");
    let member = west.presence().member();
    let long = json!({"text": "x".repeat(200)});
    // What is told before the last is also counted before it.
    for (key, meta) in [("ana", &long), ("bob", &json!({})), ("cat", &long)] {
        member.track("lobby:1", key, meta).unwrap();
    }
    assert_eq!(on_east.recv().await.event(), "presence_diff");
    member.track("lobby:1", "dan", &json!({})).unwrap();
    assert_eq!(on_east.recv().await.event(), "presence_diff");
    let counts = [&west, &east].map(|it| it.presence().count("lobby:1"));
    assert_eq!(counts, [4, 2]);
    for (endpoint, refused) in [(&west, 0.0), (&east, 2.0)] {
        let metrics = endpoint.metrics().await;
        let counted = metrics.get("bennu_presence_metas_refused_total", &[]);
        assert_eq!(counted, Some(refused));
    }
}
