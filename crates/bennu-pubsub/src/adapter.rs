//! How broadcasts reach other nodes.

use std::{fmt, sync::Arc};

use bennu_wire::Broadcast;

/// Carries broadcasts to the other nodes of a cluster.
///
/// [`PubSub::broadcast`](crate::PubSub::broadcast) delivers on this node first and then hands the broadcast
/// over; local delivery never waits for an adapter.
pub trait Adapter: fmt::Debug + Send + Sync + 'static {
    /// Hands `broadcast` to the other nodes. It must not block: what can't be sent now is queued, within a
    /// limit, or counted as lost.
    fn publish(&self, broadcast: &Arc<Broadcast>);

    /// How it is, for health checks and metrics. It must not block.
    fn health(&self) -> AdapterHealth {
        AdapterHealth::default()
    }
}

/// How the way to the other nodes is: see [`Adapter::health`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdapterHealth {
    /// Whether the other nodes can be reached, as far as is known. True where there are none.
    pub connected: bool,
    /// Broadcasts that other nodes didn't get, or that this one missed, since the start.
    pub lost: u64,
}

impl Default for AdapterHealth {
    fn default() -> Self {
        Self {
            connected: true,
            lost: 0,
        }
    }
}

/// The adapter of a single node: there is nobody else to tell.
#[derive(Debug, Clone, Copy, Default)]
pub struct InProcess;

impl Adapter for InProcess {
    fn publish(&self, _: &Arc<Broadcast>) {}
}
