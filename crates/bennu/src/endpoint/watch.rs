//! An endpoint as its operator sees it.

use std::time::Duration;

use tokio::{sync::oneshot, time::timeout};

use super::Endpoint;
use crate::{Health, Metrics, SocketDetails, SocketInfo, SocketRef, Status, telemetry::version};

/// What one list may hold.
const SOCKETS_MAX: usize = 10_000;
/// How long a connection may take to answer. Phoenix's `Phoenix.Debug` waits as long.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

impl<A> Endpoint<A> {
    /// How this node is: for health checks. It may be asked often, as it looks at no connection.
    #[must_use]
    pub fn health(&self) -> Health {
        let adapter = self.pubsub.adapter_health();
        let draining = self.mounts.iter().any(|it| it.is_draining());
        Health {
            status: match (draining, adapter.connected) {
                (true, _) => Status::Draining,
                (false, false) => Status::Degraded,
                (false, true) => Status::Ok,
            },
            connections: self.connections(),
            topics: self.pubsub.topics(),
            nodes: self.presence.nodes(),
            adapter_connected: adapter.connected,
            adapter_error: adapter.error,
            broadcasts_lost: adapter.lost,
        }
    }

    /// All that is counted on this node. Its [`Display`](std::fmt::Display) is the text that Prometheus reads.
    ///
    /// Counting costs the same whether anybody asks or not. Asking looks at each connection's outbox, and lets
    /// others run in between.
    ///
    /// ```
    /// use axum::{Router, http::header, routing::get};
    /// use bennu::{Endpoint, Metrics};
    ///
    /// let endpoint = Endpoint::new(());
    /// let router: Router = Router::new().route("/metrics", get(move || async move {
    ///     ([(header::CONTENT_TYPE, Metrics::CONTENT_TYPE)], endpoint.metrics().await.to_string())
    /// }));
    /// ```
    pub async fn metrics(&self) -> Metrics {
        let relay = self.relay.as_deref();
        Metrics::gather(&self.mounts, &self.pubsub, &self.presence, relay).await
    }

    /// Connections that are open on this node: the first `limit`, or those behind `after`. At most 10,000 at once.
    /// Phoenix's `Phoenix.Debug.list_sockets/0`.
    ///
    /// ```
    /// # fn example(endpoint: bennu::Endpoint<()>) {
    /// let mut after = None;
    /// loop {
    ///     let sockets = endpoint.sockets(after, 1_000);
    ///     let Some(last) = sockets.last() else { break };
    ///     after = Some(last.socket);
    ///     for socket in sockets {
    ///         println!("{} {} {:?}", socket.socket, socket.mount, socket.open_for);
    ///     }
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn sockets(&self, after: Option<SocketRef>, limit: usize) -> Vec<SocketInfo> {
        let limit = limit.min(SOCKETS_MAX);
        let mut sockets = Vec::new();
        let first = after.map_or(0, |it| it.mount);
        for (number, mount) in self.mounts.iter().enumerate().skip(first as usize) {
            let number = number as u32;
            let from = match after {
                Some(after) if after.mount == number => after.place.saturating_add(1),
                Some(_) | None => 0,
            };
            let age = mount.age();
            let some = mount.some_connections(from, limit - sockets.len());
            sockets.extend(some.into_iter().map(|(place, conn)| {
                let (queued_messages, queued_bytes) = conn.backlog();
                SocketInfo {
                    socket: SocketRef {
                        mount: number,
                        place,
                        opened: conn.opened(),
                    },
                    mount: mount.path.clone(),
                    transport: conn.transport(),
                    serializer: version(conn.encoding().serializer),
                    open_for: Duration::from_millis(
                        u64::from(age.saturating_sub(conn.opened())) * 100,
                    ),
                    queued_messages,
                    queued_bytes,
                    closing: conn.is_closing(),
                }
            }));
            if sockets.len() >= limit {
                break;
            }
        }
        sockets
    }

    /// Asks a connection for its id, its peer and its channels. `None` when it's gone, closes, or doesn't answer
    /// within 5 seconds. Phoenix's `Phoenix.Debug.list_channels/1`.
    pub async fn inspect(&self, socket: SocketRef) -> Option<SocketDetails> {
        let mount = self.mounts.get(socket.mount as usize)?;
        let conn = mount.connection(socket.place)?;
        if conn.opened() != socket.opened || conn.is_closing() {
            return None;
        }
        let (asked, answer) = oneshot::channel();
        if !mount.ask(&conn, asked) {
            return None;
        }
        timeout(ANSWER_TIME_MAX, answer).await.ok()?.ok()
    }
}
