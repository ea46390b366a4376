//! What every adapter promises, tried over a real bus: each crate with an adapter runs all of it.
//!
//! A bus is a [`Bus`]; [`suite!`](crate::suite) makes the tests.

mod presence;

pub(crate) use presence::presences_are_those_of_all_nodes;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bennu_pubsub::{
    Adapter, ClusterOptions, Link, NodeId, NodeName, PubSub, Receiver, Service, ServiceTag, Subject,
};
use bennu_wire::{Broadcast, Payload};
use bytes::Bytes;
use tokio::{
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
    time::timeout,
};

/// Longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// How soon after the bus is back everything is as before.
const RECOVERY_MAX: Duration = Duration::from_secs(2);
/// Longer than a message takes, on a machine that has time for it.
const SILENCE: Duration = Duration::from_millis(200);
const P7: Subject = Subject::Partition(7);
const P8: Subject = Subject::Partition(8);

/// A bus that runs, and ends with the value.
pub(crate) trait Bus {
    /// A way to it for one more node.
    fn adapter(&self) -> Arc<dyn Adapter>;
    /// Ends it where it stands.
    async fn stop(&mut self);
    /// Starts it again where it was.
    async fn start(&mut self);
    /// Sends any bytes, as a foreign client would.
    async fn publish(&self, subject: &Subject, message: &'static [u8]);
}

/// Makes a test of each promise, each on a bus of its own.
#[macro_export]
macro_rules! suite {
    ($bus:expr) => {
        suite!($bus;
            who_is_subscribed_hears_in_order_and_nobody_else,
            any_bytes_arrive_as_they_are,
            names_of_nodes_mean_nothing_to_the_bus,
            many_messages_of_many_senders_arrive_once_and_in_order,
            a_bus_that_comes_late_is_found,
            a_bus_that_went_away_and_came_back_is_as_before,
            what_is_published_without_a_bus_is_lost_and_counted,
            who_shuts_down_sends_what_waits,
            broadcasts_cross_once_and_come_back_to_nobody,
            broadcasts_and_services_reach_one_node_or_all,
            foreign_bytes_are_ignored_and_counted,
            presences_are_those_of_all_nodes,
        );
    };
    ($bus:expr; $($test:ident,)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                $crate::suite::$test($bus).await;
            }
        )*
    };
}

#[derive(Debug, PartialEq)]
enum Event {
    Message(Subject, Bytes),
    Connected,
    Disconnected,
}

struct Recorder(UnboundedSender<Event>);

impl Link for Recorder {
    fn receive(&self, subject: &Subject, message: Bytes) {
        let _ = self.0.send(Event::Message(subject.clone(), message));
    }
    fn connected(&self) {
        let _ = self.0.send(Event::Connected);
    }
    fn disconnected(&self) {
        let _ = self.0.send(Event::Disconnected);
    }
}

/// An adapter, and what it hears.
struct Node {
    adapter: Arc<dyn Adapter>,
    events: UnboundedReceiver<Event>,
}

impl Node {
    fn begin(bus: &impl Bus) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let adapter = bus.adapter();
        adapter.start(Arc::new(Recorder(sender)));
        Self { adapter, events }
    }

    async fn connected(bus: &impl Bus) -> Self {
        let mut node = Self::begin(bus);
        node.expect(Event::Connected).await;
        assert!(node.adapter.health().connected);
        node
    }

    async fn next(&mut self) -> Event {
        let event = timeout(PATIENCE, self.events.recv()).await;
        event.expect("nothing came").unwrap()
    }

    async fn expect(&mut self, event: Event) {
        assert_eq!(self.next().await, event);
    }

    async fn hears(&mut self, subject: &Subject, message: &[u8]) {
        let message = Bytes::copy_from_slice(message);
        self.expect(Event::Message(subject.clone(), message)).await;
    }

    /// Nothing came up to a message that is published now.
    async fn hears_nothing_before(
        &mut self,
        from: &Self,
        subject: &Subject,
        message: &'static [u8],
    ) {
        from.publish(subject, message);
        self.hears(subject, message).await;
    }

    async fn subscribe(&self, subject: &Subject) {
        let registration = self.adapter.subscribe(subject);
        timeout(PATIENCE, registration).await.unwrap().unwrap();
    }

    fn publish(&self, subject: &Subject, message: &'static [u8]) {
        self.adapter.publish(subject, Bytes::from_static(message));
    }
}

pub(crate) async fn who_is_subscribed_hears_in_order_and_nobody_else(bus: impl Bus) {
    let (mut ada, ben) = (Node::connected(&bus).await, Node::connected(&bus).await);
    ada.subscribe(&P7).await;
    ada.subscribe(&Subject::Gossip).await;
    ben.publish(&P8, b"not for ada");
    ben.publish(&P7, b"one");
    ben.publish(&P7, b"two");
    ada.hears(&P7, b"one").await;
    ada.hears(&P7, b"two").await;
    // A second subscription changes nothing, and neither does the end of one that never was.
    ada.subscribe(&P7).await;
    ada.adapter.unsubscribe(&P8);
    ben.publish(&P7, b"three");
    ada.hears(&P7, b"three").await;
    // The end of a subscription is confirmed by nobody; some time later nothing comes any more.
    ada.adapter.unsubscribe(&P7);
    let silence = async {
        loop {
            ben.publish(&P7, b"after the end");
            match timeout(SILENCE, ada.events.recv()).await {
                Ok(Some(Event::Message(P7, message))) => assert_eq!(message, "after the end"),
                Ok(event) => panic!("{event:?}"),
                Err(_) => return,
            }
        }
    };
    timeout(PATIENCE, silence).await.unwrap();
    // And again.
    ada.subscribe(&P7).await;
    ben.publish(&P7, b"back");
    ada.hears(&P7, b"back").await;
    assert_eq!(
        (ben.adapter.health().lost, ada.adapter.health().lost),
        (0, 0)
    );
    assert!(ben.adapter.health().published >= 6);
}

pub(crate) async fn any_bytes_arrive_as_they_are(bus: impl Bus) {
    let (mut ada, ben) = (Node::connected(&bus).await, Node::connected(&bus).await);
    ada.subscribe(&P7).await;
    let long = vec![0xa5; 900_000];
    for message in [
        &b""[..],
        b"\0",
        b"\r\n$-1\r\nPUB x 1\r\n",
        b"\xff\xfe",
        &long,
    ] {
        ben.adapter.publish(&P7, Bytes::copy_from_slice(message));
        ada.hears(&P7, message).await;
    }
}

pub(crate) async fn names_of_nodes_mean_nothing_to_the_bus(bus: impl Bus) {
    let (mut ada, ben) = (Node::connected(&bus).await, Node::connected(&bus).await);
    let node = |name| Subject::Node(NodeName::parse(name).unwrap());
    for name in [">", "*", "web 1", "a.b", "é{}[?]"] {
        ada.subscribe(&node(name)).await;
    }
    ben.publish(&node("somebody else"), b"no");
    for name in [">", "*", "web 1", "a.b", "é{}[?]"] {
        ada.hears_nothing_before(&ben, &node(name), b"yes").await;
    }
}

pub(crate) async fn many_messages_of_many_senders_arrive_once_and_in_order(bus: impl Bus) {
    const SENDERS: u16 = 3;
    const EACH: u32 = 5_000;
    let mut ada = Node::connected(&bus).await;
    for partition in 0..4 {
        ada.subscribe(&Subject::Partition(partition)).await;
    }
    let mut senders = Vec::new();
    for sender in 0..SENDERS {
        let ben = Node::connected(&bus).await;
        senders.push(tokio::spawn(async move {
            for n in 0..EACH {
                let text = format!("{sender} {n}");
                let subject = Subject::Partition((n % 4) as u16);
                ben.adapter.publish(&subject, text.into());
                if n % 100 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            ben
        }));
    }
    let mut last: BTreeMap<(u16, String), u32> = BTreeMap::new();
    for _ in 0..u32::from(SENDERS) * EACH {
        let Event::Message(Subject::Partition(partition), message) = ada.next().await else {
            panic!("a message was expected");
        };
        let text = str::from_utf8(&message).unwrap();
        let (sender, n) = text.split_once(' ').unwrap();
        let n: u32 = n.parse().unwrap();
        let expected = match last.insert((partition, sender.to_owned()), n) {
            Some(before) => before + 4,
            None => u32::from(partition),
        };
        assert_eq!(n, expected, "of sender {sender} in partition {partition}");
    }
    // Whatever was put together on the way, messages are counted.
    let received = ada.adapter.health().received;
    assert_eq!(received, u64::from(SENDERS) * u64::from(EACH));
    for sender in senders {
        assert_eq!(sender.await.unwrap().adapter.health().lost, 0);
    }
}

pub(crate) async fn a_bus_that_comes_late_is_found(mut bus: impl Bus) {
    bus.stop().await;
    let (mut ada, mut ben) = (Node::begin(&bus), Node::begin(&bus));
    let registration = timeout(PATIENCE, ada.adapter.subscribe(&P7)).await;
    registration.unwrap().unwrap_err();
    assert!(!ada.adapter.health().connected);
    bus.start().await;
    ada.expect(Event::Connected).await;
    ben.expect(Event::Connected).await;
    assert!(ada.adapter.health().connected);
    ben.publish(&P7, b"hello");
    ada.hears(&P7, b"hello").await;
}

pub(crate) async fn a_bus_that_went_away_and_came_back_is_as_before(mut bus: impl Bus) {
    let (mut ada, mut ben) = (Node::connected(&bus).await, Node::connected(&bus).await);
    ada.subscribe(&P7).await;
    ada.subscribe(&P8).await;
    ada.subscribe(&Subject::Partition(9)).await;
    for round in 1..=2 {
        ben.publish(&P7, b"before");
        ada.hears(&P7, b"before").await;
        bus.stop().await;
        ada.expect(Event::Disconnected).await;
        ben.expect(Event::Disconnected).await;
        // Interest changes while nobody is there to be told.
        let registration = timeout(PATIENCE, ada.adapter.subscribe(&Subject::Gossip));
        registration.await.unwrap().unwrap_err();
        ada.adapter.unsubscribe(&Subject::Partition(9));
        for _ in 0..10 {
            ben.publish(&P7, b"lost");
        }
        assert!(ben.adapter.health().lost >= 10 * round);
        bus.start().await;
        let back = Instant::now();
        ada.expect(Event::Connected).await;
        ben.expect(Event::Connected).await;
        ben.publish(&Subject::Partition(9), b"nobody is interested");
        for subject in [&P7, &P8, &Subject::Gossip] {
            ada.hears_nothing_before(&ben, subject, b"after").await;
        }
        assert!(back.elapsed() < RECOVERY_MAX, "{:?}", back.elapsed());
        // Where there are several connections, each counts.
        assert!(ada.adapter.health().reconnects >= round);
        ada.adapter.unsubscribe(&Subject::Gossip);
        ada.subscribe(&Subject::Partition(9)).await;
    }
}

pub(crate) async fn what_is_published_without_a_bus_is_lost_and_counted(mut bus: impl Bus) {
    let mut ada = Node::connected(&bus).await;
    bus.stop().await;
    ada.expect(Event::Disconnected).await;
    let before = ada.adapter.health();
    // As much as would be felt, if it were kept.
    for _ in 0..1_000 {
        ada.adapter.publish(&P7, vec![0; 100_000].into());
    }
    let after = ada.adapter.health();
    assert_eq!(after.lost - before.lost, 1_000);
    assert_eq!((after.queued_bytes, after.connected), (0, false));
}

pub(crate) async fn who_shuts_down_sends_what_waits(bus: impl Bus) {
    let (mut ada, ben) = (Node::connected(&bus).await, Node::connected(&bus).await);
    ada.subscribe(&P7).await;
    for _ in 0..500 {
        ben.publish(&P7, b"farewell");
    }
    timeout(PATIENCE, ben.adapter.shutdown()).await.unwrap();
    for _ in 0..500 {
        ada.hears(&P7, b"farewell").await;
    }
    let lost = ben.adapter.health().lost;
    ben.publish(&P7, b"too late");
    assert_eq!(ben.adapter.health().lost, lost + 1);
}

fn pubsub(bus: &impl Bus, name: &str) -> PubSub {
    let options = ClusterOptions::new().node_name(NodeName::parse(name).unwrap());
    PubSub::clustered(bus.adapter(), options)
}

async fn receiver(pubsub: &PubSub, topic: &str) -> Receiver {
    let receiver = pubsub.receiver(topic);
    timeout(PATIENCE, receiver.registered()).await.unwrap();
    receiver
}

fn broadcast(topic: &str, event: &str) -> Arc<Broadcast> {
    Arc::new(Broadcast::new(
        topic,
        event.to_owned(),
        Payload::reason("x"),
    ))
}

async fn event(receiver: &mut Receiver) -> String {
    let broadcast = timeout(PATIENCE, receiver.recv()).await;
    let broadcast = broadcast.expect("nothing came");
    assert_eq!(broadcast.payload(), &Payload::reason("x"));
    broadcast.event().to_owned()
}

pub(crate) async fn broadcasts_cross_once_and_come_back_to_nobody(bus: impl Bus) {
    let (ada, ben) = (pubsub(&bus, "ada"), pubsub(&bus, "ben"));
    let topic = "room:1 *.>\r\n{é}";
    let (mut here, mut there) = (receiver(&ada, topic).await, receiver(&ben, topic).await);
    for n in 0..100 {
        ada.broadcast(&broadcast(topic, &n.to_string()));
        here.subscription()
            .broadcast_from(&broadcast(topic, "from"));
        ada.local_broadcast(&broadcast(topic, "local"));
        assert_eq!(event(&mut here).await, n.to_string());
        assert_eq!(event(&mut here).await, "local");
        assert_eq!(event(&mut there).await, n.to_string());
        assert_eq!(event(&mut there).await, "from");
    }
    // By now echoes would have arrived.
    ben.broadcast(&broadcast(topic, "back"));
    assert_eq!(event(&mut here).await, "back");
    assert_eq!(event(&mut there).await, "back");
    let (here, there) = (
        ada.cluster().unwrap().stats(),
        ben.cluster().unwrap().stats(),
    );
    assert_eq!((here.sent, here.received), (200, 1));
    assert_eq!((there.sent, there.received), (1, 200));
    assert_eq!(
        (there.malformed, there.unknown, there.partitions),
        (0, 0, 1)
    );
}

struct Notebook(UnboundedSender<(NodeId, Bytes)>);

impl Service for Notebook {
    fn receive(&self, from: &NodeId, message: Bytes) {
        let _ = self.0.send((from.clone(), message));
    }
}

fn notebook(pubsub: &PubSub, tag: u8) -> UnboundedReceiver<(NodeId, Bytes)> {
    let (sender, messages) = mpsc::unbounded_channel();
    let service = Arc::new(Notebook(sender));
    pubsub.cluster().unwrap().serve(ServiceTag(tag), service);
    messages
}

pub(crate) async fn broadcasts_and_services_reach_one_node_or_all(bus: impl Bus) {
    let names = ["ada", "ben", "carl.>"];
    let [ada, ben, carl] = names.map(|name| pubsub(&bus, name));
    let mut books = Vec::new();
    let mut rooms = Vec::new();
    for node in [&ada, &ben, &carl] {
        assert!(node.cluster().unwrap().ready().await);
        books.push(notebook(node, 200));
        rooms.push(receiver(node, "room:1").await);
    }
    let cluster = ada.cluster().unwrap();
    let me = cluster.node().clone();
    let heard = async |book: &mut UnboundedReceiver<(NodeId, Bytes)>, message: &'static str| {
        let heard = timeout(PATIENCE, book.recv()).await.unwrap();
        assert_eq!(heard, Some((me.clone(), Bytes::from(message))));
    };
    cluster.send_to_all(ServiceTag(200), b"all");
    heard(&mut books[1], "all").await;
    heard(&mut books[2], "all").await;
    let other = carl.cluster().unwrap().node().clone();
    // Another start of that node isn't that node, and another service not that one.
    let gone = NodeId {
        start: other.start - 1,
        ..other.clone()
    };
    cluster.send_to(&gone, ServiceTag(200), b"a ghost");
    cluster.send_to(&other, ServiceTag(201), b"another service");
    cluster.send_to(&other, ServiceTag(200), b"carl");
    heard(&mut books[2], "carl").await;
    assert_eq!(carl.cluster().unwrap().stats().unserved, 2);
    ada.direct_broadcast(&other.name, &broadcast("room:1", "direct"));
    ada.direct_broadcast(&me.name, &broadcast("room:1", "to myself"));
    ada.direct_broadcast(
        &NodeName::parse("nobody").unwrap(),
        &broadcast("room:1", "lost"),
    );
    assert_eq!(event(&mut rooms[2]).await, "direct");
    assert_eq!(event(&mut rooms[0]).await, "to myself");
    ada.broadcast(&broadcast("room:1", "all"));
    for room in &mut rooms {
        assert_eq!(event(room).await, "all");
    }
    assert!(books[0].try_recv().is_err() && books[1].try_recv().is_err());
}

pub(crate) async fn foreign_bytes_are_ignored_and_counted(bus: impl Bus) {
    let ada = pubsub(&bus, "ada");
    let mut room = receiver(&ada, "room:1").await;
    let ben = pubsub(&bus, "ben");
    let subscribed = receiver(&ben, "room:1").await;
    let cluster = ada.cluster().unwrap();
    // The partition of room:1 has to be heard on the bus as everybody calls it.
    for partition in 0..256 {
        let subject = Subject::Partition(partition);
        bus.publish(&subject, b"").await;
        bus.publish(&subject, b"\x01").await;
        bus.publish(&subject, b"\x01\x01\xff\xff\xff\xff and no more")
            .await;
        bus.publish(&subject, b"\x07 of a release to come").await;
    }
    bus.publish(&Subject::Gossip, b"\x01\x02\0\0\0\x02ab").await;
    let node = Subject::Node(NodeName::parse("ada").unwrap());
    bus.publish(&node, b"not even that").await;
    let met = async {
        loop {
            let stats = cluster.stats();
            if (stats.malformed, stats.unknown) == (4, 2) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, met)
        .await
        .unwrap_or_else(|_| panic!("{:?}", cluster.stats()));
    ben.broadcast(&broadcast("room:1", "still here"));
    assert_eq!(event(&mut room).await, "still here");
    drop(subscribed);
}
