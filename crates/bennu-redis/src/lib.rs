//! Nodes of Bennu that act as one over Redis 6 or newer, or Valkey.
//!
//! [`RedisBus`] is an [`Adapter`](bennu_pubsub::Adapter): over one server, over several independent ones between
//! which the load is divided, or over a Redis Cluster with sharded pub/sub (Redis 7).
//!
//! ```
//! use bennu_pubsub::{ClusterOptions, NodeName, PubSub};
//! use bennu_redis::RedisBus;
//!
//! // It connects when it's used, so that a node starts whether Redis is there or not.
//! let bus = RedisBus::new("redis://127.0.0.1:6379")?;
//! let options = ClusterOptions::new().node_name(NodeName::parse("web-1")?);
//! let pubsub = PubSub::clustered(std::sync::Arc::new(bus), options);
//! assert_eq!(pubsub.cluster().unwrap().node().name.as_str(), "web-1");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! URLs are those of the crate `redis`: `redis://user:password@host:port`, and with the feature `tls` also `rediss://`.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod bus;
mod channels;
mod cluster;
mod names;
mod options;
mod rendezvous;
mod shard;
mod slots;

pub use bus::{RedisBus, RedisBusError};
pub use options::RedisOptions;
