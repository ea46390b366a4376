//! What a node among others does at its limits, and on a bus with faults.
#![expect(clippy::unwrap_used, reason = "a test says so by panicking")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bennu_pubsub::{Adapter, ClusterOptions, ClusterStats, Fault, LocalBus, PubSub};
use bennu_wire::{Broadcast, Payload};
use bytes::Bytes;
use tokio::time::Instant;

fn node(bus: &LocalBus, options: ClusterOptions) -> PubSub {
    PubSub::clustered(Arc::new(bus.adapter()), options)
}

fn stats(pubsub: &PubSub) -> ClusterStats {
    pubsub.cluster().unwrap().stats()
}

fn binary(event: &str, bytes: usize) -> Arc<Broadcast> {
    let payload = Payload::from(Bytes::from(vec![7; bytes]));
    Arc::new(Broadcast::new("a", event.to_owned(), payload))
}

#[tokio::test(start_paused = true)]
async fn messages_have_a_limit_on_both_sides() {
    let bus = LocalBus::new();
    let options = |bytes| ClusterOptions::new().message_bytes_max(bytes);
    let (small, large) = (node(&bus, options(1_000)), node(&bus, options(2_000)));
    let (mut here, mut there) = (small.receiver("a"), large.receiver("a"));
    here.registered().await;
    there.registered().await;
    // It's delivered where it's sent, and goes no further.
    small.broadcast(&binary("too long to send", 1_000));
    assert_eq!(here.recv().await.event(), "too long to send");
    large.broadcast(&binary("too long to take", 1_500));
    assert_eq!(there.recv().await.event(), "too long to take");
    large.broadcast(&binary("fits", 500));
    assert_eq!(here.recv().await.event(), "fits");
    assert_eq!(there.recv().await.event(), "fits");
    assert!(here.try_recv().is_none() && there.try_recv().is_none());
    assert_eq!((stats(&small).oversized, stats(&small).received), (2, 1));
    assert_eq!((stats(&large).oversized, stats(&large).sent), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_bus_can_be_told_to_fail() {
    let bus = LocalBus::new();
    let (here, there) = (
        node(&bus, ClusterOptions::new()),
        node(&bus, ClusterOptions::new()),
    );
    let mut room = there.receiver("a");
    room.registered().await;
    let nth = AtomicUsize::new(0);
    bus.on_delivery(move |_, _| match nth.fetch_add(1, Ordering::Relaxed) {
        0 => Fault::Drop,
        1 => Fault::Delay(Duration::from_secs(3)),
        2 => Fault::Twice,
        _ => Fault::None,
    });
    let began = Instant::now();
    for event in ["lost", "late", "twice", "last"] {
        here.broadcast(&binary(event, 1));
    }
    for (event, seconds) in [("twice", 0), ("twice", 0), ("last", 0), ("late", 3)] {
        assert_eq!(room.recv().await.event(), event);
        assert_eq!(began.elapsed().as_secs(), seconds, "{event}");
    }
    assert!(room.try_recv().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_cut_off_hears_again_when_it_is_back() {
    let bus = LocalBus::new();
    let adapter = Arc::new(bus.adapter());
    let here = node(&bus, ClusterOptions::new());
    let there = PubSub::clustered(adapter.clone(), ClusterOptions::new());
    let mut room = there.receiver("a");
    room.registered().await;
    adapter.disconnect();
    assert!(!there.adapter_health().connected && here.adapter_health().connected);
    here.broadcast(&binary("missed", 1));
    there.broadcast(&binary("own", 1));
    assert_eq!(room.recv().await.event(), "own");
    assert_eq!(adapter.health().lost, 1);
    adapter.reconnect();
    here.broadcast(&binary("heard", 1));
    assert_eq!(room.recv().await.event(), "heard");
    assert_eq!(adapter.health().reconnects, 1);
}

#[test]
fn a_node_begins_when_there_is_a_runtime() {
    let bus = LocalBus::new();
    let (here, there) = (
        node(&bus, ClusterOptions::new()),
        node(&bus, ClusterOptions::new()),
    );
    // Without one it's alone, as far as it's heard.
    let mut room = there.receiver("a");
    here.broadcast(&binary("nobody hears it", 1));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        assert!(there.cluster().unwrap().ready().await);
        assert!(here.cluster().unwrap().ready().await);
        room.registered().await;
        here.broadcast(&binary("heard", 1));
        assert_eq!(room.recv().await.event(), "heard");
    });
    assert_ne!(
        here.cluster().unwrap().node(),
        there.cluster().unwrap().node()
    );
}
