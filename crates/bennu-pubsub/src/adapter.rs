//! The bus between nodes, as an engine of somebody else's offers it: bytes to subjects.

use std::{error, fmt, future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;

use crate::Subject;

/// A bus of bytes between nodes: Redis, NATS, or [`LocalBus`](crate::LocalBus) for tests.
///
/// It knows neither topics nor broadcasts: a [`Cluster`](crate::Cluster) says what is sent where, and takes what
/// arrives. What it promises:
///
/// * What one node publishes to one subject arrives in that order or not at all, and never twice.
/// * None of its methods blocks. What can't be sent at once is queued within a limit; beyond it, and while the bus
///   can't be reached, it's lost and counted in [`health`](Self::health).
/// * It reconnects by itself, with a growing and random delay, and subscribes again to all that was subscribed to.
/// * A subject that was handed over once is subscribed to until it's unsubscribed from, whether the bus is there or
///   not.
pub trait Adapter: fmt::Debug + Send + Sync + 'static {
    /// Begins. It's called once, before all else, within a tokio runtime; `link` takes what arrives.
    fn start(&self, link: Arc<dyn Link>);

    /// Sends `message` to everybody who is subscribed to `subject`.
    fn publish(&self, subject: &Subject, message: Bytes);

    /// Subscribes to `subject`. The subscription is asked for with the call, not when what's returned is polled;
    /// what is returned says when the bus has confirmed it.
    #[must_use = "it says when the subscription holds"]
    fn subscribe(&self, subject: &Subject) -> Registration;

    /// Ends the subscription to `subject`, if there is one.
    fn unsubscribe(&self, subject: &Subject);

    /// How it is, for health checks and metrics.
    fn health(&self) -> AdapterHealth {
        AdapterHealth::default()
    }

    /// Sends what is queued, as far as the bus takes it within a short time, and lets go of the bus.
    fn shutdown(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async {})
    }
}

/// Ends when a subscription holds, or when the bus can't be reached: see [`Adapter::subscribe`].
pub type Registration = Pin<Box<dyn Future<Output = Result<(), NotConnected>> + Send>>;

/// Takes what an [`Adapter`] hears.
pub trait Link: Send + Sync + 'static {
    /// A message to a subject that was subscribed to. It comes from outside, so it may be anything.
    fn receive(&self, subject: &Subject, message: Bytes);

    /// The bus is there, and all subscriptions hold.
    fn connected(&self);

    /// The bus, or a part of it, can't be reached.
    fn disconnected(&self);
}

/// The bus can't be reached now. Subscriptions are made good when it can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotConnected;

impl fmt::Display for NotConnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bus can't be reached")
    }
}

impl error::Error for NotConnected {}

/// How the bus is: see [`Adapter::health`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdapterHealth {
    /// Whether all of the bus can be reached, as far as is known. True where there is none.
    pub connected: bool,
    /// Why it isn't connected, in the words of the last attempt that failed: which server, and what it said.
    pub error: Option<Arc<str>>,
    /// Messages that are known to be lost, since the start: published while the bus couldn't be reached or too much
    /// was queued, under way when a connection broke, or dropped because this node took them too slowly.
    pub lost: u64,
    /// Messages handed to the bus.
    pub published: u64,
    /// Messages that arrived.
    pub received: u64,
    /// How often the bus was lost and found again.
    pub reconnects: u64,
    /// Bytes that wait to be sent.
    pub queued_bytes: usize,
}

impl Default for AdapterHealth {
    fn default() -> Self {
        Self {
            connected: true,
            error: None,
            lost: 0,
            published: 0,
            received: 0,
            reconnects: 0,
            queued_bytes: 0,
        }
    }
}
