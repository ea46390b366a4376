//! An endpoint on several nodes.

use std::sync::Arc;

use bennu_pubsub::{Adapter, ClusterOptions, NodeName, PubSub};

use super::Endpoint;
use crate::transport::longpoll::Relay;

impl<A> Endpoint<A> {
    /// Reaches other nodes through `adapter`, so that they act as one. To be called before sockets are mounted.
    ///
    /// It connects when the [`router`](Self::router) is asked for, or with the first broadcast, within a tokio
    /// runtime.
    ///
    /// ```
    /// use bennu::{Endpoint, LocalBus};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// // Redis and NATS are in the crates `bennu-redis` and `bennu-nats`. This bus is one for tests.
    /// let bus = LocalBus::new();
    /// let web_1 = Endpoint::new(()).adapter(bus.adapter()).node_name("web-1");
    /// let web_2 = Endpoint::new(()).adapter(bus.adapter()).node_name("web-2");
    ///
    /// let mut room = web_2.subscribe("room:1");
    /// room.registered().await;
    /// web_1.broadcast("room:1", "new_msg", &"hello");
    /// assert_eq!(room.recv().await.payload().as_json(), Some("\"hello\""));
    /// # }
    /// ```
    #[must_use]
    pub fn adapter(mut self, adapter: impl Adapter) -> Self {
        self.adapter = Some(Arc::new(adapter));
        self.clustered()
    }

    /// The name of this node among others, which no other may have: 1 to 64 bytes without control characters. At
    /// random by default. To be called before sockets are mounted.
    ///
    /// # Panics
    ///
    /// When it can't be a name.
    #[must_use]
    pub fn node_name(mut self, name: &str) -> Self {
        let name = match NodeName::parse(name) {
            Ok(name) => name,
            #[expect(clippy::panic, reason = "met at the start, as the secret's length is")]
            Err(error) => panic!("{name:?} can't name a node: {error}"),
        };
        self.cluster_options = self.cluster_options.node_name(name);
        self.clustered()
    }

    /// How this node takes part in a cluster; the name among it. To be called before sockets are mounted.
    #[must_use]
    pub fn cluster_options(mut self, options: ClusterOptions) -> Self {
        self.cluster_options = options;
        self.clustered()
    }

    /// The way of long-poll requests to other nodes, if there are others.
    pub(crate) fn relay(&mut self) -> Option<Arc<Relay>> {
        if self.relay.is_none() {
            self.relay = self.pubsub.cluster().map(Relay::new);
        }
        self.relay.clone()
    }

    fn clustered(mut self) -> Self {
        if let Some(adapter) = &self.adapter {
            self.pubsub = PubSub::clustered(adapter.clone(), self.cluster_options.clone());
            self.presence = self.presence.on(&self.pubsub);
            self.relay = None;
        }
        self
    }

    /// Lets go of the other nodes, once nothing is broadcast any more: what was broadcast before is sent, if that
    /// takes less than 5 seconds. To be awaited last of all; a process that just ends may lose its last broadcasts to
    /// other nodes.
    pub async fn leave_cluster(&self) {
        if let Some(cluster) = self.pubsub.cluster() {
            self.presence.leave_cluster();
            cluster.shutdown().await;
        }
    }
}
