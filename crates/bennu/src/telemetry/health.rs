//! How an endpoint is.

use std::sync::Arc;

use serde::Serialize;

/// How an endpoint is, on this node: see [`Endpoint::health`](crate::Endpoint::health).
///
/// ```
/// let health = bennu::Endpoint::new(()).health();
/// assert!(health.is_ready());
/// assert_eq!(
///     serde_json::to_string(&health)?,
///     r#"{"status":"ok","connections":0,"topics":0,"nodes":1,"adapter_connected":true,"broadcasts_lost":0}"#
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// In a word.
    pub status: Status,
    /// Connections that are open.
    pub connections: usize,
    /// Topics that have subscribers.
    pub topics: usize,
    /// Nodes that are there as far as this one hears, itself included: see [`Presence::nodes`](crate::Presence::nodes).
    pub nodes: usize,
    /// Whether other nodes can be reached. True where there are none.
    pub adapter_connected: bool,
    /// Why they can't be reached: which server, and what it said. It's for logs and operators; in JSON, which may be for
    /// everybody, it's left out.
    #[serde(skip)]
    pub adapter_error: Option<Arc<str>>,
    /// Broadcasts that were lost on their way from or to other nodes.
    pub broadcasts_lost: u64,
}

/// An endpoint's health in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Status {
    /// All is well.
    Ok,
    /// Clients are served, but other nodes can't be reached.
    Degraded,
    /// The server goes down: it lets nobody in.
    Draining,
}

impl Health {
    /// Whether clients are let in. Where they aren't, HTTP health checks should say 503, so that load balancers
    /// look elsewhere. A node that has lost the others still serves its clients, so it is ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.status != Status::Draining
    }
}
