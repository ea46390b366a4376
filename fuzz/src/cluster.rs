//! Messages between nodes, over a bus that carries anything.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bennu_pubsub::{
    Adapter, ClusterOptions, ClusterStats, Link, NodeName, PubSub, Receiver, Registration, Service,
    ServiceTag, Subject,
};
use bennu_wire::{Broadcast, Payload};
use bytes::Bytes;

use crate::Input;

const TOPIC: &str = "room:1";
const MESSAGE_BYTES_MAX: usize = 2_048;
const TAG: ServiceTag = ServiceTag(200);

/// The bus as one node sees it: what it publishes is kept.
#[derive(Default)]
struct Bus {
    link: OnceLock<Arc<dyn Link>>,
    published: Mutex<Vec<Bytes>>,
}

impl std::fmt::Debug for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bus")
    }
}

impl Adapter for Bus {
    fn start(&self, link: Arc<dyn Link>) {
        link.connected();
        let _ = self.link.set(link);
    }

    fn publish(&self, _: &Subject, message: Bytes) {
        self.lock().push(message);
    }

    fn subscribe(&self, _: &Subject) -> Registration {
        Box::pin(async { Ok(()) })
    }

    fn unsubscribe(&self, _: &Subject) {}
}

impl Bus {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Bytes>> {
        self.published
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps what it's sent.
#[derive(Default)]
struct Served(Mutex<Vec<Bytes>>);

impl Service for Served {
    fn receive(&self, _: &bennu_pubsub::NodeId, message: Bytes) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(message);
    }
}

struct Node {
    bus: Arc<Bus>,
    pubsub: PubSub,
    room: Receiver,
    served: Arc<Served>,
    delivered: u64,
}

impl Node {
    fn new(name: &str) -> Option<Self> {
        let bus = Arc::new(Bus::default());
        let options = ClusterOptions::new()
            .node_name(NodeName::parse(name).ok()?)
            .message_bytes_max(MESSAGE_BYTES_MAX);
        let pubsub = PubSub::clustered(bus.clone(), options);
        let room = pubsub.receiver(TOPIC);
        let served = Arc::new(Served::default());
        pubsub.cluster()?.serve(TAG, served.clone());
        Some(Self {
            bus,
            pubsub,
            room,
            served,
            delivered: 0,
        })
    }

    fn hear(&mut self, message: Bytes) {
        self.delivered += 1;
        if let Some(link) = self.bus.link.get() {
            link.receive(&Subject::Gossip, message);
        }
    }

    fn stats(&self) -> ClusterStats {
        self.pubsub
            .cluster()
            .map(|it| it.stats())
            .unwrap_or_default()
    }

    /// Every message counts as one thing.
    fn check_counts(&self) {
        let it = self.stats();
        let counted = it.received + it.echoes + it.malformed + it.unknown + it.unserved;
        assert_eq!(counted + it.oversized, self.delivered, "{it:?}");
    }
}

/// What one node says another hears as it was; changed on the way it's heard as something that can be, or counted.
pub(crate) fn run(bytes: &[u8]) {
    // Its tasks, which nobody runs, end with it.
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else {
        return;
    };
    let _within = runtime.enter();
    let mut input = Input::new(bytes);
    let (Some(ant), Some(mut bee)) = (Node::new("ant"), Node::new("bee")) else {
        return;
    };
    // One that is of no node of ours, perhaps.
    let raw = Bytes::copy_from_slice(bytes);
    bee.hear(raw);
    hear_all(&mut bee);
    bee.check_counts();

    let (is_service, event_bytes) = (input.below(3), input.below(100));
    let event = String::from_utf8_lossy(input.take(event_bytes)).into_owned();
    let (changes, at) = (input.below(3), input.below(256));
    let rest = input.rest();
    ant.bus.lock().clear();
    let payload = match is_service {
        0 => match serde_json::from_slice(rest) {
            Ok(json) => Payload::Json(json),
            Err(_) => return,
        },
        _ => Payload::Binary(Bytes::copy_from_slice(rest)),
    };
    if is_service == 2 {
        if let Some(cluster) = ant.pubsub.cluster() {
            cluster.send_to_all(TAG, rest);
        }
    } else {
        let broadcast = Broadcast::new(TOPIC, event.clone(), payload.clone());
        ant.pubsub.broadcast(&Arc::new(broadcast));
    }
    let said = std::mem::take(&mut *ant.bus.lock());
    for message in said {
        let mut changed = message.to_vec();
        bee.hear(message);
        let heard = bee.room.try_recv();
        let served = bee
            .served
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        if is_service == 2 {
            assert_eq!(served.as_deref(), Some(rest));
        } else {
            let heard = heard.map(|it| (it.event().to_owned(), it.payload().clone()));
            assert_eq!(heard, Some((event.clone(), payload.clone())));
        }
        for change in 0..changes {
            let length = changed.len();
            if let Some(byte) = changed.get_mut((at + change) % length.max(1)) {
                *byte = byte.wrapping_add(at as u8 | 1);
            }
            bee.hear(Bytes::copy_from_slice(&changed));
            hear_all(&mut bee);
        }
    }
    bee.check_counts();
    assert!(bee.bus.lock().is_empty(), "it has nothing to say to that");
}

/// What is heard is a broadcast like any other.
fn hear_all(node: &mut Node) {
    while let Some(broadcast) = node.room.try_recv() {
        assert_eq!(broadcast.topic().as_str(), TOPIC);
        if let Some(json) = broadcast.payload().as_json() {
            assert!(serde_json::from_str::<serde::de::IgnoredAny>(json).is_ok());
        }
    }
}
