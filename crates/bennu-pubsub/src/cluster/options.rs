//! What a cluster is told.

use std::time::Duration;

use crate::NodeName;

/// How a node takes part in a [`Cluster`](crate::Cluster). The number of partitions must be the same on all nodes.
///
/// ```
/// use std::time::Duration;
/// use bennu_pubsub::{ClusterOptions, NodeName};
///
/// let options = ClusterOptions::new()
///     .node_name(NodeName::parse("web-1")?)
///     .linger(Duration::from_secs(30));
/// # Ok::<(), bennu_pubsub::NameError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    pub(crate) node: Option<NodeName>,
    pub(crate) partitions: u16,
    pub(crate) linger: Duration,
    pub(crate) registration_time_max: Duration,
    pub(crate) message_bytes_max: usize,
}

impl ClusterOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            node: None,
            partitions: 256,
            linger: Duration::from_secs(5),
            registration_time_max: Duration::from_secs(2),
            message_bytes_max: 16 << 20,
        }
    }

    /// The node's name, which no other node may have. At random by default.
    #[must_use]
    pub fn node_name(mut self, name: NodeName) -> Self {
        self.node = Some(name);
        self
    }

    /// How many partitions topics are hashed to: 256 by default. A node hears the broadcasts of all topics in the
    /// partitions that it has subscribers in, so with more of them it hears less that isn't for it, and subscribes
    /// more often. None counts as one.
    #[must_use]
    pub fn partitions(mut self, count: u16) -> Self {
        self.partitions = count.max(1);
        self
    }

    /// How long a node stays subscribed to a partition that has no subscribers left: 5 seconds by default.
    #[must_use]
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// How long a join waits for the bus to confirm that this node hears the topic: 2 seconds by default. Then it's
    /// acknowledged all the same, and counted.
    #[must_use]
    pub fn registration_time_max(mut self, time: Duration) -> Self {
        self.registration_time_max = time;
        self
    }

    /// The longest message that's sent to other nodes, and taken from them: 16 MiB by default. Longer ones are
    /// counted and go no further; on this node they are delivered. Brokers have limits of their own.
    #[must_use]
    pub fn message_bytes_max(mut self, bytes: usize) -> Self {
        self.message_bytes_max = bytes;
        self
    }
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self::new()
    }
}
