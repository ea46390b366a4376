//! Broadcasts for tasks.

use std::fmt;

use bennu_pubsub::{NodeName, PubSub};
use bennu_wire::Topic;
use serde::Serialize;

use super::encoded;

/// An endpoint's broadcasts without the endpoint, by [`Endpoint::broadcaster`] and [`Context::broadcaster`]: it holds no
/// application, no connection and no channel. Clones are cheap.
///
/// It is for tasks that a callback starts and that outlive it, and for those that the application reaches, and that
/// reach clients in turn: a game, a ticker, a worker. Such a task ends by itself when the endpoint is dropped and with
/// it the application's end of the channel; it wouldn't if it held the endpoint.
///
/// ```
/// use bennu::{Broadcaster, Endpoint};
/// use tokio::sync::mpsc;
///
/// struct App { scores: mpsc::Sender<u32> }
///
/// async fn scorer(mut scores: mpsc::Receiver<u32>, broadcaster: Broadcaster) {
///     let mut best = 0;
///     while let Some(score) = scores.recv().await {
///         best = best.max(score);
///         broadcaster.broadcast("scores", "best", &best);
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let (scores, from_channels) = mpsc::channel(64);
/// let endpoint = Endpoint::new(App { scores });
/// let mut heard = endpoint.subscribe("scores");
/// let task = tokio::spawn(scorer(from_channels, endpoint.broadcaster()));
///
/// endpoint.app().scores.send(7).await.unwrap();
/// assert_eq!(heard.recv().await.decode::<u32>().unwrap(), 7);
/// drop(endpoint);
/// task.await.unwrap();
/// # }
/// ```
///
/// [`Endpoint::broadcaster`]: crate::Endpoint::broadcaster
/// [`Context::broadcaster`]: crate::Context::broadcaster
#[derive(Clone)]
pub struct Broadcaster(PubSub);

impl Broadcaster {
    /// What serializes, on these topics. `PubSub` itself takes what is [encoded](bennu_pubsub::PubSub::broadcast).
    ///
    /// ```
    /// use bennu::{Broadcaster, PubSub};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let pubsub = PubSub::new();
    /// let mut heard = pubsub.receiver("scores");
    /// Broadcaster::new(&pubsub).broadcast("scores", "best", &7);
    /// assert_eq!(heard.recv().await.decode::<u32>().unwrap(), 7);
    /// # }
    /// ```
    #[must_use]
    pub fn new(pubsub: &PubSub) -> Self {
        Self(pubsub.clone())
    }

    /// Sends an event to everybody in a topic, as [`Endpoint::broadcast`](crate::Endpoint::broadcast) does.
    pub fn broadcast(
        &self,
        topic: impl Into<Topic>,
        event: &str,
        payload: &(impl Serialize + ?Sized),
    ) {
        if let Some(broadcast) = encoded(topic.into(), event, payload) {
            self.0.broadcast(&broadcast);
        }
    }

    /// As [`broadcast`](Self::broadcast), on this node only.
    pub fn local_broadcast(
        &self,
        topic: impl Into<Topic>,
        event: &str,
        payload: &(impl Serialize + ?Sized),
    ) {
        if let Some(broadcast) = encoded(topic.into(), event, payload) {
            self.0.local_broadcast(&broadcast);
        }
    }

    /// As [`broadcast`](Self::broadcast), on one node only. Nobody hears it when there is none of that name.
    pub fn direct_broadcast(
        &self,
        node: &NodeName,
        topic: impl Into<Topic>,
        event: &str,
        payload: &(impl Serialize + ?Sized),
    ) {
        if let Some(broadcast) = encoded(topic.into(), event, payload) {
            self.0.direct_broadcast(node, &broadcast);
        }
    }
}

impl fmt::Debug for Broadcaster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broadcaster").finish_non_exhaustive()
    }
}
