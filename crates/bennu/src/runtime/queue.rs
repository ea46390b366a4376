//! What waits to be written to one connection.

use std::{cell::RefCell, collections::VecDeque};

use bytes::Bytes;

use crate::SocketOptions;

/// Frames longer than this are written from where they lie, shorter ones are gathered.
const GATHERED_BYTES_MAX: usize = 16 * 1024;
/// What is gathered into one write.
pub(crate) const WRITE_BYTES_MAX: usize = 64 * 1024;

/// Frames to write.
#[derive(Default)]
pub(crate) struct Queue {
    /// Oldest first.
    frames: VecDeque<Bytes>,
    /// How much of the first frame is written already.
    written: usize,
    /// How many of the first frames are being written: by a write that may take only a part, or in a long-poll's
    /// answer.
    handed: usize,
    /// All of `frames`.
    bytes: usize,
}

/// Queues that a thread keeps for further use: they come and go with nearly every message.
const QUEUES_KEPT: usize = 1024;
/// A queue that has room for more frames than this isn't kept.
const QUEUE_FRAMES_KEPT: usize = 64;

thread_local! {
    #[expect(clippy::vec_box, reason = "the boxes are what is kept")]
    static QUEUES: RefCell<Vec<Box<Queue>>> = const { RefCell::new(Vec::new()) };
}

/// What to write next.
pub(crate) enum Chunk {
    Nothing,
    /// `scratch` was filled.
    Gathered,
    /// One large frame, the part that isn't written yet.
    Frame(Bytes),
}

impl Queue {
    pub(crate) fn take() -> Box<Self> {
        QUEUES.with_borrow_mut(Vec::pop).unwrap_or_else(|| {
            // `VecDeque` would start with room for four; a broadcast leaves one frame with each of its subscribers.
            let frames = VecDeque::with_capacity(1);
            Box::new(Self {
                frames,
                ..Self::default()
            })
        })
    }

    pub(crate) fn give_back(self: Box<Self>) {
        if self.frames.capacity() <= QUEUE_FRAMES_KEPT {
            QUEUES.with_borrow_mut(|queues| {
                if queues.len() < QUEUES_KEPT {
                    queues.push(self);
                }
            });
        }
    }

    /// Whether it's beyond `factor` times the limits.
    pub(crate) fn is_full(&self, limits: &SocketOptions, factor: usize) -> bool {
        self.bytes > limits.queue_bytes_max.saturating_mul(factor)
            || self.frames.len() >= limits.queue_messages_max.saturating_mul(factor)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Frames, and their bytes.
    pub(crate) fn load(&self) -> (usize, usize) {
        (self.frames.len(), self.bytes)
    }

    pub(crate) fn push(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        self.frames.push_back(frame);
    }

    /// What to write next. Its frames stay until [`advance`](Self::advance) is told how much went out.
    pub(crate) fn chunk(&mut self, scratch: &mut Vec<u8>) -> Chunk {
        let Some(first) = self.frames.front() else {
            return Chunk::Nothing;
        };
        self.handed = 1;
        if first.len() - self.written > GATHERED_BYTES_MAX {
            return Chunk::Frame(first.slice(self.written..));
        }
        scratch.clear();
        scratch.extend_from_slice(first.get(self.written..).unwrap_or_default());
        for frame in self.frames.iter().skip(1) {
            if frame.len() > GATHERED_BYTES_MAX || scratch.len() + frame.len() > WRITE_BYTES_MAX {
                break;
            }
            scratch.extend_from_slice(frame);
            self.handed += 1;
        }
        Chunk::Gathered
    }

    /// So many bytes of the last chunk went out. Says how many frames that completes.
    pub(crate) fn advance(&mut self, mut written: usize) -> usize {
        self.handed = 0;
        let mut completed = 0;
        while written > 0 {
            let Some(first) = self.frames.front() else {
                break;
            };
            let rest = first.len() - self.written;
            if written < rest {
                self.written += written;
                break;
            }
            written -= rest;
            self.bytes -= first.len();
            self.written = 0;
            self.frames.pop_front();
            completed += 1;
        }
        completed
    }

    /// All frames, for one answer to a poll: so many, and their bytes. They stay until
    /// [`handed_over`](Self::handed_over).
    pub(crate) fn hand_over(&mut self) -> (usize, usize) {
        self.handed = self.frames.len();
        self.load()
    }

    /// A frame of those that were handed over last.
    pub(crate) fn handed_frame(&self, index: usize) -> Option<Bytes> {
        self.frames
            .get(index)
            .filter(|_| index < self.handed)
            .cloned()
    }

    /// What was handed over reached its client: so many frames, and their bytes.
    pub(crate) fn handed_over(&mut self) -> (usize, usize) {
        let handed = std::mem::take(&mut self.handed);
        let bytes = self.frames.drain(..handed).map(|it| it.len()).sum();
        self.bytes -= bytes;
        (handed, bytes)
    }

    /// Nothing of what was handed out last went out.
    pub(crate) fn take_back(&mut self) {
        self.handed = 0;
    }

    /// Drops the oldest frame that isn't on the wire. False when all are.
    pub(crate) fn drop_oldest(&mut self) -> bool {
        let dropped = self.frames.remove(self.on_wire());
        self.bytes -= dropped.as_ref().map_or(0, Bytes::len);
        dropped.is_some()
    }

    /// Drops all frames but those on the wire.
    pub(crate) fn forget_unwritten(&mut self) {
        self.frames.truncate(self.on_wire());
        self.bytes = self.frames.iter().map(Bytes::len).sum();
    }

    /// How many of the first frames are on the wire: in part, or in a write that is under way and may take any
    /// part of them.
    fn on_wire(&self) -> usize {
        usize::from(self.written > 0).max(self.handed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(frames: &[&'static str]) -> Queue {
        let mut queue = Queue::default();
        for frame in frames {
            queue.push(Bytes::from_static(frame.as_bytes()));
        }
        queue
    }

    /// What is left, as it would be written.
    fn rest(mut queue: Queue) -> String {
        let mut scratch = Vec::new();
        let Chunk::Gathered = queue.chunk(&mut scratch) else {
            return String::new();
        };
        String::from_utf8(scratch).unwrap()
    }

    #[test]
    fn frames_of_a_write_under_way_are_not_dropped() {
        for (written, left) in [(0, "aabbdd"), (1, "abbdd"), (3, "bdd"), (4, "dd")] {
            let mut queue = queue(&["aa", "bb"]);
            let mut scratch = Vec::new();
            assert!(matches!(queue.chunk(&mut scratch), Chunk::Gathered));
            // Another thread finds the queue full, while the kernel takes what it takes.
            queue.push(Bytes::from_static(b"cc"));
            assert!(queue.drop_oldest());
            assert!(!queue.drop_oldest());
            queue.push(Bytes::from_static(b"dd"));
            queue.advance(written);
            assert_eq!(queue.load().1, 6 - written / 2 * 2);
            assert_eq!(rest(queue), left);
        }
    }

    #[test]
    fn a_frame_that_is_partly_written_stays_when_the_rest_is_forgotten() {
        let mut queue = queue(&["aa", "bb"]);
        queue.chunk(&mut Vec::new());
        queue.advance(1);
        queue.forget_unwritten();
        queue.push(Bytes::from_static(b"close"));
        assert_eq!(rest(queue), "aclose");
    }

    #[test]
    fn what_was_not_taken_may_be_dropped_again() {
        let mut queue = queue(&["aa", "bb"]);
        queue.chunk(&mut Vec::new());
        queue.take_back();
        assert!(queue.drop_oldest());
        assert_eq!(rest(queue), "bb");
    }

    #[test]
    fn an_answer_that_is_lost_is_given_again() {
        let mut queue = queue(&["aa"]);
        assert_eq!(queue.hand_over(), (1, 2));
        queue.push(Bytes::from_static(b"bb"));
        assert_eq!(queue.handed_frame(1), None);
        queue.take_back();
        assert_eq!(queue.handed_frame(0), None);
        assert_eq!(queue.hand_over(), (2, 4));
        assert_eq!(queue.handed_frame(1), Some(Bytes::from_static(b"bb")));
        queue.push(Bytes::from_static(b"cc"));
        queue.handed_over();
        assert_eq!(rest(queue), "cc");
    }
}
