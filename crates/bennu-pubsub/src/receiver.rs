//! Broadcasts as a queue that any task can wait on.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bennu_wire::{Broadcast, Topic};
use tokio::sync::mpsc;

use crate::{Interest, PubSub, Subscriber, Subscription};

/// Broadcasts that wait in a [`Receiver`]; further ones are missed and counted.
const QUEUE_MESSAGES_MAX: usize = 1024;

/// A subscription of application code: broadcasts wait in a queue until they are taken.
///
/// It holds at most 1,024 broadcasts. What comes while it is full is dropped and counted by
/// [`missed`](Self::missed). Dropping the receiver unsubscribes it.
pub struct Receiver {
    queue: mpsc::Receiver<Arc<Broadcast>>,
    inbox: Arc<Inbox>,
    subscription: Subscription,
    interest: Option<Interest>,
}

struct Inbox {
    queue: mpsc::Sender<Arc<Broadcast>>,
    missed: AtomicU64,
}

impl Receiver {
    pub(crate) fn new(pubsub: &PubSub, topic: Topic) -> Self {
        let (sender, queue) = mpsc::channel(QUEUE_MESSAGES_MAX);
        let inbox = Arc::new(Inbox {
            queue: sender,
            missed: AtomicU64::new(0),
        });
        let interest = pubsub.interest(&topic);
        let subscription = pubsub.subscribe(topic, inbox.clone(), 0);
        Self {
            queue,
            inbox,
            subscription,
            interest,
        }
    }

    /// Waits until broadcasts of other nodes reach this receiver, or the bus can't be reached. On a single node
    /// that's at once.
    pub async fn registered(&self) {
        if let Some(interest) = &self.interest {
            interest.registered().await;
        }
    }

    /// Waits for the next broadcast. It can be dropped at any time without losing one.
    pub async fn recv(&mut self) -> Arc<Broadcast> {
        match self.queue.recv().await {
            Some(broadcast) => broadcast,
            // The sender lives as long as `self.inbox`, so the queue never closes.
            None => std::future::pending().await,
        }
    }

    /// The next broadcast, if one waits.
    pub fn try_recv(&mut self) -> Option<Arc<Broadcast>> {
        self.queue.try_recv().ok()
    }

    /// How many broadcasts were dropped because the queue was full.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.inbox.missed.load(Ordering::Relaxed)
    }

    /// The topic this receiver subscribed to.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        self.subscription.topic()
    }

    /// The subscription, for [`Subscription::broadcast_from`].
    #[must_use]
    pub fn subscription(&self) -> &Subscription {
        &self.subscription
    }
}

impl Subscriber for Inbox {
    fn deliver(&self, _: u64, broadcast: &Arc<Broadcast>) {
        if self.queue.try_send(broadcast.clone()).is_err() {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("topic", self.topic())
            .field("missed", &self.missed())
            .finish_non_exhaustive()
    }
}
