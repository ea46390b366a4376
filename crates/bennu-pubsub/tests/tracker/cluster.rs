//! Rosters of several nodes over one bus, in paused time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bennu_pubsub::{
    ClusterOptions, LocalAdapter, LocalBus, NodeName, PubSub, ServiceTag,
    tracker::{Meta, PresenceDiff, PresenceOptions, ReplicaEvent, Roster},
};
use serde_json::json;
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::{Instant, timeout},
};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

struct Node {
    adapter: Arc<LocalAdapter>,
    pubsub: PubSub,
    roster: Roster,
    diffs: UnboundedReceiver<PresenceDiff>,
    events: UnboundedReceiver<ReplicaEvent>,
}

impl Node {
    fn begin(bus: &LocalBus, name: &str) -> Self {
        let adapter = Arc::new(bus.adapter());
        let options = ClusterOptions::new().node_name(NodeName::parse(name).unwrap());
        Self::on(PubSub::clustered(adapter.clone(), options), adapter, "test")
    }

    fn on(pubsub: PubSub, adapter: Arc<LocalAdapter>, presence: &str) -> Self {
        static STARTS: AtomicU64 = AtomicU64::new(1);
        let (sender, diffs) = unbounded_channel();
        let (reports, events) = unbounded_channel();
        let roster = Roster::clustered(
            pubsub.cluster().unwrap(),
            STARTS.fetch_add(1, Ordering::Relaxed),
            presence,
            &PresenceOptions::new(),
            move |diff| drop(sender.send(diff)),
            move |event| drop(reports.send(event)),
        );
        roster.begin();
        Self {
            adapter,
            pubsub,
            roster,
            diffs,
            events,
        }
    }

    /// Waits for the next diff and says what it has: keys that joined and keys that left.
    async fn told(&mut self) -> (Vec<String>, Vec<String>) {
        let diff = timeout(PATIENCE, self.diffs.recv()).await;
        let diff = diff.expect("a diff").unwrap();
        let keys = |it: &bennu_pubsub::tracker::Presences| it.keys().map(str::to_owned).collect();
        (keys(&diff.joins), keys(&diff.leaves))
    }

    async fn event(&mut self) -> ReplicaEvent {
        let event = timeout(PATIENCE, self.events.recv()).await;
        event.expect("an event").unwrap()
    }
}

fn meta() -> Meta {
    Meta::new(&json!({"status": "on"})).unwrap()
}

fn joined(keys: &[&str]) -> (Vec<String>, Vec<String>) {
    (keys.iter().map(|it| (*it).to_owned()).collect(), Vec::new())
}

fn left(keys: &[&str]) -> (Vec<String>, Vec<String>) {
    let (keys, none) = joined(keys);
    (none, keys)
}

fn up(node: &str) -> ReplicaEvent {
    ReplicaEvent::Up(node.into())
}

/// Two nodes that know each other.
async fn two(bus: &LocalBus) -> [Node; 2] {
    let mut nodes = [Node::begin(bus, "ant"), Node::begin(bus, "bee")];
    assert_eq!(nodes[0].event().await, up("bee"));
    assert_eq!(nodes[1].event().await, up("ant"));
    nodes
}

#[tokio::test(start_paused = true)]
async fn who_comes_changes_and_goes_is_seen_on_the_other_node() {
    let bus = LocalBus::new();
    let [mut ant, mut bee] = two(&bus).await;
    let topic = "room:1".into();
    let ana = ant.roster.member();
    ana.track(&topic, "ana", &meta()).unwrap();
    assert_eq!(bee.told().await, joined(&["ana"]));
    let bob = bee.roster.member();
    bob.track(&topic, "bob", &meta()).unwrap();
    assert_eq!(ant.told().await, joined(&["ana"]));
    assert_eq!(ant.told().await, joined(&["bob"]));
    let list = |node: &Node| serde_json::to_value(node.roster.list(&topic)).unwrap();
    assert_eq!(list(&ant), list(&bee));
    assert_eq!([&ant, &bee].map(|it| it.roster.count(&topic)), [2, 2]);
    assert_eq!([&ant, &bee].map(|it| it.roster.presences()), [1, 1]);
    let shown = ant
        .roster
        .show(&topic, |it| serde_json::to_value(it).unwrap());
    assert_eq!(shown, list(&bee));

    ana.update(&topic, "ana", &meta()).unwrap();
    assert_eq!(bee.told().await, joined(&["bob"]));
    let update = (vec!["ana".to_owned()], vec!["ana".to_owned()]);
    assert_eq!(bee.told().await, update);
    assert_eq!(list(&ant), list(&bee));
    drop(ana);
    assert_eq!(bee.told().await, left(&["ana"]));
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_are_seen_by_who_comes_later_within_three_seconds() {
    let bus = LocalBus::new();
    let [mut ant, bee] = two(&bus).await;
    let members: Vec<_> = (0..10).map(|_| ant.roster.member()).collect();
    for n in 0..10_000 {
        let topic = format!("room:{}", n % 7).into();
        members[n % 10]
            .track(&topic, &format!("user-{n}"), &meta())
            .unwrap();
    }
    let comes = Node::begin(&bus, "wasp");
    let began = Instant::now();
    assert_eq!(ant.event().await, up("wasp"));
    let count = |node: &Node| {
        let counts = (0..7).map(|it| node.roster.count(&format!("room:{it}").into()));
        counts.sum::<usize>()
    };
    while count(&comes) < 10_000 || count(&bee) < 10_000 {
        tokio::time::advance(Duration::from_millis(10)).await;
        assert!(began.elapsed() < Duration::from_secs(3));
    }
}

#[tokio::test(start_paused = true)]
async fn who_leaves_the_cluster_is_gone_at_once_and_who_crashes_after_six_seconds() {
    let bus = LocalBus::new();
    let [ant, mut bee] = two(&bus).await;
    let ana = ant.roster.member();
    ana.track(&"room:1".into(), "ana", &meta()).unwrap();
    assert_eq!(bee.told().await, joined(&["ana"]));
    let began = Instant::now();
    ant.roster.leave();
    assert_eq!(bee.told().await, left(&["ana"]));
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(bee.event().await, ReplicaEvent::Gone("ant".into()));

    let mut wasp = Node::begin(&bus, "wasp");
    let wim = wasp.roster.member();
    wim.track(&"room:1".into(), "wim", &meta()).unwrap();
    assert_eq!(bee.told().await, joined(&["wim"]));
    assert_eq!(wasp.event().await, up("bee"));
    wasp.adapter.disconnect();
    let began = Instant::now();
    assert_eq!(bee.told().await, left(&["wim"]));
    let silence = began.elapsed();
    let expected = Duration::from_secs(4)..Duration::from_millis(7_500);
    assert!(expected.contains(&silence), "{silence:?}");
    // It's back as soon as the bus is.
    wasp.adapter.reconnect();
    let began = Instant::now();
    assert_eq!(bee.told().await, joined(&["wim"]));
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn messages_that_wait_take_no_more_than_64_mib_and_what_is_dropped_is_counted() {
    let bus = LocalBus::new();
    let [ant, mut bee] = two(&bus).await;
    let cluster = ant.pubsub.cluster().unwrap();
    // Nonsense of 8 MiB, that the bus brings at once; the presence's task runs later.
    let nonsense = [&b"\x01?\x04test"[..], &vec![0; 8 << 20]].concat();
    for _ in 0..10 {
        cluster.send_to_all(ServiceTag::PRESENCE, &nonsense);
    }
    for _ in 0..7 {
        let event = bee.event().await;
        assert!(matches!(event, ReplicaEvent::Unreadable(..)), "{event:?}");
    }
    let stats = bee.roster.stats();
    assert_eq!((stats.unreadable, stats.overflowed), (7, 3));
    let ana = ant.roster.member();
    ana.track(&"room:1".into(), "ana", &meta()).unwrap();
    assert_eq!(bee.told().await, joined(&["ana"]));
}

#[tokio::test(start_paused = true)]
async fn nodes_are_counted_as_they_come_and_go() {
    let bus = LocalBus::new();
    let nodes = |it: &Node| it.roster.stats().nodes;
    let alone = Node::begin(&LocalBus::new(), "alone");
    assert_eq!(nodes(&alone), 0);
    let [mut ant, mut bee] = two(&bus).await;
    assert_eq!((nodes(&ant), nodes(&bee)), (1, 1));
    let wasp = Node::begin(&bus, "wasp");
    assert_eq!(ant.event().await, up("wasp"));
    assert_eq!(bee.event().await, up("wasp"));
    assert_eq!((nodes(&ant), nodes(&bee)), (2, 2));

    // It doesn't hear the others either.
    bee.adapter.disconnect();
    for _ in 0..2 {
        let event = bee.event().await;
        assert!(matches!(event, ReplicaEvent::Down(_)), "{event:?}");
    }
    assert_eq!(ant.event().await, ReplicaEvent::Down("bee".into()));
    assert_eq!((nodes(&ant), nodes(&bee)), (1, 0));
    bee.adapter.reconnect();
    assert_eq!(ant.event().await, up("bee"));
    assert_eq!(nodes(&ant), 2);

    wasp.roster.leave();
    assert_eq!(ant.event().await, ReplicaEvent::Gone("wasp".into()));
    assert_eq!(nodes(&ant), 1);
    ant.roster.leave();
    while nodes(&ant) > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn presences_of_two_names_on_one_cluster_do_not_mix() {
    let bus = LocalBus::new();
    let [ant, mut bee] = two(&bus).await;
    let others = [&ant, &bee].map(|it| Node::on(it.pubsub.clone(), it.adapter.clone(), "other"));
    let [other_ant, mut other_bee] = others;
    assert_eq!(other_bee.event().await, up("ant"));
    let ana = other_ant.roster.member();
    ana.track(&"room:1".into(), "ana", &meta()).unwrap();
    assert_eq!(other_bee.told().await, joined(&["ana"]));
    let bob = ant.roster.member();
    bob.track(&"room:1".into(), "bob", &meta()).unwrap();
    assert_eq!(bee.told().await, joined(&["bob"]));
    assert_eq!(other_bee.roster.count(&"room:1".into()), 1);
    assert_eq!(bee.roster.count(&"room:1".into()), 1);
}

#[tokio::test(start_paused = true)]
async fn nonsense_from_the_bus_is_reported_and_does_no_harm() {
    let bus = LocalBus::new();
    let [ant, mut bee] = two(&bus).await;
    let cluster = ant.pubsub.cluster().unwrap();
    // Nobody knows which presence the first two are about.
    for nonsense in [
        &b""[..],
        b"hello",
        b"\x01S\x04test",
        b"\x01?\x04test\0\0\0\0\0\0\0\x01",
    ] {
        cluster.send_to_all(ServiceTag::PRESENCE, nonsense);
    }
    for _ in 0..2 {
        let event = bee.event().await;
        assert!(matches!(event, ReplicaEvent::Unreadable(..)), "{event:?}");
    }
    assert_eq!(bee.roster.stats().unreadable, 2);
    let ana = ant.roster.member();
    ana.track(&"room:1".into(), "ana", &meta()).unwrap();
    assert_eq!(bee.told().await, joined(&["ana"]));
}
