//! What waits to be sent over a bus.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::Notify;

/// Messages that wait for an [`Adapter`](crate::Adapter)'s connection, within limits. For those who write adapters.
///
/// It's open or closed. While it's closed, as when the bus can't be reached, what is pushed is lost: the others'
/// subscriptions are likely gone too, and a backlog would reach only those who are back first.
pub struct BusQueue<S> {
    waiting: Mutex<Waiting<S>>,
    wake: Notify,
    messages_max: usize,
    bytes_max: usize,
    bytes: AtomicUsize,
    lost: AtomicU64,
}

struct Waiting<S> {
    messages: VecDeque<(S, Bytes)>,
    open: bool,
}

impl<S> BusQueue<S> {
    /// An empty queue, which is closed. One message is taken however long it is.
    #[must_use]
    pub fn new(messages_max: usize, bytes_max: usize) -> Self {
        Self {
            waiting: Mutex::new(Waiting {
                messages: VecDeque::new(),
                open: false,
            }),
            wake: Notify::new(),
            messages_max,
            bytes_max,
            bytes: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
        }
    }

    /// Adds a message to `to`, or counts it as lost.
    pub fn push(&self, to: S, message: Bytes) {
        let first = {
            let mut waiting = self.lock();
            let bytes = self.bytes.load(Ordering::Relaxed) + message.len();
            let fits = waiting.messages.is_empty()
                || (waiting.messages.len() < self.messages_max && bytes <= self.bytes_max);
            if !waiting.open || !fits {
                drop(waiting);
                return self.count_lost(1);
            }
            self.bytes.store(bytes, Ordering::Relaxed);
            waiting.messages.push_back((to, message));
            waiting.messages.len() == 1
        };
        if first {
            self.wake.notify_one();
        }
    }

    /// Takes the oldest messages, as many as fit into the limits, but at least one if there is one.
    pub fn take(&self, messages_max: usize, bytes_max: usize) -> Vec<(S, Bytes)> {
        let mut waiting = self.lock();
        let mut bytes = 0;
        let fitting = waiting.messages.iter().take(messages_max);
        let count = fitting.take_while(|(_, message)| {
            let first = bytes == 0;
            bytes += message.len().max(1);
            first || bytes <= bytes_max
        });
        let count = count.count();
        let taken: Vec<_> = waiting.messages.drain(..count).collect();
        let bytes: usize = taken.iter().map(|(_, message)| message.len()).sum();
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        if waiting.messages.is_empty() {
            // A burst shouldn't cost memory for ever.
            waiting.messages.shrink_to(64);
        }
        taken
    }

    /// Waits until there may be something to take. It can be dropped without losing anything; one waits at a time.
    pub async fn wait(&self) {
        if self.is_empty() {
            self.wake.notified().await;
        }
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().messages.is_empty()
    }

    /// Takes messages from now on.
    pub fn open(&self) {
        self.lock().open = true;
    }

    /// Takes none from now on; what waits may still be taken.
    pub fn seal(&self) {
        self.lock().open = false;
    }

    /// Takes none from now on; what waits is lost.
    pub fn close(&self) {
        let waiting = {
            let mut waiting = self.lock();
            waiting.open = false;
            self.bytes.store(0, Ordering::Relaxed);
            std::mem::take(&mut waiting.messages)
        };
        self.count_lost(waiting.len());
    }

    /// Counts messages that were taken and didn't arrive, as far as is known.
    pub fn count_lost(&self, count: usize) {
        self.lost.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// How many messages were lost.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// How many bytes wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<S>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> fmt::Debug for BusQueue<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusQueue")
            .field("bytes", &self.bytes())
            .field("lost", &self.lost())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(messages_max: usize, bytes_max: usize) -> BusQueue<u8> {
        let queue = BusQueue::new(messages_max, bytes_max);
        queue.open();
        queue
    }

    fn names(taken: Vec<(u8, Bytes)>) -> Vec<u8> {
        taken.into_iter().map(|(name, _)| name).collect()
    }

    const WORD: Bytes = Bytes::from_static(b"word");

    #[test]
    fn what_fits_waits_in_order_and_the_rest_is_lost() {
        let check = |messages_max, bytes_max, expected: &[u8]| {
            let queue = open(messages_max, bytes_max);
            for name in 0..4 {
                queue.push(name, WORD);
            }
            assert_eq!(queue.bytes(), expected.len() * 4);
            assert_eq!(queue.lost(), 4 - expected.len() as u64);
            assert_eq!(names(queue.take(9, 99)), expected);
            assert_eq!(queue.bytes(), 0);
        };
        check(9, 99, &[0, 1, 2, 3]);
        check(3, 99, &[0, 1, 2]);
        check(9, 11, &[0, 1]);
        check(9, 1, &[0]);
    }

    #[test]
    fn a_batch_has_its_limits() {
        let queue = open(9, 99);
        for name in 0..6 {
            queue.push(name, WORD);
        }
        assert_eq!(names(queue.take(2, 99)), [0, 1]);
        assert_eq!(names(queue.take(9, 8)), [2, 3]);
        assert_eq!(names(queue.take(9, 1)), [4]);
        assert_eq!(names(queue.take(9, 99)), [5]);
        assert_eq!(names(queue.take(9, 99)), [0_u8; 0]);
    }

    #[test]
    fn what_is_pushed_while_it_is_closed_is_lost_and_what_waited_too() {
        let queue = BusQueue::new(9, 99);
        queue.push(1, WORD);
        assert_eq!((queue.lost(), queue.bytes()), (1, 0));
        queue.open();
        queue.push(2, WORD);
        queue.close();
        assert_eq!((queue.lost(), queue.bytes()), (2, 0));
        queue.open();
        queue.push(3, WORD);
        queue.seal();
        queue.push(4, WORD);
        assert_eq!(queue.lost(), 3);
        assert_eq!(names(queue.take(9, 99)), [3]);
    }

    #[tokio::test]
    async fn who_waits_is_woken_by_the_first_message() {
        let queue = open(9, 99);
        let (_, ()) = tokio::join!(
            async {
                queue.wait().await;
                assert_eq!(names(queue.take(9, 99)), [7]);
            },
            async { queue.push(7, WORD) }
        );
    }
}
