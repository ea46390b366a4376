//! What a client got and nobody has asked for yet, and the waiting for more.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use super::{Close, TIMEOUT, wire::Received};

/// Messages that wait to be looked at. Past that the client reads no more, as one that hangs.
const MESSAGES_MAX: usize = 65_536;
/// Messages that a report of a failure lists.
const SHOWN_MAX: usize = 30;

/// Shared by a client, its channels and the tasks of its connection.
#[derive(Debug)]
pub(super) struct Inbox {
    state: Mutex<State>,
    /// Told of every change, so that whoever waits looks again.
    changed: watch::Sender<()>,
}

#[derive(Debug)]
pub(super) struct State {
    /// Oldest first.
    pub(super) received: VecDeque<Received>,
    /// Set once, when nothing more can come.
    pub(super) close: Option<Close>,
    pub(super) faults: Faults,
    /// How long an assertion waits.
    pub(super) timeout: Duration,
    refs: u64,
}

/// What goes wrong on the way, because the test wants it so.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) drop_incoming: usize,
    pub(super) drop_outgoing: usize,
    pub(super) delay_incoming: Duration,
    pub(super) delay_outgoing: Duration,
    pub(super) stalled: bool,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                received: VecDeque::new(),
                close: None,
                faults: Faults::default(),
                timeout: TIMEOUT,
                refs: 0,
            }),
            changed: watch::Sender::new(()),
        }
    }

    /// Looks at the state, or changes it.
    pub(super) fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        let result = look(&mut self.lock());
        self.changed.send_replace(());
        result
    }

    pub(super) fn timeout(&self) -> Duration {
        self.lock().timeout
    }

    pub(super) fn next_ref(&self) -> String {
        let mut state = self.lock();
        state.refs += 1;
        state.refs.to_string()
    }

    /// Looks until there is something to be found, for at most as long.
    pub(super) async fn wait<T>(
        &self,
        time_max: Duration,
        mut look: impl FnMut(&mut State) -> Option<T>,
    ) -> Option<T> {
        timeout(time_max, self.until(&mut look)).await.ok()
    }

    /// Looks until there is something to be found.
    pub(super) async fn until<T>(&self, mut look: impl FnMut(&mut State) -> Option<T>) -> T {
        let mut changed = self.changed.subscribe();
        loop {
            let found = look(&mut self.lock());
            if let Some(found) = found {
                // There may be room for more now.
                self.changed.send_replace(());
                return found;
            }
            // It's an error when the sender is gone, but that's ours.
            let _ = changed.changed().await;
        }
    }

    /// Takes the first message that `look` finds something in. `None` when there is none in time, or when the
    /// connection ends without one.
    pub(super) async fn take<T>(&self, mut look: impl FnMut(&Received) -> Option<T>) -> Option<T> {
        self.wait(self.timeout(), |state| {
            let mut found = state.received.iter().enumerate();
            match found.find_map(|(at, it)| Some((at, look(it)?))) {
                Some((at, found)) => {
                    state.received.remove(at);
                    Some(Some(found))
                }
                None => state.close.is_some().then_some(None),
            }
        })
        .await
        .flatten()
    }

    /// What waits, a line each, with what `note` has to say of it.
    pub(super) fn report(&self, mut note: impl FnMut(&Received) -> Option<String>) -> String {
        let state = self.lock();
        let mut report = match state.received.len() {
            0 => "nothing else waits".to_owned(),
            _ => "what waits instead, oldest first:".to_owned(),
        };
        for it in state.received.iter().take(SHOWN_MAX) {
            report += &format!("\n  {it}");
            if let Some(note) = note(it) {
                report += &format!("\n    {note}");
            }
        }
        if state.received.len() > SHOWN_MAX {
            report += &format!("\n  and {} more", state.received.len() - SHOWN_MAX);
        }
        if let Some(close) = &state.close {
            report += &format!("\nthe connection has ended: {close}");
        }
        report
    }

    /// Waits while the client doesn't read.
    pub(super) async fn readable(&self) {
        self.until(|it| it.reads().then_some(())).await;
    }

    /// Waits while the client reads.
    pub(super) async fn unreadable(&self) {
        self.until(|it| (!it.reads()).then_some(())).await;
    }

    /// When something that is sent now gets to the server; `None` when it never does.
    pub(super) fn send_at(&self) -> Option<Instant> {
        let mut state = self.lock();
        let faults = &mut state.faults;
        if faults.drop_outgoing > 0 {
            faults.drop_outgoing -= 1;
            return None;
        }
        Some(Instant::now() + faults.delay_outgoing)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in a guard of a test's pattern spoils nothing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn reads(&self) -> bool {
        !self.faults.stalled && self.received.len() < MESSAGES_MAX
    }

    /// Puts a message where it's looked for, unless it is to be lost.
    pub(super) fn receive(&mut self, message: Received) {
        if self.faults.drop_incoming > 0 {
            self.faults.drop_incoming -= 1;
        } else {
            self.received.push_back(message);
        }
    }

    /// Nothing more comes. The first reason stands.
    pub(super) fn end(&mut self, close: Close) {
        self.close.get_or_insert(close);
    }
}

#[cfg(test)]
mod tests {
    use bennu_wire::Payload;

    use super::*;
    use crate::testing::wire::Kind;

    #[tokio::test(start_paused = true)]
    async fn a_full_inbox_takes_no_more_until_something_is_taken_out() {
        let inbox = Inbox::new();
        let message = Received {
            join_ref: None,
            topic: "t".to_owned(),
            kind: Kind::Ended { crashed: false },
            payload: Payload::empty(),
        };
        for _ in 0..MESSAGES_MAX {
            inbox.readable().await;
            inbox.with(|it| it.receive(message.clone()));
        }
        inbox.unreadable().await;
        let waited = timeout(TIMEOUT, inbox.readable()).await;
        assert!(waited.is_err());
        assert_eq!(inbox.take(|_| Some(())).await, Some(()));
        inbox.readable().await;
        let more = format!("\n  and {} more", MESSAGES_MAX - 1 - SHOWN_MAX);
        assert!(inbox.report(|_| None).ends_with(&more));
    }
}
