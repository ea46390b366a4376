//! Topics to subscribers: encode-once broadcast, one order per topic.
//!
//! A *subscriber* is an outbox and a small key ([`Subscriber`]); this crate knows neither sockets nor
//! channels. [`PubSub`] keeps the topics of one node. A topic exists while it has subscribers, subscribing
//! and unsubscribing cost the same for one subscriber as for a million, and all subscribers of a topic see
//! its broadcasts in the same order.
//!
//! ```
//! use bennu_pubsub::PubSub;
//! use bennu_wire::{Broadcast, Payload};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let pubsub = PubSub::new();
//! let mut room = pubsub.receiver("room:1");
//! pubsub.broadcast(&Broadcast::new("room:1", "new_msg", Payload::empty()).into());
//! assert_eq!(room.recv().await.event(), "new_msg");
//! # }
//! ```
//!
//! Several nodes act as one where an [`Adapter`] carries bytes between them: [`Cluster`] says how.
//!
//! [`tracker`] knows who is present in which topic.

mod adapter;
mod backoff;
mod bus_hub;
mod bus_queue;
mod cluster;
mod local_bus;
mod node;
mod outage;
mod parcel;
mod per_partition;
mod pubsub;
mod range;
mod receiver;
mod subject;
mod subscriber;
mod sync;
pub mod tracker;

pub use adapter::{Adapter, AdapterHealth, Link, NotConnected, Registration};
pub use backoff::Backoff;
pub use bus_hub::BusHub;
pub use bus_queue::BusQueue;
pub use cluster::{Cluster, ClusterOptions, ClusterStats, Interest, Service, ServiceTag};
pub use local_bus::{Fault, LocalAdapter, LocalBus};
pub use outage::Outage;
pub use parcel::Parcel;
pub use per_partition::PerPartition;
pub use pubsub::{PubSub, PubSubStats, Subscription};
pub use receiver::Receiver;
pub use subject::{NameError, NodeId, NodeName, Subject, SubjectNames};
pub use subscriber::Subscriber;
