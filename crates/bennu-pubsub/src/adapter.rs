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
}

/// The adapter of a single node: there is nobody else to tell.
#[derive(Debug, Clone, Copy, Default)]
pub struct InProcess;

impl Adapter for InProcess {
    fn publish(&self, _: &Arc<Broadcast>) {}
}
