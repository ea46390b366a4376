//! Which channels a connection shall be subscribed to, and which it is: a value without a connection.

use std::{collections::HashMap, sync::Arc};

use bennu_pubsub::{NotConnected, Registration};
use tokio::sync::oneshot;

/// Tells who subscribed when it holds.
type Waiter = oneshot::Sender<Result<(), NotConnected>>;

#[derive(Debug)]
pub(crate) struct Channels {
    channels: HashMap<Arc<str>, Channel>,
    /// Names of channels that aren't as they should be.
    changed: Vec<Arc<str>>,
    phase: Phase,
}

#[derive(Debug, Default)]
struct Channel {
    wanted: bool,
    held: bool,
    /// In `changed`.
    noted: bool,
    waiters: Vec<Waiter>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nobody knows yet whether the server is there.
    Unknown,
    Connected,
    Away,
}

/// What the server is to be told of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Subscribe(Arc<str>),
    Unsubscribe(Arc<str>),
}

impl Channels {
    pub(crate) fn new() -> Self {
        Self {
            channels: HashMap::new(),
            changed: Vec::new(),
            phase: Phase::Unknown,
        }
    }

    /// Wants a channel, and says when it's subscribed to.
    pub(crate) fn want(&mut self, name: &Arc<str>) -> Registration {
        let channel = self.channels.entry(name.clone()).or_default();
        channel.wanted = true;
        let (waiter, registered) = oneshot::channel();
        match self.phase {
            Phase::Connected if channel.held && !channel.noted => {
                let _ = waiter.send(Ok(()));
            }
            Phase::Away => {
                let _ = waiter.send(Err(NotConnected));
            }
            Phase::Unknown | Phase::Connected => channel.waiters.push(waiter),
        }
        self.note(name);
        Box::pin(async move { registered.await.unwrap_or(Err(NotConnected)) })
    }

    pub(crate) fn unwant(&mut self, name: &str) {
        if self.phase != Phase::Connected {
            self.channels.remove(name);
            return;
        }
        let Some((name, _)) = self.channels.get_key_value(name) else {
            return;
        };
        let name = name.clone();
        if let Some(channel) = self.channels.get_mut(&name) {
            channel.wanted = false;
        }
        self.note(&name);
    }

    /// Whether the end of this subscription comes unasked.
    pub(crate) fn is_held(&self, name: &str) -> bool {
        let channel = self.channels.get(name);
        channel.is_some_and(|it| it.wanted && it.held)
    }

    /// A connection begins: all that is wanted is to be subscribed to.
    pub(crate) fn connected(&mut self) {
        self.phase = Phase::Connected;
        let names: Vec<_> = self.channels.keys().cloned().collect();
        for name in &names {
            self.note(name);
        }
    }

    /// There is no connection. Who waits for one isn't kept waiting.
    pub(crate) fn away(&mut self) {
        self.phase = Phase::Away;
        self.changed.clear();
        self.channels.retain(|_, channel| {
            channel.held = false;
            channel.noted = false;
            for waiter in channel.waiters.drain(..) {
                let _ = waiter.send(Err(NotConnected));
            }
            channel.wanted
        });
    }

    /// The next changes. Each is to be [confirmed](Self::confirm) when the server did so.
    pub(crate) fn changes(&mut self, count_max: usize) -> Vec<Change> {
        if self.phase != Phase::Connected {
            return Vec::new();
        }
        let mut changes = Vec::new();
        while changes.len() < count_max
            && let Some(name) = self.changed.pop()
        {
            let Some(channel) = self.channels.get_mut(&name) else {
                continue;
            };
            channel.noted = false;
            match (channel.wanted, channel.held) {
                (true, false) => changes.push(Change::Subscribe(name)),
                (false, true) => {
                    channel.held = false;
                    changes.push(Change::Unsubscribe(name));
                }
                (true, true) => Self::settle(channel),
                (false, false) => {
                    self.channels.remove(&name);
                }
            }
        }
        changes
    }

    /// The server did as it was told.
    pub(crate) fn confirm(&mut self, change: &Change) {
        let (Change::Subscribe(name) | Change::Unsubscribe(name)) = change;
        let Some(channel) = self.channels.get_mut(name) else {
            return;
        };
        channel.held = matches!(change, Change::Subscribe(_));
        if channel.wanted && channel.held {
            Self::settle(channel);
        } else if channel.wanted != channel.held {
            // Somebody changed their mind meanwhile.
            self.note(&name.clone());
        } else if !channel.wanted {
            self.channels.remove(name);
        }
    }

    fn settle(channel: &mut Channel) {
        for waiter in channel.waiters.drain(..) {
            let _ = waiter.send(Ok(()));
        }
    }

    fn note(&mut self, name: &Arc<str>) {
        if self.phase == Phase::Connected
            && let Some(channel) = self.channels.get_mut(name)
            && !std::mem::replace(&mut channel.noted, true)
        {
            self.changed.push(name.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> [Arc<str>; 2] {
        ["a".into(), "b".into()]
    }

    fn subscribe(name: &Arc<str>) -> Change {
        Change::Subscribe(name.clone())
    }

    fn unsubscribe(name: &Arc<str>) -> Change {
        Change::Unsubscribe(name.clone())
    }

    #[tokio::test]
    async fn a_channel_is_subscribed_to_once_and_again_on_each_connection() {
        let ([a, _], mut channels) = (names(), Channels::new());
        let (first, second) = (channels.want(&a), channels.want(&a));
        assert_eq!(channels.changes(9), []);
        channels.connected();
        assert_eq!(channels.changes(9), [subscribe(&a)]);
        channels.confirm(&subscribe(&a));
        assert_eq!((first.await, second.await), (Ok(()), Ok(())));
        assert!(channels.is_held("a"));
        assert_eq!(channels.want(&a).await, Ok(()));
        assert_eq!(channels.changes(9), []);
        channels.away();
        assert!(!channels.is_held("a"));
        assert_eq!(channels.want(&a).await, Err(NotConnected));
        channels.connected();
        assert_eq!(channels.changes(9), [subscribe(&a)]);
    }

    #[tokio::test]
    async fn who_waits_is_told_when_there_is_no_server() {
        let ([a, b], mut channels) = (names(), Channels::new());
        let registration = channels.want(&a);
        channels.away();
        assert_eq!(registration.await, Err(NotConnected));
        channels.connected();
        let registration = channels.want(&b);
        assert_eq!(channels.changes(9).len(), 2);
        channels.away();
        assert_eq!(registration.await, Err(NotConnected));
    }

    #[test]
    fn what_is_wanted_and_unwanted_at_once_costs_nothing() {
        let ([a, b], mut channels) = (names(), Channels::new());
        channels.connected();
        drop((channels.want(&a), channels.want(&b)));
        channels.unwant("a");
        channels.unwant("nobody");
        assert_eq!(channels.changes(9), [subscribe(&b)]);
        channels.confirm(&subscribe(&b));
        channels.unwant("b");
        drop(channels.want(&b));
        assert_eq!(channels.changes(9), []);
        channels.unwant("b");
        assert_eq!(channels.changes(9), [unsubscribe(&b)]);
        channels.confirm(&unsubscribe(&b));
        assert!(channels.channels.is_empty());
    }

    #[tokio::test]
    async fn who_changes_their_mind_while_the_server_is_told_gets_their_way() {
        let ([a, _], mut channels) = (names(), Channels::new());
        channels.connected();
        drop(channels.want(&a));
        assert_eq!(channels.changes(9), [subscribe(&a)]);
        channels.unwant("a");
        channels.confirm(&subscribe(&a));
        assert_eq!(channels.changes(9), [unsubscribe(&a)]);
        let again = channels.want(&a);
        channels.confirm(&unsubscribe(&a));
        assert_eq!(channels.changes(9), [subscribe(&a)]);
        channels.confirm(&subscribe(&a));
        assert_eq!(again.await, Ok(()));
    }

    #[test]
    fn changes_come_in_portions() {
        let ([a, b], mut channels) = (names(), Channels::new());
        channels.connected();
        drop((channels.want(&a), channels.want(&b)));
        assert_eq!(channels.changes(1), [subscribe(&b)]);
        assert_eq!(channels.changes(1), [subscribe(&a)]);
        assert_eq!(channels.changes(1), []);
    }
}
