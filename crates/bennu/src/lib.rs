//! Phoenix Sockets and Channels for Rust, on tokio and axum.
//!
//! Clients written for Phoenix connect unmodified, join topics, push events, get replies and hear broadcasts;
//! a server is written as plain types: an [`Endpoint`] mounts [`Socket`]s, a socket routes topics to
//! [`Channel`]s, and a joined channel is a struct whose fields are its state.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod channel;
#[cfg(feature = "client")]
pub mod client;
mod connect_info;
mod context;
#[cfg(test)]
mod defaults;
mod endpoint;
mod error;
mod options;
mod params;
mod presence;
mod raw_socket;
mod reply;
mod routes;
mod runtime;
mod serve;
mod session;
mod socket;
mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
mod token;
mod transport;

/// What `bennu-fuzz` tries on this crate's inner parts. No part of the API.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::transport::longpoll::relay_fuzzing as relay;
}

pub use bennu_pubsub::tracker::{
    PresenceDiff, PresenceEntry, PresenceError, PresenceMeta, PresenceOptions, PresenceRef,
    Presences,
};
pub use bennu_pubsub::{
    Adapter, AdapterHealth, Cluster, ClusterOptions, ClusterStats, LocalBus, NameError, NodeId,
    NodeName, PubSub, Receiver, Subscriber, Subscription,
};
pub use bennu_wire::{Broadcast, Payload, RawEvent, Topic};
pub use bytes::Bytes;
pub use tracing::Level;

pub use channel::{Channel, Joined, Reason};
pub use connect_info::ConnectInfo;
pub use context::{Context, Handle, ReplyTo, SendError};
pub use endpoint::{Broadcaster, Endpoint, Stats};
pub use error::{Error, Result, refuse};
pub use options::{Drainer, Flood, LongPoll, Overflow, SocketOptions};
pub use presence::{Presence, PresenceHandler, PresenceMember};
pub use raw_socket::{RawContext, RawControl, RawHandle, RawMessage, RawSocket};
pub use reply::Reply;
pub use routes::Routes;
pub use serve::{Serve, ServeStats, serve};
pub use session::SessionSource;
pub use socket::Socket;
pub use telemetry::{
    ChannelInfo, ChannelStatus, FilterParameters, Health, Metrics, Sample, SocketDetails,
    SocketInfo, SocketRef, SocketRefError, Status, Transport,
};
pub use token::{KeyDigest, SecretError, SignError, Term, Token, TokenError};
pub use transport::{CheckOrigin, Origin, OriginError};

/// The examples of the README and the guides, so that they are compiled.
#[cfg(doctest)]
mod guides {
    #[doc = include_str!("../../../README.md")]
    struct Readme;
    #[doc = include_str!("../../../docs/overview.md")]
    struct Overview;
    #[cfg(all(feature = "client", feature = "testing"))]
    #[doc = include_str!("../../../docs/tutorial.md")]
    struct Tutorial;
    #[doc = include_str!("../../../docs/sockets.md")]
    struct Sockets;
    #[doc = include_str!("../../../docs/channels.md")]
    struct Channels;
    #[doc = include_str!("../../../docs/presence.md")]
    struct Presence;
    #[doc = include_str!("../../../docs/long-polling.md")]
    struct LongPolling;
    #[doc = include_str!("../../../docs/security.md")]
    struct Security;
    #[cfg(feature = "testing")]
    #[doc = include_str!("../../../docs/testing.md")]
    struct Testing;
    #[doc = include_str!("../../../docs/telemetry.md")]
    struct Telemetry;
    #[doc = include_str!("../../../docs/cluster.md")]
    struct Cluster;
    #[doc = include_str!("../../../docs/deployment.md")]
    struct Deployment;
    #[doc = include_str!("../../../docs/writing-a-client.md")]
    struct WritingAClient;
    #[doc = include_str!("../../../docs/migrating-from-phoenix.md")]
    struct Migrating;
}
