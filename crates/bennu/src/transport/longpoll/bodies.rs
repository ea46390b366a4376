//! Bodies that are being read and handled, all those of a mount.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::{Body, HttpBody};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

/// What each body may have beside the others: so that those who post little are heard whoever posts much.
const FREE_BYTES: usize = 64 * 1024;

/// How much memory the bodies of posts may take together, beyond what each may have.
#[derive(Debug)]
pub(crate) struct Bodies {
    bytes_max: usize,
    bytes: AtomicUsize,
}

/// A body, and its part of what there is for all. It is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Taken<'a> {
    bodies: &'a Bodies,
    taken: usize,
    bytes: Bytes,
}

/// Why there is no body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    TooLong,
    /// The client didn't finish it.
    Broken,
    /// The others' leave no room for it.
    NoRoom,
}

impl Bodies {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            bytes: AtomicUsize::new(0),
        }
    }

    /// Room for a body that is there already, if there is some.
    pub(crate) fn reserve(&self, bytes: usize) -> Option<Taken<'_>> {
        let mut taken = Taken {
            bodies: self,
            taken: 0,
            bytes: Bytes::new(),
        };
        taken.grow(bytes.saturating_sub(FREE_BYTES)).ok()?;
        Some(taken)
    }

    /// Reads a body of so many bytes at most.
    pub(crate) async fn take(&self, body: Body, bytes_max: usize) -> Result<Taken<'_>, NotTaken> {
        if body.size_hint().lower() > bytes_max as u64 {
            return Err(NotTaken::TooLong);
        }
        let mut taken = Taken {
            bodies: self,
            taken: 0,
            bytes: Bytes::new(),
        };
        let mut chunks = body.into_data_stream();
        // Nothing is allocated for what is only said to come.
        let mut bytes = BytesMut::new();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| NotTaken::Broken)?;
            if bytes.len() + chunk.len() > bytes_max {
                return Err(NotTaken::TooLong);
            }
            bytes.extend_from_slice(&chunk);
            taken.grow(bytes.len().saturating_sub(FREE_BYTES))?;
        }
        taken.bytes = bytes.freeze();
        Ok(taken)
    }
}

impl Taken<'_> {
    pub(crate) fn bytes(&self) -> Bytes {
        self.bytes.clone()
    }

    /// Takes so much in all.
    fn grow(&mut self, bytes: usize) -> Result<(), NotTaken> {
        let more = bytes.saturating_sub(self.taken);
        let before = self.bodies.bytes.fetch_add(more, Ordering::Relaxed);
        self.taken += more;
        if before + more > self.bodies.bytes_max {
            return Err(NotTaken::NoRoom);
        }
        Ok(())
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.bodies.bytes.fetch_sub(self.taken, Ordering::Relaxed);
    }
}
