//! Where things wait for a caller who reads them one by one.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use crate::options::InboxLimits;

/// A queue for one reader. When it's full the oldest go, since a reader who is slow may neither hold up the others of
/// its connection nor take all memory; how many went is counted.
pub(crate) struct Inbox<T> {
    limits: InboxLimits,
    state: Mutex<State<T>>,
}

struct State<T> {
    /// With their sizes.
    items: VecDeque<(T, usize)>,
    bytes: usize,
    missed: u64,
    /// Nothing will come any more.
    closed: bool,
    reader: Option<Waker>,
}

impl<T> Inbox<T> {
    pub(crate) fn new(limits: InboxLimits) -> Self {
        Self {
            limits,
            state: Mutex::new(State {
                items: VecDeque::new(),
                bytes: 0,
                missed: 0,
                closed: false,
                reader: None,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an item of so many bytes. The newest is always kept, whatever its size.
    pub(crate) fn push(&self, item: T, bytes: usize) {
        // What is dropped may run a caller's code, so it waits until the lock is free.
        let mut dropped = Vec::new();
        let reader = {
            let mut state = self.lock();
            if state.closed {
                return;
            }
            state.items.push_back((item, bytes));
            state.bytes += bytes;
            while state.items.len() > 1
                && (state.items.len() > self.limits.events_max
                    || state.bytes > self.limits.bytes_max)
            {
                if let Some((oldest, bytes)) = state.items.pop_front() {
                    state.bytes -= bytes;
                    state.missed += 1;
                    dropped.push(oldest);
                }
            }
            state.reader.take()
        };
        drop(dropped);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Nothing will come any more; what is there can still be read.
    pub(crate) fn close(&self) {
        let reader = {
            let mut state = self.lock();
            state.closed = true;
            state.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    pub(crate) fn poll_next(&self, cx: &Context<'_>) -> Poll<Option<T>> {
        let mut state = self.lock();
        if let Some((item, bytes)) = state.items.pop_front() {
            state.bytes -= bytes;
            return Poll::Ready(Some(item));
        }
        if state.closed {
            return Poll::Ready(None);
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// How many items went unread because it was full.
    pub(crate) fn missed(&self) -> u64 {
        self.lock().missed
    }
}

impl<T> fmt::Debug for Inbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Inbox")
            .field("waiting", &state.items.len())
            .field("missed", &state.missed)
            .field("closed", &state.closed)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    fn read(inbox: &Inbox<&'static str>) -> Vec<&'static str> {
        let mut items = Vec::new();
        let cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(item)) = inbox.poll_next(&cx) {
            items.push(item);
        }
        items
    }

    #[test]
    fn the_oldest_go_when_it_is_full() {
        let check = |events_max, bytes_max, sizes: &[(&'static str, usize)], left: &[&str]| {
            let inbox = Inbox::new(InboxLimits {
                events_max,
                bytes_max,
            });
            for (item, bytes) in sizes {
                inbox.push(*item, *bytes);
            }
            let missed = (sizes.len() - left.len()) as u64;
            assert_eq!(inbox.missed(), missed, "{sizes:?}");
            assert_eq!(read(&inbox), left, "{sizes:?}");
            assert_eq!(inbox.lock().bytes, 0);
        };
        let three = [("a", 4), ("b", 4), ("c", 4)];
        check(3, 12, &three, &["a", "b", "c"]);
        check(2, 12, &three, &["b", "c"]);
        check(3, 11, &three, &["b", "c"]);
        check(3, 3, &three, &["c"]);
        check(0, 0, &three, &["c"]);
        check(9, 9, &[("a", 1), ("huge", 100)], &["huge"]);
    }

    #[tokio::test]
    async fn a_reader_is_woken_by_an_item_and_by_the_end() {
        let inbox = std::sync::Arc::new(Inbox::new(InboxLimits {
            events_max: 2,
            bytes_max: 2,
        }));
        let reader = inbox.clone();
        let reading = tokio::spawn(async move {
            let first = poll_fn(|cx| reader.poll_next(cx)).await;
            (first, poll_fn(|cx| reader.poll_next(cx)).await)
        });
        tokio::task::yield_now().await;
        inbox.push("a", 1);
        tokio::task::yield_now().await;
        inbox.close();
        inbox.push("late", 1);
        assert_eq!(reading.await.unwrap(), (Some("a"), None));
    }
}
