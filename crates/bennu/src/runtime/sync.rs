//! What the outbox and long-poll sessions are locked and signalled with: the standard library's, or with `--cfg shuttle`
//! that of `shuttle`, whose threads take turns in whatever order a test wants (`schedules.rs`).

#[cfg(shuttle)]
pub(crate) use shuttle::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU8},
};
#[cfg(not(shuttle))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU8},
};
