//! Who hears broadcasts.

use std::sync::Arc;

use bennu_wire::Broadcast;

/// The receiving end of broadcasts: an outbox.
///
/// One object may subscribe many times (a connection subscribes once for each of its channels); `key` tells
/// its subscriptions apart.
///
/// `deliver` runs under the topic's lock, once for each subscriber of each broadcast. It must only put the
/// broadcast aside: it may not block, and it may not subscribe, unsubscribe or broadcast.
pub trait Subscriber: Send + Sync + 'static {
    /// Takes one broadcast for the subscription named `key`.
    fn deliver(&self, key: u64, broadcast: &Arc<Broadcast>);
}
