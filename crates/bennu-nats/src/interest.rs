//! Which subjects shall be subscribed to, and which are: a value without a connection.
//!
//! The library keeps subscriptions over connections, so one that was made holds again whenever there is a connection.

use std::collections::HashMap;

use bennu_pubsub::{NotConnected, Registration, Subject};
use tokio::{sync::oneshot, task::AbortHandle};

/// Tells who subscribed when it holds.
type Waiter = oneshot::Sender<Result<(), NotConnected>>;

#[derive(Debug, Default)]
pub(crate) struct Interest {
    subjects: HashMap<Subject, Wanted>,
    /// Subjects that aren't as they should be.
    changed: Vec<Subject>,
    phase: Phase,
}

#[derive(Debug, Default)]
struct Wanted {
    wanted: bool,
    /// Who reads the subscription, once it was made.
    reader: Option<AbortHandle>,
    /// The server has confirmed it, on some connection.
    confirmed: bool,
    /// In `changed`.
    noted: bool,
    waiters: Vec<Waiter>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    /// Nobody knows yet whether the server is there.
    #[default]
    Unknown,
    Connected,
    Away,
}

impl Interest {
    /// Wants a subject, and says when it's subscribed to.
    pub(crate) fn want(&mut self, subject: &Subject) -> Registration {
        let wanted = self.subjects.entry(subject.clone()).or_default();
        wanted.wanted = true;
        let (waiter, registered) = oneshot::channel();
        match self.phase {
            Phase::Connected if wanted.confirmed && !wanted.noted => {
                let _ = waiter.send(Ok(()));
            }
            Phase::Away => {
                let _ = waiter.send(Err(NotConnected));
            }
            Phase::Unknown | Phase::Connected => wanted.waiters.push(waiter),
        }
        self.note(subject);
        Box::pin(async move { registered.await.unwrap_or(Err(NotConnected)) })
    }

    pub(crate) fn unwant(&mut self, subject: &Subject) {
        if let Some(wanted) = self.subjects.get_mut(subject) {
            wanted.wanted = false;
            self.note(subject);
        }
    }

    /// There is a connection, and what was subscribed to before it is again.
    pub(crate) fn connected(&mut self) {
        self.phase = Phase::Connected;
        let holds = |it: &&mut Wanted| it.wanted && it.confirmed && !it.noted;
        self.subjects.values_mut().filter(holds).for_each(settle);
    }

    /// There is no connection. Who waits for one isn't kept waiting.
    pub(crate) fn away(&mut self) {
        self.phase = Phase::Away;
        for wanted in self.subjects.values_mut() {
            for waiter in wanted.waiters.drain(..) {
                let _ = waiter.send(Err(NotConnected));
            }
        }
    }

    /// Ends what isn't wanted any more, and says what is to be subscribed to; each is to be [read](Self::read) and then
    /// [confirmed](Self::confirm).
    pub(crate) fn changes(&mut self) -> Vec<Subject> {
        let mut changes = Vec::new();
        for subject in std::mem::take(&mut self.changed) {
            let Some(wanted) = self.subjects.get_mut(&subject) else {
                continue;
            };
            wanted.noted = false;
            let holds = wanted.confirmed && self.phase == Phase::Connected;
            match (wanted.wanted, &wanted.reader) {
                (true, None) => changes.push(subject),
                (true, Some(_)) if holds => settle(wanted),
                (true, Some(_)) => {}
                (false, _) => {
                    if let Some(wanted) = self.subjects.remove(&subject)
                        && let Some(reader) = wanted.reader
                    {
                        reader.abort();
                    }
                }
            }
        }
        changes
    }

    /// A subscription was made.
    pub(crate) fn read(&mut self, subject: &Subject, reader: AbortHandle) {
        match self.subjects.get_mut(subject) {
            Some(wanted) => wanted.reader = Some(reader),
            None => reader.abort(),
        }
    }

    /// The server has heard of it, or will first of all on the next connection.
    pub(crate) fn confirm(&mut self, subject: &Subject) {
        if let Some(wanted) = self.subjects.get_mut(subject) {
            wanted.confirmed = true;
            if !wanted.noted && self.phase == Phase::Connected {
                settle(wanted);
            }
        }
    }

    /// Ends all.
    pub(crate) fn end(&mut self) {
        self.away();
        for (_, wanted) in self.subjects.drain() {
            if let Some(reader) = wanted.reader {
                reader.abort();
            }
        }
    }

    fn note(&mut self, subject: &Subject) {
        if let Some(wanted) = self.subjects.get_mut(subject)
            && !std::mem::replace(&mut wanted.noted, true)
        {
            self.changed.push(subject.clone());
        }
    }
}

fn settle(wanted: &mut Wanted) {
    for waiter in wanted.waiters.drain(..) {
        let _ = waiter.send(Ok(()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P1: Subject = Subject::Partition(1);

    fn reader() -> tokio::task::JoinHandle<()> {
        tokio::spawn(std::future::pending())
    }

    #[tokio::test]
    async fn a_subject_is_subscribed_to_once_for_all_connections() {
        let mut interest = Interest::default();
        let first = interest.want(&P1);
        assert_eq!(interest.changes(), [P1]);
        interest.read(&P1, reader().abort_handle());
        // Told, but there is no connection yet.
        interest.confirm(&P1);
        let mut first = first;
        assert!(futures_util::FutureExt::now_or_never(&mut first).is_none());
        interest.connected();
        assert_eq!(first.await, Ok(()));
        let again = interest.want(&P1);
        assert_eq!(interest.changes(), []);
        assert_eq!(again.await, Ok(()));
        interest.away();
        assert_eq!(interest.want(&P1).await, Err(NotConnected));
        interest.connected();
        assert_eq!(interest.changes(), []);
    }

    #[tokio::test]
    async fn who_waits_is_told_when_there_is_no_server() {
        let mut interest = Interest::default();
        let registration = interest.want(&P1);
        interest.away();
        assert_eq!(registration.await, Err(NotConnected));
    }

    #[tokio::test]
    async fn what_is_not_wanted_any_more_is_read_no_longer() {
        let mut interest = Interest::default();
        interest.connected();
        drop(interest.want(&P1));
        assert_eq!(interest.changes(), [P1]);
        let reader = reader();
        interest.read(&P1, reader.abort_handle());
        interest.confirm(&P1);
        interest.unwant(&P1);
        assert_eq!(interest.changes(), []);
        assert!(reader.await.unwrap_err().is_cancelled());
        let again = interest.want(&P1);
        assert_eq!(interest.changes(), [P1]);
        interest.confirm(&P1);
        assert_eq!(again.await, Ok(()));
    }

    #[tokio::test]
    async fn who_changes_their_mind_at_once_gets_their_way() {
        let mut interest = Interest::default();
        interest.connected();
        drop(interest.want(&P1));
        interest.unwant(&P1);
        assert_eq!(interest.changes(), []);
        drop(interest.want(&P1));
        assert_eq!(interest.changes(), [P1]);
        interest.read(&P1, reader().abort_handle());
        interest.confirm(&P1);
        interest.unwant(&P1);
        let kept = interest.want(&P1);
        assert_eq!(interest.changes(), []);
        assert_eq!(kept.await, Ok(()));
    }
}
