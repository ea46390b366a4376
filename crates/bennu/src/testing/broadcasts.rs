//! What is broadcast in a topic, as the test hears it.

use std::{collections::VecDeque, fmt, sync::Arc, time::Duration};

use bennu_pubsub::{PubSub, Receiver, Subscription};
use bennu_wire::{Broadcast, Payload};
use tokio::{
    sync::{Mutex, MutexGuard},
    time::timeout,
};

use super::{ClientChannel, fail, wire::Shown};

/// All that is broadcast in a topic, kept until [`assert_broadcast!`](crate::assert_broadcast) takes it.
///
/// [`listen`](super::listen) makes one. It hears what was broadcast, whether or not a client got it: an
/// [intercepted](crate::Channel::INTERCEPT) event too.
pub struct Broadcasts {
    topic: String,
    timeout: Duration,
    heard: Mutex<Heard>,
}

struct Heard {
    receiver: Receiver,
    /// Oldest first.
    waiting: VecDeque<Arc<Broadcast>>,
}

impl Broadcasts {
    pub(super) fn new(pubsub: &PubSub, topic: &str, timeout: Duration) -> Self {
        Self {
            topic: topic.to_owned(),
            timeout,
            heard: Mutex::new(Heard {
                receiver: pubsub.receiver(topic),
                waiting: VecDeque::new(),
            }),
        }
    }

    /// How long an assertion waits: 100 ms.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The subscription: [`Endpoint::broadcast_from`](crate::Endpoint::broadcast_from) reaches everybody else.
    pub fn subscription(&mut self) -> &Subscription {
        self.heard.get_mut().receiver.subscription()
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Takes the first broadcast of that event that `look` finds something in.
    pub(super) async fn take<T>(
        &self,
        event: &str,
        mut look: impl FnMut(&Payload) -> Option<T>,
    ) -> Option<T> {
        let mut heard = self.heard.lock().await;
        let Heard { receiver, waiting } = &mut *heard;
        let mut seen = 0;
        timeout(self.timeout, async {
            loop {
                for at in seen..waiting.len() {
                    let found = waiting.get(at).filter(|it| it.event() == event);
                    if let Some(found) = found.and_then(|it| look(it.payload())) {
                        waiting.remove(at);
                        return found;
                    }
                }
                seen = waiting.len();
                waiting.push_back(receiver.recv().await);
            }
        })
        .await
        .ok()
    }

    /// What waits, a line each, with what `note` has to say of it.
    pub(super) async fn report(
        &self,
        mut note: impl FnMut(&Broadcast) -> Option<String>,
    ) -> String {
        let heard: MutexGuard<'_, Heard> = self.heard.lock().await;
        let mut report = match heard.waiting.len() {
            0 => "nothing else was broadcast".to_owned(),
            _ => "what was broadcast instead, oldest first:".to_owned(),
        };
        for it in &heard.waiting {
            report += &format!("\n  {:?} {}", it.event(), Shown(it.payload()));
            if let Some(note) = note(it) {
                report += &format!("\n    {note}");
            }
        }
        let missed = heard.receiver.missed();
        if missed > 0 {
            report += &format!("\n{missed} more came while 1,024 waited, and were missed");
        }
        report
    }
}

impl fmt::Debug for Broadcasts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broadcasts")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

/// What can be asked for broadcasts.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be asked for broadcasts",
    note = "`assert_broadcast!` takes what `bennu::testing::listen(&endpoint, topic)` or `client.subscribe_and_join(..)` returned"
)]
pub trait Listens {
    /// What was heard.
    fn broadcasts(&self) -> &Broadcasts;
}

impl Listens for Broadcasts {
    fn broadcasts(&self) -> &Broadcasts {
        self
    }
}

impl Listens for ClientChannel {
    #[track_caller]
    fn broadcasts(&self) -> &Broadcasts {
        match &self.broadcasts {
            Some(broadcasts) => broadcasts,
            None => fail(&format!(
                "nobody listened to {:?}: join it with `subscribe_and_join`",
                self.topic()
            )),
        }
    }
}

impl<T: Listens + ?Sized> Listens for &T {
    fn broadcasts(&self) -> &Broadcasts {
        (**self).broadcasts()
    }
}
