//! Nodes of Bennu that act as one over NATS.
//!
//! [`NatsBus`] is an [`Adapter`](bennu_pubsub::Adapter) over NATS core, of one server or of a cluster of them.
//!
//! ```
//! use bennu_nats::{ConnectOptions, NatsBus, NatsOptions};
//! use bennu_pubsub::{ClusterOptions, NodeName, PubSub};
//!
//! // It connects when it's used, so that a node starts whether NATS is there or not.
//! let bus = NatsBus::new("nats://127.0.0.1:4222")?;
//! let options = ClusterOptions::new().node_name(NodeName::parse("web-1")?);
//! let pubsub = PubSub::clustered(std::sync::Arc::new(bus), options);
//! assert_eq!(pubsub.cluster().unwrap().node().name.as_str(), "web-1");
//!
//! // Credentials and TLS are those of the crate `async-nats`.
//! let connect = ConnectOptions::new().user_and_password("bennu".to_owned(), "secret".to_owned());
//! let servers = ["nats://10.0.0.1:4222", "nats://10.0.0.2:4222"];
//! let bus = NatsBus::with(servers, connect, NatsOptions::new().prefix("chat"))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

mod bus;
mod connection;
mod interest;
mod options;
mod refusals;

pub use async_nats::ConnectOptions;
pub use bus::{NatsBus, NatsBusError};
pub use options::NatsOptions;
